"""What people may want of a simulated shop: an order, something else about it, the next step of its goods.

Whoever adds a command to the library adds a line to `WISHES` or a step to `_next_steps`.  A wish may be refused: it is
made by what can be seen, and by the time it is decided somebody else may have been faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ...changes.messages import (
    CancelOrderChange,
    ConfirmOrderChange,
    DeclineOrderChange,
    DraftOrderChange,
    RequestOrderChange,
    RevertOrderChange,
)
from ...engine.messages import Command
from ...money import Money, UnitPrice
from ...orders.amending import AmendOrder, RevertAmendment
from ...orders.amendment import Amendment, LineChange
from ...orders.drafts import DraftOrder, EditDraft, PlaceDraft, QuoteOrder, WithdrawQuote
from ...orders.entry import Line, OnAccount, PaidElsewhere, PayNow, PlaceOrder, Tender
from ...orders.holds import AddNote, HoldOrder, ReleaseHold
from ...orders.lifecycle import IN_THE_HOUSE
from ...orders.messages import (
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
from ...orders.model import Address, Order
from ...orders.port import Item
from ...orders.prices import cost
from ...payments.messages import CapturePayment
from ...pricing.terms import Discount, Surcharge, Tax
from ...refunds.messages import RequestRefund
from ...shipments.messages import AskLabel, CancelShipment, HandOverShipment, PackShipment, PickShipment, PlanShipment
from ...shipments.model import STAGES, Content, Shipment
from ...stock.messages import CommitReservation, PutAwayStock, ReceiveStock, stock_id
from ...stock.model import Claim, Stock
from ...verify import ENDED

if TYPE_CHECKING:
    from .world import World

SKUS = ("cup", "hat", "pen")
"""What stands on the shelf."""
WARRANTY = "warranty"
"""What needs no goods: it is performed once its order is confirmed."""
_OFFERED = (*SKUS, *SKUS, *SKUS, WARRANTY)
CHANGING = 0.5
"""How often somebody wants a placed order changed, in a world where orders are changed."""

# An order.


def new_order(world: World, order_id: str) -> Command[Any]:
    """Somebody places an order, or has one drafted."""
    lines = [
        Line(
            sku=world.choice(_OFFERED),
            quantity=world.choice((1, 2, 3)),
            unit_price=UnitPrice(world.choice(("3.333333", "7.9925", "0.05", "0")), "EUR"),
        )
        for _ in range(world.choice((1, 2, 2)))
    ]
    shipping = Money.of_minor(world.choice((0, 490)), "EUR")
    goods = _with_prices(len(world.orders), lines, shipping)
    total = cost(PlaceOrder(**goods, pay=OnAccount())).minor
    carrier = world.choice(("", "parcel", "parcel", "courier"))
    if world.random.random() < 0.12:
        return DraftOrder(**goods, order_id=order_id, carrier=carrier, channel="web", external=_external(world))
    return PlaceOrder(
        **goods,
        order_id=order_id,
        pay=_pay(world, total),
        carrier=carrier,
        channel="web",
        external=_external(world),
        confirm=world.choice(("when_authorised",) * 4 + ("at_once", "by_hand")),
        pay_within=world.choice((None, None, timedelta(hours=3))),
        ship_to=Address(name="Ann", street="Long Lane 1", city="York", country="GB"),
    )


class Offer:
    """The catalogue: everything is stocked, but for one thing."""

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        return {sku: Item(kind="service" if sku == WARRANTY else "stocked") for sku in skus}


def _with_prices(n: int, lines: list[Line], shipping: Money) -> dict[str, Any]:
    """Every second order is nothing but prices; the others have taxes, discounts and charges, by their number."""
    if n % 2:
        return {"lines": lines, "shipping": shipping}
    vat = [Tax("VAT", 19), Tax("local", "0.875", compound=True)][: 1 + n % 3]
    off = Discount("a third off", percent="33.3333")
    more: dict[str, Any] = {"taxes": vat, "discounts": [off] if n % 4 else [], "minimum_price": Money("0.04", "EUR")}
    welcome = Discount("welcome", amount=Money("1.01", "EUR"), on="everything")
    return {
        "lines": [evolve(line, **more) for line in lines],
        "shipping": Surcharge("shipping", shipping, taxes=vat),
        "adjustments": [welcome, Surcharge("fee", Money("0.33", "EUR"), taxes=vat)] if n % 3 else [welcome],
        "prices": "exclusive" if n % 4 else "inclusive",
        "rounding": ("standard", "vendure", "invoice", "unit")[n // 2 % 4],
    }


def _external(world: World) -> str:
    """A marketplace's id of the order; two orders may bring the same by mistake."""
    return f"web-{world.random.randrange(60)}" if world.random.random() < 0.3 else ""


