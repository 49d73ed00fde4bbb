"""PostgresStorage keeps the promises of a store, and what a server adds to them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from ordermgmt.engine.transaction import Entry, Query
from ordermgmt.errors import Conflict, InvalidInput, MissingExtra, StorageBusy, StorageFailed
from ordermgmt.storage import NewerSchema, PostgresStorage
from ordermgmt.storage.postgres.connections import Borrowed
from ordermgmt.storage.postgres.schema import MIGRATIONS, migrate, schema_version
from ordermgmt.storage.postgres.steps import Ask, asked, drive
from ordermgmt.storage.postgres.store import PostgresTransaction
from ordermgmt.storage.postgres.texts import Blobs, Numbers, Texts
from ordermgmt.storage.postgres.wire import Wire
from ordermgmt.testing.conformance.storage import (
    StorageContract,
    increment,
    save,
    together,
    whole_feed,
    written,
)
from tests.storage.dying import dies_once
from tests.storage.interrupting import interrupted_at, look

KEY = ("stock", "SKU")


class TestPostgresStorage(StorageContract):
    @pytest.fixture
    def storage(self, postgres, postgres_storage):
        self.postgres, self.schema = postgres, postgres_storage.schema
        return postgres_storage

    def reopen(self, storage):
        storage.close()
        return PostgresStorage(self.postgres.uri, schema=self.schema)


class TestPostgresStorageWithALibpqThatKnowsNoPipeline(TestPostgresStorage):
    @pytest.fixture
    def storage(self, postgres, postgres_storage, monkeypatch):
        monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
        monkeypatch.setattr(Wire, "asked", None)  # nobody may call it
        self.postgres, self.schema = postgres, postgres_storage.schema
        with closing(PostgresStorage(postgres.uri, schema=self.schema)) as storage:
            yield storage


class HostsPool:
    """A host's pool: its connections are in psycopg's own default mode."""

    def __init__(self, uri):
        self.uri = uri
        self.idle: list[psycopg.Connection] = []

    @contextmanager
    def connection(self):
        connection = self.idle.pop() if self.idle else psycopg.connect(self.uri)
        yield connection
        assert not connection.autocommit
        if not connection.closed:
            self.idle.append(connection)

    def close(self):
        for connection in self.idle:
            connection.close()


class TestPostgresStorageOnAPoolOfTheHosts(StorageContract):
    @pytest.fixture
    def storage(self, postgres, postgres_storage):
        self.schema = postgres_storage.schema
        with (
            closing(HostsPool(postgres.uri)) as self.pool,
            closing(PostgresStorage(self.pool, schema=self.schema)) as storage,
        ):
            yield storage

    def reopen(self, storage):
        storage.close()
        return PostgresStorage(self.pool, schema=self.schema)


def write(transaction, writes):
    """What `commit` does before it says COMMIT: the events have their numbers, and may still fail."""
    drive(transaction._course.save(writes), transaction._act)


@pytest.fixture
def storage(postgres_storage):
    return postgres_storage


@pytest.fixture
def schema(postgres):
    name = postgres.new_schema()
    yield name
    postgres.do(f"DROP SCHEMA IF EXISTS {name} CASCADE")


# Rows that are locked, and rows that are not there


def test_rows_of_others_are_not_waited_for(storage):
    save(storage, written("A-1"), written("A-2"))
    with storage.transaction() as first:
        first.load([("order", "A-1")])
        increment(storage, ("order", "A-2"))
        first.commit([written("A-1", 1)])
    assert len(storage.feed()) == 4


def test_what_was_made_while_we_waited_is_seen_beside_what_we_waited_for(storage):
    # The order is locked by somebody who plans a parcel for it: whoever gets the order next gets the parcel too.
    save(storage, written("A-1"))
    holds, asked = threading.Event(), threading.Event()

    def work(number):
        if number:
            holds.wait()
            with storage.transaction() as transaction:
                asked.set()
                return transaction.load([("parcel", "A-1:s1"), ("order", "A-1")])
        with storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
            holds.set()
            asked.wait()
            threading.Event().wait(0.1)  # by now the other one waits for the row
            transaction.commit([written("A-1", 1), written("A-1:s1", kind="parcel")])
        return None

    rows = together(2, work)[1]
    assert rows
    assert {key: row.version for key, row in rows.items()} == {("order", "A-1"): 2, ("parcel", "A-1:s1"): 1}


def test_whoever_waits_too_long_for_a_row_is_told_that_the_store_is_busy(postgres, storage):
    save(storage, written("A-1"))
    with (
        closing(PostgresStorage(postgres.uri, schema=storage.schema, busy_timeout=timedelta(milliseconds=50))) as hasty,
        storage.transaction() as holder,
    ):
        holder.load([("order", "A-1")])
        with pytest.raises(StorageBusy), hasty.transaction() as transaction:
            transaction.load([("order", "A-1")])
        assert not hasty.read([("order", "A-2")])


def test_whoever_is_interrupted_while_it_waits_leaves_the_store_as_it_was(postgres, storage):
    save(storage, written("A-1"))

    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        with storage.transaction() as holder:
            holder.load([("order", "A-1")])
            for _ in range(3):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(KeyboardInterrupt), storage.transaction() as waiting:
                    waiting.load([("order", "A-1")])
            holder.commit([written("A-1", 1)])
    finally:
        signal.signal(signal.SIGALRM, handler)
    increment(storage, ("order", "A-1"))
    assert len(storage.feed()) == 3
    waiters = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' OR state LIKE 'idle in%'"
    assert postgres.do(waiters) == [(0,)]


@pytest.mark.parametrize(
    "door", [PostgresTransaction.__exit__, PostgresTransaction._leave, PostgresTransaction._release]
)
def test_whoever_is_interrupted_at_the_door_keeps_no_row_and_no_connection(postgres, storage, door):
    with closing(
        PostgresStorage(postgres.uri, schema=storage.schema, connections_max=1, busy_timeout=timedelta(seconds=1))
    ) as again:
        increment(again, KEY)
        with interrupted_at(door):
            look(again, KEY)
        with storage.transaction() as other:
            assert other.load([KEY], skip_locked=True)
        increment(again, KEY)


@pytest.mark.parametrize("door", [Borrowed.__exit__, Borrowed._leave])
def test_whoever_is_interrupted_when_it_has_read_keeps_no_connection(postgres, storage, door):
    with closing(
        PostgresStorage(postgres.uri, schema=storage.schema, connections_max=1, busy_timeout=timedelta(seconds=1))
    ) as again:
        with interrupted_at(door):
            again.read([KEY])
        assert again.read([KEY]) == {}


def test_a_statement_whose_answer_nobody_took_in_can_be_said_again(postgres, storage, monkeypatch):
    told = Wire._told

    def interrupted(self):
        yield from told(self)
        raise KeyboardInterrupt

    with closing(PostgresStorage(postgres.uri, schema=storage.schema, connections_max=1)) as again:
        monkeypatch.setattr(Wire, "_told", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again.read([KEY])
        monkeypatch.undo()
        assert again.read([KEY]) == {}
        increment(again, KEY)
        assert again.read([KEY])[KEY].version == 1


def test_two_who_wait_for_each_other_are_sent_back_to_decide_again(own_postgres, storage):
    # An engine takes rows in one order; who does not is found out by the server.
    own_postgres.do("ALTER SYSTEM SET deadlock_timeout = '20ms'", "SELECT pg_reload_conf()")
    save(storage, written("A"), written("B"))
    first_taken = threading.Barrier(2)

    def work(number):
        mine, other = ("AB", "BA")[number]
        try:
            with storage.transaction() as transaction:
                transaction.load([("order", mine)])
                first_taken.wait()
                transaction.load([("order", other)])
        except Conflict as conflict:
            return conflict.keys
        return None

    try:
        outcomes = together(2, work)
    finally:
        own_postgres.do("ALTER SYSTEM RESET deadlock_timeout", "SELECT pg_reload_conf()")
    assert sum(keys is not None for keys in outcomes) == 1


def test_when_all_connections_are_in_use_the_store_is_busy(postgres, storage):
    with (
        closing(
            PostgresStorage(
                postgres.uri, schema=storage.schema, connections_max=1, busy_timeout=timedelta(milliseconds=50)
            )
        ) as small,
        small.transaction(),
        pytest.raises(StorageBusy, match="connections_max"),
    ):
        small.feed()


def test_when_all_connections_of_the_hosts_pool_are_in_use_the_store_is_busy(postgres, storage):
    with (
        ConnectionPool(postgres.uri, min_size=1, max_size=1, timeout=0.05) as pool,
        closing(PostgresStorage(pool, schema=storage.schema)) as small,
        pool.connection(),
        pytest.raises(StorageBusy, match="your pool had no connection free"),
    ):
        small.feed()


def test_connections_of_the_hosts_pool_that_died_with_the_server_are_not_noticed(own_postgres):
    schema = own_postgres.new_schema()
    with (
        ConnectionPool(own_postgres.uri, min_size=3, max_size=3) as pool,
        closing(PostgresStorage(pool, schema=schema)) as storage,
    ):
        for n in range(3):  # most of them were never used
            own_postgres.do(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'",
                "SELECT pg_sleep(0.1)",
            )
            save(storage, written(f"A-{n}"))
        assert len(storage.feed()) == 3


@pytest.mark.parametrize("when", ["judging", "preparing"])
@pytest.mark.parametrize("hosts", [False, True], ids=["own", "hosts"])
def test_a_server_that_goes_away_while_a_store_is_opened_is_waited_for(postgres, monkeypatch, when, *, hosts):
    """A worker that is started again in the moment in which the server crashes shall not die of it."""
    dies_once(monkeypatch, when)
    with (
        ConnectionPool(postgres.uri, min_size=1, max_size=2) as pool,
        closing(PostgresStorage(pool if hosts else postgres.uri, schema=postgres.new_schema())) as storage,
    ):
        save(storage, written("A-1"))
        assert len(storage.feed()) == 1


def test_a_store_that_never_gets_a_living_connection_says_so(postgres, monkeypatch):
    dies_once(monkeypatch, "preparing", times=100)
    with pytest.raises(StorageFailed, match="nothing was saved"):
        PostgresStorage(postgres.uri, schema=postgres.new_schema())


def test_a_text_too_long_for_an_index_is_refused_in_words(storage):
    long = "".join(chr(33 + n * n * 7 % 5000) for n in range(5000))
    with pytest.raises(InvalidInput, match="too long"):
        save(storage, written("A-1", kind=long))
    assert not storage.feed()


# The feed, though transactions commit out of order


def test_a_number_that_may_still_be_committed_is_not_passed_over(storage):
    save(storage, written("A-1"))
    with storage.transaction() as slow:
        slow.load([("order", "A-2")])
        write(slow, [written("A-2")])  # it has its number, and has not committed
        save(storage, written("A-3"))
        assert [entry.key[1] for entry in storage.feed()] == ["A-1"]
        slow._connection.execute("COMMIT")
    assert [entry.key[1] for entry in storage.feed()] == ["A-1", "A-2", "A-3"]


def test_a_follower_waits_for_a_commit_that_is_under_way(storage):
    with storage.transaction() as slow:
        slow.load([("order", "A-2")])
        write(slow, [written("A-2")])
        save(storage, written("A-3"))
        ending = threading.Timer(0.1, lambda: slow._connection.execute("COMMIT"))
        ending.start()
        assert [entry.key[1] for entry in storage.feed()] == ["A-2", "A-3"]
        ending.join()


def test_a_number_whose_transaction_failed_is_passed_over(storage):
    save(storage, written("A-1"))
    for name in ("A-2", "A-3"):
        with storage.transaction() as failing:
            failing.load([("order", name)])
            write(failing, [written(name, events=3)])
        save(storage, written(f"{name}-good"))
    assert [entry.key[1] for entry in whole_feed(storage, limit=1)] == ["A-1", "A-2-good", "A-3-good"]
    assert [entry.position for entry in whole_feed(storage)] == [1, 5, 9]


def test_a_long_transaction_of_somebody_else_does_not_stop_the_feed(postgres, storage):
    with psycopg.connect(postgres.uri) as other:
        other.execute("CREATE TEMP TABLE report AS SELECT 1")
        with storage.transaction() as failing:
            failing.load([("order", "A-1")])
            write(failing, [written("A-1")])
        save(storage, written("A-2"))
        assert [entry.key[1] for entry in storage.feed()] == ["A-2"]


def test_followers_miss_nothing_while_some_commits_fail(storage):
    done: list[int] = []
    seen: list[Entry] = []

    def work(number):
        if not number:
            while len(done) < 3:
                seen.extend(whole_feed(storage, after=seen[-1].position if seen else 0, limit=5))
            return
        try:
            for n in range(30):
                with storage.transaction() as transaction:
                    transaction.load([("order", f"{number}-{n}")])
                    write(transaction, [written(f"{number}-{n}", events=2)])
                    if n % 3:
                        transaction._connection.execute("COMMIT")
        finally:
            done.append(number)

    together(4, work)
    seen.extend(whole_feed(storage, after=seen[-1].position if seen else 0))
    assert seen == whole_feed(storage)
    assert len(seen) == 3 * 20 * 2


# History only grows


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {s}.history SET doc = '' WHERE position = 1",
        "UPDATE {s}.history SET actor = actor",
        "DELETE FROM {s}.history WHERE position = 3",
        "TRUNCATE {s}.history",
    ],
)
def test_history_can_be_neither_changed_nor_deleted(postgres, storage, statement):
    save(storage, written("A-1", events=3))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        postgres.do(statement.replace("{s}", storage.schema))
    assert len(storage.feed()) == 3


# Schema and migrations


def executing(connection):
    def execute(text, values):
        cursor = connection.execute(text.encode(), list(values) or None)
        return cursor.fetchall() if cursor.description else []

    return execute


@pytest.mark.parametrize("done", [0, 1, 5, len(MIGRATIONS[0][1])])
def test_a_first_migration_interrupted_anywhere_is_done_by_the_next_opening(postgres, schema, done):
    version, statements = MIGRATIONS[0]
    with psycopg.connect(postgres.uri, autocommit=True) as raw, pytest.raises(psycopg.Error):
        migrate(executing(raw), schema, [(version, (*statements[:done], "SELECT nonsense"))])
    with closing(PostgresStorage(postgres.uri, schema=schema)) as storage:
        save(storage, written("A-1"))
        assert len(storage.installation) == 32


def test_a_later_migration_goes_on_where_it_was_interrupted(postgres, schema):
    with closing(PostgresStorage(postgres.uri, schema=schema)) as storage:
        save(storage, written("A-1"))
    second = (2, ("CREATE TABLE {s}.extra (a bigint)",))
    broken = (3, ("CREATE TABLE {s}.more (a bigint)", "SELECT nonsense"))
    third = (3, ("CREATE TABLE {s}.more (a bigint)",))
    with psycopg.connect(postgres.uri, autocommit=True) as raw:
        with pytest.raises(psycopg.Error):
            migrate(executing(raw), schema, [*MIGRATIONS, second, broken])
        raw.execute("ROLLBACK")
        assert schema_version(executing(raw), schema) == 2
        migrate(executing(raw), schema, [*MIGRATIONS, second, third])
        assert schema_version(executing(raw), schema) == 3
    with pytest.raises(NewerSchema, match="upgrade ordermgmt"):
        PostgresStorage(postgres.uri, schema=schema)


def test_threads_that_open_a_new_schema_at_once_make_one_store(postgres, schema):
    stores = together(4, lambda _: PostgresStorage(postgres.uri, schema=schema))
    assert len({storage.installation for storage in stores}) == 1
    for storage in stores:
        storage.close()


def test_two_schemas_of_one_database_are_two_stores(postgres, storage, schema):
    save(storage, written("A-1"))
    with closing(PostgresStorage(postgres.uri, schema=schema)) as other:
        assert other.installation != storage.installation
        assert not other.feed()
        save(other, written("A-1"))


def test_a_user_without_rights_to_make_tables_can_work_in_a_store_that_is_made(postgres, schema):
    PostgresStorage(postgres.uri, schema=schema).close()
    postgres.do(
        f"CREATE ROLE clerk_{schema} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO clerk_{schema}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO clerk_{schema}",
        f"GRANT DELETE ON {schema}.idx, {schema}.personal TO clerk_{schema}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO clerk_{schema}",
    )
    try:
        clerk = make_conninfo(postgres.uri, user=f"clerk_{schema}")
        with closing(PostgresStorage(clerk, schema=schema)) as storage:
            save(storage, written("A-1", index={"status": "new"}))
            save(storage, written("A-1", 1, index={"status": "paid"}, unindex={"status": "new"}))
            assert len(storage.feed()) == 2
    finally:
        postgres.do(f"DROP SCHEMA {schema} CASCADE", f"DROP ROLE clerk_{schema}")


# What statements cost


@pytest.mark.parametrize("upto", [None, ("due", "5")])
@pytest.mark.parametrize("after", [None, ("1", "a")])
@pytest.mark.parametrize("equal", [{}, {"status": ["a"]}, {"status": ["a", "b"], "customer": ["c"]}])
def test_no_question_reads_a_whole_table(storage, upto, after, equal):
    text, values = storage._texts.find(Query(kind="order", equal=equal, upto=upto, after=after))
    connection = storage._connections.borrow()
    plan = str(connection.execute(b"EXPLAIN " + text, values).fetchall())
    storage._connections.give_back(connection)
    assert "Seq Scan" not in plan
    assert "Index" in plan


ODD = ["", '"', "\\", '\\"', '","', "{}", "NULL", " a ", "\n\t", "'%s'", "é€😀", "\u2028", "x" * 300]


@pytest.mark.parametrize("texts", [[], ODD, *([one] for one in ODD)])
def test_lists_arrive_as_they_were_whatever_is_in_them(storage, texts):
    numbers = [0, -(2**63), 2**63 - 1][: len(texts)]
    blobs = [text.encode() for text in texts]
    ask = Ask(b"SELECT %s, %s, %s", [Texts(texts), Numbers(numbers), Blobs(blobs)])
    connection = storage._connections.borrow()
    try:
        told = storage._connections.asked(connection, ask), asked(connection, ask)
    finally:
        storage._connections.give_back(connection)
    assert told == ([(texts, numbers, blobs)], [(texts, numbers, blobs)])


def test_a_command_takes_two_round_trips(storage, monkeypatch):
    waits: list[object] = []
    wait = psycopg.Connection.wait

    def counted(self, *rest, **more):
        waits.append(rest)
        return wait(self, *rest, **more)

    monkeypatch.setattr(psycopg.Connection, "wait", counted)
    keys = [("order", f"A-{n}") for n in range(20)]
    with storage.transaction() as transaction:
        transaction.load(keys)
        transaction.commit([written(id, index={"status": "new"}) for _, id in keys])
    assert len(waits) == 2, waits


# Processes


PROCESS = """
import os, sys
from ordermgmt.storage import PostgresStorage
from ordermgmt.testing.conformance.storage import increment, save, written
what, uri, schema = sys.argv[1:]
storage = PostgresStorage(uri, schema=schema)
KEY = ("stock", "SKU")
if what == "increase":
    for _ in range(40):
        increment(storage, KEY)
