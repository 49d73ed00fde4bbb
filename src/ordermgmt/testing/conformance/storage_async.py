"""What every awaited store promises: all of `StorageContract`, and what no cancelled task may leave behind.

    class TestMyStorage(AsyncStorageContract):
        @pytest.fixture
        def storage(self):
            with Blocking(MyAsyncStorage(...)) as storage:
                yield storage

The contract is told with blocking calls, from several threads; `Blocking` makes them on one event loop, where the store
lives as it would in a host.  A durable store also says how it is opened again:

        def reopen(self, storage):
            storage.close()
            return storage.beside(MyAsyncStorage(...))
"""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from ordermgmt.engine.transaction import AsyncStorage, AsyncTransaction, Entry, Found, Key, Query, Row, Write
from ordermgmt.errors import Conflict

from .asking import Loop
from .storage import StorageContract, save, written

T = TypeVar("T")
KEY = ("order", "A-1")


class BlockingTransaction:
    """A transaction of an awaited store, with blocking calls."""

    def __init__(self, loop: Loop, awaited: Any) -> None:
        self._loop = loop
        self._awaited = awaited

    def __enter__(self) -> Self:
        self._open: AsyncTransaction = self._loop.wait_for(self._awaited.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.wait_for(self._awaited.__aexit__(kind, error, trace))

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return self._loop.wait_for(self._open.load(keys, skip_locked=skip_locked))

    def commit(self, writes: Sequence[Write]) -> None:
        self._loop.wait_for(self._open.commit(writes))


class Blocking:
    """An awaited store with blocking calls, any number of threads of which meet on one event loop.

    `close` closes the store; leaving the `with` block ends the loop as well.
    """

    def __init__(self, awaited: AsyncStorage, *, loop: Loop | None = None) -> None:
        assert isinstance(awaited, AsyncStorage), f"{type(awaited).__name__} lacks a part of the port AsyncStorage"
        self.awaited = awaited
        self.volatile = awaited.volatile
        self.exclusive = awaited.exclusive
        self.loop = loop or Loop()
        """Where it is awaited; ``storage.loop.wait_for(…)`` does there what else there is, such as opening a pool."""

    def beside(self, awaited: AsyncStorage) -> Blocking:
        """Another store on the same loop."""
        return Blocking(awaited, loop=self.loop)

    def transaction(self) -> BlockingTransaction:
        return BlockingTransaction(self.loop, self.awaited.transaction())

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return self._wait(self.awaited.read(keys))

    def find(self, query: Query) -> Sequence[Found]:
        return self._wait(self.awaited.find(query))

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return self._wait(self.awaited.history(key, after=after, limit=limit))

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return self._wait(self.awaited.feed(after=after, limit=limit))

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        return self._wait(self.awaited.personal(refs))

    def erase(self, subject: str) -> int:
        return self._wait(self.awaited.erase(subject))

    def statuses(self, kind: str) -> Mapping[str, int]:
        return self._wait(self.awaited.statuses(kind))

    def close(self) -> None:
        self._wait(self.awaited.close())

    def _wait(self, answer: Awaitable[T]) -> T:
        return self.loop.wait_for(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self.loop.close()


async def increment_async(storage: AsyncStorage, key: Key) -> None:
    """Add one event to an entity, deciding again as often as somebody else was faster."""
    while True:
        try:
            async with storage.transaction() as transaction:
                row = (await transaction.load([key])).get(key)
                await transaction.commit([written(key[1], row.version if row else 0, kind=key[0])])
        except Conflict:
            continue
        return


class AsyncStorageContract(StorageContract, declares=True):
    """The promises of an `AsyncStorage`; a store that passes is one `AsyncOrderManagement` can run on."""

    patience = 20.0
    """Seconds after which a task is held to wait for ever for what a cancelled one has left locked."""

    # Hosts cancel tasks: a customer goes away, a time-out passes.

    def test_no_increment_is_lost_between_eight_tasks(self, storage: Blocking) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(increment_async(storage.awaited, KEY) for _ in range(40)))

        storage.loop.wait_for(all_of_them())
        assert [entry.version for entry in storage.history(KEY)] == list(range(1, 41))

    def test_a_task_that_is_cancelled_while_it_waits_leaves_nothing_locked(self, storage: Blocking) -> None:
        save(storage, written("A-1"))

        async def story() -> None:
            async with storage.awaited.transaction() as holder:
                await holder.load([KEY])
                waiting = asyncio.create_task(increment_async(storage.awaited, KEY))
                await asyncio.sleep(0.05)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await holder.commit([written("A-1", 1)])
            await asyncio.wait_for(increment_async(storage.awaited, KEY), timeout=self.patience)

        storage.loop.wait_for(story())
        assert [entry.version for entry in storage.history(KEY)] == [1, 2, 3]

    @pytest.mark.parametrize("seed", range(4))
    def test_a_task_that_is_cancelled_at_any_moment_has_saved_all_or_nothing(
        self, storage: Blocking, seed: int
    ) -> None:
        chance = random.Random(seed)
        keys = [("order", "A-1"), ("order", "A-2")]

        async def both() -> None:
            async with storage.awaited.transaction() as transaction:
                rows = await transaction.load(keys)
                await transaction.commit([written(id, row.version) for (_, id), row in rows.items()])

        async def story() -> None:
            for round in range(25):
                task = asyncio.create_task(both())
                # Some after so many turns of the loop, some after so long: a store waits for both.
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                await asyncio.sleep(chance.choice([0, chance.random() * 0.004]))
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() or task.exception() is None
                versions = {row.version for row in (await storage.awaited.read(keys)).values()}
                assert len(versions) == 1, f"half a commit in round {round}"
                await asyncio.wait_for(both(), timeout=self.patience)

        save(storage, written("A-1"), written("A-2"))
        storage.loop.wait_for(story())
        assert [len(storage.history(key)) for key in keys] == [storage.read([key])[key].version for key in keys]

    def test_more_tasks_are_cancelled_than_a_store_has_connections(self, storage: Blocking) -> None:
        save(storage, written("A-1"))

        async def story() -> None:
            async with storage.awaited.transaction() as holder:
                await holder.load([KEY])
                waiting = [asyncio.create_task(increment_async(storage.awaited, KEY)) for _ in range(30)]
                await asyncio.sleep(0.05)
                for task in waiting:
                    task.cancel()
                await asyncio.wait(waiting)
            await asyncio.wait_for(
                asyncio.gather(*(increment_async(storage.awaited, KEY) for _ in range(5))), self.patience
            )

        storage.loop.wait_for(story())
        assert storage.read([KEY])[KEY].version == 6