def _pay(world: World, total: int) -> Any:
    how = world.random.randrange(20)
    if how == 0:
        return OnAccount(days=30)
    if how == 1 and total:
        return PaidElsewhere(method="cash", amount=Money.of_minor(total, "EUR"))
    if how < 7 and total > 1:
        first = Money.of_minor(world.random.randrange(1, total), "EUR")
        return PayNow([_tender(world, first), _tender(world, None)])
    return PayNow([_tender(world, None)])


def _tender(world: World, amount: Money | None) -> Tender:
    token = world.choice(("tok_visa",) * 15 + ("tok_decline",))
    return Tender(world.choice(world.tills), token=token, amount=amount, sale=world.random.random() < 0.3)


def _about_a_draft(world: World, order: Order) -> Command[Any]:
    """It is placed most often; else edited, quoted, or given up."""
    chance = world.random.random()
    id = order.order_id
    if chance < (0.6 if order.holds else 0.35):  # what lies on a draft must lie on the order
        return PlaceDraft(order_id=id, pay=_pay(world, order.total.minor), confirm=world.choice(("by_hand", "at_once")))
    if chance < 0.65:
        return QuoteOrder(order_id=id, valid_for=timedelta(hours=world.choice((1, 6))))
    if chance < 0.7:
        return WithdrawQuote(order_id=id, reason="wrong price")
    if chance < 0.85:
        return HoldOrder(order_id=id, reason="credit limit")
    if chance < 0.95:
        line = Line(sku=world.choice(_OFFERED), quantity=world.choice((1, 2)), unit_price=UnitPrice("4.005", "EUR"))
        return EditDraft(order_id=id, lines=[line], carrier=order.ship_by, channel="web", external=order.external)
    return CancelOrder(order_id=id, reason="too dear")


def _hold(world: World, order: Order) -> Command[Any]:
    """Somebody has doubts about the order, notes them, or lets it go on: what waits is released most often."""
    if order.holds and world.random.random() < 0.5:
        return ReleaseHold(order_id=order.order_id, reason=world.choice(list(order.holds)))
    if order.holds and order.payments and world.random.random() < 0.2:  # refused while it waits
        world.by_hand.add(order.order_id)
        payment_id = world.choice(list(order.payments))
        open_minor = max(order.payments[payment_id].amounts.open, 1)
        return CapturePayment(payment_id=payment_id, amount=Money.of_minor(open_minor, order.currency))
    if world.random.random() < 0.2:
        return AddNote(order_id=order.order_id, text="looked at it")
    return HoldOrder(order_id=order.order_id, reason=world.choice(("address", "credit limit")))


# What becomes of it.


def _own_steps(world: World, order: Order) -> list[str]:
    """The steps from here that a host drew into its lifecycle."""
    lifecycle = world.shop.assembly.by_kind["order"].lifecycle
    drawn = lifecycle.allowed(order.status) if lifecycle is not None else ()
    return [step for step in drawn if lifecycle is not None and step in lifecycle.own_triggers]


def wish(world: World, order: Order) -> Command[Any] | None:
    """What a customer, or somebody in the office, wants of an order; None where that makes no sense."""
    live = [one for one in world.watch.states("order") if one.status not in ENDED]
    drafts = [one for one in live if one.is_draft]
    if world.changes and len(live) > len(drafts) and world.random.random() < CHANGING:
        placed = [one for one in live if not one.is_draft]
        return world.choice((_amend, _change))(world, world.choice(placed))
    if drafts and world.random.random() < 0.35:
        return _about_a_draft(world, world.choice(drafts))
    if (steps := _own_steps(world, order)) and world.random.random() < 0.4:
        return AdvanceOrder(order_id=order.order_id, step=world.choice(steps))
    held = [one for one in live if one.holds]
    if held and world.random.random() < 0.25:
        return _hold(world, world.choice(held))
    return world.choice(_DRAWN)(world, order)


