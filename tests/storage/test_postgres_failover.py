"""When a server, a standby or all connections of a pool go away, callers lose nothing and learn the truth."""

import os
import signal
import threading
import time
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from ordermgmt.errors import Conflict, StorageBusy
from ordermgmt.storage import PostgresStorage
from ordermgmt.testing.conformance.storage import save, written
from tests.servers import server
from tests.storage.test_postgres_settings import set_to

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


def test_a_commit_under_way_at_a_failover_is_decided_again_on_the_new_primary():
    """Its number is none of that server's yet, and an event of it is not there."""
    with server() as primary:
        PostgresStorage(primary.uri).close()
        with server(copy_of=primary) as standby:
            assert primary.data
            both = make_conninfo(
                primary.uri, host=f"{primary.data},{standby.data}", port="5432,5432", target_session_attrs="read-write"
            )
            with closing(PostgresStorage(both)) as storage:
                with storage.transaction() as transaction:
                    transaction.load([("order", "A-1")])
                    os.kill(primary.handle.get_pid(), signal.SIGQUIT)
                    standby.do("SELECT pg_promote()")
                    with pytest.raises(Conflict):
                        transaction.commit([written("A-1")])
                save(storage, written("A-1"))
                assert len(storage.feed()) == 1


def test_a_commit_that_is_cut_off_while_it_waits_for_its_standby_is_not_answered_before_that_has_it(
    own_postgres, postgres_storage
):
    saving = threading.Thread(target=save, args=(postgres_storage, written("A-1")))
    with set_to(own_postgres, "synchronous_standby_names", "'away'"):
        saving.start()
        (pid,) = waiting_for_a_standby(own_postgres, 1)
        own_postgres.do(f"SELECT pg_terminate_backend({pid})")
        waiting_for_a_standby(own_postgres, 1, other_than=pid)
        assert saving.is_alive()
    saving.join(10)
    assert not saving.is_alive()
    assert len(postgres_storage.feed()) == 1


def waiting_for_a_standby(postgres, many, other_than=0):
    """The backends whose commit does."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = postgres.do(f"SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> {other_than}")  # noqa: S608
        if len(found) == many:
            return [pid for (pid,) in found]
        time.sleep(0.01)
    raise AssertionError(postgres.do("SELECT state, wait_event, query FROM pg_stat_activity"))


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_pool_of_which_every_connection_has_died_is_not_noticed(own_postgres, postgres_storage, used):
    with (
        ConnectionPool(own_postgres.uri, min_size=12, max_size=12) as pool,
        closing(PostgresStorage(pool, schema=postgres_storage.schema)) as storage,
    ):
        pool.wait()
        if used:
            lent = [storage._connections.borrow() for _ in range(12)]
            for one in lent:
                storage._connections.give_back(one)
        own_postgres.do(END_ALL, "SELECT pg_sleep(0.1)")
        save(storage, written("A-1"))
        pool.wait()
        own_postgres.do(END_ALL, "SELECT pg_sleep(0.1)")
        assert len(storage.feed()) == 1


def test_a_pool_that_lends_none_that_is_alive_is_busy(postgres, postgres_storage):
    """The server lets everybody in, and ends them at once."""

    class Pool:
        def connection(self):
            connection = psycopg.connect(postgres.uri, autocommit=True)
            postgres.do(f"SELECT pg_terminate_backend({connection.info.backend_pid})", "SELECT pg_sleep(0.02)")
            return connection

    with pytest.raises(StorageBusy, match="every connection that your pool lent") as caught:
        PostgresStorage(Pool(), schema=postgres_storage.schema, busy_timeout=timedelta(milliseconds=100))
    assert caught.value.retryable


def test_a_server_with_too_many_connections_is_busy(postgres, postgres_storage):
    role = f"few_{postgres_storage.schema}"
    postgres.do(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    postgres.do(f"GRANT USAGE ON SCHEMA {postgres_storage.schema} TO {role}")
    postgres.do(f"GRANT ALL ON ALL TABLES IN SCHEMA {postgres_storage.schema} TO {role}")
    try:
        few = make_conninfo(postgres.uri, user=role)
        patience = timedelta(milliseconds=200)
        with closing(PostgresStorage(few, schema=postgres_storage.schema, busy_timeout=patience)) as storage:
            with (
                storage._connections.borrow(),
                pytest.raises(StorageBusy, match=r"could not be reached.*allow more there, or fewer here") as caught,
            ):
                storage.feed()
            assert caught.value.retryable
    finally:
        postgres.do(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
