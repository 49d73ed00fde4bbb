"""The contract of awaited stores is no database's own: the memory passes it, awaited, and a careless store does not."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ordermgmt.testing.conformance.storage_async import AsyncStorageContract, Blocking
from tests.test_async import YieldingStorage, YieldingTransaction


class TestAwaitedMemory(AsyncStorageContract):
    @pytest.fixture
    def storage(self):
        with Blocking(YieldingStorage()) as storage:
            yield storage


class Careless(YieldingStorage):
    """A store whose lock stays with a task that was cancelled."""

    @asynccontextmanager
    async def transaction(self):
        await self.turn.acquire()
        with self.inner.transaction() as inner:
            yield YieldingTransaction(inner)
            self.turn.release()


def test_a_store_that_forgets_cancelled_tasks_is_found_out():
    contract = AsyncStorageContract()
    contract.patience = 0.5
    with Blocking(Careless()) as storage, pytest.raises((TimeoutError, asyncio.TimeoutError)):
        contract.test_a_task_that_is_cancelled_at_any_moment_has_saved_all_or_nothing(storage, 0)


def test_what_is_no_awaited_store_is_said_to_lack_a_part_of_the_port():
    from ordermgmt.storage import MemoryStorage

    blocking: Any = MemoryStorage()
    with pytest.raises(AssertionError, match="MemoryStorage lacks a part of the port AsyncStorage"):
        Blocking(blocking)
