"""How often a command asks the store for rows: every load is a round trip on a store with a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from ordermgmt import (
    CancelShipment,
    Command,
    Content,
    HandOverShipment,
    Item,
    Line,
    ListedItems,
    ManualClock,
    Money,
    OnAccount,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    PlanShipment,
    ReceiveStock,
    RecordDelivery,
    Tender,
)
from ordermgmt.engine.transaction import Found, Key, Query, Row
from ordermgmt.storage import MemoryStorage
from ordermgmt.storage.memory import MemoryTransaction
from ordermgmt.testing import FakePayments


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Collection[Key]]:
    """Every load there was, as its keys."""
    seen: list[Collection[Key]] = []
    load = MemoryTransaction.load

    def counted(self: Any, keys: Collection[Key], **options: Any) -> Mapping[Key, Row]:
        seen.append(keys)
        return load(self, keys, **options)

    monkeypatch.setattr(MemoryTransaction, "load", counted)
    return seen


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every question to the store, within a transaction or not, as the kind it is about first."""
    seen: list[str] = []
    find, read = MemoryStorage.find, MemoryStorage.read

    def found(self: Any, query: Query) -> Sequence[Found]:
        seen.append(query.kind)
        return find(self, query)

    def looked(self: Any, keys: Collection[Key]) -> Mapping[Key, Row]:
        seen.append(next(iter(keys))[0])
        return read(self, keys)

    monkeypatch.setattr(MemoryStorage, "find", found)
    monkeypatch.setattr(MemoryStorage, "read", looked)
    return seen


def shop() -> OrderManagement:
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, clock=ManualClock())
    shop.handle(ReceiveStock(sku="mug", quantity=10))
    return shop


def order(order_id: str) -> PlaceOrder:
    lines = [Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))]
    return PlaceOrder(order_id=order_id, lines=lines, pay=PayNow([Tender("card", token="tok_visa")]))


@pytest.mark.parametrize(
    ("command", "times"),
    [
        pytest.param(order("B"), 1, id="placing"),
        # Which stock it issues is known from the order alone.
        pytest.param(HandOverShipment(shipment_id="A:s1"), 2, id="handing over"),
    ],
)
def test_rows_are_loaded_as_few_times_as_can_be(
    loads: list[Collection[Key]], command: Command[Any], times: int
) -> None:
    one = shop()
    one.handle(order("A"))
    one.settle("A")
    loads.clear()
    one.handle(command)
    assert len(loads) == times, loads


def test_an_authorisation_that_confirms_an_order_is_recorded_with_one_load(loads: list[Collection[Key]]) -> None:
    one = shop()
    one.handle(order("A"))
    loads.clear()
    assert one.settle("A").status == "confirmed"
    assert len(loads) == 2, "one to claim, one to settle"


def test_an_order_is_settled_with_seven_questions_to_the_store(questions: list[str]) -> None:
    one = shop()
    one.handle(order("A"))
    questions.clear()
    one.settle("A")
    due, claim, settlement, outcome = ["later", "effect"], ["effect", "sending", "effect"], ["shipment"], ["order"]
    # It is not asked again what is due: all of it was done, and nothing came of it.
    assert questions == [*due, *claim, *settlement, *outcome]


def test_what_a_settlement_makes_due_is_done_with_it() -> None:
    items = ListedItems({"song": Item(kind="digital")})
    one = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, clock=ManualClock(), items=items)
    lines = [Line(sku="song", quantity=1, unit_price=Money("1.00", "EUR"))]
    one.handle(PlaceOrder(order_id="A", lines=lines, pay=PayNow([Tender("card", token="tok_visa")])))
    assert one.settle("A").payment_status == "paid", "authorised, and then captured"


def test_a_delivery_is_recorded_with_one_load(loads: list[Collection[Key]]) -> None:
    one = shop()
    one.handle(order("A"))
    one.settle("A")
    one.handle(HandOverShipment(shipment_id="A:s1"))
    loads.clear()
    one.handle(RecordDelivery(shipment_id="A:s1"))
    assert len(loads) == 1, loads


def test_a_parcel_whose_id_only_looks_like_one_of_the_flow_is_handed_over_all_the_same() -> None:
    one = shop()
    one.handle(order("A"))
    one.handle(PlaceOrder(order_id="B", lines=order("B").lines, pay=OnAccount(days=30)))
    one.settle("A")
    one.handle(CancelShipment(shipment_id="B:s1"))
    one.handle(PlanShipment(shipment_id="A:s9", contents=[Content("B", "1", 2)]))
    one.handle(HandOverShipment(shipment_id="A:s9"))
    assert one.get(Order, "B").fulfilment_status == "shipped"
    assert one.get(Order, "A").fulfilment_status == "unfulfilled"
