"""A store that forgets: everything in memory, the reference for what a store promises."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from heapq import merge
from itertools import chain, islice
from types import TracebackType
from typing import NamedTuple

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Write
from ordermgmt.errors import Conflict, StorageBusy, StorageFailed
from ordermgmt.storage.checks import check_query, check_texts, check_writes, seconds_of
from ordermgmt.storage.moving import Batch, IndexValue

__all__ = ["MemoryStorage"]


class MemoryStorage:
    """Keeps everything until the process ends; for tests, trials and examples.

    One transaction at a time: whoever opens a second one waits, at most `busy_timeout`, then gets `StorageBusy`.
     Reading never waits for an open transaction, and never sees half of a commit.
    """

    volatile = True
    exclusive = True

    def __init__(self, *, busy_timeout: timedelta = timedelta(seconds=30)) -> None:
        self._busy_seconds = seconds_of("busy_timeout", busy_timeout)
        self._turn = threading.Lock()  # held by the open transaction
        self._rows_lock = threading.Lock()  # held while rows are looked at or changed; always briefly
        self._closed = False
        self._rows: dict[Key, Row] = {}
        self._history = defaultdict[Key, list[Entry]](list)
        self._feed: list[Entry] = []
        self._personal: dict[str, PersonalValue] = {}
        self._ids = defaultdict[str, list[str]](list)  # sorted, as in an index
        self._indexes = defaultdict[tuple[str, str], _Index](lambda: _Index([], {}, {}))  # by kind and name

    def transaction(self) -> AbstractContextManager[MemoryTransaction]:
        """Open the one transaction; leaving the block without `commit` undoes it, which is to say: does nothing."""
        return _InTurn(self._take_turn, self._turn.release, MemoryTransaction(self.read, self._save))

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        check_texts(chain.from_iterable(keys))
        with self._rows_lock:
            self._check_open()
            rows = self._rows
            return {key: rows[key] for key in keys if key in rows}

    def find(self, query: Query) -> Sequence[Found]:
        check_query(query)
        with self._rows_lock:
            self._check_open()
            places: Iterator[tuple[str, str]]
            if not query.upto:
                places = (("", ident) for ident in self._matching(query, query.after and query.after[1]))
            elif not query.equal:
                places = self._places_by_value(query, *query.upto)
            else:
                places = iter(sorted(self._matching_upto(query, *query.upto)))
            return [Found(place, self._rows[query.kind, place[1]]) for place in islice(places, max(query.limit, 0))]

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        check_texts(key)
        with self._rows_lock:
            self._check_open()
            entries = self._history.get(key, [])
            first = bisect_right(entries, after, key=lambda entry: entry.version)
            return entries[first : first + max(limit, 0)]

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        with self._rows_lock:
            self._check_open()
            first = bisect_right(self._feed, after, key=lambda entry: entry.position)
            return self._feed[first : first + max(limit, 0)]

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        check_texts(refs)
        with self._rows_lock:
            self._check_open()
            return {ref: self._personal[ref].doc for ref in refs if ref in self._personal}

    def erase(self, subject: str) -> int:
        check_texts((subject,))
        with self._rows_lock:
            self._check_open()
            refs = [ref for ref, value in self._personal.items() if value.subject == subject]
            for ref in refs:
                del self._personal[ref]
            return len(refs)

    def statuses(self, kind: str) -> Mapping[str, int]:
        check_texts((kind,))
        with self._rows_lock:
            self._check_open()
            index = self._indexes.get((kind, "status"), _NOTHING)
            return {value: len(index.ids[value]) for value in index.values}

    # To be moved as a whole; see `moving.Movable`.

    def kinds(self) -> Sequence[str]:
        with self._rows_lock:
            self._check_open()
            return sorted(kind for kind, ids in self._ids.items() if ids)

    def indexed(self, *, after: IndexValue | None = None, limit: int = 1000) -> Sequence[IndexValue]:
        with self._rows_lock:
            self._check_open()
            names = sorted(self._indexes)
            first = 0 if after is None else bisect_left(names, after[:2])
            page = (
                (kind, name, value, ident)
                for kind, name in names[first:]
                for value in self._indexes[kind, name].values
                if after is None or (kind, name, value) >= after[:3]
                for ident in self._indexes[kind, name].ids[value]
                if after is None or (kind, name, value, ident) > after
            )
            return list(islice(page, max(limit, 0)))

    def persons(self, *, after: str = "", limit: int = 1000) -> Sequence[PersonalValue]:
        with self._rows_lock:
            self._check_open()
            refs = sorted(ref for ref in self._personal if ref > after)
            return [self._personal[ref] for ref in refs[: max(limit, 0)]]

    def absorb(self, batch: Batch) -> None:
        with self._rows_lock:
            self._check_open()
            for entry in batch.entries:
                self._history[entry.key].append(entry)
                self._feed.append(entry)
            for row in batch.rows:
                self._put(Write(row, 0, (), {}, {}))
            for kind, name, value, ident in batch.index:
                self._indexes[kind, name].add(value, ident)
            self._personal.update((value.ref, value) for value in batch.personal)

    def dismiss(self, key: Key) -> None:
        with self._rows_lock:
            self._check_open()
            if self._rows.pop(key, None) is not None:
                self._ids[key[0]].remove(key[1])

    def close(self) -> None:
        self._closed = True

    def _take_turn(self) -> None:
        self._check_open()
        if not self._turn.acquire(timeout=self._busy_seconds):
            raise StorageBusy(f"the store was locked by another transaction for {self._busy_seconds:g} s; try again")

    def _save(self, writes: Sequence[Write]) -> None:
        check_writes(writes)
        with self._rows_lock:
            self._check_open()
            stale = tuple([write.row.key for write in writes if self._version(write.row.key) != write.expected])
            if stale:
                raise Conflict(stale)
            # After this point it must succeed.
            for write in writes:
                self._put(write)

    def _put(self, write: Write) -> None:
        row = write.row
        key = kind, ident = row.key
        if key not in self._rows:
            insort(self._ids[kind], ident)
        self._rows[key] = row
        if write.entries:
            after = self._feed[-1].position + 1 if self._feed else 1
            placed = [Entry(*entry[:-1], position) for position, entry in enumerate(write.entries, after)]
            self._history[key] += placed
            self._feed += placed
        indexes = self._indexes
        for name, value in write.unindex.items():
            indexes[kind, name].discard(value, ident)
        for name, value in write.index.items():
            indexes[kind, name].add(value, ident)
        for personal in write.personal:
            self._personal[personal.ref] = personal

    def _matching(self, query: Query, after: str | None) -> Iterator[str]:
        """The ids behind this one whose entities have all the values asked for, in order."""
        if not query.equal:
            return _above(self._ids.get(query.kind, []), after)
        candidates = sorted(
            (self._ids_with(query, name) for name in query.equal), key=lambda lists: sum(map(len, lists))
        )
        fewest, *others = candidates
        found = merge(*(_above(ids, after) for ids in fewest)) if len(fewest) != 1 else _above(fewest[0], after)
        if not others:  # one name with one value, as most queries are
            return found
        return (ident for ident in found if all(any(_contains(ids, ident) for ids in lists) for lists in others))

    def _matching_upto(self, query: Query, name: str, highest: str) -> Iterator[tuple[str, str]]:
        value_of = self._indexes.get((query.kind, name), _NOTHING).value_of
        for ident in self._matching(query, None):
            value = value_of.get(ident)
            if value is not None and value <= highest and (query.after is None or (value, ident) > query.after):
                yield value, ident

    def _places_by_value(self, query: Query, name: str, highest: str) -> Iterator[tuple[str, str]]:
        index = self._indexes.get((query.kind, name), _NOTHING)
        values = index.values
        first = bisect_left(values, query.after[0]) if query.after else 0
        for place in range(first, bisect_right(values, highest)):
            value = values[place]
            after = query.after[1] if query.after and query.after[0] == value else None
            for ident in _above(index.ids[value], after):
                yield value, ident

    def _ids_with(self, query: Query, name: str) -> list[list[str]]:
        index = self._indexes.get((query.kind, name), _NOTHING)
        return [index.ids.get(value, []) for value in set(query.equal[name])]

    def _version(self, key: Key) -> int:
        row = self._rows.get(key)
        return row.version if row else 0

    def _check_open(self) -> None:
        if self._closed:
            raise StorageFailed("this store is closed; open a new one")


class MemoryTransaction:
    """The open transaction of a `MemoryStorage`; nobody else has one meanwhile."""

    def __init__(
        self, read: Callable[[Collection[Key]], Mapping[Key, Row]], save: Callable[[Sequence[Write]], None]
    ) -> None:
        self._read = read
        self._save = save
        self.over = False

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:  # noqa: ARG002
        self._check_open()
        return self._read(keys)

    def commit(self, writes: Sequence[Write]) -> None:
        self._check_open()
        self.over = True
        self._save(writes)

    def _check_open(self) -> None:
        if self.over:
            raise StorageFailed("this transaction is over; open a new one")


class _InTurn:
    """The block of a transaction: waits for its turn, and gives it back however it is left."""

    __slots__ = ("_give_back", "_take", "_transaction")

    def __init__(self, take: Callable[[], None], give_back: Callable[[], None], transaction: MemoryTransaction) -> None:
        self._take = take
        self._give_back = give_back
        self._transaction = transaction

    def __enter__(self) -> MemoryTransaction:
        self._take()
        return self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transaction.over = True
        self._give_back()


class _Index(NamedTuple):
    """A declared index of one kind of entity.

    Values and ids are sorted, by code point as Python compares text, so that a page is found by bisection.
    """

    values: list[str]
    ids: dict[str, list[str]]
    """Value → the ids that have it; never empty."""
    value_of: dict[str, str]
    """Id → value: the way back."""

    def add(self, value: str, ident: str) -> None:
        ids = self.ids.get(value)
        if ids is None:
            insort(self.values, value)
            self.ids[value] = [ident]
        else:
            place = bisect_left(ids, ident)
            if place == len(ids) or ids[place] != ident:
                ids.insert(place, ident)
        self.value_of[ident] = value

    def discard(self, value: str, ident: str) -> None:
        ids = self.ids.get(value, [])
        place = bisect_left(ids, ident)
        if place == len(ids) or ids[place] != ident:
            return
        self.value_of.pop(ident, None)
        if len(ids) > 1:
            del ids[place]
        else:
            del self.ids[value]
            del self.values[bisect_left(self.values, value)]


_NOTHING = _Index([], {}, {})
"""What is read where nothing was ever indexed."""


def _above(ids: Sequence[str], after: str | None) -> Iterator[str]:
    """The ids behind this one, without a look at those before it."""
    first = 0 if after is None else bisect_right(ids, after)
    return (ids[place] for place in range(first, len(ids)))


def _contains(ids: Sequence[str], ident: str) -> bool:
    place = bisect_left(ids, ident)
    return place < len(ids) and ids[place] == ident
