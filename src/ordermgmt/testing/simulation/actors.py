"""Who does something in a simulated shop: customers, the warehouse, workers, webhooks, an operator, and the world.

Each deed is a generator over the boundaries it comes to.  An actor looks first, then asks; by the time it is
decided, somebody else may have been faster, and that is the point.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import define, field
from pendulum import DateTime

from ...engine.effects import Declined, Intent, Succeeded
from ...engine.messages import Command
from ...errors import CommandIdReused, Refused, StorageFailed
from ...money import Money, UnitPrice
from ...orders.drafts import DraftOrder, EditDraft, PlaceDraft, QuoteOrder, WithdrawQuote
from ...orders.holds import AddNote, HoldOrder, ReleaseHold
from ...orders.messages import (
    CancelOrder,
    CancelUnits,
    CloseOrder,
    ConfirmOrder,
    GrantCredit,
    Line,
    Move,
    MoveUnits,
    OnAccount,
    PaidElsewhere,
    PayNow,
    PlaceOrder,
    RejectOrder,
    Tender,
)
from ...orders.model import IN_THE_HOUSE, Address, Order
from ...payments.model import Payment
from ...refunds.messages import RequestRefund
from ...shipments.messages import (
    AskLabel,
    CancelShipment,
    HandOverShipment,
    PackShipment,
    PickShipment,
    PlanShipment,
)
from ...shipments.model import STAGES, Content, Shipment
from ...stock.messages import CommitReservation, PutAwayStock, ReceiveStock, stock_id
from ...stock.model import Claim, Stock
from .driving import Steps, handle, job, work

if TYPE_CHECKING:
    from .world import World

SKUS = ("cup", "hat", "pen")


@define(eq=False)
class Actor:
    """Somebody who does one thing at a time, by a clock of his own."""

    name: str
    world: World = field(repr=False)
    deeds: Callable[[Actor], Steps | None] = field(repr=False)
    skew: timedelta = timedelta(0)
    """How far his clock is off."""
    doing: Steps | None = None
    at: str = ""
    """The boundary he stands at."""
    what: str = ""
    calls: str = ""
    """The effect of which he spoke last with an adapter."""
    answer: Any = None
    """What he was answered."""
    wakes: DateTime | None = None
    """Until when he stands still."""
    overdue: int = 0
    """The step at which the clock is put forward past his lease, so that others take over while he sleeps."""
    patience: int = 0
    """The step at which the world's clock is put forward to then, so that he does not sleep for ever."""

    def now(self) -> DateTime:
        """What his clock shows."""
        return self.world.now + self.skew


# Asking the shop.


@define
class Promise:
    """A command with an id, of which somebody once heard, or did not hear, what became."""

    command: Command[Any]
    heard: str = ""
    """``"done"``, or the refusal's words; empty while nobody knows."""


def ask(actor: Actor, command: Command[Any], command_id: str | None = None) -> Generator[str, None, bool]:
    """Handle a command; with an id, ask again as long as nobody knows what became of it."""
    world = actor.world
    actor.what = f"asks {_short(command)}"
    if command_id is not None:
        world.promises.setdefault(command_id, Promise(command))
    for _ in range(3):
        try:
            results = yield from handle(world, actor, [job(world.shop, command, actor.name, command_id)])
        except StorageFailed as problem:
            world.note(actor, f"{type(problem).__name__}: {problem}")
            if command_id is None:
                return False
            continue
        error = results[0].error
        told = "done" if error is None else f"{type(error).__name__}: {error}"
        world.note(actor, told)
        if isinstance(error, CommandIdReused):
            world.breach("J7", f"command id {command_id} counts as used for another command")
        if command_id is not None:
            _keep_promise(world, command_id, told, refused=isinstance(error, Refused))
        return error is None
    return False


