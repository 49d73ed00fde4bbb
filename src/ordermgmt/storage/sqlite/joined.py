"""A SQLite store within the host's transaction: on the host's connection, committed by the host or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from ordermgmt.engine.transaction import Entry, Found, Key, Query, Row, Write
from ordermgmt.errors import Conflict, Misconfigured, NewerSchema, StorageFailed
from ordermgmt.storage.checks import check_texts, check_writes
from ordermgmt.storage.hosts import NO_TRANSACTION, driver_connection, turns
from ordermgmt.storage.sqlite import rows, texts
from ordermgmt.storage.sqlite.connections import failure, journal_for
from ordermgmt.storage.sqlite.rows import Values
from ordermgmt.storage.sqlite.schema import MIGRATIONS, schema_version

SAVEPOINT = "ordermgmt"
LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")
# Whoever has read, and writes then, may find that somebody else wrote in between.  So the writer's lock is taken
# before anything is read; a statement that changes no row takes it too.
LOCK = "UPDATE meta SET schema = schema WHERE only = 0"


class JoinedSqliteStorage:
    """Keeps everything in the file that the host's connection is on, in the host's transaction.

    Every `handle` runs behind a savepoint: refused or failed, it leaves the rest of the host's transaction as it was.
    What it saved is durable when the host commits, and gone when the host rolls back.  Where the file is locked by
    others for longer than the host's connection waits, `StorageBusy` is raised, which is `retryable`: roll back, and
    do the whole unit of work again.

    The tables must be there: open the file once with `SqliteStorage`, or run ``python -m ordermgmt migrate``.
    """

    volatile = False
    exclusive = True
    joins = True

    def __init__(self, connection: object) -> None:
        """Join through this connection.

        It is a `sqlite3.Connection`, SQLAlchemy's `Connection` or `Session`, Django's `connection`, or a function that
        answers one of them.
        """
        self._given = connection
        self._sound: sqlite3.Connection | None = None

    def transaction(self) -> JoinedSqliteTransaction:
        return JoinedSqliteTransaction(self._driver(), self._check)

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return rows.read(self._select, keys)

    def find(self, query: Query) -> Sequence[Found]:
        return rows.find(self._select, query)

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return rows.history(self._select, key, after, limit)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return rows.feed(self._select, after, limit)

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        return rows.personal(self._select, refs)

    def erase(self, subject: str) -> int:
        check_texts((subject,))
        with self._connection() as connection:
            try:
                return _cursor(connection).execute(texts.ERASE, (subject,)).rowcount
            except sqlite3.Error as error:
                raise failure(error) from error

    def statuses(self, kind: str) -> Mapping[str, int]:
        return rows.statuses(self._select, kind)

    def close(self) -> None:
        """Nothing: the connection is the host's."""

    def _select(self, text: str, values: Values) -> list[Any]:
        with self._connection() as connection:
            return _select(connection, text, values)

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        """The connection as it is now, in a transaction, and fit to read from."""
        connection = self._driver()
        with turns.on(connection):
            _begin(connection)
            self._check(connection)
            yield connection

    def _driver(self) -> sqlite3.Connection:
        connection = driver_connection(self._given)
        if not isinstance(connection, sqlite3.Connection):
            raise Misconfigured(
                f"a SQLite store joins a connection of Python's sqlite3 module (got {type(connection).__name__})"
            )
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Look at a connection that was not seen before."""
        if connection is not self._sound:
            try:
                _check(connection)
            except sqlite3.Error as error:
                raise failure(error) from error
            self._sound = connection


class JoinedSqliteTransaction:
    """A savepoint in the host's transaction.  See `Transaction`."""

    __slots__ = ("_check", "_connection", "_open", "_over", "_versions")

    def __init__(self, connection: sqlite3.Connection, check: Callable[[sqlite3.Connection], None]) -> None:
        self._connection = connection
        self._check = check
        self._open = False
        self._over = True
        self._versions: dict[Key, int] = {}

    def __enter__(self) -> Self:
        turns.take(self._connection)
        try:
            self._enter()
        except BaseException:
            turns.give_back(self._connection)
            raise
        return self

    def _enter(self) -> None:
        _begin(self._connection)
        self._run(f"SAVEPOINT {SAVEPOINT}")
        self._open = True
        try:
            self._lock()
        except BaseException:
            self._undo()
            raise
        self._over = False

    def _lock(self) -> None:
        # Before the connection is looked at: SQLite waits for a lock only where nothing was read yet.
        try:
            self._run(LOCK)
        except StorageFailed:
            self._check(self._connection)  # where our tables are missing, it says what to do
            raise
        self._check(self._connection)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        try:
            self._undo()
        finally:
            turns.give_back(self._connection)

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:  # noqa: ARG002
        self._check_open()
        found = rows.read(self._select, keys)
        self._versions.update(dict.fromkeys(keys, 0))
        self._versions.update((key, row.version) for key, row in found.items())
        return found

    def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        self._check_open()
        check_writes(writes)
        versions = self._versions
        unseen = [write.row.key for write in writes if write.row.key not in versions]
        if unseen:
            self.load(unseen)
        self._over = True
        stale = tuple(write.row.key for write in writes if versions[write.row.key] != write.expected)
        if stale:
            raise Conflict(stale)
        try:
            rows.save(self._put, writes)
        except sqlite3.Error as error:
            raise failure(error) from error
        self._run(f"RELEASE {SAVEPOINT}")
        self._open = False

    def _undo(self) -> None:
        if not self._open:
            return
        self._open = False
        if not self._connection.in_transaction:
            # A full disk or an I/O error: SQLite has undone the host's whole transaction, and the host must know.
            raise StorageFailed("SQLite has undone the whole transaction of the host; roll back and begin again")
        self._run(f"ROLLBACK TO {SAVEPOINT}")
        self._run(f"RELEASE {SAVEPOINT}")

    def _put(self, text: str, values: Iterable[Values]) -> sqlite3.Cursor:
        return _cursor(self._connection).executemany(text, values)

    def _select(self, text: str, values: Values) -> list[Any]:
        return _select(self._connection, text, values)

    def _run(self, text: str) -> None:
        try:
            _cursor(self._connection).execute(text)
        except sqlite3.Error as error:
            raise failure(error) from error

    def _check_open(self) -> None:
        if self._over:
            raise StorageFailed("this transaction is over; open a new one")


