"""Words about orders: what is asked of them, and what has happened to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, ClassVar, cast

from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.instants import check_instant
from ..engine.messages import (
    PERSONAL,
    Command,
    Event,
    Key,
    News,
    Personal,
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
from ..money import QUANTITY_MAX, CurrencyMismatch, Money, UnitPrice, check_quantity
from ..payments.messages import checked_positive, checked_token
from ..pricing.model import PriceTerms
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
from .following import Asking
from .lifecycle import UNIT_ARROWS
from .model import LINES_MAX, Address, Charge, Order, OrderLine, Tally, Terms

GOODS = ("reserve", "later")
CONFIRM = ("when_authorised", "at_once", "by_hand")
PAY_WITHIN_MAX = timedelta(days=3650)
EXTERNAL_MAX = 200
TENDERS_MAX = 10_000
MOVES_MAX = 3 * LINES_MAX
"""Enough to pick, pack and hand over every line of the largest order at once."""


def order_key(order_id: str) -> Key:
    """The key of an order."""
    return ("order", order_id)


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
    several = _several(tenders, Tender, "tenders", TENDERS_MAX)
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


def _several(values: Any, wanted: type[Any], name: str, most: int) -> tuple[Any, ...]:
    """The values as a tuple, at most one more of them than allowed: that is enough to refuse, however many come."""
    if not is_listed(values):
        raise InvalidInput(f"{name} must be a list of {wanted.__name__} (got {type(values).__name__})")
    several = tuple(islice(values, most + 1))
    for value in several:
        if not isinstance(value, wanted):
            raise InvalidInput(f"{name} must hold {wanted.__name__} only (got {type(value).__name__})")
    return several


def _lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    return _several(lines, Line, "lines", LINES_MAX)


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


# Decisions about the header.


@frozen(kw_only=True)
class OrderCommand(Command[Order]):
    """What is asked of one order."""

    order_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class ConfirmOrder(OrderCommand):
    """Accept the order by hand."""


@frozen(kw_only=True)
class CancelOrder(OrderCommand):
    """Cancel the whole order: goods are released, money is voided or given back.

    Refused with `AlreadyShipped` once units have left the house; then cancel units.
    """

    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RejectOrder(OrderCommand):
    """Turn a placed order down."""

    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class ExpireOrder(OrderCommand):
    """End an order that was not paid or accepted in time.  Does nothing where the order has moved on."""


@frozen(kw_only=True)
class CloseOrder(OrderCommand):
    """Close a complete order: nothing more can happen to it."""


@frozen(kw_only=True)
class AdvanceOrder(OrderCommand):
    """Take a step that the host drew into the order's lifecycle."""

    step: str = field(validator=checked_text)
    note: str = field(default="", validator=checked_note)


# Units.


