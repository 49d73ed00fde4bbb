"""One shop for every test that wants one: on memory and on SQLite, with a provider and a carrier to play with.

When the test is over, whatever it did, the books must be right: see `stories.laws_hold`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordermgmt import ManualClock, OrderManagement
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.servers import own_postgres, postgres, postgres_schema, postgres_storage
from tests.stories import laws_hold

__all__ = ["own_postgres", "postgres", "postgres_schema", "postgres_storage"]  # fixtures for all tests

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of the test's own is made in it


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def card(clock: ManualClock) -> FakePayments:
    return FakePayments(clock=clock)


@pytest.fixture
def parcels(clock: ManualClock) -> FakeCarrier:
    return FakeCarrier(clock=clock)


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    # Whether a commit survives a crash is shown in tests/storage; here the file may lie in memory, where there is such
    # a place, because five syncs a commit are most of what these tests would otherwise take.
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        store = SqliteStorage(Path(folder) / "shop.db")
        yield store
        store.close()


@pytest.fixture
def shop(storage: Storage, card: FakePayments, parcels: FakeCarrier, clock: ManualClock) -> Iterator[OrderManagement]:
    shop = OrderManagement(
        storage=storage, actor="webshop", gateways={"card": card}, carriers={"parcel": parcels}, clock=clock
    )
    yield shop
    laws_hold(shop)
    assert card.asked_twice == []
    assert card.refusals == []
