"""Giving money back: never more than is owed, exactly once, and a failure is told."""

from __future__ import annotations

from typing import Any

import pytest

from ordermgmt import (
    AlreadyExists,
    CancelOrder,
    CancelUnits,
    Discrepancy,
    GrantCredit,
    ManualClock,
    Money,
    News,
    NotFound,
    NothingOwed,
    Order,
    OrderManagement,
    OverDue,
    PaidElsewhere,
    Payment,
    RecordRefund,
    RecordRefundFailed,
    RecordRefundSent,
    RecordRefundSucceeded,
    Refund,
    RequestRefund,
    WrongCurrency,
)
from ordermgmt.testing import FakePayments
from tests.stories import arrived, card_pays, eur, line, paid_for, place, snapshot


def by_hand(amount: Money | None = None, **more: Any) -> RequestRefund:
    fields: dict[str, Any] = {"order_id": "A", "payment_id": "A:1", "amount": amount or eur("30.00")} | more
    return RequestRefund(**fields)


def refund(shop: OrderManagement, refund_id: str = "A:r1") -> Refund:
    return shop.get(Refund, refund_id)


def a_failed_refund(shop: OrderManagement, card: FakePayments) -> None:
    """Three mugs, paid and cancelled, and the provider will not give the 30.00 back."""
    paid_for(shop, "A", pay=card_pays(sale=True))
    card.decline_next("SendRefund")
    shop.handle(CancelOrder(order_id="A"))
    shop.settle("A")


# How one comes to be.


def test_what_is_paid_too_much_is_given_back_by_itself(shop: OrderManagement, card: FakePayments):
    paid_for(shop, "A", pay=card_pays(sale=True))

    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    assert (refund(shop).status, refund(shop).amount) == ("approved", eur("10.00"))
    order = shop.settle("A")

    assert (refund(shop).status, order.paid, card.accounts["A:1"].refunded) == ("succeeded", eur("20.00"), 1000)


def test_several_refunds_add_up(shop: OrderManagement):
    # Medusa M7: 25 + 25 with enough paid: both exist, 50 in all.
    arrived(shop, "A", line("mug", 1, "106.00"))

    for _ in range(2):
        shop.handle(GrantCredit(order_id="A", amount=eur("25.00")))
        shop.settle("A")

    assert [one.amount for one in shop.find(Refund)] == [eur("25.00"), eur("25.00")]
    assert shop.get(Payment, "A:1").amounts.refunded == 5000


def test_a_refund_in_flight_counts(shop: OrderManagement):
    arrived(shop, "A")
    shop.handle(GrantCredit(order_id="A", amount=eur("5.00")))

    with pytest.raises(NothingOwed) as no:
        shop.handle(by_hand(eur("0.01")))

    assert no.value.owed == eur("0.00")


# Refusals.


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        pytest.param(by_hand(eur("75.01")), NothingOwed, id="M9"),
        pytest.param(by_hand(eur("9999.99")), NothingOwed, id="W26"),
        pytest.param(by_hand(Money("1.00", "USD")), WrongCurrency, id="currency"),
        pytest.param(by_hand(payment_id="B:1"), NotFound, id="another-orders-payment"),
        pytest.param(by_hand(payment_id="nobody"), NotFound, id="no-payment"),
        pytest.param(by_hand(order_id="nobody"), NotFound, id="no-order"),
        pytest.param(by_hand(refund_id="A:r1"), AlreadyExists, id="id-given-before"),
    ],
)
def test_no_more_is_given_back_than_is_owed(
    shop: OrderManagement, card: FakePayments, command: RequestRefund, refusal: type[Exception]
):
    a_failed_refund(shop, card)
    place(shop, "B", pay=card_pays(sale=True))
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(command)

    assert snapshot(shop) == before


def test_a_refusal_says_how_much_can_be_given_back(shop: OrderManagement, card: FakePayments):
    # Vendure W26: refund 999999: an error with the maximum.
    a_failed_refund(shop, card)

    with pytest.raises(NothingOwed) as no:
        shop.handle(by_hand(eur("9999.99")))

    assert no.value.owed == eur("30.00")


