"""When an order may be confirmed, cancelled, closed; how its units move and its money follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pendulum import DateTime

from ..engine.capability import Evolve, Seen, as_type, changed, evolved, require
from ..engine.messages import Event, Key, counted
from ..errors import InvalidInput, NotFound, Refused
from ..money import Money
from ..stock.messages import stock_key
from ..stock.model import Reservation
from ..values import error, unchecked
from .following import asked, balance, noted
from .holds import refuse_held
from .lifecycle import GONE_OUT, IN_THE_HOUSE, UNIT_ARROWS
from .messages import (
    AdvanceOrder,
    CancelOrder,
    CancelUnits,
    CloseOrder,
    ConfirmOrder,
    CreditGranted,
    ExpireOrder,
    GrantCredit,
    MoneyAsked,
    Moved,
    MoveUnits,
    NotePayment,
    NoteShipment,
    OrderAdvanced,
    OrderCancelled,
    OrderClosed,
    OrderConfirmed,
    OrderExpired,
    OrderRejected,
    PaymentNoted,
    RejectOrder,
    ShipmentNoted,
    UnitsCancelled,
    UnitsMoved,
)
from .model import Order, OrderLine
from .reckoning import Reckoning, due, reckon, walk

WALKED_HERE = frozenset(
    [
        "reserve",
        "release",
        "pick",
        "unpick",
        "pack",
        "unpack",
        "hand_over",
        "perform",
        "deliver",
        "correct",
        "fail",
        "reship",
        "give_up",
        "cancel",
    ]
)
"""The arrows that have their consequences for stock and money drawn in this release."""


@error
class AlreadyShipped(Refused):
    """Units have left the house."""

    order_id: str
    shipped: int
    cancellable: int

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}: {counted(self.shipped, 'unit has', 'units have')} left the house; "
            f"{self.cancellable} can still be cancelled (CancelUnits)"
        )


@error
class NotEnoughUnits(Refused):
    """Fewer units stand where the arrow starts."""

    order_id: str
    line_id: str
    arrow: str
    wanted: int
    there: int

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}, line {self.line_id}: {counted(self.wanted, 'unit is', 'units are')} to walk "
            f"'{self.arrow}', but only {counted(self.there, 'stands', 'stand')} where that starts; "
            "ask for no more than these"
        )


@error
class NotComplete(Refused):
    """Something is still to be delivered, paid or answered."""

    order_id: str
    fulfilment_status: str
    payment_status: str

    @property
    def message(self) -> str:
        stands = f"{self.fulfilment_status} and {self.payment_status}"
        return f"order {self.order_id} is {stands}; it can be closed when complete"


@error
class OverDue(Refused):
    """More credit than the customer owes."""

    order_id: str
    credit: Money
    due: Money

    @property
    def message(self) -> str:
        return f"order {self.order_id}: a credit of {self.credit} is more than the {self.due} due; grant no more"


@error
class NotPlaced(Refused):
    """It is only a draft."""

    order_id: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is a draft: nothing is promised yet; place it first (PlaceDraft)"


def payment_id(order_id: str, n: int) -> str:
    """The id of an order's n-th payment."""
    return f"{order_id}:{n}"


def expiry_name(order_id: str) -> str:
    """The name of the later command that expires an order."""
    return f"expire.{order_id}"


# The header.


def confirm(command: ConfirmOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "order", command.order_id)
    yield OrderConfirmed()


