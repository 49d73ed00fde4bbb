"""Everything that can be asked of an order, with arguments that stand for any: what `shop.allowed` tries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ..engine.lifecycle import Lifecycle
from ..engine.messages import Command, Key
from ..money import Money
from .amending import AmendOrder, RevertAmendment
from .amendment import Amendment, LineChange
from .drafts import PlaceDraft, QuoteOrder, WithdrawQuote
from .entry import OnAccount
from .goods import SetGoodsAside
from .holds import AddNote, HoldOrder, ReleaseHold
from .lifecycle import IN_THE_HOUSE
from .messages import (
    AdvanceOrder,
    CancelOrder,
    CancelUnits,
    CloseOrder,
    ConfirmOrder,
    GrantCredit,
    OrderCommand,
    RejectOrder,
)
from .model import Order

A_REASON = "a reason"


def asks(order: Order, lifecycle: Lifecycle | None) -> Iterable[Command[Any]]:
    """Each command once, in the order of the business; steps of the host's own and holds each for itself."""
    id = order.order_id
    if order.is_draft:
        yield QuoteOrder(order_id=id, valid_for=timedelta(days=7))
        yield WithdrawQuote(order_id=id)
        yield PlaceDraft(order_id=id, pay=OnAccount())
    for step in lifecycle.triggers if lifecycle is not None else ():
        if lifecycle is not None and step in lifecycle.own_triggers:
            yield AdvanceOrder(order_id=id, step=step)
    yield from _header(id)
    yield HoldOrder(order_id=id, reason=A_REASON)
    for reason in order.holds or (A_REASON,):
        yield ReleaseHold(order_id=id, reason=reason)
    yield AddNote(order_id=id, text=A_REASON)
    lines = list(order.lines.values())
    cancellable = next((line for line in lines if line.count(*IN_THE_HOUSE)), lines[0])
    yield CancelUnits(order_id=id, units={cancellable.line_id: 1})
    yield GrantCredit(order_id=id, amount=Money.of_minor(1, order.currency))
    yield SetGoodsAside(order_id=id)
    yield AmendOrder(order_id=id, amendment=one_more(order))
    yield RevertAmendment(order_id=id)


def one_more(order: Order) -> Amendment:
    """One unit more of its first line that is wanted."""
    lines = list(order.lines.values())
    line = next((line for line in lines if line.count("cancelled") < line.quantity), lines[0])
    wanted = line.quantity - line.count("cancelled") + 1
    return Amendment(lines=[LineChange(line_id=line.line_id, quantity=wanted)])


def _header(id: str) -> Iterable[OrderCommand]:
    yield ConfirmOrder(order_id=id)
    yield RejectOrder(order_id=id)
    yield CancelOrder(order_id=id)
    yield CloseOrder(order_id=id)


def parts(order: Order) -> Iterable[Key]:
    """Its payments, its parcels, and the change that is open."""
    return [
        *([("change", order.change)] if order.change else ()),
        *(("payment", payment_id) for payment_id in order.payments),
        *(("shipment", shipment_id) for shipment_id in order.shipments),
    ]