def _cancel(_world: World, order: Order) -> Command[Any]:
    return CancelOrder(order_id=order.order_id, reason="changed my mind")


def _cancel_units(_world: World, order: Order) -> Command[Any]:
    units = {line.line_id: 1 for line in order.lines.values() if line.count(*IN_THE_HOUSE)}
    return CancelUnits(order_id=order.order_id, units=units or {"1": 1})


def _credit(world: World, order: Order) -> Command[Any] | None:
    if order.due.minor <= 0:
        return None
    amount = Money.of_minor(world.random.randint(1, order.due.minor), order.currency)
    return GrantCredit(order_id=order.order_id, amount=amount, reason="sorry")


def _release(world: World, order: Order) -> Command[Any] | None:
    reserved = [line for line in order.lines.values() if line.count("reserved")]
    if not reserved:
        return None
    moves = (Move(world.choice(reserved).line_id, "release", 1),)
    return MoveUnits(order_id=order.order_id, moves=moves, reason="for another")


def _grab(world: World, order: Order) -> Command[Any]:
    """Units are set aside though nothing is claimed for them: refused, or somebody else's promise is broken."""
    line = world.choice(list(order.lines.values()))
    return MoveUnits(order_id=order.order_id, moves=(Move(line.line_id, "reserve", 1),), reason="in a hurry")


def _reject(_world: World, order: Order) -> Command[Any]:
    return RejectOrder(order_id=order.order_id, reason="not to be trusted")


def _close(_world: World, order: Order) -> Command[Any]:
    return CloseOrder(order_id=order.order_id)


def _confirm(_world: World, order: Order) -> Command[Any]:
    return ConfirmOrder(order_id=order.order_id)


def _refund(world: World, order: Order) -> Command[Any] | None:
    if not order.payments:
        return None
    payment_id = world.choice(list(order.payments))
    amounts = order.payments[payment_id].amounts
    minor = amounts.refund_pending or world.random.randint(1, max(amounts.captured, 1))
    return RequestRefund(
        refund_id=f"{order.order_id}:x{world.actions}",
        order_id=order.order_id,
        payment_id=payment_id,
        amount=Money.of_minor(minor, order.currency),
        reason="by hand",
    )


def _amendment(world: World, order: Order) -> Amendment:
    """A line more or less of, at another price, or another line."""
    line = world.choice(list(order.lines.values()))
    standing = line.quantity - line.count("cancelled")
    price = UnitPrice(world.choice(("2.345", "0.05", "9.99")), order.currency)
    match world.choice(("more", "less", "less", "price", "add", "charge")):
        case "more":
            return Amendment(lines=[LineChange(line_id=line.line_id, quantity=standing + 1)])
        case "less":
            return Amendment(lines=[LineChange(line_id=line.line_id, quantity=max(standing - 1, 0))])
        case "price":
            return Amendment(lines=[LineChange(line_id=line.line_id, unit_price=price)])
        case "add":
            return Amendment(add=[Line(sku=world.choice(_OFFERED), quantity=1, unit_price=price)])
        case _:
            return Amendment(charges={"gift wrap": Money.of_minor(world.choice((0, 199)), order.currency)})


def _amend(world: World, order: Order) -> Command[Any]:
    """At once; or what was amended last is taken back."""
    if world.random.random() < 0.25:
        last = order.last_amendment
        return RevertAmendment(
            order_id=order.order_id, change_id=last.change_id if last is not None else "", pay=OnAccount()
        )
    pay = OnAccount() if world.random.random() < 0.3 else None
    moved = Address(name="Ann", street=f"Short Lane {world.actions}", city="York", country="GB")
    ship_to = moved if world.random.random() < 0.2 else None
    return AmendOrder(order_id=order.order_id, amendment=_amendment(world, order), ship_to=ship_to, pay=pay)


