"""The laws of prices: what a line or a charge is made of adds up, its taxes are what their rates say, all is told."""

from __future__ import annotations

from fractions import Fraction

from ..orders.model import Order
from ..pricing.model import Parts
from ..pricing.terms import PPM
from .reading import Findings


def price_laws(order: Order) -> Findings:
    """M7 for prices, reckoned once more by fractions and not by the code that made them."""
    unit = order.pricing is not None and order.pricing.rounding.tax_at == "unit"
    for line in order.lines.values():
        for one in line.shares:
            if one.parts is not None:
                yield from _parts(f"line {line.line_id}", one.parts, one.minor, one.of if unit else 1)
    for charge in order.charges:
        if charge.parts is not None:
            yield from _parts(charge.name, charge.parts, charge.minor, 1)
    explained, owed = order.explain().minor, order.due.minor
    if explained != owed:
        yield "M7", f"{owed} is due, but {explained} of it is explained"


def _parts(name: str, parts: Parts, minor: int, roundings: int) -> Findings:
    taken = sum(given.minor for given in parts.discounts)
    tax = sum(one.minor for one in parts.taxes)
    made = parts.goods - taken + (0 if parts.inclusive else tax)
    if made != minor:
        yield "M7", f"{name}: {minor} is charged, but its price, discounts and taxes make {made}"
    if any(given.minor <= 0 for given in parts.discounts):
        yield "M7", f"{name}: a discount takes nothing off, or adds to the price"
    if taken > max(parts.goods, 0):
        yield "M7", f"{name}: {taken} is taken off a price of {parts.goods}"
    rate = Fraction(1)
    for one in parts.taxes:
        rate += (rate if one.compound else 1) * Fraction(one.ppm, PPM)
    exact = (parts.goods - taken) * (rate - 1) / (rate if parts.inclusive else 1)
    # A unit's share of the amount is itself within a cent of exact.
    if abs(tax - exact) >= roundings + (rate - 1) * (roundings > 1):
        yield "M7", f"{name}: its taxes are {tax}, but their rates make {float(exact):.2f}"
