"""What an amendment has made of an order: the events, and how they are folded in."""

from __future__ import annotations

from ..engine.capability import as_type, changed, evolved
from ..engine.messages import (
    Event,
    Personal,
)
from ..money import UnitPrice
from ..values import frozen
from .amendment import (
    Cast,
    recast,
)
from .messages import Moved
from .model import Address, Amended, Charge, LineBefore, Order, OrderLine, Terms
from .stretches import Stretch

# Told.


@frozen(kw_only=True)
class AmendedLine:
    """A line as it is after an amendment, as far as that differs."""

    line_id: str
    add: int
    """Units added."""
    unit_price: UnitPrice
    shares: tuple[Stretch, ...]
    before: LineBefore


@frozen(kw_only=True)
class OrderAmended(Event):
    """The promise was changed, at frozen amounts.  The history of these events holds every version."""

    number: int
    """Which amendment of the order it is, from 1."""
    change_id: str
    reverts: int
    """The number of the amendment it takes back; 0 for none."""
    let_go: tuple[Moved, ...]
    """Units that are not wanted any more."""
    lines: tuple[AmendedLine, ...]
    added: tuple[OrderLine, ...]
    charges: tuple[Charge, ...] | None
    """All charges, where they were changed."""
    ship_to: Personal[Address] | None
    readdressed: bool
    """True where the address is another one."""
    terms: Terms | None
    """How more is paid; None where nothing is asked."""
    first_payment: int
    """The number of the first payment that is asked for by it."""
    reason: str


@frozen(kw_only=True)
class ChangeNoted(Event):
    """A change of the order is open; with an empty id: none is any more."""

    change_id: str


# Evolve.


def evolve_amended(state: Order | None, event: OrderAmended) -> Order:
    """The order as the amendment has made it."""
    order = as_type(state, Order)
    lines = dict(order.lines)
    let_go: dict[str, list[Moved]] = {}
    for step in event.let_go:
        let_go.setdefault(step.line_id, []).append(step)
    for line in event.lines:
        cast = Cast(
            line_id=line.line_id,
            let_go=tuple(let_go.get(line.line_id, ())),
            add=line.add,
            unit_price=line.unit_price,
            shares=line.shares,
            before=line.before,
        )
        lines[line.line_id] = recast(lines[line.line_id], cast)
    lines |= {line.line_id: line for line in event.added}
    new = tuple(
        LineBefore(line_id=line.line_id, units=0, shares=(), unit_price=line.unit_price, gone=0, moved=0)
        for line in event.added
    )
    last = Amended(
        number=event.number,
        change_id=event.change_id,
        lines=(*(line.before for line in event.lines), *new),
        charges=order.charges if event.charges is not None else None,
        ship_to=order.ship_to,
        readdressed=event.readdressed,
    )
    amended = evolved(
        order,
        event,
        lines=lines,
        charges=order.charges if event.charges is None else event.charges,
        ship_to=event.ship_to if event.readdressed else order.ship_to,
        change="" if order.change == event.change_id else order.change,
        amended=event.number,
        last_amendment=None if event.reverts else last,
    )
    return put_on_account(amended, event.terms)


def put_on_account(order: Order, terms: Terms | None) -> Order:
    """An order of which all that was missing is to be paid later, if that was agreed: it need not be paid before."""
    return changed(order, on_account=terms.minor) if terms is not None and terms.kind == "account" else order


def evolve_change(state: Order | None, event: ChangeNoted) -> Order:
    """The order, knowing which change of it is open."""
    order = as_type(state, Order)
    return evolved(order, event, change=event.change_id)