def _cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor that answers plain tuples, whatever the host likes its own rows to be."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _select(connection: sqlite3.Connection, text: str, values: Values) -> list[Any]:
    try:
        return _cursor(connection).execute(text, values).fetchall()
    except sqlite3.Error as error:
        raise failure(error) from error


def _begin(connection: sqlite3.Connection) -> None:
    """What `sqlite3` would do by itself before the first change; refused where the host said that it shall not."""
    try:
        if connection.in_transaction:
            return
        # Where Python 3.12 was told autocommit=True, the host's own commit() would do nothing.
        if connection.isolation_level is None or getattr(connection, "autocommit", None) is True:
            raise Misconfigured(NO_TRANSACTION.format(how="BEGIN"))
        _cursor(connection).execute(f"BEGIN {connection.isolation_level}")
    except sqlite3.Error as error:
        raise failure(error) from error


def _check(connection: sqlite3.Connection) -> None:
    """Whether the host's connection keeps what is committed, and reads what we wrote."""
    cursor = _cursor(connection)
    if connection.text_factory is not str:
        raise Misconfigured("the host's connection does not read text as str; leave its text_factory as it is")
    newest = MIGRATIONS[-1][0]
    stored = schema_version(connection)
    if stored > newest:
        raise NewerSchema(f"the file has schema version {stored}, this release knows {newest}; upgrade ordermgmt")
    if stored < newest:
        raise Misconfigured(
            f"the tables are at version {stored} and must be at {newest}, and they are not changed in a transaction of "
            "the host's; run `python -m ordermgmt migrate`, or open the file once with SqliteStorage"
        )
    mode = str(cursor.execute("PRAGMA journal_mode").fetchone()[0]).upper()
    level = LEVELS[int(cursor.execute("PRAGMA synchronous").fetchone()[0])]
    wanted, _ = journal_for(sqlite3.sqlite_version_info)
    if mode == "WAL" and wanted != "WAL":
        raise Misconfigured(
            f"the file is in journal mode WAL, in which SQLite {sqlite3.sqlite_version} can lose rows; upgrade SQLite, "
            "or set PRAGMA journal_mode = DELETE"
        )
    if mode not in ("WAL", "DELETE", "TRUNCATE", "PERSIST"):
        raise Misconfigured(f"journal mode {mode} does not survive a crash; set PRAGMA journal_mode = DELETE")
    needed = "FULL" if mode == "WAL" else "EXTRA"
    if LEVELS.index(level) < LEVELS.index(needed):
        raise Misconfigured(
            f"the host's connection has synchronous = {level}, with which a power cut can undo what was committed; set "
            f"PRAGMA synchronous = {needed} (Django: OPTIONS init_command; SQLAlchemy: a connect event)"
        )
