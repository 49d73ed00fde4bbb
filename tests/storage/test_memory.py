"""MemoryStorage keeps the promises of a store."""

import pytest

from ordermgmt.errors import StorageBusy
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing.conformance.storage import StorageContract, save, together, written


class TestMemoryStorage(StorageContract):
    def make(self) -> MemoryStorage:
        return MemoryStorage()


def test_whoever_waits_too_long_for_the_store_is_told_that_it_is_busy():
    storage = MemoryStorage(busy_timeout=0.01)
    with storage.transaction() as transaction:
        with pytest.raises(StorageBusy):
            together(1, lambda _: save(storage, written("A-1")))
        transaction.commit([written("A-1")])
    save(storage, written("A-1", 1))
