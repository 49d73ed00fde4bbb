"""Whose id is whose: what a channel calls an order or a line is taken once, however many ask at the same time.

Each id is a row of its own.  Two orders that bring the same one want the same row, so one of them comes second, sees
it taken, and is refused with the name of the other.

A draft that is given up, or expires, gives its ids back, and so does an edit that leaves some out: nobody was
promised anything under them.  From the placing on an id stays used, whatever becomes of the order.  A channel that
sends an order twice must find the first, cancelled or rejected or not, and is not to make a second of it; and a buyer's
cancelled purchase order keeps its number in the buyer's own books.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pendulum import DateTime

from ..engine.capability import Capability, Rule, Seen, as_type, changed
from ..engine.messages import Command, Event, Key, check_name
from ..errors import Refused
from ..values import error, frozen
from .entry import Line
from .messages import OrderEntered
from .model import Order, OrderLine

KIND = "reference"
LINE_PREFIX = "line"
ORDER_PREFIX = "order"


@error
class ReferenceTaken(Refused):
    """Another order of the channel has this id."""

    channel: str
    external: str
    order_id: str
    line_id: str

    @property
    def message(self) -> str:
        line = f", line {self.line_id}," if self.line_id else ""
        return f"{self.external!r} of channel {self.channel!r} is order {self.order_id}{line} already; look there first"


@frozen(kw_only=True)
class Reference:
    """What a channel calls an order, or one of its lines."""

    channel: str
    external: str
    order_id: str
    """Empty where it was given back and nobody has taken it since."""
    line_id: str = ""
    """Empty where it is the order's."""


@frozen(kw_only=True)
class TakeReference(Command[Reference]):
    """Take an id of a channel for an order or a line.  Made by the flow, when an order is drafted or placed."""

    channel: str
    external: str
    order_id: str
    line_id: str = ""


@frozen(kw_only=True)
class ReturnReference(Command[Reference]):
    """A draft does not need an id of its channel any more.  Made by the flow, when it is given up, or edited without.

    Does nothing where somebody else has it.
    """

    channel: str
    external: str
    order_id: str
    of_line: bool


@frozen(kw_only=True)
class ReferenceReturned(Event):
    """A channel's id is free again."""


@frozen(kw_only=True)
class ReferenceGiven(Event):
    """A channel's id belongs to an order or a line from now on."""

    channel: str
    external: str
    order_id: str
    line_id: str


def reference_id(channel: str, external: str, *, of_line: bool = False) -> str:
    """The id of its row.  The channel's length stands before it, so that no two pairs make the same."""
    return f"{LINE_PREFIX if of_line else ORDER_PREFIX}/{len(channel)}.{channel}/{external}"


def check_lines(channel: str, order_id: str, lines: Iterable[tuple[str, OrderLine | Line]]) -> None:
    """Raises `ReferenceTaken` where two of these lines, by their ids, bring the same id of their channel."""
    found = dict[str, str]()
    for line_id, line in lines:
        if line.external and found.setdefault(line.external, line_id) != line_id:
            raise ReferenceTaken(channel, line.external, order_id, found[line.external])


def held_by(order: Order) -> Iterable[tuple[str, bool]]:
    """Every id of its channel that an order has, and whether it is a line's."""
    if order.external:
        yield order.external, False
    for line in order.lines.values():
        if line.external:
            yield line.external, True


def returned_by(order: Order, external: str, lines: Iterable[str], channel: str) -> Iterable[ReturnReference]:
    """The ids that a draft gives back when these are all it is to have from now on."""
    kept = {(channel, external, False), *((channel, one, True) for one in lines)}
    for one, of_line in held_by(order):
        if (order.channel, one, of_line) not in kept:
            yield ReturnReference(channel=order.channel, external=one, order_id=order.order_id, of_line=of_line)


def references_of(event: OrderEntered) -> Iterable[TakeReference]:
    """Every id that an entry brings."""
    if event.external:
        yield TakeReference(channel=event.channel, external=event.external, order_id=event.order_id)
    for line in event.lines:
        if line.external:
            yield TakeReference(
                channel=event.channel, external=line.external, order_id=event.order_id, line_id=line.line_id
            )


def rows_of_references(command: Any) -> Iterable[Key]:
    """The rows of all ids that an entry brings."""
    if command.external:
        yield (KIND, reference_id(command.channel, command.external))
    for line in command.lines:
        if line.external:
            yield (KIND, reference_id(command.channel, line.external, of_line=True))


def _take(command: TakeReference, state: Reference | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and state.order_id not in ("", command.order_id):
        raise ReferenceTaken(command.channel, command.external, state.order_id, state.line_id)
    # Within one order an id may go from line to line: whether two lines want it is for the whole set to say.
    if state is None or (state.order_id, state.line_id) != (command.order_id, command.line_id):
        yield ReferenceGiven(
            channel=command.channel, external=command.external, order_id=command.order_id, line_id=command.line_id
        )


def _return(command: ReturnReference, state: Reference | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and state.order_id == command.order_id:
        yield ReferenceReturned()


def _given(state: Reference | None, event: ReferenceGiven) -> Reference:
    return Reference(channel=event.channel, external=event.external, order_id=event.order_id, line_id=event.line_id)


def _returned(state: Reference | None, event: ReferenceReturned) -> Reference:
    return changed(as_type(state, Reference), order_id="", line_id="")


def _identify(key: Any) -> str:
    """``("web", "1001")`` is the order of that channel; ``("web", "1001", "line")`` the line."""
    match key:
        case (str() as channel, str() as external):
            return check_name(reference_id(channel, external))
        case (str() as channel, str() as external, "line"):
            return check_name(reference_id(channel, external, of_line=True))
        case _:
            return check_name(key)


references = Capability(
    kind=KIND,
    state=Reference,
    rules={
        TakeReference: Rule(
            _take, lambda command: reference_id(command.channel, command.external, of_line=bool(command.line_id))
        ),
        ReturnReference: Rule(
            _return, lambda command: reference_id(command.channel, command.external, of_line=command.of_line)
        ),
    },
    evolve={ReferenceGiven: _given, ReferenceReturned: _returned},
    indexes={
        "channel": lambda reference: reference.channel if reference.order_id else None,
        "order": lambda reference: reference.order_id or None,
    },
    identify=_identify,
    refusals=(ReferenceTaken,),
)
