"""Cancelling while the provider has not answered: it is awaited, and then what came of it is taken back."""

from __future__ import annotations

import pytest

from ordermgmt import (
    CancelOrder,
    CancelUnits,
    Discrepancy,
    HandOverShipment,
    HoldOrder,
    ManualClock,
    Order,
    OrderManagement,
    Refund,
)
from ordermgmt.testing import FakePayments
from tests.stories import card_pays, eur, line, paid_for, place


def in_flight(shop: OrderManagement, card: FakePayments, request: str, *, sale: bool = False) -> Order:
    """An order of which the provider has a request, and has not told what became of it."""
    card.answer_later_next(request)
    place(shop, "A", pay=card_pays(sale=sale))
    return shop.settle("A")


def told(shop: OrderManagement, clock: ManualClock) -> Order:
    """The provider has answered, and what follows is done."""
    for _ in range(3):
        clock.advance(minutes=10)
        shop.run_due()
    return shop.settle("A")


def test_nothing_is_asked_of_the_provider_while_a_sale_is_in_flight(shop: OrderManagement, card: FakePayments):
    in_flight(shop, card, "Authorise", sale=True)
    asked = len(card.requests)

    shop.handle(CancelOrder(order_id="A"))
    shop.settle("A")

    assert len(card.requests) == asked


def test_a_sale_in_flight_is_awaited_and_then_given_back(shop: OrderManagement, card: FakePayments, clock: ManualClock):
    in_flight(shop, card, "Authorise", sale=True)
    shop.handle(CancelOrder(order_id="A"))

    order = told(shop, clock)

    assert (order.status, order.payment_status) == ("cancelled", "refunded")
    assert card.accounts["A:1"].kept == 0
    assert [refund.amount for refund in shop.find(Refund)] == [eur("30.00")]


def test_of_a_sale_in_flight_only_the_shares_of_what_was_cancelled_are_given_back(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    in_flight(shop, card, "Authorise", sale=True)
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))

    order = told(shop, clock)

    assert (order.status, order.paid, card.accounts["A:1"].kept) == ("confirmed", eur("20.00"), 2000)


def test_a_capture_in_flight_is_awaited_before_the_rest_is_given_up(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    paid_for(shop, "A", line("mug", 3), line("pen", 2))
    card.answer_later_next("Capture")
    shop.handle(HandOverShipment(shipment_id="A:s1"))
    shop.settle("A")
    assert shop.get(Order, "A").money.capture_pending == 5000
    shop.handle(HoldOrder(order_id="A", reason="doubts"))  # what is asked already is not called back

    order = told(shop, clock)

    assert (order.payment_status, card.accounts["A:1"].kept) == ("paid", 5000)


@pytest.mark.parametrize("cancelled_first", [1, 2])
def test_cancelling_again_while_a_refund_is_in_flight_gives_back_the_rest_once(
    shop: OrderManagement, card: FakePayments, clock: ManualClock, cancelled_first: int
):
    paid_for(shop, "A", pay=card_pays(sale=True))
    card.answer_later_next("SendRefund")
    shop.handle(CancelUnits(order_id="A", units={"1": cancelled_first}))
    shop.settle("A")
    shop.handle(CancelOrder(order_id="A"))

    order = told(shop, clock)

    assert (order.paid, card.accounts["A:1"].kept) == (eur("0.00"), 0)
    assert sorted(refund.amount.minor for refund in shop.find(Refund)) == sorted([1000, 2000])
    assert shop.find(Discrepancy).items == ()
