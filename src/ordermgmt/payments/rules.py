"""What we may ask a provider for, and how facts are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pendulum import DateTime

from ..engine.capability import Evolve, Seen, as_type, evolved, require
from ..engine.effects import Intent
from ..engine.messages import Event, Key
from ..errors import AlreadyExists, Refused
from ..money import Money
from ..values import error
from .messages import (
    AskAnswered,
    AskDeclined,
    CaptureAsked,
    CapturePayment,
    FactNotCounted,
    FactRecorded,
    NotePaidElsewhere,
    PaymentRequested,
    PaymentWithdrawn,
    RecordDecline,
    RecordFact,
    RefundAsked,
    RefundPayment,
    RequestPayment,
    VoidAsked,
    VoidPayment,
    WithdrawPayment,
    effect_id,
)
from .model import REFUNDED, SOLD, VERB, Ask, Fact, Payment, fold, status_of


@error
class OverAuthorised(Refused):
    """More than is authorised and not yet captured or asked for."""

    payment_id: str
    asked: Money
    capturable: Money

    @property
    def message(self) -> str:
        return f"payment {self.payment_id}: {self.asked} cannot be captured, only {self.capturable} is open"


@error
class OverCaptured(Refused):
    """More than was captured and not yet given back or asked for."""

    payment_id: str
    asked: Money
    refundable: Money

    @property
    def message(self) -> str:
        left = f"only {self.refundable} is left of what was captured"
        return f"payment {self.payment_id}: {self.asked} cannot be refunded, {left}"


@error
class NothingOpen(Refused):
    """There is nothing authorised that could be voided."""

    payment_id: str

    @property
    def message(self) -> str:
        return f"payment {self.payment_id}: nothing is authorised and open; refund what was captured instead"


@error
class WrongCurrency(Refused):
    """An order and its payments have one currency."""

    currency: str
    wanted: str

    @property
    def message(self) -> str:
        return f"the amount is in {self.currency}, but {self.wanted} is wanted; convert it before"


def request(command: RequestPayment, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None:
        raise AlreadyExists("payment", command.payment_id)
    yield PaymentRequested(
        payment_id=command.payment_id,
        order_id=command.order_id,
        gateway=command.gateway,
        method="",
        token=command.token,
        minor=command.amount.minor,
        currency=command.amount.currency,
        sale=command.sale,
        ask=1,
    )


def note_paid_elsewhere(command: NotePaidElsewhere, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None:
        raise AlreadyExists("payment", command.payment_id)
    requested = PaymentRequested(
        payment_id=command.payment_id,
        order_id=command.order_id,
        gateway="",
        method=command.method,
        token="",
        minor=command.amount.minor,
        currency=command.amount.currency,
        sale=True,
        ask=0,
    )
    yield requested
    fact = Fact(
        kind=SOLD,
        transaction_id=command.reference or f"{command.method}:{command.payment_id}",
        minor=command.amount.minor,
        currency=command.amount.currency,
        occurred_at=at,
    )
    yield _counted(evolve_requested(None, requested), fact, 0)


def capture(command: CapturePayment, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = _in_currency(state, command.payment_id, command.amount)
    if command.amount.minor > payment.amounts.capturable:
        capturable = Money.of_minor(max(payment.amounts.capturable, 0), payment.currency)
        raise OverAuthorised(payment.payment_id, command.amount, capturable)
    yield CaptureAsked(ask=payment.asked + 1, minor=command.amount.minor)


def void(command: VoidPayment, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = require(state, "payment", command.payment_id)
    if payment.amounts.capturable <= 0:
        raise NothingOpen(payment.payment_id)
    yield VoidAsked(ask=payment.asked + 1, minor=payment.amounts.capturable)


def withdraw(command: WithdrawPayment, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = require(state, "payment", command.payment_id)
    for number, ask in payment.asks.items():
        if ask.verb == "authorise":
            intent = seen.get(Intent, "effect", effect_id(payment.payment_id, int(number)))
            if intent is not None and intent.status == "ready" and not intent.doubtful:
                yield PaymentWithdrawn(ask=int(number))


def effects_of_authorisations(command: WithdrawPayment, state: Payment | None) -> Iterable[Key]:
    """The effects that may still be taken back."""
    asks = state.asks if state is not None else {}
    return [("effect", effect_id(command.payment_id, int(n))) for n, ask in asks.items() if ask.verb == "authorise"]


def refund(command: RefundPayment, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = _in_currency(state, command.payment_id, command.amount)
    if command.amount.minor > payment.amounts.refundable:
        refundable = Money.of_minor(max(payment.amounts.refundable, 0), payment.currency)
        raise OverCaptured(payment.payment_id, command.amount, refundable)
    yield RefundAsked(ask=payment.asked + 1, minor=command.amount.minor, refund_id=command.refund_id)


def _in_currency(state: Payment | None, payment_id: str, amount: Money) -> Payment:
    payment = require(state, "payment", payment_id)
    if amount.currency != payment.currency:
        raise WrongCurrency(amount.currency, payment.currency)
    return payment


def record(command: RecordFact, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = require(state, "payment", command.payment_id)
    fact = Fact(
        kind=command.fact_kind,
        transaction_id=command.transaction_id,
        minor=command.amount.minor,
        currency=command.amount.currency,
        occurred_at=command.occurred_at,
    )
    known = payment.facts.get(fact.transaction_id)
    if fact.currency != payment.currency:
        yield FactNotCounted(fact=fact, reason=f"it is in {fact.currency}, the payment in {payment.currency}")
    elif known is None:
        yield _counted(payment, fact, command.ask or _asked_elsewhere(payment, fact))
        return
    elif (known.kind, known.minor) != (fact.kind, fact.minor):
        reason = f"{fact.transaction_id} was reported before as {known.kind} of {known.minor} minor units"
        yield FactNotCounted(fact=fact, reason=reason)
    if str(command.ask) in payment.asks:
        yield AskAnswered(ask=command.ask)


def _asked_elsewhere(payment: Payment, fact: Fact) -> int:
    """Money that was paid elsewhere is given back elsewhere: which of our asks that answers; 0 for none."""
    if payment.gateway or fact.kind != REFUNDED:
        return 0
    fitting = (int(n) for n, ask in payment.asks.items() if ask.verb == "refund" and ask.minor == fact.minor)
    return min(fitting, default=0)


def _counted(payment: Payment, fact: Fact, ask: int) -> FactRecorded:
    amounts = fold([*payment.facts.values(), fact], _without(payment.asks, ask).values())
    becomes = status_of(amounts, payment.declined, withdrawn=payment.withdrawn)
    return FactRecorded(fact=fact, ask=ask, walks=_arrow(payment.status, becomes))


def decline(command: RecordDecline, state: Payment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    payment = require(state, "payment", command.payment_id)
    ask = payment.asks.get(str(command.ask))
    if ask is None:
        return  # answered before, by whatever way
    becomes = status_of(payment.amounts, (*payment.declined, ask.verb), withdrawn=payment.withdrawn)
    yield AskDeclined(
        ask=command.ask,
        verb=ask.verb,
        minor=ask.minor,
        about=ask.about,
        code=command.code,
        walks=_arrow(payment.status, becomes),
    )


def _arrow(status: str, becomes: str) -> str | None:
    return None if status == becomes else VERB.get(becomes)


# Evolve.


def _with(payment: Payment, event: Event, facts: dict[str, Fact], asks: dict[str, Ask], **changes: Any) -> Payment:
    return evolved(
        payment,
        event,
        facts=facts,
        asks=asks,
        amounts=fold(facts.values(), asks.values()),
        **changes,
    )


def evolve_requested(state: Payment | None, event: PaymentRequested) -> Payment:
    asks = {str(event.ask): Ask(verb="authorise", minor=event.minor)} if event.ask else {}
    return Payment(
        payment_id=event.payment_id,
        order_id=event.order_id,
        gateway=event.gateway,
        method=event.method,
        currency=event.currency,
        minor=event.minor,
        status=event.status or "pending",
        asks=asks,
        asked=event.ask,
        amounts=fold((), asks.values()),
    )


def _asked(verb: str, about: str, state: Payment | None, event: CaptureAsked | VoidAsked | RefundAsked) -> Payment:
    payment = as_type(state, Payment)
    asks = payment.asks | {str(event.ask): Ask(verb=verb, minor=event.minor, about=about)}
    return _with(payment, event, payment.facts, asks, asked=event.ask)


def evolve_recorded(state: Payment | None, event: FactRecorded) -> Payment:
    payment = as_type(state, Payment)
    facts = payment.facts | {event.fact.transaction_id: event.fact}
    return _with(payment, event, facts, _without(payment.asks, event.ask))


def evolve_answered(state: Payment | None, event: AskAnswered) -> Payment:
    payment = as_type(state, Payment)
    return _with(payment, event, payment.facts, _without(payment.asks, event.ask))


def evolve_withdrawn(state: Payment | None, event: PaymentWithdrawn) -> Payment:
    payment = as_type(state, Payment)
    return _with(payment, event, payment.facts, _without(payment.asks, event.ask), withdrawn=True)


def evolve_declined(state: Payment | None, event: AskDeclined) -> Payment:
    payment = as_type(state, Payment)
    declined = payment.declined if event.verb in payment.declined else (*payment.declined, event.verb)
    return _with(payment, event, payment.facts, _without(payment.asks, event.ask), declined=declined)


def evolve_not_counted(state: Payment | None, event: FactNotCounted) -> Payment:
    return as_type(state, Payment)


def _without(asks: dict[str, Ask], ask: int) -> dict[str, Ask]:
    left = dict(asks)
    left.pop(str(ask), None)
    return left


EVOLVE: Mapping[type[Event], Evolve] = {
    PaymentRequested: evolve_requested,
    CaptureAsked: lambda state, event: _asked("capture", "", state, event),
    VoidAsked: lambda state, event: _asked("void", "", state, event),
    RefundAsked: lambda state, event: _asked("refund", event.refund_id, state, event),
    FactRecorded: evolve_recorded,
    FactNotCounted: evolve_not_counted,
    AskAnswered: evolve_answered,
    AskDeclined: evolve_declined,
    PaymentWithdrawn: evolve_withdrawn,
}
