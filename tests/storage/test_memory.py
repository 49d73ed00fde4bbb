"""MemoryStorage keeps the promises of a store."""

from datetime import timedelta

import pytest

from ordermgmt.errors import Misconfigured, StorageBusy
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing.conformance.storage import StorageContract, save, together, written


class TestMemoryStorage(StorageContract):
    def make(self) -> MemoryStorage:
        return MemoryStorage()


def test_whoever_waits_too_long_for_the_store_is_told_that_it_is_busy():
    storage = MemoryStorage(busy_timeout=timedelta(milliseconds=10))
    with storage.transaction() as transaction:
        with pytest.raises(StorageBusy):
            together(1, lambda _: save(storage, written("A-1")))
        transaction.commit([written("A-1")])
    save(storage, written("A-1", 1))


@pytest.mark.parametrize("wrong", [30, 0.5, None, timedelta(0), timedelta(-1), timedelta.max], ids=str)
def test_a_time_out_is_a_span_that_is_neither_for_ever_nor_never(tmp_path, wrong):
    for store in (MemoryStorage, lambda **settings: SqliteStorage(tmp_path / "shop.db", **settings)):
        with pytest.raises(Misconfigured, match=r"busy_timeout=.*such as timedelta\(seconds=30\)"):
            store(busy_timeout=wrong)
    assert not (tmp_path / "shop.db").exists()
