"""Words about refunds."""

from __future__ import annotations

from typing import ClassVar

from attrs import field
from attrs.validators import optional

from ..engine.messages import Command, Event, News, checked_id, checked_note
from ..money import Money
from ..payments.messages import PaymentEffect, checked_positive
from ..values import frozen
from .model import Refund


def refund_id(order_id: str, n: int) -> str:
    """The id of an order's n-th refund."""
    return f"{order_id}:r{n}"


@frozen(kw_only=True)
class RequestRefund(Command[Refund]):
    """Give back what the customer has overpaid.  The flow asks for it by itself when units are cancelled or a
    credit is granted; by hand it is another try after a refund that failed.

    Refused with `NothingOwed` beyond what is overpaid: grant a credit (`GrantCredit`) to give back more.
    """

    refund_id: str | None = field(default=None, validator=optional(checked_id))
    order_id: str = field(validator=checked_id)
    payment_id: str = field(validator=checked_id)
    amount: Money = field(validator=checked_positive)
    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RefundNews(News[Refund]):
    """What the provider reports of one refund."""

    refund_id: str = field(validator=checked_id)
    order_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class RecordRefundSent(RefundNews):
    """The provider has accepted the refund, and will say later what became of it."""


@frozen(kw_only=True)
class RecordRefundSucceeded(RefundNews):
    """The money is with the customer.  Where it came from elsewhere, `RecordRefund` tells the books."""

    reference: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RecordRefundFailed(RefundNews):
    """The provider refused the refund, or could not carry it out after all."""

    code: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RefundRequested(Event):
    """Money is owed to the customer."""

    refund_id: str
    order_id: str
    payment_id: str
    amount: Money
    reason: str


@frozen(kw_only=True)
class RefundApproved(Event):
    """It may be paid back."""

    trigger: ClassVar[str | None] = "approve"


@frozen(kw_only=True)
class RefundSent(Event):
    """The provider has it."""

    trigger: ClassVar[str | None] = "send"


@frozen(kw_only=True)
class RefundSucceeded(Event):
    """The money is with the customer."""

    trigger: ClassVar[str | None] = "succeed"
    reference: str


@frozen(kw_only=True)
class RefundFailed(Event):
    """It did not reach the customer; its budget is free again."""

    trigger: ClassVar[str | None] = "fail"
    code: str


@frozen(kw_only=True)
class SendRefund(PaymentEffect):
    """Give captured money back.  Succeeds with a tuple of `Fact`."""

    refund_id: str
    authorisation: str
    """The provider's transaction id of the authorisation the money was captured on."""
