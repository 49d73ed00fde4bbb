"""Eight threads at once, on stores that lock everything, some rows, or nothing: no deadlock, no error, nothing left."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ordermgmt import (
    AlreadyShipped,
    CancelOrder,
    Clock,
    Discrepancy,
    Fact,
    HandOverShipment,
    Intent,
    ManualClock,
    Money,
    NotAllowed,
    OnAccount,
    Order,
    OrderManagement,
    Outcome,
    OutOfStock,
    Payment,
    PlaceOrder,
    ReceiveStock,
    Stock,
    Succeeded,
    SystemClock,
)
from ordermgmt.engine.transaction import Key, Row
from ordermgmt.payments.messages import RECORDS, PaymentEffect
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.storage.memory import MemoryTransaction
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import card_pays, laws_hold, line, on_the_shelf, place

THREADS = 8
PATIENCE = 20.0
"""Seconds after which waiting for one row counts as a deadlock."""


class OptimisticStorage(MemoryStorage):
    """Locks nothing: whoever commits second on a row is told so, and decides again."""

    exclusive = False

    @contextmanager
    def transaction(self) -> Generator[MemoryTransaction, None, None]:
        transaction = MemoryTransaction(self.read, self._save)
        try:
            yield transaction
        finally:
            transaction.over = True


class RivalStorage(OptimisticStorage):
    """Lets a rival commit between two loads of one transaction."""

    rival: Callable[[], object] | None = None

    @contextmanager
    def transaction(self) -> Generator[MemoryTransaction, None, None]:
        with super().transaction() as transaction:
            load, loads = transaction.load, 0

            def load_after_the_rival(keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
                nonlocal loads
                loads += 1
                if loads == 2 and (rival := self.rival) is not None:
                    self.rival = None
                    rival()
                return load(keys, skip_locked=skip_locked)

            transaction.load = load_after_the_rival  # type: ignore[method-assign] # a seam of this test
            yield transaction


class RowLockingTransaction(MemoryTransaction):
    """Holds every row it has loaded, whether or not there is one yet, to its end."""

    def __init__(self, storage: RowLockingStorage) -> None:
        super().__init__(storage.read, storage._save)
        self._storage = storage
        self.held: dict[Key, threading.Lock] = {}

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        for key in keys:
            if key not in self.held:
                lock = self._storage.lock_of(key)
                if not lock.acquire(timeout=PATIENCE):
                    raise AssertionError(f"deadlock: nobody gives {key} back")
                self.held[key] = lock
        time.sleep(0.0005)  # long enough for the others to take what this one will want next
        return super().load(keys)


class RowLockingStorage(MemoryStorage):
    """Locks the rows that are loaded, as PostgreSQL does, and no others."""

    exclusive = False

    def __init__(self) -> None:
        super().__init__()
        self._locks: dict[Key, threading.Lock] = {}

    def lock_of(self, key: Key) -> threading.Lock:
        with self._rows_lock:
            return self._locks.setdefault(key, threading.Lock())

    def all_free(self) -> bool:
        return not any(lock.locked() for lock in self._locks.values())

    @contextmanager
    def transaction(self) -> Generator[RowLockingTransaction, None, None]:
        transaction = RowLockingTransaction(self)
        try:
            yield transaction
        finally:
            transaction.over = True
            for lock in transaction.held.values():
                lock.release()


STORES: dict[str, Callable[[Path], Any]] = {
    "memory": lambda folder: MemoryStorage(),
    "sqlite": lambda folder: SqliteStorage(folder / "shop.db"),
    "optimistic": lambda folder: OptimisticStorage(),
    "row-locking": lambda folder: RowLockingStorage(),
}


class TellingPayments(FakePayments):
    """A provider that remembers what it has done, to tell it again by another way."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.told: list[Fact] = []

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome:
        answer = super().execute(request, key=key, deadline=deadline)
        if isinstance(answer, Succeeded):
            self.told.extend(answer.result)
        return answer


