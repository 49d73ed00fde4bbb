"""The statements a PostgreSQL store uses, and how values and rows are written for them and read from their answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Any, NamedTuple

from psycopg.adapt import Dumper
from psycopg.pq import Format

from ordermgmt.engine.transaction import Entry, Found, Key, Query, Row, Write
from ordermgmt.storage.checks import clamped

Values = list[Any]


class Texts(list[str]):
    """Sent as text[]."""


class Blobs(list[bytes]):
    """Sent as bytea[]."""


class Numbers(list[int]):
    """Sent as bigint[]."""


# psycopg would choose the type of an array by looking into it: int2[] today and int8[] tomorrow, and no type for an
# empty one.  Each would be another statement to prepare.  So the types are ours, and always the same.
# Texts and numbers are written as the server shows them, which is a single join; bytes would be written twice as long.
_HEADER = Struct("!iiiii")
_LENGTH = Struct("!i")
_BLOB_OID = 17
_NO_BLOBS = Struct("!iii").pack(0, 0, _BLOB_OID)


def _texts(several: Texts) -> bytes:
    if not several:
        return b"{}"
    told = '","'.join(several)
    if "\\" in told or told.count('"') > 2 * (len(several) - 1):
        told = '","'.join([one.replace("\\", "\\\\").replace('"', '\\"') for one in several])
    return f'{{"{told}"}}'.encode()


def _numbers(several: Numbers) -> bytes:
    return f"{{{','.join(map(str, several))}}}".encode()


def _blobs(several: Blobs) -> bytes:
    if not several:
        return _NO_BLOBS
    parts = [_HEADER.pack(1, 0, _BLOB_OID, len(several), 1)]
    for one in several:
        parts += (_LENGTH.pack(len(one)), one)
    return b"".join(parts)


class _Written(NamedTuple):
    """What a value is to the server, and how it is written: always in one way."""

    oid: int
    format: Format
    write: Callable[[Any], bytes]


_WRITTEN: Mapping[type, _Written] = {
    Texts: _Written(1009, Format.TEXT, _texts),
    Blobs: _Written(1001, Format.BINARY, _blobs),
    Numbers: _Written(1016, Format.TEXT, _numbers),
    str: _Written(25, Format.BINARY, str.encode),
    int: _Written(20, Format.BINARY, Struct("!q").pack),
    bool: _Written(16, Format.BINARY, Struct("!?").pack),
}


def types(values: Values) -> list[int]:
    """What these are to the server."""
    return [_WRITTEN[type(value)].oid for value in values]


def formats(values: Values) -> list[Format]:
    """In which of its two forms each is written."""
    return [_WRITTEN[type(value)].format for value in values]


def written(values: Values) -> list[bytes]:
    """These as the server reads them."""
    return [_WRITTEN[type(value)].write(value) for value in values]


class _OurDumper(Dumper):
    """Writes them for a cursor of psycopg."""

    def dump(self, obj: Any) -> bytes:
        return _WRITTEN[self.cls].write(obj)


class _TextsDumper(_OurDumper):
    oid, format = _WRITTEN[Texts][:2]


class _BlobsDumper(_OurDumper):
    oid, format = _WRITTEN[Blobs][:2]


class _NumbersDumper(_OurDumper):
    oid, format = _WRITTEN[Numbers][:2]


def adapt(adapters: Any) -> None:
    """Make a connection know how to send our arrays; nothing else about it changes."""
    adapters.register_dumper(Texts, _TextsDumper)
    adapters.register_dumper(Blobs, _BlobsDumper)
    adapters.register_dumper(Numbers, _NumbersDumper)


BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""Said every time: a decision is made on rows that are locked, and waits for them instead of being sent back."""


