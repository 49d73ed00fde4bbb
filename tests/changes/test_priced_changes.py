"""What an amended order is made of: discounts that were promised stay, and every cent is still explained."""

from __future__ import annotations

import pytest

from ordermgmt import (
    Amendment,
    AmendOrder,
    CancelUnits,
    Discount,
    LineChange,
    Money,
    Order,
    OrderManagement,
    RevertAmendment,
    Surcharge,
    Tax,
)
from ordermgmt.verify import check_all
from tests.stories import eur, line, paid_for, place

VAT = (Tax("VAT", 20),)
TEN_PERCENT = Discount("spring", percent=10)


def amended(shop: OrderManagement, line_id: str = "1", **change: object) -> Order:
    shop.handle(AmendOrder(order_id="A", amendment=Amendment(lines=[LineChange(line_id=line_id, **change)])))  # type: ignore[arg-type]  # whatever a test says
    shop.settle("A")
    check_all(shop).require()
    return shop.get(Order, "A")


def told(order: Order) -> list[tuple[str, str, int]]:
    """What explains the order: kind, words, cents."""
    assert order.explain().total == order.due
    return [(one.kind, one.what, one.minor) for one in order.explain().entries]


def test_a_percentage_is_taken_of_the_new_price(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 3, "10.00", discounts=[TEN_PERCENT]))

    assert told(amended(shop, unit_price=eur("12.00"))) == [
        ("price", "3 × mug at 12.00 EUR", 3600),
        ("discount", "spring", -360),
    ]


def test_an_amount_off_stays_what_it_was(shop: OrderManagement):
    off = Discount("voucher", amount=eur("5.00"))
    paid_for(shop, "A", line("mug", 3, "10.00", discounts=[off]))

    assert told(amended(shop, unit_price=eur("8.00"))) == [
        ("price", "3 × mug at 8.00 EUR", 2400),
        ("discount", "voucher", -500),
    ]


def test_an_amount_off_takes_no_more_than_the_line_costs(shop: OrderManagement):
    off = Discount("voucher", amount=eur("5.00"))
    paid_for(shop, "A", line("mug", 1, "10.00", discounts=[off]), line("pen", 1, "3.00"))

    assert told(amended(shop, unit_price=eur("4.00")))[:2] == [
        ("price", "1 × mug at 4.00 EUR", 400),
        ("discount", "voucher", -400),
    ]


def test_the_order_s_own_percentage_stays_on_its_lines(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 1, "10.00"), line("pen", 1, "20.00"), adjustments=[TEN_PERCENT])

    assert amended(shop, "2", unit_price=eur("30.00")).due == eur("36.00")


def test_a_capped_percentage_stays_the_amount_it_was(shop: OrderManagement):
    capped = Discount("spring", percent=50, most=eur("4.00"))
    paid_for(shop, "A", line("mug", 2, "10.00", discounts=[capped]))

    assert amended(shop, unit_price=eur("20.00")).due == eur("36.00")


def test_of_units_that_were_let_go_an_amount_off_goes_with_them(shop: OrderManagement):
    off = Discount("voucher", amount=eur("6.00"))
    paid_for(shop, "A", line("mug", 3, "10.00", discounts=[off]))

    # Two of three stay, at 12.00 each, with two thirds of the voucher.
    assert amended(shop, quantity=2, unit_price=eur("12.00")).due == eur("20.00")


def test_units_that_are_added_are_not_discounted(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 2, "10.00", discounts=[TEN_PERCENT]))
    place(shop, "B", line("mug", 1))  # one more comes to the shelf with it, and is cancelled
    shop.handle(CancelUnits(order_id="B", units={"1": 1}))

    assert told(amended(shop, quantity=3)) == [
        ("price", "2 × mug at 10.00 EUR", 2000),
        ("discount", "spring", -200),
        ("price", "1 × mug at 10.00 EUR", 1000),
    ]


def test_a_repriced_line_explains_its_taxes(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 3, "10.00", taxes=VAT, discounts=[TEN_PERCENT]), prices="exclusive")

    assert told(amended(shop, unit_price=eur("20.00"))) == [
        ("price", "3 × mug at 20.00 EUR", 6000),
        ("discount", "spring", -600),
        ("tax", "VAT 20 %", 1080),
    ]


def test_a_line_that_was_repriced_after_some_were_let_go_explains_both_prices(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 3, "10.00", taxes=VAT))
    amended(shop, quantity=2)
    order = amended(shop, unit_price=eur("12.00"))

    assert [one for one in told(order) if one[0] != "tax"] == [
        ("price", "1 × mug at 10.00 EUR", 1000),
        ("price", "2 × mug at 12.00 EUR", 2400),
        ("cancelled", "1 cancelled", -1000),
    ]


def test_what_was_taken_back_is_explained_as_before(shop: OrderManagement):
    before = paid_for(shop, "A", line("mug", 3, "10.00", taxes=VAT, discounts=[TEN_PERCENT]))
    amended(shop, unit_price=eur("12.00"))
    after = shop.handle(RevertAmendment(order_id="A"))

    assert str(after.explain()) == str(before.explain())
    assert after.lines == before.lines


@pytest.mark.parametrize(("amount", "tax"), [("6.00", 100), ("0.07", 1)])
def test_a_charge_that_is_changed_keeps_its_taxes(shop: OrderManagement, amount: str, tax: int):
    shipping = Surcharge("shipping", eur("4.80"), taxes=VAT)
    paid_for(shop, "A", line("mug", 1, "10.00"), shipping=shipping)
    shop.handle(AmendOrder(order_id="A", amendment=Amendment(charges={"shipping": eur(amount)})))
    order = shop.settle("A")

    assert (order.due, told(order)[-1]) == (eur("10.00") + Money(amount, "EUR"), ("tax", "VAT 20 %", tax))
    check_all(shop).require()
