"""Words about stock: what is received, promised, set aside and handed out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from attrs import field

from ..engine.messages import Command, Event, Key, checked_id, checked_note, checked_text
from ..money import check_quantity
from ..values import frozen
from .model import Claim, Reservation, Stock


def stock_id(sku: str, location: str) -> str:
    """The id of a stock row.  Locations have no slash, so it is unambiguous for any SKU."""
    return f"{location}/{sku}"


def stock_key(sku: str, location: str) -> Key:
    """The key of a stock row."""
    return ("stock", stock_id(sku, location))


def checked_quantity(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: a whole number from 1 to 10^9."""
    check_quantity(value, attribute.name)


# Commands on one SKU at one location.


@frozen(kw_only=True)
class StockCommand(Command[Stock]):
    """What is asked of one SKU at one location; `quantity` counts pieces, 1 to 10^9."""

    sku: str = field(validator=checked_text)
    location: str = field(default="main", validator=checked_id)
    quantity: int = field(validator=checked_quantity)


@frozen(kw_only=True)
class ReceiveStock(StockCommand):
    """Goods have arrived and can be sold."""

    reference: str = field(default="", validator=checked_note)
    """The delivery note or purchase order they came with."""


@frozen(kw_only=True)
class StockMovement(Command[Stock]):
    """What an order's claims ask of one SKU at one location.  Made by the flow, from checked claims."""

    sku: str
    location: str
    quantity: int
    order_id: str


@frozen(kw_only=True)
class ReserveStock(StockMovement):
    """Promise pieces to an order."""


@frozen(kw_only=True)
class ReleaseStock(StockMovement):
    """Take a promise back; the pieces stand where they stood."""


@frozen(kw_only=True)
class SetStockAside(StockMovement):
    """Promised pieces that were already picked are not wanted any more: held until they are put away."""


@frozen(kw_only=True)
class PutAwayStock(StockCommand):
    """Held pieces are back on the shelf and can be sold."""


@frozen(kw_only=True)
class IssueStock(StockMovement):
    """Promised pieces have left the house."""


# Commands on one order's reservation.


@frozen(kw_only=True)
class CommitReservation(Command[Reservation]):
    """Promise pieces to the lines of an order: all of them, or none."""

    order_id: str
    claims: tuple[Claim, ...]


@frozen(kw_only=True)
class ReduceReservation(Command[Reservation]):
    """Give up claims: `how` is release (still on the shelf), set_aside (already picked) or issue (left the house)."""

    order_id: str
    takes: tuple[tuple[str, int], ...]
    """(line id, pieces)."""
    how: str
    ends: bool = True
    """False where the order lives on and may want goods again: without claims the reservation then stays."""


@frozen(kw_only=True)
class ReplaceClaims(Command[Reservation]):
    """Give up claims on what stands on the shelf, and make others, at once: what is given up can be promised again."""

    order_id: str
    takes: tuple[tuple[str, int], ...]
    """(line id, pieces) given up."""
    claims: tuple[Claim, ...]
    """What is claimed instead."""


# Events.


@frozen(kw_only=True)
class StockEvent(Event):
    """A movement in the ledger of one SKU at one location."""

    sku: str
    location: str
    quantity: int


@frozen(kw_only=True)
class StockReceived(StockEvent):
    """Goods arrived."""

    reference: str = ""


@frozen(kw_only=True)
class StockReserved(StockEvent):
    """Pieces were promised to an order."""

    order_id: str


@frozen(kw_only=True)
class StockReleased(StockEvent):
    """A promise was taken back."""

    order_id: str


@frozen(kw_only=True)
class StockSetAside(StockEvent):
    """Picked pieces lost their order and are held."""

    order_id: str


@frozen(kw_only=True)
class StockPutAway(StockEvent):
    """Held pieces can be sold again."""


@frozen(kw_only=True)
class StockIssued(StockEvent):
    """Pieces left the house."""

    order_id: str


@frozen(kw_only=True)
class ReservationCommitted(Event):
    """Pieces are promised to the lines of an order."""

    order_id: str
    claims: tuple[Claim, ...]
    """What was added by this event."""
    first: bool

    def arrow(self) -> str | None:
        return "commit" if self.first else None


@frozen(kw_only=True)
class ReservationReduced(Event):
    """Claims were given up or fulfilled."""

    order_id: str
    claims: tuple[Claim, ...]
    """What was taken away by this event."""
    how: str


@frozen(kw_only=True)
class ReservationReleased(Event):
    """The last claim was given up, and nothing was ever handed over."""

    trigger: ClassVar[str | None] = "release"


@frozen(kw_only=True)
class ReservationConsumed(Event):
    """The last claim is gone, and something was handed over."""

    trigger: ClassVar[str | None] = "consume"


def by_row(claims: Iterable[Claim]) -> dict[tuple[str, str], int]:
    """Pieces per (sku, location): lines of one SKU share a row."""
    rows: dict[tuple[str, str], int] = {}
    for claim in claims:
        row = (claim.sku, claim.location)
        rows[row] = rows.get(row, 0) + claim.quantity
    return rows