class Statements:
    """The statements for one schema."""

    def __init__(self, schema: str) -> None:
        def of(text: str) -> bytes:
            return text.replace("{s}", schema).encode()

        self.schema = schema
        self.take = of("SELECT number, version, doc, head, at FROM {s}.take(%s, %s, %s)")
        self.save = of("SELECT {s}.save(" + ", ".join(["%s"] * 33) + ")")
        # One divided by nothing is an error: what is said after it is not done.
        self.save_or_fail = of("SELECT 1 / {s}.save(" + ", ".join(["%s"] * 33) + ")::integer")
        self.read = of(
            "SELECT k.number, e.version, e.doc, e.head, e.at"
            " FROM unnest(%s, %s) WITH ORDINALITY AS k (kind, id, number)"
            # OFFSET 0 keeps the look-up a look-up: no plan reads the whole table to join it.
            " CROSS JOIN LATERAL (SELECT n.version, n.doc, n.head, n.at FROM {s}.entity AS n"
            " WHERE n.kind = k.kind AND n.id = k.id OFFSET 0) AS e"
        )
        self.history = of(
            "SELECT kind, id, version, doc, hash, at, actor, cause, command_id, position FROM {s}.history"
            " WHERE kind = %s AND id = %s AND version > %s ORDER BY version LIMIT %s"
        )
        self.feed = of(
            "SELECT kind, id, version, doc, hash, at, actor, cause, command_id, position FROM {s}.history"
            " WHERE position > %s ORDER BY position LIMIT %s"
        )
        saving = (
            "FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = ({s}.saving() >> 32)::oid AND objid = ({s}.saving() & 4294967295)::oid"
        )
        self.saving = of("SELECT virtualtransaction " + saving)
        # A snapshot that was taken before does not show what was saved since.
        self.settled = of(
            "SELECT current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')"
            f" AND NOT EXISTS (SELECT {saving} AND pid <> pg_backend_pid())"
        )
        self.personal = of("SELECT ref, doc FROM {s}.personal WHERE ref = ANY(%s)")
        self.erase_told = of(
            "WITH gone AS (DELETE FROM {s}.personal WHERE subject = %s RETURNING 1) SELECT count(*) FROM gone"
        )
        self.statuses = of("SELECT value, count(*) FROM {s}.idx WHERE kind = %s AND name = 'status' GROUP BY value")
        self.installation = of("SELECT installation FROM {s}.meta")
        everything = "SELECT '', id, version, doc, head, at FROM {s}.entity WHERE kind = %s"
        self._all = of(everything + " ORDER BY id LIMIT %s")
        self._all_further = of(everything + " AND id > %s ORDER BY id LIMIT %s")
        # From each to the next, for there are few kinds and many rows.
        self.kinds = of(
            "WITH RECURSIVE k (kind) AS ((SELECT kind FROM {s}.entity ORDER BY kind LIMIT 1) UNION ALL"
            " SELECT n.kind FROM k CROSS JOIN LATERAL (SELECT e.kind FROM {s}.entity AS e WHERE e.kind > k.kind"
            " ORDER BY e.kind LIMIT 1) AS n) SELECT kind FROM k ORDER BY kind"
        )
        self.indexed = of("SELECT kind, name, value, id FROM {s}.idx ORDER BY kind, name, value, id LIMIT %s")
        self.indexed_after = of(
            "SELECT kind, name, value, id FROM {s}.idx WHERE (kind, name, value, id) > (%s, %s, %s, %s)"
            " ORDER BY kind, name, value, id LIMIT %s"
        )
        self.persons = of("SELECT ref, subject, doc FROM {s}.personal WHERE ref > %s ORDER BY ref LIMIT %s")
        self.absorb = [
            of(
                "INSERT INTO {s}.history (kind, id, version, doc, hash, at, actor, cause, command_id, position)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            ),
            of(
                "INSERT INTO {s}.entity (kind, id, version, doc, head, at) VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, doc = excluded.doc,"
                " head = excluded.head, at = excluded.at"
            ),
            of("INSERT INTO {s}.idx (kind, name, value, id) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"),
            of("INSERT INTO {s}.personal (ref, subject, doc) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"),
        ]
        self.go_on = of("SELECT setval('{s}.position', max(position)) FROM {s}.history HAVING max(position) > 0")
        self.dismiss = of("DELETE FROM {s}.entity WHERE kind = %s AND id = %s AND head = ''")
        self.evidence = of("SELECT hash FROM {s}.history WHERE kind = %s AND id = %s AND version = %s")

    def find(self, query: Query) -> tuple[bytes, Values]:
        """The text and the values that answer a query, as (value, id, version, doc, head, at)."""
        # A status is shared by many; anything else tells entities apart better.
        names = sorted(query.equal, key=lambda name: (len(query.equal[name]), name == "status"))
        named = [(query.kind, name, Texts(dict.fromkeys(query.equal[name]))) for name in names]
        several = [value for one in named for value in one]
        further = query.after is not None
        limit = clamped(query.limit)
        if query.upto is not None:
            text = _up_to(len(named), further=further)
            values: Values = [query.kind, *query.upto, *(query.after or ()), *several, limit]
        else:
            after = query.after[1:] if query.after else ()
            if not named:
                return self._all_further if after else self._all, [query.kind, *after, limit]
            if len(named) == 1:
                text = _one_name(further=further)
                # Every value of it gives a page, and the page is made of those.
                values = [named[0][2], *named[0][:2], *after, limit, limit]
            else:
                text = _several_names(len(named), further=further)
                values = [*after, *several, limit]
        return text.replace("{s}", self.schema).encode(), [*values, query.kind]


# Only what is on the page is fetched with its document.  OFFSET 0 keeps each look-up one: no plan may read a whole
# table to join it, whatever the statistics say.
_PAGE = (
    "SELECT h.value, h.id, e.version, e.doc, e.head, e.at FROM ({page}) AS h"
    " CROSS JOIN LATERAL (SELECT n.version, n.doc, n.head, n.at FROM {s}.entity AS n"
    " WHERE n.kind = %s AND n.id = h.id OFFSET 0) AS e ORDER BY h.value, h.id"
)
_UP_TO = (
    "SELECT i.value AS value, i.id AS id FROM {s}.idx AS i WHERE i.kind = %s AND i.name = %s AND i.value <= %s"
    "{further}{filters} ORDER BY i.value, i.id LIMIT %s"
)
_FILTER = (
    " AND EXISTS (SELECT 1 FROM {s}.idx AS o"
    " WHERE o.kind = %s AND o.name = %s AND o.value = ANY(%s) AND o.id = i.id OFFSET 0)"
)
_ONE_NAME = (
    "SELECT '' AS value, c.id AS id FROM unnest(%s) AS v (value) CROSS JOIN LATERAL (SELECT i.id"
    " FROM {s}.idx AS i WHERE i.kind = %s AND i.name = %s AND i.value = v.value{further} ORDER BY i.id LIMIT %s) AS c"
    " ORDER BY c.id LIMIT %s"
)
# The names leap over each other: each goes on to its first id that is not before where the one before it stands, and
# where the last comes out at the id of the first, that is an answer.  So it takes as many look-ups as the rarest name
# has ids, whichever that is: nobody has to know it.  The first text after an id is that id and a \x01.
_SEVERAL_NAMES = (
    "WITH RECURSIVE leap (place, id, met) AS ("
    'SELECT ({start}) COLLATE "C", NULL::text COLLATE "C", 0 UNION ALL'
    " SELECT CASE WHEN n1.id = {last}.id THEN n1.id || E'\\x01' ELSE {last}.id END,"
    " CASE WHEN n1.id = {last}.id THEN n1.id END, l.met + (n1.id = {last}.id)::integer"
    " FROM leap AS l{leaps} WHERE l.met < %s) SELECT '' AS value, id FROM leap WHERE id IS NOT NULL"
)
_LEAP = (
    " CROSS JOIN LATERAL (SELECT c.id FROM (SELECT %s::text, %s::text, %s::text[]) AS q (kind, name, any_of)"
    " CROSS JOIN unnest(q.any_of) AS v (value) CROSS JOIN LATERAL (SELECT i.id FROM {s}.idx AS i"
    " WHERE i.kind = q.kind AND i.name = q.name AND i.value = v.value AND i.id >= {before} ORDER BY i.id LIMIT 1) AS c"
    " ORDER BY c.id LIMIT 1) AS {this}"
)


@cache
def _up_to(filters: int, *, further: bool) -> str:
    """What has a value up to a bound, from the low end."""
    after = " AND (i.value, i.id) > (%s, %s)" if further else ""
    return _page(_UP_TO.replace("{further}", after).replace("{filters}", _FILTER * filters))


@cache
def _one_name(*, further: bool) -> str:
    """What has one of these values."""
    return _page(_ONE_NAME.replace("{further}", " AND i.id > %s" if further else ""))


@cache
def _several_names(names: int, *, further: bool) -> str:
    """What has one of these values under every name."""
    standing = ["l.place", *(f"n{n}.id" for n in range(1, names))]
    leaps = [_LEAP.replace("{before}", one).replace("{this}", f"n{n}") for n, one in enumerate(standing, 1)]
    text = _SEVERAL_NAMES.replace("{start}", "%s::text || E'\\x01'" if further else "''::text")
    return _page(text.replace("{last}", f"n{names}").replace("{leaps}", "".join(leaps)))


def _page(text: str) -> str:
    return _PAGE.replace("{page}", text)


# Rows, to and from.


def keys(wanted: Collection[Key]) -> tuple[list[Key], Texts, Texts]:
    """The keys, each once, and as arguments."""
    once = list(dict.fromkeys(wanted))
    return once, Texts([kind for kind, _ in once]), Texts([ident for _, ident in once])


def rows(wanted: Sequence[Key], found: Iterable[Any]) -> dict[Key, Row]:
    """The rows of an answer, by key."""
    answer: dict[Key, Row] = {}
    for number, version, doc, head, at in found:
        place: int = number - 1
        key = wanted[place]
        answer[key] = Row(key, version, doc, head, at)
    return answer


def entries(found: Iterable[Any]) -> list[Entry]:
    """The events of an answer."""
    return [Entry((kind, ident), *rest) for kind, ident, *rest in found]


def unbroken(found: Sequence[tuple[Any, ...]], after: int, *, settled: int = 0) -> int:
    """How many rows of the feed may be told: up to the first number that is missing and may still come.

    Numbers up to `settled` come no more if they are missing.
    """
    for count, row in enumerate(found):
        position: int = row[-1]
        if position > max(after, settled) + 1:
            return count
        after = position
    return len(found)


def answers(kind: str, found: Iterable[Any]) -> list[Found]:
    """The answers to a query."""
    return [
        Found((value, ident), Row((kind, ident), version, doc, head, at))
        for value, ident, version, doc, head, at in found
    ]


def saved(writes: Sequence[Write]) -> Values:
    """A batch, as the arguments of `save`."""
    made = [write.row for write in writes if not write.expected]
    changed = [(write.row, write.expected) for write in writes if write.expected]
    told = [entry for write in writes for entry in write.entries]
    lost = [(*write.row.key, *item) for write in writes for item in write.unindex.items()]
    gained = [(*write.row.key, *item) for write in writes for item in write.index.items()]
    personal = {value.ref: value for write in writes for value in write.personal}.values()
    return [
        Texts([row.key[0] for row in made]),
        Texts([row.key[1] for row in made]),
        Numbers([row.version for row in made]),
        Blobs([row.doc for row in made]),
        Texts([row.head for row in made]),
        Texts([row.at for row in made]),
        Texts([row.key[0] for row, _ in changed]),
        Texts([row.key[1] for row, _ in changed]),
        Numbers([expected for _, expected in changed]),
        Numbers([row.version for row, _ in changed]),
        Blobs([row.doc for row, _ in changed]),
        Texts([row.head for row, _ in changed]),
        Texts([row.at for row, _ in changed]),
        Texts([entry.key[0] for entry in told]),
        Texts([entry.key[1] for entry in told]),
        Numbers([entry.version for entry in told]),
        Blobs([entry.doc for entry in told]),
        Texts([entry.hash for entry in told]),
        Texts([entry.at for entry in told]),
        Texts([entry.actor for entry in told]),
        Texts([entry.cause for entry in told]),
        Texts([entry.command_id for entry in told]),
        *_index(lost),
        *_index(gained),
        Texts([value.ref for value in personal]),
        Texts([value.subject for value in personal]),
        Blobs([value.doc for value in personal]),
    ]


def _index(places: Sequence[tuple[str, str, str, str]]) -> tuple[Texts, Texts, Texts, Texts]:
    return (
        Texts([kind for kind, _, _, _ in places]),
        Texts([name for _, _, name, _ in places]),
        Texts([value for _, _, _, value in places]),
        Texts([ident for _, ident, _, _ in places]),
    )


def stale(writes: Sequence[Write], versions: Mapping[Key, int]) -> tuple[Key, ...]:
    """The rows that are not at the version they are written on."""
    return tuple([write.row.key for write in writes if versions.get(write.row.key, 0) != write.expected])
