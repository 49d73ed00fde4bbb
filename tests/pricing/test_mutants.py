"""Faults as they are made in pricing: each is planted, and at least one row or claim must find it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve

from ordermgmt.pricing import discounting, proration, reckoning, taxing
from ordermgmt.pricing.model import Parts, TaxPart
from ordermgmt.pricing.targets import Target
from tests.pricing import test_prices as claims
from tests.scenarios import test_prices as rows

Plant = Callable[[pytest.MonkeyPatch], None]


def cases(module: ModuleType) -> Iterator[Callable[[], None]]:
    """Every test of a module with every row it is given."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or not inspect.isfunction(test):
            continue
        tables = []
        for mark in getattr(test, "pytestmark", []):
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
            tables.append([dict(zip(names, row if len(names) > 1 else (row,), strict=True)) for row in mark.args[1]])
        for several in product(*tables):
            yield partial(test, **{name: value for one in several for name, value in one.items()})


def found() -> bool:
    """Whether any case fails."""
    for case in (*cases(rows), *cases(claims)):
        try:
            case()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however a fault shows itself
            return True
    return False


def wrapped(owner: Any, name: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Plant:
    return lambda patch: patch.setattr(owner, name, change(getattr(owner, name)))


def replaced(owner: Any, name: str, value: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def with_policy(**terms: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The tax of another policy."""
    return lambda tax: lambda amount, inclusive, factor, policy: tax(amount, inclusive, factor, evolve(policy, **terms))


class Bottomless(Target):
    """A line whose lowest price is forgotten."""

    floor = property(lambda self: 0, lambda self, value: None)


def nothing(*_args: Any) -> None:
    """Left out."""


MUTANTS: dict[str, Plant] = {
    "tax is always rounded down": wrapped(taxing, "_tax", with_policy(tax="down")),
    "tax is rounded where the net should be": wrapped(taxing, "_tax", with_policy(rounds_net=False)),
    "tax in the price is added to it": wrapped(taxing, "_tax", lambda tax: lambda a, i, f, p: tax(a, False, f, p)),
    "tax is rounded for the line, not the unit": replaced(
        taxing,
        "_tax_of_units",
        lambda target, factor, policy: taxing._tax(target.now, target.inclusive, factor, policy),
    ),
    "the first tax gets all of it": replaced(
        taxing, "_by_tax", lambda tax, factor: (TaxPart(factor.taxes[0].name, factor.taxes[0].ppm, tax),)
    ),
    "the tax of an order is not rounded together": replaced(
        taxing, "_tax_together", lambda targets, policy, factors: None
    ),
    "the cents of several taxes are cut off": replaced(
        taxing, "prorate", lambda minor, weights: [minor * one // sum(weights) for one in weights]
    ),
    "a percentage off is rounded up": wrapped(
        discounting, "round_ratio", lambda ratio: lambda a, b, mode: ratio(a, b, "up")
    ),
    "a cap is forgotten": replaced(discounting, "_capped", lambda wanted, discount, currency: wanted),
    "groups that are not whole count": replaced(discounting, "_grouped", lambda units, left: units),
    "discounts are never weighed with tax": replaced(discounting, "_gross", lambda target, base, policy, factors: base),
    "what one line cannot bear is taken from it all the same": replaced(
        discounting, "pour", lambda minor, weights, rooms, tie: proration.prorate(minor, weights, tie)
    ),
    "the odd cent goes to the smallest remainder": wrapped(
        proration, "_largest", lambda largest: lambda rest, n, tie: largest([-one for one in rest], n, tie)
    ),
    "shipping is not discounted with everything": wrapped(
        reckoning, "targets_of", lambda targets: lambda discount, lines, shipping: targets(discount, lines, [])
    ),
    "a discount for some lines is on all": replaced(
        reckoning, "targets_of", lambda discount, lines, shipping: shipping if discount.on == "shipping" else lines
    ),
    "shipping is forgotten": wrapped(
        reckoning, "_surcharges", lambda surcharges: lambda shipping, adjustments: surcharges(None, adjustments)
    ),
    "a charge is told as the order is": wrapped(
        reckoning,
        "_charge",
        lambda charge: lambda one, currency, inclusive: charge(evolve(one, prices=""), currency, inclusive),
    ),
    "the lowest price is forgotten": replaced(reckoning, "Target", Bottomless),
    "the order's discounts are applied backwards": wrapped(
        reckoning, "adjustments_of", lambda adjustments: lambda given: adjustments(given)[::-1]
    ),
    "the net is told with its tax": replaced(Parts, "net", property(lambda self: self.minor)),
    "other currencies are taken as they come": replaced(
        discounting, "_checked", lambda amount, discount, currency: amount
    ),
}


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert not found()


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[fault](monkeypatch)
    assert found(), f"nobody noticed that {fault}"
