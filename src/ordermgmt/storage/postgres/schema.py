"""The tables and functions of a PostgreSQL store, and how a schema grows from one version of them to the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from ordermgmt.errors import Misconfigured, NewerSchema

Migration = tuple[int, Sequence[str]]
"""A schema version, and the statements that lead to it from the one before; ``{s}`` is the schema's name, quoted."""
Execute = Callable[[str, Sequence[Any]], Any]
"""Runs one statement; answers its rows, or None where it has none."""
T = TypeVar("T")
Steps = Generator[tuple[str, Sequence[Any]], Any, T]
"""Statements one after the other, each sent its rows."""

NAME = re.compile(r"(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}")

# How a store of this release takes rows and saves them.  Both are functions of the server's, so that each is one round
# trip; they belong to a schema version, and a later one that changes their arguments gives them another name.
#
# Every join below looks a handful of keys up.  The planner cannot know that, and on a table that is small when a plan
# is made and large when it is used it may choose to read all of it; so it is left no choice, and makes a plan once.
_LOOKUPS = (
    "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"
    " SET plan_cache_mode = force_generic_plan"
)

# One snapshot is taken for a statement, before it waits for locks.  A row that is there is read as it is when its lock
# is ours; one that was absent in the snapshot may have been made meanwhile, by whoever we waited for.  So what is
# missing is looked for again, in a newer snapshot, until that brings nothing more.  The first row of the answer, number
# 0, is no entity: its version is the transaction's id.
_TAKE = f"""CREATE FUNCTION {{s}}.take(kinds text[], ids text[], patient boolean)
    RETURNS TABLE (number bigint, version bigint, doc bytea, head text, at text)
    LANGUAGE plpgsql VOLATILE {_LOOKUPS} AS $$
    DECLARE
        wanted integer := cardinality(ids);
        seen boolean[] := array_fill(false, ARRAY[wanted]);
        got integer := 0;
        before integer;
    BEGIN
        number := 0;
        version := pg_current_xact_id()::text::bigint;
        RETURN NEXT;
        IF NOT patient THEN
            RETURN QUERY
                SELECT k.number, e.version, e.doc, e.head, e.at
                FROM unnest(kinds, ids) WITH ORDINALITY AS k (kind, id, number)
                CROSS JOIN LATERAL (
                    SELECT n.version, n.doc, n.head, n.at FROM {{s}}.entity AS n
                    WHERE n.kind = k.kind AND n.id = k.id FOR UPDATE SKIP LOCKED
                ) AS e;
            RETURN;
        END IF;
        LOOP
            before := got;
            FOR number, version, doc, head, at IN
                SELECT k.number, e.version, e.doc, e.head, e.at
                FROM unnest(kinds, ids) WITH ORDINALITY AS k (kind, id, number)
                CROSS JOIN LATERAL (
                    SELECT n.version, n.doc, n.head, n.at FROM {{s}}.entity AS n
                    WHERE n.kind = k.kind AND n.id = k.id FOR UPDATE
                ) AS e
                WHERE NOT seen[k.number]
            LOOP
                seen[number] := true;
                got := got + 1;
                RETURN NEXT;
            END LOOP;
            EXIT WHEN got = before OR got = wanted;
        END LOOP;
    END $$"""  # noqa: S608 - a constant text

