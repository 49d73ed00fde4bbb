"""AsyncPostgresStorage keeps the promises of a store, awaited, and what a server and an event loop add to them."""

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from ordermgmt.errors import Conflict, Misconfigured, OrderManagementError, OutcomeUnknown, StorageBusy, StorageFailed
from ordermgmt.storage import AsyncPostgresStorage, NewerSchema, PostgresStorage
from ordermgmt.storage.postgres.steps import drive_async
from ordermgmt.storage.postgres.wire import Wire
from ordermgmt.testing.conformance.storage import increment, save, written
from ordermgmt.testing.conformance.storage_async import AsyncStorageContract, Blocking, increment_async
from tests.faults.postgres_line import AFTER, BEFORE, line_to
from tests.storage.dying import dies_once

KEY = ("order", "A-1")
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ordermgmt'"
LEFT_OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
    " AND application_name = 'ordermgmt'"
)


class TestAsyncPostgresStorage(AsyncStorageContract):
    @pytest.fixture
    def storage(self, postgres, postgres_storage):
        self.uri, self.schema = postgres.uri, postgres_storage.schema
        with Blocking(AsyncPostgresStorage(self.uri, schema=self.schema)) as storage:
            yield storage

    def reopen(self, storage: Any) -> Any:
        storage.close()
        return storage.beside(AsyncPostgresStorage(self.uri, schema=self.schema))


class TestAsyncPostgresStorageWithALibpqThatKnowsNoPipeline(TestAsyncPostgresStorage):
    @pytest.fixture(autouse=True)
    def old_libpq(self, monkeypatch):
        monkeypatch.setattr(psycopg.AsyncPipeline, "is_supported", lambda: False)
        monkeypatch.setattr(Wire, "asked", None)  # nobody may call it


class TestAsyncPostgresStorageOnAPoolOfTheHosts(AsyncStorageContract):
    @pytest.fixture
    def storage(self, postgres, postgres_storage):
        self.schema = postgres_storage.schema
        self.pool = AsyncConnectionPool(postgres.uri, min_size=1, max_size=6, open=False)
        with Blocking(AsyncPostgresStorage(self.pool, schema=self.schema)) as storage:
            storage.loop.wait_for(self.pool.open())
            yield storage
            storage.loop.wait_for(self.pool.close())

    def reopen(self, storage: Any) -> Any:
        storage.close()
        return storage.beside(AsyncPostgresStorage(self.pool, schema=self.schema))


@pytest.fixture
def schema(postgres_storage):
    """A schema that is made, and empty; beside it stands the blocking store."""
    return postgres_storage.schema


async def left_open(postgres):
    """How many transactions are open; a server needs a moment to see that a connection was closed."""
    count = 0
    for _ in range(100):
        ((count,),) = await asyncio.to_thread(postgres.do, LEFT_OPEN)
        if not count:
            return 0
        await asyncio.sleep(0.05)
    return count


async def save_async(storage, *writes):
    async with storage.transaction() as transaction:
        await transaction.commit(writes)


# One store, whoever waits how


def test_it_is_the_same_store_as_the_blocking_one(postgres, postgres_storage):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=postgres_storage.schema) as storage:
            assert storage.installation == postgres_storage.installation
            await asyncio.gather(
                *(increment_async(storage, KEY) for _ in range(10)),
                *(asyncio.to_thread(increment, postgres_storage, KEY) for _ in range(10)),
            )
            return await storage.history(KEY)

    assert [entry.version for entry in asyncio.run(story())] == list(range(1, 21))


def test_it_makes_its_tables_when_it_is_used_first(postgres):
    schema = postgres.new_schema()

    async def story():
        stores = [AsyncPostgresStorage(postgres.uri, schema=schema) for _ in range(3)]
        await asyncio.gather(*(increment_async(store, KEY) for store in stores for _ in range(3)))
        for store in stores:
            await store.close()
        return {store.installation for store in stores}

    try:
        assert len(asyncio.run(story())) == 1
    finally:
        postgres.do(f"DROP SCHEMA {schema} CASCADE")


