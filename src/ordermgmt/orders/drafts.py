"""Drafts and quotes: an order that is written down, priced and perhaps promised a price, before it is placed.

A draft takes no stock and no money.  A quote says until when its price stands; then the draft expires by itself.
Placing it promises exactly what was drafted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from operator import attrgetter
from typing import Any

import attrs
from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.capability import Evolve, Rule, Seen, as_type, changed, evolved, require
from ..engine.messages import Event, Key, checked_choice, checked_note, checked_type
from ..errors import AlreadyExists, InvalidInput, Refused
from ..stock.messages import stock_key
from ..values import error, frozen
from .addresses import lookups_of_addresses
from .entry import CONFIRM, OnAccount, OrderEntry, PaidElsewhere, Pay, PayNow, checked_span
from .messages import OrderCommand, OrderEntered, OrderExpired, OrderPlaced
from .model import DRAFT, Order, Terms
from .placing import agreed, confirmed_at_once, entered, evolve_entered, lookups_of_carrier, total_of
from .prices import lookups_of_prices
from .references import ReturnReference, returned_by


@error
class NotADraft(Refused):
    """It was placed already, or has ended."""

    order_id: str
    status: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is {self.status}, no draft; only drafts are edited, quoted and placed"


@error
class Quoted(Refused):
    """A customer was promised this price, so the draft stays as it is."""

    order_id: str
    until: DateTime

    @property
    def message(self) -> str:
        return f"order {self.order_id} is quoted until {self.until}; withdraw the quote first (WithdrawQuote)"


@error
class QuoteOver(Refused):
    """The quote has run out: its price stood until then."""

    order_id: str
    until: DateTime

    @property
    def message(self) -> str:
        return f"the price of order {self.order_id} stood until {self.until}; draft and quote it anew"


@error
class NotQuoted(Refused):
    """There is no quote to withdraw."""

    order_id: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is not quoted; there is nothing to withdraw"


# Commands.


@frozen(kw_only=True)
class DraftOrder(OrderEntry):
    """Write an order down and price it.  Nothing is promised: no stock is taken and no money asked for.

    Refused with `UnknownSku`, `AlreadyExists`, `BadAddress` or `ReferenceTaken`.  A draft that is given up
    (`CancelOrder`) or expires gives the channel's ids back that it has taken.
    """


@frozen(kw_only=True)
class EditDraft(OrderEntry):
    """Replace what a draft says.  Say the whole of it: what is left out is gone.  The channel's ids that it brings are
    taken as a whole, so they may change places; those left out are free again.

    Refused with `NotADraft`, with `Quoted` while its price is promised, and as `DraftOrder` is.
    """

    def __attrs_post_init__(self) -> None:
        OrderEntry.__attrs_post_init__(self)
        if self.order_id is None:
            raise InvalidInput("order_id must say which draft is edited")


@frozen(kw_only=True)
class QuoteOrder(OrderCommand):
    """Promise the price of a draft for a while.  When that is over the draft expires, unless it was placed."""

    valid_for: timedelta = field(validator=checked_span)


@frozen(kw_only=True)
class WithdrawQuote(OrderCommand):
    """Take a quote back: its price is no longer promised, and the draft can be edited again."""

    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class PlaceDraft(OrderCommand):
    """Place what was drafted, at the price it was drafted at: goods are reserved and payment is asked for.

    Refused with `NotADraft`, `QuoteOver`, `OutOfStock` or `PaymentMismatch`.
    """

    pay: Pay = field(validator=checked_type(PayNow, OnAccount, PaidElsewhere))
    confirm: str = field(default="when_authorised", validator=checked_choice(*CONFIRM))
    pay_within: timedelta | None = field(default=None, validator=optional(checked_span))
    """Expire the order if it is not confirmed by then."""


@frozen(kw_only=True)
class ExpireQuote(OrderCommand):
    """The quote's time is over.  Does nothing where the order was placed or quoted anew.  Made by the flow."""


# Events.


@frozen(kw_only=True)
class OrderDrafted(OrderEntered):
    """An order was written down; nothing is promised."""


@frozen(kw_only=True)
class DraftEdited(OrderEntered):
    """A draft says something else from now on."""

    returned: tuple[ReturnReference, ...] = ()
    """The ids of its channel that it has no longer."""


@frozen(kw_only=True)
class OrderQuoted(Event):
    """A customer was promised the price of a draft."""

    until: DateTime


@frozen(kw_only=True)
class QuoteWithdrawn(Event):
    """The price does not stand any longer."""

    until: DateTime
    """Until when it had been promised."""
    reason: str


# Decide.


