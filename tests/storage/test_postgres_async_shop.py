"""A shop on PostgreSQL under asyncio, on awaited connections: one story, many tasks, and what a command costs."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ordermgmt import (
    AsyncBatcher,
    AsyncOrderManagement,
    Conflicted,
    Intent,
    Misconfigured,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PlaceOrder,
    ReceiveStock,
    Stock,
    verify,
)
from ordermgmt.storage import AsyncPostgresStorage, PostgresStorage
from ordermgmt.storage.postgres.wire import Wire
from ordermgmt.testing import FakePayments
from tests.faults.postgres_line import AFTER, BEFORE, line_to
from tests.stories import card_pays, laws_hold, line
from tests.test_async import World, quickstart


@pytest.fixture
def schema(postgres_storage):
    return postgres_storage.schema


@pytest.fixture
def look(postgres_storage):
    """A blocking shop on the same rows, to look at them."""
    return OrderManagement(storage=postgres_storage)


def buy(order_id, sku="mug"):
    return PlaceOrder(order_id=order_id, lines=[line(sku, 1)], pay=OnAccount())


def paid(order_id):
    return PlaceOrder(order_id=order_id, lines=[line("mug", 1)], pay=card_pays())


def test_an_order_lives_from_entry_to_money_back(postgres, postgres_storage):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=postgres_storage.schema) as storage:
            seen: Any = storage
            seen.inner = postgres_storage  # where the world looks
            world = World(storage)
            await quickstart(world)
            assert world.card.asked_twice == []
            return world.seen

    shop = asyncio.run(story())
    laws_hold(shop)
    assert verify.check_all(shop).ok


# Many at once


def test_many_tasks_in_two_shops_buy_the_last_pieces_once(postgres, schema, look):
    async def sale():
        async with (
            AsyncOrderManagement(storage=AsyncPostgresStorage(postgres.uri, schema=schema)) as first,
            AsyncOrderManagement(storage=AsyncPostgresStorage(postgres.uri, schema=schema)) as second,
        ):
            await first.handle(ReceiveStock(sku="mug", quantity=20))
            buyers = ((first, second)[n % 2].handle(buy(f"A-{n}")) for n in range(50))
            return await asyncio.gather(*buyers, return_exceptions=True)

    answers = asyncio.run(sale())
    assert sum(isinstance(answer, Order) for answer in answers) == 20
    assert {type(answer) for answer in answers} == {Order, OutOfStock}
    stock = look.get(Stock, ("mug", "main"))
    assert (stock.on_hand, stock.reserved) == (20, 20)
    laws_hold(look)


def test_tasks_and_threads_buy_from_the_same_shelf(postgres, schema, look):
    async def sale():
        async with AsyncOrderManagement(storage=AsyncPostgresStorage(postgres.uri, schema=schema)) as shop:
            await shop.handle(ReceiveStock(sku="mug", quantity=10))
            return await asyncio.gather(
                *(shop.handle(buy(f"A-{n}")) for n in range(12)),
                *(asyncio.to_thread(look.handle, buy(f"B-{n}")) for n in range(12)),
                return_exceptions=True,
            )

    answers = asyncio.run(sale())
    assert sum(isinstance(answer, Order) for answer in answers) == 10
    assert {type(answer) for answer in answers} == {Order, OutOfStock}


def test_a_batch_is_one_commit_and_refuses_only_what_is_too_much(postgres, schema, look):
    commits: list[Any] = []

    async def story():
        async with AsyncOrderManagement(
            storage=AsyncPostgresStorage(postgres.uri, schema=schema), observers=[commits.append]
        ) as shop:
            await shop.handle(ReceiveStock(sku="mug", quantity=100))
            commits.clear()
            answers = await shop.handle_many([buy(f"A-{n}") for n in range(101)])
            later = [order async for order in shop.handle_all((buy(f"B-{n}") for n in range(3)), batch=2)]
            return answers, later

    answers, later = asyncio.run(story())
    assert [type(answer) for answer in answers] == [*[Order] * 100, OutOfStock]
    assert [type(answer) for answer in later] == [OutOfStock] * 3
    assert next(told.commands for told in commits if type(told).__name__ == "Committed") == 101
    assert verify.check_all(look).ok


def test_tasks_share_commits_through_a_batcher(postgres, schema, look):
    commits: list[Any] = []

    async def story():
        async with AsyncOrderManagement(
            storage=AsyncPostgresStorage(postgres.uri, schema=schema), observers=[commits.append]
        ) as shop:
            await shop.handle(ReceiveStock(sku="mug", quantity=30))
            async with AsyncBatcher(shop) as batcher:
                return await asyncio.gather(*(batcher.handle(buy(f"A-{n}")) for n in range(40)), return_exceptions=True)

    answers = asyncio.run(story())
    assert [isinstance(answer, Order) for answer in answers].count(True) == 30
    assert sum(type(told).__name__ == "Committed" for told in commits) < 10
    laws_hold(look)


def test_workers_do_not_wait_for_effects_that_others_hold(postgres, schema):
    card = FakePayments()

    async def story():
        async with (
            AsyncPostgresStorage(postgres.uri, schema=schema) as storage,
            AsyncPostgresStorage(postgres.uri, schema=schema) as elsewhere,
        ):
            shop = AsyncOrderManagement(storage=storage, gateways={"card": card})
            await shop.handle(ReceiveStock(sku="mug", quantity=10))
            await shop.handle_many([paid(f"A-{n}") for n in range(4)])
            held, *_ = await shop.find(Intent, group="A-0")
            async with elsewhere.transaction() as other:
                await other.load([("effect", held.effect_id)])
                assert (await shop.run_due()).succeeded == 3
            (due,) = await shop.effects.due()
            assert (await shop.effects.run_one(due.effect_id)).succeeded == 1
            # Several workers at once: nobody is asked twice.
            await shop.handle_many([paid(f"B-{n}") for n in range(6)])
            others = AsyncOrderManagement(storage=elsewhere, gateways={"card": card})
            await asyncio.gather(shop.run_due(), others.run_due(), shop.run_due())
            await shop.run_due()
            return [order.payment_status for order in await shop.find(Order)]

    assert asyncio.run(story()) == ["authorised"] * 10
    assert card.asked_twice == []


def test_a_notice_comes_in_through_the_inbox_and_the_feed_tells_of_it(postgres, schema):
    card = FakePayments()

    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema) as storage:
            shop = AsyncOrderManagement(storage=storage, gateways={"card": card})
            await shop.handle(ReceiveStock(sku="mug", quantity=1))
            await shop.handle(paid("A-1"))
            await shop.settle("A-1")
            (intent,) = await shop.find(Intent, group="A-1")
            before = (await shop.feed())[-1].position
            told = await shop.receive_webhook("card", *card.webhook_for(intent.key))
            again = await shop.receive_webhook("card", *card.webhook_for(intent.key))
            return told, again, await shop.feed(after=before)

    told, again, news = asyncio.run(story())
    assert [message.message_id for message in told] == [message.message_id for message in again]
    assert news


# Cancelled


def test_a_task_that_is_cancelled_while_it_waits_has_done_nothing(postgres, schema):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema) as storage:
            shop = AsyncOrderManagement(storage=storage)
            await shop.handle(ReceiveStock(sku="mug", quantity=1))
            async with storage.transaction() as holder:
                await holder.load([("stock", "main/mug")])
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await shop.handle(ReceiveStock(sku="mug", quantity=1))
            async with asyncio.timeout(20):
                return (await shop.handle(ReceiveStock(sku="mug", quantity=1))).on_hand

    assert asyncio.run(story()) == 2


# Broken lines, and a server that sends a transaction back


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_an_order_is_placed_once_though_the_line_breaks_at_every_commit(own_postgres, schema, look, when):
    async def story():
        with tempfile.TemporaryDirectory() as folder, line_to(own_postgres.uri, Path(folder)) as wire:
            async with AsyncPostgresStorage(wire.uri, schema=schema, busy_timeout=timedelta(seconds=5)) as storage:
                shop = AsyncOrderManagement(storage=storage, gateways={"card": FakePayments()})
                await shop.handle(ReceiveStock(sku="mug", quantity=10))
                for n in range(5):
                    wire.cut = when
                    await shop.handle(paid(f"A-{n}"))
                    wire.cut = when
                    await shop.settle(f"A-{n}")
                return wire.cuts, [order.payment_status for order in await shop.find(Order)]

    assert asyncio.run(story()) == (10, ["authorised"] * 5)
    assert look.get(Stock, ("mug", "main")).available == 5
    laws_hold(look)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_the_server_sends_back_is_decided_again(postgres, schema, look, state):
    postgres.do(
        f"CREATE SEQUENCE {schema}.tries",
        f"CREATE FUNCTION {schema}.once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('{schema}.tries') <= 2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END IF;"
        " RETURN new; END $$",
        f"CREATE TRIGGER once BEFORE INSERT ON {schema}.history FOR EACH ROW EXECUTE FUNCTION {schema}.once()",
    )
    told: list[Any] = []

    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema) as storage:
            shop = AsyncOrderManagement(storage=storage, observers=[told.append])
            return await shop.handle(ReceiveStock(sku="mug", quantity=5))

    try:
        assert asyncio.run(story()).on_hand == 5
    finally:
        postgres.do(f"DROP FUNCTION {schema}.once CASCADE", f"DROP SEQUENCE {schema}.tries")
    assert sum(isinstance(one, Conflicted) for one in told) == 2
    assert look.get(Stock, ("mug", "main")).on_hand == 5


# What a command costs


def counted(monkeypatch, asked):
    to_server = Wire.asked

    def noted(self, ask):
        asked.append(b"; ".join(part.split(b"(")[0].strip() for part in (ask.before, ask.text, ask.after) if part))
        return to_server(self, ask)

    monkeypatch.setattr(Wire, "asked", noted)


def sold(name):
    both = PlaceOrder(order_id=f"{name}-2", lines=[line("mug", 1), line("cup", 2)], pay=OnAccount())
    return [ReceiveStock(sku=sku, quantity=10) for sku in ("mug", "cup")] + [paid(f"{name}-1"), both]


def test_a_command_takes_as_many_round_trips_as_on_the_blocking_store(postgres, postgres_storage, monkeypatch):
    blocking: list[bytes] = []
    awaited: list[bytes] = []
    empty = postgres.new_schema()

    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=empty) as storage:
            shop = AsyncOrderManagement(storage=storage, gateways={"card": FakePayments()})
            await shop.handle(ReceiveStock(sku="pen", quantity=1))  # by now it has looked at its store
            counted(monkeypatch, awaited)
            for command in sold("A"):
                await shop.handle(command)
            await shop.settle("A-1")
            await shop.find(Order, status="confirmed")

    shop = OrderManagement(storage=postgres_storage, gateways={"card": FakePayments()})
    shop.handle(ReceiveStock(sku="pen", quantity=1))
    counted(monkeypatch, blocking)
    for command in sold("B"):
        shop.handle(command)
    shop.settle("B-1")
    shop.find(Order, status="confirmed")
    monkeypatch.undo()
    try:
        asyncio.run(story())
    finally:
        postgres.do(f"DROP SCHEMA {empty} CASCADE")
    assert [text.replace(empty.encode(), postgres_storage.schema.encode()) for text in awaited] == blocking
    commits = [n for n, text in enumerate(blocking) if text.endswith(b"COMMIT")]
    assert len(commits) == 6  # a command each, and two for the payment that is asked for
    assert blocking[0].startswith(b"BEGIN")
    assert commits[:3] == [1, 3, 5]  # begin and take, save and commit; an effect that is made anew costs none
    print(f"{len(awaited)} round trips awaited, {len(blocking)} blocking")


def test_the_blocking_shop_refuses_the_awaited_store(postgres, schema):
    storage: Any = AsyncPostgresStorage(postgres.uri, schema=schema)  # a type checker refuses it as well
    with pytest.raises(Misconfigured, match="use it with AsyncOrderManagement"):
        OrderManagement(storage=storage)


def test_the_awaiting_shop_takes_the_blocking_store_as_well(postgres_storage: PostgresStorage):
    async def story():
        shop = AsyncOrderManagement(storage=postgres_storage)
        return (await shop.handle(ReceiveStock(sku="mug", quantity=3))).on_hand

    assert asyncio.run(story()) == 3
