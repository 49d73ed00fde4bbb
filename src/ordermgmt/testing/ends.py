"""How everything must end: once nothing fails any more, all is answered, and the books are the provider's.

Used after the faulty part of a random run.  What a provider declined and what is parked for a person are the only
excuses for money that stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ..engine.effects import Intent
from ..engine.ports import ManualClock
from ..errors import NotFound
from ..management import OrderManagement
from ..orders.following import balance
from ..orders.lifecycle import IN_THE_HOUSE
from ..orders.model import Order
from ..payments.model import Payment
from ..shipments.messages import Track
from ..stock.model import Reservation
from ..verify import ENDED, Breach
from .fakes import FakePayments

CALM = timedelta(hours=80)


def calm_down(shop: OrderManagement, clock: ManualClock) -> list[Intent]:
    """Let the providers answer and time pass until nothing waits; answers what is parked for a person.

    Raises `Breach` (law E10) where something waits for ever.  Asking a carrier where parcels are may go on.
    """
    waiting = list[Intent]()
    step = timedelta(hours=2)
    for _ in range(CALM // step):
        clock.advance(hours=2)
        shop.run_due()
        waiting = _waiting(shop)
        if all(intent.status == "parked" for intent in waiting):
            return waiting
    stuck = next(intent for intent in waiting if intent.status != "parked")
    raise Breach("E10", "effect", stuck.effect_id, f"is still {stuck.status} after {CALM} of calm: {stuck.reason}")


def _waiting(shop: OrderManagement) -> list[Intent]:
    found = list[Intent]()
    for status in ("ready", "sending", "pending", "unknown", "parked"):
        found += [one for one in shop.find(Intent, status=status, limit=1000) if one.kind != Track.__name__]
    return found


def check_ended(shop: OrderManagement, gateways: Mapping[str, FakePayments], order_id: str) -> None:
    """The books of an order without parked effects are its providers', and if it ended it holds nothing.

    Raises `Breach`.
    """
    order = shop.get(Order, order_id)
    kept = held = 0
    for payment_id in order.payments:
        payment = shop.get(Payment, payment_id)
        if payment.gateway:
            _check_books(payment, gateways[payment.gateway])
            account = gateways[payment.gateway].accounts.get(payment_id)
            kept += account.kept if account is not None and "refund" not in payment.declined else 0
            held += account.open if account is not None and "void" not in payment.declined else 0
    if asked := balance(order):
        raise Breach("M9", "order", order_id, f"would still ask for {asked}")
    if order.status not in ENDED - {"closed"}:
        return
    if order.count(*IN_THE_HOUSE) or _claims(shop, order_id):
        raise Breach("C4", "order", order_id, f"is {order.status} and holds stock")
    if kept or held:
        raise Breach("C4", "order", order_id, f"is {order.status}; the provider keeps {kept} and holds {held} for it")


def _claims(shop: OrderManagement, order_id: str) -> bool:
    try:
        return bool(shop.get(Reservation, order_id).claims)
    except NotFound:  # an order of services claims nothing
        return False


def _check_books(payment: Payment, gateway: FakePayments) -> None:
    ours = payment.amounts
    account = gateway.accounts.get(payment.payment_id)
    books = (ours.authorised, ours.captured, ours.voided + ours.expired, ours.refunded + ours.charged_back)
    theirs = (0, 0, 0, 0)
    if account is not None:
        given_up, given_back = account.voided + account.expired, account.refunded + account.charged_back
        theirs = (account.authorised, account.captured, given_up, given_back)
    if payment.asks:
        raise Breach("E1", "payment", payment.payment_id, f"still waits for {list(payment.asks.values())}")
    if books != theirs:
        raise Breach("M9", "payment", payment.payment_id, f"we say {books}, the provider {theirs}")


__all__ = ["calm_down", "check_ended"]
