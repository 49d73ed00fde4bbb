"""Priced orders of goods and services, on several tenders, that are changed, held, credited and shipped by chance.

Each part has its own tests; here they meet in one order, and after every step the books must be right.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from ordermgmt import (
    Amendment,
    Command,
    Discount,
    GrantCredit,
    HoldOrder,
    Item,
    Line,
    LineChange,
    ListedItems,
    ManualClock,
    ManualIds,
    Money,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    RecordDelivery,
    RecordUndeliverable,
    ReleaseHold,
    SetGoodsAside,
    Surcharge,
    Tax,
    Tender,
    UnitPrice,
)
from ordermgmt.orders.reckoning import earned
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.changes.test_change_properties import PRICES, Life
from tests.stories import laws_hold

VAT, LOCAL = Tax("VAT", 20), Tax("local", "9.975", compound=True)
CURRENCIES = ("EUR", "JPY", "KWD")
SKUS = ("cup", "hat", "engraving", "engraving")


class PricedLife(Life):
    """A life with everything: taxes, discounts, services, holds, credits, parcels that do not arrive."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.currency = CURRENCIES[seed % len(CURRENCIES)]
        clock = ManualClock()
        self.card = FakePayments(clock=clock)
        kinds = {sku: Item(kind="service" if sku == "engraving" else "stocked") for sku in SKUS}
        self.shop = OrderManagement(
            storage=MemoryStorage(),
            gateways={"card": self.card},
            items=ListedItems(kinds),
            clock=clock,
            ids=ManualIds(),
            secret=b"life",
        )
        for sku in SKUS[:2]:
            self.shop.handle(ReceiveStock(sku=sku, quantity=60))
        tender = Tender("card", token=self.chance.choice(("tok_visa", "tok_visa", "tok_decline")), sale=seed % 2 == 0)
        self.shop.handle(
            PlaceOrder(
                order_id="A",
                lines=[self.line("1"), self.line("2")],
                pay=PayNow([tender]),
                shipping=Money.of_minor(490, self.currency),
                prices=self.chance.choice(("inclusive", "exclusive")),
                rounding=self.chance.choice(("standard", "unit", "invoice", "vendure")),
                adjustments=[
                    Discount("sale", percent=self.chance.choice(("0", "10", "33.3", "100"))),
                    Surcharge("fee", Money.of_minor(99, self.currency), taxes=[VAT]),
                ],
            )
        )
        if self.chance.random() < 0.7:
            self.shop.settle("A")

    def line(self, line_id: str = "") -> Line:
        return Line(
            sku=self.chance.choice(SKUS),
            quantity=self.chance.randint(1, 5),
            unit_price=UnitPrice(self.chance.choice(PRICES), self.currency),
            line_id=line_id,
            taxes=self.chance.choice(((), (VAT,), (VAT, LOCAL))),
            discounts=self.chance.choice(((), (Discount("off", percent="12.5"),))),
        )

    def amendment(self) -> Amendment:
        changes = list[LineChange]()
        for line_id in self.order.lines:
            quantity = self.chance.choice((None, 0, 1, 2, 4, 7))
            price = UnitPrice(self.chance.choice(PRICES), self.currency) if self.chance.random() < 0.4 else None
            if self.chance.random() < 0.6 and (quantity or (quantity == 0) != (price is not None)):
                changes.append(LineChange(line_id=line_id, quantity=quantity, unit_price=price))
        add = [self.line() for _ in range(self.chance.choice((0, 0, 1)))]
        charge = Money.of_minor(self.chance.choice((0, 250, 600)), self.currency)
        return Amendment(add=add, lines=changes, charges={"shipping": charge} if self.chance.random() < 0.3 else {})

    def wishes(self) -> Iterable[Command[Any]]:
        yield from super().wishes()
        order = self.order
        if order.due.minor:
            yield GrantCredit(
                order_id="A", amount=Money.of_minor(self.chance.randint(1, order.due.minor), self.currency)
            )
        yield HoldOrder(order_id="A", reason="address")
        yield ReleaseHold(order_id="A", reason="address")
        yield SetGoodsAside(order_id="A")
        for shipment_id in order.shipments:
            yield RecordDelivery(shipment_id=shipment_id)
            yield RecordUndeliverable(shipment_id=shipment_id)


def asked_for_no_more_than_it_may(before: Order, order: Order, *, sale: bool) -> None:
    """Whatever is given back was overpaid, whatever is captured is earned."""
    was, now = before.money, order.money
    if now.refunded + now.refund_pending > was.refunded + was.refund_pending:
        assert now.paid - now.refund_pending >= order.due.minor
    if not sale and now.captured + now.capture_pending > was.captured + was.capture_pending:
        assert now.paid - now.refund_pending + now.capture_pending <= earned(order)


@pytest.mark.parametrize("seed", range(40))
def test_wherever_the_parts_of_a_shop_meet_the_books_are_right(seed: int):
    life = PricedLife(seed)
    for _, before in life.live(20):
        asked_for_no_more_than_it_may(before, life.order, sale=seed % 2 == 0)
        assert life.order.explain().total == life.order.due
        assert life.order.asking == {}
        check_all(life.shop).require()
        assert life.card.refusals == []
    for reason in life.order.holds:
        life.shop.handle(ReleaseHold(order_id="A", reason=reason))
    order = life.shop.settle("A")

    assert sum(account.kept for account in life.card.accounts.values()) == order.paid.minor
    assert order.paid <= order.due
    laws_hold(life.shop)
