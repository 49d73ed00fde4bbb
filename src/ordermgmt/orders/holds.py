"""Holds and notes: what makes an order wait, and what people write down about it.

Holds are a set beside the status, so that several may lie on one order and the last release returns it to where it
was.  While any lies on it nothing is picked, handed over, performed or captured anew; cancelling, releasing, refunds
and all news go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from attrs import field
from pendulum import DateTime

from ..engine.capability import Evolve, Rule, Seen, as_type, evolved, require
from ..engine.messages import PERSONAL, Event, Personal, checked_note, checked_text
from ..errors import AlreadyExists, NotFound, Refused
from ..values import error, frozen
from .following import balance
from .messages import MoneyAsked, Move, OrderCommand
from .model import Hold, Note, Order

HOLDS_MAX = 50
NOTES_MAX = 500

STOPPED = {"pick": "picked", "hand_over": "handed over", "drop_ship": "handed over", "perform": "performed"}
"""The unit arrows that are not started while an order is on hold, and how a refusal names them."""


@error
class OnHold(Refused):
    """Something makes the order wait."""

    order_id: str
    holds: tuple[str, ...]
    step: str

    @property
    def message(self) -> str:
        reasons = ", ".join(self.holds)
        return f"order {self.order_id} is on hold ({reasons}): nothing of it is {self.step}; release it (ReleaseHold)"


@error
class OrderEnded(Refused):
    """Nothing can happen to the order any more."""

    order_id: str
    status: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is {self.status}; there is nothing left to hold"


@error
class TooMany(Refused):
    """More of these than one order can carry."""

    order_id: str
    what: str
    limit: int

    @property
    def message(self) -> str:
        return f"order {self.order_id} has {self.limit} {self.what} already; it takes no more"


@frozen(kw_only=True)
class HoldOrder(OrderCommand):
    """Make an order wait, for a reason of yours: ``"address"``, ``"credit limit"``.  Several may lie on it at once."""

    reason: str = field(validator=checked_text)
    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class ReleaseHold(OrderCommand):
    """Take one reason to wait away.  With the last one the order goes on from where it was."""

    reason: str = field(validator=checked_text)
    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class AddNote(OrderCommand):
    """Write something down about an order, or about one of its lines.  Kept as personal data: `erase` forgets it."""

    text: str = field(validator=checked_text, metadata=PERSONAL, repr=False)
    line_id: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class CheckHolds(OrderCommand):
    """Refused while the order is on hold.  Made by the flow, before money is captured."""


@frozen(kw_only=True)
class OrderHeld(Event):
    """One more reason makes the order wait."""

    reason: str
    note: str
    by: str
    at: DateTime


@frozen(kw_only=True)
class HoldReleased(Event):
    """One reason less makes the order wait."""

    reason: str
    note: str


@frozen(kw_only=True)
class NoteAdded(Event):
    """Somebody wrote something down."""

    text: Personal[str]
    line_id: str
    by: str
    at: DateTime


# Decide.


def _hold(command: HoldOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if seen.ended:
        raise OrderEnded(order.order_id, order.status)
    if command.reason in order.holds:
        raise AlreadyExists("hold", f"{order.order_id}/{command.reason}")
    if len(order.holds) >= HOLDS_MAX:
        raise TooMany(order.order_id, "holds", HOLDS_MAX)
    yield OrderHeld(reason=command.reason, note=command.note, by=seen.by, at=at)


def _release(command: ReleaseHold, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if command.reason not in order.holds:
        raise NotFound("hold", f"{order.order_id}/{command.reason}")
    released = HoldReleased(reason=command.reason, note=command.note)
    yield released
    # What was earned meanwhile is collected now.
    if askings := balance(_evolve_released(order, released)):
        yield MoneyAsked(askings=askings, refunds=order.refunds)


def _add_note(command: AddNote, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if command.line_id and command.line_id not in order.lines:
        raise NotFound("line", f"{order.order_id}/{command.line_id}")
    if len(order.notes) >= NOTES_MAX:
        raise TooMany(order.order_id, "notes", NOTES_MAX)
    text = Personal(order.subject, f"order:{order.order_id}:note:{len(order.notes) + 1}", command.text)
    yield NoteAdded(text=text, line_id=command.line_id, by=seen.by, at=at)


def _check(command: CheckHolds, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if order.holds:
        raise OnHold(order.order_id, tuple(order.holds), "captured")
    return ()


def refuse_held(order: Order, moves: Iterable[Move]) -> None:
    """Raises `OnHold` where units would start on a way that waits while the order is on hold."""
    for move in moves:
        if move.arrow in STOPPED:
            raise OnHold(order.order_id, tuple(order.holds), STOPPED[move.arrow])


def may_perform(order: Order) -> bool:
    """Whether what needs no goods may be performed: the order was accepted, and nothing makes it wait."""
    return not order.holds and (order.accepted or order.status == "confirmed")


# Evolve.


def _evolve_held(state: Order | None, event: OrderHeld) -> Order:
    order = as_type(state, Order)
    new = Hold(reason=event.reason, note=event.note, by=event.by, at=event.at)
    return evolved(order, event, holds=order.holds | {event.reason: new})


def _evolve_released(state: Order | None, event: HoldReleased) -> Order:
    order = as_type(state, Order)
    return evolved(order, event, holds={reason: h for reason, h in order.holds.items() if reason != event.reason})


def _evolve_note(state: Order | None, event: NoteAdded) -> Order:
    order = as_type(state, Order)
    note = Note(text=event.text, line_id=event.line_id, by=event.by, at=event.at)
    return evolved(order, event, notes=(*order.notes, note))


_by_id: Callable[[Any], str] = attrgetter("order_id")


RULES = {
    HoldOrder: Rule(_hold, _by_id),
    ReleaseHold: Rule(_release, _by_id),
    AddNote: Rule(_add_note, _by_id),
    CheckHolds: Rule(_check, _by_id),
}
EVOLVE: Mapping[type[Event], Evolve] = {
    OrderHeld: _evolve_held,
    HoldReleased: _evolve_released,
    NoteAdded: _evolve_note,
}
REFUSALS = (OnHold, OrderEnded, TooMany)
