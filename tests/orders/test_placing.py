"""Placing an order: goods are set aside and money is asked for, or nothing happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
import pytest

from ordermgmt import (
    Address,
    AlreadyExists,
    ConfirmOrder,
    CurrencyMismatch,
    ExpireOrder,
    InvalidInput,
    Item,
    Line,
    ListedItems,
    ManualClock,
    Money,
    NotAllowed,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PaidElsewhere,
    Payment,
    PaymentMismatch,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    RejectOrder,
    Reminder,
    Reservation,
    Shipment,
    Stock,
    Tender,
    UnitPrice,
    UnknownSku,
)
from ordermgmt.orders.messages import OrderPlaced
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from tests.stories import ANN, card_pays, eur, laws_hold, line, on_the_shelf, paid_for, place, snapshot, units

# What placing does.


def test_placing_sets_the_goods_aside(shop: OrderManagement):
    place(shop, "A")

    assert units(shop, "A") == {"reserved": 3}
    assert on_the_shelf(shop) == (3, 3, 0)
    assert shop.get(Reservation, "A").status == "committed"


def test_placing_asks_for_the_money_without_calling_anybody(shop: OrderManagement, card: FakePayments):
    order = place(shop, "A")

    assert (order.status, order.payment_status) == ("placed", "pending")
    assert card.requests == []


def test_the_amounts_of_a_line_are_frozen(shop: OrderManagement):
    order = place(
        shop, "A", line("screw", 1000, "0.02"), Line(sku="gram", quantity=333, unit_price=UnitPrice("0.0035", "EUR"))
    )

    assert [one.minor for one in order.lines.values()] == [2000, 117]  # 333 × 0.0035 = 1.1655, half up
    assert order.total == eur("21.17")


def test_lines_are_numbered_where_the_host_has_no_names_for_them(shop: OrderManagement):
    order = place(shop, "A", line("mug", 1), line("mug", 1, line_id="gift"), line("pen", 1))

    assert list(order.lines) == ["1", "gift", "3"]


def test_one_sku_may_stand_on_several_lines(shop: OrderManagement):
    place(shop, "A", line("mug", 2), line("mug", 3, "5.00"))

    assert on_the_shelf(shop) == (5, 5, 0)


def test_an_order_without_an_id_is_given_one(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=1))

    order = shop.handle(PlaceOrder(lines=[line("mug", 1)], pay=OnAccount()))

    assert shop.get(Order, order.order_id) == order


def test_what_the_host_says_about_an_order_is_kept(shop: OrderManagement):
    said: dict[str, Any] = {"channel": "web", "customer": "ann-7", "reference": "PO 7", "carrier": "parcel"}
    order = place(shop, "A", **said)

    assert (order.channel, order.customer, order.reference, order.ship_by) == ("web", "ann-7", "PO 7", "parcel")
    assert shop.find(Order, channel="web", customer="ann-7", reference="PO 7").items == (order,)


def test_an_order_entered_later_keeps_the_day_the_customer_ordered(shop: OrderManagement, clock: ManualClock):
    order = place(shop, "A", placed_at=pendulum.datetime(2025, 12, 1))

    assert order.placed_at == pendulum.datetime(2025, 12, 1)
    assert shop.history(Order, "A")[0].at == clock.now()


def test_the_history_says_who_placed_it_and_by_what(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 1)], pay=OnAccount()), by="ann")

    first = shop.history(Order, "A")[0]

    assert isinstance(first.event, OrderPlaced)
    assert (first.by, first.cause, first.event.status) == ("ann", "PlaceOrder", "placed")


# How it is paid.


def test_tenders_share_the_total_and_the_last_pays_the_rest(shop: OrderManagement):
    gift = Tender("card", token="tok_gift", amount=eur("12.50"))
    place(shop, "A", pay=PayNow([gift, Tender("card", token="tok_visa")]))

    assert [shop.get(Payment, f"A:{n}").minor for n in (1, 2)] == [1250, 1750]


def test_an_order_on_several_tenders_is_confirmed_when_all_are_authorised(shop: OrderManagement, card: FakePayments):
    card.answer_later_next("Authorise")
    gift = Tender("card", token="tok_gift", amount=eur("12.50"))
    place(shop, "A", pay=PayNow([gift, Tender("card", token="tok_visa")]))

    order = shop.settle("A")

    assert (order.status, order.payment_status) == ("placed", "partly_authorised")


def test_an_authorised_order_is_confirmed(shop: OrderManagement):
    order = paid_for(shop, "A")

    assert (order.status, order.payment_status, order.shipments) == ("confirmed", "authorised", ("A:s1",))


def test_a_sale_is_paid_before_anything_leaves(shop: OrderManagement):
    order = paid_for(shop, "A", pay=card_pays(sale=True))

    assert (order.status, order.payment_status, order.paid) == ("confirmed", "paid", eur("30.00"))


@pytest.mark.parametrize(
    ("pay", "payment_status"),
    [(OnAccount(days=30), "unpaid"), (PaidElsewhere(method="cash", amount=eur("30.00")), "paid")],
)
def test_what_is_not_asked_of_a_gateway_is_confirmed_at_once(shop: OrderManagement, pay: Any, payment_status: str):
    order = place(shop, "A", pay=pay)

    assert (order.status, order.payment_status) == ("confirmed", payment_status)


def test_an_order_that_costs_nothing_asks_for_no_payment(shop: OrderManagement, card: FakePayments):
    order = place(shop, "A", line("mug", 1, "0.00"))
    shop.settle("A")

    assert order.status == "confirmed"
    assert card.requests == []


def test_a_declined_payment_leaves_the_order_placed_and_its_goods_set_aside(shop: OrderManagement):
    order = paid_for(shop, "A", pay=card_pays("tok_decline_1"))

    assert (order.status, order.payment_status) == ("placed", "unpaid")
    assert on_the_shelf(shop) == (3, 3, 0)


# When it is confirmed.


@pytest.mark.parametrize(
    ("confirm", "placed", "settled"),
    [
        ("at_once", "confirmed", "confirmed"),
        ("when_authorised", "placed", "confirmed"),
        ("by_hand", "placed", "placed"),
    ],
)
def test_an_order_is_confirmed_by_policy(shop: OrderManagement, confirm: str, placed: str, settled: str):
    assert place(shop, "A", confirm=confirm).status == placed
    assert shop.settle("A").status == settled


def test_a_person_confirms_by_hand(shop: OrderManagement):
    paid_for(shop, "A", confirm="by_hand")

    assert shop.handle(ConfirmOrder(order_id="A")).status == "confirmed"
    assert shop.get(Shipment, "A:s1").status == "planned"


def test_an_order_is_confirmed_once(shop: OrderManagement):
    paid_for(shop, "A")

    with pytest.raises(NotAllowed) as no:
        shop.handle(ConfirmOrder(order_id="A"))

    assert (no.value.status, no.value.trigger, no.value.allowed) == ("confirmed", "confirm", ("cancel", "close"))


def test_a_rejected_order_lets_go_of_goods_and_money(shop: OrderManagement):
    paid_for(shop, "A", confirm="by_hand")

    shop.handle(RejectOrder(order_id="A", reason="fraud"))
    order = shop.settle("A")

    assert (order.status, order.payment_status, on_the_shelf(shop)) == ("rejected", "not_due", (3, 0, 0))
    assert shop.get(Payment, "A:1").status == "voided"


# Expiry.


def test_an_order_nobody_paid_for_expires_in_its_time(shop: OrderManagement, clock: ManualClock, card: FakePayments):
    card.put_off_next("Authorise")
    place(shop, "A", pay_within=timedelta(hours=2))
    shop.settle("A")
    clock.advance(hours=1, minutes=59)
    assert shop.get(Order, "A").status == "placed"

    clock.advance(minutes=1)
    card.put_off_next("Authorise")
    order = shop.settle("A")

    assert (order.status, on_the_shelf(shop)) == ("expired", (3, 0, 0))


def test_an_order_that_was_paid_in_time_does_not_expire(shop: OrderManagement, clock: ManualClock):
    paid_for(shop, "A", pay_within=timedelta(hours=2))
    clock.advance(hours=3)

    assert shop.settle("A").status == "confirmed"
    assert shop.get(Reminder, "expire.A").status == "withdrawn"


def test_asking_a_confirmed_order_to_expire_does_nothing(shop: OrderManagement):
    paid_for(shop, "A")
    before = snapshot(shop)

    shop.handle(ExpireOrder(order_id="A"))

    assert snapshot(shop) == before


# What needs no goods.


def a_shop_with_items(card: FakePayments, clock: ManualClock) -> OrderManagement:
    items = ListedItems({"mug": Item(), "song": Item(kind="digital"), "postage": Item(kind="service")})
    return OrderManagement(storage=MemoryStorage(), gateways={"card": card}, clock=clock, items=items)


def test_what_needs_no_goods_is_delivered_when_the_order_is_confirmed(card: FakePayments, clock: ManualClock):
    shop = a_shop_with_items(card, clock)
    order = place(shop, "A", line("song", 2), stock=False)
    assert order.lines["1"].units == {"open": 2}

    order = shop.settle("A")

    assert (order.status, order.fulfilment_status, order.payment_status) == ("confirmed", "delivered", "paid")
    assert order.complete
    laws_hold(shop)


def test_goods_and_services_stand_in_one_order(card: FakePayments, clock: ManualClock):
    shop = a_shop_with_items(card, clock)
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    place(shop, "A", line("mug", 1), line("postage", 1, "4.90"), stock=False)

    order = shop.settle("A")

    assert [one.units for one in order.lines.values()] == [{"reserved": 1}, {"delivered": 1}]
    assert shop.get(Shipment, "A:s1").of("A", "2") == 0
    laws_hold(shop)


# Refusals: nothing happens.


def an_order_of(*lines: Line, order_id: str = "A", **more: Any) -> PlaceOrder:
    terms: dict[str, Any] = {"pay": card_pays()} | more
    return PlaceOrder(order_id=order_id, lines=lines, **terms)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (an_order_of(line("mug", 6)), OutOfStock),
        (an_order_of(line("mug", 3), line("mug", 3)), OutOfStock),
        (an_order_of(line("ghost", 1)), OutOfStock),
        (an_order_of(line("mug", 1), location="elsewhere"), OutOfStock),
        (an_order_of(line("mug", 1), order_id="taken"), AlreadyExists),
        (an_order_of(line("mug", 1), pay=PayNow([Tender("bank", token="t")])), NotFound),
        (an_order_of(line("mug", 1), pay=PayNow([Tender("card", token="t", amount=eur("9.99"))])), PaymentMismatch),
        (an_order_of(line("mug", 1), pay=PayNow([Tender("card", token="t", amount=eur("10.01"))])), PaymentMismatch),
        (
            an_order_of(
                line("mug", 1),
                pay=PayNow([Tender("card", token="t", amount=eur("10.00")), Tender("card", token="t")]),
            ),
            PaymentMismatch,
        ),
        (an_order_of(line("mug", 1), pay=PaidElsewhere(method="cash", amount=eur("10.01"))), PaymentMismatch),
        (
            an_order_of(line("mug", 1), pay=PaidElsewhere(method="cash", amount=Money("10.00", "USD"))),
            (PaymentMismatch, CurrencyMismatch),
        ),
        (
            an_order_of(line("mug", 1), pay=PayNow([Tender("card", token="t", amount=Money("10.00", "USD"))])),
            CurrencyMismatch,
        ),
        (an_order_of(line("mug", 1), placed_at=pendulum.datetime(2026, 1, 2)), InvalidInput),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused_as_a_whole(shop: OrderManagement, command: PlaceOrder, refusal: Any):
    place(shop, "taken")
    shop.handle(ReceiveStock(sku="mug", quantity=5))
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(command)

    assert snapshot(shop) == before


def test_a_tender_in_another_currency_is_named(shop: OrderManagement):
    dollars = Tender("card", token="t", amount=Money("5.00", "USD"))
    pay = PayNow([dollars, Tender("card", token="t")])

    with pytest.raises(CurrencyMismatch, match="the order is in EUR, a tender of pay in USD"):
        shop.handle(an_order_of(line("mug", 1), pay=pay))


def test_every_shortage_of_an_order_is_told_at_once(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=5))

    with pytest.raises(OutOfStock) as no:
        shop.handle(an_order_of(line("mug", 4), line("pen", 2), line("mug", 2)))

    assert [(one.sku, one.wanted, one.available) for one in no.value.shortages] == [("mug", 6, 5), ("pen", 2, 0)]


def test_a_catalogue_that_does_not_list_a_sku_refuses_it(card: FakePayments, clock: ManualClock):
    with pytest.raises(UnknownSku) as no:
        a_shop_with_items(card, clock).handle(an_order_of(line("mug", 1), line("ghost", 1), line("wraith", 1)))

    assert no.value.skus == ("ghost", "wraith")


@pytest.mark.parametrize("number", ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004"])
def test_a_card_number_is_never_accepted(number: str):
    with pytest.raises(InvalidInput, match="card number"):
        Tender("card", token=number)


def test_the_same_stock_is_promised_once(shop: OrderManagement):
    # Vendure W14: three saleable, three ordered, one more is refused.
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    shop.handle(an_order_of(line("mug", 3)))

    with pytest.raises(OutOfStock):
        shop.handle(an_order_of(line("mug", 1), order_id="B"))

    assert shop.get(Stock, ("mug", "main")).available == 0


def test_where_a_parcel_goes_is_kept_beside_the_order(shop: OrderManagement):
    order = place(shop, "A", ship_to=ANN)

    assert shop.reveal(order.ship_to, Address) == ANN


def test_what_costs_nothing_is_not_paid_for(shop: OrderManagement):
    with pytest.raises(PaymentMismatch, match=r"costs 0\.00 EUR"):
        place(shop, "A", line("mug", 1, "0.00"), pay=PayNow([Tender("card", token="tok_visa", amount=eur("1.00"))]))
