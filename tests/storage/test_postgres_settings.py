"""A set-up that could lose what was acknowledged, or that cannot work, is refused with what to change."""

import socket
import time
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from ordermgmt.errors import Misconfigured, OrderManagementError, StorageFailed
from ordermgmt.storage import NewerSchema, PostgresStorage
from ordermgmt.storage.postgres import sessions
from ordermgmt.storage.postgres.sessions import address
from ordermgmt.testing.conformance.storage import save, written
from tests.servers import server

NOTICING = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "connect_timeout")


@pytest.fixture
def schema(postgres):
    name = postgres.new_schema()
    yield name
    postgres.do(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@contextmanager
def set_to(postgres, name, value):
    """A setting of the whole server, for a while."""
    postgres.do(f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.1)")
    try:
        yield
    finally:
        postgres.do(f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.1)")


def refused(database, says, error: type[OrderManagementError] = Misconfigured, **settings):
    with pytest.raises(error, match=says):
        PostgresStorage(database, **settings).close()


def test_commits_that_are_acknowledged_before_they_are_written_are_refused(postgres, schema):
    refused(postgres.uri_with(synchronous_commit="off"), "synchronous_commit=off .* set it to on", schema=schema)


@pytest.mark.parametrize("level", ["local", "remote_write", "remote_apply"])
def test_every_level_that_writes_here_first_is_taken(postgres, schema, level):
    PostgresStorage(postgres.uri_with(synchronous_commit=level), schema=schema).close()


def test_a_server_that_does_not_sync_is_refused(own_postgres, schema):
    with set_to(own_postgres, "fsync", "off"):
        refused(own_postgres.uri, "set fsync=on and restart", schema=schema)


def test_a_server_that_may_tear_pages_is_refused(own_postgres, schema):
    with set_to(own_postgres, "full_page_writes", "off"):
        refused(own_postgres.uri, "set full_page_writes=on", schema=schema)


def test_a_connection_that_is_opened_later_is_judged_as_well(own_postgres, schema):
    with (
        closing(PostgresStorage(own_postgres.uri, schema=schema)) as storage,
        set_to(own_postgres, "full_page_writes", "off"),
    ):
        with storage.transaction(), pytest.raises(Misconfigured):
            storage.feed()  # on a second connection
        assert not storage.feed()


def test_a_database_that_only_reads_is_refused(postgres, schema):
    refused(postgres.uri_with(default_transaction_read_only="on"), "set it to off", schema=schema)


def test_a_standby_is_refused():
    with server() as primary:
        assert primary.data
        PostgresStorage(primary.uri).close()
        with server(copy_of=primary) as standby:
            refused(standby.uri, "standby .* point the store at the primary")


def test_a_server_that_is_too_old_is_refused(postgres, schema, monkeypatch):
    monkeypatch.setattr(sessions, "SERVER_MIN", 990000)
    refused(postgres.uri, "upgrade it", schema=schema)


def test_a_database_that_cannot_keep_every_text_is_refused(postgres, schema):
    postgres.do(f"CREATE DATABASE {schema} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        refused(make_conninfo(postgres.uri, dbname=schema), "LATIN1.* ENCODING 'UTF8'")
    finally:
        postgres.do(f"DROP DATABASE {schema}")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_connections_of_the_hosts_that_would_change_texts_are_refused(postgres, schema, encoding):
    with ConnectionPool(postgres.uri, kwargs={"client_encoding": encoding}, min_size=1, max_size=1) as pool:
        refused(pool, "client_encoding is not UTF8.* set", schema=schema)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_connections_of_its_own_change_no_text_whatever_the_address_says(postgres, schema, monkeypatch, encoding):
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    with closing(PostgresStorage(make_conninfo(postgres.uri, client_encoding=encoding), schema=schema)) as storage:
        save(storage, written("é"))
        assert [entry.key for entry in storage.feed()] == [("order", "é")]


def test_a_host_that_does_not_answer_is_left_for_the_next_one(postgres, schema):
    """A machine that has vanished says nothing; nor does this one, and the second is asked in time."""
    here = conninfo_to_dict(postgres.uri)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        both = make_conninfo(
            postgres.uri,
            host=f"127.0.0.1,{here['host']}",
            port=f"{deaf.getsockname()[1]},{here.get('port', 5432)}",
            target_session_attrs="read-write",
        )
        began = time.monotonic()
        PostgresStorage(both, schema=schema, busy_timeout=timedelta(seconds=6)).close()
        assert 1 < time.monotonic() - began < 6


def test_a_connection_notices_that_the_servers_machine_is_gone():
    told = conninfo_to_dict(address("postgresql://", 30))
    idle, interval, count, unheard, connecting = (int(told[name] or 0) for name in NOTICING)
    assert (idle + interval * count, unheard, connecting) == (30, 30_000, 10)


def test_time_outs_that_the_host_has_named_are_kept(monkeypatch):
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    told = conninfo_to_dict(address("host=a tcp_user_timeout=7000 application_name=till", 30))
    assert (told["tcp_user_timeout"], told["connect_timeout"], told["application_name"]) == ("7000", "4", "till")
    assert conninfo_to_dict(address("host=a connect_timeout=3", 30))["connect_timeout"] == "3"


def test_a_user_without_rights_is_told_what_is_missing(postgres, schema):
    postgres.do(f"CREATE ROLE {schema} LOGIN")
    try:
        refused(make_conninfo(postgres.uri, user=schema), "permission denied .* GRANT", schema=f"{schema}_x")
    finally:
        postgres.do(f"DROP ROLE {schema}")


def test_a_schema_of_a_newer_release_is_refused_and_left_as_it_is(postgres, schema):
    PostgresStorage(postgres.uri, schema=schema).close()
    postgres.do(f"UPDATE {schema}.meta SET schema = 99")  # noqa: S608 - a name of our own
    refused(postgres.uri, "99.*upgrade ordermgmt", NewerSchema, schema=schema)
    with pytest.raises(NewerSchema):
        PostgresStorage(postgres.uri, schema=schema)


def test_a_schema_with_tables_of_somebody_else_is_refused(postgres, schema):
    postgres.do(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.history (what text)")
    refused(postgres.uri, "give the store a schema of its own", schema=schema)


@pytest.mark.parametrize(
    "name", ["", "Shop", "my shop", "a;b", 'a"b', "pg_shop", "information_schema", "1shop", "x" * 64, None]
)
def test_a_schema_name_that_is_not_plain_is_refused(name):
    refused("postgresql://", "lower-case letters", schema=name)


def test_what_is_no_connection_string_is_refused_without_repeating_it():
    with pytest.raises(Misconfigured, match="postgresql://user@host") as caught:
        PostgresStorage("shop.db password=secret nonsense")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("database", ["", " ", "postgresql://a\0b/shop"])
def test_an_address_that_is_empty_or_cut_off_is_refused(database):
    refused(database, "empty, or holds a NUL")


@pytest.mark.parametrize("thing", [None, 5, object()])
def test_what_is_neither_an_address_nor_a_pool_is_refused(thing):
    refused(thing, "neither a connection string nor a pool")


def test_a_pool_that_is_awaited_is_refused():
    class AsyncPool:
        def connection(self):
            return self

    refused(AsyncPool(), "blocking pool")


@pytest.mark.parametrize(
    "settings",
    [
        {"connections_max": 0},
        {"connections_max": True},
        {"busy_timeout": timedelta(0)},
        {"busy_timeout": 30},
        {"statement_timeout": timedelta(-1)},
        {"idle_timeout": None},
        {"idle_timeout": timedelta.max},
    ],
    ids=str,
)
def test_a_number_that_means_for_ever_or_never_is_refused(settings):
    refused("postgresql://", f"{next(iter(settings))}=", **settings)


def test_a_server_that_is_not_there_is_said_to_be_the_trouble_at_once(tmp_path):
    refused(f"host={tmp_path} dbname=shop", "No such file", StorageFailed)


def test_a_server_that_becomes_a_standby_is_said_to_be_one(postgres, schema):
    with closing(PostgresStorage(postgres.uri, schema=schema)) as storage:
        connection = storage._connections.borrow()
        connection.execute("SET default_transaction_read_only = on")
        storage._connections.give_back(connection)
        with pytest.raises(Misconfigured, match="point the store at the primary"), storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
