"""What a customer wants and how it is paid: the words with which an order comes in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.instants import check_instant
from ..engine.messages import (
    PERSONAL,
    Command,
    check_id,
    check_text,
    checked_choice,
    checked_id,
    checked_note,
    checked_text,
    checked_type,
    is_listed,
    shorten,
)
from ..errors import InvalidInput
from ..money import CurrencyMismatch, Money, UnitPrice, check_quantity
from ..payments.messages import checked_positive, checked_token
from ..pricing.reckoning import check_sold
from ..pricing.terms import (
    PRESETS,
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
from ..values import frozen
from .model import LINES_MAX, Address, Order

GOODS = ("reserve", "later")
CONFIRM = ("when_authorised", "at_once", "by_hand")
PAY_WITHIN_MAX = timedelta(days=3650)
EXTERNAL_MAX = 200
TENDERS_MAX = 10_000


# How an order is paid.


@frozen
class Tender:
    """One way to pay a part of an order: a gateway of the shop, and the provider's token for the customer."""

    gateway: str = field(validator=checked_text)
    token: str = field(kw_only=True, validator=checked_token, repr=False)
    amount: Money | None = field(default=None, kw_only=True, validator=optional(checked_positive))
    """What it pays; None is the rest."""
    sale: bool = field(default=False, kw_only=True, validator=checked_type(bool))
    """True: captured at once; False: what leaves the house is captured when it leaves."""


def _tenders(tenders: Iterable[Tender]) -> tuple[Tender, ...]:
    several = checked_list(tenders, Tender, "tenders", TENDERS_MAX)
    if len(several) > TENDERS_MAX:
        raise InvalidInput(f"an order is paid with at most {TENDERS_MAX} tenders (got more)")
    return several


@frozen
class PayNow:
    """Paid through gateways when the order is placed."""

    tenders: tuple[Tender, ...] = field(converter=_tenders)

    def __attrs_post_init__(self) -> None:
        if not self.tenders:
            raise InvalidInput("PayNow needs at least one Tender")
        if sum(tender.amount is None for tender in self.tenders) > 1:
            raise InvalidInput("only one tender can pay the rest; give the others an amount")


@frozen(kw_only=True)
class OnAccount:
    """Paid later against an invoice."""

    days: int = 30
    reference: str = field(default="", validator=checked_note)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.days, bool) or not isinstance(self.days, int) or not 0 <= self.days <= 3650:
            raise InvalidInput(f"days must be a whole number from 0 to 3650 (got {shorten(self.days)})")


@frozen(kw_only=True)
class PaidElsewhere:
    """Paid without us: cash, a marketplace, a bank transfer that has arrived."""

    method: str = field(validator=checked_text)
    amount: Money = field(validator=checked_positive)
    reference: str = field(default="", validator=checked_note)


Pay = PayNow | OnAccount | PaidElsewhere


# Entry.


