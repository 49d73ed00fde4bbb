"""What a price is made of: taxes, discounts, surcharges, and where the cents are rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from attrs import field
from attrs.validators import optional

from ..engine.messages import check_text, checked_choice, checked_text, checked_type, is_listed, shorten
from ..errors import InvalidInput
from ..money import Money, Rounding, UnitPrice, scaled
from ..values import frozen

PPM: Final = 1_000_000
"""Rates are kept in parts per million: 1 % is 10,000 of them, so that a percentage may have four decimals."""

RATE_PPM_MAX: Final = 10 * PPM
"""The highest tax rate: 1,000 %."""

TAXES_MAX: Final = 10
"""The most taxes on one line."""

DISCOUNTS_MAX: Final = 50
"""The most discounts on one line, and the most adjustments of one order."""

ONLY_MAX: Final = 10_000
"""The most lines that one discount names."""

Percent = str | int | Decimal
"""A percentage as one writes it: ``19``, ``"9.975"``; never a float."""

Prices = Literal["inclusive", "exclusive"]
"""Whether prices are told with the tax in them, or without."""

PRICES: Final = get_args(Prices)
ROUNDINGS: Final = get_args(Rounding)
TAX_AT: Final = ("unit", "line", "order")
ON: Final = ("lines", "shipping", "everything")


def _parts_per_million(percent: Any, highest: int, whose: str) -> int:
    if isinstance(percent, str | Decimal) or percent.__class__ is int:
        ppm = scaled(percent, 4, whose)
        if 0 <= ppm <= highest:
            return ppm
        raise InvalidInput(f"{whose} is {shorten(percent)} %; give 0 to {highest // 10_000}")
    raise InvalidInput(f"{whose} is {shorten(percent)}; give a percentage as str, int or Decimal, such as '9.975'")


def percentage(ppm: int) -> str:
    """Parts per million as people read them: ``"9.975 %"``."""
    whole, part = divmod(ppm, 10_000)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".") + " %"


@frozen
class Tax:
    """One tax: its name and its rate in percent, with up to four decimals.

    Several on one line are each reckoned on the net; a `compound` one on the net and all taxes named before it.
    """

    name: str = field(validator=checked_text)
    percent: Percent
    compound: bool = field(default=False, kw_only=True, validator=checked_type(bool))
    ppm: int = field(init=False, eq=False, repr=False)
    """The rate in parts per million."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "ppm", _parts_per_million(self.percent, RATE_PPM_MAX, "a tax rate"))


def several(values: Any, wanted: type[Any], name: str, most: int) -> tuple[Any, ...]:
    """The values as a tuple, all of them of one type and not too many; raises `InvalidInput`."""
    if not is_listed(values):
        raise InvalidInput(f"{name} must be a list of {wanted.__name__} (got {type(values).__name__})")
    # What is a tuple already stays the same object: lines that share their taxes are priced faster.
    given: tuple[Any, ...] = values if isinstance(values, tuple) else tuple(islice(values, most + 1))
    if len(given) > most:
        raise InvalidInput(f"{name} holds more than the {most} that are allowed")
    for value in given:
        if not isinstance(value, wanted):
            raise InvalidInput(f"{name} must hold {wanted.__name__} only (got {type(value).__name__})")
    return given


def taxes_of(taxes: Iterable[Tax] | None) -> tuple[Tax, ...] | None:
    """Several taxes of one line, as a converter; None stays None: the tax class decides."""
    return None if taxes is None else several(taxes, Tax, "taxes", TAXES_MAX)


def _not_negative(_instance: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, Money):
        raise InvalidInput(f"{attribute.name} must be Money (got {type(value).__name__})")
    if value.minor < 0:
        raise InvalidInput(f"{attribute.name} must not be below zero (got {value})")


