"""The laws of a state: what an entity and its neighbours hold must add up, whatever led to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from ..changes.model import OrderChange
from ..engine.approvals import Approval
from ..engine.effects import Intent
from ..engine.instants import from_text
from ..engine.laters import Reminder
from ..engine.messages import counted
from ..engine.transaction import Key
from ..errors import NotFound
from ..money import AMOUNT_MINOR_MAX, cumulative
from ..orders.lifecycle import BUCKETS, GONE_OUT, IN_THE_HOUSE
from ..orders.model import Order, OrderLine
from ..orders.reckoning import reckon
from ..orders.stretches import share
from ..payments.model import Amounts, Payment, fold, status_of
from ..refunds.model import Refund
from ..shipments.model import STAGES, Shipment
from ..stock.messages import stock_id
from ..stock.model import Reservation, Stock
from .changes import amendment_laws, change_laws
from .entry import approval_laws, entered_beside, entry_laws
from .prices import price_laws
from .reading import Breach, Findings, View

ENDED = frozenset({"cancelled", "rejected", "expired", "closed"})
"""Statuses of an order of which nothing is left to do."""


WAIT_MAX = timedelta(days=1)
"""How long an unknown effect may lie: far longer than any back-off, late window, or turn of a provider to tell."""


# One order.


def order_and_all(view: View, order_id: str) -> Iterator[Breach]:
    """An order and all that belongs to it, as they stand."""
    order = view.state("order", order_id)
    if order is None:
        raise NotFound("order", order_id)
    if isinstance(order, Breach):
        yield order
    if not isinstance(order, Order):
        return
    own: list[Key] = [
        ("reservation", order_id),
        *(("shipment", shipment) for shipment in order.shipments),
        *{("stock", stock_id(line.sku, line.location)) for line in order.lines.values() if line.kind == "stocked"},
        *(("payment", payment_id) for payment_id in order.payments),
    ]
    view.read([*own, *beside(order)])
    yield from laws_of(view, "order", order_id, order)
    for key in own:
        yield from laws_of(view, *key, view.state(*key))
    for refund_id, refund in view.find("refund", order=order_id):
        yield from laws_of(view, "refund", refund_id, refund)
    for change_id, change in view.find("change", order=order_id):
        yield from laws_of(view, "change", change_id, change)
    for effect_id, intent in view.find("effect", group=order_id):
        yield from laws_of(view, "effect", effect_id, intent)


def laws_of(view: View, kind: str, id: str, state: Any) -> Iterator[Breach]:
    """The laws of a state, by its type: a host's own kinds have none of ours."""
    if isinstance(state, Breach):
        yield state
    for laws in _laws_for(type(state)):  # type: ignore[arg-type] # mypy takes a class for unhashable
        for law, explanation in laws(view, state):
            yield Breach(law, kind, id, explanation)


def beside(state: Any) -> Iterator[Key]:
    """The rows that the laws of this state will look at, so that those of many states are read in one go."""
    for kind, look in _BESIDE.items():
        if isinstance(state, kind):
            yield from look(state)


def _beside_order(order: Order) -> Iterator[Key]:
    yield "reservation", order.order_id
    for shipment_id in order.shipments:
        yield "shipment", shipment_id
    if order.change:
        yield "change", order.change
    yield from entered_beside(order)


def _beside_reservation(reservation: Reservation) -> Iterator[Key]:
    yield "order", reservation.order_id
    for claim in reservation.claims.values():
        yield "stock", stock_id(claim.sku, claim.location)


def _beside_shipment(shipment: Shipment) -> Iterator[Key]:
    for order_id in shipment.orders:
        yield "order", order_id


def _beside_refund(refund: Refund) -> Iterator[Key]:
    yield "payment", refund.payment_id


def _beside_change(change: OrderChange) -> Iterator[Key]:
    yield "order", change.order_id


_BESIDE: Mapping[type[Any], Callable[[Any], Iterator[Key]]] = {
    Order: _beside_order,
    Reservation: _beside_reservation,
    Shipment: _beside_shipment,
    Refund: _beside_refund,
    OrderChange: _beside_change,
}


