"""Words about orders: what is asked of them, and what has happened to them.  How one comes in stands in `entry`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, ClassVar, cast

from attrs import field
from pendulum import DateTime

from ..engine.messages import (
    Command,
    Event,
    Key,
    News,
    Personal,
    check_id,
    checked_id,
    checked_note,
    checked_text,
    checked_type,
    shorten,
)
from ..errors import InvalidInput
from ..money import QUANTITY_MAX, Money, check_quantity
from ..payments.messages import checked_positive
from ..pricing.model import PriceTerms
from ..values import frozen
from .entry import Line, OnAccount, OrderEntry, PaidElsewhere, Pay, PayNow, PlaceOrder, Tender, checked_list
from .following import Asking
from .lifecycle import UNIT_ARROWS
from .model import LINES_MAX, Address, Charge, Order, OrderLine, Tally, Terms

MOVES_MAX = 3 * LINES_MAX
"""Enough to pick, pack and hand over every line of the largest order at once."""


def order_key(order_id: str) -> Key:
    """The key of an order."""
    return ("order", order_id)


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
    several = checked_list(moves, Move, "moves", MOVES_MAX)
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


__all__ = [
    "AdvanceOrder",
    "CancelOrder",
    "CancelUnits",
    "CloseOrder",
    "ConfirmOrder",
    "CreditGranted",
    "ExpireOrder",
    "GrantCredit",
    "Line",
    "MOVES_MAX",
    "MoneyAsked",
    "Move",
    "MoveUnits",
    "Moved",
    "NotePayment",
    "NoteShipment",
    "OnAccount",
    "OrderAdvanced",
    "OrderCancelled",
    "OrderClosed",
    "OrderCommand",
    "OrderConfirmed",
    "OrderEntered",
    "OrderEntry",
    "OrderExpired",
    "OrderPlaced",
    "OrderRejected",
    "PaidElsewhere",
    "Pay",
    "PayNow",
    "PaymentNoted",
    "PlaceOrder",
    "RejectOrder",
    "ShipmentNoted",
    "Tender",
    "UnitsCancelled",
    "UnitsMoved",
    "order_key",
]
