"""A discount taken off what it is on, in proportion and never below the lowest price; what was not given is told."""

from __future__ import annotations

from ..errors import InvalidInput
from ..money import Money, cumulative, round_ratio
from .model import Given, NotGiven
from .proration import pour
from .targets import Factor, Target, character, foreign
from .terms import PPM, Discount, RoundingPolicy


def targets_of(discount: Discount, lines: list[Target], shipping: list[Target]) -> list[Target]:
    """What an order's discount is on."""
    if discount.on == "shipping":
        return shipping
    if discount.on == "everything":
        return lines + shipping
    if not discount.only:
        return lines
    wanted = set(discount.only)
    eligible = [line for line in lines if line.id in wanted]
    if len(eligible) < len(wanted):
        unknown = sorted(wanted - {line.id for line in eligible})
        raise InvalidInput(f"discount {discount.name} is on lines that the order does not have: {', '.join(unknown)}")
    return eligible


def give(
    discount: Discount,
    targets: list[Target],
    currency: str,
    policy: RoundingPolicy,
    factors: dict[int, Factor],
    told: list[NotGiven],
) -> None:
    """Take a discount off what it is on, and tell what could not be given."""
    units = [target.quantity for target in targets]
    bases = [target.now for target in targets]
    groups = 1
    if discount.groups_of:
        groups = sum(units) // discount.groups_of
        units = _grouped(units, groups * discount.groups_of)
        bases = [
            cumulative(target.now, n, target.quantity) if n else 0 for target, n in zip(targets, units, strict=True)
        ]
    bases = [max(base, 0) for base in bases]
    rooms = [max(target.now - target.floor, 0) for target in targets]
    weights = bases
    amount = _checked(discount.amount, discount, currency)
    down_to = _checked(discount.down_to, discount, currency)
    if amount is not None and discount.each:
        weights = [amount.minor * n for n in units]
        wanted = sum(weights)
        rooms = [min(room, one) for room, one in zip(rooms, weights, strict=True)]
    elif amount is not None:
        wanted = amount.minor * groups
    elif down_to is not None:
        weights = (
            [max(base - down_to.minor * n, 0) for base, n in zip(bases, units, strict=True)] if discount.each else bases
        )
        wanted = sum(weights) if discount.each else max(sum(bases) - down_to.minor * groups, 0)
    else:
        wanted = round_ratio(sum(bases) * discount.ppm, PPM, policy.discount)  # type: ignore[arg-type]  # as in _targets
    most = _checked(discount.most, discount, currency)
    if most is not None:
        wanted = min(wanted, most.minor)
    if policy.spread_by == "gross" and weights is bases and len(targets) > 1:
        weights = [_gross(target, base, policy, factors) for target, base in zip(targets, bases, strict=True)]
    given = pour(wanted, weights, rooms, lambda n: character(targets[n]))
    for target, minor in zip(targets, given, strict=True):
        if minor:
            target.now -= minor
            target.gives.append(Given(discount.name, minor))
    if missing := wanted - sum(given):
        at_floor = tuple(target.id for target in targets if target.floor and target.now == target.floor)
        told.append(NotGiven(discount.name, missing, at_floor))


def _checked(amount: Money | None, discount: Discount, currency: str) -> Money | None:
    if amount is not None and amount.currency != currency:
        raise foreign(f"discount {discount.name}", amount.currency, currency)
    return amount


def _grouped(units: list[int], left: int) -> list[int]:
    """How many of each line's units stand in whole groups, counted in the lines' order."""
    grouped: list[int] = []
    for n in units:
        taken = min(n, left)
        grouped.append(taken)
        left -= taken
    return grouped


def _gross(target: Target, base: int, policy: RoundingPolicy, factors: dict[int, Factor]) -> int:
    factor = factors.get(id(target.taxes))
    if factor is None or target.inclusive:
        return base
    return base + round_ratio(base * factor.weight, factor.denominator, policy.tax)  # type: ignore[arg-type]  # as in _targets
