"""What may be asked of an order next, and what may be reported about it: seen from the shop's own entities.

Random tests choose from these lists, so that they reach ends instead of refusals.  Everything is read through the
public API, in a fixed order: the same shop gives the same lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs

from ..changes.messages import (
    CancelOrderChange,
    ConfirmOrderChange,
    DeclineOrderChange,
    DraftOrderChange,
    EditOrderChange,
    RequestOrderChange,
    RevertOrderChange,
)
from ..changes.model import OrderChange
from ..engine.adapters import NotThere
from ..engine.codec import Opaque
from ..engine.effects import Intent, Succeeded
from ..engine.messages import Command, News
from ..management import OrderManagement
from ..money import Money, UnitPrice
from ..orders.amending import AmendOrder, RevertAmendment
from ..orders.amendment import Amendment, LineChange
from ..orders.drafts import EditDraft, PlaceDraft, QuoteOrder, WithdrawQuote
from ..orders.entry import Line, OnAccount, PayNow, Tender
from ..orders.holds import AddNote, HoldOrder, ReleaseHold
from ..orders.lifecycle import IN_THE_HOUSE
from ..orders.messages import (
    AdvanceOrder,
    CancelOrder,
    CancelUnits,
    CloseOrder,
    ConfirmOrder,
    GrantCredit,
    Move,
    MoveUnits,
    RejectOrder,
)
from ..orders.model import Order
from ..payments.messages import RECORDS, PaymentEffect, RecordCapture, RecordDecline
from ..payments.model import FACT_KINDS, Fact, Payment
from ..refunds.messages import RecordRefundFailed, RecordRefundSent, RecordRefundSucceeded, RequestRefund
from ..refunds.model import Refund
from ..shipments.messages import (
    AskLabel,
    CancelShipment,
    HandOverShipment,
    PackShipment,
    PickShipment,
    PlanShipment,
    RecordDelivery,
    RecordLabel,
    RecordLabelVoided,
    RecordNoLabel,
    RecordNoTracking,
    RecordScan,
    RecordUndeliverable,
)
from ..shipments.model import STAGES, Content, Label, Shipment
from ..stock.messages import CommitReservation, PutAwayStock
from ..stock.model import Claim, Stock
from .fakes import FakePayments

# What may be asked.


def askable(shop: OrderManagement, order_id: str) -> list[Command[Any]]:
    """Commands that make sense for this order now; most of them are allowed, some are refused by a rule."""
    order = shop.get(Order, order_id)
    if order.is_draft:
        return [*_header(shop, order), *_draft(shop, order)]
    asks = [*_header(shop, order), *_units(order), *_parcels(shop, order), *_goodwill(order)]
    return [*asks, *_stock(shop, order), *_money_back(order), *_changes(shop, order)]


def _header(shop: OrderManagement, order: Order) -> Iterator[Command[Any]]:
    lifecycle = shop.assembly.by_kind["order"].lifecycle
    drawn = lifecycle.allowed(order.status) if lifecycle is not None else ()
    own = lifecycle.own_triggers if lifecycle is not None else frozenset[str]()
    if "confirm" in drawn:
        yield ConfirmOrder(order_id=order.order_id)
    if "cancel" in drawn:
        yield CancelOrder(order_id=order.order_id, reason="changed my mind")
    if "reject" in drawn:
        yield RejectOrder(order_id=order.order_id, reason="not to be trusted")
    if "close" in drawn and order.complete:
        yield CloseOrder(order_id=order.order_id)
    for step in drawn:
        if step in own:
            yield AdvanceOrder(order_id=order.order_id, step=step)
    for reason in ("address", "credit limit"):
        if reason in order.holds:
            yield ReleaseHold(order_id=order.order_id, reason=reason)
        elif drawn and len(order.notes) % 2:
            yield HoldOrder(order_id=order.order_id, reason=reason)
    yield AddNote(order_id=order.order_id, text="looked at it")


def _draft(shop: OrderManagement, order: Order) -> Iterator[Command[Any]]:
    """A draft is edited, quoted, and placed on account or by card."""
    lines = [
        Line(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price, line_id=line.line_id)
        for line in order.lines.values()
    ]
    yield EditDraft(order_id=order.order_id, lines=[*lines[:9], attrs.evolve(lines[0], line_id=f"e{order.drafted}")])
    yield QuoteOrder(order_id=order.order_id, valid_for=timedelta(hours=5))
    yield WithdrawQuote(order_id=order.order_id, reason="wrong price")
    yield PlaceDraft(order_id=order.order_id, pay=OnAccount(), confirm="by_hand")
    for gateway in list(shop.assembly.ports.get("gateways", {}))[:1]:
        yield PlaceDraft(order_id=order.order_id, pay=PayNow([Tender(gateway, token="tok_visa")]))  # noqa: S106 - to play with


def _units(order: Order) -> Iterator[Command[Any]]:
    for line in order.lines.values():
        inside = line.count(*IN_THE_HOUSE)
        for n in sorted({1, inside}):
            if 0 < n <= inside:
                yield CancelUnits(order_id=order.order_id, units={line.line_id: n})
        lost = line.count("undeliverable")
        for arrow in ("reship", "give_up"):
            for n in sorted({1, lost}):
                if 0 < n <= lost:
                    yield MoveUnits(order_id=order.order_id, moves=(Move(line.line_id, arrow, n),))


def _parcels(shop: OrderManagement, order: Order) -> Iterator[Command[Any]]:
    planned = dict[str, int]()
    for shipment_id in order.shipments:
        shipment = shop.get(Shipment, shipment_id)
        if shipment.status not in STAGES:
            continue
        yield HandOverShipment(shipment_id=shipment_id)
        yield CancelShipment(shipment_id=shipment_id)
        if shipment.status == "planned":
            yield PickShipment(shipment_id=shipment_id)
            for content in shipment.contents:
                if content.order_id == order.order_id:
                    planned[content.line_id] = planned.get(content.line_id, 0) + content.quantity
        if shipment.status != "packed":
            yield PackShipment(shipment_id=shipment_id)
        elif shipment.carrier and shipment.label is None:
            yield AskLabel(shipment_id=shipment_id)
    if order.status == "confirmed":
        yield from _plan(order, planned)


def _plan(order: Order, planned: dict[str, int]) -> Iterator[Command[Any]]:
    """Parcels for what is reserved and in none: all of it, or one unit of it."""
    left = {line.line_id: line.count("reserved") - planned.get(line.line_id, 0) for line in order.lines.values()}
    contents = tuple(Content(order.order_id, line_id, n) for line_id, n in left.items() if n > 0)
    shipment_id = f"{order.order_id}:s{len(order.shipments) + 1}"
    for wanted in dict.fromkeys([contents, *((Content(c.order_id, c.line_id, 1),) for c in contents)]):
        if wanted:
            yield PlanShipment(shipment_id=shipment_id, contents=wanted, carrier=order.ship_by)


def _goodwill(order: Order) -> Iterator[Command[Any]]:
    owed = order.due.minor
    for minor in sorted({1, owed // 2, owed}):
        if 0 < minor <= owed:
            yield GrantCredit(order_id=order.order_id, amount=Money.of_minor(minor, order.currency), reason="sorry")


def _stock(shop: OrderManagement, order: Order) -> Iterator[Command[Any]]:
    """Held goods are put away; units to be sent once more are set aside again."""
    claims = tuple(
        Claim(line.line_id, line.sku, line.location, line.count("open"))
        for line in order.lines.values()
        if line.kind == "stocked" and line.count("open")
    )
    if claims and order.status == "confirmed":
        yield CommitReservation(order_id=order.order_id, claims=claims)
    for sku, location in dict.fromkeys((line.sku, line.location) for line in order.lines.values()):
        for stock in shop.find(Stock, sku=sku):
            if stock.location == location and stock.held:
                yield PutAwayStock(sku=sku, location=location, quantity=1)
                yield PutAwayStock(sku=sku, location=location, quantity=stock.held)


def _changes(shop: OrderManagement, order: Order) -> Iterator[Command[Any]]:
    """It is amended at once, or by a change that somebody answers; and the last amendment is taken back."""
    line = next(iter(order.lines.values()))
    standing = line.quantity - line.count("cancelled")
    several = [
        Amendment(lines=[LineChange(line_id=line.line_id, quantity=max(standing - 1, 0))]),
        Amendment(lines=[LineChange(line_id=line.line_id, quantity=standing + 1)]),
        Amendment(lines=[LineChange(line_id=line.line_id, unit_price=UnitPrice("2.345", order.currency))]),
        Amendment(charges={"gift wrap": Money.of_minor(199 if order.amended % 2 else 0, order.currency)}),
    ]
    if len(order.lines) < 4:
        several.append(Amendment(add=[Line(sku=line.sku, quantity=1, unit_price=line.unit_price)]))
    for n, amendment in enumerate(several):
        yield AmendOrder(order_id=order.order_id, amendment=amendment, pay=OnAccount() if n % 2 else None)
        if not order.change:
            change_id = f"{order.order_id}.c{len(shop.find(OrderChange, order=order.order_id))}"
            yield DraftOrderChange(
                change_id=change_id, order_id=order.order_id, amendment=amendment, valid_for=timedelta(hours=9)
            )
    yield RevertAmendment(order_id=order.order_id)
    for change in shop.find(OrderChange, order=order.order_id):
        if change.open:
            yield EditOrderChange(change_id=change.change_id, amendment=several[-1])
            yield RequestOrderChange(change_id=change.change_id)
            yield ConfirmOrderChange(change_id=change.change_id)
            yield ConfirmOrderChange(change_id=change.change_id, pay=OnAccount())
            yield DeclineOrderChange(change_id=change.change_id, reason="too late")
            yield CancelOrderChange(change_id=change.change_id, reason="not any more")
        elif change.status == "confirmed":
            yield RevertOrderChange(change_id=change.change_id)


def _money_back(order: Order) -> Iterator[Command[Any]]:
    """Another try after a refund that failed."""
    owed = order.money.refundable - max(order.due.minor, 0)
    for payment_id, tally in order.payments.items():
        n = min(owed, tally.amounts.refundable)
        if n > 0:
            yield RequestRefund(
                refund_id=f"{order.order_id}:x{order.money.refunded}.{payment_id[-1]}.{tally.amounts.paid}",
                order_id=order.order_id,
                payment_id=payment_id,
                amount=Money.of_minor(n, order.currency),
            )


# What may be reported, whatever happened.


def reportable(shop: OrderManagement, order_id: str) -> list[News[Any]]:
    """News of every kind about this order, true or not: repeated, contradicting, too early and too late."""
    order = shop.get(Order, order_id)
    news = list[News[Any]]()
    for payment_id in order.payments:
        news.extend(_of_payment(shop.get(Payment, payment_id)))
    for shipment_id in order.shipments:
        news.extend(_of_shipment(shop.get(Shipment, shipment_id)))
    for refund in shop.find(Refund, order=order_id):
        news.extend(_of_refund(refund))
    return news


def _of_payment(payment: Payment) -> Iterator[News[Any]]:
    about: dict[str, Any] = {"payment_id": payment.payment_id, "order_id": payment.order_id}
    whole = Money.of_minor(payment.minor, payment.currency)
    other = "USD" if payment.currency != "USD" else "EUR"
    for fact in payment.facts.values():
        again = Money.of_minor(fact.minor, fact.currency)
        yield RECORDS[fact.kind](**about, transaction_id=fact.transaction_id, amount=again)
        yield RecordCapture(**about, transaction_id=fact.transaction_id, amount=Money.of_minor(1, fact.currency))
    for kind in FACT_KINDS:
        n = len(payment.facts)
        asks = [0, *map(int, list(payment.asks)[:1])]
        for ask in asks:
            yield RECORDS[kind](**about, transaction_id=f"{kind}-{n}", amount=whole, ask=ask)
        yield RECORDS[kind](**about, transaction_id=f"{kind}-{n}", amount=Money.of_minor(1, payment.currency))
        yield RECORDS[kind](**about, transaction_id=f"{kind}-{n}", amount=Money.of_minor(payment.minor, other))
    for unanswered in (*map(int, payment.asks), 0, payment.asked + 1):
        yield RecordDecline(**about, ask=unanswered, code="no_funds")


def _of_shipment(shipment: Shipment) -> Iterator[News[Any]]:
    shipment_id = shipment.shipment_id
    yield RecordScan(shipment_id=shipment_id, note="seen")
    yield RecordDelivery(shipment_id=shipment_id)
    yield RecordUndeliverable(shipment_id=shipment_id, note="nobody there")
    yield RecordNoLabel(shipment_id=shipment_id, code="no_such_street")
    yield RecordNoTracking(shipment_id=shipment_id, code="no_such_number")
    for number in (f"late-{shipment_id}", shipment.label.tracking_number if shipment.label else "none"):
        yield RecordLabel(shipment_id=shipment_id, label=Label(tracking_number=number))
        yield RecordLabelVoided(shipment_id=shipment_id, tracking_number=number)
        yield RecordLabelVoided(shipment_id=shipment_id, tracking_number=number, refused="scanned")


def _of_refund(refund: Refund) -> Iterator[News[Any]]:
    about: dict[str, Any] = {"refund_id": refund.refund_id, "order_id": refund.order_id}
    yield RecordRefundSent(**about)
    yield RecordRefundSucceeded(**about, reference="bank-1")
    yield RecordRefundFailed(**about, code="account_closed")


# What is reported truly.


def true_news(shop: OrderManagement, gateway: FakePayments, order_id: str) -> list[News[Any]]:
    """What this provider has really done for the order, as its webhooks would tell it: once more, or before its answer.

    Some name the request they answer and some do not, as providers do.
    """
    news = list[News[Any]]()
    for intent in shop.find(Intent, group=order_id):
        request = shop.assembly.codec.thaw(intent.request)
        if isinstance(request, Opaque) or not isinstance(request, PaymentEffect):
            continue
        outcome = gateway.lookup(request, key=intent.key, deadline=intent.due - intent.due)
        if isinstance(outcome, NotThere) or not isinstance(outcome, Succeeded):
            continue
        for fact in outcome.result:
            for ask in (0, request.ask):
                news.append(
                    RECORDS[fact.kind](
                        payment_id=request.payment_id,
                        order_id=order_id,
                        transaction_id=fact.transaction_id,
                        amount=Money.of_minor(fact.minor, fact.currency),
                        occurred_at=fact.occurred_at,
                        ask=ask,
                    )
                )
    return news


def expire_authorisation(shop: OrderManagement, gateway: FakePayments, payment_id: str) -> News[Any] | None:
    """The provider lets an authorisation run out; its news, or None where there is nothing open or something asked."""
    payment = shop.get(Payment, payment_id)
    account = gateway.accounts.get(payment_id)
    if account is None or account.open <= 0 or payment.amounts.pending or account.open != payment.amounts.open:
        return None
    return _told(payment, gateway.expire(payment_id).result[0])


def charge_back(shop: OrderManagement, gateway: FakePayments, payment_id: str) -> News[Any] | None:
    """The customer's bank takes everything back; its news, or None where nothing is kept or something asked."""
    payment = shop.get(Payment, payment_id)
    account = gateway.accounts.get(payment_id)
    if account is None or account.kept <= 0 or payment.amounts.pending or account.kept != payment.amounts.paid:
        return None
    return _told(payment, gateway.charge_back(payment_id).result[0])


def _told(payment: Payment, fact: Fact) -> News[Any]:
    return RECORDS[fact.kind](
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        transaction_id=fact.transaction_id,
        amount=Money.of_minor(fact.minor, fact.currency),
        occurred_at=fact.occurred_at,
    )


__all__ = ["askable", "charge_back", "expire_authorisation", "reportable", "true_news"]
