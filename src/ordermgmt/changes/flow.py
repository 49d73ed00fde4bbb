"""What follows from a change of an order: the order knows that one is open, and is amended when it is confirmed."""

from __future__ import annotations

from ..engine.capability import on, story
from ..engine.messages import Event, Later, Replies
from ..orders.amended import OrderAmended
from ..orders.amending import ApplyRevision, NoteChange, RevertAmendment
from ..orders.messages import OrderCancelled, OrderClosed, OrderExpired, OrderRejected
from ..orders.model import Order
from .messages import (
    ChangeCancelled,
    ChangeConfirmed,
    ChangeDeclined,
    ChangeDrafted,
    ChangeExpired,
    ChangeReverted,
    DropOrderChange,
    ExpireOrderChange,
    NoteReverted,
    expiry_name,
)
from .model import OrderChange

# Happy path.


def the_order_knows_it(event: ChangeDrafted, change: OrderChange) -> Replies:
    yield NoteChange(order_id=event.order_id, change_id=event.change_id, open=True)


def wait_only_so_long(event: ChangeDrafted, change: OrderChange) -> Replies:
    command = ExpireOrderChange(change_id=event.change_id)
    yield Later(command, event.expires_at, expiry_name(event.change_id), group=event.order_id)


def amend_the_order(event: ChangeConfirmed, change: OrderChange) -> Replies:
    yield ApplyRevision(
        order_id=change.order_id,
        revision=change.wanted,
        ship_to=change.ship_to,
        pay=event.terms,
        change_id=change.change_id,
        reason=change.reason,
    )


def no_need_to_expire(event: Event, change: OrderChange) -> Replies:
    yield Later(None, change.expires_at, expiry_name(change.change_id), group=change.order_id)


# Compensation.


def the_order_is_free(event: Event, change: OrderChange) -> Replies:
    yield NoteChange(order_id=change.order_id, change_id=change.change_id, open=False)


def take_the_amendment_back(event: ChangeReverted, change: OrderChange) -> Replies:
    yield RevertAmendment(order_id=change.order_id, change_id=change.change_id, pay=event.terms, reason=event.reason)


def the_change_knows_that_it_was_taken_back(event: OrderAmended, order: Order) -> Replies:
    if event.reverts and event.change_id:
        yield NoteReverted(change_id=event.change_id, reason=event.reason)


def no_change_of_what_has_ended(event: Event, order: Order) -> Replies:
    if order.change:
        yield DropOrderChange(change_id=order.change, reason=f"the order is {order.status}")


REACTIONS = story(
    on(ChangeDrafted, the_order_knows_it, wait_only_so_long),
    on(ChangeConfirmed, amend_the_order, no_need_to_expire),
    on(ChangeReverted, take_the_amendment_back),
    on(OrderAmended, the_change_knows_that_it_was_taken_back),
    on(ChangeDeclined, the_order_is_free, no_need_to_expire),
    on(ChangeCancelled, the_order_is_free, no_need_to_expire),
    on(ChangeExpired, the_order_is_free),
    on(OrderCancelled, no_change_of_what_has_ended),
    on(OrderRejected, no_change_of_what_has_ended),
    on(OrderExpired, no_change_of_what_has_ended),
    on(OrderClosed, no_change_of_what_has_ended),
)