def checked_external(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: a channel's own id, text that may be empty, of at most 200 characters."""
    check_text(value, attribute.name, longest=EXTERNAL_MAX, empty=True)


def checked_span(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: a span of time above zero, of at most ten years."""
    if not isinstance(value, timedelta):
        raise InvalidInput(f"{attribute.name} must be timedelta (got {shorten(value)})")
    if not timedelta(0) < value <= PAY_WITHIN_MAX:
        raise InvalidInput(f"{attribute.name} must be above zero and at most {PAY_WITHIN_MAX.days} days")


def requested(at: datetime | None) -> DateTime | None:
    """An attrs converter: when somebody wants to have the goods."""
    return None if at is None else check_instant(at, "requested_at")


@frozen(kw_only=True)
class Line:
    """What is wanted: a SKU, how many, and the price of one (`Money`, or `UnitPrice` with up to 6 decimals)."""

    sku: str = field(validator=checked_text)
    quantity: int
    unit_price: UnitPrice = field(converter=unit_price_of)
    line_id: str = ""
    """The host's id for the line; by default its number, from ``"1"``."""
    external: str = field(default="", validator=checked_external)
    """The channel's own id of the line: no other line of the channel may have it."""
    reference: str = field(default="", validator=checked_note)
    """The buyer's own number of the line."""
    requested_at: DateTime | None = field(default=None, converter=requested)
    """When the buyer wants to have it, if that is not when they want the rest."""
    taxes: tuple[Tax, ...] | None = field(default=None, converter=taxes_of)
    """Its taxes; None where its tax class decides, or the item's."""
    tax_class: str = ""
    """What the shop's tax rates call it; empty where the item tells it."""
    discounts: tuple[Discount, ...] = field(default=(), converter=discounts_of)
    """What is off this line, before the order's own discounts."""
    minimum_price: UnitPrice | None = field(default=None, converter=unit_price_of)
    """The lowest price of one: discounts stop there."""

    def __attrs_post_init__(self) -> None:
        check_quantity(self.quantity)
        check_sold(self)
        if self.tax_class != "":
            check_text(self.tax_class, "tax_class")
        if self.line_id != "":
            check_id(self.line_id, "line_id")


def checked_list(values: Any, wanted: type[Any], name: str, most: int) -> tuple[Any, ...]:
    """The values as a tuple, at most one more of them than allowed: that is enough to refuse, however many come."""
    if not is_listed(values):
        raise InvalidInput(f"{name} must be a list of {wanted.__name__} (got {type(values).__name__})")
    several = tuple(islice(values, most + 1))
    for value in several:
        if not isinstance(value, wanted):
            raise InvalidInput(f"{name} must hold {wanted.__name__} only (got {type(value).__name__})")
    return several


def _lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    return checked_list(lines, Line, "lines", LINES_MAX)


def _instant(at: datetime | None) -> DateTime | None:
    return None if at is None else check_instant(at, "placed_at")


def _not_negative(_instance: object, attribute: Any, value: Any) -> None:
    if isinstance(value, Surcharge):
        value = value.amount
    if not isinstance(value, Money):
        raise InvalidInput(f"{attribute.name} must be Money (got {type(value).__name__})")
    if value.minor < 0:
        raise InvalidInput(f"{attribute.name} must not be below zero (got {value})")


@frozen(kw_only=True)
class OrderEntry(Command[Order]):
    """What a customer wants, whether it is drafted or placed."""

    order_id: str | None = field(default=None, validator=optional(checked_id))
    """Yours, or None to be given one."""
    lines: tuple[Line, ...] = field(converter=_lines)
    shipping: Money | Surcharge | None = field(default=None, validator=optional(_not_negative))
    """What shipping costs the customer; a charge, collected with the first parcel.  A `Surcharge` has taxes."""
    adjustments: tuple[Adjustment, ...] = field(default=(), converter=adjustments_of)
    """Discounts on the whole order and surcharges, applied in this order; their amounts are frozen with the lines'."""
    prices: str = field(default="inclusive", validator=checked_choice(*PRICES))
    """Whether prices, discounts and charges are told with tax in them (``inclusive``) or without (``exclusive``)."""
    rounding: RoundingPolicy = field(default=PRESETS["standard"], converter=rounding_of)
    """Where cents are rounded: a policy, or the name of one of `ordermgmt.pricing.PRESETS`."""
    ship_to: Address | None = field(default=None, validator=optional(checked_type(Address)), metadata=PERSONAL)
    bill_to: Address | None = field(default=None, validator=optional(checked_type(Address)), metadata=PERSONAL)
    """Where the invoice goes, if that is not where the parcel goes."""
    customer: str = field(default="", validator=checked_note)
    """The host's name for the customer; personal data is kept under it.  Empty for a guest."""
    channel: str = field(default="default", validator=checked_text)
    location: str = field(default="main", validator=checked_id)
    """Where the goods are taken from."""
    carrier: str = field(default="", validator=checked_note)
    """The carrier's name in the shop; empty where the host delivers itself.  `NotFound` where the shop has others."""
    reference: str = field(default="", validator=checked_note)
    """The buyer's own number for the order."""
    external: str = field(default="", validator=checked_external)
    """The channel's own id of the order: no other order of the channel may have it (`ReferenceTaken`)."""
    requested_at: DateTime | None = field(default=None, converter=requested)
    """When the buyer wants to have the goods."""

    def __attrs_post_init__(self) -> None:
        if self.order_id is not None and len(self.order_id) > 64:
            raise InvalidInput(f"order_id must have at most 64 characters (got {len(self.order_id)})")
        if not self.lines:
            raise InvalidInput("an order needs at least one line")
        if len(self.lines) > LINES_MAX:
            raise InvalidInput(f"an order has at most {LINES_MAX} lines (got {len(self.lines)}); split it")
        currency = self.lines[0].unit_price.currency
        for line in self.lines:
            if line.unit_price.currency != currency:
                raise CurrencyMismatch(
                    f"an order has one currency; its lines are in {currency} and {line.unit_price.currency}"
                )
        shipping = self.shipping.amount if isinstance(self.shipping, Surcharge) else self.shipping
        if shipping is not None and shipping.currency != currency:
            raise CurrencyMismatch(
                f"an order has one currency; its lines are in {currency}, shipping in {shipping.currency}"
            )
        ids = line_ids(self.lines)
        if len(set(ids)) != len(ids):
            raise InvalidInput("two lines have the same line_id; give each its own, or none")


@frozen(kw_only=True)
class PlaceOrder(OrderEntry):
    """Place an order: goods are reserved and payment is asked for, or nothing happens.

    Refused with `OutOfStock`, `UnknownSku`, `AlreadyExists`, `PaymentMismatch`, `BadAddress` or `ReferenceTaken`.  The
    channel's ids of a placed order stay its own, whatever becomes of it.
    """

    pay: Pay = field(validator=checked_type(PayNow, OnAccount, PaidElsewhere))
    confirm: str = field(default="when_authorised", validator=checked_choice(*CONFIRM))
    pay_within: timedelta | None = field(default=None, validator=optional(checked_span))
    """Expire the order if it is not confirmed by then."""
    placed_at: DateTime | None = field(default=None, converter=_instant)
    """When the customer ordered, if that was before now: for orders entered later."""
    goods: str = field(default="reserve", validator=checked_choice(*GOODS))
    """``"later"``: nothing is set aside with the placing.  The units stay open until `SetGoodsAside`, and the order is
    not confirmed before."""


def line_ids(lines: Iterable[Line]) -> list[str]:
    """The ids the lines have or are given."""
    return [line.line_id or str(n) for n, line in enumerate(lines, 1)]
