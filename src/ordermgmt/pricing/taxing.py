"""Taxes on what discounts have left, rounded once where the policy says, and split by their rates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..money import round_ratio
from .model import Parts, TaxPart
from .proration import prorate, settle
from .targets import Factor, Target, character
from .terms import RoundingPolicy


def taxed(targets: list[Target], policy: RoundingPolicy, factors: dict[int, Factor]) -> list[Parts]:
    """The parts of each, with its taxes, rounded where the policy says."""
    if policy.tax_at == "order":
        _tax_together(targets, policy, factors)
    else:
        for target in targets:
            if target.taxes:
                factor = factors[id(target.taxes)]
                if policy.tax_at == "line" or target.quantity == 1:
                    target.tax = _tax(target.now, target.inclusive, factor, policy)
                else:
                    target.tax = _tax_of_units(target, factor, policy)
    return [
        Parts(
            goods=target.goods,
            inclusive=target.inclusive,
            discounts=tuple(target.gives),
            taxes=_by_tax(target.tax, factors[id(target.taxes)]) if target.taxes else (),
            tax_class=target.tax_class,
        )
        for target in targets
    ]


def _tax(amount: int, inclusive: bool, factor: Factor, policy: RoundingPolicy) -> int:  # noqa: FBT001 - as in Target
    """The taxes on an amount, rounded once."""
    mode: Any = policy.tax
    if not inclusive:
        return round_ratio(amount * factor.weight, factor.denominator, mode)
    whole = factor.denominator + factor.weight
    if policy.rounds_net:
        return amount - round_ratio(amount * factor.denominator, whole, mode)
    return round_ratio(amount * factor.weight, whole, mode)


def _tax_of_units(target: Target, factor: Factor, policy: RoundingPolicy) -> int:
    """Each unit's tax, rounded, and added up.  The shares of a line's units are of two sizes, a cent apart."""
    low, larger = divmod(target.now, target.quantity)
    tax = (target.quantity - larger) * _tax(low, target.inclusive, factor, policy)
    return tax + (larger * _tax(low + 1, target.inclusive, factor, policy) if larger else 0)


def _tax_together(targets: Iterable[Target], policy: RoundingPolicy, factors: dict[int, Factor]) -> None:
    """What has the same taxes is taxed as one amount, and the tax spread over it."""
    groups: dict[tuple[int, bool], list[Target]] = {}
    by_key: dict[int, Factor] = {}
    for target in targets:
        if target.taxes:
            factor = factors[id(target.taxes)]
            by_key[id(factor)] = factor
            groups.setdefault((id(factor), target.inclusive), []).append(target)
    for (key, inclusive), group in groups.items():
        factor = by_key[key]
        tax = _tax(sum(target.now for target in group), inclusive, factor, policy)
        whole = factor.denominator + (factor.weight if inclusive else 0)
        exact = [target.now * factor.weight for target in group]
        characters = [character(target) for target in group]
        for target, part in zip(group, settle(tax, exact, whole, characters.__getitem__), strict=True):
            target.tax = part


def _by_tax(tax: int, factor: Factor) -> tuple[TaxPart, ...]:
    """One line's tax as the taxes it is made of."""
    taxes = factor.taxes
    if len(taxes) == 1:
        (one,) = taxes
        return (TaxPart(one.name, one.ppm, tax, one.compound),)
    if not tax or not factor.weight:
        return tuple(TaxPart(one.name, one.ppm, 0, one.compound) for one in taxes)
    split = prorate(tax, factor.weights)
    return tuple(TaxPart(one.name, one.ppm, minor, one.compound) for one, minor in zip(taxes, split, strict=True))
