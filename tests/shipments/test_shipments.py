"""Parcels: planned, packed, labelled, handed over, and where they are; units and money walk with them."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest

from ordermgmt import (
    Address,
    AlreadyExists,
    AskLabel,
    CancelOrder,
    CancelShipment,
    CancelUnits,
    Command,
    Content,
    Discrepancy,
    GrantCredit,
    HandOverShipment,
    InvalidInput,
    Label,
    LabelMissing,
    LabelNotNeeded,
    ManualClock,
    Move,
    MoveUnits,
    NotAllowed,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    OverPlanned,
    PackShipment,
    PickShipment,
    PlanShipment,
    PutAwayStock,
    RecordDelivery,
    RecordLabel,
    RecordNoTracking,
    RecordScan,
    RecordUndeliverable,
    Refund,
    Shipment,
)
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import ANN, arrived, eur, line, on_the_shelf, paid_for, place, sent, snapshot, units


def unplanned(shop: OrderManagement, order_id: str = "A", *lines: Any, **more: Any) -> Order:
    """Paid and confirmed, and its parcel taken back, so that a test plans its own."""
    paid_for(shop, order_id, *lines, **more)
    shop.handle(CancelShipment(shipment_id=f"{order_id}:s1"))
    return shop.get(Order, order_id)


def planned(shop: OrderManagement, shipment_id: str, *contents: tuple[str, str, int], **more: Any) -> Shipment:
    return shop.handle(
        PlanShipment(shipment_id=shipment_id, contents=[Content(*content) for content in contents], **more)
    )


def parcel(shop: OrderManagement, shipment_id: str = "A:s1") -> Shipment:
    return shop.get(Shipment, shipment_id)


# Planning.


def test_a_confirmed_order_is_planned_into_one_parcel(shop: OrderManagement):
    order = paid_for(shop, "A", line("mug", 3), line("pen", 2), ship_to=ANN, carrier="parcel")

    assert order.shipments == ("A:s1",)
    assert parcel(shop).contents == (Content("A", "1", 3), Content("A", "2", 2))
    assert (parcel(shop).status, parcel(shop).carrier) == ("planned", "parcel")
    assert shop.reveal(parcel(shop).ship_to, Address) == ANN


def test_a_parcel_is_found_by_its_order_and_its_number(shop: OrderManagement):
    sent(shop, "A", carrier="parcel")
    label = parcel(shop).label
    assert label is not None

    assert shop.find(Shipment, order="A", tracking_number=label.tracking_number).items == (parcel(shop),)


def test_a_parcel_may_go_elsewhere_than_its_order(shop: OrderManagement):
    unplanned(shop, ship_to=ANN)
    bob = Address(name="Bob", street="x", city="y", country="DE")

    shipment = planned(shop, "p", ("A", "1", 3), ship_to=bob)

    assert shop.reveal(shipment.ship_to, Address) == bob


@pytest.mark.parametrize(
    ("contents", "refusal"),
    [
        ([("A", "1", 4)], OverPlanned),
        ([("A", "9", 1)], NotFound),
        ([("nobody", "1", 1)], NotFound),
        ([("gone", "1", 1)], InvalidInput),
        ([("A", "1", 3), ("B", "1", 4)], OverPlanned),
    ],
)
def test_no_more_is_planned_than_is_reserved(
    shop: OrderManagement, contents: list[tuple[str, str, int]], refusal: type[Exception]
):
    for order_id in ("A", "B", "gone"):
        unplanned(shop, order_id)
    shop.handle(CancelOrder(order_id="gone"))
    before = snapshot(shop)

    with pytest.raises(refusal):
        planned(shop, "p", *contents)

    assert snapshot(shop) == before


def test_what_one_parcel_holds_another_cannot(shop: OrderManagement):
    # Saleor F14, Medusa M14: fulfil more than is left; an error, and nothing changes.
    unplanned(shop)
    planned(shop, "first", ("A", "1", 2))
    before = snapshot(shop)

    with pytest.raises(OverPlanned) as no:
        planned(shop, "second", ("A", "1", 2))

    assert (no.value.planned, no.value.reserved) == (4, 3)
    assert "CancelShipment" in str(no.value)
    assert snapshot(shop) == before


def test_an_order_is_confirmed_though_some_of_it_lies_in_a_parcel_already(shop: OrderManagement):
    place(shop, "A")
    planned(shop, "first", ("A", "1", 2))
    order = shop.settle("A")

    assert (order.status, order.shipments) == ("confirmed", ("first", "A:s2"))
    assert parcel(shop, "A:s2").contents == (Content("A", "1", 1),)


def test_an_order_that_lies_in_parcels_already_gets_no_other(shop: OrderManagement):
    place(shop, "A")
    planned(shop, "first", ("A", "1", 3))
    order = shop.settle("A")

    assert (order.status, order.shipments) == ("confirmed", ("first",))


def test_an_id_of_a_parcel_is_given_once(shop: OrderManagement):
    unplanned(shop)

    with pytest.raises(AlreadyExists):
        planned(shop, "A:s1", ("A", "1", 1))


def test_a_parcel_without_an_id_is_given_one(shop: OrderManagement):
    unplanned(shop)

    shipment = shop.handle(PlanShipment(contents=[Content("A", "1", 3)]))

    assert shop.get(Order, "A").shipments[-1] == shipment.shipment_id


# Through the house.


@pytest.mark.parametrize(
    ("steps", "status", "standing"),
    [
        ([PickShipment], "picked", {"picked": 3}),
        ([PackShipment], "packed", {"packed": 3}),
        ([PickShipment, PackShipment], "packed", {"packed": 3}),
        ([HandOverShipment], "shipped", {"shipped": 3}),
        ([PickShipment, HandOverShipment], "shipped", {"shipped": 3}),
        ([PackShipment, HandOverShipment], "shipped", {"shipped": 3}),
        ([PickShipment, PackShipment, HandOverShipment], "shipped", {"shipped": 3}),
        ([CancelShipment], "cancelled", {"reserved": 3}),
        ([PickShipment, CancelShipment], "cancelled", {"reserved": 3}),
        ([PackShipment, CancelShipment], "cancelled", {"reserved": 3}),
    ],
)
def test_units_walk_with_their_parcel_and_skipped_steps_are_walked_too(
    shop: OrderManagement, steps: list[Any], status: str, standing: dict[str, int]
):
    paid_for(shop, "A")

    for step in steps:
        shop.handle(step(shipment_id="A:s1"))

    assert (parcel(shop).status, units(shop, "A")) == (status, standing)


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ([PickShipment], PickShipment),
        ([PackShipment], PickShipment),
        ([PackShipment], PackShipment),
        ([HandOverShipment], PackShipment),
        ([HandOverShipment], HandOverShipment),
        ([HandOverShipment], CancelShipment),
        ([CancelShipment], PickShipment),
        ([CancelShipment], HandOverShipment),
        ([CancelShipment], CancelShipment),
    ],
)
def test_a_step_that_is_not_drawn_is_refused(shop: OrderManagement, steps: list[Any], refused: Any):
    paid_for(shop, "A")
    for step in steps:
        shop.handle(step(shipment_id="A:s1"))
    before = snapshot(shop)

    with pytest.raises(NotAllowed):
        shop.handle(refused(shipment_id="A:s1"))

    assert snapshot(shop) == before


def test_a_parcel_cannot_have_left_in_the_future(shop: OrderManagement):
    paid_for(shop, "A")

    with pytest.raises(InvalidInput):
        shop.handle(HandOverShipment(shipment_id="A:s1", occurred_at=pendulum.datetime(2026, 1, 2)))


def test_a_parcel_of_thousands_of_lines_leaves_as_a_whole(shop: OrderManagement):
    # Picked, packed and handed over at once: more moves than an order may have lines.
    paid_for(shop, "A", *[line("mug", 1, "0.01") for _ in range(3_400)])
    shop.handle(HandOverShipment(shipment_id="A:s1"))
    assert shop.get(Order, "A").totals == {"shipped": 3_400}


def test_a_parcel_of_several_orders_moves_and_earns_for_each(shop: OrderManagement, card: FakePayments):
    for order_id in ("A", "B"):
        unplanned(shop, order_id)
    planned(shop, "p", ("A", "1", 3), ("B", "1", 1))

    shop.handle(HandOverShipment(shipment_id="p"))
    for order_id in ("A", "B"):
        shop.settle(order_id)

    assert [shop.get(Order, id).fulfilment_status for id in ("A", "B")] == ["shipped", "partly_shipped"]
    assert [card.accounts[f"{id}:1"].captured for id in ("A", "B")] == [3000, 1000]


@pytest.mark.parametrize("first", [1, 2])
def test_two_parcels_capture_what_each_carries_and_shipping_with_the_first(
    shop: OrderManagement, card: FakePayments, first: int
):
    unplanned(shop, "A", line("mug", 3, "3.33"), shipping=eur("4.90"))
    planned(shop, "p1", ("A", "1", first))
    planned(shop, "p2", ("A", "1", 3 - first))

    shop.handle(HandOverShipment(shipment_id="p1"))
    assert shop.settle("A").paid == eur("4.90") + eur("3.33") * first
    shop.handle(HandOverShipment(shipment_id="p2"))

    assert (shop.settle("A").payment_status, card.captured) == ("paid", 490 + 999)


# Labels.


def packed(shop: OrderManagement) -> None:
    paid_for(shop, "A", carrier="parcel", ship_to=ANN)
    shop.handle(PackShipment(shipment_id="A:s1"))


def test_a_label_is_bought_when_the_parcel_is_packed(shop: OrderManagement, parcels: FakeCarrier):
    packed(shop)
    assert parcel(shop).label is None

    shop.settle("A")

    assert parcel(shop).label == Label(tracking_number="TRACK-000001", reference="label-TRACK-000001")
    assert len(parcels.requests) == 1


@pytest.mark.parametrize("is_packed", [False, True])
def test_nothing_is_handed_over_without_its_label(shop: OrderManagement, is_packed: bool):
    paid_for(shop, "A", carrier="parcel")
    if is_packed:
        shop.handle(PackShipment(shipment_id="A:s1"))
    before = snapshot(shop)

    with pytest.raises(LabelMissing) as no:
        shop.handle(HandOverShipment(shipment_id="A:s1"))

    assert (no.value.carrier, no.value.packed) == ("parcel", is_packed)
    assert ("PackShipment" in str(no.value)) is not is_packed  # due work alone would never bring the label
    assert snapshot(shop) == before


def test_a_label_the_carrier_would_not_sell_is_asked_for_again_by_hand(shop: OrderManagement, parcels: FakeCarrier):
    parcels.decline_next("BuyLabel")
    packed(shop)
    shop.settle("A")
    assert [one.reason for one in shop.find(Discrepancy)] == ["parcel sold no label (declined); ask anew with AskLabel"]

    shop.handle(AskLabel(shipment_id="A:s1"))
    shop.settle("A")

    assert parcel(shop).label is not None


@pytest.mark.parametrize("carrier", ["", "parcel"])
def test_no_label_is_asked_for_twice_or_for_nobody(shop: OrderManagement, carrier: str):
    paid_for(shop, "A", carrier=carrier)
    shop.handle(PackShipment(shipment_id="A:s1"))
    shop.settle("A")

    with pytest.raises(LabelNotNeeded):
        shop.handle(AskLabel(shipment_id="A:s1"))


def test_who_asks_for_a_label_before_the_parcel_is_packed_is_told_to_pack_it(shop: OrderManagement):
    paid_for(shop, "A", carrier="parcel")

    with pytest.raises(LabelNotNeeded, match="is not packed; packing it"):
        shop.handle(AskLabel(shipment_id="A:s1"))


@pytest.mark.parametrize("how", [CancelShipment(shipment_id="A:s1"), CancelOrder(order_id="A")])
def test_a_label_nobody_needs_is_given_back(shop: OrderManagement, parcels: FakeCarrier, how: Command[Any]):
    packed(shop)
    shop.settle("A")

    shop.handle(how)
    shop.settle("A")

    assert parcels.voided == ["TRACK-000001"]
    assert parcel(shop).label is None


@pytest.mark.parametrize("how", [CancelShipment(shipment_id="A:s1"), CancelOrder(order_id="A")])
def test_a_label_bought_for_a_parcel_given_up_meanwhile_is_given_back(
    shop: OrderManagement, parcels: FakeCarrier, clock: ManualClock, how: Command[Any]
):
    parcels.lose_next("BuyLabel")
    packed(shop)
    shop.settle("A")
    shop.handle(how)

    clock.advance(minutes=1)
    shop.settle("A")

    assert parcels.voided == ["TRACK-000001"]


def test_a_second_label_is_given_back(shop: OrderManagement, parcels: FakeCarrier):
    packed(shop)
    shop.settle("A")

    shop.handle(RecordLabel(shipment_id="A:s1", label=Label(tracking_number="OTHER")))
    shop.settle("A")

    assert (len(parcels.voided), parcel(shop).label is not None) == (1, True)
    assert parcels.voided != [getattr(parcel(shop).label, "tracking_number", "")]


def test_the_same_label_told_twice_changes_nothing(shop: OrderManagement):
    packed(shop)
    shop.settle("A")
    label = parcel(shop).label
    assert label is not None
    before = snapshot(shop)

    shop.handle(RecordLabel(shipment_id="A:s1", label=label))

    assert snapshot(shop) == before


# Trimming: what is cancelled is taken out.


@pytest.mark.parametrize(
    ("step", "shelf"),
    [(None, (5, 4, 0)), (PickShipment, (5, 4, 1)), (PackShipment, (5, 4, 1))],
)
def test_units_that_are_cancelled_are_taken_out_of_the_parcel(
    shop: OrderManagement, step: Any, shelf: tuple[int, int, int]
):
    paid_for(shop, "A", line("mug", 5))
    if step is not None:
        shop.handle(step(shipment_id="A:s1"))

    shop.handle(CancelUnits(order_id="A", units={"1": 1}))

    assert parcel(shop).contents == (Content("A", "1", 4),)
    assert on_the_shelf(shop) == shelf
    if step is not None:
        shop.handle(PutAwayStock(sku="mug", quantity=1))
        assert on_the_shelf(shop) == (5, 4, 0)


def test_a_trimmed_parcel_still_goes_out(shop: OrderManagement):
    paid_for(shop, "A", line("mug", 5))
    shop.handle(PackShipment(shipment_id="A:s1"))
    shop.handle(CancelUnits(order_id="A", units={"1": 2}))

    shop.handle(HandOverShipment(shipment_id="A:s1"))

    assert units(shop, "A") == {"shipped": 3, "cancelled": 2}
    assert shop.settle("A").payment_status == "paid"


def test_units_are_taken_out_of_what_is_planned_before_what_is_packed(shop: OrderManagement):
    unplanned(shop, "A", line("mug", 4))
    planned(shop, "packed", ("A", "1", 2))
    planned(shop, "planned", ("A", "1", 2))
    shop.handle(PackShipment(shipment_id="packed"))

    shop.handle(CancelUnits(order_id="A", units={"1": 2}))

    assert (parcel(shop, "packed").of("A", "1"), parcel(shop, "planned").status) == (2, "cancelled")


def test_cancelling_one_order_leaves_the_others_units_in_the_parcel(shop: OrderManagement):
    for order_id in ("A", "B"):
        unplanned(shop, order_id)
    planned(shop, "p", ("A", "1", 3), ("B", "1", 3))

    shop.handle(CancelOrder(order_id="A"))

    assert parcel(shop, "p").contents == (Content("B", "1", 3),)
    shop.handle(HandOverShipment(shipment_id="p"))
    assert units(shop, "B") == {"shipped": 3}


# On the road.


def test_a_delivered_order_is_complete(shop: OrderManagement):
    order = arrived(shop, "A", carrier="parcel")

    assert (order.complete, order.fulfilment_status, parcel(shop).status) == (True, "delivered", "delivered")


def test_the_carrier_is_asked_where_a_parcel_is(shop: OrderManagement, parcels: FakeCarrier, clock: ManualClock):
    sent(shop, "A", carrier="parcel")
    label = parcel(shop).label
    assert label is not None
    parcels.scan(label.tracking_number, "Liège")
    clock.advance(hours=6)
    assert [scan.note for scan in (shop.settle("A"), parcel(shop))[1].scans] == ["Liège"]

    parcels.deliver(label.tracking_number)
    clock.advance(hours=6)

    assert shop.settle("A").complete


@pytest.mark.parametrize(
    ("told", "status", "standing", "questions"),
    [
        ([RecordDelivery], "delivered", {"delivered": 3}, 0),
        ([RecordDelivery, RecordDelivery], "delivered", {"delivered": 3}, 0),
        ([RecordUndeliverable], "undeliverable", {"undeliverable": 3}, 0),
        ([RecordUndeliverable, RecordUndeliverable], "undeliverable", {"undeliverable": 3}, 0),
        ([RecordUndeliverable, RecordDelivery], "delivered", {"delivered": 3}, 0),
        ([RecordDelivery, RecordUndeliverable], "undeliverable", {"undeliverable": 3}, 0),
        ([RecordDelivery, RecordUndeliverable, RecordDelivery], "delivered", {"delivered": 3}, 0),
        ([RecordScan, RecordDelivery, RecordScan], "delivered", {"delivered": 3}, 0),
    ],
)
def test_a_carrier_may_contradict_itself(
    shop: OrderManagement, told: list[Any], status: str, standing: dict[str, int], questions: int
):
    sent(shop, "A")

    for news in told:
        shop.handle(news(shipment_id="A:s1"))

    assert (parcel(shop).status, units(shop, "A")) == (status, standing)
    assert len(shop.find(Discrepancy)) == questions


@pytest.mark.parametrize("news", [RecordDelivery, RecordUndeliverable])
@pytest.mark.parametrize("step", [None, PickShipment, PackShipment, CancelShipment])
def test_news_of_a_parcel_that_never_left_is_kept_and_somebody_is_asked(shop: OrderManagement, news: Any, step: Any):
    paid_for(shop, "A")
    if step is not None:
        shop.handle(step(shipment_id="A:s1"))
    standing, status = units(shop, "A"), parcel(shop).status

    shop.handle(news(shipment_id="A:s1"))

    assert (units(shop, "A"), parcel(shop).status) == (standing, status)
    assert len(shop.find(Discrepancy)) == 1
    last = shop.history(Shipment, "A:s1")[-1].event
    assert (type(last).__name__, last.status) in {("ShipmentDelivered", None), ("ShipmentUndeliverable", None)}


def test_a_late_scan_moves_only_units_that_still_stand_where_it_starts(shop: OrderManagement):
    sent(shop, "A")
    shop.handle(RecordUndeliverable(shipment_id="A:s1"))
    shop.handle(MoveUnits(order_id="A", moves=[Move("1", "give_up", 2)]))

    shop.handle(RecordDelivery(shipment_id="A:s1"))

    assert units(shop, "A") == {"delivered": 1, "cancelled": 2}


def test_a_lost_parcel_that_turns_up_brings_its_own_units(shop: OrderManagement):
    unplanned(shop)
    for shipment_id, quantity in (("lost", 1), ("other", 2)):
        planned(shop, shipment_id, ("A", "1", quantity))
        shop.handle(PackShipment(shipment_id=shipment_id))
        shop.handle(HandOverShipment(shipment_id=shipment_id))
    shop.handle(RecordUndeliverable(shipment_id="lost"))

    shop.handle(RecordDelivery(shipment_id="lost"))
    assert units(shop, "A") == {"delivered": 1, "shipped": 2}

    shop.handle(RecordUndeliverable(shipment_id="other"))
    assert units(shop, "A") == {"delivered": 1, "undeliverable": 2}


def test_a_carrier_that_will_not_say_where_a_parcel_is_is_complained_of(shop: OrderManagement, parcels: FakeCarrier):
    parcels.decline_next("Track")
    sent(shop, "A", carrier="parcel")
    shop.settle("A")

    assert [one.reason for one in shop.find(Discrepancy)] == [
        "parcel does not tell where it is (declined); say it with RecordDelivery or RecordUndeliverable"
    ]
    assert (parcel(shop).status, units(shop, "A")) == ("shipped", {"shipped": 3})


def test_a_carrier_need_not_say_where_a_parcel_is_that_has_arrived(shop: OrderManagement):
    arrived(shop, "A", carrier="parcel")

    shop.handle(RecordNoTracking(shipment_id="A:s1", code="purged"))

    assert not shop.find(Discrepancy)


def test_units_given_up_are_given_back_to_the_customer(shop: OrderManagement):
    sent(shop, "A")
    shop.handle(RecordUndeliverable(shipment_id="A:s1", note="lost"))
    assert shop.find(Order, exception="yes").items == (shop.get(Order, "A"),)

    shop.handle(MoveUnits(order_id="A", moves=[Move("1", "give_up", 1)]))
    order = shop.settle("A")

    assert (order.payment_status, order.paid, shop.find(Refund)[0].amount) == (
        "partly_refunded",
        eur("20.00"),
        eur("10.00"),
    )


def test_a_scan_is_kept_once(shop: OrderManagement, clock: ManualClock):
    sent(shop, "A")
    seen = RecordScan(shipment_id="A:s1", occurred_at=clock.now(), note="Liège")

    shop.handle(seen)
    shop.handle(seen)

    assert [scan.note for scan in parcel(shop).scans] == ["Liège"]


def test_a_parcel_on_account_is_sent_before_it_is_paid(shop: OrderManagement):
    place(shop, "A", pay=OnAccount(days=30))
    shop.handle(HandOverShipment(shipment_id="A:s1"))
    shop.handle(RecordDelivery(shipment_id="A:s1"))

    order = shop.handle(GrantCredit(order_id="A", amount=eur("30.00")))

    assert (order.fulfilment_status, order.payment_status, order.complete) == ("delivered", "not_due", True)