@cache
def _laws_for(type_of_state: type[Any]) -> tuple[Callable[[View, Any], Findings], ...]:
    return tuple(laws for wanted, laws in _STATE_LAWS.items() if issubclass(type_of_state, wanted))


def _money(*amounts: tuple[str, Any]) -> Findings:
    for name, minor in amounts:
        if type(minor) is not int or abs(minor) > AMOUNT_MINOR_MAX:
            yield "M8", f"{name} is {minor!r}, which is no whole amount within ±{AMOUNT_MINOR_MAX}"


def _order(view: View, order: Order) -> Findings:
    for line in order.lines.values():
        yield from _line(line)
    yield from _money(("credits", order.credits), *((charge.name, charge.minor) for charge in order.charges))
    yield from _shares(order)
    yield from price_laws(order)
    yield from amendment_laws(view, order)
    if order.status in ENDED and (left := order.count(*IN_THE_HOUSE)):
        yield "C4", f"it is {order.status}, but {counted(left, 'unit still stands', 'units still stand')} in the house"
    yield from _claims(view, order)
    yield from _tallies(view, order)
    yield from _parcels(view, order)
    yield from entry_laws(view, order, ended=order.status in ENDED)


def _line(line: OrderLine) -> Findings:
    name = f"line {line.line_id}"
    yield from _money((name, line.minor))
    if unknown := set(line.units) - set(BUCKETS):
        yield "Q1", f"{name}: units stand in {', '.join(sorted(unknown))}, which is no bucket"
    if any(type(n) is not int or n <= 0 for n in line.units.values()) or sum(line.units.values()) != line.quantity:
        yield "Q1", f"{name}: {line.units} does not add up to the {line.quantity} ordered"
    if cumulative(line.minor, line.quantity, line.quantity) != line.minor:
        yield "M7", f"{name}: the shares of its units do not add up to {line.minor}"


def _shares(order: Order) -> Findings:
    """M7: what is owed and what is earned, reckoned once more and plainly: no cent is lost or made in dividing."""
    standing = out = wanted = gone = 0
    for line in order.lines.values():
        cancelled, left = line.count("cancelled"), line.count(*GONE_OUT)
        standing += line.minor - _front(line, cancelled)
        out += line.minor - _front(line, line.quantity - left)
        wanted += line.quantity - cancelled
        gone += left
    charges = sum(charge.minor for charge in order.charges) if wanted else 0
    owed = max(standing + charges - order.credits, 0)
    earned = min(out + charges, owed) if gone else 0
    reckoned = reckon(order)
    if (reckoned.owed, reckoned.earned) != (owed, earned):
        yield "M7", f"{reckoned.owed} is owed and {reckoned.earned} earned, but its units make {owed} and {earned}"
    if owed > order.total.minor:
        yield "M7", f"{owed} is due of an order of {order.total.minor}"


def _front(line: OrderLine, units: int) -> int:
    """What the first units of a line carry: those that are cancelled take their shares from there."""
    if units in (0, line.quantity):
        return line.minor if units else 0
    return share(line.stretches, units) if line.stretches else cumulative(line.minor, units, line.quantity)


def _claims(view: View, order: Order) -> Findings:
    """S3: units set aside have a claim behind them, and no claim is without units."""
    reservation = view.state("reservation", order.order_id)
    claims = reservation.claims if isinstance(reservation, Reservation) else {}
    for line in order.lines.values():
        standing = line.count("reserved", "picked", "packed")
        claim = claims.get(line.line_id)
        claimed = claim.quantity if claim is not None else 0
        if line.kind == "stocked" and claimed != standing:
            aside = counted(standing, "unit is", "units are")
            yield "S3", f"line {line.line_id}: {aside} set aside, and {claimed} claimed"
        if claim is not None and (claim.sku, claim.location) != (line.sku, line.location):
            yield "S3", f"line {line.line_id} of {line.sku} claims {claim.sku} at {claim.location}"
    if stray := set(claims) - set(order.lines):
        yield "S3", f"claims of lines it does not have: {', '.join(sorted(stray))}"