class World:
    """A shop that eight threads share."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.clock = ManualClock()
        self.card = TellingPayments(clock=self.clock)
        self.shop = OrderManagement(
            storage=storage,
            gateways={"card": self.card},
            carriers={"parcel": FakeCarrier(clock=self.clock)},
            clock=self.clock,
        )

    def at_once(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Do these in eight threads that start together.  Answers what each said, or the error it met."""
        ready = threading.Barrier(THREADS)

        def work(mine: Sequence[Callable[[], Any]]) -> list[Any]:
            ready.wait()
            answers = list[Any]()
            for job in mine:
                try:
                    answers.append(job())
                except Exception as problem:  # noqa: BLE001 - what a caller would have met
                    answers.append(problem)
            return answers

        with ThreadPoolExecutor(THREADS) as threads:
            parts = threads.map(work, [jobs[n::THREADS] for n in range(THREADS)])
            return [answer for part in parts for answer in part]

    def webhooks(self) -> None:
        """The provider tells what it has done, before or after its answers arrive."""
        for fact in list(self.card.told):
            self.shop.handle(news_of(fact))

    def finish(self) -> None:
        """Until nothing is due any more."""
        for _ in range(3):
            self.shop.run_due()
            self.clock.advance(minutes=10)

    def check(self) -> None:
        laws_hold(self.shop)
        assert self.card.asked_twice == []
        assert self.card.refusals == []
        if isinstance(self.storage, RowLockingStorage):
            assert self.storage.all_free()


def news_of(fact: Fact) -> Any:
    """A fact as a webhook brings it; the fake's transactions tell which payment they are of."""
    payment_id = fact.transaction_id.removeprefix("txn-").rpartition("-")[0]
    return RECORDS[fact.kind](
        payment_id=payment_id,
        order_id=payment_id.partition(":")[0],
        transaction_id=fact.transaction_id,
        amount=Money.of_minor(fact.minor, fact.currency),
    )


