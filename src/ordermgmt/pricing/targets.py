"""A line or a charge while it is priced, and several taxes as one factor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..money import CurrencyMismatch
from ..values import frozen
from .model import Given
from .terms import PPM, Tax


class Target:
    """A line or a charge while it is priced."""

    __slots__ = ("floor", "gives", "goods", "id", "inclusive", "now", "quantity", "tax", "tax_class", "taxes")

    def __init__(self, id: str, goods: int, quantity: int, taxes: tuple[Tax, ...], inclusive: bool) -> None:  # noqa: FBT001 - told by position, this runs for every line
        self.id = id
        self.goods = self.now = goods
        self.quantity = quantity
        self.taxes = taxes
        self.inclusive = inclusive
        self.floor = 0
        self.gives: list[Given] = []
        self.tax = 0
        self.tax_class = ""

    @property
    def minor(self) -> int:
        """What is to be paid, once it is taxed."""
        return self.now if self.inclusive else self.now + self.tax


@frozen
class Factor:
    """Several taxes as one: ``weight / denominator`` of the net; `weights` are the taxes' own parts of it."""

    taxes: tuple[Tax, ...]
    weights: tuple[int, ...]
    weight: int
    denominator: int

    @classmethod
    def of(cls, taxes: tuple[Tax, ...]) -> Factor:
        weights: list[int] = []
        weight, denominator = 0, PPM
        for tax in taxes:
            if tax.compound:
                more = (denominator + weight) * tax.ppm
                weights = [one * PPM for one in weights]
                weight, denominator = weight * PPM, denominator * PPM
            else:
                more = tax.ppm * (denominator // PPM)
            weights.append(more)
            weight += more
        return cls(taxes, tuple(weights), weight, denominator)


def factors_of(targets: Iterable[Target]) -> dict[int, Factor]:
    """By the identity of the taxes: lines share their tuples, and to compare these for each line costs most of all.

    The same taxes in another tuple are given the same factor, so that they count as one group.
    """
    factors: dict[int, Factor] = {}
    known: dict[tuple[Tax, ...], Factor] = {}
    for target in targets:
        taxes = target.taxes
        if taxes and id(taxes) not in factors:
            factor = known.get(taxes)
            if factor is None:
                factor = known[taxes] = Factor.of(taxes)
            factors[id(taxes)] = factor
    return factors


def character(target: Target) -> Any:
    """What decides who is given a cent that several have an equal right to: never the place in the order."""
    return (-target.now, target.quantity, [(tax.ppm, tax.compound, tax.name) for tax in target.taxes], -target.floor)


def foreign(what: str, one: str, other: str) -> CurrencyMismatch:
    """The refusal of an amount in another currency."""
    return CurrencyMismatch(f"an order has one currency; {what} is in {one}, the order in {other}")