# Positions come from a sequence, which gives them out at once and to whoever asks, so that commits need not wait for
# each other.  The shared lock is what a follower looks at when it finds a number missing: whoever may still commit it
# is listed there, from before it takes the number until its commit can be seen.
_SAVE = f"""CREATE FUNCTION {{s}}.save(
        m_kind text[], m_id text[], m_version bigint[], m_doc bytea[], m_head text[], m_at text[],
        c_kind text[], c_id text[], c_expected bigint[], c_version bigint[], c_doc bytea[], c_head text[], c_at text[],
        e_kind text[], e_id text[], e_version bigint[], e_doc bytea[], e_hash text[], e_at text[], e_actor text[],
        e_cause text[], e_command_id text[],
        u_kind text[], u_name text[], u_value text[], u_id text[],
        i_kind text[], i_name text[], i_value text[], i_id text[],
        p_ref text[], p_subject text[], p_doc bytea[]
    ) RETURNS boolean
    LANGUAGE plpgsql VOLATILE {_LOOKUPS} AS $$
    DECLARE
        written integer;
        positions bigint[];
    BEGIN
        IF cardinality(m_id) > 0 THEN
            INSERT INTO {{s}}.entity (kind, id, version, doc, head, at)
                SELECT * FROM unnest(m_kind, m_id, m_version, m_doc, m_head, m_at) ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS written = ROW_COUNT;
            IF written <> cardinality(m_id) THEN
                RETURN false;
            END IF;
        END IF;
        IF cardinality(c_id) > 0 THEN
            UPDATE {{s}}.entity AS e SET version = c.version, doc = c.doc, head = c.head, at = c.at
                FROM unnest(c_kind, c_id, c_expected, c_version, c_doc, c_head, c_at)
                    AS c (kind, id, expected, version, doc, head, at)
                WHERE e.kind = c.kind AND e.id = c.id AND e.version = c.expected;
            GET DIAGNOSTICS written = ROW_COUNT;
            IF written <> cardinality(c_id) THEN
                RETURN false;
            END IF;
        END IF;
        IF cardinality(e_id) > 0 THEN
            PERFORM pg_advisory_xact_lock_shared({{s}}.saving());
            positions := ARRAY(SELECT nextval('{{s}}.position') FROM generate_series(1, cardinality(e_id)));
            INSERT INTO {{s}}.history (position, kind, id, version, doc, hash, at, actor, cause, command_id)
                SELECT * FROM unnest(
                    positions, e_kind, e_id, e_version, e_doc, e_hash, e_at, e_actor, e_cause, e_command_id);
        END IF;
        IF cardinality(u_id) > 0 THEN
            DELETE FROM {{s}}.idx AS i USING unnest(u_kind, u_name, u_value, u_id) AS u (kind, name, value, id)
                WHERE i.kind = u.kind AND i.name = u.name AND i.value = u.value AND i.id = u.id;
        END IF;
        IF cardinality(i_id) > 0 THEN
            INSERT INTO {{s}}.idx (kind, name, value, id)
                SELECT * FROM unnest(i_kind, i_name, i_value, i_id) ON CONFLICT DO NOTHING;
        END IF;
        IF cardinality(p_ref) > 0 THEN
            INSERT INTO {{s}}.personal (ref, subject, doc) SELECT * FROM unnest(p_ref, p_subject, p_doc)
                ON CONFLICT (ref) DO UPDATE SET subject = excluded.subject, doc = excluded.doc;
        END IF;
        RETURN true;
    END $$"""  # noqa: S608 - a constant text

# COLLATE "C" is the order of code points (of UTF-8 bytes, which is the same), whatever the database's own language is.
# Documents are bytea, not jsonb: a history's hashes cover the stored bytes.  Amounts stand inside them, as whole minor
# units; what the store itself counts is bigint, within bounds, and nothing is numeric.
# Room is left in the pages of `entity`, so that a new version of a row finds a place beside the old one and no index
# has to be touched.
MIGRATIONS: Sequence[Migration] = (
    (
        1,
        (
            """CREATE TABLE {s}.meta (
                one boolean PRIMARY KEY CHECK (one),
                installation text NOT NULL,
                schema bigint NOT NULL CHECK (schema >= 0),
                created timestamptz NOT NULL
            )""",
            """INSERT INTO {s}.meta (one, installation, schema, created)
                VALUES (true, replace(gen_random_uuid()::text, '-', ''), 0, now())""",
            """CREATE TABLE {s}.entity (
                kind text COLLATE "C" NOT NULL,
                id text COLLATE "C" NOT NULL,
                version bigint NOT NULL CHECK (version > 0),
                doc bytea NOT NULL,
                head text COLLATE "C" NOT NULL,
                at text COLLATE "C" NOT NULL,
                PRIMARY KEY (kind, id)
            ) WITH (fillfactor = 70)""",
            """CREATE TABLE {s}.history (
                position bigint PRIMARY KEY CHECK (position > 0),
                kind text COLLATE "C" NOT NULL,
                id text COLLATE "C" NOT NULL,
                version bigint NOT NULL CHECK (version > 0),
                doc bytea NOT NULL,
                hash text COLLATE "C" NOT NULL,
                at text COLLATE "C" NOT NULL,
                actor text COLLATE "C" NOT NULL,
                cause text COLLATE "C" NOT NULL,
                command_id text COLLATE "C" NOT NULL,
                UNIQUE (kind, id, version)
            )""",
            # One by one: numbers taken ahead by a connection would come late into the feed.
            "CREATE SEQUENCE {s}.position AS bigint CACHE 1 OWNED BY {s}.history.position",
            """CREATE FUNCTION {s}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'history is append-only' USING ERRCODE = 'insufficient_privilege'; END $$""",
            """CREATE TRIGGER history_is_not_changed BEFORE UPDATE OR DELETE ON {s}.history
                FOR EACH ROW EXECUTE FUNCTION {s}.refuse()""",
            """CREATE TRIGGER history_is_not_emptied BEFORE TRUNCATE ON {s}.history
                FOR EACH STATEMENT EXECUTE FUNCTION {s}.refuse()""",
            """CREATE TABLE {s}.idx (
                kind text COLLATE "C" NOT NULL,
                name text COLLATE "C" NOT NULL,
                value text COLLATE "C" NOT NULL,
                id text COLLATE "C" NOT NULL,
                PRIMARY KEY (kind, name, value, id)
            )""",
            """CREATE TABLE {s}.personal (
                ref text COLLATE "C" PRIMARY KEY,
                subject text COLLATE "C" NOT NULL,
                doc bytea NOT NULL
            )""",
            "CREATE INDEX personal_by_subject ON {s}.personal (subject)",
            # The lock of all who are saving here; the high half is "om", so that it meets no lock of the host's.
            """CREATE FUNCTION {s}.saving() RETURNS bigint LANGUAGE sql STABLE AS $$
                SELECT (28525::bigint << 32) | '{s}.history'::regclass::oid::bigint $$""",
            _TAKE,
            _SAVE,
        ),
    ),
)


