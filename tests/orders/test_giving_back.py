"""Whatever is cancelled, lost and given back, unit by unit and in any order, comes to exactly what was paid."""

from __future__ import annotations

from hypothesis import given, note, settings
from hypothesis import strategies as st

from ordermgmt import (
    CancelUnits,
    Discount,
    HandOverShipment,
    HoldOrder,
    Line,
    ManualClock,
    Money,
    Move,
    MoveUnits,
    Order,
    OrderManagement,
    PackShipment,
    PlaceOrder,
    PutAwayStock,
    ReceiveStock,
    RecordUndeliverable,
    ReleaseHold,
    Stock,
    Tax,
    UnitPrice,
)
from ordermgmt.orders.lifecycle import IN_THE_HOUSE
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.stories import card_pays, laws_hold

LINES = st.lists(
    st.builds(
        Line,
        sku=st.sampled_from(["mug", "pen"]),
        quantity=st.integers(1, 7),
        unit_price=st.sampled_from(["10.00", "3.333333", "0.01", "0", "99.995"]).map(lambda p: UnitPrice(p, "EUR")),
        taxes=st.sampled_from([None, (Tax("VAT", 19),), (Tax("GST", 5), Tax("QST", "9.975"))]),
    ),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(st.sampled_from(["cancel", "cancel", "settle", "pack", "hand over", "lose", "hold"]), max_size=14)


def placed(lines: list[Line], *, shipping: int, percent: int, sale: bool) -> tuple[OrderManagement, FakePayments]:
    clock = ManualClock()
    card = FakePayments(clock=clock)
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": card}, clock=clock)
    for sku in ("mug", "pen"):
        shop.handle(ReceiveStock(sku=sku, quantity=100))
    off = [Discount("promotion", percent=percent)] if percent else []
    shop.handle(
        PlaceOrder(
            order_id="A",
            lines=lines,
            shipping=Money.of_minor(shipping, "EUR"),
            adjustments=off,
            pay=card_pays(sale=sale),
        )
    )
    return shop, card


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(
    lines=LINES,
    shipping=st.sampled_from([0, 490]),
    percent=st.sampled_from([0, 10, 33]),
    sale=st.booleans(),
    steps=STEPS,
    data=st.data(),
)
def test_any_sequence_of_cancellations_and_refunds_totals_the_whole(
    *, lines: list[Line], shipping: int, percent: int, sale: bool, steps: list[str], data: st.DataObject
):
    shop, card = placed(lines, shipping=shipping, percent=percent, sale=sale)
    order = shop.settle("A")
    total, given_up = order.total.minor, 0

    def drop(command: CancelUnits | MoveUnits) -> None:
        nonlocal given_up
        before = shop.get(Order, "A").due.minor
        given_up += before - shop.handle(command).due.minor

    for step in steps:
        order = shop.get(Order, "A")
        inside = {line.line_id: n for line in order.lines.values() if (n := line.count(*IN_THE_HOUSE))}
        if step == "cancel" and inside:
            line_id = data.draw(st.sampled_from(sorted(inside)))
            drop(CancelUnits(order_id="A", units={line_id: data.draw(st.integers(1, inside[line_id]))}))
        elif step == "settle":
            shop.settle("A")
        elif step in ("pack", "hand over") and order.count("reserved", "packed") and not order.holds:
            wanted = PackShipment if step == "pack" and order.count("reserved") else HandOverShipment
            shop.handle(wanted(shipment_id="A:s1"))
        elif step == "lose" and order.count("shipped"):
            shop.handle(RecordUndeliverable(shipment_id="A:s1"))
        elif step == "hold" and order.status == "confirmed":
            doubts = ReleaseHold if order.holds else HoldOrder
            shop.handle(doubts(order_id="A", reason="doubts"))

    # What is left comes back as well: what is in the house is cancelled, what is out is lost and given up.
    order = shop.get(Order, "A")
    if order.holds:
        order = shop.handle(ReleaseHold(order_id="A", reason="doubts"))
    if left := {line.line_id: n for line in order.lines.values() if (n := line.count(*IN_THE_HOUSE))}:
        drop(CancelUnits(order_id="A", units=left))
    shop.settle("A")
    if shop.get(Order, "A").count("shipped"):
        shop.handle(RecordUndeliverable(shipment_id="A:s1"))
    for line in shop.get(Order, "A").lines.values():
        for _ in range(line.count("undeliverable")):
            drop(MoveUnits(order_id="A", moves=[Move(line.line_id, "give_up", 1)]))
    order = shop.settle("A")

    note(f"total {total}, given up {given_up}, {order.money}")
    assert given_up == total
    assert (order.due.minor, order.paid.minor, order.money.open, order.money.pending) == (0, 0, 0, 0)
    assert all((account.kept, account.open) == (0, 0) for account in card.accounts.values())
    assert order.money.captured == order.money.refunded <= total
    laws_hold(shop)
    check_all(shop).require()


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(lines=LINES, cancelled=st.lists(st.integers(0, 20), max_size=6))
def test_what_was_picked_is_held_until_it_is_put_away(lines: list[Line], cancelled: list[int]):
    shop, _ = placed(lines, shipping=0, percent=0, sale=False)
    shop.settle("A")
    shop.handle(PackShipment(shipment_id="A:s1"))
    dropped = {"mug": 0, "pen": 0}
    for n in cancelled:
        order = shop.get(Order, "A")
        packed = [line for line in order.lines.values() if line.count("packed")]
        if packed:
            line = packed[n % len(packed)]
            shop.handle(CancelUnits(order_id="A", units={line.line_id: 1}))
            dropped[line.sku] += 1

    for sku, n in dropped.items():
        assert shop.get(Stock, (sku, "main")).held == n
        if n:
            shop.handle(PutAwayStock(sku=sku, quantity=n))
        wanted = sum(line.count("packed") for line in shop.get(Order, "A").lines.values() if line.sku == sku)
        assert shop.get(Stock, (sku, "main")).available == 100 - wanted
    laws_hold(shop)
