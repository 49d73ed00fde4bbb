"""The money follows the goods: what must be asked of the payments, and what is asked of them already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..engine.capability import changed
from ..payments.model import NOTHING, Amounts
from ..values import frozen
from .reckoning import Reckoning, reckon

if TYPE_CHECKING:
    from .model import Order, Tally


@frozen
class Asking:
    """One thing the order wants of one payment: verb is capture, void, withdraw or refund."""

    payment_id: str
    verb: str
    minor: int = 0


def balance(order: Order, reckoned: Reckoning | None = None) -> tuple[Asking, ...]:
    """What must be asked so that the money follows the goods.  Pure, and silent once everything is asked.

    Asked amounts are pending in the tally from the same commit on, so the same wish is never uttered twice.
    What a provider declined is not asked again by itself.
    """
    if not order.payments:
        return ()
    reckoned = reckoned or reckon(order)
    owed = reckoned.owed
    payments = order.payments if not order.asking else _with_what_is_asked(order)
    money = order.money if not order.asking else sum([tally.amounts for tally in payments.values()], NOTHING)
    # What was taken and not given back, as it will be once everything that is asked has happened.
    staying = money.paid - money.refund_pending
    coming = money.capture_pending
    wishes: list[Asking] = []

    surplus = staying - owed
    for payment_id, tally in payments.items():
        if surplus > 0 and "refund" not in tally.declined and (n := min(surplus, tally.amounts.refundable)) > 0:
            wishes.append(Asking(payment_id, "refund", n))
            surplus -= n

    # Nobody can have given back more than was taken: where it looks so, a capture was not heard of yet.  To take more
    # for that reason would take it from a customer who owes nothing.
    kept = sum([max(tally.amounts.paid, 0) for tally in payments.values()])
    wanted = reckoned.earned - (kept - money.refund_pending + coming) if not order.holds else 0
    captures: dict[str, int] = {}
    for payment_id, tally in payments.items():
        if wanted > 0 and "capture" not in tally.declined and (n := min(wanted, tally.amounts.capturable)) > 0:
            captures[payment_id] = n
            wishes.append(Asking(payment_id, "capture", n))
            wanted -= n

    if owed - (staying + coming) - sum(captures.values()) <= 0:  # nothing more is to come
        for payment_id, tally in payments.items():
            if "void" not in tally.declined and tally.amounts.capturable - captures.get(payment_id, 0) > 0:
                wishes.append(Asking(payment_id, "void"))
            elif tally.amounts.authorise_pending and not tally.elsewhere:
                wishes.append(Asking(payment_id, "withdraw"))
    return tuple(wishes)


def _with_what_is_asked(order: Order) -> dict[str, Tally]:
    """The payments as they will stand once they have noted what is asked of them in this commit.

    One command may move units twice, an amendment that adds a service performs it: what was asked for the first time
    is not asked for the second.
    """
    asking = order.asking
    return {
        id: changed(tally, amounts=tally.amounts + asking[id]) if id in asking else tally
        for id, tally in order.payments.items()
    }


def asked(order: Order, askings: Iterable[Asking]) -> dict[str, Amounts]:
    """What is asked of each payment and not noted yet, these askings included."""
    asking = dict(order.asking)
    for one in askings:
        before = asking.get(one.payment_id, NOTHING)
        match one.verb:
            case "capture":
                more = Amounts(capture_pending=one.minor)
            case "refund":
                more = Amounts(refund_pending=one.minor)
            case "void":
                more = Amounts(void_pending=(order.payments[one.payment_id].amounts + before).capturable)
            case _:
                continue
        asking[one.payment_id] = before + more
    return asking


def noted(order: Order, payment_id: str, tally: Tally) -> dict[str, Amounts]:
    """What is left of what was asked, when a payment tells how it stands."""
    if payment_id not in order.asking:
        return order.asking
    asking = dict(order.asking)
    left, now = asking.pop(payment_id), tally.amounts
    before = order.payments[payment_id].amounts if payment_id in order.payments else NOTHING
    capture = now.capture_pending - before.capture_pending
    refund = now.refund_pending - before.refund_pending
    void = now.void_pending - before.void_pending
    if max(capture, refund, void) > 0:  # it has noted one of its asks; else it tells of something that has happened
        still = Amounts(
            capture_pending=max(left.capture_pending - capture, 0),
            refund_pending=max(left.refund_pending - refund, 0),
            void_pending=max(left.void_pending - void, 0),
        )
        if still.pending:
            asking[payment_id] = still
    return asking