def test_a_follower_waits_for_a_commit_that_is_under_way(postgres, schema):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema) as storage, storage.transaction() as slow:
            await slow.load([("order", "A-2")])
            await drive_async(slow._course.save([written("A-2")]), slow._act)
            await save_async(storage, written("A-3"))
            looking = asyncio.create_task(storage.feed())
            await asyncio.sleep(0.05)
            assert not looking.done()
            await slow._connection.execute("COMMIT")
            return [entry.key[1] for entry in await looking]

    assert asyncio.run(story()) == ["A-2", "A-3"]


def test_two_tasks_that_wait_for_each_other_are_sent_back_to_decide_again(own_postgres, schema):
    own_postgres.do("ALTER SYSTEM SET deadlock_timeout = '20ms'", "SELECT pg_reload_conf()")

    async def story():
        async with AsyncPostgresStorage(own_postgres.uri, schema=schema) as storage:
            await save_async(storage, written("A"), written("B"))
            taken = [asyncio.Event(), asyncio.Event()]

            async def work(number):
                async with storage.transaction() as transaction:
                    await transaction.load([("order", "AB"[number])])
                    taken[number].set()
                    await taken[1 - number].wait()
                    await transaction.load([("order", "BA"[number])])

            return await asyncio.gather(work(0), work(1), return_exceptions=True)

    try:
        outcomes = asyncio.run(story())
    finally:
        own_postgres.do("ALTER SYSTEM RESET deadlock_timeout", "SELECT pg_reload_conf()")
    assert sorted(map(type, outcomes), key=str) == [type(None), Conflict]


def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(own_postgres, schema):
    async def story():
        async with AsyncPostgresStorage(own_postgres.uri, schema=schema) as storage:
            await save_async(storage, written("A-1"))
            await asyncio.to_thread(own_postgres.do, END_ALL, "SELECT pg_sleep(0.1)")
            await save_async(storage, written("A-2"))
            await asyncio.to_thread(own_postgres.do, END_ALL, "SELECT pg_sleep(0.1)")
            return len(await storage.feed())

    assert asyncio.run(story()) == 2


def test_connections_of_the_hosts_pool_that_died_with_the_server_are_not_noticed(own_postgres, schema):
    async def story():
        async with AsyncConnectionPool(own_postgres.uri, min_size=3, max_size=3, open=False) as pool:
            await pool.wait()
            storage = AsyncPostgresStorage(pool, schema=schema)
            for n in range(3):  # most of them were never used
                await asyncio.to_thread(
                    own_postgres.do,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'",
                    "SELECT pg_sleep(0.1)",
                )
                await save_async(storage, written(f"A-{n}"))
            return len(await storage.feed())

    assert asyncio.run(story()) == 3


@pytest.mark.parametrize("when", ["judging", "preparing"])
@pytest.mark.parametrize("hosts", [False, True], ids=["own", "hosts"])
def test_a_server_that_goes_away_while_a_store_is_opened_is_waited_for(postgres, schema, monkeypatch, when, *, hosts):
    async def story():
        async with (
            AsyncConnectionPool(postgres.uri, min_size=1, max_size=2, open=False) as pool,
            AsyncPostgresStorage(pool if hosts else postgres.uri, schema=schema) as storage,
        ):
            await save_async(storage, written("A-1"))
            return len(await storage.feed())

    dies_once(monkeypatch, when)
    assert asyncio.run(story()) == 1


def test_when_all_connections_are_in_use_the_store_is_busy(postgres, schema):
    async def story():
        async with (
            AsyncPostgresStorage(
                postgres.uri, schema=schema, connections_max=1, busy_timeout=timedelta(milliseconds=50)
            ) as small,
            small.transaction(),
        ):
            with pytest.raises(StorageBusy, match="connections_max"):
                await small.feed()

    asyncio.run(story())


def test_a_transaction_that_is_open_when_the_store_is_closed_may_end(postgres, schema):
    async def story():
        storage = AsyncPostgresStorage(postgres.uri, schema=schema)
        async with storage.transaction() as transaction:
            await storage.close()
            await transaction.commit([written("A-1")])
        with pytest.raises(StorageFailed, match="closed"):
            await storage.feed()

    asyncio.run(story())


# Cancelled


