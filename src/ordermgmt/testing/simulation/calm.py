"""The end of a simulated world: no more faults, until nothing is left to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ...engine.effects import Intent
from ...orders.holds import ReleaseHold
from ...orders.lifecycle import IN_THE_HOUSE
from ...orders.messages import CloseOrder
from ...shipments.messages import HandOverShipment, PackShipment
from .actors import ask, reconcile, resolve
from .driving import Steps, work
from .faults import Faults

if TYPE_CHECKING:
    from .world import World

ROUNDS_MAX = 400
"""How often, in a calm world, there may be something left to do."""
SHIPS = 0.8
"""How likely a parcel goes out in the calm, if it can."""


def come_to_rest(world: World) -> None:
    """Everything is answered, everything ends, and then everything must be right."""
    world.faults = Faults.none()
    world.note(world.god, "— calm —")
    for actor in world.actors:
        actor.wakes = None
    _let_all_finish(world)
    _release_holds(world)
    _until_quiet(world)
    if world.cast:  # a story ends as it is told
        _ship_most(world)
    world.judgement.parked()
    for provider in world.providers:
        provider.heal()
    for intent in world.unended():
        if intent.status == "parked":
            world.finish(world.god, _unpark(world, intent))
    _until_quiet(world)
    for provider in world.providers:
        world.finish(world.god, reconcile(world.god, provider, world.began))
    _until_quiet(world)
    for intent in world.unended():
        world.breach("E10", f"{intent.effect_id} is still {intent.status}: {intent.reason}")
    world.judgement.everything()


def _let_all_finish(world: World) -> None:
    while busy := [actor for actor in world.actors if actor.doing is not None]:
        free = [actor for actor in busy if not (world.turns.taken and actor.at == "begin")]
        world.step_of(world.choice(free))


def _release_holds(world: World) -> None:
    """Whoever had doubts has none any more: what waits for a person would wait for ever."""
    for order in world.watch.states("order"):
        for reason in order.holds:
            world.finish(world.god, ask(world.god, ReleaseHold(order_id=order.order_id, reason=reason)))


def _ship_most(world: World) -> None:
    """What is ready to go goes out, so that most orders come to their end and not only into the calm."""
    for shipment in world.watch.states("shipment"):
        if shipment.status in ("planned", "picked") and world.random.random() < SHIPS:
            world.finish(world.god, ask(world.god, PackShipment(shipment_id=shipment.shipment_id)))
    _until_quiet(world)
    for shipment in world.watch.states("shipment"):
        labelled = shipment.label is not None or not shipment.carrier
        if shipment.status == "packed" and labelled and world.random.random() < SHIPS:
            world.finish(world.god, ask(world.god, HandOverShipment(shipment_id=shipment.shipment_id)))
    _until_quiet(world)
    for order in world.watch.states("order"):
        if order.status == "confirmed" and order.count("delivered") and not order.count(*IN_THE_HOUSE, "shipped"):
            world.finish(world.god, ask(world.god, CloseOrder(order_id=order.order_id)))


def _until_quiet(world: World) -> None:
    """Time passes, workers work, webhooks arrive and parcels too, until nothing is left to do."""
    god = world.god
    for _ in range(ROUNDS_MAX):
        while world.webhooks:
            port, notice = world.webhooks.pop(0)
            world.finish(god, work(world, god, "god", world.operator.receive(port, [notice])))
        for parcels in world.carriers:
            for number in sorted(parcels.tracked):
                parcels.arrive_at_last(number)
        world.finish(god, work(world, god, "god", world.worker.due_work()))
        due = world.next_due()
        if due is None and not world.webhooks and not world.agenda:
            return
        world.pass_time(max((due or world.now) - world.now, timedelta(minutes=20)))
    waiting = [f"{one.effect_id} is {one.status}: {one.reason}" for one in world.unended()]
    world.breach("E10", f"after {ROUNDS_MAX} rounds in a calm world there is still work: {waiting[:5]}")


def _unpark(world: World, intent: Intent) -> Steps:
    provider = world.provider(intent.port)
    if provider.capabilities.can_look_up:
        return work(world, world.god, "god", world.operator.retry(intent.effect_id, "healed"))
    return resolve(world.god, intent)
