"""A shop within the transaction of an asyncio host on PostgreSQL: saved with the host's own rows, or not at all."""

import asyncio
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.rows import dict_row

from ordermgmt import (
    AsyncBatcher,
    AsyncOrderManagement,
    Conflict,
    Misconfigured,
    NotFound,
    Order,
    OutOfStock,
    ReceiveStock,
    Stock,
    StorageFailed,
)
from ordermgmt.storage import AsyncPostgresStorage
from ordermgmt.storage.postgres.async_joined import AsyncJoinedPostgresStorage
from tests.storage.joining import buy


@pytest.fixture
def story(postgres, postgres_storage):
    """Tells a story of a shop with ten mugs, and of a host with a table of its own."""
    postgres.do("CREATE TABLE IF NOT EXISTS invoice (number text)")

    def told(tell):
        async def all_of_it():
            storage = AsyncPostgresStorage(postgres.uri, schema=postgres_storage.schema)
            async with AsyncOrderManagement(storage=storage) as shop:
                await shop.handle(ReceiveStock(sku="mug", quantity=10))
                await tell(shop)
                orders = sorted(order.order_id for order in await shop.find(Order))
                return orders, [number for (number,) in await asyncio.to_thread(postgres.do, "SELECT * FROM invoice")]

        return asyncio.run(all_of_it())

    yield told
    postgres.do("DROP TABLE invoice")


@pytest.fixture(params=["by itself", "in a block"])
def begun(request, postgres):
    """A connection of the host's, with a row of its own in the transaction that is open on it."""

    @asynccontextmanager
    async def transaction():
        by_itself = request.param == "by itself"
        async with await psycopg.AsyncConnection.connect(postgres.uri, autocommit=not by_itself) as connection:
            if by_itself:
                connection.row_factory = dict_row  # type: ignore[assignment]  # as hosts do, whatever the type says
                await connection.execute("INSERT INTO invoice VALUES ('R-1')")
                yield connection
                return
            async with connection.transaction():
                await connection.execute("INSERT INTO invoice VALUES ('R-1')")
                yield connection

    return transaction


def test_what_the_host_commits_is_saved_with_its_own_rows(story, begun):
    async def tell(shop):
        async with begun() as connection:
            order = await shop.within(connection).handle(buy("A-1"), command_id="c-1")
            with pytest.raises(NotFound):
                await shop.get(Order, "A-1")
        assert await shop.get(Order, "A-1") == order

    assert story(tell) == (["A-1"], ["R-1"])


def test_what_the_host_rolls_back_has_not_happened(story, begun):
    async def tell(shop):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - all of it is undone
            async with begun() as connection:
                inside = shop.within(connection)
                await inside.handle(buy("A-1"))
                assert (await inside.get(Stock, ("mug", "main"))).available == 9
                raise ZeroDivisionError
        assert (await shop.get(Stock, ("mug", "main"))).available == 10

    assert story(tell) == ([], [])


def test_a_refusal_leaves_the_rest_of_the_hosts_transaction_as_it_was(story, begun):
    async def tell(shop):
        async with begun() as connection:
            inside = shop.within(connection)
            await inside.handle(buy("A-1"))
            with pytest.raises(OutOfStock):
                await inside.handle(buy("A-2", 100))
            await inside.handle(buy("A-3"))
            assert [order.order_id for order in await inside.find(Order, status="confirmed")] == ["A-1", "A-3"]
            assert await inside.history(Order, "A-1")
            assert await inside.feed()
            assert await inside.erase("nobody") == 0

    assert story(tell) == (["A-1", "A-3"], ["R-1"])


def test_tasks_that_share_the_hosts_connection_take_turns(story, begun):
    async def tell(shop):
        async with begun() as connection:
            told = await asyncio.gather(*(shop.within(connection).handle(buy(f"A-{n}")) for n in range(5)))
            assert [order.order_id for order in told] == [f"A-{n}" for n in range(5)]

    assert story(tell) == ([f"A-{n}" for n in range(5)], ["R-1"])


def test_a_command_that_is_cancelled_leaves_the_hosts_transaction_in_use(story, begun):
    async def tell(shop):
        async with shop.storage.transaction() as holder:
            await holder.load([("stock", "main/mug")])
            async with begun() as connection:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await shop.within(connection).handle(buy("A-1"))
                await connection.execute("INSERT INTO invoice VALUES ('R-2')")

    assert story(tell) == ([], ["R-1", "R-2"])


def test_after_a_conflict_the_hosts_transaction_can_go_on(story, postgres):
    async def tell(shop):
        async with await psycopg.AsyncConnection.connect(postgres.uri) as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await connection.execute("INSERT INTO invoice VALUES ('R-1')")
            await shop.handle(buy("B-1"))
            with pytest.raises(Conflict) as conflict:
                await shop.within(connection).handle(buy("A-1"))
            assert conflict.value.retryable
            await connection.execute("INSERT INTO invoice VALUES ('R-2')")

    assert story(tell) == (["B-1"], ["R-1", "R-2"])


def test_due_work_and_batches_are_left_to_a_shop_that_commits(story, begun):
    async def tell(shop):
        async with begun() as connection:
            inside = shop.within(connection)
            with pytest.raises(Misconfigured, match="after the commit"):
                await inside.run_due()
            with pytest.raises(Misconfigured, match="own connection"):
                AsyncBatcher(inside)

    story(tell)


def test_without_a_transaction_of_the_host_nothing_is_done(story, postgres):
    async def tell(shop):
        async with await psycopg.AsyncConnection.connect(postgres.uri, autocommit=True) as connection:
            with pytest.raises(Misconfigured, match=r"connection\.transaction"):
                await shop.within(connection).handle(buy("A-1"))

    story(tell)


def test_a_transaction_that_has_failed_is_not_joined(story, postgres):
    async def tell(shop):
        async with await psycopg.AsyncConnection.connect(postgres.uri) as connection:
            with pytest.raises(psycopg.Error):
                await connection.execute("SELECT 1 / 0")
            with pytest.raises(StorageFailed, match="roll it back"):
                await shop.within(connection).handle(buy("A-1"))

    story(tell)


def test_a_blocking_connection_is_refused_by_name(story, postgres):
    async def tell(shop):
        with (
            psycopg.connect(postgres.uri) as connection,
            pytest.raises(Misconfigured, match="an AsyncConnection"),
        ):
            await shop.within(connection).handle(buy("A-1"))

    story(tell)


def test_tables_are_not_made_in_the_hosts_transaction(story, postgres):
    async def tell(shop):
        async with await psycopg.AsyncConnection.connect(postgres.uri) as connection:
            storage = AsyncJoinedPostgresStorage(connection, schema=postgres.new_schema())
            with pytest.raises(Misconfigured, match="migrate"):
                await AsyncOrderManagement(storage=storage).handle(buy("A-1"))

    story(tell)
