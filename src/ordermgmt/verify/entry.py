"""The laws of what is not promised yet, of what waits, of a channel's own ids, and of a second person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..engine.approvals import Approval
from ..engine.laters import Reminder
from ..engine.messages import Event
from ..engine.transaction import Key
from ..orders.drafts import quote_name
from ..orders.holds import STOPPED, HoldReleased, OrderHeld
from ..orders.messages import MoneyAsked, OrderPlaced, UnitsMoved
from ..orders.model import Order
from ..orders.references import KIND, Reference, reference_id
from ..orders.rules import expiry_name
from .reading import Findings, View


def entry_laws(view: View, order: Order, *, ended: bool) -> Findings:
    """D1, D2, D3 and R1, as the order stands."""
    if order.is_draft:
        standing = {bucket for line in order.lines.values() for bucket in line.units} - {"open", "cancelled"}
        if standing or order.payments or order.shipments:
            yield "D1", f"it is a draft, but has units {sorted(standing)}, payments or parcels"
    if order.quoted_until is not None:
        yield from _quote(view, order, waits=order.is_draft and not ended)
    if order.expires:
        yield from _expiry(view, order, ended=ended)
    if order.is_draft and ended:
        return  # its ids may be somebody else's by now
    for external, line_id in _externals(order):
        taken = view.state(KIND, reference_id(order.channel, external, of_line=bool(line_id)))
        if not isinstance(taken, Reference) or (taken.order_id, taken.line_id) != (order.order_id, line_id):
            yield "R1", f"{external!r} of channel {order.channel!r} is not its own: {taken}"


def entered_beside(order: Order) -> Iterator[Key]:
    """The rows that `entry_laws` will look at."""
    if order.quoted_until is not None:
        yield "later", quote_name(order.order_id)
    if order.expires:
        yield "later", expiry_name(order.order_id)
    for external, line_id in _externals(order):
        yield KIND, reference_id(order.channel, external, of_line=bool(line_id))


def _externals(order: Order) -> Iterator[tuple[str, str]]:
    """(the channel's own id, of which line of ours); of the order itself without a line."""
    if order.external:
        yield order.external, ""
    for line in order.lines.values():
        if line.external:
            yield line.external, line.line_id


def _expiry(view: View, order: Order, *, ended: bool) -> Findings:
    """D3: what is to be paid in time ends by itself, unless it was confirmed or has ended before."""
    reminder = view.state("later", expiry_name(order.order_id))
    if not isinstance(reminder, Reminder):
        yield "D3", "it is to be paid in time, but does not end by itself"
    elif reminder.status == "waiting" and (ended or order.status == "confirmed"):
        yield "D3", f"it is {order.status}, but still waits to expire"


def _quote(view: View, order: Order, *, waits: bool) -> Findings:
    """D2: a quote ends by itself, at its time and only while nobody has taken it."""
    reminder = view.state("later", quote_name(order.order_id))
    waiting = isinstance(reminder, Reminder) and reminder.status == "waiting"
    if waiting != waits:
        yield "D2", f"its quote {'does not end by itself' if waits else 'still waits to end'}"
    elif waits and reminder.due != order.quoted_until:
        yield "D2", f"it is quoted until {order.quoted_until}, but ends at {reminder.due}"


class Entered:
    """H1: nothing starts on a way that waits while the order is on hold.  H2: a hold lies there until it is released.

    D3: what was drafted is what is placed, while its price stands.
    """

    def __init__(self) -> None:
        self._holds = set[str]()

    def see(self, before: Any, event: Event, /) -> Findings:
        """Judge one event."""
        if isinstance(before, Order):
            yield from self.end(before, None)
        if isinstance(event, OrderHeld):
            self._holds.add(event.reason)
        elif isinstance(event, HoldReleased):
            self._holds.discard(event.reason)
        if not isinstance(before, Order):
            return
        match event:
            case UnitsMoved() if before.holds:
                for arrow in sorted({move.arrow for move in event.moves} & STOPPED.keys()):
                    yield "H1", f"units {arrow} while it is on hold ({', '.join(before.holds)})"
            case MoneyAsked() if before.holds and any(asking.verb == "capture" for asking in event.askings):
                yield "H1", f"money is captured while it is on hold ({', '.join(before.holds)})"
            case OrderPlaced():
                drafted = {line_id: line.minor for line_id, line in before.lines.items()}
                placed = {line.line_id: line.minor for line in event.lines}
                if (drafted, before.charges) != (placed, event.charges):
                    yield "D3", f"it was drafted at {drafted}, and placed at {placed}"
                if before.quoted_until is not None and before.quoted_until <= event.placed_at:
                    yield "D3", f"its price stood until {before.quoted_until}, and it was placed at {event.placed_at}"
            case _:
                pass

    def end(self, state: Any, _view: View | None, /) -> Findings:
        """Judge what is left lying there."""
        if set(state.holds) != self._holds:
            yield "H2", f"{sorted(self._holds)} were never released, but it is held by {sorted(state.holds)}"


def approval_laws(_view: View, approval: Approval) -> Findings:
    """X3: whoever approved is not who asked."""
    if approval.status in ("approved", "used") and approval.decided_by in ("", approval.requested_by):
        yield "X3", f"{approval.requested_by} asked for it, and {approval.decided_by or 'nobody'} approved it"
