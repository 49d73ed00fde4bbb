"""What other systems assert about what is charged, refunded and owed, told by orders with their taxes.

C: Saleor's charge status; M: Medusa's payments; V: Vendure's refunds.  Where a law of ours makes another number, the
row says so beside it.
"""

from __future__ import annotations

from typing import Any

import pytest

from ordermgmt import (
    AmendOrder,
    Amounts,
    CancelOrder,
    CancelUnits,
    CapturePayment,
    GrantCredit,
    NothingOwed,
    Order,
    OrderManagement,
    OverAuthorised,
    Payment,
    ReceiveStock,
    Refund,
    RequestRefund,
    Surcharge,
    Tax,
)
from ordermgmt.orders.amendment import Amendment, LineChange
from ordermgmt.orders.statuses import payment_status
from tests.stories import card_pays, eur, laws_hold, line, paid_for, place, sent

VAT = [Tax("VAT", 23)]
SHIPPING = Surcharge("shipping", eur("10.00"), taxes=VAT)
LINES = (line("cup", 3, "10.00", taxes=VAT), line("hat", 2, "20.00", taxes=VAT))
"""Saleor's order F: 3 × 12.30 and 2 × 24.60 and shipping 12.30 with tax; preset saleor."""


def saleor_order(shop: OrderManagement, **more: Any) -> Order:
    terms: dict[str, Any] = {"prices": "exclusive", "rounding": "saleor", "shipping": SHIPPING} | more
    return paid_for(shop, "F", *LINES, **terms)


# Part A, 2: charge status of an order of 98.40.


def test_the_order_of_these_rows_costs_what_theirs_does(shop: OrderManagement):
    order = saleor_order(shop)
    assert [one.minor for one in order.lines.values()] == [3690, 4920]
    assert (order.total, order.lines["1"].parts.net if order.lines["1"].parts else 0) == (eur("98.40"), 3000)


@pytest.mark.parametrize(
    ("row", "granted", "charged", "theirs", "ours"),
    [
        ("C1", 1040, 0, "NONE", "unpaid"),
        ("C2", 9840, 0, "FULL", "not_due"),
        ("C4", 0, 1100, "PARTIAL", "partly_paid"),
        ("C6", 8840, 1000, "FULL", "paid"),
        ("C7", 0, 9840, "FULL", "paid"),
        ("C9", 1000, 9840, "OVERCHARGED", "overpaid"),
    ],
)
def test_what_was_granted_is_not_owed(row: str, granted: int, charged: int, theirs: str, ours: str) -> None:
    assert payment_status(9840 - granted, Amounts(authorised=charged, captured=charged)) == ours


def test_c9_what_was_charged_too_much_is_given_back_at_once(shop: OrderManagement):
    # Theirs stays overcharged until somebody acts; our money follows what is owed.
    saleor_order(shop, pay=card_pays(sale=True))
    assert shop.handle(GrantCredit(order_id="F", amount=eur("10.00"))).payment_status == "overpaid"
    order = shop.settle("F")
    assert (order.payment_status, order.paid, order.explain().total) == ("partly_refunded", eur("88.40"), eur("88.40"))


# Part A, 7: what is covered.


@pytest.mark.parametrize(
    ("row", "amounts", "covered"),
    [
        ("V31", Amounts(authorised=1000, captured=1000, refunded=300), 700),
        ("V32", Amounts(), 0),
    ],
)
def test_what_is_paid_is_what_was_captured_and_not_given_back(row: str, amounts: Amounts, covered: int) -> None:
    assert amounts.paid == covered


# Part A, 9: Medusa's order of 106, and its edits.

STD = [Tax("VAT", 6)]


def medusa_order(shop: OrderManagement, **more: Any) -> Order:
    terms: dict[str, Any] = {"prices": "exclusive", "rounding": "medusa"} | more
    return paid_for(shop, "M", line("shirt", 1, "100.00", taxes=STD), **terms)