@pytest.mark.parametrize(
    ("amount", "refusal"), [(eur("30.01"), OverDue), (Money("1.00", "USD"), ValueError)], ids=["too-much", "currency"]
)
def test_no_more_is_credited_than_is_due(shop: OrderManagement, amount: Money, refusal: type[Exception]):
    arrived(shop, "A")
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(GrantCredit(order_id="A", amount=amount))

    assert snapshot(shop) == before


# When it does not work.


def test_a_refund_the_provider_declines_is_told(shop: OrderManagement, card: FakePayments):
    a_failed_refund(shop, card)

    assert refund(shop).status == "failed"
    assert shop.get(Order, "A").payment_status == "overpaid"
    reasons = [one.reason for one in shop.find(Discrepancy, status="open")]
    assert "the refund of 30.00 EUR failed (declined); request another" in reasons


def test_a_failed_refund_is_not_tried_again_by_itself(shop: OrderManagement, card: FakePayments, clock: ManualClock):
    a_failed_refund(shop, card)
    asked = len(card.requests)

    clock.advance(days=1)
    shop.settle("A")

    assert len(card.requests) == asked


def test_a_failed_refund_frees_its_budget_for_another(shop: OrderManagement, card: FakePayments):
    # Vendure W24: a refund fails and is tried again: the full amount is available.
    a_failed_refund(shop, card)

    again = shop.handle(by_hand())
    order = shop.settle("A")

    assert (refund(shop, again.refund_id).status, order.payment_status) == ("succeeded", "refunded")


def test_a_lost_answer_does_not_give_the_money_back_twice(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    paid_for(shop, "A", pay=card_pays(sale=True))
    card.lose_next("SendRefund")
    shop.handle(CancelOrder(order_id="A"))
    shop.settle("A")

    clock.advance(minutes=1)
    shop.settle("A")

    assert (card.accounts["A:1"].refunded, refund(shop).status) == (3000, "succeeded")


def test_a_refund_the_provider_takes_its_time_for_is_pending(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    paid_for(shop, "A", pay=card_pays(sale=True))
    card.answer_later_next("SendRefund")
    shop.handle(CancelOrder(order_id="A"))
    shop.settle("A")
    assert refund(shop).status == "pending"

    clock.advance(minutes=5)
    shop.settle("A")

    assert refund(shop).status == "succeeded"


# The provider's word, by whatever way it comes.


SENT, SUCCEEDED, FAILED = (
    news(refund_id="A:r1", order_id="A") for news in (RecordRefundSent, RecordRefundSucceeded, RecordRefundFailed)
)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([SENT], "pending"),
        ([SENT, SENT], "pending"),
        ([SUCCEEDED], "succeeded"),
        ([SUCCEEDED, SUCCEEDED], "succeeded"),
        ([FAILED], "failed"),
        ([SUCCEEDED, FAILED], "failed"),
        ([FAILED, SUCCEEDED], "succeeded"),
        ([SUCCEEDED, SENT], "succeeded"),
    ],
)
def test_the_providers_last_word_wins(shop: OrderManagement, told: list[News[Refund]], status: str):
    paid_for(shop, "A", pay=card_pays(sale=True))
    shop.handle(CancelOrder(order_id="A"))

    for news in told:
        shop.handle(news)

    assert refund(shop).status == status


def test_what_was_paid_elsewhere_is_given_back_there_and_told(shop: OrderManagement, card: FakePayments):
    place(shop, "A", pay=PaidElsewhere(method="cash", amount=eur("30.00")))
    shop.handle(CancelOrder(order_id="A"))
    assert shop.settle("A").money.refund_pending == 3000
    assert card.requests == []

    shop.handle(RecordRefund(payment_id="A:1", order_id="A", transaction_id="till 9", amount=eur("30.00"), ask=1))

    assert shop.get(Order, "A").payment_status == "refunded"


def test_giving_back_elsewhere_answers_what_we_asked_without_naming_it(shop: OrderManagement, card: FakePayments):
    place(shop, "A", pay=PaidElsewhere(method="cash", amount=eur("30.00")))
    shop.handle(CancelOrder(order_id="A"))

    shop.handle(RecordRefund(payment_id="A:1", order_id="A", transaction_id="till 9", amount=eur("30.00")))

    assert not shop.get(Order, "A").money.pending
