"""Payments: asking for money, and learning whether it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from ..engine.capability import Capability, Hearing, Rule
from ..engine.lifecycle import Lifecycle
from ..engine.messages import Command, Key
from ..money import Money
from .flow import ANSWERS, REACTIONS, heard
from .lifecycle import PAYMENT
from .messages import (
    RECORDS,
    Authorise,
    Capture,
    CapturePayment,
    NotePaidElsewhere,
    RecordDecline,
    RefundPayment,
    RequestPayment,
    Void,
    VoidPayment,
    WithdrawPayment,
)
from .model import Fact, Payment
from .rules import (
    EVOLVE,
    NothingOpen,
    OverAuthorised,
    OverCaptured,
    WrongCurrency,
    capture,
    decline,
    effects_of_authorisations,
    note_paid_elsewhere,
    record,
    refund,
    request,
    void,
    withdraw,
)

_by_id: Callable[[Any], str] = attrgetter("payment_id")


def _with_order(command: Any) -> tuple[Key, ...]:
    """News carries its order's id, so that the order is taken first and together with it."""
    return (("order", command.order_id),)


def _asks(payment: Payment, lifecycle: Lifecycle | None) -> Iterable[Command[Any]]:
    yield CapturePayment(payment_id=payment.payment_id, amount=Money.of_minor(1, payment.currency))
    yield VoidPayment(payment_id=payment.payment_id)


payments = Capability(
    kind="payment",
    state=Payment,
    lifecycle=PAYMENT,
    rules={
        RequestPayment: Rule(request, _by_id, keys=_with_order),
        NotePaidElsewhere: Rule(note_paid_elsewhere, _by_id, keys=_with_order),
        CapturePayment: Rule(capture, _by_id),
        VoidPayment: Rule(void, _by_id),
        WithdrawPayment: Rule(withdraw, _by_id, reads=effects_of_authorisations),
        RefundPayment: Rule(refund, _by_id),
        RecordDecline: Rule(decline, _by_id, keys=_with_order),
        **{news: Rule(record, _by_id, keys=_with_order) for news in RECORDS.values()},
    },
    evolve=EVOLVE,
    effects=(Authorise, Capture, Void),
    answers=ANSWERS,
    reactions=REACTIONS,
    hears={"gateways": Hearing("authorisation", lambda payment, name: payment.gateway == name, heard)},
    values=(Fact,),
    indexes={
        "status": attrgetter("status"),
        "order": attrgetter("order_id"),
        "authorisation": lambda payment: payment.authorisation or None,
    },
    asks={"payment": _asks},
    refusals=(OverAuthorised, OverCaptured, NothingOpen, WrongCurrency),
)

__all__ = ["payments"]
