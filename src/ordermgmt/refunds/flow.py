"""How money goes back: the order says what it owes, a refund carries it, a payment pays it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..engine.capability import Answers, on, story
from ..engine.effects import Declined, Outcome, Pending, Succeeded
from ..engine.messages import Disagreement, Effect, News, Replies
from ..money import Money
from ..orders.messages import MoneyAsked
from ..orders.model import Order
from ..payments.flow import facts_as_news
from ..payments.messages import RecordDecline, RefundAsked, RefundPayment
from ..payments.model import Payment
from .messages import (
    RecordRefundFailed,
    RecordRefundSent,
    RecordRefundSucceeded,
    RefundApproved,
    RefundFailed,
    RequestRefund,
    SendRefund,
    refund_id,
)
from .model import Refund


def give_money_back(event: MoneyAsked, order: Order) -> Replies:
    wishes = [asking for asking in event.askings if asking.verb == "refund"]
    for n, asking in enumerate(wishes, event.refunds + 1):
        yield RequestRefund(
            refund_id=refund_id(order.order_id, n),
            order_id=order.order_id,
            payment_id=asking.payment_id,
            amount=Money.of_minor(asking.minor, order.currency),
        )


def ask_the_payment(event: RefundApproved, refund: Refund) -> Replies:
    yield RefundPayment(payment_id=refund.payment_id, refund_id=refund.refund_id, amount=refund.amount)


def send_it(event: RefundAsked, payment: Payment) -> Replies:
    if payment.gateway:  # what was paid elsewhere is given back there, and told with RecordRefund
        yield SendRefund(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            gateway=payment.gateway,
            amount=Money.of_minor(event.minor, payment.currency),
            ask=event.ask,
            refund_id=event.refund_id,
            authorisation=payment.authorisation,
        )


def tell_of_failure(event: RefundFailed, refund: Refund) -> Replies:
    yield Disagreement(f"the refund of {refund.amount} failed ({event.code or 'no reason'}); request another")


REACTIONS = story(
    on(MoneyAsked, give_money_back),
    on(RefundApproved, ask_the_payment),
    on(RefundAsked, send_it),
    on(RefundFailed, tell_of_failure),
)


def answered(effect: SendRefund, outcome: Outcome) -> Iterable[News[Any]]:
    """What a gateway's answer means for the payment and for the refund."""
    match outcome:
        case Succeeded(result=facts, reference=reference):
            yield from facts_as_news(effect, facts)
            yield RecordRefundSucceeded(refund_id=effect.refund_id, order_id=effect.order_id, reference=reference)
        case Declined(code=code):
            yield RecordDecline(payment_id=effect.payment_id, order_id=effect.order_id, ask=effect.ask, code=code)
            yield RecordRefundFailed(refund_id=effect.refund_id, order_id=effect.order_id, code=code)
        case Pending():
            yield RecordRefundSent(refund_id=effect.refund_id, order_id=effect.order_id)
        case _:
            return


ANSWERS: Mapping[type[Effect], Answers] = {SendRefund: answered}