def test_m4_a_payment_of_which_all_is_captured_is_complete(shop: OrderManagement):
    medusa_order(shop)
    shop.handle(CapturePayment(payment_id="M:1", amount=eur("106.00")))
    order = shop.settle("M")
    assert (order.payment_status, order.paid) == ("paid", eur("106.00"))


def test_m6_a_capture_in_full_is_not_done_twice(shop: OrderManagement):
    # Theirs answers the first one again; ours refuses the second, naming what can be captured.
    medusa_order(shop)
    shop.handle(CapturePayment(payment_id="M:1", amount=eur("106.00")))
    with pytest.raises(OverAuthorised):
        shop.handle(CapturePayment(payment_id="M:1", amount=eur("106.00")))
    shop.settle("M")
    assert shop.get(Payment, "M:1").amounts.captured == 10600


def test_m7_two_refunds_stand_beside_each_other(shop: OrderManagement):
    medusa_order(shop, pay=card_pays(sale=True))
    for _ in range(2):
        shop.handle(GrantCredit(order_id="M", amount=eur("25.00")))
        shop.settle("M")
    refunds = shop.find(Refund, order="M")
    assert ([one.amount for one in refunds], shop.get(Order, "M").money.refunded) == ([eur("25.00")] * 2, 5000)


def test_m9_no_more_is_refunded_than_is_owed(shop: OrderManagement):
    medusa_order(shop, pay=card_pays(sale=True))
    with pytest.raises(NothingOwed):
        shop.handle(RequestRefund(order_id="M", payment_id="M:1", amount=eur("1000.00")))


@pytest.mark.parametrize(("row", "captured"), [("M11", "106.00"), ("M12", "50.00")])
def test_a_cancelled_order_gives_back_what_was_captured(shop: OrderManagement, row: str, captured: str):
    medusa_order(shop)
    shop.handle(CapturePayment(payment_id="M:1", amount=eur(captured)))
    shop.settle("M")
    shop.handle(CancelOrder(order_id="M"))
    order = shop.settle("M")
    assert (order.money.refunded, order.due, order.paid) == (eur(captured).minor, eur("0.00"), eur("0.00"))
    assert order.money.open == 0


def test_m21_and_m22_an_edit_is_priced_with_its_tax(shop: OrderManagement):
    place(shop, "E", line("a", 2, "25.00"), prices="exclusive", rounding="medusa", shipping=eur("10.00"))
    shop.settle("E")
    for sku, n in (("a", 1), ("b", 2)):
        shop.handle(ReceiveStock(sku=sku, quantity=n))
    two_more = line("b", 2, "12.00", taxes=[Tax("VAT", 10)])
    edits = [
        (Amendment(add=[two_more]), "86.40"),
        (Amendment(lines=[LineChange(line_id="1", quantity=3)]), "111.40"),
        (Amendment(lines=[LineChange(line_id="1", unit_price=eur("30.00"))]), "126.40"),
        (Amendment(lines=[LineChange(line_id="1", quantity=0)]), "36.40"),
    ]
    for amendment, total in edits:
        shop.handle(AmendOrder(order_id="E", amendment=amendment))
        order = shop.settle("E")
        assert (order.due, order.explain().total) == (eur(total), eur(total))
    laws_hold(shop)


# Part A, 3: Saleor's refunds, by the shares that were frozen.


@pytest.mark.parametrize(("row", "units", "back"), [("F1", {"1": 2, "2": 2}, "73.80"), ("F2", None, "98.40")])
def test_units_given_back_give_back_their_price_with_tax(
    shop: OrderManagement, row: str, units: dict[str, int] | None, back: str
):
    # F2 gives shipping back too: ours falls away with the last unit, so there all units are cancelled.
    saleor_order(shop, pay=card_pays(sale=True))
    shop.handle(CancelOrder(order_id="F") if units is None else CancelUnits(order_id="F", units=units))
    assert shop.settle("F").money.refunded == eur(back).minor


def test_an_order_that_was_sent_is_charged_with_its_tax(shop: OrderManagement):
    order = sent(shop, "F", *LINES, prices="exclusive", rounding="saleor", shipping=SHIPPING)
    assert (order.paid, order.payment_status) == (eur("98.40"), "paid")
