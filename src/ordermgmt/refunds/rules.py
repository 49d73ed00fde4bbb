"""When money may be given back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pendulum import DateTime

from ..engine.capability import Evolve, Seen, as_type, evolved, require
from ..engine.messages import Event, Key
from ..errors import AlreadyExists, NotFound, Refused
from ..money import Money
from ..orders.messages import order_key
from ..orders.model import Order
from ..orders.reckoning import due
from ..payments.messages import payment_key
from ..payments.rules import WrongCurrency
from ..values import error
from .messages import (
    RecordRefundFailed,
    RecordRefundSent,
    RecordRefundSucceeded,
    RefundApproved,
    RefundFailed,
    RefundRequested,
    RefundSent,
    RefundSucceeded,
    RequestRefund,
)
from .model import Refund


@error
class NothingOwed(Refused):
    """The customer has not overpaid by that much."""

    order_id: str
    asked: Money
    owed: Money

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}: {self.asked} cannot be refunded, {self.owed} is overpaid; "
            "cancel units or grant a credit first"
        )


def request(command: RequestRefund, state: Refund | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    refund_id = as_type(command.refund_id, str)
    if state is not None:
        raise AlreadyExists("refund", refund_id)
    order = require(seen.get(Order, "order", command.order_id), "order", command.order_id)
    if command.payment_id not in order.payments:
        raise NotFound("payment", command.payment_id)
    if command.amount.currency != order.currency:
        raise WrongCurrency(command.amount.currency, order.currency)
    owed = order.money.refundable - max(due(order), 0)
    if command.amount.minor > owed:
        raise NothingOwed(order.order_id, command.amount, Money.of_minor(max(owed, 0), order.currency))
    yield RefundRequested(
        refund_id=refund_id,
        order_id=command.order_id,
        payment_id=command.payment_id,
        amount=command.amount,
        reason=command.reason,
    )
    yield RefundApproved()


def sent(command: RecordRefundSent, state: Refund | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    refund = require(state, "refund", command.refund_id)
    if refund.status == "approved":
        yield RefundSent()


def succeed(command: RecordRefundSucceeded, state: Refund | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    refund = require(state, "refund", command.refund_id)
    if refund.status == "approved":
        yield RefundSent()
    if refund.status != "succeeded":
        yield RefundSucceeded(reference=command.reference)


def fail(command: RecordRefundFailed, state: Refund | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    refund = require(state, "refund", command.refund_id)
    if refund.status == "approved":
        yield RefundSent()
    if refund.status != "failed":
        yield RefundFailed(code=command.code)


def rows_of_request(command: RequestRefund) -> Iterable[Key]:
    return (order_key(command.order_id), payment_key(command.payment_id))


def evolve_requested(state: Refund | None, event: RefundRequested) -> Refund:
    return Refund(
        refund_id=event.refund_id,
        order_id=event.order_id,
        payment_id=event.payment_id,
        amount=event.amount,
        status=event.status or "requested",
        reason=event.reason,
    )


def evolve_succeeded(state: Refund | None, event: RefundSucceeded) -> Refund:
    return evolved(as_type(state, Refund), event, reference=event.reference)


EVOLVE: Mapping[type[Event], Evolve] = {
    RefundRequested: evolve_requested,
    RefundApproved: evolved,
    RefundSent: evolved,
    RefundSucceeded: evolve_succeeded,
    RefundFailed: evolved,
}
