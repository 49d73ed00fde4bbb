"""What an amendment comes to before it is decided: the order after it, and what it asks of the money.  Pure."""

from __future__ import annotations

from ..engine.capability import changed
from ..engine.messages import Personal
from ..errors import InvalidInput, Refused
from ..money import AMOUNT_MINOR_MAX, AmountTooLarge, Money
from ..values import error, frozen
from .amended import AmendedLine, OrderAmended, evolve_amended, put_on_account
from .amendment import (
    Cast,
    NothingLeft,
    Revision,
    back_to,
    change_of_line,
    charges_after,
    next_line_ids,
)
from .entry import OnAccount, PaidElsewhere, Pay, PayNow
from .following import balance
from .model import Address, Charge, Order, OrderLine, TenderTerms, Terms
from .placing import PaymentMismatch, split
from .reckoning import Reckoning, reckon
from .references import check_lines
from .rules import payment_id

ENDED = frozenset(("draft", "cancelled", "rejected", "expired", "closed"))
"""Statuses in which an order cannot be amended."""


# Refusals.


@error
class NotAmendable(Refused):
    """The order was not placed yet, or has ended."""

    order_id: str
    status: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is {self.status}; only an order that was placed and has not ended can be amended"


@error
class PaymentNeeded(Refused):
    """More is to be paid, and nobody has said how."""

    order_id: str
    missing: Money

    @property
    def message(self) -> str:
        return f"order {self.order_id} needs {self.missing} more; say with pay= how that is paid"


@error
class NothingToRevert(Refused):
    """It is not the order's last amendment."""

    order_id: str
    last: str

    @property
    def message(self) -> str:
        what = f"the last was {self.last}" if self.last else "there is none that could be"
        return f"order {self.order_id}: only its last amendment can be reverted, and {what}"


# What it comes to.


@frozen(kw_only=True)
class Settlement:
    """What a change does to the money."""

    difference: Money
    """What the customer will owe more; below zero: less."""
    authorise: Money
    """What is asked for in addition."""
    capture: Money
    """What is collected at once."""
    refund: Money
    """What is given back."""


@frozen(kw_only=True)
class Outcome:
    """An amendment, decided: the event, the order after it, and what it does to the money."""

    event: OrderAmended
    after: Order
    reckoned: Reckoning
    settlement: Settlement


def outcome(
    order: Order,
    wanted: Revision,
    *,
    ship_to: Personal[Address] | None = None,
    pay: Pay | Terms | None = None,
    payable: bool = True,
    change_id: str = "",
    reason: str = "",
) -> Outcome:
    """What a revision makes of an order.  Pure; raises what makes it impossible.

    Unless it must be `payable`, it does not matter yet how what is missing is paid.
    """
    if order.status in ENDED:
        raise NotAmendable(order.order_id, order.status)
    added = next_line_ids(order, wanted.add)
    if any(line.external for line in added):
        lines = (*order.lines.values(), *added)
        check_lines(order.channel, order.order_id, ((line.line_id, line) for line in lines))
    return _outcome(
        order,
        casts=tuple(change_of_line(order, change) for change in wanted.lines),
        added=added,
        charges=charges_after(order, wanted.charges) if wanted.charges else None,
        ship_to=ship_to,
        readdressed=ship_to is not None,
        pay=pay,
        payable=payable,
        change_id=change_id,
        reverts=0,
        reason=reason,
    )


def reversal(order: Order, *, change_id: str, pay: Pay | Terms | None = None, reason: str = "") -> Outcome:
    """What taking the last amendment back makes of an order.  Pure; raises what makes it impossible."""
    if order.status in ENDED:
        raise NotAmendable(order.order_id, order.status)
    last = order.last_amendment
    if last is None or last.change_id != change_id:
        raise NothingToRevert(order.order_id, "" if last is None else last.change_id or f"amendment {last.number}")
    return _outcome(
        order,
        casts=tuple(back_to(order, before, last.number) for before in last.lines),
        added=(),
        charges=last.charges,
        ship_to=last.ship_to,
        readdressed=last.readdressed,
        pay=pay,
        payable=True,
        change_id=change_id,
        reverts=last.number,
        reason=reason,
    )