def cancel(command: CancelOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    out = order.count(*GONE_OUT)
    if out:
        raise AlreadyShipped(order.order_id, out, order.count(*IN_THE_HOUSE))
    yield OrderCancelled(reason=command.reason)


def reject(command: RejectOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "order", command.order_id)
    yield OrderRejected(reason=command.reason)


def expire(command: ExpireOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "order", command.order_id)
    if seen.draws("expire"):
        yield OrderExpired()


def close(command: CloseOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if not order.complete and seen.draws("close"):
        raise NotComplete(order.order_id, order.fulfilment_status, order.payment_status)
    yield OrderClosed()


def advance(command: AdvanceOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if command.step not in seen.own_steps:
        drawn = ", ".join(sorted(seen.own_steps)) or "none"
        raise InvalidInput(f"{command.step!r} is no step of the host's own (drawn: {drawn})")
    yield OrderAdvanced(step=command.step, note=command.note)
    after = seen.after(command.step)
    if after is not None:
        yield from confirmed_by_policy(order, Seen.anew(after, seen))


def confirmed_by_policy(order: Order, seen: Seen, reckoned: Reckoning | None = None) -> Iterable[Event]:
    """Confirm it by policy: when the goods are set aside and the money is where the policy wants it."""
    if order.confirm == "by_hand" or order.is_draft or not seen.draws("confirm"):
        return
    reckoned = reckoned or reckon(order)
    if "open" in reckoned.totals and any(
        "open" in line.units and line.kind == "stocked" for line in order.lines.values()
    ):
        return
    if order.confirm == "when_authorised" and order.terms.kind != "account":
        money = order.money
        if money.open + money.paid + order.on_account < reckoned.owed:
            return
    yield OrderConfirmed()


# Units.


def cancel_units(command: CancelUnits, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if order.is_draft:
        raise NotPlaced(order.order_id)
    for line_id, quantity in command.units:
        line = _line(order, line_id)
        if quantity > line.count(*IN_THE_HOUSE):
            raise NotEnoughUnits(order.order_id, line_id, "cancel", quantity, line.count(*IN_THE_HOUSE))
    yield UnitsCancelled(units=command.units, reason=command.reason)


_moved = unchecked(Moved)


def move_units(command: MoveUnits, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if order.holds:
        refuse_held(order, command.moves)
    if order.is_draft and any(move.arrow != "cancel" for move in command.moves):
        raise NotPlaced(order.order_id)
    vectors: dict[str, dict[str, int]] = {}
    steps: list[Moved] = []
    for move in command.moves:
        if move.arrow not in WALKED_HERE:
            raise InvalidInput(f"units do not {move.arrow.replace('_', ' ')} in this release")
        units = vectors.get(move.line_id)
        if units is None:
            units = vectors[move.line_id] = dict(_line(order, move.line_id).units)
        missing = move.quantity
        # Where an arrow has several sources they are emptied in the order they are drawn.
        for source in (move.source,) if move.source else UNIT_ARROWS[move.arrow].sources:
            if n := min(missing, units.get(source, 0)):
                walk(units, source, move.arrow, n)
                steps.append(_moved(move.line_id, move.arrow, source, n))
                missing -= n
        if missing and not command.partly:
            there = move.quantity - missing
            raise NotEnoughUnits(order.order_id, move.line_id, move.arrow, move.quantity, there)
    if not steps:
        return
    if not _CLAIMING.isdisjoint([step.arrow for step in steps]):
        _refuse_unclaimed(order, vectors, seen)
    event = UnitsMoved(moves=tuple(steps), reason=command.reason)
    after = _foreseen(order, event, _standing(order, event, vectors))
    yield event
    reckoned = reckon(after)
    if reckoned.totals.keys() == {"cancelled"} and seen.draws("cancel"):
        yield OrderCancelled(reason=command.reason)
    else:
        yield from confirmed_by_policy(after, seen, reckoned)
    yield from _asked(after, reckoned)


def _refuse_unclaimed(order: Order, vectors: dict[str, dict[str, int]], seen: Seen) -> None:
    """Units stand in the warehouse's buckets only with a claim on stock behind them."""
    more = dict[str, int]()
    for line_id, units in vectors.items():
        claimed = _claimed(units)
        if claimed and claimed > _claimed(order.lines[line_id].units):
            more[line_id] = claimed
    if not more:
        return
    reservation = seen.get(Reservation, "reservation", order.order_id)
    claims = reservation.claims if reservation is not None else {}
    for line_id, n in more.items():
        behind = claims[line_id].quantity if line_id in claims else 0
        if n > behind:
            raise NotEnoughUnits(order.order_id, line_id, "reserve", n, behind)


_CLAIMED = ("reserved", "picked", "packed")
_CLAIMING = frozenset(
    arrow.name for arrow in UNIT_ARROWS.values() if arrow.target in _CLAIMED and not {*arrow.sources} <= {*_CLAIMED}
)
"""The arrows that lead to these from elsewhere."""


def _claimed(units: dict[str, int]) -> int:
    claimed = 0
    for bucket in _CLAIMED:
        if bucket in units:
            claimed += units[bucket]
    return claimed


def _line(order: Order, line_id: str) -> OrderLine:
    line = order.lines.get(line_id)
    if line is None:
        raise NotFound("line", f"{order.order_id}/{line_id}")
    return line


def rows_of_order(command: Any, state: Order | None) -> Iterable[Key]:
    """Everything an order's units and money stand on."""
    if state is None:
        return ()
    return [
        ("reservation", state.order_id),
        *(stock_key(line.sku, line.location) for line in state.lines.values() if line.kind == "stocked"),
        *(("payment", payment) for payment in state.payments),
        *(("shipment", shipment) for shipment in state.shipments),
    ]


def rows_of_moves(command: MoveUnits, state: Order | None) -> Iterable[Key]:
    """What moving these units touches: claims and stock where they change, and the payments."""
    if state is None:
        return ()
    touched = {
        stock_key(line.sku, line.location)
        for move in command.moves
        if move.arrow in _TOUCHING_STOCK and (line := state.lines.get(move.line_id)) is not None
    }
    return [("reservation", state.order_id), *touched, *[("payment", payment) for payment in state.payments]]


_TOUCHING_STOCK = frozenset(("reserve", "release", "hand_over", "cancel"))


# Money.


def note_payment(command: NotePayment, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if order.payments.get(command.payment_id) == command.tally:
        return
    noted = PaymentNoted(payment_id=command.payment_id, tally=command.tally)
    after = _foreseen(order, noted, evolve_noted(order, noted))
    yield noted
    reckoned = reckon(after)
    yield from confirmed_by_policy(after, seen, reckoned)
    yield from _asked(after, reckoned)


def grant_credit(command: GrantCredit, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if order.is_draft:
        raise NotPlaced(order.order_id)
    if command.amount.currency != order.currency:
        raise InvalidInput(f"the credit is in {command.amount.currency}, the order in {order.currency}")
    if command.amount.minor > due(order):
        raise OverDue(order.order_id, command.amount, order.due)
    granted = CreditGranted(minor=command.amount.minor, reason=command.reason)
    yield granted
    yield from _asked(evolve_credited(order, granted))


def _asked(order: Order, reckoned: Reckoning | None = None) -> Iterable[Event]:
    if askings := balance(order, reckoned):
        yield MoneyAsked(askings=askings, refunds=order.refunds)


def note_shipment(command: NoteShipment, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if command.shipment_id not in order.shipments:
        yield ShipmentNoted(shipment_id=command.shipment_id)


# What an event leads to, where its rule looks ahead: the engine folds the same event into the same order next.


def _foreseen(order: Order, event: Event, after: Order) -> Order:
    _last[0] = (order, event, after)
    return after


def _as_foreseen(state: Order | None, event: Event) -> Order | None:
    order, told, after = _last[0]
    # A status that was filled in since is news.
    return after if order is state and told is event and event.status is None else None


_last: list[tuple[Order | None, Event | None, Order | None]] = [(None, None, None)]
"""What was foreseen last: replaced as one, so that threads can share it."""


# Evolve.


def evolve_moved(state: Order | None, event: UnitsMoved) -> Order:
    if (foreseen := _as_foreseen(state, event)) is not None:
        return foreseen
    order = as_type(state, Order)
    vectors: dict[str, dict[str, int]] = {}
    for step in event.moves:
        units = vectors.get(step.line_id)
        if units is None:
            units = vectors[step.line_id] = dict(order.lines[step.line_id].units)
        walk(units, step.source, step.arrow, step.quantity)
    return _standing(order, event, vectors)


def _standing(order: Order, event: UnitsMoved, vectors: Mapping[str, dict[str, int]]) -> Order:
    """The order with its units where these vectors say."""
    lines = dict(order.lines)
    for line_id, units in vectors.items():
        lines[line_id] = changed(lines[line_id], units=units)
    return evolved(order, event, lines=lines)


def evolve_noted(state: Order | None, event: PaymentNoted) -> Order:
    if (foreseen := _as_foreseen(state, event)) is not None:
        return foreseen
    order = as_type(state, Order)
    payments = order.payments | {event.payment_id: event.tally}
    if order.asking:
        return evolved(order, event, payments=payments, asking=noted(order, event.payment_id, event.tally))
    return evolved(order, event, payments=payments)


def evolve_credited(state: Order | None, event: CreditGranted) -> Order:
    order = as_type(state, Order)
    return evolved(order, event, credits=order.credits + event.minor)


def evolve_asked(state: Order | None, event: MoneyAsked) -> Order:
    order = as_type(state, Order)
    refunds = sum(asking.verb == "refund" for asking in event.askings)
    return evolved(order, event, refunds=event.refunds + refunds, asking=asked(order, event.askings))


def evolve_shipment(state: Order | None, event: ShipmentNoted) -> Order:
    order = as_type(state, Order)
    return evolved(order, event, shipments=(*order.shipments, event.shipment_id))


def evolve_confirmed(state: Order | None, event: OrderConfirmed) -> Order:
    return evolved(as_type(state, Order), event, accepted=True)


EVOLVE: Mapping[type[Event], Evolve] = {
    OrderConfirmed: evolve_confirmed,
    OrderCancelled: evolved,
    OrderRejected: evolved,
    OrderExpired: evolved,
    OrderClosed: evolved,
    OrderAdvanced: evolved,
    UnitsCancelled: evolved,
    UnitsMoved: evolve_moved,
    CreditGranted: evolve_credited,
    PaymentNoted: evolve_noted,
    MoneyAsked: evolve_asked,
    ShipmentNoted: evolve_shipment,
}
