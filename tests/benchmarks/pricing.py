"""What prices cost: reckoning a line with tax and discounts, and placing an order that has them.

python -m tests.benchmarks.pricing
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from ordermgmt import Discount, Money, PlaceOrder, Surcharge, Tax
from ordermgmt.pricing import Goods, price
from ordermgmt.storage import MemoryStorage

from .decisions import decide, open_shop, placing
from .timing import least, table, yardstick

VAT = (Tax("VAT", 19),)
SUMMER = (Discount("summer", percent=10),)
POST = Surcharge("shipping", Money("4.90", "EUR"), taxes=VAT)


def goods(lines: int, **more: Any) -> list[Goods]:
    """That many lines at prices of their own."""
    return [Goods(unit_price=Money.of_minor(950 + n % 77, "EUR"), quantity=3, **more) for n in range(lines)]


def welcome(lines: int) -> Discount:
    """An amount off the whole order, never all of it."""
    return Discount("welcome", amount=Money.of_minor(101 * lines, "EUR"))


KINDS: dict[str, tuple[dict[str, Any], bool, dict[str, Any]]] = {
    "price alone": ({}, False, {}),
    "one tax": ({"taxes": VAT}, False, {}),
    "tax in the price": ({"taxes": VAT}, False, {"prices": "inclusive"}),
    "two taxes": ({"taxes": (*VAT, Tax("local", "0.875", compound=True))}, False, {}),
    "tax on the order": ({"taxes": VAT}, False, {"rounding": "invoice"}),
    "tax, line discount": ({"taxes": VAT, "discounts": SUMMER}, False, {}),
    "tax, line and order discount": ({"taxes": VAT, "discounts": SUMMER}, True, {}),
    "the same with a lowest price": (
        {"taxes": VAT, "discounts": SUMMER, "minimum_price": Money("8.00", "EUR")},
        True,
        {},
    ),
}


def cost_of_pricing(kind: str, lines: int, times: int) -> float:
    """Microseconds to price one line of so many."""
    more, spread, terms = KINDS[kind]
    several = goods(lines, **more)
    adjustments = [welcome(lines)] if spread else []
    terms = dict[str, Any](prices="exclusive") | terms

    def work() -> None:
        for _ in range(times):
            price(several, currency="EUR", adjustments=adjustments, **terms)

    return least(work) / times / lines * 1e6


def priced(order_id: str, lines: int) -> PlaceOrder:
    """An order with tax, a discount on each line, one on all, and taxed shipping."""
    plain = placing(order_id, lines)
    wanted = [evolve(line, taxes=VAT, discounts=SUMMER) for line in plain.lines]
    return evolve(plain, lines=wanted, adjustments=[welcome(lines)], shipping=POST, prices="exclusive")


def cost_of_placing(lines: int, orders: int, *, with_prices: bool) -> float:
    """Microseconds to place one order of that many lines: decided and encoded, nothing stored."""
    storage = MemoryStorage()
    shop = open_shop(storage)
    commands = [(priced if with_prices else placing)(f"o{n}", lines) for n in range(orders)]
    jobs = [shop._settings.job(command, None, None) for command in commands]
    keys = {key for command in commands for key in shop.assembly.keys(command)}
    rows = dict(storage.read(list(keys)))
    return least(lambda: decide(shop, jobs, rows)) / orders * 1e6


def main() -> None:
    """Print all of it."""
    print(f"yardstick: {yardstick():.2f} µs\n")
    table(
        "Pricing one line of so many (processor µs)",
        ("lines", "1", "10", "1,000"),
        [
            (kind, cost_of_pricing(kind, 1, 300), cost_of_pricing(kind, 10, 100), cost_of_pricing(kind, 1_000, 2))
            for kind in KINDS
        ],
    )
    rows = []
    for lines, orders in ((1, 300), (10, 60), (100, 10), (1_000, 2)):
        plain = cost_of_placing(lines, orders, with_prices=False)
        cost = cost_of_placing(lines, orders, with_prices=True)
        rows.append((lines, plain, cost, cost / lines, (cost - plain) / lines))
    table(
        "Placing an order with tax and discounts, decided and encoded, no I/O (processor µs)",
        ("lines", "prices alone", "priced", "per line", "more per line"),
        rows,
    )


if __name__ == "__main__":
    main()