def _keep_promise(world: World, command_id: str, told: str, *, refused: bool) -> None:
    """J7: the same command id is decided once, and answered alike for ever."""
    promise = world.promises[command_id]
    if promise.heard and promise.heard != told:
        world.breach("J7", f"command id {command_id} was answered {promise.heard!r}, and now {told!r}")
    promise.heard = told
    command = promise.command
    if isinstance(command, PlaceOrder) and refused:
        world.watch.look()
        if world.watch.state("order", str(command.order_id)) is not None:
            world.breach("J7", f"order {command.order_id} was refused, but is there: {told}")


def _short(command: Command[Any]) -> str:
    named = (getattr(command, name, "") for name in ("order_id", "shipment_id", "sku", "effect_id"))
    return f"{type(command).__name__} {' '.join(str(one) for one in named if one)}".strip()


# Customers.


def customer(actor: Actor) -> Steps:
    world = actor.world
    chance = world.random.random()
    if chance < 0.12 and world.promises:
        return _again(actor)
    if chance < 0.55 and len(world.orders) < world.orders_max:
        return _place(actor)
    return _change_of_mind(actor)


def _again(actor: Actor) -> Steps:
    """A client that heard nothing, or forgot that it did, sends the same command under the same id."""
    command_id = actor.world.choice(list(actor.world.promises)[-12:])
    yield from ask(actor, actor.world.promises[command_id].command, command_id)


def _place(actor: Actor) -> Steps:
    world = actor.world
    order_id = f"O{len(world.orders) + 1}"
    world.orders.append(order_id)
    lines = [
        Line(
            sku=world.choice(SKUS),
            quantity=world.choice((1, 2, 3)),
            unit_price=UnitPrice(world.choice(("3.333333", "10.00", "0.05", "0")), "EUR"),
        )
        for _ in range(world.choice((1, 2, 2)))
    ]
    shipping = Money.of_minor(world.choice((0, 490)), "EUR")
    total = sum(line.unit_price.times(line.quantity).minor for line in lines) + shipping.minor
    carrier = world.choice(("", "parcel", "parcel", "courier"))
    if world.random.random() < 0.12:
        draft = DraftOrder(
            order_id=order_id, lines=lines, shipping=shipping, carrier=carrier, channel="web", external=_external(world)
        )
        yield from ask(actor, draft, f"draft-{order_id}")
        return
    placed = PlaceOrder(
        order_id=order_id,
        lines=lines,
        shipping=shipping,
        pay=_pay(world, total),
        carrier=carrier,
        channel="web",
        external=_external(world),
        confirm=world.choice(("when_authorised",) * 4 + ("at_once", "by_hand")),
        pay_within=world.choice((None, None, timedelta(hours=3))),
        ship_to=Address(name="Ann", street="Long Lane 1", city="York", country="GB"),
    )
    yield from ask(actor, placed, f"place-{order_id}" if world.random.random() < 0.8 else None)


def _external(world: World) -> str:
    """A marketplace's id of the order; two orders may bring the same by mistake."""
    return f"web-{world.random.randrange(60)}" if world.random.random() < 0.3 else ""


def _about_a_draft(world: World, order: Order) -> Command[Any]:
    """It is placed most often; else edited, quoted, or given up."""
    chance = world.random.random()
    id = order.order_id
    if chance < 0.5:
        return PlaceDraft(order_id=id, pay=_pay(world, order.total.minor), confirm=world.choice(("by_hand", "at_once")))
    if chance < 0.65:
        return QuoteOrder(order_id=id, valid_for=timedelta(hours=world.choice((1, 6))))
    if chance < 0.75:
        return WithdrawQuote(order_id=id, reason="wrong price")
    if chance < 0.95:
        line = Line(sku=world.choice(SKUS), quantity=world.choice((1, 2)), unit_price=UnitPrice("4.005", "EUR"))
        return EditDraft(order_id=id, lines=[line], carrier=order.ship_by, channel="web", external=order.external)
    return CancelOrder(order_id=id, reason="too dear")


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


