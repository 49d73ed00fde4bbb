"""One shop for every test that wants one: on memory and on SQLite, with a provider and a carrier to play with.

When the test is over, whatever it did, the books must be right: see `stories.laws_hold`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordermgmt import ManualClock, OrderManagement
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import laws_hold


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
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    store = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "shop.db")
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
