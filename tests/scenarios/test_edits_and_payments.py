"""What Medusa asserts about edits, parcels and payments that are late or fail, told by our orders (preset medusa)."""

from __future__ import annotations

import pytest

from ordermgmt import (
    Amendment,
    AmendOrder,
    BelowMoved,
    CancelOrder,
    CancelShipment,
    CapturePayment,
    Content,
    LineChange,
    ManualClock,
    Order,
    OrderManagement,
    OverPlanned,
    PayNow,
    PickShipment,
    PlaceOrder,
    PlanShipment,
    ReceiveStock,
    Reservation,
    Stock,
    Tax,
    Tender,
)
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from tests.stories import card_pays, eur, line, paid_for, place, snapshot


def test_m14_no_more_is_fulfilled_than_is_reserved(shop: OrderManagement):
    paid_for(shop, "A", line("shirt", 3))
    shop.handle(CancelShipment(shipment_id="A:s1"))
    before = snapshot(shop)

    with pytest.raises(OverPlanned) as no:
        shop.handle(PlanShipment(shipment_id="s", contents=[Content("A", "1", 5)]))
    assert (no.value.planned, no.value.reserved) == (5, 3)
    assert snapshot(shop) == before


def test_m24_an_edit_leaves_what_was_fulfilled(shop: OrderManagement):
    paid_for(shop, "A", line("shirt", 2))
    shop.handle(PickShipment(shipment_id="A:s1"))

    with pytest.raises(BelowMoved) as no:
        shop.handle(AmendOrder(order_id="A", amendment=Amendment(lines=[LineChange(line_id="1", quantity=1)])))
    assert (no.value.wanted, no.value.moved) == (1, 2)


def test_m32_an_edit_of_the_price_alone_changes_no_reservation(shop: OrderManagement):
    paid_for(shop, "A", line("shirt", 2))
    before = shop.get(Reservation, "A"), shop.get(Stock, ("shirt", "main"))
    shop.handle(AmendOrder(order_id="A", amendment=Amendment(lines=[LineChange(line_id="1", unit_price=eur("12.00"))])))

    assert (shop.get(Reservation, "A"), shop.get(Stock, ("shirt", "main"))) == before


def test_m34_a_cancelled_order_gives_back_the_part_that_was_captured(shop: OrderManagement):
    # Theirs keeps 1,222 as the order's total beside a credit line of 50.  Of ours nothing is owed once nothing is
    # wanted, so the 50 go back: charges and shares are frozen per unit, and fall away with it.
    pay = PayNow([Tender("card", token="tok_visa", amount=eur("50.00")), Tender("card", token="tok_decline")])
    taxed = line("shirt", 12, "100.00", taxes=[Tax("VAT", 6)])
    place(shop, "A", taxed, pay=pay, prices="exclusive", rounding="medusa")
    shop.settle("A")
    shop.handle(CapturePayment(payment_id="A:1", amount=eur("50.00")))
    assert shop.settle("A").total == eur("1272.00")
    shop.handle(CancelOrder(order_id="A"))
    order = shop.settle("A")

    assert (order.money.captured, order.money.refunded, order.due) == (5000, 5000, eur("0.00"))


def test_m36_an_order_waits_for_a_payment_that_is_pending(clock: ManualClock):
    shop = OrderManagement(
        storage=MemoryStorage(), gateways={"card": FakePayments.asynchronous(clock=clock)}, clock=clock
    )
    shop.handle(ReceiveStock(sku="shirt", quantity=1))
    command = PlaceOrder(order_id="A", lines=[line("shirt", 1)], pay=card_pays())
    shop.handle(command, command_id="checkout-1")
    order = shop.settle("A")

    assert (order.status, order.payment_status) == ("placed", "pending")
    assert shop.handle(command, command_id="checkout-1") == order
    assert len(shop.find(Order)) == 1