def _tallies(view: View, order: Order) -> Findings:
    """M6: the order knows its payments exactly, so its money is the sum over them."""
    total = Amounts()
    for payment_id, payment in view.find("payment", order=order.order_id):
        tally = order.payments.get(payment_id)
        if not isinstance(payment, Payment):
            continue
        total += payment.amounts
        if tally is None or (tally.amounts, tally.declined) != (payment.amounts, payment.declined):
            yield "M6", f"it knows {tally} of payment {payment_id}, which stands at {payment.amounts}"
        if payment.currency != order.currency:
            yield "M8", f"payment {payment_id} is in {payment.currency}, the order in {order.currency}"
    if order.money != total:
        yield "M6", f"its money is {order.money}, but its payments sum up to {total}"


def _parcels(view: View, order: Order) -> Findings:
    """Q2: units in parcels are units of the lines, and stand where the parcel does."""
    if not order.shipments:
        return  # a host that hands goods out without parcels
    inside = dict[tuple[str, str], int]()
    gone = dict[str, int]()
    for shipment_id in order.shipments:
        shipment = view.state("shipment", shipment_id)
        if not isinstance(shipment, Shipment):
            continue
        for content in shipment.contents:
            if content.order_id != order.order_id:
                continue
            if content.line_id not in order.lines:
                yield "Q2", f"parcel {shipment_id} holds units of line {content.line_id}, which it does not have"
            elif bucket := STAGES.get(shipment.status):
                place = (content.line_id, bucket)
                inside[place] = inside.get(place, 0) + content.quantity
            elif shipment.handed_over_at is not None:
                gone[content.line_id] = gone.get(content.line_id, 0) + content.quantity
    for (line_id, bucket), n in inside.items():
        standing = order.lines[line_id].count(bucket)
        if n > standing:
            yield "Q2", f"line {line_id}: {counted(standing, 'unit is', 'units are')} {bucket}, but parcels hold {n}"
    for line in order.lines.values():
        out, carried = line.count(*GONE_OUT), gone.get(line.line_id, 0)
        if line.kind == "stocked" and out > carried:
            left = counted(out, "unit has", "units have")
            yield "Q2", f"line {line.line_id}: {left} left the house, {carried} in parcels"


def _reservation(view: View, reservation: Reservation) -> Findings:
    if bad := [claim.line_id for claim in reservation.claims.values() if claim.quantity <= 0]:
        yield "S3", f"claims of nothing: {', '.join(bad)}"
    held = reservation.status in ("held", "committed")
    if reservation.claims and not held:
        yield "S3", f"it is {reservation.status}, but still has {counted(len(reservation.claims), 'claim')}"
    for claim in reservation.claims.values():
        stock = view.state("stock", stock_id(claim.sku, claim.location))
        if isinstance(stock, Stock) and stock.reserved < claim.quantity:
            promised = counted(stock.reserved, "is", "are")
            yield "S2", f"it claims {claim.quantity} of {claim.sku} at {claim.location}, where {promised} promised"
    order = view.state("order", reservation.order_id)
    if order is None and reservation.status == "committed":
        yield "S3", "its order does not exist"


def _stock(view: View, stock: Stock) -> Findings:
    if stock.reserved < 0 or stock.held < 0 or stock.reserved + stock.held > stock.on_hand:
        yield "S2", f"{stock.on_hand} on hand, {stock.reserved} reserved, {stock.held} held"


