"""One execution of giving money back, on one payment."""

from __future__ import annotations

from ..money import Money
from ..values import frozen


@frozen(kw_only=True)
class Refund:
    """What we owe the customer through one payment, and whether it was paid back."""

    refund_id: str
    order_id: str
    payment_id: str
    amount: Money
    status: str
    reason: str = ""
    reference: str = ""
    """The provider's name for it."""