def _units(units: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(units, Mapping | tuple | list):
        raise InvalidInput(f"units must be {{line_id: quantity}} (got {type(units).__name__})")
    pairs = cast("Iterable[Any]", units.items() if isinstance(units, Mapping) else units)
    checked = tuple(_pair(pair) for pair in islice(pairs, LINES_MAX + 1))
    if not checked:
        raise InvalidInput("units must name at least one line")
    if len(checked) > LINES_MAX:
        raise InvalidInput(f"units name at most {LINES_MAX} lines (got more)")
    return checked


def _pair(pair: Any) -> tuple[str, int]:
    match pair:
        case (line_id, quantity):
            return check_id(line_id, "line_id"), check_quantity(quantity)
        case _:
            raise InvalidInput(f"units must be {{line_id: quantity}} (got {shorten(pair)} among them)")


@frozen(kw_only=True)
class CancelUnits(OrderCommand):
    """Cancel some units that have not left the house: ``units={"1": 2}``."""

    units: tuple[tuple[str, int], ...] = field(converter=_units)
    reason: str = field(default="", validator=checked_note)


@frozen
class Move:
    """Units of one line to be moved along an arrow, from one bucket to another."""

    line_id: str
    arrow: str
    quantity: int
    source: str = ""
    """From which bucket, where the arrow has several; empty: in the order they are drawn."""

    def __attrs_post_init__(self) -> None:
        if self.quantity.__class__ is not int or not 0 < self.quantity <= QUANTITY_MAX:
            check_quantity(self.quantity)  # says what is wrong; asked only then, for flows make a move per line
        if self.line_id.__class__ is not str:
            check_id(self.line_id, "line_id")
        if self.arrow.__class__ is not str or self.arrow not in UNIT_ARROWS:
            raise InvalidInput(f"there is no unit arrow {shorten(self.arrow)}; see ordermgmt.orders.UNIT_ARROWS")
        sources = UNIT_ARROWS[self.arrow].sources
        if self.source.__class__ is not str or (self.source and self.source not in sources):
            raise InvalidInput(f"{self.arrow} starts in {', '.join(sources)} (got {shorten(self.source)})")


def _moves(moves: Iterable[Move]) -> tuple[Move, ...]:
    several = _several(moves, Move, "moves", MOVES_MAX)
    if len(several) > MOVES_MAX:
        raise InvalidInput(f"one command makes at most {MOVES_MAX} moves (got more); make the others with another")
    return several


@frozen(kw_only=True)
class MoveUnits(OrderCommand):
    """Move units along arrows; the only command that does.  All of them move, or none."""

    moves: tuple[Move, ...] = field(converter=_moves)
    reason: str = field(default="", validator=checked_note)
    partly: bool = field(default=False, validator=checked_type(bool))
    """For late scans: move only the units that still stand where the arrow starts."""


# Money.


@frozen(kw_only=True)
class GrantCredit(OrderCommand):
    """Let the customer off some of what is due (goodwill); what was paid already is given back."""

    amount: Money = field(validator=checked_positive)
    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class NotePayment(News[Order]):
    """A payment's amounts have changed.  Made by the flow, in the same commit."""

    order_id: str
    payment_id: str
    tally: Tally


@frozen(kw_only=True)
class NoteShipment(OrderCommand):
    """A shipment was planned for this order.  Made by the flow."""

    shipment_id: str


# Events.


@frozen(kw_only=True)
class OrderEntered(Event):
    """What a customer wants, at frozen amounts."""

    order_id: str
    channel: str
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    terms: Terms
    ship_by: str
    location: str
    ship_to: Personal[Address] | None
    reference: str
    placed_at: DateTime
    """When the customer ordered; of a draft, when it was drafted."""
    bill_to: Personal[Address] | None = None
    external: str = ""
    pricing: PriceTerms | None = None
    requested_at: DateTime | None = None


@frozen(kw_only=True)
class OrderPlaced(OrderEntered):
    """A customer was promised goods, at frozen amounts."""

    trigger: ClassVar[str | None] = "place"
    confirm: str
    expires_at: DateTime | None = None
    goods: str = "reserve"


@frozen(kw_only=True)
class OrderConfirmed(Event):
    """The order is accepted; fulfilment may begin."""

    trigger: ClassVar[str | None] = "confirm"


@frozen(kw_only=True)
class OrderCancelled(Event):
    """Nothing of the order is wanted any more."""

    trigger: ClassVar[str | None] = "cancel"
    reason: str = ""


@frozen(kw_only=True)
class OrderRejected(Event):
    """The order was turned down."""

    trigger: ClassVar[str | None] = "reject"
    reason: str = ""


@frozen(kw_only=True)
class OrderExpired(Event):
    """Nobody paid or accepted in time."""

    trigger: ClassVar[str | None] = "expire"


@frozen(kw_only=True)
class OrderClosed(Event):
    """Nothing more can happen."""

    trigger: ClassVar[str | None] = "close"


@frozen(kw_only=True)
class OrderAdvanced(Event):
    """A step of the host's own was taken."""

    step: str
    note: str

    def arrow(self) -> str | None:
        return self.step


@frozen(kw_only=True)
class UnitsCancelled(Event):
    """Some units are not wanted any more."""

    units: tuple[tuple[str, int], ...]
    reason: str


@frozen
class Moved:
    """Units of one line that went from a bucket along an arrow."""

    line_id: str
    arrow: str
    source: str
    quantity: int


@frozen(kw_only=True)
class UnitsMoved(Event):
    """Units went from bucket to bucket: everything of one command."""

    moves: tuple[Moved, ...]
    reason: str = ""


@frozen(kw_only=True)
class CreditGranted(Event):
    """The customer owes less."""

    minor: int
    reason: str


@frozen(kw_only=True)
class PaymentNoted(Event):
    """The order knows what its payment stands at."""

    payment_id: str
    tally: Tally


@frozen(kw_only=True)
class MoneyAsked(Event):
    """The money must follow the goods: what is asked of the payments."""

    askings: tuple[Asking, ...]
    refunds: int
    """How many refunds the order had asked for before."""


@frozen(kw_only=True)
class ShipmentNoted(Event):
    """A shipment was planned for this order."""

    shipment_id: str
