"""What is on the shelf, what of it is promised, and what is held: a ledger that nothing falls out of."""

from __future__ import annotations

import contextlib

import pytest

from ordermgmt import (
    CancelOrder,
    CancelUnits,
    HandOverShipment,
    ManualClock,
    NotFound,
    NotThatMany,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PackShipment,
    PickShipment,
    PlaceOrder,
    PutAwayStock,
    ReceiveStock,
    Reservation,
    Seen,
    Stock,
    TooMuchStock,
)
from ordermgmt.stock.rules import ON_HAND_MAX, receive
from tests.stories import card_pays, line, on_the_shelf, paid_for, place, snapshot


def promised(shop: OrderManagement, on_hand: int, reserved: int) -> None:
    """A shelf with these totals: what is reserved is one order's, on account."""
    shop.handle(ReceiveStock(sku="mug", quantity=on_hand))
    if reserved:
        place(shop, "first", line("mug", reserved), pay=OnAccount(), stock=False)


def order(shop: OrderManagement, quantity: int, order_id: str = "A") -> Order:
    return place(shop, order_id, line("mug", quantity), pay=OnAccount(), stock=False)


# Receiving.


def test_goods_that_arrive_can_be_sold(shop: OrderManagement):
    stock = shop.handle(ReceiveStock(sku="mug", quantity=7))

    assert (stock.on_hand, stock.available) == (7, 7)


def test_every_location_has_a_shelf_of_its_own(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", location="main", quantity=7))
    shop.handle(ReceiveStock(sku="mug", location="attic", quantity=2))

    assert [shop.get(Stock, ("mug", where)).on_hand for where in ("main", "attic")] == [7, 2]
    assert len(shop.find(Stock, sku="mug")) == 2


def test_a_sku_is_text_as_the_host_has_it(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="BANK CHARGES/é", quantity=1))

    assert shop.get(Stock, ("BANK CHARGES/é", "main")).on_hand == 1
    with pytest.raises(NotFound):
        shop.get(Stock, ("bank charges/é", "main"))


def test_two_deliveries_add_up(shop: OrderManagement):
    # Solidus: two times +5 is +10 exactly (part B 32).
    for _ in range(2):
        shop.handle(ReceiveStock(sku="mug", quantity=5))

    assert on_the_shelf(shop) == (10, 0, 0)


@pytest.mark.parametrize(("on_hand", "refused"), [(ON_HAND_MAX - 10, False), (ON_HAND_MAX - 9, True)])
def test_a_shelf_counts_to_its_limit_and_not_beyond(on_hand: int, refused: bool):
    full = Stock(sku="dust", location="main", on_hand=on_hand)
    seen = Seen(lambda key: None, {})

    with pytest.raises(TooMuchStock) if refused else contextlib.nullcontext():
        list(receive(ReceiveStock(sku="dust", quantity=10), full, seen, ManualClock().now()))


# Promising: other systems' rows, (quantity, reserved) before and after.


@pytest.mark.parametrize(
    ("before", "ordered", "after"),
    [
        pytest.param((100, 0), 50, (100, 50, 0), id="S1"),
        pytest.param((100, 80), 19, (100, 99, 0), id="S9"),
        pytest.param((100, 80), 20, (100, 100, 0), id="all-of-it"),
        pytest.param((5, 0), 3, (5, 3, 0), id="W1"),
    ],
)
def test_an_order_promises_what_it_wants(
    shop: OrderManagement, before: tuple[int, int], ordered: int, after: tuple[int, int, int]
):
    promised(shop, *before)

    order(shop, ordered)

    assert on_the_shelf(shop) == after


@pytest.mark.parametrize(
    ("before", "ordered", "available"),
    [
        pytest.param((100, 80), 21, 20, id="S11"),
        pytest.param((3, 3), 1, 0, id="W14"),
        pytest.param((3, 0), 5, 3, id="W6"),
        pytest.param((3, 0), 8, 3, id="W9"),
        pytest.param((0, 0), 1, 0, id="nothing-there"),
    ],
)
def test_more_than_is_available_is_refused_and_nothing_is_taken(
    shop: OrderManagement, before: tuple[int, int], ordered: int, available: int
):
    if before[0]:
        promised(shop, *before)
    unchanged = snapshot(shop)

    with pytest.raises(OutOfStock) as no:
        order(shop, ordered)

    assert [(one.wanted, one.available) for one in no.value.shortages] == [(ordered, available)]
    assert snapshot(shop) == unchanged


@pytest.mark.parametrize(
    ("before", "released", "after"),
    [
        pytest.param((100, 80), 50, (100, 30, 0), id="S6"),
        pytest.param((5, 3), 1, (5, 2, 0), id="W2"),
        pytest.param((5, 5), 5, (5, 0, 0), id="part-B-42"),
    ],
)
def test_what_is_not_wanted_any_more_is_released(
    shop: OrderManagement, before: tuple[int, int], released: int, after: tuple[int, int, int]
):
    promised(shop, *before)

    shop.handle(CancelUnits(order_id="first", units={"1": released}))

    assert on_the_shelf(shop) == after