def test_a_cancelled_task_has_let_go_of_its_rows_when_it_ends(postgres, schema):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema, connections_max=2) as storage:
            await save_async(storage, written("A-1"))

            async def hold(taken):
                async with storage.transaction() as transaction:
                    await transaction.load([KEY])
                    taken.set()
                    await asyncio.sleep(60)

            for _ in range(5):
                taken = asyncio.Event()
                holding = asyncio.create_task(hold(taken))
                await taken.wait()
                holding.cancel()
                await asyncio.wait([holding])
                # At once, without waiting for any row.
                async with storage.transaction() as next_one:
                    assert await next_one.load([KEY], skip_locked=True)
            connections: Any = storage._connections
            return await left_open(postgres), len(connections._idle)

    assert asyncio.run(story()) == (0, 1)


def test_a_task_cancelled_twice_leaves_nothing_open(postgres, schema):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema, connections_max=2) as storage:
            await save_async(storage, written("A-1"))
            async with storage.transaction() as holder:
                await holder.load([KEY])
                waiting = asyncio.create_task(increment_async(storage, KEY))
                await asyncio.sleep(0.05)
                waiting.cancel()
                await asyncio.sleep(0)
                waiting.cancel()  # while psycopg takes the statement back
                await asyncio.wait([waiting])
            await asyncio.wait_for(asyncio.gather(*(increment_async(storage, KEY) for _ in range(4))), 20)
            return await left_open(postgres)

    assert asyncio.run(story()) == 0


