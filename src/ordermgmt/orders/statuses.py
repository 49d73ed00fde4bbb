"""Statuses that are read from an order's units and money, and never decided on; and what an order is found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..payments.model import Amounts
from .lifecycle import ARRIVED
from .reckoning import Reckoning, reckon

if TYPE_CHECKING:
    from .model import Order

NOT_CONFIRMED = frozenset(("draft", "placed", "cancelled", "rejected", "expired", "closed"))
"""Statuses before an order is accepted, or after its end; a host's own status is neither."""
RESTING = frozenset(("delivered", "returned", "cancelled"))


# Derived statuses, first match.


def fulfilment_status(totals: Mapping[str, int]) -> str:
    """Where the goods are, from units per bucket."""
    asked = sum(totals.values()) - totals.get("cancelled", 0)
    if asked == 0:
        return "nothing_to_fulfil"
    arrived = _arrived(totals)
    if arrived:
        return "delivered" if arrived == asked else "partly_delivered"
    shipped = totals.get("shipped", 0)
    if shipped:
        return "shipped" if shipped == asked else "partly_shipped"
    return "in_progress" if totals.get("picked", 0) or totals.get("packed", 0) else "unfulfilled"


def _arrived(totals: Mapping[str, int]) -> int:
    arrived = 0
    for bucket in ARRIVED:
        if bucket in totals:
            arrived += totals[bucket]
    return arrived


def return_status(totals: Mapping[str, int]) -> str:
    """What came back, from units per bucket."""
    returned = totals.get("returned", 0)
    if returned:
        return "returned" if returned == _arrived(totals) else "partly_returned"
    return "return_in_progress" if totals.get("returning", 0) else "none"


def payment_status(owed: int, money: Amounts) -> str:
    """Where the money is, from what is owed and the ten amounts (minor units)."""
    paid = money.paid
    if paid > owed:
        return "overpaid"
    if paid == owed:
        if money.captured == 0:
            return "not_due"
        if paid == 0:
            return "refunded"
        return "partly_refunded" if money.refunded > 0 else "paid"
    if paid > 0:
        return "partly_paid"
    if money.open >= owed:
        return "authorised"
    if money.open > 0:
        return "partly_authorised"
    return "pending" if money.pending else "unpaid"


def is_complete(order: Order, reckoned: Reckoning, money: Amounts) -> bool:
    """Confirmed (or in a host's own status), every unit at rest, paid exactly, and nothing in flight."""
    if order.status in NOT_CONFIRMED or not RESTING.issuperset(reckoned.totals):
        return False
    return money.paid == reckoned.owed and not money.pending


def indexed(order: Order) -> dict[str, str | None]:
    """What an order is found by: everything derived, from one reckoning."""
    reckoned = reckon(order)
    totals = reckoned.totals
    money = order.money
    return {
        "status": order.status,
        "payment_status": payment_status(reckoned.owed, money),
        "fulfilment_status": fulfilment_status(totals),
        "return_status": return_status(totals),
        "complete": "yes" if is_complete(order, reckoned, money) else "no",
        "exception": "yes" if "undeliverable" in totals else None,
        "on_hold": "yes" if order.holds else None,
        "channel": order.channel,
        "customer": order.customer or None,
        "reference": order.reference or None,
        "external": order.external or None,
    }
