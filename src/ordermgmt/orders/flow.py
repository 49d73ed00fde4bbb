"""The story of an order: what follows when it is placed, paid, moved and given up.

Read this to know the business.  Goods and money follow the units; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.capability import on, story
from ..engine.messages import Event, Later, Replies
from ..money import Money
from ..payments.messages import (
    AskAnswered,
    AskDeclined,
    CaptureAsked,
    CapturePayment,
    FactRecorded,
    NotePaidElsewhere,
    PaymentRequested,
    PaymentWithdrawn,
    RefundAsked,
    RequestPayment,
    VoidAsked,
    VoidPayment,
    WithdrawPayment,
)
from ..payments.model import Payment
from ..stock.messages import CommitReservation, ReduceReservation, ReplaceClaims, ReservationCommitted
from ..stock.model import Claim, Reservation
from ..values import unchecked
from .amended import OrderAmended
from .drafts import DraftEdited, ExpireQuote, OrderDrafted, OrderQuoted, QuoteWithdrawn, quote_name
from .goods import GoodsAskedFor
from .holds import CheckHolds, HoldReleased, may_perform
from .lifecycle import IN_THE_HOUSE
from .messages import (
    ExpireOrder,
    MoneyAsked,
    Move,
    MoveUnits,
    NotePayment,
    OrderCancelled,
    OrderConfirmed,
    OrderEntered,
    OrderExpired,
    OrderPlaced,
    OrderRejected,
    UnitsCancelled,
    UnitsMoved,
)
from .model import Order, Tally, Terms
from .reckoning import all_units, reckon
from .references import TakeReference, references_of, returned_by
from .rules import expiry_name, payment_id

# Made of what an order is kept with, which was checked when it came in.
_move = unchecked(Move)
_move_units = unchecked(MoveUnits)
_request_payment = unchecked(RequestPayment)
_capture_payment = unchecked(CapturePayment)
_check_holds = unchecked(CheckHolds)

# Before it is placed.


def the_channels_ids_are_taken(event: OrderEntered, order: Order) -> Replies:
    yield from references_of(event)


def the_channels_ids_are_given_back(event: DraftEdited, order: Order) -> Replies:
    yield from event.returned


def a_given_up_draft_gives_its_ids_back(event: Event, order: Order) -> Replies:
    if order.is_draft:
        yield from returned_by(order, "", (), order.channel)


def the_quote_ends_by_itself(event: OrderQuoted, order: Order) -> Replies:
    command = ExpireQuote(order_id=order.order_id)
    yield Later(command, event.until, quote_name(order.order_id), group=order.order_id)


def the_quote_has_ended(event: Event, order: Order) -> Replies:
    until = event.until if isinstance(event, QuoteWithdrawn) else order.quoted_until
    if until is not None:
        yield Later(None, until, quote_name(order.order_id))


# Happy path.


def set_the_goods_aside(event: OrderPlaced, order: Order) -> Replies:
    if event.goods == "later":
        return
    claims = tuple(
        Claim(line.line_id, line.sku, line.location, line.quantity) for line in event.lines if line.kind == "stocked"
    )
    if claims:
        yield CommitReservation(order_id=event.order_id, claims=claims)


def ask_for_the_money(event: OrderPlaced, order: Order) -> Replies:
    return _asked_by(event.terms, order, first=1)


def _asked_by(terms: Terms, order: Order, *, first: int) -> Replies:
    for n, tender in enumerate(terms.tenders, first):
        yield _request_payment(
            payment_id=payment_id(order.order_id, n),
            order_id=order.order_id,
            gateway=tender.gateway,
            token=tender.token,
            amount=Money.of_minor(tender.minor, order.currency),
            sale=tender.sale,
        )
    if terms.kind == "elsewhere":
        yield NotePaidElsewhere(
            payment_id=payment_id(order.order_id, first),
            order_id=order.order_id,
            method=terms.method,
            amount=Money.of_minor(terms.minor, order.currency),
            reference=terms.reference,
        )


def wait_only_so_long(event: OrderPlaced, order: Order) -> Replies:
    if event.expires_at is not None:
        command = ExpireOrder(order_id=event.order_id)
        yield Later(command, event.expires_at, expiry_name(event.order_id), group=event.order_id)


def units_follow_the_claims(event: ReservationCommitted, reservation: Reservation) -> Replies:
    moves = tuple([_move(claim.line_id, "reserve", claim.quantity) for claim in event.claims])
    yield _move_units(order_id=event.order_id, moves=moves)


def perform_what_needs_no_goods(event: Event, order: Order) -> Replies:
    if not may_perform(order):
        return  # with the last release of what makes it wait
    moves = tuple(
        _move(line.line_id, "perform", line.count("open"))
        for line in order.lines.values()
        if line.kind != "stocked" and line.count("open")
    )
    if moves:
        yield _move_units(order_id=order.order_id, moves=moves)


def claims_follow_the_units(event: UnitsMoved, order: Order) -> Replies:
    if taken := _taken(event):
        ends = reckon(order).totals.keys() <= {"cancelled"}
        for how, takes in taken.items():
            yield ReduceReservation(order_id=order.order_id, takes=tuple(takes.items()), how=how, ends=ends)


_HOW = {
    ("hand_over", "packed"): "issue",
    ("release", "reserved"): "release",
    ("cancel", "reserved"): "release",
    ("cancel", "picked"): "set_aside",
    ("cancel", "packed"): "set_aside",
}


def _taken(event: UnitsMoved) -> dict[str, dict[str, int]]:
    taken: dict[str, dict[str, int]] = {}
    for step in event.moves:
        how = _HOW.get((step.arrow, step.source))
        if how is not None:
            takes = taken.setdefault(how, {})
            takes[step.line_id] = takes.get(step.line_id, 0) + step.quantity
    return taken


def money_follows_the_units(event: MoneyAsked, order: Order) -> Replies:
    for asking in event.askings:
        match asking.verb:
            case "capture":
                amount = Money.of_minor(asking.minor, order.currency)
                yield _capture_payment(payment_id=asking.payment_id, amount=amount)
            case "void":
                yield VoidPayment(payment_id=asking.payment_id)
            case "withdraw":
                yield WithdrawPayment(payment_id=asking.payment_id)
            case _:
                pass  # refunds are a capability of their own


def nothing_is_captured_while_it_waits(event: CaptureAsked, payment: Payment) -> Replies:
    yield _check_holds(order_id=payment.order_id)


def the_order_knows_its_payments(event: Event, payment: Payment) -> Replies:
    tally = Tally(amounts=payment.amounts, declined=payment.declined, elsewhere=not payment.gateway)
    yield NotePayment(order_id=payment.order_id, payment_id=payment.payment_id, tally=tally)


# Amending.


def claims_follow_the_amendment(event: OrderAmended, order: Order) -> Replies:
    takes = {step.line_id: step.quantity for step in event.let_go if step.source == "reserved"}
    more = [(line.line_id, line.add) for line in event.lines if line.add]
    more += [(line.line_id, line.quantity) for line in event.added]
    claims = tuple(
        Claim(line.line_id, line.sku, line.location, n)
        for line, n in ((order.lines[line_id], n) for line_id, n in more)
        if line.kind == "stocked"
    )
    if takes or claims:
        yield ReplaceClaims(order_id=order.order_id, takes=tuple(takes.items()), claims=claims)


def set_aside_what_stands_open(event: GoodsAskedFor, order: Order) -> Replies:
    yield CommitReservation(order_id=order.order_id, claims=event.claims)


def the_channels_ids_are_taken_later(event: OrderAmended, order: Order) -> Replies:
    for line in event.added:
        if line.external:
            yield TakeReference(
                channel=order.channel, external=line.external, order_id=order.order_id, line_id=line.line_id
            )


def ask_for_what_is_missing(event: OrderAmended, order: Order) -> Replies:
    return _asked_by(event.terms, order, first=event.first_payment) if event.terms is not None else ()


# Compensation.


def let_go_of_everything(event: Event, order: Order) -> Replies:
    yield from _cancelled(order, all_units(order.lines.values(), *IN_THE_HOUSE), getattr(event, "reason", ""))


def let_go_of_some(event: UnitsCancelled, order: Order) -> Replies:
    yield from _cancelled(order, event.units, event.reason)


def _cancelled(order: Order, units: Iterable[tuple[str, int]], reason: str) -> Replies:
    moves = tuple([_move(line_id, "cancel", n) for line_id, n in units])
    if moves:
        yield _move_units(order_id=order.order_id, moves=moves, reason=reason)


def no_need_to_expire(event: Event, order: Order) -> Replies:
    if order.expires:
        yield Later(None, order.placed_at, expiry_name(order.order_id))


PAYMENT_EVENTS = (
    PaymentRequested,
    CaptureAsked,
    VoidAsked,
    RefundAsked,
    FactRecorded,
    AskAnswered,
    AskDeclined,
    PaymentWithdrawn,
)

REACTIONS = story(
    on(OrderDrafted, the_channels_ids_are_taken),
    on(DraftEdited, the_channels_ids_are_given_back, the_channels_ids_are_taken),
    on(OrderQuoted, the_quote_ends_by_itself),
    on(QuoteWithdrawn, the_quote_has_ended),
    on(OrderPlaced, the_channels_ids_are_taken, the_quote_has_ended),
    on(OrderPlaced, set_the_goods_aside, ask_for_the_money, wait_only_so_long),
    on(ReservationCommitted, units_follow_the_claims),
    on(OrderConfirmed, perform_what_needs_no_goods, no_need_to_expire),
    on(HoldReleased, perform_what_needs_no_goods),
    on(UnitsMoved, claims_follow_the_units),
    on(GoodsAskedFor, set_aside_what_stands_open),
    on(
        OrderAmended,
        the_channels_ids_are_taken_later,
        claims_follow_the_amendment,
        ask_for_what_is_missing,
        perform_what_needs_no_goods,
    ),
    on(MoneyAsked, money_follows_the_units),
    on(CaptureAsked, nothing_is_captured_while_it_waits),
    *(on(event, the_order_knows_its_payments) for event in PAYMENT_EVENTS),
    on(OrderCancelled, let_go_of_everything, no_need_to_expire, the_quote_has_ended),
    on(OrderCancelled, a_given_up_draft_gives_its_ids_back),
    on(OrderRejected, let_go_of_everything, no_need_to_expire),
    on(OrderExpired, let_go_of_everything, a_given_up_draft_gives_its_ids_back),
    on(UnitsCancelled, let_go_of_some),
)