def test_a_task_cancelled_while_it_connects_or_begins_costs_the_store_no_connection(postgres, schema):
    async def story():
        settings: dict[str, Any] = {"connections_max": 1, "busy_timeout": timedelta(seconds=5)}
        async with AsyncPostgresStorage(postgres.uri, schema=schema, **settings) as storage:
            connections: Any = storage._connections

            async def begin():
                async with storage.transaction():
                    await asyncio.sleep(60)

            for turns in range(24):
                if turns % 2:
                    connections.close_idle()
                beginning = asyncio.create_task(begin())
                for _ in range(turns // 2):
                    await asyncio.sleep(0)
                beginning.cancel()
                await asyncio.wait([beginning])
                assert await left_open(postgres) == 0
                await increment_async(storage, KEY)
            return len(await storage.history(KEY))

    assert asyncio.run(story()) == 24


class Deaf:
    """A pool that loses a cancellation, as `asyncio.wait_for` of Python 3.11 may in psycopg's own one."""

    def __init__(self, pool):
        self.pool = pool
        self.lending = asyncio.Event()

    @asynccontextmanager
    async def connection(self):
        async with self.pool.connection() as connection:
            self.lending.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
            yield connection


def test_a_cancellation_that_the_hosts_pool_has_lost_is_heeded(postgres, schema):
    async def story():
        async with (
            AsyncPostgresStorage(postgres.uri, schema=schema) as storage,
            AsyncConnectionPool(postgres.uri, min_size=1, max_size=1, open=False) as pool,
        ):
            await save_async(storage, written("A-1"))
            deaf = Deaf(pool)
            pooled = AsyncPostgresStorage(deaf, schema=schema)
            await pooled.open()
            async with storage.transaction() as holder:
                await holder.load([KEY])
                deaf.lending.clear()
                waiting = asyncio.create_task(increment_async(pooled, KEY))
                await deaf.lending.wait()
                waiting.cancel()
                # It waits no more for a row that whoever ended it holds.
                await asyncio.wait([waiting], timeout=20)
                assert waiting.cancelled()
                await holder.commit([written("A-1", 1)])
            await asyncio.wait_for(increment_async(pooled, KEY), 20)
            return len(await storage.history(KEY))

    assert asyncio.run(story()) == 3


def test_a_cancellation_that_a_wait_of_the_drivers_has_lost_is_heeded():
    ended = []

    def steps():
        try:
            yield "first"
            yield "second"
        finally:
            ended.append("undone")

    async def act(step):
        if step == "second":
            raise AssertionError("it went on")
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(20)

    async def story():
        task = asyncio.create_task(drive_async(steps(), act))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert ended == ["undone"]


def test_a_task_that_was_cancelled_before_may_still_put_things_in_order(postgres, schema):
    async def story():
        async with AsyncPostgresStorage(postgres.uri, schema=schema) as storage:
            await save_async(storage, written("A-1"))

            async def tidy():
                try:
                    await asyncio.sleep(20)
                finally:
                    await increment_async(storage, KEY)

            task = asyncio.create_task(tidy())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            return len(await storage.history(KEY))

    assert asyncio.run(story()) == 2


# A reply that was lost


@asynccontextmanager
async def on_a_line(own_postgres, schema, **settings):
    with tempfile.TemporaryDirectory() as folder, line_to(own_postgres.uri, Path(folder)) as line:
        async with AsyncPostgresStorage(line.uri, schema=schema, **settings) as storage:
            yield storage, line


@pytest.mark.parametrize("connections_max", [1, 5])
@pytest.mark.parametrize(("when", "done"), [(BEFORE, False), (AFTER, True)])
def test_what_became_of_a_commit_is_found_out_where_its_reply_was_lost(
    own_postgres, schema, when, done, connections_max
):
    async def story():
        async with on_a_line(own_postgres, schema, connections_max=connections_max) as (storage, line):
            line.cut = when
            try:
                await save_async(storage, written("A-1"))
            except Conflict:
                saved = False
            else:
                saved = True
            assert line.cuts == 1
            assert bool(await storage.read([KEY])) is saved
            return saved

    assert asyncio.run(story()) is done


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_where_the_server_cannot_be_asked_the_outcome_is_unknown(own_postgres, schema, when):
    async def story():
        async with on_a_line(own_postgres, schema, busy_timeout=timedelta(seconds=0.3)) as (storage, line):
            line.cut, line.closed = when, True
            with pytest.raises(OutcomeUnknown, match="command id"):
                await save_async(storage, written("A-1"))

    asyncio.run(story())


# Event loops, processes


def test_a_second_event_loop_is_refused_while_the_first_is_there(postgres, schema):
    with Blocking(AsyncPostgresStorage(postgres.uri, schema=schema)) as storage:
        save(storage, written("A-1"))

        async def elsewhere():
            with pytest.raises(Misconfigured, match="make a store for each loop"):
                await storage.awaited.read([KEY])
            with pytest.raises(Misconfigured, match="make a store for each loop"):
                async with storage.awaited.transaction():
                    pass

        asyncio.run(elsewhere())
        assert storage.read([KEY])


def test_after_the_end_of_an_event_loop_the_next_one_is_served(postgres, schema):
    storage = AsyncPostgresStorage(postgres.uri, schema=schema, connections_max=1)
    for _ in range(3):
        asyncio.run(increment_async(storage, KEY))
    assert len(asyncio.run(storage.history(KEY))) == 3
    asyncio.run(storage.close())


FORK = """
import asyncio, os, sys
from ordermgmt.storage import AsyncPostgresStorage
from ordermgmt.testing.conformance.storage_async import increment_async
uri, schema = sys.argv[1:]
storage = AsyncPostgresStorage(uri, schema=schema)
KEY = ("order", "A-1")

async def work():
    await asyncio.gather(*(increment_async(storage, KEY) for _ in range(3)))

asyncio.run(work())
pid = os.fork()
asyncio.run(work())
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    asyncio.run(work())
asyncio.run(storage.close())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_has_connections_of_its_own(postgres, postgres_storage):
    command = [sys.executable, "-W", "error", "-c", FORK, postgres.uri, postgres_storage.schema]
    told = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert len(postgres_storage.history(KEY)) == 12


# What is refused


def refused(storage, says, error: type[OrderManagementError] = Misconfigured):
    async def opened():
        async with storage:
            pass

    with pytest.raises(error, match=says):
        asyncio.run(opened())


def test_a_blocking_pool_is_refused_by_name(postgres):
    pool: Any = ConnectionPool(postgres.uri, min_size=1, open=False)  # a type checker refuses it as well
    refused(AsyncPostgresStorage(pool), "ConnectionPool is a blocking pool.*AsyncConnectionPool")


def test_an_awaited_pool_is_refused_by_the_blocking_store(postgres):
    pool: Any = AsyncConnectionPool(postgres.uri, min_size=1, open=False)
    with pytest.raises(Misconfigured, match=r"AsyncConnectionPool is awaited.*AsyncPostgresStorage"):
        PostgresStorage(pool)


@pytest.mark.parametrize("database", [None, 5, object()])
def test_what_is_neither_an_address_nor_a_pool_is_refused(database):
    with pytest.raises(Misconfigured, match="AsyncConnectionPool"):
        AsyncPostgresStorage(database)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"connections_max": 0}, "connections_max"),
        ({"busy_timeout": None}, "busy_timeout=None: give a timedelta"),
        ({"schema": "My shop"}, "lower"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_at_once(settings, says):
    with pytest.raises(Misconfigured, match=says):
        AsyncPostgresStorage("postgresql://", **settings)


def test_what_is_no_connection_string_is_refused_at_once_and_not_repeated():
    with pytest.raises(Misconfigured, match="postgresql://user@host") as caught:
        AsyncPostgresStorage("shop.db password=secret nonsense")
    assert "secret" not in str(caught.value)


def test_a_server_that_may_lose_commits_is_refused(postgres, schema):
    lax = postgres.uri_with(synchronous_commit="off")
    refused(AsyncPostgresStorage(lax, schema=schema), "synchronous_commit=off .* set it to on")


def test_a_schema_of_a_newer_release_is_refused(postgres):
    schema = postgres.new_schema()
    PostgresStorage(postgres.uri, schema=schema).close()
    postgres.do(f"UPDATE {schema}.meta SET schema = 99")  # noqa: S608 - a name of our own
    try:
        refused(AsyncPostgresStorage(postgres.uri, schema=schema), "99.*upgrade ordermgmt", NewerSchema)
    finally:
        postgres.do(f"DROP SCHEMA {schema} CASCADE")


def test_a_server_that_is_not_there_is_said_to_be_the_trouble_at_once(tmp_path):
    refused(AsyncPostgresStorage(f"host={tmp_path} dbname=shop"), "No such file", StorageFailed)


def test_a_store_that_could_not_be_opened_can_be_opened_later(postgres, schema):
    async def story():
        storage = AsyncPostgresStorage(postgres.uri, schema=schema)
        await asyncio.to_thread(postgres.do, f"UPDATE {schema}.meta SET schema = schema + 90")  # noqa: S608 - ours
        with pytest.raises(NewerSchema):
            await storage.read([KEY])
        await asyncio.to_thread(postgres.do, f"UPDATE {schema}.meta SET schema = schema - 90")  # noqa: S608 - ours
        assert not await storage.read([KEY])
        await storage.close()

    asyncio.run(story())


# The library around it


def test_a_hosts_connection_comes_back_as_it_was_lent(postgres, schema):
    async def story():
        async with await psycopg.AsyncConnection[Any].connect(postgres.uri, row_factory=dict_row) as connection:

            class Lending:
                @asynccontextmanager
                async def connection(self):
                    yield connection
                    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                    assert not connection.autocommit

            async with AsyncPostgresStorage(Lending(), schema=schema) as storage:
                await increment_async(storage, KEY)
                async with storage.transaction() as transaction:
                    await transaction.load([KEY])  # and no commit
                assert len(await storage.feed()) == 1
            assert not connection.closed

    asyncio.run(story())


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}


def python(code):
    return subprocess.run([sys.executable, "-c", code], env=environment(), check=True, capture_output=True, text=True)


def test_without_its_driver_the_store_names_the_extra():
    told = python(
        "import sys; sys.modules['psycopg'] = None\n"
        "import ordermgmt.storage\n"
        "try: ordermgmt.storage.AsyncPostgresStorage\n"
        "except ordermgmt.MissingExtra as error: print(error)"
    )
    assert "AsyncPostgresStorage needs psycopg 3: pip install 'ordermgmt[postgres]'" in told.stdout


def test_everything_can_be_imported_from_the_stores_without_the_driver():
    told = python(
        "import sys; sys.modules['psycopg'] = None\n"
        "from ordermgmt.storage import *\n"
        "print(MemoryStorage.__name__, SqliteStorage.__name__)"
    )
    assert told.stdout.split() == ["MemoryStorage", "SqliteStorage"]


def test_the_stores_that_need_the_driver_are_told_of_beside_the_others():
    import ordermgmt.storage

    assert {"AsyncPostgresStorage", "MemoryStorage", "PostgresStorage", "SqliteStorage"} <= set(dir(ordermgmt.storage))
