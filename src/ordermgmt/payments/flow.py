"""What follows around a payment: asks become effects, answers become facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..engine.capability import Answers, on, story
from ..engine.effects import CancelEffect, Declined, Outcome, Succeeded
from ..engine.messages import Disagreement, Effect, News, Replies
from ..money import Money
from .messages import (
    RECORDS,
    AskDeclined,
    Authorise,
    Capture,
    CaptureAsked,
    FactNotCounted,
    FactRecorded,
    PaymentEffect,
    PaymentRequested,
    PaymentWithdrawn,
    RecordDecline,
    RecordFact,
    Void,
    VoidAsked,
    effect_id,
)
from .model import Fact, Payment

# Asking.


def authorise(event: PaymentRequested, payment: Payment) -> Replies:
    if event.ask:
        yield Authorise(
            payment_id=event.payment_id,
            order_id=event.order_id,
            gateway=event.gateway,
            token=event.token,
            amount=Money.of_minor(event.minor, event.currency),
            sale=event.sale,
            ask=event.ask,
        )


def take_the_money(event: CaptureAsked, payment: Payment) -> Replies:
    yield Capture(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=Money.of_minor(event.minor, payment.currency),
        ask=event.ask,
        authorisation=payment.authorisation,
    )


def give_up_the_authorisation(event: VoidAsked, payment: Payment) -> Replies:
    yield Void(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=Money.of_minor(event.minor, payment.currency),
        ask=event.ask,
        authorisation=payment.authorisation,
    )


def take_the_request_back(event: PaymentWithdrawn, payment: Payment) -> Replies:
    yield CancelEffect(effect_id=effect_id(payment.payment_id, event.ask), reason="the money is not wanted any more")


# What is told when the provider and we disagree.


def tell_of_excess(event: FactRecorded, payment: Payment) -> Replies:
    amounts = payment.amounts
    if amounts.open < 0:
        yield Disagreement(f"the provider captured or gave up {-amounts.open} minor units more than were authorised")
    if amounts.paid < 0:
        yield Disagreement(f"the provider gave back {-amounts.paid} minor units more than were captured")


def tell_of_impossible_fact(event: FactNotCounted, payment: Payment) -> Replies:
    yield Disagreement(f"a fact was not counted: {event.reason}")


def tell_of_declined_follow_up(event: AskDeclined, payment: Payment) -> Replies:
    if event.verb != "authorise":
        yield Disagreement(
            f"the provider declined to {event.verb} {event.minor} minor units ({event.code or 'no reason'})"
        )


REACTIONS = story(
    on(PaymentRequested, authorise),
    on(CaptureAsked, take_the_money),
    on(VoidAsked, give_up_the_authorisation),
    on(PaymentWithdrawn, take_the_request_back),
    on(FactRecorded, tell_of_excess),
    on(FactNotCounted, tell_of_impossible_fact),
    on(AskDeclined, tell_of_declined_follow_up),
)


# Hearing.


def facts_as_news(effect: PaymentEffect, facts: Collection[Fact]) -> Iterable[News[Payment]]:
    """The provider's facts, told to the payment.  The first one answers our ask, so there must be one."""
    if not facts:
        raise ValueError("a gateway that has succeeded tells at least one fact")
    ask = effect.ask
    for fact in facts:
        yield _record(effect, fact, ask)
        ask = 0


def heard(payment: Payment, facts: Iterable[Fact]) -> Iterable[News[Payment]]:
    """Facts the provider tells of by itself: an expiry, a chargeback, what was done on its dashboard."""
    for fact in facts:
        yield _record(payment, fact)


def _record(about: PaymentEffect | Payment, fact: Fact, ask: int = 0) -> RecordFact:
    """The news that a fact is; `ask` is which of our asks it answers."""
    return RECORDS[fact.kind](
        payment_id=about.payment_id,
        order_id=about.order_id,
        transaction_id=fact.transaction_id,
        amount=Money.of_minor(fact.minor, fact.currency),
        occurred_at=fact.occurred_at,
        ask=ask,
    )


def answered(effect: PaymentEffect, outcome: Outcome) -> Iterable[News[Payment]]:
    """What a gateway's answer means for the payment."""
    match outcome:
        case Succeeded(result=facts):
            yield from facts_as_news(effect, facts)
        case Declined(code=code):
            yield RecordDecline(payment_id=effect.payment_id, order_id=effect.order_id, ask=effect.ask, code=code)
        case _:
            return


ANSWERS: Mapping[type[Effect], Answers] = {Authorise: answered, Capture: answered, Void: answered}
