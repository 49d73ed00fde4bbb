"""Who does something in a simulated shop: customers, the warehouse, workers, webhooks, an operator, and the world.

Each deed is a generator over the boundaries it comes to.  An actor looks first, then asks; by the time it is
decided, somebody else may have been faster, and that is the point.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import define, field
from pendulum import DateTime

from ...engine.effects import Declined, Intent, Succeeded
from ...engine.messages import Command
from ...errors import CommandIdReused, Refused, StorageFailed
from ...orders.entry import PlaceOrder
from ...payments.model import Payment
from .driving import Steps, handle, job, work
from .wishes import new_order, next_step, wish

if TYPE_CHECKING:
    from .providers import Provider
    from .world import World


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
    slept_on: Any = None
    """The answer that he has slept on already."""
    gone: int = 0
    """Boundaries passed with what he is doing."""
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


def customer(actor: Actor) -> Steps | None:
    world = actor.world
    chance = world.random.random()
    if chance < 0.12 and world.promises:
        return _again(actor)
    if chance < 0.4 and len(world.orders) < world.orders_max:
        return _place(actor)
    return _wish(actor)


def _again(actor: Actor) -> Steps:
    """A client that heard nothing, or forgot that it did, sends the same command under the same id."""
    command_id = actor.world.choice(list(actor.world.promises)[-12:])
    yield from ask(actor, actor.world.promises[command_id].command, command_id)


def _place(actor: Actor) -> Steps:
    world = actor.world
    order_id = f"O{len(world.orders) + 1}"
    world.orders.append(order_id)
    named = world.random.random() < 0.8
    yield from ask(actor, new_order(world, order_id), f"place-{order_id}" if named else None)


def _wish(actor: Actor) -> Steps | None:
    world = actor.world
    order = world.some_order()
    wanted = wish(world, order) if order is not None else None
    if wanted is None:
        return None
    world.actions += 1
    return _look_and_ask(actor, wanted, f"wish-{world.actions}" if world.random.random() < 0.4 else None)


def _look_and_ask(actor: Actor, wanted: Command[Any], command_id: str | None = None) -> Steps:
    """Between the look and the question somebody else may be faster."""
    yield "look"
    yield from ask(actor, wanted, command_id)


# The warehouse.


def warehouse(actor: Actor) -> Steps | None:
    step = next_step(actor.world)
    return _look_and_ask(actor, step) if step is not None else None


# Workers.


def worker(actor: Actor) -> Steps:
    world = actor.world
    world.hurry()
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
        return reconcile(actor, world.choice(world.providers), world.now - timedelta(hours=2))
    parked = [one for one in world.watch.states("effect") if isinstance(one, Intent) and one.status == "parked"]
    return _unstick(actor, world.choice(parked)) if parked else None


def reconcile(actor: Actor, provider: Provider, since: DateTime) -> Steps:
    """Compare the books: neither side may have a deed that the other has not."""
    world = actor.world
    actor.what = f"compares books with {provider.name}"
    found = yield from _attempted(actor, world.operator.reconcile(provider.port, since, None))
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
    "warehouse": (warehouse, 3),
    "worker": (worker, 4),
    "deliverer": (deliverer, 1),
    "operator": (operator, 1),
    "nature": (nature, 1),
}
"""Who there is, what they do, and how many of them."""
