"""The same shop under asyncio: one story told with awaits, and a task that may be cancelled at every one of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import types
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ordermgmt import (
    Address,
    AsyncOrderManagement,
    CancelOrder,
    Command,
    Discrepancy,
    GrantCredit,
    HandOverShipment,
    InvalidInput,
    ManualClock,
    Misconfigured,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    OrderManagementError,
    OutOfStock,
    PackShipment,
    Payment,
    PlaceOrder,
    ReceiveStock,
    RecordDelivery,
    Refund,
    Shipment,
    Stock,
)
from ordermgmt.engine.transaction import Entry, Found, Key, Query, Row, Transaction, Write
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import ANN, card_pays, eur, laws_hold, line, snapshot

Answer = TypeVar("Answer")


class YieldingTransaction:
    """A transaction that lets everybody else run before and after each call."""

    def __init__(self, inner: Transaction) -> None:
        self._inner = inner

    async def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        await asyncio.sleep(0)
        rows = self._inner.load(keys, skip_locked=skip_locked)
        await asyncio.sleep(0)
        return rows

    async def commit(self, writes: Sequence[Write]) -> None:
        await asyncio.sleep(0)
        self._inner.commit(writes)
        await asyncio.sleep(0)


class YieldingStorage:
    """An awaited store: the memory, with a pause for the event loop at every call."""

    volatile = True
    exclusive = True
    awaits = True

    def __init__(self) -> None:
        self.inner = MemoryStorage()
        self.turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[YieldingTransaction, None]:
        async with self.turn:
            with self.inner.transaction() as inner:
                await asyncio.sleep(0)
                yield YieldingTransaction(inner)

    async def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        await asyncio.sleep(0)
        return self.inner.read(keys)

    async def find(self, query: Query) -> Sequence[Found]:
        await asyncio.sleep(0)
        return self.inner.find(query)

    async def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        await asyncio.sleep(0)
        return self.inner.history(key, after=after, limit=limit)

    async def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        await asyncio.sleep(0)
        return self.inner.feed(after=after, limit=limit)

    async def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        await asyncio.sleep(0)
        return self.inner.personal(refs)

    async def erase(self, subject: str) -> int:
        await asyncio.sleep(0)
        return self.inner.erase(subject)

    async def statuses(self, kind: str) -> Mapping[str, int]:
        await asyncio.sleep(0)
        return self.inner.statuses(kind)

    async def close(self) -> None:
        self.inner.close()


class AsyncPayments:
    """The provider as an async host would ask it."""

    def __init__(self, inner: FakePayments) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities

    async def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        await asyncio.sleep(0)
        answer = self._inner.execute(request, key=key, deadline=deadline)
        await asyncio.sleep(0)
        return answer

    async def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        await asyncio.sleep(0)
        return self._inner.lookup(request, key=key, deadline=deadline)

    def list(self, *args: Any) -> Any:
        return self._inner.list(*args)


class World:
    """An awaited shop on some store, and a blocking one on the same rows, to look at it."""

    def __init__(self, storage: Any = None) -> None:
        self.clock = ManualClock()
        self.card = FakePayments(clock=self.clock)
        self.parcels = FakeCarrier(clock=self.clock)
        self.storage = storage or YieldingStorage()
        carriers = {"parcel": self.parcels}
        self.shop = AsyncOrderManagement(
            storage=self.storage, gateways={"card": AsyncPayments(self.card)}, carriers=carriers, clock=self.clock
        )
        plain: Any = getattr(self.storage, "inner", self.storage)
        self.seen = OrderManagement(storage=plain, gateways={"card": self.card}, carriers=carriers, clock=self.clock)

    def check(self) -> None:
        """Nothing is locked, nothing is half done, and nobody was asked twice."""
        inner = getattr(self.storage, "inner", None)
        if inner is not None:
            assert not self.storage.turn.locked()
            assert not inner._turn.locked()
        laws_hold(self.seen)
        assert self.card.asked_twice == []
        assert self.card.refusals == []


@pytest.fixture(params=["awaited", "memory", "sqlite"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], World]:
    stores: dict[str, Callable[[], Any]] = {
        "awaited": YieldingStorage,
        "memory": MemoryStorage,
        "sqlite": lambda: SqliteStorage(tmp_path / "shop.db"),
    }
    return lambda: World(stores[request.param]())


# One story.


async def quickstart(world: World) -> None:
    shop = world.shop
    await shop.handle(ReceiveStock(sku="mug", location="main", quantity=10))
    wanted = PlaceOrder(
        order_id="A-1",
        lines=[line("mug", 2, "9.50")],
        pay=card_pays(),
        carrier="parcel",
        shipping=eur("4.90"),
        ship_to=ANN,
    )
    await shop.handle(wanted, command_id="checkout-1")
    assert await shop.handle(wanted, command_id="checkout-1") == await shop.get(Order, "A-1")
    order = await shop.settle("A-1")
    assert (order.status, order.payment_status) == ("confirmed", "authorised")
    assert (await shop.get(Stock, ("mug", "main"))).available == 8

    with pytest.raises(OutOfStock):
        await shop.handle(PlaceOrder(order_id="A-2", lines=[line("mug", 9)], pay=OnAccount()))
    preview = await shop.preview(CancelOrder(order_id="A-1"))
    assert preview.entity.status == "cancelled"

    await shop.handle(PackShipment(shipment_id="A-1:s1"))
    await shop.settle("A-1")
    shipment = await shop.handle(HandOverShipment(shipment_id="A-1:s1"))
    assert shipment.label is not None
    assert (await shop.settle("A-1")).paid == eur("23.90")
    world.parcels.deliver(shipment.label.tracking_number)
    world.clock.advance(hours=6)
    report = await shop.run_due()
    assert report.succeeded == 1

    await shop.handle(GrantCredit(order_id="A-1", amount=eur("5.00")))
    order = await shop.settle("A-1")
    assert (order.complete, order.payment_status) == (True, "partly_refunded")
    assert [refund.status for refund in await shop.find(Refund)] == ["succeeded"]
    assert await shop.reveal(order.ship_to, Address) == ANN
    assert await shop.erase("order:A-1") == 1
    assert await shop.reveal(order.ship_to, Address) is None
    assert (await shop.history(Order, "A-1"))[0].cause == "PlaceOrder"
    assert len(await shop.feed()) == len(world.seen.feed())
    first, second = await shop.handle_many([ReceiveStock(sku="pen", quantity=1), CancelOrder(order_id="nobody")])
    assert (first.on_hand, type(second)) == (1, NotFound)


def test_the_quickstart_is_the_same_story_with_awaits(make_world: Callable[[], World]):
    async def told() -> World:
        world = make_world()
        await quickstart(world)
        return world

    asyncio.run(told()).check()


def test_an_awaited_shop_is_closed_behind_its_block():
    async def told() -> None:
        async with World().shop as shop:
            await shop.handle(ReceiveStock(sku="mug", quantity=1))
        with pytest.raises(OrderManagementError):
            await shop.get(Stock, ("mug", "main"))

    asyncio.run(told())


@pytest.mark.parametrize(
    "ask",
    [
        lambda shop: shop.handle("nonsense"),
        lambda shop: shop.handle_many(None),
        lambda shop: shop.get(str, "A"),
        lambda shop: shop.find(Order, colour="red"),
        lambda shop: shop.feed(-1),
        lambda shop: shop.history(Order, None),
        lambda shop: shop.reveal("nonsense", Address),
        lambda shop: shop.erase(""),
        lambda shop: shop.settle(None),
        lambda shop: shop.preview(7),
    ],
)
def test_nonsense_is_refused_under_asyncio_as_well(ask: Callable[[AsyncOrderManagement], Any]):
    async def told() -> None:
        with pytest.raises(InvalidInput):
            await ask(World().shop)

    asyncio.run(told())


# What belongs to which shop.


def test_an_awaited_store_needs_the_awaiting_shop():
    async def told() -> None:
        with pytest.raises(Misconfigured, match="AsyncOrderManagement"):
            OrderManagement(storage=YieldingStorage())  # type: ignore[arg-type]  # that is what is refused

    asyncio.run(told())


def test_an_async_adapter_needs_the_awaiting_shop():
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": AsyncPayments(FakePayments())})
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 1)], pay=card_pays()))

    with pytest.raises(OrderManagementError, match="AsyncOrderManagement"):
        shop.settle("A")


# Cancelled at every await.


@types.coroutine
def cancelled_at(story: Coroutine[Any, Any, Answer], n: int) -> Generator[Any, Any, Answer]:
    """The story; its task is cancelled while it waits for the n-th time."""
    steps = story.__await__()
    step: Callable[[], Any] = partial(next, steps)
    for waited in itertools.count(1):
        try:
            waiting = step()
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        if waited == n:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waiting
        except BaseException as problem:  # noqa: BLE001 - handed on to whom it was meant for
            step = partial(steps.throw, problem)
        else:
            step = partial(next, steps)
    raise AssertionError("unreachable")


def cancelled_everywhere(
    make: Callable[[], World], before: Callable[[World], Any], story: Callable[[World], Any], after: Any
) -> int:
    """Tell the story again and again, cancelled at another await each time, until it comes to its end."""

    async def once(n: int) -> bool:
        world = make()
        before(world)
        try:
            await asyncio.create_task(_as_coroutine(cancelled_at(story(world), n)))
        except asyncio.CancelledError:
            survived = False
        else:
            survived = True
        # Threads that were started go on; whoever looks meanwhile waits for them like everybody else.
        await world.shop.handle(ReceiveStock(sku="afterwards", quantity=1))
        world.check()
        after(world)
        await _finished(world)
        world.check()
        return survived

    for n in itertools.count(1):
        if asyncio.run(once(n)):
            return n - 1
    raise AssertionError("unreachable")


async def _as_coroutine(awaitable: Any) -> Any:
    return await awaitable


async def _finished(world: World) -> None:
    """Whoever died in the middle is replaced by somebody who finishes the work."""
    for _ in range(4):
        world.clock.advance(minutes=10)
        await world.shop.run_due()


def with_an_order(world: World) -> None:
    world.seen.handle(ReceiveStock(sku="mug", quantity=9))
    world.seen.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=card_pays()))


def whole_or_not_at_all(world: World) -> None:
    """Either nothing of the order, or all of it."""
    if world.seen.find(Order):
        assert world.seen.get(Order, "A").lines["1"].units == {"reserved": 3}
        assert world.seen.get(Payment, "A:1").amounts.authorise_pending == 3000
    else:
        assert not world.seen.find(Payment)
        assert world.seen.get(Stock, ("mug", "main")).reserved == 0


def test_an_order_whose_task_is_cancelled_at_any_await_is_placed_as_a_whole_or_not_at_all():
    def received(world: World) -> None:
        world.seen.handle(ReceiveStock(sku="mug", quantity=9))

    async def placing(world: World) -> None:
        await world.shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=card_pays()))

    awaits = cancelled_everywhere(World, received, placing, whole_or_not_at_all)

    assert awaits >= 5


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_blocking_store_keeps_the_same_promise(kind: str, tmp_path: Path):
    files = itertools.count()

    def make() -> World:
        return World(MemoryStorage() if kind == "memory" else SqliteStorage(tmp_path / f"{next(files)}.db"))

    def received(world: World) -> None:
        world.seen.handle(ReceiveStock(sku="mug", quantity=9))

    async def placing(world: World) -> None:
        await world.shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=card_pays()))

    assert cancelled_everywhere(make, received, placing, whole_or_not_at_all) >= 1


def test_due_work_cancelled_at_any_await_is_finished_by_the_next_worker_and_executed_once():
    async def settling(world: World) -> None:
        await world.shop.settle("A")

    def authorised(world: World) -> None:
        assert sum(world.card.executed.values()) <= 1

    awaits = cancelled_everywhere(World, with_an_order, settling, authorised)

    assert awaits >= 10


def test_a_whole_life_cancelled_at_any_await_leaves_nothing_half_done():
    def ready(world: World) -> None:
        with_an_order(world)
        world.seen.settle("A")

    async def living(world: World) -> None:
        await world.shop.handle(HandOverShipment(shipment_id="A:s1"))
        await world.shop.settle("A")
        await world.shop.handle(RecordDelivery(shipment_id="A:s1"))
        await world.shop.handle(GrantCredit(order_id="A", amount=eur("5.00")))
        await world.shop.settle("A")

    awaits = cancelled_everywhere(World, ready, living, lambda world: None)

    assert awaits >= 30


def test_after_a_cancelled_task_the_money_still_follows_the_goods():
    async def cancelling(world: World) -> None:
        await world.shop.handle(CancelOrder(order_id="A"))
        await world.shop.settle("A")

    async def once(n: int) -> bool:
        world = World()
        with_an_order(world)
        world.seen.settle("A")
        try:
            await asyncio.create_task(_as_coroutine(cancelled_at(cancelling(world), n)))
            survived = True
        except asyncio.CancelledError:
            survived = False
        await _finished(world)
        world.check()
        held = world.card.accounts["A:1"].open
        assert held == (0 if world.seen.get(Order, "A").status == "cancelled" else 3000)
        return survived

    assert any(asyncio.run(once(n)) for n in range(1, 200))


# Many at once.


def test_many_tasks_share_one_shop(make_world: Callable[[], World]):
    async def told() -> World:
        world = make_world()
        shop = world.shop
        await shop.handle(ReceiveStock(sku="mug", quantity=10))
        wanted = [PlaceOrder(order_id=f"A{n}", lines=[line("mug", 1)], pay=card_pays()) for n in range(12)]
        answers = await asyncio.gather(*map(shop.handle, wanted), return_exceptions=True)
        assert sum(isinstance(answer, Order) for answer in answers) == 10
        assert sum(isinstance(answer, OutOfStock) for answer in answers) == 2
        placed = [answer.order_id for answer in answers if isinstance(answer, Order)]
        cancels: list[Command[Any]] = [CancelOrder(order_id=order_id) for order_id in placed]
        work = [shop.run_due() for _ in range(4)]
        await asyncio.gather(*map(shop.handle, cancels), *work)
        await shop.run_due()
        return world

    world = asyncio.run(told())

    world.check()
    assert world.seen.get(Stock, ("mug", "main")).reserved == 0
    assert all(account.open == 0 and account.kept == 0 for account in world.card.accounts.values())
    assert len(world.seen.find(Discrepancy)) == 0
    assert all(parcel.status == "cancelled" for parcel in world.seen.find(Shipment))


class SlowStorage(MemoryStorage):
    """A blocking store that takes its time."""

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        time.sleep(0.02)
        return super().read(keys)


def test_a_blocking_store_does_not_hold_the_event_loop_up():
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def told() -> None:
        shop = AsyncOrderManagement(storage=SlowStorage())
        clock = asyncio.create_task(ticking())
        for _ in range(3):
            await shop.handle(ReceiveStock(sku="mug", quantity=1))
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock

    asyncio.run(told())

    assert ticks >= 10


def test_a_preview_under_asyncio_changes_nothing():
    async def told() -> None:
        world = World()
        with_an_order(world)
        before = snapshot(world.seen)
        await world.shop.preview(CancelOrder(order_id="A"))
        assert snapshot(world.seen) == before

    asyncio.run(told())
