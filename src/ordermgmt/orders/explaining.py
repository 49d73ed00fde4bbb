"""Where every cent of what is due comes from: the entries that `Order.explain` tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..pricing.explanation import Entry
from .reckoning import due, given_back

if TYPE_CHECKING:
    from .model import Order


def entries_of(order: Order) -> Iterator[Entry]:
    """The reasons of what is due; they add up to `due`."""
    owed = 0
    for line in order.lines.values():
        about = f"line {line.line_id}"
        for one in line.shares:
            what = f"{one.units} × {line.sku} at {one.price or line.unit_price}"
            if (parts := one.made_of) is None:
                yield Entry(about, "price", what, one.share(one.units))
            else:
                yield from parts.entries(about, what)
        back = given_back(line)
        if cancelled := line.count("cancelled"):
            yield Entry(about, "cancelled", f"{cancelled} cancelled", -back)
        owed += line.minor - back
    wanted = any(line.count("cancelled") != line.quantity for line in order.lines.values())
    for charge in order.charges:
        if charge.parts is None:
            yield Entry(charge.name, "price", "", charge.minor)
        else:
            yield from charge.parts.entries(charge.name, "")
        if not wanted:
            yield Entry(charge.name, "charge", "falls away with the last unit", -charge.minor)
        owed += charge.minor if wanted else 0
    if order.credits:
        yield Entry("credit", "credit", "granted", -order.credits)
    if lapsed := due(order) - (owed - order.credits):
        yield Entry("credit", "credit", "lapsed: more than what is left", lapsed)
