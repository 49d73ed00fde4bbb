"""A store that forgets: everything in memory, the reference for what a store promises."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import chain, islice

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Write
from ordermgmt.errors import Conflict, StorageBusy, StorageFailed
from ordermgmt.storage.checks import check_query, check_texts, check_writes
from ordermgmt.storage.moving import Batch, IndexValue

__all__ = ["MemoryStorage"]


class MemoryStorage:
    """Keeps everything until the process ends; for tests, trials and examples.

    One transaction at a time: whoever opens a second one waits, at most `busy_timeout` seconds, then gets
    `StorageBusy`.  Reading never waits for an open transaction, and never sees half of a commit.
    """

    volatile = True
    exclusive = True

    def __init__(self, *, busy_timeout: float = 30.0) -> None:
        self._busy_timeout = busy_timeout
        self._turn = threading.Lock()  # held by the open transaction
        self._rows_lock = threading.Lock()  # held while rows are looked at or changed; always briefly
        self._closed = False
        self._rows: dict[Key, Row] = {}
        self._history: dict[Key, list[Entry]] = {}
        self._feed: list[Entry] = []
        self._personal: dict[str, PersonalValue] = {}
        # All sorted, by code point as Python compares text, so that a page is found by bisection.
        self._ids: dict[str, list[str]] = {}
        self._values: dict[tuple[str, str], list[str]] = {}
        self._indexed: dict[tuple[str, str, str], list[str]] = {}
        # kind, name and id → value: the way back.
        self._value: dict[tuple[str, str, str], str] = {}

    @contextmanager
    def transaction(self) -> Generator[MemoryTransaction, None, None]:
        """Open the one transaction; leaving the block without `commit` undoes it, which is to say: does nothing."""
        self._check_open()
        if not self._turn.acquire(timeout=self._busy_timeout):
            raise StorageBusy(f"the store was locked by another transaction for {self._busy_timeout} s; try again")
        transaction = MemoryTransaction(self.read, self._save)
        try:
            yield transaction
        finally:
            transaction.over = True
            self._turn.release()

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        check_texts(chain.from_iterable(keys))
        with self._rows_lock:
            self._check_open()
            return {key: self._rows[key] for key in keys if key in self._rows}

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
            values = self._values.get((kind, "status"), [])
            return {value: len(self._indexed[kind, "status", value]) for value in values}

    # To be moved as a whole; see `moving.Movable`.

    def kinds(self) -> Sequence[str]:
        with self._rows_lock:
            self._check_open()
            return sorted(kind for kind, ids in self._ids.items() if ids)

    def indexed(self, *, after: IndexValue | None = None, limit: int = 1000) -> Sequence[IndexValue]:
        with self._rows_lock:
            self._check_open()
            names = sorted(self._values)
            first = 0 if after is None else bisect_left(names, after[:2])
            page = (
                (kind, name, value, ident)
                for kind, name in names[first:]
                for value in self._values[kind, name]
                if after is None or (kind, name, value) >= after[:3]
                for ident in self._indexed[kind, name, value]
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
                self._history.setdefault(entry.key, []).append(entry)
                self._feed.append(entry)
            for row in batch.rows:
                self._put(Write(row, 0, (), {}, {}))
            for kind, name, value, ident in batch.index:
                self._index(kind, name, value, ident)
            self._personal.update((value.ref, value) for value in batch.personal)

    def dismiss(self, key: Key) -> None:
        with self._rows_lock:
            self._check_open()
            if self._rows.pop(key, None) is not None:
                self._ids[key[0]].remove(key[1])

    def close(self) -> None:
        self._closed = True

    def _save(self, writes: Sequence[Write]) -> None:
        check_writes(writes)
        with self._rows_lock:
            self._check_open()
            versions = {write.row.key: self._version(write.row.key) for write in writes}
            stale = tuple(write.row.key for write in writes if versions[write.row.key] != write.expected)
            if stale:
                raise Conflict(stale)
            # After this point it must succeed.
            for write in writes:
                self._put(write)

    def _put(self, write: Write) -> None:
        key = write.row.key
        kind = key[0]
        if key not in self._rows:
            insort(self._ids.setdefault(kind, []), key[1])
        self._rows[key] = write.row
        if write.entries:
            position = self._feed[-1].position if self._feed else 0
            placed = [Entry(*entry[:-1], position=position + n) for n, entry in enumerate(write.entries, 1)]
            self._history.setdefault(key, []).extend(placed)
            self._feed.extend(placed)
        for name, value in write.unindex.items():
            self._unindex(kind, name, value, key[1])
        for name, value in write.index.items():
            self._index(kind, name, value, key[1])
        self._personal.update((value.ref, value) for value in write.personal)

    def _index(self, kind: str, name: str, value: str, ident: str) -> None:
        ids = self._indexed.setdefault((kind, name, value), [])
        if not ids:
            insort(self._values.setdefault((kind, name), []), value)
        if not _contains(ids, ident):
            insort(ids, ident)
        self._value[kind, name, ident] = value

    def _unindex(self, kind: str, name: str, value: str, ident: str) -> None:
        ids = self._indexed.get((kind, name, value), [])
        if not _contains(ids, ident):
            return
        del ids[bisect_left(ids, ident)]
        self._value.pop((kind, name, ident), None)
        if not ids:
            del self._indexed[kind, name, value]
            values = self._values[kind, name]
            del values[bisect_left(values, value)]

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
        for ident in self._matching(query, None):
            value = self._value.get((query.kind, name, ident))
            if value is not None and value <= highest and (query.after is None or (value, ident) > query.after):
                yield value, ident

    def _places_by_value(self, query: Query, name: str, highest: str) -> Iterator[tuple[str, str]]:
        values = self._values.get((query.kind, name), [])
        first = bisect_left(values, query.after[0]) if query.after else 0
        for place in range(first, bisect_right(values, highest)):
            value = values[place]
            after = query.after[1] if query.after and query.after[0] == value else None
            for ident in _above(self._indexed[query.kind, name, value], after):
                yield value, ident

    def _ids_with(self, query: Query, name: str) -> list[list[str]]:
        return [self._indexed.get((query.kind, name, value), []) for value in set(query.equal[name])]

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


def _above(ids: Sequence[str], after: str | None) -> Iterator[str]:
    """The ids behind this one, without a look at those before it."""
    first = 0 if after is None else bisect_right(ids, after)
    return (ids[place] for place in range(first, len(ids)))


def _contains(ids: Sequence[str], ident: str) -> bool:
    place = bisect_left(ids, ident)
    return place < len(ids) and ids[place] == ident