def _payment(view: View, payment: Payment) -> Findings:
    facts, asks = payment.facts.values(), payment.asks.values()
    book = fold(facts, asks)
    if book != payment.amounts:
        yield "M5", f"its amounts are {payment.amounts}, but its facts make {book}"
    if any(key != fact.transaction_id for key, fact in payment.facts.items()):
        yield "M5", "a fact is kept under another transaction id than its own"
    if foreign := {fact.currency for fact in facts} - {payment.currency}:
        yield "M8", f"it counts facts in {', '.join(sorted(foreign))}, but is in {payment.currency}"
    yield from _money(*((fact.transaction_id, fact.minor) for fact in facts))
    if any(ask.minor <= 0 for ask in asks):
        yield "M4", "it asks for nothing, or less"
    untold = not view.told_of("payment", payment.payment_id) if _exceeds(payment) else False
    if untold:
        yield "M2", f"the provider exceeded a limit and nobody was told: {payment.amounts}"
    status = status_of(payment.amounts, payment.declined, withdrawn=payment.withdrawn)
    asked_by_hand = payment.status in ("action_required", "closed")
    if status != payment.status and not asked_by_hand and not view.told_of("payment", payment.payment_id):
        yield "C1", f"it is {payment.status}, but its facts make it {status}"


def _exceeds(payment: Payment) -> bool:
    return payment.amounts.open < 0 or payment.amounts.paid < 0


def _shipment(view: View, shipment: Shipment) -> Findings:
    if any(content.quantity <= 0 for content in shipment.contents):
        yield "Q2", "it holds nothing of a line"
    if shipment.status in ("shipped", "delivered", "undeliverable") and shipment.handed_over_at is None:
        yield "Q2", f"it is {shipment.status}, but was never handed over"
    for order_id in shipment.orders:
        order = view.state("order", order_id)
        if order is None or (isinstance(order, Order) and shipment.shipment_id not in order.shipments):
            yield "Q2", f"order {order_id} does not know of it"


def _refund(view: View, refund: Refund) -> Findings:
    if refund.amount.minor <= 0:
        yield "M3", f"it gives back {refund.amount}"
    payment = view.state("payment", refund.payment_id)
    if payment is None:
        yield "M3", f"its payment {refund.payment_id} does not exist"
    if not isinstance(payment, Payment):
        return
    if payment.currency != refund.amount.currency:
        yield "M8", f"it is in {refund.amount.currency}, its payment in {payment.currency}"
    if payment.order_id != refund.order_id:
        yield "M3", f"its payment belongs to order {payment.order_id}"
    pending = any(ask.about == refund.refund_id for ask in payment.asks.values())
    if pending and refund.status in ("declined", "cancelled"):
        yield "M4", f"it is {refund.status}, but its payment still waits for it"


def _intent(view: View, intent: Intent) -> Findings:
    if intent.status == "parked" and not intent.reason:
        yield "E1", "it is parked without a reason"
    never_sent = intent.first_sent is None and not intent.doubtful
    if intent.status == "cancelled" and not never_sent:
        yield "E8", f"it is cancelled, but was sent at {intent.first_sent}"
    if intent.status in ("sending", "succeeded") and intent.first_sent is None and not intent.ended:
        yield "E7", "it is being sent, but nobody noted when"
    if intent.attempts < 0 or intent.attempts > intent.token:
        yield "E9", f"it counts {counted(intent.attempts, 'attempt')} in {counted(intent.token, 'claim')}"
    row = view.row(("effect", intent.effect_id))
    if intent.status == "unknown" and row is not None and intent.due - from_text(row.at) > WAIT_MAX:
        yield "E9", f"it is tried again only at {intent.due}, more than {WAIT_MAX} after {row.at}"
    if intent.status == "sending":
        lane = [id for id, other in view.find("effect", lane=intent.lane) if _is_sending(other)]
        if len(lane) > 1:
            yield "E7", f"lane {intent.lane} has {len(lane)} in flight: {', '.join(lane)}"


def _is_sending(intent: Any) -> bool:
    return isinstance(intent, Intent) and intent.status == "sending"


def _reminder(view: View, reminder: Reminder) -> Findings:
    if reminder.status == "waiting" and reminder.command is None:
        yield "E1", "it waits with nothing to decide"


_STATE_LAWS: Mapping[type[Any], Callable[[View, Any], Findings]] = {
    Order: _order,
    Reservation: _reservation,
    Stock: _stock,
    Payment: _payment,
    Shipment: _shipment,
    Refund: _refund,
    Intent: _intent,
    Reminder: _reminder,
    Approval: approval_laws,
    OrderChange: change_laws,
}
