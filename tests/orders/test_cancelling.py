"""Cancelling: goods go back, money is voided or given back, and nothing is left behind, at every stage."""

from __future__ import annotations

import pytest

from ordermgmt import (
    AlreadyShipped,
    CancelOrder,
    CancelUnits,
    Discrepancy,
    HandOverShipment,
    Line,
    ManualClock,
    NotAllowed,
    NotEnoughUnits,
    OnAccount,
    Order,
    OrderManagement,
    OrderManagementError,
    PackShipment,
    Payment,
    PickShipment,
    PutAwayStock,
    ReceiveStock,
    RecordAuthorisation,
    Refund,
    Reservation,
    Shipment,
)
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import card_pays, eur, line, on_the_shelf, paid_for, place, sent, snapshot, units


def cancelled_at(shop: OrderManagement, stage: str) -> Order:
    """An order of three mugs, cancelled at this stage of its life."""
    place(shop, "A", pay=card_pays(sale=stage == "paid"))
    if stage != "placed":
        shop.settle("A")
    if stage in {"picked", "packed"}:
        shop.handle(PickShipment(shipment_id="A:s1"))
    if stage == "packed":
        shop.handle(PackShipment(shipment_id="A:s1"))
    shop.handle(CancelOrder(order_id="A", reason="changed my mind"))
    return shop.settle("A")


STAGES = ("placed", "authorised", "paid", "picked", "packed")


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_order_keeps_no_unit(shop: OrderManagement, stage: str):
    order = cancelled_at(shop, stage)

    assert (order.status, order.fulfilment_status) == ("cancelled", "nothing_to_fulfil")
    assert shop.get(Reservation, "A").status == "released"


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_order_keeps_no_money(shop: OrderManagement, card: FakePayments, stage: str):
    order = cancelled_at(shop, stage)

    assert order.payment_status in {"not_due", "refunded"}
    assert not order.money.pending
    assert all(account.open == 0 and account.kept == 0 for account in card.accounts.values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_parcel_of_a_cancelled_order_goes_nowhere(shop: OrderManagement, stage: str):
    cancelled_at(shop, stage)

    assert [parcel.status for parcel in shop.find(Shipment)] == ([] if stage == "placed" else ["cancelled"])


@pytest.mark.parametrize(
    ("stage", "shelf"),
    [
        ("placed", (3, 0, 0)),
        ("authorised", (3, 0, 0)),
        ("paid", (3, 0, 0)),
        ("picked", (3, 0, 3)),
        ("packed", (3, 0, 3)),
    ],
)
def test_goods_that_were_off_the_shelf_are_held_until_somebody_has_put_them_away(
    shop: OrderManagement, stage: str, shelf: tuple[int, int, int]
):
    cancelled_at(shop, stage)

    assert on_the_shelf(shop) == shelf


def test_goods_put_away_can_be_sold_again(shop: OrderManagement):
    cancelled_at(shop, "picked")

    assert shop.handle(PutAwayStock(sku="mug", quantity=3)).available == 3


def test_an_authorisation_that_was_never_sent_is_never_sent(shop: OrderManagement, card: FakePayments):
    cancelled_at(shop, "placed")

    assert card.requests == []
    assert shop.get(Payment, "A:1").status == "voided"


def test_an_authorisation_is_voided(shop: OrderManagement, card: FakePayments):
    cancelled_at(shop, "authorised")

    assert [type(request).__name__ for request in card.requests] == ["Authorise", "Void"]


@pytest.mark.parametrize(
    ("lines", "refunded"),
    [
        pytest.param((line("mug", 3),), "30.00", id="plain"),
        # Medusa cancels a captured payment of 106 and refunds 106.
        pytest.param((line("mug", 1, "106.00"),), "106.00", id="M11"),
    ],
)
def test_captured_money_is_given_back(shop: OrderManagement, lines: tuple[Line, ...], refunded: str):
    paid_for(shop, "A", *lines, pay=card_pays(sale=True))
    shop.handle(CancelOrder(order_id="A"))

    order = shop.settle("A")

    assert (order.payment_status, shop.find(Refund)[0].status) == ("refunded", "succeeded")
    assert shop.find(Refund)[0].amount == eur(refunded)
    assert order.paid == eur("0.00")


def test_a_late_authorisation_of_a_cancelled_order_is_recorded_and_voided(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    card.lose_next("Authorise")
    place(shop, "A")
    shop.settle("A")
    shop.handle(CancelOrder(order_id="A"))
    assert shop.get(Payment, "A:1").status == "pending"

    # The provider's webhook tells what its answer did not; the void waits until our own question is settled as well.
    shop.handle(
        RecordAuthorisation(payment_id="A:1", order_id="A", transaction_id="txn-A:1-1", amount=eur("30.00"), ask=1)
    )
    clock.advance(minutes=1)
    order = shop.settle("A")

    assert order.status == "cancelled"
    assert (shop.get(Payment, "A:1").status, card.accounts["A:1"].open) == ("voided", 0)
    assert shop.find(Discrepancy).items == ()


def test_the_answer_to_an_authorisation_in_flight_is_voided_when_it_comes(
    shop: OrderManagement, card: FakePayments, clock: ManualClock
):
    card.answer_later_next("Authorise")
    place(shop, "A")
    shop.settle("A")
    shop.handle(CancelOrder(order_id="A"))

    clock.advance(minutes=5)
    order = shop.settle("A")

    assert (order.status, shop.get(Payment, "A:1").status, card.accounts["A:1"].open) == ("cancelled", "voided", 0)


@pytest.mark.parametrize("stage", ["placed", "authorised"])
def test_an_order_is_cancelled_once(shop: OrderManagement, stage: str):
    cancelled_at(shop, stage)
    before = snapshot(shop)

    with pytest.raises(NotAllowed):
        shop.handle(CancelOrder(order_id="A"))

    assert snapshot(shop) == before


def test_an_order_of_which_units_have_left_cannot_be_cancelled_as_a_whole(shop: OrderManagement):
    sent(shop, "A")

    with pytest.raises(AlreadyShipped) as no:
        shop.handle(CancelOrder(order_id="A"))

    assert (no.value.shipped, no.value.cancellable) == (3, 0)


# By units.


@pytest.mark.parametrize(
    ("ordered", "cancelled", "left", "shelf"),
    [
        pytest.param(3, 1, {"reserved": 2, "cancelled": 1}, (3, 2, 0), id="W2"),
        pytest.param(3, 2, {"reserved": 1, "cancelled": 2}, (3, 1, 0), id="some"),
        pytest.param(3, 3, {"cancelled": 3}, (3, 0, 0), id="W17"),
    ],
)
def test_units_that_are_cancelled_are_released(
    shop: OrderManagement, ordered: int, cancelled: int, left: dict[str, int], shelf: tuple[int, int, int]
):
    paid_for(shop, "A", line("mug", ordered))

    shop.handle(CancelUnits(order_id="A", units={"1": cancelled}))

    assert units(shop, "A") == left
    assert on_the_shelf(shop) == shelf


def test_cancelling_the_last_unit_cancels_the_order(shop: OrderManagement):
    paid_for(shop, "A")

    shop.handle(CancelUnits(order_id="A", units={"1": 2}))
    assert shop.get(Order, "A").status == "confirmed"
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))

    assert (shop.get(Order, "A").status, shop.settle("A").payment_status) == ("cancelled", "not_due")