def test_goods_that_arrive_change_no_promise(shop: OrderManagement):
    # Saleor S7: 100/80, and 50 more arrive.
    promised(shop, 100, 80)

    shop.handle(ReceiveStock(sku="mug", quantity=50))

    assert on_the_shelf(shop) == (150, 80, 0)


# Issuing.


def test_goods_leave_the_house_once_and_their_promise_with_them(shop: OrderManagement):
    # Sylius (part B 41): five on hand, three bought: three held back; paid and sent: two on hand and none held back.
    promised(shop, 5, 3)
    assert on_the_shelf(shop) == (5, 3, 0)

    shop.handle(HandOverShipment(shipment_id="first:s1"))

    assert on_the_shelf(shop) == (2, 0, 0)


@pytest.mark.parametrize("paid", [False, True], ids=["while-new", "after-paid"])
def test_a_cancelled_order_gives_everything_back(shop: OrderManagement, paid: bool):
    # Sylius (part B 42): five of five, cancelled while new or after it was paid.
    shop.handle(ReceiveStock(sku="mug", quantity=5))
    place(shop, "A", line("mug", 5), pay=card_pays(sale=paid), stock=False)
    if paid:
        shop.settle("A")

    shop.handle(CancelOrder(order_id="A"))

    assert on_the_shelf(shop) == (5, 0, 0)


def test_one_order_does_not_send_what_another_was_promised(shop: OrderManagement):
    # Saleor S12: shipping two of one order leaves the other's promise alone.
    promised(shop, 7, 3)
    order(shop, 2)

    shop.handle(HandOverShipment(shipment_id="A:s1"))

    assert on_the_shelf(shop) == (5, 3, 0)


@pytest.mark.parametrize("step", [PickShipment, PackShipment])
def test_goods_on_their_way_through_the_house_are_still_there_and_promised(
    shop: OrderManagement, step: type[PickShipment | PackShipment]
):
    paid_for(shop, "A")

    shop.handle(step(shipment_id="A:s1"))

    assert on_the_shelf(shop) == (3, 3, 0)


# Holding.


def test_held_goods_cannot_be_sold(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(PickShipment(shipment_id="A:s1"))
    shop.handle(CancelOrder(order_id="A"))

    with pytest.raises(OutOfStock):
        order(shop, 1, "B")

    assert on_the_shelf(shop) == (3, 0, 3)


@pytest.mark.parametrize(("put_away", "shelf"), [(1, (3, 0, 2)), (3, (3, 0, 0))])
def test_goods_are_put_away_as_they_come(shop: OrderManagement, put_away: int, shelf: tuple[int, int, int]):
    paid_for(shop, "A")
    shop.handle(PickShipment(shipment_id="A:s1"))
    shop.handle(CancelOrder(order_id="A"))

    shop.handle(PutAwayStock(sku="mug", quantity=put_away))

    assert on_the_shelf(shop) == shelf


def test_no_more_is_put_away_than_is_held(shop: OrderManagement):
    promised(shop, 5, 3)
    unchanged = snapshot(shop)

    with pytest.raises(NotThatMany) as no:
        shop.handle(PutAwayStock(sku="mug", quantity=1))

    assert (no.value.what, no.value.wanted, no.value.there) == ("held", 1, 0)
    assert snapshot(shop) == unchanged


# The claim of one order.


def test_an_orders_claims_are_kept_by_line(shop: OrderManagement):
    place(shop, "A", line("mug", 2), line("pen", 1), line("mug", 3), pay=OnAccount())

    claims = shop.get(Reservation, "A").claims

    assert {line_id: (claim.sku, claim.quantity) for line_id, claim in claims.items()} == {
        "1": ("mug", 2),
        "2": ("pen", 1),
        "3": ("mug", 3),
    }


@pytest.mark.parametrize(
    ("handed_over", "status"),
    [(False, "released"), (True, "consumed")],
)
def test_a_claim_ends_with_its_last_unit(shop: OrderManagement, handed_over: bool, status: str):
    place(shop, "A", pay=OnAccount())
    if handed_over:
        shop.handle(HandOverShipment(shipment_id="A:s1"))
    else:
        shop.handle(CancelOrder(order_id="A"))

    reservation = shop.get(Reservation, "A")

    assert (reservation.status, reservation.claims) == (status, {})


def test_every_movement_is_in_the_ledger(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    shop.handle(PickShipment(shipment_id="A:s1"))
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    shop.handle(PutAwayStock(sku="mug", quantity=1))
    shop.handle(HandOverShipment(shipment_id="A:s1"))

    told = [(type(one.event).__name__, one.event.quantity) for one in shop.history(Stock, ("mug", "main"))]  # type: ignore[union-attr]  # movements

    assert told == [
        ("StockReceived", 3),
        ("StockReserved", 3),
        ("StockReleased", 1),
        ("StockSetAside", 1),
        ("StockPutAway", 1),
        ("StockIssued", 1),
    ]


def test_two_orders_for_the_last_piece_in_one_batch_do_not_both_get_it(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    wanted = [PlaceOrder(order_id=id, lines=[line("mug", 1)], pay=OnAccount()) for id in ("A", "B")]

    first, second = shop.handle_many(wanted)

    assert isinstance(first, Order)
    assert isinstance(second, OutOfStock)
