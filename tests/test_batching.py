"""Many callers in few commits: each gets its own answer, nobody before it is durable, and nobody disturbs another."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ordermgmt import (
    AsyncBatcher,
    AsyncOrderManagement,
    Batcher,
    Committed,
    InvalidInput,
    Line,
    Misconfigured,
    Money,
    OnAccount,
    Order,
    OrderManagement,
    OutcomeUnknown,
    OutOfStock,
    PlaceOrder,
    ReceiveStock,
    Stock,
    StorageFailed,
)
from ordermgmt.batching import _Call
from ordermgmt.engine.transaction import Transaction, Write
from ordermgmt.storage import MemoryStorage, SqliteStorage
from tests.storage.interrupting import interrupted_at
from tests.stories import laws_hold

LONG = timedelta(seconds=5)


def buy(order_id: str, quantity: int = 1) -> PlaceOrder:
    line = Line(sku="mug", quantity=quantity, unit_price=Money("9.50", "EUR"))
    return PlaceOrder(order_id=order_id, lines=[line], pay=OnAccount(days=30))


class Commits:
    """How many commands each commit held."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, observed: object) -> None:
        if isinstance(observed, Committed):
            self.sizes.append(observed.commands)


class Store(MemoryStorage):
    """A store whose commits can be held up, watched, and made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.before: Callable[[Sequence[Write]], None] = lambda writes: None
        self.after: Callable[[], None] = lambda: None

    @contextmanager
    def transaction(self) -> Generator[Any]:
        with super().transaction() as inner:
            yield _Held(self, inner)


class _Held:
    def __init__(self, store: Store, inner: Transaction) -> None:
        self._store = store
        self.load = inner.load
        self._commit = inner.commit

    def commit(self, writes: Sequence[Write]) -> None:
        self._store.entered.set()
        assert self._store.gate.wait(20)
        self._store.before(writes)
        self._commit(writes)
        self._store.after()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def shop(store: Store, commits: Commits) -> Iterator[OrderManagement]:
    with OrderManagement(storage=store, observers=[commits]) as shop:
        shop.handle(ReceiveStock(sku="mug", quantity=1000))
        commits.sizes.clear()
        yield shop


@contextmanager
def crowd(batcher: Batcher, store: Store, commands: Sequence[Any]) -> Generator[list[Any]]:
    """All of them call while the commit of another caller is held up; answers stand in the list afterwards."""
    answers: list[Any] = [None] * len(commands)

    def call(n: int) -> None:
        try:
            answers[n] = batcher.handle(commands[n])
        except Exception as error:  # noqa: BLE001 - which one is what is asked
            answers[n] = error

    store.entered.clear()
    store.gate.clear()
    first = threading.Thread(target=batcher.handle, args=(ReceiveStock(sku="first", quantity=1),))
    first.start()
    assert store.entered.wait(20)
    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(commands))]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(batcher._waiting) == len(commands))
    store.gate.set()
    for thread in [first, *threads]:
        thread.join(20)
        assert not thread.is_alive()
    yield answers


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


class TestThreads:
    def test_callers_who_come_during_a_commit_share_the_next_one(
        self, shop: OrderManagement, store: Store, commits: Commits
    ) -> None:
        with Batcher(shop) as batcher, crowd(batcher, store, [buy(f"A-{n}") for n in range(20)]) as answers:
            assert [order.order_id for order in answers] == [f"A-{n}" for n in range(20)]
        assert commits.sizes == [1, 20]
        laws_hold(shop)

    def test_a_batch_holds_no_more_than_was_said(self, shop: OrderManagement, store: Store, commits: Commits) -> None:
        batcher = Batcher(shop, max_batch=8)
        with crowd(batcher, store, [buy(f"A-{n}") for n in range(20)]):
            assert commits.sizes == [1, 8, 8, 4]

    def test_a_refusal_reaches_its_own_caller_only(self, shop: OrderManagement, store: Store) -> None:
        with crowd(Batcher(shop), store, [buy("A-1"), buy("A-2", 5000), buy("A-3")]) as (one, two, three):
            assert (one.order_id, three.order_id) == ("A-1", "A-3")
            assert isinstance(two, OutOfStock)

    def test_stock_is_not_sold_twice_within_a_batch(self, shop: OrderManagement, store: Store) -> None:
        with crowd(Batcher(shop), store, [buy("A-1", 600), buy("A-2", 600)]) as answers:
            assert [type(answer) for answer in answers].count(Order) == 1
            assert shop.get(Stock, ("mug", "main")).available == 400

    def test_a_malformed_call_is_refused_before_it_waits(self, shop: OrderManagement) -> None:
        with Batcher(shop) as batcher, pytest.raises(InvalidInput):
            batcher.handle("no command")  # type: ignore[arg-type]  # that is the point

    def test_a_command_whose_events_cannot_be_stored_fails_alone(self, shop: OrderManagement, store: Store) -> None:
        def poisoned(writes: Sequence[Write]) -> None:
            if any(write.row.key == ("order", "A-7") for write in writes):
                raise TypeError("this cannot be stored")

        store.before = poisoned
        with crowd(Batcher(shop), store, [buy(f"A-{n}") for n in range(12)]) as answers:
            assert isinstance(answers.pop(7), TypeError)
            assert all(isinstance(answer, Order) for answer in answers)
        assert shop.get(Stock, ("mug", "main")).available == 989

    def test_a_commit_that_fails_reaches_everybody_in_it_and_saves_nothing(
        self, shop: OrderManagement, store: Store
    ) -> None:
        def full(writes: Sequence[Write]) -> None:
            if any(write.row.key[0] == "order" for write in writes):
                raise StorageFailed("the disk is full")

        store.before = full
        with crowd(Batcher(shop), store, [buy(f"A-{n}") for n in range(5)]) as answers:
            assert [str(answer) for answer in answers] == ["the disk is full"] * 5
            assert len({id(answer) for answer in answers}) == 5, "threads would raise one exception together"
        assert list(shop.find(Order)) == []

    def test_nobody_is_answered_before_the_commit(self, shop: OrderManagement, store: Store) -> None:
        batcher = Batcher(shop)
        store.gate.clear()
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(batcher.handle, buy(f"A-{n}")) for n in range(4)]
            assert store.entered.wait(20)
            time.sleep(0.05)
            assert not any(call.done() for call in calls)
            store.gate.set()
            assert [call.result(20).order_id for call in calls] == [f"A-{n}" for n in range(4)]

    def test_each_caller_is_recorded_with_its_own_name_and_command_id(
        self, shop: OrderManagement, store: Store
    ) -> None:
        batcher = Batcher(shop)
        batcher.handle(buy("A-1"), by="ann", command_id="c-1")
        assert batcher.handle(buy("A-1"), by="ann", command_id="c-1").order_id == "A-1"
        assert {(one.by, one.command_id) for one in shop.history(Order, "A-1")} == {("ann", "c-1")}

    def test_a_caller_who_is_alone_does_not_wait(self, shop: OrderManagement) -> None:
        with Batcher(shop, max_wait=LONG) as batcher:
            begun = time.monotonic()
            for n in range(3):
                batcher.handle(buy(f"A-{n}"))
            assert time.monotonic() - begun < LONG.total_seconds()

    def test_others_are_waited_for_no_longer_than_was_said(self, shop: OrderManagement, store: Store) -> None:
        batcher = Batcher(shop, max_wait=timedelta(seconds=0.2))
        with crowd(batcher, store, [buy(f"A-{n}") for n in range(5)]):
            begun = time.monotonic()
            batcher.handle(buy("B-1"))  # five were there before, and none of them comes back
            assert 0.1 < time.monotonic() - begun < 5
            begun = time.monotonic()
            batcher.handle(buy("B-2"))
            assert time.monotonic() - begun < 0.1

    def test_closing_serves_those_who_wait_and_takes_no_more(self, shop: OrderManagement, store: Store) -> None:
        batcher = Batcher(shop)
        store.gate.clear()
        with ThreadPoolExecutor(5) as pool:
            calls = [pool.submit(batcher.handle, buy(f"A-{n}")) for n in range(4)]
            wait_until(lambda: len(batcher._waiting) == 3)
            closing = pool.submit(batcher.close)
            wait_until(lambda: batcher._closed)
            assert not closing.done()
            store.gate.set()
            closing.result(20)
            assert sorted(call.result(20).order_id for call in calls) == [f"A-{n}" for n in range(4)]
        with pytest.raises(StorageFailed, match="closed"):
            batcher.handle(buy("A-9"))
        batcher.close()

    @pytest.mark.parametrize("call", [lambda batcher: batcher.handle(buy("A-2")), lambda batcher: batcher.close()])
    def test_whoever_is_called_by_a_batch_does_not_wait_for_it(
        self, store: Store, call: Callable[[Batcher], Any]
    ) -> None:
        troubles: list[Exception] = []

        def observer(_: object) -> None:
            try:
                call(batcher)
            except Misconfigured as trouble:
                troubles.append(trouble)

        shop = OrderManagement(storage=store, observers=[observer])
        shop.handle(ReceiveStock(sku="mug", quantity=5))
        batcher = Batcher(shop)
        troubles.clear()
        batcher.handle(buy("A-1"))
        assert troubles
        batcher.handle(buy("A-3"))
        batcher.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_child_waits_for_nobody_of_its_parents(self, shop: OrderManagement, store: Store) -> None:
        batcher = Batcher(shop)
        store.gate.clear()
        leader = threading.Thread(target=batcher.handle, args=(buy("A-1"),))
        leader.start()
        assert store.entered.wait(20)
        if not (child := os.fork()):
            signal.alarm(20)
            try:
                # A store in memory is no store of two processes.
                store._turn, store._rows_lock, store.gate = threading.Lock(), threading.Lock(), threading.Event()
                store.gate.set()
                done = batcher.handle(buy("A-2")).order_id == "A-2"
                os._exit(0 if done else 1)
            finally:
                os._exit(2)
        store.gate.set()
        leader.join(20)
        assert os.waitpid(child, 0)[1] == 0

    def test_it_starts_no_thread(self, shop: OrderManagement) -> None:
        before = threading.active_count()
        with Batcher(shop) as batcher:
            batcher.handle(buy("A-1"))
            assert threading.active_count() == before

    def test_whoever_leads_and_is_interrupted_tells_the_others_and_hands_over(
        self, shop: OrderManagement, store: Store
    ) -> None:
        class Stopped(BaseException):
            pass

        def stop(writes: Sequence[Write]) -> None:
            if any(write.row.key[0] == "order" for write in writes):
                store.before = lambda writes: None
                raise Stopped

        store.before = stop
        errors: list[type[BaseException] | None] = []
        threading.excepthook, before = (lambda told: errors.append(told.exc_type)), threading.excepthook
        try:
            with crowd(Batcher(shop, max_batch=4), store, [buy(f"A-{n}") for n in range(8)]) as answers:
                kinds = [type(answer) for answer in answers]
        finally:
            threading.excepthook = before
        assert errors == [Stopped]
        assert kinds.count(OutcomeUnknown) == 3
        assert kinds.count(Order) == 4

    def test_whoever_is_interrupted_when_it_was_to_lead_hands_over(self, shop: OrderManagement, store: Store) -> None:
        batcher = Batcher(shop, max_batch=1)
        store.entered.clear()
        store.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(batcher.handle, buy("A-1"))
            assert store.entered.wait(20)
            interrupted = _Call(shop.prepared(buy("A-2")))
            batcher._waiting.append(interrupted)
            last = pool.submit(batcher.handle, buy("A-3"))
            wait_until(lambda: len(batcher._waiting) == 2)
            store.gate.set()
            assert first.result(20).order_id == "A-1"
            interrupted.wait()
            batcher._leave(interrupted)
            assert last.result(20).order_id == "A-3"
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-1", "A-3"]

    @pytest.mark.parametrize("door", [Batcher._join, Batcher._lead])
    def test_whoever_is_interrupted_before_it_leads_is_followed_by_others(
        self, shop: OrderManagement, door: Callable[..., Any]
    ) -> None:
        with Batcher(shop) as batcher:
            with interrupted_at(door):
                batcher.handle(buy("A-1"))
            assert batcher.handle(buy("A-2")).order_id == "A-2"
        assert [order.order_id for order in shop.find(Order)] == ["A-2"]

    @pytest.mark.parametrize("kind", ["sqlite", "postgres"])
    def test_many_threads_leave_the_store_in_order(
        self, kind: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        commits = Commits()
        storage = (
            SqliteStorage(tmp_path / "shop.db") if kind == "sqlite" else request.getfixturevalue("postgres_storage")
        )
        with OrderManagement(storage=storage, observers=[commits]) as shop:
            shop.handle(ReceiveStock(sku="mug", quantity=150))
            with Batcher(shop) as batcher, ThreadPoolExecutor(16) as pool:
                calls = [pool.submit(batcher.handle, buy(f"A-{n}")) for n in range(200)]
                refused = [type(call.exception(60)) for call in calls if call.exception(60) is not None]
            assert refused == [OutOfStock] * 50
            assert shop.get(Stock, ("mug", "main")).available == 0
            assert len(commits.sizes) < 100
            laws_hold(shop)


class TestTasks:
    @pytest.fixture
    def tasks(self, shop: OrderManagement, store: Store, commits: Commits) -> AsyncOrderManagement:
        return AsyncOrderManagement(storage=store, observers=[commits])

    def test_tasks_share_a_commit(self, tasks: AsyncOrderManagement, commits: Commits) -> None:
        async def story() -> list[Order]:
            async with AsyncBatcher(tasks) as batcher:
                return await asyncio.gather(*(batcher.handle(buy(f"A-{n}")) for n in range(30)))

        assert [order.order_id for order in asyncio.run(story())] == [f"A-{n}" for n in range(30)]
        assert len(commits.sizes) <= 2

    def test_each_task_gets_its_own_refusal(self, tasks: AsyncOrderManagement) -> None:
        async def story() -> list[Any]:
            batcher = AsyncBatcher(tasks)
            calls = [batcher.handle(buy("A-1")), batcher.handle(buy("A-2", 5000)), batcher.handle(buy("A-3"))]
            return await asyncio.gather(*calls, return_exceptions=True)

        assert [type(answer) for answer in asyncio.run(story())] == [Order, OutOfStock, Order]

    def test_a_poisonous_command_fails_alone(self, tasks: AsyncOrderManagement, store: Store) -> None:
        def poisoned(writes: Sequence[Write]) -> None:
            if any(write.row.key == ("order", "A-2") for write in writes):
                raise TypeError("this cannot be stored")

        async def story() -> list[Any]:
            batcher = AsyncBatcher(tasks)
            return await asyncio.gather(*(batcher.handle(buy(f"A-{n}")) for n in range(5)), return_exceptions=True)

        store.before = poisoned
        assert [type(answer) for answer in asyncio.run(story())] == [Order, Order, TypeError, Order, Order]

    def test_a_cancelled_task_that_was_not_taken_yet_has_not_happened(
        self, tasks: AsyncOrderManagement, shop: OrderManagement, store: Store
    ) -> None:
        async def story() -> list[Any]:
            batcher = AsyncBatcher(tasks)
            store.gate.clear()
            first = asyncio.create_task(batcher.handle(buy("A-0")))
            await asyncio.to_thread(store.entered.wait, 20)
            others = [asyncio.create_task(batcher.handle(buy(f"A-{n}"))) for n in (1, 2, 3)]
            await asyncio.sleep(0.01)
            others[1].cancel()
            store.gate.set()
            return await asyncio.gather(first, *others, return_exceptions=True)

        store.entered.clear()
        answers = asyncio.run(story())
        assert [type(answer) for answer in answers] == [Order, Order, asyncio.CancelledError, Order]
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-0", "A-1", "A-3"]

    def test_a_task_cancelled_in_its_commit_disturbs_nobody_in_it(
        self, tasks: AsyncOrderManagement, shop: OrderManagement, store: Store
    ) -> None:
        async def story() -> list[Any]:
            batcher = AsyncBatcher(tasks)
            store.gate.clear()
            calls = [asyncio.create_task(batcher.handle(buy(f"A-{n}"))) for n in range(3)]
            await asyncio.to_thread(store.entered.wait, 20)
            calls[0].cancel()
            await asyncio.sleep(0.01)
            store.gate.set()
            return await asyncio.gather(*calls, return_exceptions=True)

        store.entered.clear()
        answers = asyncio.run(story())
        assert [type(answer) for answer in answers] == [asyncio.CancelledError, Order, Order]
        assert len(shop.find(Order)) == 3, "a commit that holds it happens"

    def test_closing_serves_those_who_wait(self, tasks: AsyncOrderManagement) -> None:
        async def story() -> list[Any]:
            batcher = AsyncBatcher(tasks, max_batch=2)
            calls = [asyncio.create_task(batcher.handle(buy(f"A-{n}"))) for n in range(5)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await batcher.close()
            with pytest.raises(StorageFailed, match="closed"):
                await batcher.handle(buy("A-9"))
            return await asyncio.gather(*calls)

        assert len(asyncio.run(story())) == 5

    def test_a_batcher_serves_one_event_loop_after_the_other(self, tasks: AsyncOrderManagement) -> None:
        batcher = AsyncBatcher(tasks, max_wait=timedelta(milliseconds=20))

        async def story(name: str) -> list[Order]:
            # The second time the batcher expects all of them, and waits for those who do not come.
            crowds = [[batcher.handle(buy(f"{name}-{crowd}-{n}")) for n in range(crowd)] for crowd in (6, 3)]
            return [order for crowd in crowds for order in await asyncio.gather(*crowd)]

        assert [len(asyncio.run(story(name))) for name in "AB"] == [9, 9]

    def test_a_batcher_that_is_done_leaves_no_task_behind(self, tasks: AsyncOrderManagement) -> None:
        async def story() -> set[Any]:
            batcher = AsyncBatcher(tasks)
            await batcher.handle(buy("A-1"))
            await asyncio.sleep(0)
            return asyncio.all_tasks() - {asyncio.current_task()}

        assert asyncio.run(story()) == set()


class TestSettingUp:
    @pytest.mark.parametrize(
        "wrong", [{"max_batch": 0}, {"max_batch": True}, {"max_wait": 0.1}, {"max_wait": timedelta(days=1)}]
    )
    def test_impossible_limits_are_refused(self, shop: OrderManagement, wrong: Mapping[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            Batcher(shop, **wrong)

    def test_each_kind_of_shop_has_its_own(self, shop: OrderManagement, store: Store) -> None:
        with pytest.raises(Misconfigured, match="AsyncBatcher"):
            Batcher(AsyncOrderManagement(storage=store))  # type: ignore[arg-type]  # that is the point
        with pytest.raises(Misconfigured, match="Batcher"):
            AsyncBatcher(shop)  # type: ignore[arg-type]  # as above


class TestManyCommands:
    def test_answers_come_as_they_are_durable(self, shop: OrderManagement, commits: Commits) -> None:
        answers = shop.handle_all((buy(f"A-{n}") for n in range(25)), batch=10)
        assert next(answers).order_id == "A-0"
        assert commits.sizes == [10]
        assert len(list(answers)) == 24
        assert commits.sizes == [10, 10, 5]

    def test_thousands_of_commands_need_the_memory_of_one_batch(self, tmp_path: Path) -> None:
        def peak(commands: int) -> int:
            with OrderManagement(storage=SqliteStorage(tmp_path / f"{commands}.db")) as shop:
                shop.handle(ReceiveStock(sku="mug", quantity=10_000))
                tracemalloc.start()
                for answer in shop.handle_all((buy(f"A-{n}") for n in range(commands)), batch=100):
                    assert isinstance(answer, Order)
                _, most = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                return most

        peak(100)
        assert peak(800) < 1.4 * peak(200)

    def test_the_largest_batch_is_decided_in_one_commit(self, shop: OrderManagement, commits: Commits) -> None:
        answers = shop.handle_many([ReceiveStock(sku=f"s-{n}", quantity=1) for n in range(5000)])
        assert len(answers) == 5000
        assert commits.sizes == [5000]
        with pytest.raises(InvalidInput, match="5000"):
            shop.handle_many([ReceiveStock(sku="s", quantity=1)] * 5001)

    def test_tasks_have_it_too(self, store: Store) -> None:
        async def story() -> list[Any]:
            shop = AsyncOrderManagement(storage=store)
            commands = [ReceiveStock(sku=f"s-{n}", quantity=1) for n in range(25)]
            return [answer async for answer in shop.handle_all(commands, batch=10)]

        assert len(asyncio.run(story())) == 25

    def test_impossible_batches_are_refused(self, shop: OrderManagement) -> None:
        with pytest.raises(InvalidInput, match="batch"):
            next(shop.handle_all([buy("A-1")], batch=0))
