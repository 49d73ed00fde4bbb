"""Amending an order after placement, and taking the last amendment back: goods and money in one commit.

What is open about it, who has to agree and until when, is an order change's business (`changes`); here an order
is made different, or refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.capability import Evolve, Rule, Seen, as_type, changed, require
from ..engine.messages import (
    PERSONAL,
    Event,
    Key,
    Personal,
    checked_id,
    checked_note,
    checked_type,
)
from ..errors import InvalidInput, Refused
from ..money import AMOUNT_MINOR_MAX, AmountTooLarge, Money, UnitPrice
from ..stock.messages import stock_key
from ..values import frozen
from .addresses import checked_address, lookups_of_addresses
from .amendment import (
    Amendment,
    BelowMoved,
    Cast,
    MovedSince,
    NoSuchCharge,
    NothingLeft,
    NothingToReprice,
    Revision,
    TooMuchChanged,
    back_to,
    change_of_line,
    charges_after,
    next_line_ids,
    recast,
    revision,
)
from .messages import MoneyAsked, Moved, OnAccount, OrderCommand, PaidElsewhere, Pay, PayNow
from .model import (
    Address,
    Amended,
    Charge,
    LineBefore,
    Order,
    OrderLine,
    Reckoning,
    TenderTerms,
    Terms,
    balance,
    reckon,
)
from .port import Item
from .references import check_lines
from .rules import PaymentMismatch, UnknownSku, confirmed_by_policy, payment_id, rows_of_order, split
from .stretches import Stretch

ENDED = frozenset(("draft", "cancelled", "rejected", "expired", "closed"))
"""Statuses in which an order cannot be amended."""


# Refusals.


@attrs.define
class NotAmendable(Refused):
    """The order was not placed yet, or has ended."""

    order_id: str
    status: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is {self.status}; only an order that was placed and has not ended can be amended"


@attrs.define
class PaymentNeeded(Refused):
    """More is to be paid, and nobody has said how."""

    order_id: str
    missing: Money

    @property
    def message(self) -> str:
        return f"order {self.order_id} needs {self.missing} more; say with pay= how that is paid"


@attrs.define
class ChangeOpen(Refused):
    """Another change of the order is open."""

    order_id: str
    change_id: str

    @property
    def message(self) -> str:
        return f"change {self.change_id} of order {self.order_id} is open; confirm, decline or cancel it first"


@attrs.define
class NothingToRevert(Refused):
    """Not the order's last amendment."""

    order_id: str
    last: str

    @property
    def message(self) -> str:
        what = f"the last was {self.last}" if self.last else "there is none that could be"
        return f"order {self.order_id}: only its last amendment can be reverted, and {what}"


# Asked.


@frozen(kw_only=True)
class AmendOrder(OrderCommand):
    """Change an order that was placed: lines, quantities, prices, charges, the address, in one commit with stock and
    money.  What more there is to pay is asked of the order's own tender, unless `pay` says how.

    Refused with `BelowMoved`, `OutOfStock`, `PaymentNeeded`, `PaymentMismatch`, `ReferenceTaken` or `NothingLeft`.
    Where somebody has to agree first, draft an order change (`DraftOrderChange`).
    """

    amendment: Amendment = field(factory=Amendment, validator=checked_type(Amendment))
    ship_to: Address | None = field(default=None, validator=optional(checked_type(Address)), metadata=PERSONAL)
    pay: Pay | None = field(default=None, validator=optional(checked_type(PayNow, OnAccount, PaidElsewhere)))
    """How what is missing is paid; a tender without an amount pays all of it.  `OnAccount` lets it come later."""
    reason: str = field(default="", validator=checked_note)

    def __attrs_post_init__(self) -> None:
        if not self.amendment and self.ship_to is None and self.pay is None:
            raise InvalidInput("an amendment without lines, charges, an address or a payment changes nothing")


@frozen(kw_only=True)
class ApplyRevision(OrderCommand):
    """A change was confirmed: make the order so.  Made by the flow."""

    revision: Revision
    ship_to: Personal[Address] | None
    pay: Terms | None
    change_id: str
    reason: str


