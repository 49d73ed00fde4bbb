"""When goods may be promised, and what each movement does to the totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pendulum import DateTime

from ..engine.capability import Decide, Evolve, Seen, as_type, changed, evolved, require
from ..engine.messages import Command, Event, Key, counted
from ..errors import Refused
from ..values import error, unchecked
from .messages import (
    CommitReservation,
    IssueStock,
    PutAwayStock,
    ReceiveStock,
    ReduceReservation,
    ReleaseStock,
    ReplaceClaims,
    ReservationCommitted,
    ReservationConsumed,
    ReservationReduced,
    ReservationReleased,
    ReserveStock,
    SetStockAside,
    StockCommand,
    StockEvent,
    StockIssued,
    StockMovement,
    StockPutAway,
    StockReceived,
    StockReleased,
    StockReserved,
    StockSetAside,
    by_row,
    stock_id,
    stock_key,
)
from .model import Claim, Reservation, Shortage, Stock

ON_HAND_MAX = 10**15


@error
class OutOfStock(Refused):
    """Not enough can be promised."""

    shortages: tuple[Shortage, ...]

    @property
    def message(self) -> str:
        told = "; ".join(f"{s.sku} at {s.location}: {s.wanted} wanted, {s.available} available" for s in self.shortages)
        return f"out of stock: {told}; receive stock or order less"


@error
class NotThatMany(Refused):
    """More pieces than there are where they are to be taken from."""

    what: str
    sku: str
    location: str
    wanted: int
    there: int

    @property
    def message(self) -> str:
        there = counted(self.there, "is", "are")
        return f"{self.wanted} of {self.sku} at {self.location} cannot be taken: only {there} {self.what}"


@error
class TooMuchStock(Refused):
    """More pieces than a stock row can count."""

    sku: str
    location: str
    on_hand_max: int

    @property
    def message(self) -> str:
        return f"{self.sku} at {self.location} would count more than {self.on_hand_max} pieces"


# Decide: one SKU at one location.


def _stock(command: StockCommand | StockMovement, state: Stock | None) -> Stock:
    return state or Stock(sku=command.sku, location=command.location)


def receive(command: ReceiveStock, state: Stock | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    stock = _stock(command, state)
    if stock.on_hand + command.quantity > ON_HAND_MAX:
        raise TooMuchStock(command.sku, command.location, ON_HAND_MAX)
    yield StockReceived(
        sku=command.sku, location=command.location, quantity=command.quantity, reference=command.reference
    )


def reserve(command: ReserveStock, state: Stock | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    stock = _stock(command, state)
    if command.quantity > stock.available:
        raise OutOfStock((Shortage(command.sku, command.location, command.quantity, stock.available),))
    yield StockReserved(
        sku=command.sku, location=command.location, quantity=command.quantity, order_id=command.order_id
    )


def _taking(
    event: Callable[..., StockEvent], what: str, of: Callable[[Stock], int]
) -> Callable[[Any, Stock | None, Seen, DateTime], Iterable[Event]]:
    """Pieces leave a total that must hold them."""

    def take(command: Any, state: Stock | None, seen: Seen, at: DateTime) -> Iterable[Event]:
        stock = _stock(command, state)
        if command.quantity > of(stock):
            raise NotThatMany(what, command.sku, command.location, command.quantity, of(stock))
        if isinstance(command, StockMovement):
            yield event(
                sku=command.sku, location=command.location, quantity=command.quantity, order_id=command.order_id
            )
        else:
            yield event(sku=command.sku, location=command.location, quantity=command.quantity)

    return take


# Decide: one order's reservation.


def commit(command: CommitReservation, state: Reservation | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    _refuse_shortages(command.claims, seen)
    yield ReservationCommitted(
        order_id=command.order_id, claims=command.claims, first=state is None or state.status != "committed"
    )


def replace(command: ReplaceClaims, state: Reservation | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    taken = _taken(require(state, "reservation", command.order_id), command.takes) if command.takes else ()
    _refuse_shortages(command.claims, seen, given_up=taken)
    after = state
    if taken:
        reduced = ReservationReduced(order_id=command.order_id, claims=taken, how="release")
        yield reduced
        after = evolve_reduced(state, reduced)
    if command.claims:
        first = state is None or state.status != "committed"
        yield ReservationCommitted(order_id=command.order_id, claims=command.claims, first=first)
    elif after is not None and not after.claims and after.issued:
        # Without claims and nothing handed over it stays: the order lives on, and may want other goods.
        yield ReservationConsumed()


def _refuse_shortages(claims: Iterable[Claim], seen: Seen, given_up: Iterable[Claim] = ()) -> None:
    """Every row must have what is claimed of it, together with what is given up there at the same time."""
    freed = by_row(given_up)
    shortages: list[Shortage] = []
    for (sku, location), wanted in by_row(claims).items():
        stock = seen.get(Stock, "stock", stock_id(sku, location))
        available = (stock.available if stock is not None else 0) + freed.get((sku, location), 0)
        if wanted > available:
            shortages.append(Shortage(sku, location, wanted, available))
    if shortages:
        raise OutOfStock(tuple(shortages))


def reduce(command: ReduceReservation, state: Reservation | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    reservation = require(state, "reservation", command.order_id)
    reduced = ReservationReduced(order_id=command.order_id, claims=_taken(reservation, command.takes), how=command.how)
    yield reduced
    after = evolve_reduced(reservation, reduced)
    if not after.claims and after.issued:
        yield ReservationConsumed()
    elif not after.claims and command.ends:
        yield ReservationReleased()


def _taken(reservation: Reservation, takes: Iterable[tuple[str, int]]) -> tuple[Claim, ...]:
    taken: list[Claim] = []
    for line_id, quantity in takes:
        claim = reservation.claims.get(line_id)
        if claim is None or quantity > claim.quantity:
            there = claim.quantity if claim is not None else 0
            sku, location = (claim.sku, claim.location) if claim is not None else (line_id, "")
            raise NotThatMany(f"claimed by line {line_id}", sku, location, quantity, there)
        taken.append(claim if quantity == claim.quantity else changed(claim, quantity=quantity))
    return tuple(taken)


# Which rows they look at.


def rows_of_claims(command: CommitReservation | ReplaceClaims) -> Iterable[Key]:
    return [stock_key(sku, location) for sku, location in by_row(command.claims)]


def rows_of_takes(command: ReduceReservation | ReplaceClaims, state: Reservation | None) -> Iterable[Key]:
    claims = state.claims if state is not None else {}
    return {stock_key(c.sku, c.location) for line_id, _ in command.takes if (c := claims.get(line_id)) is not None}


# Evolve.


_totals = unchecked(Stock)


def _moved(on_hand: int = 0, reserved: int = 0, held: int = 0) -> Callable[[Stock | None, Any], Stock]:
    """What one piece of a movement does to the totals."""

    def evolve(state: Stock | None, event: StockEvent) -> Stock:
        stock = state or Stock(sku=event.sku, location=event.location)
        n = event.quantity
        return _totals(
            sku=stock.sku,
            location=stock.location,
            on_hand=stock.on_hand + on_hand * n,
            reserved=stock.reserved + reserved * n,
            held=stock.held + held * n,
            safety=stock.safety,
        )

    return evolve


def evolve_committed(state: Reservation | None, event: ReservationCommitted) -> Reservation:
    claims = dict(state.claims) if state is not None else {}
    for claim in event.claims:
        before = claims.get(claim.line_id)
        claims[claim.line_id] = claim if before is None else changed(claim, quantity=before.quantity + claim.quantity)
    issued = state.issued if state is not None else False
    status = event.status or (state.status if state is not None else "committed")
    return Reservation(order_id=event.order_id, status=status, claims=claims, issued=issued)


def evolve_reduced(state: Reservation | None, event: ReservationReduced) -> Reservation:
    reservation = as_type(state, Reservation)
    claims = dict(reservation.claims)
    for taken in event.claims:
        left = claims[taken.line_id].quantity - taken.quantity
        if left:
            claims[taken.line_id] = changed(taken, quantity=left)
        else:
            del claims[taken.line_id]
    return changed(reservation, claims=claims, issued=reservation.issued or event.how == "issue")


release = _taking(StockReleased, "reserved", lambda stock: stock.reserved)
set_aside = _taking(StockSetAside, "reserved", lambda stock: stock.reserved)
put_away = _taking(StockPutAway, "held", lambda stock: stock.held)
issue = _taking(StockIssued, "reserved", lambda stock: stock.reserved)

STOCK_DECIDE: Mapping[type[Command[Any]], Decide] = {
    ReceiveStock: receive,
    ReserveStock: reserve,
    ReleaseStock: release,
    SetStockAside: set_aside,
    PutAwayStock: put_away,
    IssueStock: issue,
}
STOCK_EVOLVE: Mapping[type[Event], Evolve] = {
    StockReceived: _moved(on_hand=1),
    StockReserved: _moved(reserved=1),
    StockReleased: _moved(reserved=-1),
    StockSetAside: _moved(reserved=-1, held=1),
    StockPutAway: _moved(held=-1),
    StockIssued: _moved(on_hand=-1, reserved=-1),
}
RESERVATION_EVOLVE: Mapping[type[Event], Evolve] = {
    ReservationCommitted: evolve_committed,
    ReservationReduced: evolve_reduced,
    ReservationReleased: evolved,
    ReservationConsumed: evolved,
}
