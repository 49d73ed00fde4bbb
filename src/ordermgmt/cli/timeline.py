"""The timeline of an order: what happened to it, its payments, parcels and refunds, in the words of the business."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pendulum import DateTime

from ..changes import messages as changes
from ..changes.model import OrderChange
from ..engine.messages import Event, counted
from ..management import OrderManagement
from ..money import Money
from ..orders import amended, drafts, holds
from ..orders import messages as orders
from ..orders.model import Order
from ..payments import messages as payments
from ..payments.model import Payment
from ..refunds import messages as refunds
from ..refunds.model import Refund
from ..settings import Recorded
from ..shipments import messages as shipments
from ..shipments.model import Shipment
from ..values import frozen
from .terminal import Paper, wrapped

TEXT_WIDTH = 66
LINES_TOLD_MAX = 4
"""Of an order with more lines, so many are named and the rest counted."""


@frozen(kw_only=True)
class Whole:
    """One order and everything that belongs to it."""

    order: Order
    payments: Mapping[str, Payment]
    shipments: Mapping[str, Shipment]
    refunds: Mapping[str, Refund]
    changes: Mapping[str, OrderChange]
    notes: Mapping[str, str]
    """What was written down, by its reference, as far as it was not erased."""

    @classmethod
    def of(cls, shop: OrderManagement, order_id: str) -> Whole:
        """Read it from the shop.  Raises `NotFound`."""
        order = shop.get(Order, order_id)
        numbers = range(1, order.refunds + 1)
        return cls(
            order=order,
            payments={id: shop.get(Payment, id) for id in order.payments},
            shipments={id: shop.get(Shipment, id) for id in order.shipments},
            refunds={id: shop.get(Refund, id) for id in (refunds.refund_id(order_id, n) for n in numbers)},
            changes={change.change_id: change for change in shop.find(OrderChange, order=order_id, limit=1000)},
            notes={note.text.ref: text for note in order.notes if (text := shop.reveal(note.text, str)) is not None},
        )

    def money(self, minor: int) -> Money:
        """An amount of this order."""
        return Money.of_minor(minor, self.order.currency)

    def units(self, moved: Iterable[tuple[str, int]]) -> str:
        """``2 × mug, 1 × teapot``: units by line id, in the words of the shelf."""
        by_sku = dict[str, int]()
        for line_id, n in moved:
            sku = self.order.lines[line_id].sku
            by_sku[sku] = by_sku.get(sku, 0) + n
        told = [f"{n} × {sku}" for sku, n in by_sku.items()]
        more = len(told) - LINES_TOLD_MAX
        if more > 1:
            units = sum(list(by_sku.values())[LINES_TOLD_MAX:])
            told = [*told[:LINES_TOLD_MAX], f"{counted(units, 'unit')} of {counted(more, 'other item')}"]
        return ", ".join(told)


@frozen(kw_only=True)
class Step:
    """One line of a timeline."""

    at: DateTime
    by: str
    text: str
    style: str = ""


def timeline(shop: OrderManagement, whole: Whole) -> list[Step]:
    """Everything that is worth telling, in the order in which it came about."""
    keys: list[tuple[type[Any], str]] = [
        (Order, whole.order.order_id),
        *((OrderChange, id) for id in whole.changes),
        *((Payment, id) for id in whole.payments),
        *((Shipment, id) for id in whole.shipments),
        *((Refund, id) for id in whole.refunds),
    ]
    recorded = [one for state, id in keys for one in shop.history(state, id)]
    recorded.sort(key=lambda one: one.position)
    return [step for commit in _commits(recorded) for step in _told(commit, whole)]


_SAVED = {"change": 0, "shipment": 1, "order": 2, "payment": 3, "refund": 4}
"""The order in which one commit saves what it changed."""


def _commits(recorded: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """What was decided together.  Inside a commit the feed goes by kind and id, so a step back begins another."""
    commit = list[Recorded]()
    for one in recorded:
        if commit and (one.at != commit[-1].at or _place(one) < _place(commit[-1])):
            yield commit
            commit = []
        commit.append(one)
    if commit:
        yield commit


def _place(one: Recorded) -> tuple[int, str, int]:
    return _SAVED[one.kind], one.id, one.version


def _told(commit: Iterable[Recorded], whole: Whole) -> Iterator[Step]:
    """What a commit tells, cause before consequence: what we heard, what we decided, what we ask for."""
    ranked = list[tuple[int, Step]]()
    for one in commit:
        words = WORDS.get(type(one.event)) if isinstance(one.event, Event) else None
        if words is None:
            continue
        rank, style, tell = words
        for n, text in enumerate(filter(None, tell(one, one.event, whole).split("\n"))):
            ranked.append((rank, Step(at=one.at, by=one.by, text=text, style=style if n == 0 else "")))
    ranked.sort(key=lambda pair: pair[0])
    return (step for _, step in ranked)


# Words.

Tell = Callable[[Recorded, Any, Whole], str]


def _entered(what: str) -> Tell:
    def tell(one: Recorded, event: orders.OrderEntered, whole: Whole) -> str:
        told = [f"{line.quantity} × {line.sku}" for line in event.lines]
        if len(told) > LINES_TOLD_MAX + 1:
            told = [*told[:LINES_TOLD_MAX], counted(len(told) - LINES_TOLD_MAX, "more line")]
        total = sum(line.minor for line in event.lines) + sum(charge.minor for charge in event.charges)
        return f"{what}: {', '.join(told)}\n{Money.of_minor(total, event.currency)}"

    return tell


def _placed(one: Recorded, event: orders.OrderPlaced, whole: Whole) -> str:
    units = whole.units((line.line_id, line.quantity) for line in event.lines)
    goods = sum(line.minor for line in event.lines)
    charges = "".join(f" + {charge.name} {whole.money(charge.minor)}" for charge in event.charges)
    # As it was then: an amendment may have made the order dearer since.
    total = f" = {whole.money(goods + sum(charge.minor for charge in event.charges))}" if event.charges else ""
    return f"Order placed: {units}\n{whole.money(goods)}{charges}{total}"


def _quoted(one: Recorded, event: drafts.OrderQuoted, whole: Whole) -> str:
    return f"Quoted: the price stands until {event.until.format('D MMM YYYY HH:mm')}"


def _more(minor: int, whole: Whole) -> str:
    if not minor:
        return "for the same price"
    return f"{whole.money(abs(minor))} {'more' if minor > 0 else 'less'}"


def _wanted(one: Recorded, event: changes.ChangeDrafted | changes.ChangeEdited, whole: Whole) -> str:
    return f"Change {one.id} drafted: {_more(event.settlement.difference.minor, whole)}{_because(event.reason)}"


def _amended(one: Recorded, event: amended.OrderAmended, whole: Whole) -> str:
    told = list[str]()
    if event.let_go:
        told.append(f"without {whole.units((move.line_id, move.quantity) for move in event.let_go)}")
    more = [(line.line_id, line.add) for line in event.lines if line.add]
    more += [(line.line_id, line.quantity) for line in event.added]
    if more:
        told.append(f"with {whole.units(more)} more")
    if any(line.unit_price != line.before.unit_price for line in event.lines):
        told.append("at other prices")
    if event.charges is not None:
        told.append("with other charges")
    if event.readdressed:
        told.append("to another address")
    if event.terms is not None and event.terms.kind == "account":
        told.append(f"{whole.money(event.terms.minor)} to be paid on account")
    what = f"Amendment {event.reverts} taken back" if event.reverts else f"Order amended ({event.number})"
    return f"{what}: {', '.join(told)}{_because(event.reason)}" if told else what


_MOVES = {
    "reserve": "Set aside on the shelf",
    "release": "Back on sale",
    "cancel": "Taken off the order",
    "perform": "Performed",
    "give_up": "Given up",
    "reship": "To be sent again",
}
"""Arrows that only the order tells of; the others are told by the parcel that walks them."""


def _moved(one: Recorded, event: orders.UnitsMoved, whole: Whole) -> str:
    told = list[str]()
    for arrow, words in _MOVES.items():
        if counted := [(move.line_id, move.quantity) for move in event.moves if move.arrow == arrow]:
            told.append(f"{words}: {whole.units(counted)}")
    return "; ".join(told)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _requested(one: Recorded, event: payments.PaymentRequested, whole: Whole) -> str:
    amount = whole.money(event.minor)
    if not event.ask:
        return f"{amount} taken elsewhere: {event.method}"
    return f"Asking {event.gateway} to {'take' if event.sale else 'authorise'} {amount}"


def _asking(what: str) -> Tell:
    def tell(one: Recorded, event: Any, whole: Whole) -> str:
        return f"Asking {whole.payments[one.id].gateway} to {what.format(whole.money(event.minor))}"

    return tell


_FACTS = {
    "authorised": "authorised",
    "captured": "captured",
    "sold": "authorised and captured",
    "voided": "given up, nothing was taken",
    "expired": "expired",
    "refunded": "given back",
    "charged_back": "charged back by the customer's bank",
}


def _fact(one: Recorded, event: payments.FactRecorded, whole: Whole) -> str:
    gateway = whole.payments[one.id].gateway
    amount = Money.of_minor(event.fact.minor, event.fact.currency)
    heard = f"{gateway}: {amount}" if gateway else f"{amount}"
    return f"{heard} {_FACTS.get(event.fact.kind, event.fact.kind)}"


def _declined(one: Recorded, event: payments.AskDeclined, whole: Whole) -> str:
    amount = whole.money(event.minor)
    return f"{whole.payments[one.id].gateway} declined to {event.verb} {amount}{_because(event.code)}"


def _parcel(words: str) -> Tell:
    return lambda one, event, whole: f"Parcel {one.id} {words}"


def _planned(one: Recorded, event: shipments.ShipmentPlanned, whole: Whole) -> str:
    mine = [(c.line_id, c.quantity) for c in event.contents if c.order_id == whole.order.order_id]
    return f"Parcel {one.id} planned: {whole.units(mine)}{f', by {event.carrier}' if event.carrier else ''}"


def _handed_over(one: Recorded, event: shipments.ShipmentHandedOver, whole: Whole) -> str:
    carrier = whole.shipments[one.id].carrier
    return f"Parcel {one.id} {f'handed over to {carrier}' if carrier else 'has left the house'}"


def _label(one: Recorded, event: shipments.LabelBought, whole: Whole) -> str:
    return f"{whole.shipments[one.id].carrier} sold a label: {event.label.tracking_number}"


def _scanned(one: Recorded, event: shipments.ScanRecorded, whole: Whole) -> str:
    carrier = whole.shipments[one.id].carrier or "carrier"
    return f"{carrier}: parcel {event.scan.kind.replace('_', ' ')}{_because(event.scan.note)}"


def _plain(text: str) -> Tell:
    return lambda one, event, whole: text


def _reason(text: str) -> Tell:
    return lambda one, event, whole: text + _because(event.reason)


def _held(one: Recorded, event: holds.OrderHeld, whole: Whole) -> str:
    return f"On hold: {event.reason}{_because(event.note)}"


def _released(one: Recorded, event: holds.HoldReleased, whole: Whole) -> str:
    return f"No longer on hold: {event.reason}{_because(event.note)}"


def _note(one: Recorded, event: holds.NoteAdded, whole: Whole) -> str:
    about = f" about line {event.line_id}" if event.line_id else ""
    return f"Note{about}: {whole.notes.get(event.text.ref, 'erased')}"


HEARD, DECIDED, FOLLOWED, ASKED = 0, 1, 2, 3
"""Cause before consequence, inside one commit."""

WORDS: Mapping[type[Event], tuple[int, str, Tell]] = {
    orders.OrderPlaced: (DECIDED, "bold", _placed),
    drafts.OrderDrafted: (DECIDED, "bold", _entered("Drafted")),
    drafts.DraftEdited: (DECIDED, "bold", _entered("Edited")),
    drafts.OrderQuoted: (DECIDED, "bold", _quoted),
    drafts.QuoteWithdrawn: (DECIDED, "bold", _reason("Quote withdrawn")),
    orders.OrderConfirmed: (DECIDED, "bold", _plain("Order confirmed")),
    orders.OrderCancelled: (DECIDED, "bold", _reason("Order cancelled")),
    orders.OrderRejected: (DECIDED, "bold", _reason("Order rejected")),
    orders.OrderExpired: (DECIDED, "bold", _plain("Order expired: not paid or accepted in time")),
    orders.OrderClosed: (DECIDED, "bold", _plain("Order closed")),
    orders.OrderAdvanced: (
        DECIDED,
        "bold",
        lambda one, event, whole: f"Order: {event.step.replace('_', ' ')}{_because(event.note)}",
    ),
    orders.CreditGranted: (
        DECIDED,
        "bold",
        lambda one, event, whole: f"Credit of {whole.money(event.minor)} granted{_because(event.reason)}",
    ),
    holds.OrderHeld: (DECIDED, "bold", _held),
    holds.HoldReleased: (DECIDED, "bold", _released),
    holds.NoteAdded: (DECIDED, "", _note),
    orders.UnitsMoved: (FOLLOWED, "", _moved),
    amended.OrderAmended: (DECIDED, "bold", _amended),
    changes.ChangeDrafted: (DECIDED, "", _wanted),
    changes.ChangeEdited: (DECIDED, "", _wanted),
    changes.ChangeRequested: (DECIDED, "", lambda one, event, whole: f"Change {one.id} put to whoever has to agree"),
    changes.ChangeConfirmed: (DECIDED, "", lambda one, event, whole: f"Change {one.id} confirmed"),
    changes.ChangeDeclined: (
        DECIDED,
        "",
        lambda one, event, whole: f"Change {one.id} declined{_because(event.reason)}",
    ),
    changes.ChangeCancelled: (
        DECIDED,
        "",
        lambda one, event, whole: f"Change {one.id} cancelled{_because(event.reason)}",
    ),
    changes.ChangeExpired: (DECIDED, "", lambda one, event, whole: f"Change {one.id} expired: nobody answered"),
    changes.ChangeReverted: (
        DECIDED,
        "",
        lambda one, event, whole: f"Change {one.id} taken back{_because(event.reason)}",
    ),
    changes.ChangeUndone: (FOLLOWED, "", lambda one, event, whole: f"Change {one.id} taken back with it"),
    payments.PaymentRequested: (ASKED, "dim", _requested),
    payments.CaptureAsked: (ASKED, "dim", _asking("capture {}")),
    payments.VoidAsked: (ASKED, "dim", _asking("give up {}")),
    payments.RefundAsked: (ASKED, "dim", _asking("give {} back")),
    payments.PaymentWithdrawn: (FOLLOWED, "", _plain("The request for money was taken back before it was sent")),
    payments.FactRecorded: (HEARD, "green", _fact),
    payments.FactNotCounted: (HEARD, "red", _reason("A report of the provider was not counted")),
    payments.AskDeclined: (HEARD, "red", _declined),
    shipments.ShipmentPlanned: (FOLLOWED, "", _planned),
    shipments.ShipmentPicked: (DECIDED, "", _parcel("picked")),
    shipments.ShipmentPacked: (DECIDED, "", _parcel("packed")),
    shipments.ShipmentHandedOver: (DECIDED, "bold", _handed_over),
    shipments.ShipmentDelivered: (HEARD, "bold", _parcel("delivered")),
    shipments.ShipmentUndeliverable: (
        HEARD,
        "red",
        lambda one, event, whole: f"Parcel {one.id} could not be delivered{_because(event.note)}",
    ),
    shipments.ShipmentCancelled: (FOLLOWED, "", _parcel("will not go out")),
    shipments.LabelAsked: (
        ASKED,
        "dim",
        lambda one, event, whole: f"Asking {whole.shipments[one.id].carrier} for a label",
    ),
    shipments.LabelBought: (HEARD, "green", _label),
    shipments.LabelDeclined: (
        HEARD,
        "red",
        lambda one, event, whole: f"{whole.shipments[one.id].carrier} sold no label{_because(event.code)}",
    ),
    shipments.TrackingDeclined: (
        HEARD,
        "red",
        lambda one, event, whole: (
            f"{whole.shipments[one.id].carrier} does not tell where the parcel is{_because(event.code)}"
        ),
    ),
    shipments.LabelVoidAsked: (
        ASKED,
        "dim",
        lambda one, event, whole: f"Giving label {event.label.tracking_number} back",
    ),
    shipments.LabelVoided: (
        HEARD,
        "",
        lambda one, event, whole: (
            f"Label {event.tracking_number} {f'not taken back ({event.refused})' if event.refused else 'taken back'}"
        ),
    ),
    shipments.ScanRecorded: (HEARD, "", _scanned),
    refunds.RefundRequested: (
        FOLLOWED,
        "",
        lambda one, event, whole: f"Refund {one.id} of {event.amount} is owed to the customer",
    ),
    refunds.RefundSucceeded: (HEARD, "bold", lambda one, event, whole: f"Refund {one.id} has reached the customer"),
    refunds.RefundFailed: (
        HEARD,
        "red",
        lambda one, event, whole: f"Refund {one.id} failed{_because(event.code)}",
    ),
}
"""What each event tells: its rank inside its commit, its style, its words.  What is absent is told by another."""


# Printing.


def print_timeline(paper: Paper, steps: Iterable[Step]) -> None:
    """Day, time and person stand once, where they change; all times are UTC."""
    day = time = by = ""
    steps = list(steps)
    wide = max((len(step.by) for step in steps), default=0)
    for step in steps:
        if day != (today := step.at.format("ddd D MMM YYYY")):
            paper.line(f"  {paper.ink(today, 'blue')}")
            day, time, by = today, "", ""
        now, who = step.at.format("HH:mm"), step.by
        if now == time:
            shown = "" if who == by else who
            moment = ""
        else:
            shown, moment = who, now
        time, by = now, who
        first, *more = wrapped(step.text, TEXT_WIDTH)
        paper.line(f"  {moment:5}  {paper.ink(f'{shown:{wide}}', 'dim')}  {paper.ink(first, step.style)}")
        for rest in more:
            paper.line(f"  {'':5}  {'':{wide}}  {paper.ink(rest, step.style)}")


def print_standing(paper: Paper, whole: Whole) -> None:
    """Where the order stands now."""
    order = whole.order
    flags = [word for word, true in (("complete", order.complete), ("exception", order.exception)) if true]
    standing = [order.status, order.payment_status, order.fulfilment_status, *flags]
    paper.line(f"  {paper.ink('=', 'dim')} {paper.ink(' · '.join(standing).replace('_', ' '), 'bold')}")
    owed = f"due {order.due}, paid {order.paid}"
    paper.line(f"    {owed}")
    for hold in order.holds.values():
        paper.line(f"    on hold: {hold.reason}{_because(hold.note)}")
    for id, shipment in whole.shipments.items():
        number = shipment.label.tracking_number if shipment.label is not None else ""
        by = f"{shipment.carrier} {number}" if number else ""
        paper.line(f"    parcel {id}: {shipment.status}{f', {by}' if by else ''}")
