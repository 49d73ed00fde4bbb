"""A bakery: what is ordered is baked first, and a batch in the oven is a thing that lives.

Shown here: a capability of the host's own (words, state, lifecycle, rules, reactions) beside the built-in ones.  When
an order is confirmed, a batch is planned; when the batch is baked, the parcel is packed by itself; when the order is
cancelled, so is its batch.  All of that happens in the commit of the command that caused it.

Run it: ``python examples/bakery.py``.
"""

from collections.abc import Iterable
from typing import ClassVar

import attrs
from attrs import frozen
from pendulum import DateTime
from statemachine import State, StateMachine

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    CancelOrder,
    Capability,
    Command,
    Event,
    Later,
    Lifecycle,
    Line,
    ManualClock,
    Money,
    NotAllowed,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    PackShipment,
    PlaceOrder,
    ReceiveStock,
    Rule,
    Seen,
    Shipment,
    on,
    story,
)
from ordermgmt.orders.messages import OrderCancelled, OrderConfirmed
from ordermgmt.storage import MemoryStorage

# The drawing.


class BatchChart(StateMachine):
    """What becomes of one order's batch."""

    planned = State(initial=True)
    in_the_oven = State()
    baked = State(final=True)
    dropped = State(final=True)

    bake = planned.to(in_the_oven)
    take_out = in_the_oven.to(baked)
    drop = dropped.from_(planned, in_the_oven)


# The state and the words.


@frozen(kw_only=True)
class Batch:
    """The loaves of one order."""

    order_id: str
    loaves: int
    status: str
    until: DateTime | None = None
    """When it is done; None before it is in the oven."""


@frozen(kw_only=True)
class BatchCommand(Command[Batch]):
    """What is asked of one batch."""

    order_id: str


@frozen(kw_only=True)
class PlanBatch(BatchCommand):
    """Bake these loaves for an order."""

    loaves: int


@frozen(kw_only=True)
class StartBaking(BatchCommand):
    """Put it into the oven, for 40 minutes."""


@frozen(kw_only=True)
class TakeOut(BatchCommand):
    """It is done."""


@frozen(kw_only=True)
class DropBatch(BatchCommand):
    """It is not wanted any more."""


@frozen(kw_only=True)
class BatchPlanned(Event):
    """Loaves are to be baked for an order."""

    order_id: str
    loaves: int


@frozen(kw_only=True)
class BakingStarted(Event):
    """It is in the oven."""

    trigger: ClassVar[str | None] = "bake"
    until: DateTime


@frozen(kw_only=True)
class BatchBaked(Event):
    """It can be packed."""

    trigger: ClassVar[str | None] = "take_out"


@frozen(kw_only=True)
class BatchDropped(Event):
    """Nobody will eat it."""

    trigger: ClassVar[str | None] = "drop"


# The rules: refusals first, then the facts.


def plan(command: PlanBatch, batch: Batch | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    yield BatchPlanned(order_id=command.order_id, loaves=command.loaves)


def bake(command: StartBaking, batch: Batch | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if batch is None:
        raise NotFound("batch", command.order_id)
    yield BakingStarted(until=at.add(minutes=40))


def take_out(command: TakeOut, batch: Batch | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if batch is None:
        raise NotFound("batch", command.order_id)
    yield BatchBaked()


def drop(command: DropBatch, batch: Batch | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if batch is not None and seen.draws("drop"):
        yield BatchDropped()


def planned(batch: Batch | None, event: BatchPlanned) -> Batch:
    return Batch(order_id=event.order_id, loaves=event.loaves, status=event.status or "planned")


def started(batch: Batch, event: BakingStarted) -> Batch:
    return attrs.evolve(batch, status=event.status or batch.status, until=event.until)


def ended(batch: Batch, event: Event) -> Batch:
    return attrs.evolve(batch, status=event.status or batch.status)


# What follows what.


def bake_what_is_confirmed(event: OrderConfirmed, order: Order) -> Iterable[PlanBatch]:
    yield PlanBatch(order_id=order.order_id, loaves=order.count("reserved"))


def take_it_out_in_time(event: BakingStarted, batch: Batch) -> Iterable[Later]:
    yield Later(TakeOut(order_id=batch.order_id), event.until, oven_clock(batch), group=batch.order_id)


def no_need_to_take_it_out(event: BatchDropped, batch: Batch) -> Iterable[Later]:
    if batch.until is not None:
        yield Later(None, batch.until, oven_clock(batch), group=batch.order_id)


def oven_clock(batch: Batch) -> str:
    """A later command has a name, so that it can be replaced and taken back."""
    return f"oven.{batch.order_id}"


def pack_it(event: BatchBaked, batch: Batch) -> Iterable[PackShipment]:
    yield PackShipment(shipment_id=f"{batch.order_id}:s1")


def drop_it(event: OrderCancelled, order: Order) -> Iterable[DropBatch]:
    yield DropBatch(order_id=order.order_id)


batches = Capability(
    kind="batch",
    state=Batch,
    lifecycle=Lifecycle.of(BatchChart),
    rules={
        PlanBatch: Rule(plan, lambda command: command.order_id),
        StartBaking: Rule(bake, lambda command: command.order_id),
        TakeOut: Rule(take_out, lambda command: command.order_id),
        DropBatch: Rule(drop, lambda command: command.order_id),
    },
    evolve={BatchPlanned: planned, BakingStarted: started, BatchBaked: ended, BatchDropped: ended},
    reactions=story(
        on(OrderConfirmed, bake_what_is_confirmed),
        on(BakingStarted, take_it_out_in_time),
        on(BatchBaked, pack_it),
        on(OrderCancelled, drop_it),
        on(BatchDropped, no_need_to_take_it_out),
    ),
    indexes={"status": lambda batch: batch.status},
)


def main() -> None:
    clock = ManualClock()
    shop = OrderManagement(
        storage=MemoryStorage(), actor="counter", clock=clock, capabilities=[batches, *DEFAULT_CAPABILITIES]
    )
    shop.handle(ReceiveStock(sku="dough", quantity=100))

    for order_id in ("B-1", "B-2"):
        loaves = Line(sku="dough", quantity=12, unit_price=Money("3.20", "EUR"))
        shop.handle(PlaceOrder(order_id=order_id, lines=[loaves], pay=OnAccount(days=14)))
        assert shop.get(Order, order_id).status == "confirmed"
        assert shop.get(Batch, order_id).status == "planned"

    # Nothing is taken out before it was put in.
    try:
        shop.handle(TakeOut(order_id="B-1"))
    except NotAllowed as no:
        print("refused:", no)

    shop.handle(StartBaking(order_id="B-1"))
    clock.advance(minutes=39)
    assert shop.run_due().laters == 0
    clock.advance(minutes=1)
    print("due work:", shop.run_due())
    assert shop.get(Batch, "B-1").status == "baked"
    assert shop.get(Shipment, "B-1:s1").status == "packed"  # in the same commit

    # What is cancelled while it bakes is dropped, and the oven's clock is stopped.
    shop.handle(StartBaking(order_id="B-2"))
    shop.handle(CancelOrder(order_id="B-2", reason="closed on Monday"))
    assert shop.get(Batch, "B-2").status == "dropped"
    clock.advance(hours=1)
    assert shop.run_due().laters == 0

    for order_id in ("B-1", "B-2"):
        path = ", ".join(told.event.status for told in shop.history(Batch, order_id) if told.event.status)
        print(f"{order_id}: {path}; order {shop.get(Order, order_id).status}")


if __name__ == "__main__":
    main()