def _line_ids(ids: Iterable[str]) -> tuple[str, ...]:
    if not is_listed(ids):
        raise InvalidInput(f"only must be a list of line ids (got {type(ids).__name__})")
    told = tuple(islice(ids, ONLY_MAX + 1))  # however many come
    if not told and not isinstance(ids, tuple):  # the tuple is the default, and means all
        raise InvalidInput("only is empty; name its lines, or leave out the discount (without only it is on all lines)")
    if len(told) > ONLY_MAX:
        raise InvalidInput(f"only holds more than the {ONLY_MAX} lines an order may have")
    return told


@frozen
class Discount:
    """Something off a price: an `amount`, a `percent`, or `down_to` a fixed price; exactly one of the three.

    On a line it is the line's; among an order's adjustments it is spread over the lines, over shipping, or both.
    Discounts follow each other: a percentage is of what the ones before have left.
    """

    name: str = field(validator=checked_text)
    amount: Money | None = field(default=None, kw_only=True, validator=optional(_not_negative))
    percent: Percent | None = field(default=None, kw_only=True)
    down_to: Money | None = field(default=None, kw_only=True, validator=optional(_not_negative))
    """What is left to pay of what it is on; nothing is given where that is less already."""
    each: bool = field(default=False, kw_only=True, validator=checked_type(bool))
    """True: `amount` or `down_to` are for one unit; False: for all together."""
    most: Money | None = field(default=None, kw_only=True, validator=optional(_not_negative))
    """It is capped at this much."""
    on: str = field(default="lines", kw_only=True, validator=checked_choice(*ON))
    """What an order's discount is on: lines, shipping or everything (both).  Surcharges are never discounted."""
    only: tuple[str, ...] = field(default=(), kw_only=True, converter=_line_ids)
    """The ids of the lines it is on; left out, all.  An empty list is refused: a filter that finds none is not all."""
    groups_of: int = field(default=0, kw_only=True)
    """It is only for whole groups of so many units, counted over its lines in their order; 0 for no groups.
    `amount` and `down_to` are then for one group, or with `each` for one unit in a group."""
    ppm: int = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if sum(way is not None for way in (self.amount, self.percent, self.down_to)) != 1:
            raise InvalidInput(f"discount {self.name}: give exactly one of amount, percent and down_to")
        ppm = 0 if self.percent is None else _parts_per_million(self.percent, PPM, "a discount")
        object.__setattr__(self, "ppm", ppm)
        if self.groups_of.__class__ is not int or not 0 <= self.groups_of <= 10**9:
            raise InvalidInput(f"groups_of must be an int from 0 to 10**9 (got {shorten(self.groups_of)})")
        if self.on != "lines" and (self.only or self.groups_of or self.each):
            raise InvalidInput(f"discount {self.name}: only, groups_of and each are for discounts on lines")
        for line_id in self.only:
            check_text(line_id, "a line id in only")


@frozen
class Surcharge:
    """An amount beside the lines, with a tax of its own: wrapping, a fee, shipping.  Below zero it is an allowance."""

    name: str = field(validator=checked_text)
    amount: Money = field(validator=checked_type(Money))
    taxes: tuple[Tax, ...] | None = field(default=None, kw_only=True, converter=taxes_of)
    """Its taxes; None where its tax class decides."""
    tax_class: str = field(default="", kw_only=True)
    prices: str = field(default="", kw_only=True)
    """Whether its amount includes tax; empty where it is as the order's prices are."""

    def __attrs_post_init__(self) -> None:
        check_text(self.tax_class, "tax_class", empty=True)
        if self.prices not in ("", *PRICES):
            raise InvalidInput(f"prices must be inclusive, exclusive or empty (got {shorten(self.prices)})")


Adjustment = Discount | Surcharge


