"""When a change of an order may be drafted, answered and taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pendulum import DateTime

from ..engine.capability import Evolve, Seen, as_type, evolved, require
from ..engine.messages import Event, Key
from ..errors import AlreadyExists, Refused
from ..orders.amending import items_of, new_address
from ..orders.amendment import revision
from ..orders.messages import order_key
from ..orders.model import Order
from ..orders.settlement import outcome, reversal
from ..stock.messages import stock_key
from ..values import error
from .messages import (
    CancelOrderChange,
    ChangeCancelled,
    ChangeConfirmed,
    ChangeDeclined,
    ChangeDrafted,
    ChangeEdited,
    ChangeExpired,
    ChangeRequested,
    ChangeReverted,
    ChangeUndone,
    ConfirmOrderChange,
    DeclineOrderChange,
    DraftOrderChange,
    DropOrderChange,
    EditOrderChange,
    ExpireOrderChange,
    NoteReverted,
    RequestOrderChange,
    RevertOrderChange,
    expiry_name,
)
from .model import OrderChange


@error
class ChangeOver(Refused):
    """The change's time is over: it could be confirmed until then."""

    change_id: str
    until: DateTime

    @property
    def message(self) -> str:
        return f"change {self.change_id} stood until {self.until}; draft it anew (DraftOrderChange)"


# Decide.


def draft(command: DraftOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    change_id = as_type(command.change_id, str)
    if state is not None:
        raise AlreadyExists("change", change_id)
    order = require(seen.get(Order, "order", command.order_id), "order", command.order_id)
    wanted = revision(command.amendment, order, items_of(command.amendment, seen))
    ship_to = new_address(order, command.ship_to, seen, f"{change_id}.1")
    yield ChangeDrafted(
        change_id=change_id,
        order_id=order.order_id,
        wanted=wanted,
        ship_to=ship_to,
        reason=command.reason,
        settlement=outcome(order, wanted, ship_to=ship_to, payable=False).settlement,
        expires_at=at + command.valid_for,
    )


def edit(command: EditOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    change = require(state, "change", command.change_id)
    order = as_type(seen.get(Order, "order", change.order_id), Order)
    wanted = revision(command.amendment, order, items_of(command.amendment, seen))
    ship_to = new_address(order, command.ship_to, seen, f"{change.change_id}.{change.version + 1}")
    yield ChangeEdited(
        wanted=wanted,
        ship_to=ship_to,
        reason=command.reason,
        settlement=outcome(order, wanted, ship_to=ship_to, payable=False).settlement,
    )


def request(command: RequestOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "change", command.change_id)
    yield ChangeRequested()


def confirm(command: ConfirmOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    change = require(state, "change", command.change_id)
    if seen.draws("request"):
        yield ChangeRequested()
    elif not seen.draws("confirm"):
        yield ChangeConfirmed(settlement=change.settlement, terms=None)  # no arrow: refused before it is looked into
        return
    if change.expires_at <= at:
        raise ChangeOver(change.change_id, change.expires_at)
    order = as_type(seen.get(Order, "order", change.order_id), Order)
    decided = outcome(order, change.wanted, ship_to=change.ship_to, pay=command.pay, change_id=change.change_id)
    yield ChangeConfirmed(settlement=decided.settlement, terms=decided.event.terms)


def decline(command: DeclineOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "change", command.change_id)
    yield ChangeDeclined(reason=command.reason)


def cancel(command: CancelOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "change", command.change_id)
    yield ChangeCancelled(reason=command.reason)


def expire(command: ExpireOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "change", command.change_id)
    if seen.draws("expire"):
        yield ChangeExpired()


def drop(command: DropOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and seen.draws("cancel"):
        yield ChangeCancelled(reason=command.reason)


def revert(command: RevertOrderChange, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    change = require(state, "change", command.change_id)
    if not seen.draws("revert"):
        yield ChangeReverted(settlement=change.settlement, terms=None, reason="")  # no arrow: refused
        return
    order = as_type(seen.get(Order, "order", change.order_id), Order)
    decided = reversal(order, change_id=change.change_id, pay=command.pay, reason=command.reason)
    yield ChangeReverted(settlement=decided.settlement, terms=decided.event.terms, reason=command.reason)


def note_reverted(command: NoteReverted, state: OrderChange | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and seen.draws("revert"):
        yield ChangeUndone(reason=command.reason)


# Which rows they look at.


def rows_of_draft(command: DraftOrderChange) -> Iterable[Key]:
    return [order_key(command.order_id), ("later", expiry_name(command.change_id or ""))]


def rows_of_change(command: Any, state: OrderChange | None) -> Iterable[Key]:
    """The order, and what an amendment will move."""
    if state is None:
        return []
    return [
        order_key(state.order_id),
        ("reservation", state.order_id),
        ("later", expiry_name(state.change_id)),
        *(stock_key(line.sku, line.location) for line in state.wanted.add),
    ]


# Evolve.


def evolve_drafted(state: OrderChange | None, event: ChangeDrafted) -> OrderChange:
    return OrderChange(
        change_id=event.change_id,
        order_id=event.order_id,
        status=event.status or "drafted",
        wanted=event.wanted,
        ship_to=event.ship_to,
        reason=event.reason,
        settlement=event.settlement,
        expires_at=event.expires_at,
    )


def evolve_edited(state: OrderChange | None, event: ChangeEdited) -> OrderChange:
    change = as_type(state, OrderChange)
    return evolved(
        change,
        event,
        wanted=event.wanted,
        ship_to=event.ship_to,
        reason=event.reason,
        settlement=event.settlement,
        version=change.version + 1,
    )


def evolve_confirmed(state: OrderChange | None, event: ChangeConfirmed) -> OrderChange:
    return evolved(as_type(state, OrderChange), event, settlement=event.settlement)


def evolve_answered(
    state: OrderChange | None, event: ChangeDeclined | ChangeCancelled | ChangeReverted | ChangeUndone
) -> OrderChange:
    return evolved(as_type(state, OrderChange), event, note=event.reason)


EVOLVE: Mapping[type[Event], Evolve] = {
    ChangeDrafted: evolve_drafted,
    ChangeEdited: evolve_edited,
    ChangeRequested: evolved,
    ChangeConfirmed: evolve_confirmed,
    ChangeDeclined: evolve_answered,
    ChangeCancelled: evolve_answered,
    ChangeExpired: evolved,
    ChangeReverted: evolve_answered,
    ChangeUndone: evolve_answered,
}
