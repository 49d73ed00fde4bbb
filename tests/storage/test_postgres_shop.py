"""A shop on PostgreSQL: the same story, the same simulated worlds, and many buyers of the last pieces at once."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ordermgmt import (
    AsyncOrderManagement,
    HandOverShipment,
    Intent,
    ManualClock,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PackShipment,
    PlaceOrder,
    ReceiveStock,
    RecordDelivery,
    Stock,
    verify,
)
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage, PostgresStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from ordermgmt.testing.simulation import simulate
from tests.stories import arrived, card_pays, laws_hold, line, place


@pytest.fixture
def settings():
    clock = ManualClock()
    return {"clock": clock, "gateways": {"card": FakePayments(clock=clock)}, "carriers": {"parcel": FakeCarrier()}}


def test_an_order_lives_from_entry_to_delivery(postgres_storage, settings):
    shop = OrderManagement(storage=postgres_storage, **settings)
    order = arrived(shop, "A-1", line("mug", 2), line("pen", 1))
    assert (order.payment_status, order.fulfilment_status) == ("paid", "delivered")
    assert shop.get(Stock, ("mug", "main")).on_hand == 0
    laws_hold(shop)
    assert verify.check_all(shop).ok


def test_the_same_story_is_told_with_awaits(postgres_storage, settings):
    async def story():
        shop = AsyncOrderManagement(storage=postgres_storage, **settings)
        await shop.handle(ReceiveStock(sku="mug", quantity=3))
        await shop.handle(PlaceOrder(order_id="A-1", lines=[line("mug", 3)], pay=card_pays()))
        await shop.settle("A-1")
        await shop.handle(PackShipment(shipment_id="A-1:s1"))
        await shop.handle(HandOverShipment(shipment_id="A-1:s1"))
        await shop.settle("A-1")
        await shop.handle(RecordDelivery(shipment_id="A-1:s1"))
        return await shop.get(Order, "A-1")

    order = asyncio.run(story())
    assert (order.payment_status, order.fulfilment_status) == ("paid", "delivered")
    laws_hold(OrderManagement(storage=postgres_storage, **settings))


def test_many_tasks_buy_the_last_pieces(postgres_storage):
    async def sale():
        shop = AsyncOrderManagement(storage=postgres_storage)
        await shop.handle(ReceiveStock(sku="mug", quantity=10))
        buyers = (PlaceOrder(order_id=f"A-{n}", lines=[line("mug", 1)], pay=OnAccount()) for n in range(24))
        return await asyncio.gather(*map(shop.handle, buyers), return_exceptions=True)

    answers = asyncio.run(sale())
    assert sum(isinstance(answer, Order) for answer in answers) == 10
    assert {type(answer) for answer in answers} == {Order, OutOfStock}


def test_a_task_that_is_cancelled_leaves_nothing_locked(postgres_storage):
    async def main():
        shop = AsyncOrderManagement(storage=postgres_storage)
        await shop.handle(ReceiveStock(sku="mug", quantity=1))
        with postgres_storage.transaction() as holder:
            holder.load([("stock", "main/mug")])
            waiting = asyncio.create_task(shop.handle(ReceiveStock(sku="mug", quantity=1)))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        return (await asyncio.wait_for(shop.handle(ReceiveStock(sku="mug", quantity=1)), timeout=10)).on_hand

    assert asyncio.run(main()) in {2, 3}  # what had begun in a thread may still have been done


@pytest.mark.parametrize("seed", [1, 4])
def test_the_same_seed_gives_the_same_history_on_every_storage(
    postgres, postgres_schema, postgres_storage, tmp_path, seed
):
    postgres_storage.close()  # it has made the schema, and empties it in the end
    # Odd seeds commit all at once, guarded by versions; even ones take turns.
    stores: list[Callable[[], Storage]] = [
        MemoryStorage,
        partial(SqliteStorage, tmp_path / "shop.db"),
        partial(PostgresStorage, postgres.uri, schema=postgres_schema),
    ]
    digests = [simulate(seed=seed, steps=200, storage=store).digest for store in stores]
    assert len(set(digests)) == 1


BUYER = """
import json, sys
from ordermgmt import OnAccount, OrderManagement, OutOfStock, PlaceOrder
from ordermgmt.storage import PostgresStorage
from tests.stories import line
uri, schema, who, many = sys.argv[1:]
sold, refused = 0, 0
with OrderManagement(storage=PostgresStorage(uri, schema=schema)) as shop:
    for n in range(int(many)):
        try:
            shop.handle(PlaceOrder(order_id=f"{who}-{n}", lines=[line("mug", 1)], pay=OnAccount()))
            sold += 1
        except OutOfStock:
            refused += 1
print(json.dumps([sold, refused]))
"""


def test_processes_sell_the_last_pieces_once_and_fail_no_buyer_while_there_are_any(postgres, postgres_storage):
    shop = OrderManagement(storage=postgres_storage)
    shop.handle(ReceiveStock(sku="mug", quantity=50))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}
    command = [sys.executable, "-c", BUYER, postgres.uri, postgres_storage.schema]
    buyers = [
        subprocess.Popen([*command, f"P{n}", "20"], env=environment, stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    told = [json.loads(buyer.communicate(timeout=120)[0]) for buyer in buyers]
    assert [buyer.returncode for buyer in buyers] == [0] * 4
    assert [sum(counts) for counts in zip(*told, strict=True)] == [50, 30]
    stock = shop.get(Stock, ("mug", "main"))
    assert (stock.on_hand, stock.reserved) == (50, 50)


def test_many_commands_share_a_commit(postgres_storage):
    shop = OrderManagement(storage=postgres_storage)
    shop.handle(ReceiveStock(sku="mug", quantity=100))
    orders = shop.handle_many(
        [PlaceOrder(order_id=f"A-{n}", lines=[line("mug", 1)], pay=OnAccount()) for n in range(101)]
    )
    assert [type(order) for order in orders] == [*[Order] * 100, OutOfStock]
    assert verify.check_all(shop).ok


def test_a_second_shop_sees_at_once_what_the_first_has_done(postgres, postgres_storage, settings):
    shop = OrderManagement(storage=postgres_storage, **settings)
    place(shop, "A-1")
    with closing(PostgresStorage(postgres.uri, schema=postgres_storage.schema)) as elsewhere:
        assert OrderManagement(storage=elsewhere, **settings).get(Order, "A-1") == shop.get(Order, "A-1")


def test_a_worker_does_not_wait_for_effects_that_another_one_holds(postgres_storage, settings):
    shop = OrderManagement(storage=postgres_storage, **settings)
    for n in range(3):
        place(shop, f"A-{n}")
    held, *_ = shop.find(Intent, group="A-0")
    with postgres_storage.transaction() as other:
        other.load([("effect", held.effect_id)])
        assert shop.run_due().succeeded == 2
    assert shop.settle("A-0").payment_status == "authorised"
