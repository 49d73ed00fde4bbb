"""From prices, discounts and taxes to amounts: pure, in whole minor units, and every cent accounted for.

Discounts come first, in their order, then taxes on what they have left.  An order's discount is spread over its lines
in proportion, so that each line knows its own part and nothing is ever reckoned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field

from ..errors import InvalidInput
from ..money import (
    AMOUNT_MINOR_MAX,
    AmountTooLarge,
    CurrencyMismatch,
    Money,
    UnitPrice,
    check_quantity,
    exponent,
    round_ratio,
)
from ..values import frozen
from .discounting import give, give_one, targets_of
from .model import NotGiven, Priced, PricedCharge, PricedLine, PriceTerms
from .targets import Target, factors_of, foreign
from .taxing import taxed
from .terms import (
    PRICES,
    Adjustment,
    Discount,
    RoundingPolicy,
    Surcharge,
    Tax,
    adjustments_of,
    discounts_of,
    rounding_of,
    taxes_of,
    unit_price_of,
)


@frozen(kw_only=True)
class Goods:
    """Something to be priced, outside an order."""

    unit_price: UnitPrice = field(converter=unit_price_of)
    quantity: int = 1
    line_id: str = ""
    taxes: tuple[Tax, ...] | None = field(default=(), converter=taxes_of)
    discounts: tuple[Discount, ...] = field(default=(), converter=discounts_of)
    minimum_price: UnitPrice | None = field(default=None, converter=unit_price_of)
    """The lowest price of one, as prices are told: discounts stop there."""

    def __attrs_post_init__(self) -> None:
        check_quantity(self.quantity)
        check_sold(self)


def check_sold(sold: Any) -> None:
    """Raises `InvalidInput` or `CurrencyMismatch` for a price that cannot be one."""
    price, lowest = sold.unit_price, sold.minimum_price
    if not isinstance(price, UnitPrice):
        raise InvalidInput(f"unit_price must be Money or UnitPrice (got {type(price).__name__})")
    if price.micros < 0:
        raise InvalidInput(f"unit_price must not be below zero (got {price}); use a credit instead")
    if lowest is not None:
        if not isinstance(lowest, UnitPrice):
            raise InvalidInput(f"minimum_price must be Money or UnitPrice (got {type(lowest).__name__})")
        if lowest.currency != price.currency:
            raise CurrencyMismatch(f"the price is in {price.currency}, the minimum price in {lowest.currency}")
        if lowest.micros < 0:
            raise InvalidInput(f"minimum_price must not be below zero (got {lowest})")


def price(
    lines: Sequence[Goods],
    *,
    currency: str,
    adjustments: Iterable[Adjustment] = (),
    shipping: Money | Surcharge | None = None,
    prices: str = "inclusive",
    rounding: RoundingPolicy | str = "standard",
) -> Priced:
    """Price some lines, with what is on all of them.

    `adjustments` are applied in their order after the lines' own discounts.  `prices` tells whether all prices and
    discounts are told with tax in them.  `rounding` is a policy, or the name of one of `PRESETS`.

    A discount never takes a line below its minimum price, or below nothing; what was not given is told in `not_given`.
    Raises `InvalidInput`, `CurrencyMismatch`, or `AmountTooLarge` over 10**15 minor units.
    """
    ids = [line.line_id or str(n) for n, line in enumerate(lines, 1)]
    return reckon(
        lines,
        ids,
        [line.taxes or () for line in lines],
        currency=currency,
        adjustments=adjustments,
        shipping=shipping,
        prices=prices,
        rounding=rounding,
    )


def reckon(
    lines: Sequence[Any],
    ids: Sequence[str],
    taxes: Sequence[tuple[Tax, ...]],
    *,
    currency: str,
    adjustments: Iterable[Adjustment],
    shipping: Money | Surcharge | None,
    prices: str,
    rounding: RoundingPolicy | str,
    classes: Sequence[str] = (),
) -> Priced:
    """As `price`, for any lines that have the price fields of `Goods`, with these ids, taxes and classes."""
    policy = rounding_of(rounding)
    if prices not in PRICES:
        raise InvalidInput(f"prices must be inclusive or exclusive (got {prices!r:.60})")
    inclusive = prices == "inclusive"
    adjusted = adjustments_of(tuple(adjustments))
    targets = _targets(lines, ids, taxes, currency, policy, inclusive)
    for target, tax_class in zip(targets, classes, strict=False):
        target.tax_class = tax_class
    charges = [_charge(one, currency, inclusive) for one in _surcharges(shipping, adjusted)]
    factors = factors_of([*targets, *charges])
    told: list[NotGiven] = []
    for line, target in zip(lines, targets, strict=True):
        for discount in line.discounts:
            give_one(discount, target, currency, policy, told)
    for one in adjusted:
        if isinstance(one, Discount):
            give(
                one,
                targets_of(one, targets, charges[:1] if shipping is not None else []),
                currency,
                policy,
                factors,
                told,
            )
    priced = [*targets, *charges]
    parts = taxed(priced, policy, factors)
    if abs(sum([target.minor for target in priced])) > AMOUNT_MINOR_MAX:
        raise AmountTooLarge(f"the total exceeds {AMOUNT_MINOR_MAX} minor units; split it")
    n = len(targets)
    return Priced(
        currency=currency,
        terms=PriceTerms(inclusive=inclusive, rounding=policy, not_given=tuple(told)),
        lines=tuple(
            PricedLine(line_id=target.id, quantity=target.quantity, unit_price=line.unit_price, parts=part)
            for line, target, part in zip(lines, targets, parts[:n], strict=True)
        ),
        charges=tuple(
            PricedCharge(name=charge.id, parts=part) for charge, part in zip(charges, parts[n:], strict=True)
        ),
    )


# Reading.


def _targets(
    lines: Sequence[Any],
    ids: Sequence[str],
    taxes: Sequence[tuple[Tax, ...]],
    currency: str,
    policy: RoundingPolicy,
    inclusive: bool,  # noqa: FBT001 - as in Target
) -> list[Target]:
    mode: Any = policy.price
    micros_per_minor = 10 ** (6 - exponent(currency))
    targets: list[Target] = []
    for line, id, taken in zip(lines, ids, taxes, strict=True):
        unit_price, quantity = line.unit_price, line.quantity
        if unit_price.currency != currency:
            raise foreign("a price", unit_price.currency, currency)
        # As `UnitPrice.times` does, without making Money of it: this runs for every line.
        goods = round_ratio(unit_price.micros * quantity, micros_per_minor, mode)
        if goods > AMOUNT_MINOR_MAX:
            raise AmountTooLarge(f"line {id} exceeds {AMOUNT_MINOR_MAX} minor units; split it")
        target = Target(id, goods, quantity, taken, inclusive)
        if line.minimum_price is not None:
            # Rounded up: what is left is never below it.
            target.floor = min(line.minimum_price.times(quantity, "up").minor, goods)
        targets.append(target)
    return targets


def _surcharges(shipping: Money | Surcharge | None, adjustments: Iterable[Adjustment]) -> list[Surcharge]:
    first = (
        [] if shipping is None else [shipping if isinstance(shipping, Surcharge) else Surcharge("shipping", shipping)]
    )
    return [*first, *(one for one in adjustments if isinstance(one, Surcharge))]


def _charge(one: Surcharge, currency: str, inclusive: bool) -> Target:  # noqa: FBT001 - as in Target
    if one.amount.currency != currency:
        raise foreign(one.name, one.amount.currency, currency)
    with_tax = one.prices == "inclusive" if one.prices else inclusive
    return Target(one.name, one.amount.minor, 1, one.taxes or (), with_tax)