@pytest.fixture(params=[*STORES, "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "postgres":
        world = World(request.getfixturevalue("postgres_storage"))
        yield world
        world.check()
        return
    shm = Path("/dev/shm")  # noqa: S108 - a folder of the test's own is made in it; see conftest.storage
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        world = World(STORES[request.param](Path(folder)))
        yield world
        world.check()
        world.shop.close()


def failures(answers: Sequence[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


@pytest.mark.parametrize("sale", [False, True], ids=["authorised", "captured"])
def test_orders_are_cancelled_while_the_news_of_their_payments_arrives(world: World, sale: bool):
    shop = world.shop
    ids = [f"A{n}" for n in range(24)]
    for order_id in ids:
        place(shop, order_id, line("mug", 2), line("pen", 1), pay=card_pays(sale=sale))
    chance = random.Random(7)
    jobs: list[Callable[[], Any]] = [
        *(partial(shop.handle, CancelOrder(order_id=order_id)) for order_id in ids),
        *(shop.run_due for _ in range(16)),
        *(world.webhooks for _ in range(8)),
    ]
    chance.shuffle(jobs)

    answers = world.at_once(*jobs)
    world.finish()

    assert failures(answers) == []
    assert {order.status for order in shop.find(Order)} == {"cancelled"}
    assert {order.payment_status for order in shop.find(Order)} <= {"not_due", "refunded"}
    assert (on_the_shelf(shop, "mug"), on_the_shelf(shop, "pen")) == ((48, 0, 0), (24, 0, 0))
    assert all(account.open == 0 and account.kept == 0 for account in world.card.accounts.values())
    assert len(shop.find(Discrepancy)) == 0
    assert all(intent.ended for intent in shop.find(Intent, limit=1000))


def test_the_last_pieces_are_sold_once(world: World):
    # Medusa M37: of two at once exactly one succeeds; Solidus, part B 32: two concurrent +5 are +10 exactly.
    shop = world.shop

    def buy(n: int) -> Order:
        return shop.handle(PlaceOrder(order_id=f"A{n}", lines=[line("mug", 1)], pay=OnAccount()))

    world.at_once(*[lambda: shop.handle(ReceiveStock(sku="mug", quantity=5))] * 4)
    answers = world.at_once(*[lambda n=n: buy(n) for n in range(32)])

    assert sum(isinstance(answer, Order) for answer in answers) == 20
    assert {type(problem) for problem in failures(answers)} == {OutOfStock}
    assert on_the_shelf(shop) == (20, 20, 0)


def test_baskets_with_the_same_goods_in_opposite_order_do_not_wait_for_each_other_for_ever(world: World):
    # Oscar, part B 46; Mantle, part B 57: five threads, two products, opposite lock order.
    shop = world.shop
    for sku in ("a", "b", "c"):
        shop.handle(ReceiveStock(sku=sku, quantity=64))

    def buy(n: int) -> Order:
        goods = [line(sku, 1) for sku in (("a", "b", "c") if n % 2 else ("c", "b", "a"))]
        return shop.handle(PlaceOrder(order_id=f"A{n}", lines=goods, pay=OnAccount()))

    answers = world.at_once(*[lambda n=n: buy(n) for n in range(64)])

    assert failures(answers) == []
    assert [shop.get(Stock, (sku, "main")).reserved for sku in ("a", "b", "c")] == [64, 64, 64]


def test_one_command_id_used_by_everybody_is_decided_once(world: World):
    shop = world.shop
    delivered = ReceiveStock(sku="mug", quantity=5)

    answers = world.at_once(*[lambda: shop.handle(delivered, command_id="delivery-9")] * 16)

    assert [answer.on_hand for answer in answers] == [5] * 16
    assert on_the_shelf(shop) == (5, 0, 0)


def test_nobody_is_refused_for_rows_of_different_moments():
    world = World(storage := RivalStorage())
    place(world.shop, "A")
    world.shop.run_due()
    storage.rival = lambda: world.shop.handle(CancelOrder(order_id="A"))

    with pytest.raises(NotAllowed):
        world.shop.handle(HandOverShipment(shipment_id="A:s1"))

    assert storage.rival is None, "handing over loads twice"


def test_an_order_is_cancelled_or_sent_but_not_both(world: World):
    shop = world.shop
    ids = [f"A{n}" for n in range(16)]
    for order_id in ids:
        place(shop, order_id)
    shop.run_due()
    jobs = [
        partial(shop.handle, command)
        for order_id in ids
        for command in (CancelOrder(order_id=order_id), HandOverShipment(shipment_id=f"{order_id}:s1"))
    ]

    answers = world.at_once(*jobs)
    world.finish()

    assert len(failures(answers)) == 16, "one of each two is refused"
    assert {type(problem) for problem in failures(answers)} <= {NotAllowed, AlreadyShipped}
    for order_id in ids:
        order = shop.get(Order, order_id)
        assert (order.fulfilment_status, order.payment_status) in {
            ("shipped", "paid"),
            ("nothing_to_fulfil", "not_due"),
        }
        assert world.card.accounts[f"{order_id}:1"].open == 0


def test_every_effect_is_sent_by_one_worker(world: World):
    shop = world.shop
    for n in range(24):
        place(shop, f"A{n}")

    answers = world.at_once(*[shop.run_due for _ in range(THREADS)])
    world.finish()

    assert failures(answers) == []
    assert len(world.card.requests) == 24
    assert {payment.status for payment in shop.find(Payment)} == {"authorised"}


def test_readers_see_whole_commits_while_others_write(world: World):
    """An order and its stock move together: who reads both at once never sees one without the other."""
    shop = world.shop
    shop.handle(ReceiveStock(sku="mug", quantity=40))
    keys = [("stock", "main/mug"), *(("order", f"A{n}") for n in range(40))]
    torn = list[tuple[int, int]]()

    def write(n: int) -> None:
        shop.handle(PlaceOrder(order_id=f"A{n}", lines=[line("mug", 1)], pay=OnAccount()))

    def read() -> None:
        for _ in range(5):
            found = world.storage.read(keys)
            reserved = shop.assembly.codec.decode(found["stock", "main/mug"].doc).reserved
            placed = sum(key[0] == "order" for key in found)
            if reserved != placed:
                torn.append((reserved, placed))

    answers = world.at_once(*[lambda n=n: write(n) for n in range(40)], *[read] * 24)

    assert failures(answers) == []
    assert torn == []


def test_a_shop_with_the_systems_clock_and_ids_makes_an_id_for_everybody():
    shop = OrderManagement(storage=MemoryStorage(), clock=SystemClock())
    shop.handle(ReceiveStock(sku="mug", quantity=64))
    with ThreadPoolExecutor(THREADS) as threads:
        wanted = PlaceOrder(lines=[line("mug", 1)], pay=OnAccount())
        placed = list(threads.map(lambda _: shop.handle(wanted).order_id, range(64)))

    assert len(set(placed)) == 64
