"""Holds make an order wait, several at once, and let it go on from where it was; notes are written down beside it."""

from __future__ import annotations

import pytest

from ordermgmt import (
    AddNote,
    AlreadyExists,
    CancelOrder,
    CancelUnits,
    CapturePayment,
    Command,
    ConfirmOrder,
    HandOverShipment,
    HoldOrder,
    Item,
    ListedItems,
    ManualClock,
    Move,
    MoveUnits,
    NotFound,
    OnHold,
    Order,
    OrderEnded,
    OrderManagement,
    PackShipment,
    PickShipment,
    PlanShipment,
    RecordDelivery,
    ReleaseHold,
    TooMany,
    VoidPayment,
)
from ordermgmt.orders.holds import HOLDS_MAX, NOTES_MAX
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.stories import ANN, card_pays, eur, line, paid_for, place, sent, snapshot, units


def hold(shop: OrderManagement, reason: str = "address", order_id: str = "A") -> Order:
    return shop.handle(HoldOrder(order_id=order_id, reason=reason, note="no such street"), by="ruth")


def test_a_hold_says_why_by_whom_and_when(shop: OrderManagement, clock: ManualClock):
    paid_for(shop, "A")

    one = hold(shop).holds["address"]

    assert (one.reason, one.note, one.by, one.at) == ("address", "no such street", "ruth", clock.now())


def test_a_hold_leaves_the_status_as_it_is(shop: OrderManagement):
    before = paid_for(shop, "A")

    assert hold(shop).status == before.status == "confirmed"


def test_orders_on_hold_are_found(shop: OrderManagement):
    paid_for(shop, "A")
    paid_for(shop, "B")
    hold(shop)

    assert [order.order_id for order in shop.find(Order, on_hold="yes")] == ["A"]


def test_several_holds_lie_on_one_order(shop: OrderManagement):
    paid_for(shop, "A")
    hold(shop, "address")

    assert list(hold(shop, "credit limit").holds) == ["address", "credit limit"]


def test_the_same_reason_holds_once(shop: OrderManagement):
    paid_for(shop, "A")
    hold(shop)

    with pytest.raises(AlreadyExists, match="A/address"):
        hold(shop)


