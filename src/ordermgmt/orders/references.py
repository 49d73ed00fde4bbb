"""Whose id is whose: what a channel calls an order or a line is taken once, however many ask at the same time.

Each id is a row of its own.  Two orders that bring the same one want the same row, so one of them comes second, sees
it taken, and is refused with the name of the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, frozen
from pendulum import DateTime

from ..engine.capability import Capability, Rule, Seen
from ..engine.messages import Command, Event, Key, check_name
from ..errors import Refused
from .messages import OrderEntered

KIND = "reference"
LINE_PREFIX = "line"
ORDER_PREFIX = "order"


@define
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
class ReferenceGiven(Event):
    """A channel's id belongs to an order or a line from now on."""

    channel: str
    external: str
    order_id: str
    line_id: str


def reference_id(channel: str, external: str, *, of_line: bool = False) -> str:
    """The id of its row.  The channel's length stands before it, so that no two pairs make the same."""
    return f"{LINE_PREFIX if of_line else ORDER_PREFIX}/{len(channel)}.{channel}/{external}"


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
    if state is None:
        yield ReferenceGiven(
            channel=command.channel, external=command.external, order_id=command.order_id, line_id=command.line_id
        )
    elif (state.order_id, state.line_id) != (command.order_id, command.line_id):
        raise ReferenceTaken(command.channel, command.external, state.order_id, state.line_id)


def _given(state: Reference | None, event: ReferenceGiven) -> Reference:
    return Reference(channel=event.channel, external=event.external, order_id=event.order_id, line_id=event.line_id)


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
        )
    },
    evolve={ReferenceGiven: _given},
    indexes={"channel": lambda reference: reference.channel, "order": lambda reference: reference.order_id},
    identify=_identify,
    refusals=(ReferenceTaken,),
)