def _change(world: World, order: Order) -> Command[Any]:
    """By a change that somebody answers, or nobody does; sometimes of another order than the one at hand."""
    open_ones = [one for one in world.watch.states("change") if one.open]
    if not open_ones or world.random.random() < 0.3:
        return DraftOrderChange(
            change_id=f"{order.order_id}.c{world.actions}",
            order_id=order.order_id,
            amendment=_amendment(world, order),
            valid_for=timedelta(hours=world.choice((1, 9))),
        )
    change_id = world.choice(open_ones).change_id
    answer = world.choice(("request", "confirm", "confirm", "confirm", "decline", "cancel", "revert"))
    match answer:
        case "request":
            return RequestOrderChange(change_id=change_id)
        case "confirm":
            return ConfirmOrderChange(change_id=change_id, pay=world.choice((None, None, OnAccount())))
        case "decline":
            return DeclineOrderChange(change_id=change_id, reason="too late")
        case "cancel":
            return CancelOrderChange(change_id=change_id, reason="not any more")
        case _:
            confirmed = [one for one in world.watch.states("change") if one.status == "confirmed"]
            return RevertOrderChange(change_id=world.choice(confirmed).change_id if confirmed else change_id)


WISHES: dict[Callable[[World, Order], Command[Any] | None], int] = {
    _cancel: 22,
    _cancel_units: 20,
    _credit: 15,
    _refund: 10,
    _confirm: 12,
    _hold: 14,
    _close: 5,
    _release: 8,
    _grab: 4,
    _reject: 2,
}
"""What may be wanted of an order, and how often."""
_DRAWN = [wanted for wanted, weight in WISHES.items() for _ in range(weight)]


# Its goods.


def next_step(world: World) -> Command[Any] | None:
    """What the warehouse does next: something comes in, something goes out, or an order gets on."""
    if world.random.random() < 0.05:
        return ReceiveStock(sku=world.choice(SKUS), quantity=world.choice((1, 3, 12)))
    ready = [one for one in world.watch.states("shipment") if _is_ready(one)]
    if ready and world.random.random() < 0.5:
        return HandOverShipment(shipment_id=world.choice(ready).shipment_id)
    order = world.some_order()
    steps = list(_next_steps(world, order)) if order is not None else []
    return world.choice(steps) if steps else None


def _next_steps(world: World, order: Order) -> Iterator[Command[Any]]:
    """The next steps of an order's goods, the forward ones most often."""
    planned = dict[str, int]()
    for shipment_id in order.shipments:
        shipment = world.watch.state("shipment", shipment_id)
        if not isinstance(shipment, Shipment) or shipment.status not in STAGES:
            continue
        for content in shipment.contents:
            if shipment.status == "planned":
                planned[content.line_id] = planned.get(content.line_id, 0) + content.quantity
        for _ in range(5):
            if _is_ready(shipment):
                yield HandOverShipment(shipment_id=shipment_id)
            elif shipment.status != "packed":
                yield PackShipment(shipment_id=shipment_id)
        if shipment.status == "planned":
            yield PickShipment(shipment_id=shipment_id)
        if shipment.status == "packed" and shipment.carrier and shipment.label is None:
            yield AskLabel(shipment_id=shipment_id)
        yield CancelShipment(shipment_id=shipment_id)
    for line in order.lines.values():
        stock = world.watch.state("stock", stock_id(line.sku, line.location))
        if isinstance(stock, Stock) and stock.held:
            yield PutAwayStock(sku=line.sku, location=line.location, quantity=stock.held)
        if order.status == "confirmed":
            yield from _once_more(order, line.line_id, planned.get(line.line_id, 0))


def _is_ready(shipment: Shipment) -> bool:
    return shipment.status == "packed" and (shipment.label is not None or not shipment.carrier)


def _once_more(order: Order, line_id: str, planned: int) -> Iterator[Command[Any]]:
    """Units without a parcel get one; lost ones are sent again or given up."""
    line = order.lines[line_id]
    if line.count("undeliverable"):
        yield MoveUnits(order_id=order.order_id, moves=(Move(line_id, "reship", 1),))
        yield MoveUnits(order_id=order.order_id, moves=(Move(line_id, "give_up", 1),))
    if line.kind == "stocked" and line.count("open"):
        claim = Claim(line_id, line.sku, line.location, line.count("open"))
        yield CommitReservation(order_id=order.order_id, claims=(claim,))
        yield MoveUnits(order_id=order.order_id, moves=(Move(line_id, "reserve", 1),))  # no claim: refused
    left = line.count("reserved") - planned
    for quantity in {1, left} if left > 0 else ():
        yield PlanShipment(
            shipment_id=f"{order.order_id}:s{len(order.shipments) + 1}",
            contents=(Content(order.order_id, line_id, quantity),),
            carrier=order.ship_by,
        )
