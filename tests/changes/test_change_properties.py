"""Whatever is changed, in whatever order: parts make the whole, previews are true, and everything can be given back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordermgmt import (
    Amendment,
    AmendOrder,
    CancelOrderChange,
    CancelUnits,
    CloseOrder,
    Command,
    ConfirmOrderChange,
    DeclineOrderChange,
    Discount,
    DraftOrderChange,
    HandOverShipment,
    InvalidInput,
    Line,
    LineChange,
    ManualClock,
    ManualIds,
    OnAccount,
    Order,
    OrderChange,
    OrderManagement,
    PackShipment,
    PickShipment,
    PlaceOrder,
    PlanShipment,
    ReceiveStock,
    Refused,
    RequestOrderChange,
    RevertAmendment,
    RevertOrderChange,
    Shipment,
    Tax,
    UnitPrice,
)
from ordermgmt.orders.stretches import Stretch, amount, cut, joined, share, whole
from ordermgmt.shipments.model import Content
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.stories import card_pays, eur, laws_hold

PRICES = ("3.333333", "10.00", "0.05", "7.77")
SKUS = ("cup", "hat")
TAXES = ((), (Tax("VAT", 19),), (Tax("VAT", 5), Tax("local", "0.875", compound=True)))
DISCOUNTS = (
    (),
    (Discount("third", percent="33.3333"),),
    (Discount("voucher", amount=eur("2.01")), Discount("spring", percent=10, most=eur("0.99"))),
)
WELCOME = Discount("welcome", amount=eur("1.01"))


# Shares.


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5000)), min_size=1, max_size=5),
    st.lists(st.floats(0, 1), max_size=5),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_cutting_a_line_changes_no_units_share(amounts: list[tuple[int, int]], places: list[float]) -> None:
    line = tuple(stretch for units, minor in amounts for stretch in whole(units, minor))
    units = sum(n for n, _ in amounts)
    shares = [share(line, n) for n in range(units + 1)]
    for place in places:
        front, back = cut(line, int(place * units))
        line = joined((*front, *back)) if place < 0.5 else (*front, *back)
        assert [share(line, n) for n in range(units + 1)] == shares
    assert amount(line) == sum(minor for _, minor in amounts)


def test_stretches_that_belong_together_are_one_again() -> None:
    front, back = cut(whole(7, 1000), 3)
    assert joined((*front, *back)) == (Stretch(7, 1000, 7),)


# Random lives.


class Life:
    """An order that is changed, shipped, and changed again, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.priced = seed % 4 < 2
        """Whether it has taxes and discounts; else it is nothing but prices."""
        clock = ManualClock()
        self.card = FakePayments(clock=clock)
        self.shop = OrderManagement(
            storage=MemoryStorage(), gateways={"card": self.card}, clock=clock, ids=ManualIds(), secret=b"life"
        )
        for sku in SKUS:
            self.shop.handle(ReceiveStock(sku=sku, quantity=40))
        lines = [self.line(str(n)) for n in (1, 2)]
        self.shop.handle(
            PlaceOrder(
                order_id="A",
                lines=lines,
                pay=card_pays(sale=seed % 2 == 0),
                shipping=eur("4.90") if seed % 3 else None,
                prices="exclusive" if self.priced and seed % 5 else "inclusive",
                adjustments=[WELCOME] if self.priced and seed % 7 else [],
                rounding=("standard", "vendure", "medusa", "unit")[seed // 4 % 4] if self.priced else "standard",
            )
        )
        self.shop.settle("A")

    @property
    def order(self) -> Order:
        return self.shop.get(Order, "A")

    def line(self, line_id: str = "") -> Line:
        price = UnitPrice(self.chance.choice(PRICES), "EUR")
        return Line(
            sku=self.chance.choice(SKUS),
            quantity=self.chance.randint(1, 5),
            unit_price=price,
            line_id=line_id,
            taxes=self.chance.choice(TAXES) if self.priced else None,
            discounts=self.chance.choice(DISCOUNTS) if self.priced else (),
        )

    def amendment(self) -> Amendment:
        changes = list[LineChange]()
        for line_id in self.order.lines:
            quantity = self.chance.choice((None, 0, 1, 2, 4, 7))
            price = UnitPrice(self.chance.choice(PRICES), "EUR") if self.chance.random() < 0.4 and quantity else None
            if self.chance.random() < 0.6 and (quantity is not None or price is not None):
                changes.append(LineChange(line_id=line_id, quantity=quantity, unit_price=price))
        add = [self.line() for _ in range(self.chance.choice((0, 0, 1)))]
        charges = {"shipping": eur(self.chance.choice(("0", "2.50", "6.00")))} if self.chance.random() < 0.3 else {}
        return Amendment(add=add, lines=changes, charges=charges)

    def wishes(self) -> Iterable[Command[Any]]:
        order = self.order
        amendment = self.amendment()
        if amendment:
            yield AmendOrder(order_id="A", amendment=amendment)
            yield AmendOrder(order_id="A", amendment=amendment, pay=OnAccount())
            if not order.change:
                yield DraftOrderChange(
                    change_id=f"c{len(self.shop.find(OrderChange))}", order_id="A", amendment=amendment
                )
        yield RevertAmendment(order_id="A")
        for change in self.shop.find(OrderChange):
            yield RevertOrderChange(change_id=change.change_id)
            if change.open:
                yield RequestOrderChange(change_id=change.change_id)
                yield ConfirmOrderChange(change_id=change.change_id)
                yield DeclineOrderChange(change_id=change.change_id)
        for line in order.lines.values():
            yield CancelUnits(order_id="A", units={line.line_id: 1})
            if line.count("reserved"):
                yield PlanShipment(
                    shipment_id=f"s{len(self.shop.find(Shipment))}x", contents=[Content("A", line.line_id, 1)]
                )
        for shipment in self.shop.find(Shipment):
            if shipment.status in ("planned", "picked", "packed"):
                yield PickShipment(shipment_id=shipment.shipment_id)
                yield PackShipment(shipment_id=shipment.shipment_id)
                yield HandOverShipment(shipment_id=shipment.shipment_id)

    def live(self, steps: int) -> Iterable[tuple[Command[Any], Order]]:
        """Take steps that are allowed; before each, what it does is foreseen."""
        for _ in range(steps):
            wishes = list(self.wishes())
            kind = self.chance.choice(sorted({type(wish).__name__ for wish in wishes}))
            wish = self.chance.choice([one for one in wishes if type(one).__name__ == kind])
            before = self.order
            try:
                foreseen = self.shop.preview(wish)
            except (Refused, InvalidInput):
                continue
            after = len(self.shop.feed(limit=1000))
            assert self.shop.handle(wish) == foreseen.entity
            told = [(one.kind, one.id, one.event) for one in self.shop.feed(after)]
            assert sorted(told, key=repr) == sorted(foreseen.events, key=repr)
            if self.chance.random() < 0.6:
                self.shop.settle("A")
            yield wish, before


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_after_any_changes_everything_adds_up_and_is_as_it_was_foreseen(seed: int) -> None:
    life = Life(seed)
    for _ in life.live(12):
        order = life.order
        assert order.total.minor == sum(line.minor for line in order.lines.values()) + sum(
            charge.minor for charge in order.charges
        )
        for line in order.lines.values():
            assert sum(line.units.values()) == line.quantity
            assert share(line.shares, line.quantity) == line.minor
        check_all(life.shop).require()
    laws_hold(life.shop)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_whatever_was_changed_giving_all_of_it_back_gives_back_exactly_what_was_paid(seed: int) -> None:
    life = Life(seed)
    list(life.live(10))
    while inside := {
        line.line_id: n
        for line in life.order.lines.values()
        if (n := line.count("open", "reserved", "picked", "packed"))
    }:
        life.shop.handle(CancelUnits(order_id="A", units={life.chance.choice(sorted(inside)): 1}))
        life.shop.settle("A")
    order = life.shop.settle("A")
    if not order.count("shipped"):
        assert (order.due.minor, order.paid.minor) == (0, 0)
    assert order.paid <= order.due
    assert sum(account.kept for account in life.card.accounts.values()) == order.paid.minor
    assert sum(account.open for account in life.card.accounts.values()) == 0 or order.paid < order.due


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_unit_that_is_out_of_the_house_keeps_its_share(seed: int) -> None:
    life = Life(seed)
    for wish, before in life.live(12):
        if not isinstance(wish, AmendOrder | ConfirmOrderChange | RevertAmendment | RevertOrderChange):
            continue
        for line_id, was in before.lines.items():
            now = life.order.lines[line_id]
            out, gone = was.count("shipped"), was.count("cancelled")
            assert share(now.shares, gone) == share(was.shares, gone)
            assert now.minor - share(now.shares, now.quantity - out) == was.minor - share(
                was.shares, was.quantity - out
            )


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_taking_a_change_back_makes_the_customer_owe_what_was_owed(seed: int) -> None:
    life = Life(seed)
    list(life.live(6))
    before = life.order
    change = life.amendment()
    try:
        life.shop.handle(AmendOrder(order_id="A", amendment=change, pay=OnAccount()))
    except (Refused, InvalidInput):
        return
    life.shop.handle(RevertAmendment(order_id="A", pay=OnAccount()))
    after = life.order
    assert after.due == before.due
    assert {id: line.quantity - line.count("cancelled") for id, line in before.lines.items()} == {
        id: after.lines[id].quantity - after.lines[id].count("cancelled") for id in before.lines
    }


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_change_can_always_end_and_never_holds_its_order(seed: int) -> None:
    life = Life(seed)
    for _ in life.live(8):
        change_id = life.order.change
        if change_id:
            ended = life.shop.preview(CancelOrderChange(change_id=change_id))
            assert ended.entity.status == "cancelled"
    with suppress(Refused):
        life.shop.handle(CloseOrder(order_id="A"))
    for change in life.shop.find(OrderChange):
        if change.open:
            life.shop.handle(CancelOrderChange(change_id=change.change_id))
    assert life.order.change == ""