@pytest.mark.parametrize(
    "command",
    [
        PickShipment(shipment_id="A:s1"),
        PackShipment(shipment_id="A:s1"),
        HandOverShipment(shipment_id="A:s1"),
        MoveUnits(order_id="A", moves=[Move("1", "pick", 1)]),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_is_picked_or_handed_over_while_an_order_is_on_hold(shop: OrderManagement, command: Command[object]):
    paid_for(shop, "A")
    hold(shop)
    before = snapshot(shop)

    with pytest.raises(OnHold) as no:
        shop.handle(command)

    assert (no.value.order_id, no.value.holds) == ("A", ("address",))
    assert snapshot(shop) == before


def test_a_parcel_of_two_orders_waits_for_the_one_on_hold(shop: OrderManagement):
    for order_id in ("A", "B"):
        place(shop, order_id, confirm="by_hand")
        shop.settle(order_id)
    shop.handle(PlanShipment(shipment_id="both", contents=[("A", "1", 3), ("B", "1", 3)]))
    hold(shop, order_id="B")

    with pytest.raises(OnHold, match="order B is on hold"):
        shop.handle(HandOverShipment(shipment_id="both"))

    assert units(shop, "A") == {"reserved": 3}


def test_what_was_picked_before_may_be_packed(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(PickShipment(shipment_id="A:s1"))
    hold(shop)

    shop.handle(PackShipment(shipment_id="A:s1"))

    assert units(shop, "A") == {"packed": 3}


def test_money_is_not_captured_by_hand_while_an_order_is_on_hold(shop: OrderManagement):
    paid_for(shop, "A")
    hold(shop)
    before = snapshot(shop)

    with pytest.raises(OnHold):
        shop.handle(CapturePayment(payment_id="A:1", amount=eur("1.00")))

    assert snapshot(shop) == before


def test_a_capture_waits_for_the_release(shop: OrderManagement, card: FakePayments, clock: ManualClock):
    place(shop, "A", confirm="at_once")
    shop.handle(HandOverShipment(shipment_id="A:s1"))
    hold(shop)
    shop.settle("A")
    assert (card.captured, shop.get(Order, "A").payment_status) == (0, "authorised")

    shop.handle(ReleaseHold(order_id="A", reason="address"))

    assert (shop.settle("A").payment_status, card.captured) == ("paid", 3000)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (CancelOrder(order_id="A"), "cancelled"),
        (CancelUnits(order_id="A", units={"1": 1}), "confirmed"),
        (MoveUnits(order_id="A", moves=[Move("1", "release", 1)]), "confirmed"),
        (VoidPayment(payment_id="A:1"), "confirmed"),
        (AddNote(order_id="A", text="called twice"), "confirmed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_cancelling_and_letting_go_are_not_stopped(shop: OrderManagement, command: Command[object], status: str):
    paid_for(shop, "A")
    hold(shop)

    shop.handle(command)

    assert shop.settle("A").status == status


def test_an_order_on_hold_is_confirmed_when_its_money_comes(shop: OrderManagement):
    place(shop, "A")
    hold(shop)

    assert (shop.settle("A").status, list(shop.get(Order, "A").holds)) == ("confirmed", ["address"])


def test_an_order_on_hold_is_confirmed_by_hand(shop: OrderManagement):
    place(shop, "A", confirm="by_hand")
    hold(shop)

    assert shop.handle(ConfirmOrder(order_id="A")).status == "confirmed"


def test_news_is_not_stopped(shop: OrderManagement):
    sent(shop, "A")
    hold(shop)

    shop.handle(RecordDelivery(shipment_id="A:s1"))

    assert shop.get(Order, "A").fulfilment_status == "delivered"


def test_money_is_given_back_while_an_order_is_on_hold(shop: OrderManagement):
    paid_for(shop, "A", pay=card_pays(sale=True))
    hold(shop)

    shop.handle(CancelUnits(order_id="A", units={"1": 1}))

    assert shop.settle("A").paid == eur("20.00")


def test_only_the_last_release_lets_an_order_go_on(shop: OrderManagement):
    paid_for(shop, "A")
    hold(shop, "address")
    hold(shop, "credit limit")
    shop.handle(ReleaseHold(order_id="A", reason="address"))
    with pytest.raises(OnHold):
        shop.handle(PackShipment(shipment_id="A:s1"))

    shop.handle(ReleaseHold(order_id="A", reason="credit limit"))
    shop.handle(PackShipment(shipment_id="A:s1"))

    assert units(shop, "A") == {"packed": 3}


@pytest.mark.parametrize("stage", ["placed", "confirmed", "picked", "packed"])
def test_a_release_returns_the_order_to_where_it_was(shop: OrderManagement, stage: str):
    place(shop, "A")
    if stage != "placed":
        shop.settle("A")
    if stage in ("picked", "packed"):
        shop.handle(PickShipment(shipment_id="A:s1"))
    if stage == "packed":
        shop.handle(PackShipment(shipment_id="A:s1"))
    before = shop.get(Order, "A")

    hold(shop)

    assert shop.handle(ReleaseHold(order_id="A", reason="address")) == before


def test_what_does_not_lie_on_an_order_is_not_released(shop: OrderManagement):
    paid_for(shop, "A")

    with pytest.raises(NotFound, match="A/address"):
        shop.handle(ReleaseHold(order_id="A", reason="address"))


def test_an_ended_order_is_not_held(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CancelOrder(order_id="A"))

    with pytest.raises(OrderEnded, match="cancelled"):
        hold(shop)


def test_an_order_carries_only_so_many_holds(shop: OrderManagement):
    place(shop, "A")
    for n in range(HOLDS_MAX):
        hold(shop, f"reason {n}")

    with pytest.raises(TooMany, match=f"{HOLDS_MAX} holds"):
        hold(shop)


# What needs no goods.


@pytest.fixture
def services(clock: ManualClock) -> OrderManagement:
    items = ListedItems({"mug": Item(), "visit": Item(kind="service")})
    return OrderManagement(
        storage=MemoryStorage(), gateways={"card": FakePayments(clock=clock)}, items=items, clock=clock
    )


def test_a_service_is_performed_after_the_release(services: OrderManagement):
    place(services, "A", line("visit", 2))
    hold(services)
    assert services.settle("A").status == "confirmed"
    assert units(services, "A") == {"open": 2}

    services.handle(ReleaseHold(order_id="A", reason="address"))

    assert units(services, "A") == {"delivered": 2}
    check_all(services).require()


def test_a_release_performs_nothing_before_the_order_is_accepted(services: OrderManagement):
    place(services, "A", line("visit", 2), confirm="by_hand")
    hold(services)

    services.handle(ReleaseHold(order_id="A", reason="address"))

    assert units(services, "A") == {"open": 2}


# Notes.


def test_a_note_says_what_by_whom_and_about_which_line(shop: OrderManagement, clock: ManualClock):
    place(shop, "A")

    shop.handle(AddNote(order_id="A", text="gift for Bob, do not print prices", line_id="1"), by="ruth")

    (note,) = shop.get(Order, "A").notes
    assert shop.reveal(note.text, str) == "gift for Bob, do not print prices"
    assert (note.line_id, note.by, note.at) == ("1", "ruth", clock.now())


@pytest.mark.parametrize(("customer", "subject"), [("ann", "ann"), ("", "order:A")])
def test_a_note_is_forgotten_with_its_person(shop: OrderManagement, customer: str, subject: str):
    place(shop, "A", customer=customer, ship_to=ANN)
    shop.handle(AddNote(order_id="A", text="her name is Ann"))

    shop.erase(subject)

    assert shop.reveal(shop.get(Order, "A").notes[0].text, str) is None
    assert b"her name is Ann" not in b"".join(entry.doc for entry in shop.storage.feed(limit=1000))


def test_a_note_about_no_line_of_the_order_is_refused(shop: OrderManagement):
    place(shop, "A")

    with pytest.raises(NotFound, match="A/9"):
        shop.handle(AddNote(order_id="A", text="x", line_id="9"))


def test_notes_are_taken_about_an_ended_order(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CancelOrder(order_id="A"))

    assert len(shop.handle(AddNote(order_id="A", text="why?")).notes) == 1


def test_an_order_carries_only_so_many_notes():
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()})
    place(shop, "A")
    shop.handle_many([AddNote(order_id="A", text=f"note {n}") for n in range(NOTES_MAX)])

    with pytest.raises(TooMany, match=f"{NOTES_MAX} notes"):
        shop.handle(AddNote(order_id="A", text="one more"))