def _change_of_mind(actor: Actor) -> Steps:
    world = actor.world
    yield "look"
    order = world.some_order()
    if order is None:
        return
    chance = world.random.random()
    id = order.order_id
    wish: Command[Any]
    if order.is_draft and chance < 0.8:
        wish = _about_a_draft(world, order)
    elif chance < 0.3:
        wish = CancelOrder(order_id=id, reason="changed my mind")
    elif chance < 0.55:
        units = {line.line_id: 1 for line in order.lines.values() if line.count(*IN_THE_HOUSE)}
        wish = CancelUnits(order_id=id, units=units or {"1": 1})
    elif chance < 0.7 and order.due.minor > 0:
        amount = Money.of_minor(world.random.randint(1, order.due.minor), order.currency)
        wish = GrantCredit(order_id=id, amount=amount, reason="sorry")
    elif chance < 0.73 and (reserved := [line for line in order.lines.values() if line.count("reserved")]):
        wish = MoveUnits(order_id=id, moves=(Move(world.choice(reserved).line_id, "release", 1),), reason="for another")
    elif chance < 0.75:
        wish = RejectOrder(order_id=id, reason="not to be trusted")
    elif chance < 0.8:
        wish = CloseOrder(order_id=id)
    elif chance < 0.87 and order.payments:
        payment_id = world.choice(list(order.payments))
        amounts = order.payments[payment_id].amounts
        minor = amounts.refund_pending or world.random.randint(1, max(amounts.captured, 1))
        amount = Money.of_minor(minor, order.currency)
        wish = RequestRefund(
            refund_id=f"{id}:x{world.actions}", order_id=id, payment_id=payment_id, amount=amount, reason="by hand"
        )
    elif chance < 0.92 or order.holds:
        wish = _hold(world, order)
    else:
        wish = ConfirmOrder(order_id=id)
    world.actions += 1
    yield from ask(actor, wish, f"wish-{world.actions}" if world.random.random() < 0.4 else None)


def _hold(world: World, order: Order) -> Command[Any]:
    """Somebody has doubts about the order, notes them, or lets it go on: what waits is released most often."""
    if order.holds and world.random.random() < 0.7:
        return ReleaseHold(order_id=order.order_id, reason=world.choice(list(order.holds)))
    if world.random.random() < 0.2:
        return AddNote(order_id=order.order_id, text="looked at it")
    return HoldOrder(order_id=order.order_id, reason=world.choice(("address", "credit limit")))


# The warehouse.


def warehouse(actor: Actor) -> Steps:
    world = actor.world
    yield "look"
    if world.random.random() < 0.05:
        yield from ask(actor, ReceiveStock(sku=world.choice(SKUS), quantity=world.choice((1, 3, 12))))
        return
    ready = [one for one in world.watch.states("shipment") if _is_ready(one)]
    if ready and world.random.random() < 0.5:
        yield from ask(actor, HandOverShipment(shipment_id=world.choice(ready).shipment_id))
        return
    order = world.some_order()
    if order is None:
        return
    wishes = list(_work_on(world, order))
    if wishes:
        yield from ask(actor, world.choice(wishes))


def _work_on(world: World, order: Order) -> Iterator[Command[Any]]:
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


# Workers.


def worker(actor: Actor) -> Steps:
    world = actor.world
    due = world.worker
    chance = world.random.random()
    if chance < 0.25 and world.orders:
        order_id = world.choice(world.orders[-6:])
        actor.what = f"settles {order_id}"
        return _work(actor, due.due_work(order_id))
    if chance < 0.4:
        waiting = [one for one in world.watch.states("effect") if isinstance(one, Intent) and not one.ended]
        if waiting:
            effect_id = world.choice(waiting[-12:]).effect_id
            actor.what = f"runs {effect_id}"
            return _work(actor, due.run_one(effect_id))
    actor.what = "does due work"
    return _work(actor, due.due_work())


def _work(actor: Actor, steps: Generator[Any, Any, Any]) -> Steps:
    try:
        report = yield from work(actor.world, actor, actor.name, steps)
    except StorageFailed as problem:
        actor.world.note(actor, f"{type(problem).__name__}: {problem}")
        return None
    return report


