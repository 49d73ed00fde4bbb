"""The virtual lock before a store: who would block is parked instead, and two of its characters.

*exclusive*: one transaction at a time, as SQLite and memory have it.  *optimistic*: everybody reads at once, and a
commit finds out who was faster; then expected versions are the whole mechanism, and races show.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...engine.transaction import Key, Query, Row, Storage, Transaction, Write


class Turns:
    """A store with a lock that can be seen from outside."""

    def __init__(self, storage: Storage, *, exclusive: bool) -> None:
        self.storage = storage
        self.exclusive = exclusive
        self.taken = False

    @contextmanager
    def transaction(self) -> Generator[Transaction, None, None]:
        """A transaction of the store's own, or one that only its versions guard."""
        if not self.exclusive:
            yield _Optimistic(self.storage)
            return
        self.taken = True
        try:
            with self.storage.transaction() as transaction:
                yield transaction
        finally:
            self.taken = False

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return self.storage.read(keys)

    def find(self, query: Query) -> Sequence[Any]:
        return self.storage.find(query)

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        return self.storage.personal(refs)


class _Optimistic:
    """Takes no locks; its commit is a whole transaction of the store's own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return self._storage.read(keys)

    def commit(self, writes: Sequence[Write]) -> None:
        with self._storage.transaction() as transaction:
            transaction.commit(writes)