@frozen(kw_only=True)
class RevertAmendment(OrderCommand):
    """Take the order's last amendment back, goods and money, where none of its units has moved since.

    Refused with `NothingToRevert` or `MovedSince`.
    """

    change_id: str = field(default="", validator=checked_note)
    """The order change it came from; empty for one that was asked for with `AmendOrder`."""
    pay: Pay | Terms | None = field(
        default=None, validator=optional(checked_type(PayNow, OnAccount, PaidElsewhere, Terms))
    )
    """How what is missing is paid, where taking it back makes the order dearer."""
    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class NoteChange(OrderCommand):
    """A change of this order was drafted, or (not `open`) has ended.  Made by the flow."""

    change_id: str = field(validator=checked_id)
    open: bool


# Told.


@frozen(kw_only=True)
class AmendedLine:
    """A line as it is after an amendment, as far as that differs."""

    line_id: str
    add: int
    """Units added."""
    unit_price: UnitPrice
    shares: tuple[Stretch, ...]
    before: LineBefore


@frozen(kw_only=True)
class OrderAmended(Event):
    """The promise is another one, at frozen amounts.  The history of these events holds every version."""

    number: int
    """Which amendment of the order it is, from 1."""
    change_id: str
    reverts: int
    """The number of the amendment it takes back; 0 for none."""
    let_go: tuple[Moved, ...]
    """Units that are not wanted any more."""
    lines: tuple[AmendedLine, ...]
    added: tuple[OrderLine, ...]
    charges: tuple[Charge, ...] | None
    """All charges, where they were changed."""
    ship_to: Personal[Address] | None
    readdressed: bool
    """True where the address is another one."""
    terms: Terms | None
    """How more is paid; None where nothing is asked."""
    first_payment: int
    """The number of the first payment that is asked for by it."""
    reason: str


@frozen(kw_only=True)
class ChangeNoted(Event):
    """A change of the order is open; with an empty id: none is any more."""

    change_id: str


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
    after = _evolve_amended(order, event)
    reckoned = reckon(after)
    if reckoned.totals.keys() <= {"cancelled"}:
        raise NothingLeft(order.order_id)
    total = sum(line.minor for line in after.lines.values()) + sum(charge.minor for charge in after.charges)
    if total > AMOUNT_MINOR_MAX:
        raise AmountTooLarge(f"the order's total would exceed {AMOUNT_MINOR_MAX} minor units; place another order")
    if total < 0:
        costs = Money.of_minor(total, order.currency)
        raise InvalidInput(f"the order would cost {costs}; change its allowances, too: they must not exceed the rest")
    terms, asked = _asked_more(order, reckoned, pay, payable=payable)
    event = changed(event, terms=terms)
    after = _on_account(after, terms)
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


# Decide.


def _amendable(state: Order | None, order_id: str, seen: Seen) -> Order:
    """The order, if it has not ended: in a status of ours, or in a last one that the host drew."""
    order = require(state, "order", order_id)
    if order.status in ENDED or order.is_draft or seen.ended:
        raise NotAmendable(order.order_id, order.status)
    return order