# Webhooks.


def deliverer(actor: Actor) -> Steps | None:
    """A webhook arrives, in any order, and perhaps not for the last time."""
    return _deliver(actor) if actor.world.webhooks else None


def _deliver(actor: Actor) -> Steps:
    world = actor.world
    place = world.random.randrange(len(world.webhooks))
    port, notice = world.webhooks[place]
    actor.what = f"brings {notice.event_id} of {port[1]}"
    steps = world.operator.receive(port, [notice])
    try:
        yield from work(world, actor, actor.name, steps)
    except StorageFailed:
        return  # not acknowledged, so it comes again
    if place:
        world.count("webhook reordered")
    if world.happens("webhook duplicate", world.faults.webhook_duplicate):
        if world.random.random() < 0.5:
            world.publish_again(port, notice)
    elif (port, notice) in world.webhooks:
        world.webhooks.remove((port, notice))


# The operator.


def operator(actor: Actor) -> Steps | None:
    world = actor.world
    if world.random.random() < 0.04:
        return _reconcile(actor)
    parked = [one for one in world.watch.states("effect") if isinstance(one, Intent) and one.status == "parked"]
    return _unstick(actor, world.choice(parked)) if parked else None


def _reconcile(actor: Actor) -> Steps:
    world = actor.world
    provider = world.choice(world.providers)
    actor.what = f"compares books with {provider.name}"
    steps = world.operator.reconcile(provider.port, world.now - timedelta(hours=2), None)
    found = yield from _attempted(actor, steps)
    if found is not None:
        for effect_id in found.missing:
            world.breach("M9", f"{provider.name} does not list {effect_id}, which we hold as done")
        for stranger in found.strangers:
            world.note(actor, f"a stranger: {stranger}")


def _attempted(actor: Actor, steps: Generator[Any, Any, Any]) -> Steps:
    """An operation, which a lost answer may break off."""
    try:
        return (yield from work(actor.world, actor, actor.name, steps))
    except (StorageFailed, Refused) as problem:
        actor.world.note(actor, f"{type(problem).__name__}: {problem}")
        return None


def _unstick(actor: Actor, intent: Intent) -> Steps:
    world = actor.world
    if world.random.random() < 0.5:
        actor.what = f"retries {intent.effect_id}"
        yield from _attempted(actor, world.operator.retry(intent.effect_id, "once more"))
    elif world.known_dead(intent):
        yield from resolve(actor, intent)


def resolve(actor: Actor, intent: Intent) -> Steps:
    """Say what became of a parked effect, as the provider's books have it."""
    deed = actor.world.provider(intent.port).deeds.get(intent.effect_id)
    actor.what = f"resolves {intent.effect_id} as {'done' if deed else 'never done'}"
    outcome = deed.outcome if deed is not None else Declined("never_executed", "the provider's books do not have it")
    assert isinstance(outcome, Succeeded | Declined)
    yield from _attempted(actor, actor.world.operator.resolve(intent.effect_id, outcome, "the provider's books"))


# The world.


def nature(actor: Actor) -> Steps | None:
    """Parcels travel, authorisations run out, and banks take money back; then somebody looks what is to be done."""
    world = actor.world
    if world.random.random() < 0.5:
        world.choice(world.carriers).move()
    elif world.random.random() < world.faults.provider_acts:
        payments = [one for one in world.watch.states("payment") if isinstance(one, Payment) and one.gateway]
        payments = [one for one in payments if one.amounts.open > 0 or one.amounts.paid > 0]
        if payments:
            payment = world.choice(payments)
            world.gateway(payment.gateway).act(payment)
    return None


CAST: dict[str, tuple[Callable[[Actor], Steps | None], int]] = {
    "customer": (customer, 3),
    "warehouse": (warehouse, 4),
    "worker": (worker, 3),
    "deliverer": (deliverer, 1),
    "operator": (operator, 1),
    "nature": (nature, 1),
}
"""Who there is, what they do, and how many of them."""
