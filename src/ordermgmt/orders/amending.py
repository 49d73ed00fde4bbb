"""Amending an order after placement, and taking the last amendment back: goods and money in one commit.

What is open about it, who has to agree and until when, is an order change's business (`changes`); here an order
is made different, or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.capability import Evolve, Rule, Seen, require
from ..engine.messages import PERSONAL, Event, Key, Personal, checked_id, checked_note, checked_type
from ..errors import InvalidInput, Refused
from ..stock.messages import stock_key
from ..values import error, frozen
from .addresses import checked_address, lookups_of_addresses
from .amended import ChangeNoted, OrderAmended, evolve_amended, evolve_change
from .amendment import (
    Amendment,
    BelowMoved,
    MovedSince,
    NoSuchCharge,
    NothingLeft,
    NothingToReprice,
    Revision,
    TooMuchChanged,
    revision,
)
from .entry import OnAccount, PaidElsewhere, Pay, PayNow
from .following import balance
from .messages import MoneyAsked, OrderCommand
from .model import Address, Order, Terms
from .placing import UnknownSku
from .port import Item
from .rules import confirmed_by_policy, payment_id, rows_of_order
from .settlement import ENDED, NotAmendable, NothingToRevert, Outcome, PaymentNeeded, outcome, reversal


@error
class ChangeOpen(Refused):
    """Another change of the order is open."""

    order_id: str
    change_id: str

    @property
    def message(self) -> str:
        return f"change {self.change_id} of order {self.order_id} is open; confirm, decline or cancel it first"


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


_by_id: Callable[[Any], str] = attrgetter("order_id")


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
EVOLVE: Mapping[type[Event], Evolve] = {OrderAmended: evolve_amended, ChangeNoted: evolve_change}
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
