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


def give_one(discount: Discount, target: Target, currency: str, policy: RoundingPolicy, told: list[NotGiven]) -> None:
    """Take a line's own discount off it: `give` for one line, without the spreading."""
    base, units, groups = target.now, target.quantity, 1
    if discount.groups_of:
        groups = units // discount.groups_of
        units = groups * discount.groups_of
        base = cumulative(base, units, target.quantity)
    if discount.percent is not None:
        wanted = round_ratio(base * discount.ppm, PPM, policy.discount)  # type: ignore[arg-type]  # the policy checks it
    else:
        times = units if discount.each else groups
        if (amount := _checked(discount.amount, discount, currency)) is not None:
            wanted = amount.minor * times
        else:
            down_to = _checked(discount.down_to, discount, currency)
            wanted = max(base - (down_to.minor * times if down_to is not None else 0), 0)
    uncapped = wanted
    wanted = _capped(wanted, discount, currency)
    given = min(wanted, target.now - target.floor)
    if given:
        target.now -= given
        target.gives.append(Given(discount.name, given, _ppm(discount, in_full=given == uncapped)))
    if wanted > given:
        told.append(NotGiven(discount.name, wanted - given, (target.id,) if target.floor else ()))


def give(
    discount: Discount,
    targets: list[Target],
    currency: str,
    policy: RoundingPolicy,
    factors: dict[int, Factor],
    told: list[NotGiven],
) -> None:
    """Take an order's discount off what it is on, and tell what could not be given."""
    bases = [target.now for target in targets]
    units = [target.quantity for target in targets] if discount.each or discount.groups_of else bases
    groups = 1
    if discount.groups_of:
        groups = sum(units) // discount.groups_of
        units = _grouped(units, groups * discount.groups_of)
        bases = [
            cumulative(target.now, n, target.quantity) if n else 0 for target, n in zip(targets, units, strict=True)
        ]
    uncapped, weights = _wanted(discount, bases, units, groups, currency, policy)
    wanted = _capped(uncapped, discount, currency)
    rooms = [target.now - target.floor for target in targets]
    if discount.each and discount.amount is not None:
        rooms = [min(room, weight) for room, weight in zip(rooms, weights, strict=True)]
    if policy.spread_by == "gross" and weights is bases:
        weights = [_gross(target, base, policy, factors) for target, base in zip(targets, bases, strict=True)]
    given = pour(wanted, weights, rooms, lambda n: character(targets[n]))
    name = discount.name
    ppm = _ppm(discount, in_full=sum(given) == uncapped)
    for target, minor in zip(targets, given, strict=True):
        if minor:
            target.now -= minor
            target.gives.append(Given(name, minor, ppm))
    if missing := wanted - sum(given):
        at_floor = tuple(target.id for target in targets if target.floor and target.now == target.floor)
        told.append(NotGiven(name, missing, at_floor))


def _wanted(
    discount: Discount, bases: list[int], units: list[int], groups: int, currency: str, policy: RoundingPolicy
) -> tuple[int, list[int]]:
    """What a discount comes to before it is capped, and the weights by which it is spread over what it is on."""
    if discount.percent is not None:
        return round_ratio(sum(bases) * discount.ppm, PPM, policy.discount), bases  # type: ignore[arg-type]  # the policy checks it
    if (amount := _checked(discount.amount, discount, currency)) is not None:
        if not discount.each:
            return amount.minor * groups, bases
        weights = [amount.minor * n for n in units]
        return sum(weights), weights
    down_to = _checked(discount.down_to, discount, currency)
    least = down_to.minor if down_to is not None else 0
    if not discount.each:
        return max(sum(bases) - least * groups, 0), bases
    weights = [max(base - least * n, 0) for base, n in zip(bases, units, strict=True)]
    return sum(weights), weights


def _ppm(discount: Discount, *, in_full: bool) -> int:
    """The percentage that every unit was given; 0 where some were given another part of their price."""
    return discount.ppm if in_full and not discount.groups_of else 0


def _capped(wanted: int, discount: Discount, currency: str) -> int:
    most = _checked(discount.most, discount, currency)
    return wanted if most is None else min(wanted, most.minor)


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