def _outcome(
    order: Order,
    *,
    casts: tuple[Cast, ...],
    added: tuple[OrderLine, ...],
    charges: tuple[Charge, ...] | None,
    ship_to: Personal[Address] | None,
    readdressed: bool,
    pay: Pay | Terms | None,
    payable: bool,
    change_id: str,
    reverts: int,
    reason: str,
) -> Outcome:
    event = OrderAmended(
        number=order.amended + 1,
        change_id=change_id,
        reverts=reverts,
        let_go=tuple(step for cast in casts for step in cast.let_go),
        lines=tuple(
            AmendedLine(
                line_id=cast.line_id, add=cast.add, unit_price=cast.unit_price, shares=cast.shares, before=cast.before
            )
            for cast in casts
        ),
        added=added,
        charges=charges,
        ship_to=ship_to,
        readdressed=readdressed,
        terms=None,
        first_payment=len(order.payments) + 1,
        reason=reason,
    )
    after = evolve_amended(order, event)
    reckoned = reckon(after)
    _refuse_impossible(after, reckoned)
    terms, asked = _asked_more(order, reckoned, pay, payable=payable)
    event = changed(event, terms=terms)
    after = put_on_account(after, terms)
    askings = balance(after, reckoned)

    def money(minor: int) -> Money:
        return Money.of_minor(minor, order.currency)

    return Outcome(
        event=event,
        after=after,
        reckoned=reckoned,
        settlement=Settlement(
            difference=money(reckoned.owed - reckon(order).owed),
            authorise=money(asked),
            capture=money(sum(asking.minor for asking in askings if asking.verb == "capture")),
            refund=money(sum(asking.minor for asking in askings if asking.verb == "refund")),
        ),
    )


def _refuse_impossible(after: Order, reckoned: Reckoning) -> None:
    """Refuse an order of which nothing would be left, or that would cost more than any order may, or less than 0."""
    if reckoned.totals.keys() <= {"cancelled"}:
        raise NothingLeft(after.order_id)
    total = sum(line.minor for line in after.lines.values()) + sum(charge.minor for charge in after.charges)
    if total > AMOUNT_MINOR_MAX:
        raise AmountTooLarge(f"the order's total would exceed {AMOUNT_MINOR_MAX} minor units; place another order")
    if total < 0:
        costs = Money.of_minor(total, after.currency)
        raise InvalidInput(f"the order would cost {costs}; change its allowances, too: they must not exceed the rest")


def _asked_more(order: Order, after: Reckoning, pay: Pay | Terms | None, *, payable: bool) -> tuple[Terms | None, int]:
    """How what is missing is paid, and how much of it is asked for now."""
    held = order.money
    covered = held.open - held.void_pending + held.paid - held.refund_pending + held.authorise_pending
    missing = Money.of_minor(max(after.owed - covered, 0), order.currency)
    match pay:
        case Terms(kind="account"):
            return pay, 0
        case Terms():
            return pay, pay.minor + sum(tender.minor for tender in pay.tenders)
        case PayNow(tenders=tenders):
            terms = Terms(kind="now", tenders=split(tenders, missing, missing=True))
            return (terms, missing.minor) if terms.tenders else (None, 0)
        case PaidElsewhere(method=method, amount=amount, reference=reference):
            if amount != missing:
                raise PaymentMismatch(missing, amount, missing=True)
            return Terms(kind="elsewhere", method=method, minor=amount.minor, reference=reference), missing.minor
        case OnAccount(days=days, reference=reference):
            return Terms(kind="account", days=days, minor=missing.minor, reference=reference), 0
        case None:
            difference = after.owed - reckon(order).owed
            return _by_its_own_tender(order, missing, difference, payable=payable) if difference else (None, 0)


def _by_its_own_tender(order: Order, missing: Money, difference: int, *, payable: bool) -> tuple[Terms | None, int]:
    """By the first of the order's tenders that was not declined, and no more than the amendment makes it dearer.

    What was missing before it may have been agreed otherwise, on account: nobody is asked for that unawares.
    """
    if not missing.minor or order.terms.kind == "account":
        return None, 0
    for n, tender in enumerate(order.terms.tenders, 1):
        tally = order.payments.get(payment_id(order.order_id, n))
        if tally is None or "authorise" not in tally.declined:
            more = min(missing.minor, max(difference, 0))
            again = TenderTerms(gateway=tender.gateway, token=tender.token, minor=more, sale=tender.sale)
            return (Terms(kind="now", tenders=(again,)), more) if more else (None, 0)
    if payable:
        raise PaymentNeeded(order.order_id, missing)
    return None, missing.minor
