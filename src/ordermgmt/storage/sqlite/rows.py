"""What a SQLite store reads and writes, whoever the connection belongs to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Write
from ordermgmt.errors import StorageFailed
from ordermgmt.storage.checks import check_query, check_texts, clamped
from ordermgmt.storage.moving import Batch, IndexValue
from ordermgmt.storage.sqlite import texts

T = TypeVar("T")
Values = Sequence[str | int | bytes]
Select = Callable[[str, Values], list[Any]]
"""Runs a statement and answers all its rows."""
Put = Callable[[str, Iterable[Values]], sqlite3.Cursor]
"""Runs a statement for each of many rows."""

KEYS_MAX = 500
"""How many keys one SELECT asks for."""


def read(select: Select, keys: Collection[Key]) -> dict[Key, Row]:
    """The rows under these keys."""
    check_texts(chain.from_iterable(keys))
    answer: dict[Key, Row] = {}
    for some in _batches(keys):
        found = select(texts.rows(len(some)), [text for key in some for text in key])
        for kind, ident, version, doc, head, at in found:
            key = kind, ident
            answer[key] = Row(key, version, doc, head, at)
    return answer


def find(select: Select, query: Query) -> list[Found]:
    """A page of what a query finds."""
    check_query(query)
    if not all(query.equal.values()):
        return []
    kind = query.kind
    return [
        Found((value, ident), Row((kind, ident), version, doc, head, at))
        for value, ident, version, doc, head, at in select(*texts.find(query))
    ]


def history(select: Select, key: Key, after: int, limit: int) -> list[Entry]:
    """A page of one entity's events."""
    check_texts(key)
    return _entries(select(texts.HISTORY, (*key, clamped(after), clamped(limit))))


def feed(select: Select, after: int, limit: int) -> list[Entry]:
    """A page of all events."""
    return _entries(select(texts.FEED, (clamped(after), clamped(limit))))


def personal(select: Select, refs: Collection[str]) -> Mapping[str, bytes]:
    """The values under these references."""
    check_texts(refs)
    answer: dict[str, bytes] = {}
    for some in _batches(refs):
        answer.update(select(texts.personal(len(some)), some))
    return answer


def statuses(select: Select, kind: str) -> Mapping[str, int]:
    """How many of a kind stand in each status."""
    check_texts((kind,))
    return dict(select(texts.STATUSES, (kind,)))


def save(put: Put, writes: Sequence[Write]) -> None:
    """Write it all, where every row is known to be at its expected version."""
    made: list[Values] = []
    changed: list[Values] = []
    events: list[Values] = []
    unindexed: list[Values] = []
    indexed: list[Values] = []
    personal: list[Values] = []
    for write in writes:
        row = write.row
        kind, ident = row.key
        if write.expected:
            changed.append((row.version, row.doc, row.head, row.at, kind, ident, write.expected))
        else:
            made.append((kind, ident, row.version, row.doc, row.head, row.at))
        events += [(kind, ident, e.version, e.doc, e.hash, e.at, e.actor, e.cause, e.command_id) for e in write.entries]
        unindexed += [(kind, name, value, ident) for name, value in write.unindex.items()]
        indexed += [(kind, name, value, ident) for name, value in write.index.items()]
        personal += [(p.ref, p.subject, p.doc) for p in write.personal]
    if made:
        put(texts.INSERT_ENTITY, made)
    if changed and put(texts.UPDATE_ENTITY, changed).rowcount != len(changed):
        raise StorageFailed("rows changed under the writer's lock; the file is not safe where it is")
    if events:
        put(texts.INSERT_HISTORY, events)
    if unindexed:
        put(texts.DELETE_INDEX, unindexed)
    if indexed:
        put(texts.INSERT_INDEX, indexed)
    if personal:
        put(texts.PUT_PERSONAL, personal)


def indexed(select: Select, after: IndexValue | None, limit: int) -> list[IndexValue]:
    """A page of all index values."""
    if after is None:
        return select(texts.INDEXED, (clamped(limit),))
    return select(texts.INDEXED_AFTER, (*after, clamped(limit)))


def persons(select: Select, after: str, limit: int) -> list[PersonalValue]:
    """A page of all personal values."""
    return [PersonalValue(*value) for value in select(texts.PERSONS, (after, clamped(limit)))]


def absorb(put: Put, batch: Batch) -> None:
    """Write a piece of another store."""
    put(texts.ABSORB_HISTORY, [(*e.key, *e[1:]) for e in batch.entries])
    put(texts.ABSORB_ENTITY, [(*row.key, *row[1:]) for row in batch.rows])
    put(texts.INSERT_INDEX, batch.index)
    put(texts.PUT_PERSONAL, batch.personal)


def _entries(found: list[Any]) -> list[Entry]:
    return [Entry((kind, ident), *rest) for kind, ident, *rest in found]


def _batches(things: Collection[T]) -> Iterator[Sequence[T]]:
    if len(things) <= KEYS_MAX:
        return iter([list(things)] if things else [])
    rest = iter(things)
    return iter(lambda: list(islice(rest, KEYS_MAX)), [])