def checked_name(name: object) -> str:
    """A schema's name, quoted for statements.  Raises `Misconfigured` for one that is not plain."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Misconfigured(
            f"schema={name!r} is not a name we take: use 1 to 63 lower-case letters, digits and _, beginning with a "
            "letter or _, not with pg_, and not information_schema"
        )
    return f'"{name}"'


def schema_version(execute: Execute, schema: str) -> int:
    """The version of the tables in this schema; 0 where there are none of ours yet."""
    return _done(version_steps(schema), execute)


def migrate(execute: Execute, schema: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema up to date: `migration_steps`, blocking."""
    _done(migration_steps(schema, migrations), execute)


def _done(steps: Steps[T], execute: Execute) -> T:
    answer: Any = None
    try:
        while True:
            answer = execute(*steps.send(answer))
    except StopIteration as end:
        told: T = end.value
        return told


def version_steps(schema: str) -> Steps[int]:
    """`schema_version`, whoever asks."""
    # By the catalogue's rows: to_regclass may answer from what the connection remembers of before it waited for a lock.
    found = yield (
        (
            "SELECT 1 FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = 'meta' AND a.attname = 'installation'"
        ),
        [schema.strip('"')],
    )
    if not found:
        return 0
    return int((yield f"SELECT schema FROM {schema}.meta", ())[0][0])  # noqa: S608 - a checked name


def migration_steps(schema: str, migrations: Sequence[Migration] = MIGRATIONS) -> Steps[None]:
    """Bring the schema up to date, a transaction a version, whoever else may be doing the same.

    A crash leaves the version before or the version after, and the next opening goes on from there.
    """
    newest = migrations[-1][0]
    for version, statements in migrations:
        if (yield from _checked_version(schema, newest)) >= version:
            continue
        yield "BEGIN", ()
        yield "SET LOCAL statement_timeout = 0", ()  # a large table takes as long as it takes
        # One at a time; whoever waited finds the step done.
        yield "SELECT pg_advisory_xact_lock(hashtextextended(%s, 28525))", [f"ordermgmt migrates {schema}"]
        if (yield from _checked_version(schema, newest)) < version:
            if version == migrations[0][0]:
                yield from _make_schema(schema)
            for statement in statements:
                yield statement.replace("{s}", schema), ()
            yield f"UPDATE {schema}.meta SET schema = %s", [version]  # noqa: S608 - a checked name
        yield "COMMIT", ()


def _make_schema(schema: str) -> Steps[None]:
    name = schema.strip('"')
    if not (yield "SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]):
        yield f"CREATE SCHEMA {schema}", ()
        return
    taken = yield (
        (
            "SELECT tablename FROM pg_tables WHERE schemaname = %s"
            " AND tablename IN ('meta', 'entity', 'history', 'idx', 'personal')"
        ),
        [name],
    )
    if taken:
        raise Misconfigured(
            f"schema {name} has a table {taken[0][0]} already that is not ours; give the store a schema of its own"
        )


def _checked_version(schema: str, newest: int) -> Steps[int]:
    stored = yield from version_steps(schema)
    if stored > newest:
        raise NewerSchema(f"schema {schema} has version {stored}, this release knows {newest}; upgrade ordermgmt")
    return stored


__all__ = ["MIGRATIONS", "Migration", "checked_name", "migrate", "migration_steps", "schema_version"]