def _draft(command: DraftOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None:
        raise AlreadyExists("order", state.order_id)
    yield OrderDrafted(**entered(command, seen), terms=Terms(kind=DRAFT), placed_at=at)


def _edit(command: EditDraft, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _as_draft(state, as_type(command.order_id, str), seen)
    if order.quoted_until is not None:
        raise Quoted(order.order_id, order.quoted_until)
    content = entered(command, seen, order.drafted + 1)
    externals = [line.external for line in command.lines]
    returned = tuple(returned_by(order, command.external, externals, command.channel))
    yield DraftEdited(**content, terms=order.terms, placed_at=order.placed_at, returned=returned)


def _quote(command: QuoteOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _as_draft(state, command.order_id, seen)
    until = at + command.valid_for
    if until != order.quoted_until:
        yield OrderQuoted(until=until)


def _withdraw(command: WithdrawQuote, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _as_draft(state, command.order_id, seen)
    if order.quoted_until is None:
        raise NotQuoted(order.order_id)
    yield QuoteWithdrawn(until=order.quoted_until, reason=command.reason)


def _expire(command: ExpireQuote, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    over = order.quoted_until is not None and order.quoted_until <= at
    if order.is_draft and over and seen.draws("expire"):
        yield OrderExpired()


def _place(command: PlaceDraft, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = _as_draft(state, command.order_id, seen)
    if order.quoted_until is not None and order.quoted_until <= at:
        raise QuoteOver(order.order_id, order.quoted_until)
    content: dict[str, Any] = {name: getattr(order, name) for name in _CONTENT}
    content["lines"] = tuple(order.lines.values())
    placed = OrderPlaced(
        **content,
        terms=agreed(command.pay, total_of(content)),
        confirm=command.confirm,
        placed_at=at,
        expires_at=at + command.pay_within if command.pay_within is not None else None,
    )
    yield placed
    yield from confirmed_at_once(order, placed, seen)


_CONTENT = tuple(a.name for a in attrs.fields(OrderEntered) if a.name not in ("status", "lines", "terms", "placed_at"))
"""What a draft holds already when it is placed."""


def _as_draft(state: Order | None, order_id: str, seen: Seen) -> Order:
    order = require(state, "order", order_id)
    if not order.is_draft or seen.ended:
        raise NotADraft(order.order_id, order.status)
    return order


def _rows_of_draft(command: Any, state: Order | None) -> Iterable[Key]:
    if state is None:
        return ()
    return [
        ("reservation", state.order_id),
        *(stock_key(line.sku, line.location) for line in state.lines.values() if line.kind == "stocked"),
    ]


def quote_name(order_id: str) -> str:
    """The name of the later command that ends a quote."""
    return f"quote.{order_id}"


# Evolve.


def _evolve_drafted(state: Order | None, event: OrderEntered) -> Order:
    status = event.status or (state.status if state is not None else DRAFT)
    order = evolve_entered(state, event, status)
    return changed(order, drafted=order.drafted + 1)


def _evolve_quoted(state: Order | None, event: OrderQuoted) -> Order:
    order = as_type(state, Order)
    return evolved(order, event, quoted_until=event.until)


def _evolve_withdrawn(state: Order | None, event: QuoteWithdrawn) -> Order:
    order = as_type(state, Order)
    return evolved(order, event, quoted_until=None)


_by_id: Callable[[Any], str] = attrgetter("order_id")


def lookups_of_entry(command: Any) -> Iterable[Key]:
    """What ports are asked before an order is drafted or placed."""
    skus = {("items", line.sku) for line in command.lines}
    return {*skus, *lookups_of_addresses(command), *lookups_of_prices(command), *lookups_of_carrier(command)}


def named(command: Any, new_id: Any) -> Any:
    """The entry with an id, if the caller gave none."""
    return command if command.order_id else attrs.evolve(command, order_id=new_id())


RULES = {
    DraftOrder: Rule(_draft, _by_id, lookups=lookups_of_entry, named=named),
    EditDraft: Rule(_edit, _by_id, lookups=lookups_of_entry),
    QuoteOrder: Rule(_quote, _by_id),
    WithdrawQuote: Rule(_withdraw, _by_id),
    PlaceDraft: Rule(_place, _by_id, reads=_rows_of_draft),
    ExpireQuote: Rule(_expire, _by_id),
}
EVOLVE: Mapping[type[Event], Evolve] = {
    OrderDrafted: _evolve_drafted,
    DraftEdited: _evolve_drafted,
    OrderQuoted: _evolve_quoted,
    QuoteWithdrawn: _evolve_withdrawn,
}
REFUSALS = (NotADraft, Quoted, QuoteOver, NotQuoted)