elif what == "fork":
    increment(storage, KEY)
    with storage.transaction() as transaction:
        transaction.load([KEY])
        pid = os.fork()
        if not pid:
            with storage.transaction() as other:  # on a connection of its own
                other.load([("order", "child")])
                other.commit([written("child")])
            storage.close()
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        transaction.commit([written("SKU", 1, kind="stock")])
    assert len(storage.feed()) == 3
else:
    version = 0
    while True:
        save(storage, written("SKU", version, kind="stock"), written(f"{version}"))
        version += 1
        os.write(1, b"%d\\n" % version)
storage.close()
"""


def process(what, postgres, storage, **options):
    command = [sys.executable, "-W", "error", "-c", PROCESS, what, postgres.uri, storage.schema]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, **options)


def test_no_increment_is_lost_between_two_processes_and_four_threads(postgres, storage):
    running = [process("increase", postgres, storage) for _ in range(2)]

    def work(_):
        for _round in range(15):
            increment(storage, KEY)

    together(4, work)
    assert [one.wait(timeout=120) for one in running] == [0, 0]
    assert [entry.version for entry in storage.history(KEY)] == list(range(1, 141))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_leaves_the_connections_of_its_parent_alone(postgres, storage):
    one = process("fork", postgres, storage, stderr=subprocess.PIPE, text=True)
    _, errors = one.communicate(timeout=60)
    assert one.returncode == 0, errors


def test_what_a_killed_writer_had_acknowledged_is_there(postgres, storage):
    writer = process("until killed", postgres, storage, stdout=subprocess.PIPE)
    assert writer.stdout
    acknowledged = max(int(writer.stdout.readline()) for _ in range(5))
    writer.send_signal(signal.SIGKILL)
    with writer.stdout:
        rest = [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line[-1:] == b"\n"]
    writer.wait(timeout=60)
    acknowledged = max([acknowledged, *rest])
    with storage.transaction() as transaction:
        version = transaction.load([KEY])[KEY].version  # once its last transaction has ended
    assert version - acknowledged in {0, 1}
    assert len(storage.feed()) == 2 * version


def test_a_stopped_process_does_not_keep_its_rows_for_ever(postgres, storage):
    save(storage, written("A-1"))
    with closing(
        PostgresStorage(postgres.uri, schema=storage.schema, idle_timeout=timedelta(milliseconds=50))
    ) as sleepy:
        with sleepy.transaction() as transaction:
            transaction.load([("order", "A-1")])
            increment(storage, ("order", "A-1"))  # waits until the server has ended the sleeper's transaction
            with pytest.raises(Conflict):
                transaction.commit([written("A-1", 1)])
        increment(sleepy, ("order", "A-1"))
    assert len(storage.feed()) == 3


# The library around it


def test_a_transaction_that_is_open_when_the_store_is_closed_may_end(postgres, schema):
    storage = PostgresStorage(postgres.uri, schema=schema)
    with storage.transaction() as transaction:
        storage.close()
        transaction.commit([written("A-1")])
    with pytest.raises(StorageFailed, match="closed"):
        storage.feed()
    with closing(PostgresStorage(postgres.uri, schema=schema)) as again:
        assert len(again.feed()) == 1


def test_a_hosts_connection_comes_back_as_it_was_lent(postgres, storage):
    with psycopg.connect(postgres.uri) as connection:
        seen = []

        class Lending:
            def connection(self):
                seen.append(connection)
                return self

            def __enter__(self):
                return connection

            def __exit__(self, *_):
                assert connection.info.transaction_status == TransactionStatus.IDLE

        store = PostgresStorage(Lending(), schema=storage.schema)
        save(store, written("A-1"))
        store.close()
        assert seen
        assert not connection.autocommit
        assert not connection.closed


def test_without_its_driver_the_store_names_the_extra():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import ordermgmt.storage\n"
        "try: ordermgmt.storage.PostgresStorage\n"
        "except ordermgmt.MissingExtra as error: print(error)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert "ordermgmt[postgres]" in told.stdout
    assert issubclass(MissingExtra, ImportError)


def test_importing_the_stores_does_not_import_the_driver():
    code = "import sys, ordermgmt.storage; print('psycopg' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"


def test_threads_of_an_event_loop_may_share_it(storage):
    async def main():
        await asyncio.gather(*(asyncio.to_thread(increment, storage, KEY) for _ in range(10)))

    asyncio.run(main())
    assert len(storage.history(KEY)) == 10