def test_what_is_cancelled_is_not_captured(shop: OrderManagement, card: FakePayments):
    paid_for(shop, "A")
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    shop.handle(HandOverShipment(shipment_id="A:s1"))

    order = shop.settle("A")

    assert (order.payment_status, order.paid, card.captured) == ("paid", eur("20.00"), 2000)
    assert card.accounts["A:1"].open == 0, "the rest is voided"


def test_what_was_paid_already_is_given_back_by_the_unit(shop: OrderManagement):
    paid_for(shop, "A", pay=card_pays(sale=True))

    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    order = shop.settle("A")

    assert (order.payment_status, order.paid) == ("partly_refunded", eur("20.00"))


def test_units_are_cancelled_on_several_lines_at_once(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 3), line("pen", 2))

    shop.handle(CancelUnits(order_id="A", units={"1": 1, "2": 2}))

    assert (units(shop, "A", "1"), units(shop, "A", "2")) == ({"reserved": 2, "cancelled": 1}, {"cancelled": 2})


def test_units_are_cancelled_where_they_stand_nearest_to_the_shelf(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    shop.handle(PickShipment(shipment_id="A:s1"))

    shop.handle(CancelUnits(order_id="A", units={"1": 1}))

    assert on_the_shelf(shop) == (3, 1, 1)
    assert shop.get(Shipment, "A:s1").of("A", "1") == 1


@pytest.mark.parametrize(
    ("units", "refusal"),
    [({"1": 4}, NotEnoughUnits), ({"9": 1}, OrderManagementError), ([("1", 2), ("1", 2)], NotEnoughUnits)],
)
def test_more_than_there_is_cannot_be_cancelled(
    shop: OrderManagement, units: dict[str, int], refusal: type[OrderManagementError]
):
    paid_for(shop, "A")
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(CancelUnits(order_id="A", units=units))

    assert snapshot(shop) == before


def test_the_rest_of_a_partly_shipped_order_can_be_cancelled(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 3), line("pen", 2))
    shop.handle(CancelUnits(order_id="A", units={"2": 1}))
    shop.handle(HandOverShipment(shipment_id="A:s1"))
    with pytest.raises(NotEnoughUnits):
        shop.handle(CancelUnits(order_id="A", units={"2": 1}))

    assert shop.settle("A").payment_status == "paid"


def test_cancelling_before_anything_is_reserved_releases_nothing(shop: OrderManagement):
    # Vendure W16 (#1557): ours reserves when it places, so there is no order without a reservation to cancel;
    # what was refused for want of stock has left nothing behind.
    shop.handle(ReceiveStock(sku="mug", quantity=2))
    with pytest.raises(OrderManagementError):
        place(shop, "A", stock=False)

    assert on_the_shelf(shop) == (2, 0, 0)
    with pytest.raises(OrderManagementError):
        shop.handle(CancelOrder(order_id="A"))


def test_a_label_of_a_cancelled_parcel_is_given_back(shop: OrderManagement, parcels: FakeCarrier):
    paid_for(shop, "A", carrier="parcel")
    shop.handle(PackShipment(shipment_id="A:s1"))
    shop.settle("A")
    (label,) = parcels.labels

    shop.handle(CancelOrder(order_id="A"))
    shop.settle("A")

    assert parcels.voided == [label]


def test_an_order_on_account_owes_nothing_once_it_is_cancelled(shop: OrderManagement):
    place(shop, "A", pay=OnAccount())

    shop.handle(CancelOrder(order_id="A"))

    assert shop.get(Order, "A").payment_status == "not_due"