@frozen(kw_only=True)
class RoundingPolicy:
    """Where cents are rounded, and which way."""

    tax_at: str = field(default="line", validator=checked_choice(*TAX_AT))
    """Where tax is rounded: for each unit, for each line (and charge), or once for all lines and charges of an order
    that have the same taxes, as an invoice shows them (EN 16931, BT-117); the cents are then spread over them."""
    tax: str = field(default="half_up", validator=checked_choice(*ROUNDINGS))
    """How tax is rounded."""
    rounds_net: bool = field(default=False, validator=checked_type(bool))
    """Where prices include tax: True rounds the net amount and the tax is the rest; False rounds the tax."""
    price: str = field(default="half_up", validator=checked_choice(*ROUNDINGS))
    """How price × quantity is rounded, where the price is finer than the currency."""
    discount: str = field(default="half_up", validator=checked_choice(*ROUNDINGS))
    """How a percentage off is rounded; ``half_down`` is the same as rounding what is left half up."""
    spread_by: str = field(default="price", validator=checked_choice("price", "gross"))
    """By which amounts an order's discount is spread: as prices are told, or always with tax."""


PRESETS: Mapping[str, RoundingPolicy] = MappingProxyType(
    {
        "standard": RoundingPolicy(),
        # Flat rates of Saleor: each line's tax is quantized half up.
        "saleor": RoundingPolicy(),
        # Vendure rounds what it reckons, the gross of a net price and the net of a gross one; so does a percentage,
        # which leaves half a cent with the shop.  Order discounts are spread by amounts with tax.
        "vendure": RoundingPolicy(rounds_net=True, discount="half_down", spread_by="gross"),
        # Medusa reckons with exact decimals to the end.
        "medusa": RoundingPolicy(tax_at="order"),
        # "Order item level" of Sylius; and Solidus.
        "sylius": RoundingPolicy(),
        "solidus": RoundingPolicy(),
        # django-oscar rounds discounts down.
        "oscar": RoundingPolicy(discount="down"),
        "unit": RoundingPolicy(tax_at="unit"),
        "invoice": RoundingPolicy(tax_at="order"),
    }
)
"""Policies by the name of the system that rounds so, and three plain ones: standard (each line), unit, invoice."""


def rounding_of(policy: Any) -> RoundingPolicy:
    """A policy, or the preset of that name; raises `InvalidInput`.  A converter."""
    if isinstance(policy, RoundingPolicy):
        return policy
    if policy.__class__ is str and policy in PRESETS:
        return PRESETS[policy]
    raise InvalidInput(f"rounding must be a RoundingPolicy or one of {', '.join(PRESETS)} (got {shorten(policy)})")


def unit_price_of(price: Any) -> Any:
    """Money as a unit price; whatever else it is stays, to be refused.  A converter."""
    return UnitPrice.of(price) if price.__class__ in (Money, UnitPrice) else price


def discounts_of(discounts: Iterable[Discount]) -> tuple[Discount, ...]:
    """A line's own discounts.  A converter; raises `InvalidInput`."""
    if discounts.__class__ is tuple and not discounts:
        return ()
    checked: tuple[Discount, ...] = several(discounts, Discount, "discounts", DISCOUNTS_MAX)
    for discount in checked:
        if discount.on != "lines" or discount.only:
            raise InvalidInput(f"discount {discount.name} is on one line; on and only are for an order's adjustments")
    return checked


def adjustments_of(adjustments: Iterable[Adjustment]) -> tuple[Adjustment, ...]:
    """An order's adjustments.  A converter; raises `InvalidInput`."""
    given: Any = adjustments
    if not is_listed(given):
        raise InvalidInput(f"adjustments must be a list (got {type(adjustments).__name__})")
    several_of: tuple[Any, ...] = tuple(islice(given, DISCOUNTS_MAX + 1))
    if len(several_of) > DISCOUNTS_MAX:
        raise InvalidInput(f"an order has at most {DISCOUNTS_MAX} adjustments (got more)")
    for one in several_of:
        if not isinstance(one, Discount | Surcharge):
            raise InvalidInput(f"adjustments must hold Discount and Surcharge only (got {type(one).__name__})")
    return several_of
