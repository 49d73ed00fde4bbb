"""The tables of a SQLite store, and how a file grows from one version of them to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from ordermgmt.errors import NewerSchema

Migration = tuple[int, Sequence[str]]
"""A schema version, and the statements that lead to it from the one before."""

# Documents are BLOB, not TEXT: a history's hashes cover the stored bytes, so bytes go in and the same bytes come
# out, with no decoding on the way.  For a look with the sqlite3 shell: CAST(doc AS TEXT).
#
# `entity` has a rowid on purpose: without one, every document above about 950 bytes takes an overflow page of its
# own (measured with documents of 1,500 bytes: a file of 97 MB instead of 44 MB).
#
# `position` is AUTOINCREMENT: the writer's lock gives it out in commit order, a rollback gives it back, and no
# number is ever used twice, even if somebody cut off the end of the history.
MIGRATIONS: Sequence[Migration] = (
    (
        1,
        (
            """CREATE TABLE meta (
                only INTEGER PRIMARY KEY CHECK (only = 1),
                installation TEXT NOT NULL,
                schema INTEGER NOT NULL,
                created TEXT NOT NULL
            ) STRICT""",
            """INSERT INTO meta (only, installation, schema, created)
                VALUES (1, lower(hex(randomblob(16))), 0, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))""",
            """CREATE TABLE entity (
                kind TEXT NOT NULL,
                id TEXT NOT NULL,
                version INTEGER NOT NULL CHECK (version > 0),
                doc BLOB NOT NULL,
                head TEXT NOT NULL,
                at TEXT NOT NULL,
                PRIMARY KEY (kind, id)
            ) STRICT""",
            """CREATE TABLE history (
                position INTEGER PRIMARY KEY AUTOINCREMENT,
                kind TEXT NOT NULL,
                id TEXT NOT NULL,
                version INTEGER NOT NULL CHECK (version > 0),
                doc BLOB NOT NULL,
                hash TEXT NOT NULL,
                at TEXT NOT NULL,
                actor TEXT NOT NULL,
                cause TEXT NOT NULL,
                command_id TEXT NOT NULL,
                UNIQUE (kind, id, version)
            ) STRICT""",
            """CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history
                BEGIN SELECT RAISE(ABORT, 'history is append-only'); END""",
            """CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
                BEGIN SELECT RAISE(ABORT, 'history is append-only'); END""",
            """CREATE TABLE idx (
                kind TEXT NOT NULL,
                name TEXT NOT NULL,
                value TEXT NOT NULL,
                id TEXT NOT NULL,
                PRIMARY KEY (kind, name, value, id)
            ) STRICT, WITHOUT ROWID""",
            """CREATE TABLE personal (
                ref TEXT PRIMARY KEY NOT NULL,
                subject TEXT NOT NULL,
                doc BLOB NOT NULL
            ) STRICT""",
            "CREATE INDEX personal_by_subject ON personal (subject)",
        ),
    ),
)


def schema_version(connection: sqlite3.Connection) -> int:
    """The version of the tables in this file; 0 where there are none yet."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'").fetchone():
        return 0
    return int(connection.execute("SELECT schema FROM meta").fetchone()[0])


def migrate(
    connection: sqlite3.Connection,
    begin: Callable[[], object],
    commit: Callable[[], object],
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Bring the file up to date, a transaction a version, whoever else may be doing the same.

    A crash leaves the version before or the version after, and the next opening goes on from there.
    """
    newest = migrations[-1][0]
    for version, statements in migrations:
        if _checked_version(connection, newest) >= version:
            continue
        begin()
        # Somebody else may have done this step while we waited for the lock.
        if _checked_version(connection, newest) < version:
            for statement in statements:
                connection.execute(statement)
            connection.execute("UPDATE meta SET schema = ?", (version,))
        commit()


def _checked_version(connection: sqlite3.Connection, newest: int) -> int:
    stored = schema_version(connection)
    if stored > newest:
        raise NewerSchema(f"the file has schema version {stored}, this release knows {newest}; upgrade ordermgmt")
    return stored