def _amend(command: AmendOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _amendable(state, command.order_id, seen)
    wanted = revision(command.amendment, order, items_of(command.amendment, seen))
    yield from _amended(
        outcome(
            order, wanted, ship_to=new_address(order, command.ship_to, seen), pay=command.pay, reason=command.reason
        ),
        seen,
    )


def _apply(command: ApplyRevision, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _amendable(state, command.order_id, seen)
    applied = outcome(
        order,
        command.revision,
        ship_to=command.ship_to,
        pay=command.pay,
        change_id=command.change_id,
        reason=command.reason,
    )
    yield from _amended(applied, seen)


def _revert(command: RevertAmendment, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _amendable(state, command.order_id, seen)
    yield from _amended(reversal(order, change_id=command.change_id, pay=command.pay, reason=command.reason), seen)


def _amended(decided: Outcome, seen: Seen) -> Iterable[Event]:
    yield decided.event
    yield from confirmed_by_policy(decided.after, seen, decided.reckoned)
    if askings := balance(decided.after, decided.reckoned):
        yield MoneyAsked(askings=askings, refunds=decided.after.refunds)


def _note_change(command: NoteChange, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    if not command.open:
        if order.change == command.change_id:
            yield ChangeNoted(change_id="")
        return
    if order.change:
        raise ChangeOpen(order.order_id, order.change)
    _amendable(order, order.order_id, seen)
    yield ChangeNoted(change_id=command.change_id)


def items_of(amendment: Amendment, seen: Seen) -> dict[str, Item]:
    """What the catalogue says of the SKUs that are added."""
    items = {line.sku: seen.looked_up("items", line.sku) for line in amendment.add}
    if unknown := tuple(sku for sku, item in items.items() if item is None):
        raise UnknownSku(unknown)
    return items


def new_address(order: Order, address: Address | None, seen: Seen, name: str = "") -> Personal[Address] | None:
    """An address as it is kept: as the validator corrected it, under the customer's name, under a ref of its own."""
    if address is None:
        return None
    ref = f"order:{order.order_id}:ship_to:{name or f'a{order.amended + 1}'}"
    return Personal(order.subject, ref, checked_address(address, "ship_to", seen))


def lookups_of_amending(command: Any) -> Iterable[Key]:
    """What the catalogue and the validator of addresses are asked before the decision."""
    return [*{("items", line.sku) for line in command.amendment.add}, *lookups_of_addresses(command)]


def rows_of_amending(command: AmendOrder, state: Order | None) -> Iterable[Key]:
    """Everything the order's units and money stand on, and what it is to have besides."""
    return rows_of_revision([line.sku for line in command.amendment.add], state)


def rows_of_revision(skus: Iterable[str], state: Order | None) -> Iterable[Key]:
    """The same for what is added of these SKUs."""
    if state is None:
        return []
    further = ("payment", payment_id(state.order_id, len(state.payments) + 1))
    return [*rows_of_order(None, state), *(stock_key(sku, state.location) for sku in skus), further]


def _rows_of_applying(command: ApplyRevision, state: Order | None) -> Iterable[Key]:
    return rows_of_revision([line.sku for line in command.revision.add], state)


# Evolve.


def _evolve_amended(state: Order | None, event: OrderAmended) -> Order:
    order = as_type(state, Order)
    lines = dict(order.lines)
    let_go: dict[str, list[Moved]] = {}
    for step in event.let_go:
        let_go.setdefault(step.line_id, []).append(step)
    for line in event.lines:
        cast = Cast(
            line_id=line.line_id,
            let_go=tuple(let_go.get(line.line_id, ())),
            add=line.add,
            unit_price=line.unit_price,
            shares=line.shares,
            before=line.before,
        )
        lines[line.line_id] = recast(lines[line.line_id], cast)
    lines |= {line.line_id: line for line in event.added}
    new = tuple(
        LineBefore(line_id=line.line_id, units=0, shares=(), unit_price=line.unit_price, gone=0, moved=0)
        for line in event.added
    )
    last = Amended(
        number=event.number,
        change_id=event.change_id,
        lines=(*(line.before for line in event.lines), *new),
        charges=order.charges if event.charges is not None else None,
        ship_to=order.ship_to,
        readdressed=event.readdressed,
    )
    amended = changed(
        order,
        status=event.status or order.status,
        lines=lines,
        charges=order.charges if event.charges is None else event.charges,
        ship_to=event.ship_to if event.readdressed else order.ship_to,
        change="" if order.change == event.change_id else order.change,
        amended=event.number,
        last_amendment=None if event.reverts else last,
    )
    return _on_account(amended, event.terms)


def _on_account(order: Order, terms: Terms | None) -> Order:
    """An order of which all that was missing is to be paid later, if that was agreed: it need not be paid before."""
    return changed(order, on_account=terms.minor) if terms is not None and terms.kind == "account" else order


def _evolve_change(state: Order | None, event: ChangeNoted) -> Order:
    order = as_type(state, Order)
    return changed(order, status=event.status or order.status, change=event.change_id)


def _by_id(command: Any) -> str:
    return str(command.order_id)


RULES = {
    AmendOrder: Rule(
        _amend,
        _by_id,
        reads=rows_of_amending,
        lookups=lookups_of_amending,
    ),
    ApplyRevision: Rule(_apply, _by_id, reads=_rows_of_applying),
    RevertAmendment: Rule(_revert, _by_id, reads=lambda command, state: rows_of_revision((), state)),
    NoteChange: Rule(_note_change, _by_id),
}
EVOLVE: Mapping[type[Event], Evolve] = {OrderAmended: _evolve_amended, ChangeNoted: _evolve_change}
REFUSALS = (
    BelowMoved,
    ChangeOpen,
    MovedSince,
    NoSuchCharge,
    NotAmendable,
    NothingLeft,
    NothingToRevert,
    NothingToReprice,
    PaymentNeeded,
    TooMuchChanged,
)
