"""A shop within the host's transaction on PostgreSQL: saved with the host's own rows, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy
from django.db import connections, transaction
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from ordermgmt import (
    Batcher,
    Conflict,
    Misconfigured,
    Order,
    OrderManagement,
    OutOfStock,
    ReceiveStock,
    Stock,
    StorageFailed,
)
from ordermgmt.storage import PostgresStorage
from tests.servers import Server
from tests.storage.joining import buy
from tests.stories import laws_hold

Joining = tuple[Any, Callable[[str], object]]
"""What the host gives to `within`, and how it runs a statement of its own."""
Host = Callable[[str], AbstractContextManager[Joining]]


@pytest.fixture
def shop(postgres_storage: PostgresStorage) -> OrderManagement:
    shop = OrderManagement(storage=postgres_storage)
    shop.handle_many([ReceiveStock(sku="mug", quantity=10), ReceiveStock(sku="cup", quantity=10)])
    return shop


@pytest.fixture
def uri(postgres: Server) -> Iterator[str]:
    postgres.do("CREATE TABLE IF NOT EXISTS invoice (number text)")
    yield postgres.uri
    postgres.do("DROP TABLE invoice")


@contextmanager
def plain(uri: str) -> Generator[Joining]:
    with psycopg.connect(uri) as connection:
        connection.row_factory = dict_row  # type: ignore[assignment]  # as hosts do, whatever the type says
        yield connection, lambda text: connection.execute(text.encode())


@contextmanager
def in_a_block(uri: str) -> Generator[Joining]:
    with psycopg.connect(uri, autocommit=True) as connection, connection.transaction():
        yield connection, lambda text: connection.execute(text.encode())


@contextmanager
def sqlalchemy_session(uri: str) -> Generator[Joining]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(uri))
    try:
        with Session(engine) as session, session.begin():
            yield session, lambda text: session.execute(sqlalchemy.text(text))
    finally:
        engine.dispose()


@contextmanager
def django_atomic(uri: str) -> Generator[Joining]:
    told = conninfo_to_dict(uri)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    database = {name: str(told.get(key) or "") for name, key in names.items()}
    database["ENGINE"] = "django.db.backends.postgresql"
    known: Any = connections  # Django is not typed
    atomic: Any = transaction.atomic
    known.settings["orders"] = known.configure_settings({"default": known.settings["default"], "orders": database})[
        "orders"
    ]
    try:
        with known["orders"].cursor() as cursor, atomic(using="orders"):
            yield known["orders"], cursor.execute
    finally:
        known["orders"].close()
        del known["orders"]
        del known.settings["orders"]


@pytest.mark.parametrize("host", [plain, in_a_block, sqlalchemy_session, django_atomic])
class TestInTheHostsTransaction:
    def test_what_the_host_commits_is_saved_with_its_own_rows(
        self, host: Host, shop: OrderManagement, uri: str, postgres: Server
    ) -> None:
        with host(uri) as (connection, run):
            run("INSERT INTO invoice VALUES ('R-1')")
            order = shop.within(connection).handle(buy("A-1"), by="ann", command_id="c-1")
        assert shop.get(Order, "A-1") == order
        assert postgres.do("SELECT number FROM invoice") == [("R-1",)]
        laws_hold(shop)

    def test_what_the_host_rolls_back_has_not_happened(
        self, host: Host, shop: OrderManagement, uri: str, postgres: Server
    ) -> None:
        with pytest.raises(ZeroDivisionError), host(uri) as (connection, run):  # noqa: PT012 - all of it is undone
            run("INSERT INTO invoice VALUES ('R-1')")
            inside = shop.within(connection)
            inside.handle(buy("A-1"))
            assert inside.get(Stock, ("mug", "main")).available == 9
            raise ZeroDivisionError
        assert shop.get(Stock, ("mug", "main")).available == 10
        assert postgres.do("SELECT number FROM invoice") == []

    def test_a_refusal_leaves_the_rest_of_the_hosts_transaction_as_it_was(
        self, host: Host, shop: OrderManagement, uri: str, postgres: Server
    ) -> None:
        with host(uri) as (connection, run):
            inside = shop.within(connection)
            run("INSERT INTO invoice VALUES ('R-1')")
            inside.handle(buy("A-1"))
            with pytest.raises(OutOfStock):
                inside.handle(buy("A-2", 100))
            inside.handle(buy("A-3"))
            assert [order.order_id for order in inside.find(Order, status="confirmed")] == ["A-1", "A-3"]
            assert inside.history(Order, "A-1")
            assert inside.feed()
            assert inside.erase("nobody") == 0
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-1", "A-3"]
        assert postgres.do("SELECT number FROM invoice") == [("R-1",)]
        laws_hold(shop)


class TestTheFeed:
    """Within a transaction nobody is waited for: it ends before a number that may still come."""

    @pytest.fixture
    def known(self, shop: OrderManagement, uri: str) -> int:
        """The position before a number that is missing for ever, after which a cup came."""
        with psycopg.connect(uri) as host:
            shop.within(host).handle(ReceiveStock(sku="pen", quantity=1))
            host.rollback()
        shop.handle(ReceiveStock(sku="cup", quantity=1))
        return shop.feed()[-1].position

    def test_it_passes_over_what_was_undone(self, known: int, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as host:
            inside = shop.within(host)
            assert [one.id for one in inside.feed(after=known)] == ["main/cup"]
            inside.handle(ReceiveStock(sku="hat", quantity=1))
            assert [one.id for one in inside.feed(after=known)] == ["main/cup", "main/hat"]
            host.rollback()

    def test_it_passes_over_nothing_that_may_still_be_committed(
        self, known: int, shop: OrderManagement, uri: str
    ) -> None:
        with psycopg.connect(uri) as host, psycopg.connect(uri) as other:
            shop.within(other).handle(ReceiveStock(sku="pen", quantity=1))
            assert shop.within(host).feed(after=known) == []
            other.commit()
            assert [one.id for one in shop.within(host).feed(after=known)] == ["main/cup", "main/pen"]
            host.rollback()

    def test_a_snapshot_cannot_know_what_was_committed_since(self, known: int, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as host:
            host.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            assert shop.within(host).feed(after=known) == []
            host.rollback()


class TestWithOthers:
    def test_threads_that_share_the_hosts_connection_take_turns(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as host, ThreadPoolExecutor(8) as threads:
            told = list(threads.map(lambda n: shop.within(host).handle(buy(f"A-{n}")), range(10)))
        assert sorted(order.order_id for order in shop.find(Order)) == sorted(order.order_id for order in told)
        laws_hold(shop)

    def test_a_deadlock_between_two_hosts_is_told_to_one_of_them_as_retryable(
        self, shop: OrderManagement, uri: str
    ) -> None:
        """Each host takes two rows, the other one's first: which no library can put in order for them."""
        both_hold_one = threading.Barrier(2)
        conflicts: list[Conflict] = []

        def host(name: str, first: str, second: str) -> None:
            for attempt in range(5):
                with psycopg.connect(uri) as connection:
                    connection.execute("SET deadlock_timeout = '50ms'")
                    inside = shop.within(connection)
                    inside.handle(buy(f"{name}-1", sku=first))
                    if attempt == 0:
                        both_hold_one.wait(20)
                    try:
                        inside.handle(buy(f"{name}-2", sku=second))
                    except Conflict as conflict:
                        conflicts.append(conflict)
                        connection.rollback()
                        continue
                    return

        threads = [
            threading.Thread(target=host, args=("A", "mug", "cup")),
            threading.Thread(target=host, args=("B", "cup", "mug")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert conflicts
        assert all(conflict.retryable for conflict in conflicts)
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-1", "A-2", "B-1", "B-2"]
        laws_hold(shop)

    def test_after_a_conflict_the_hosts_transaction_can_go_on(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("INSERT INTO invoice VALUES ('R-1')")
            shop.handle(buy("B-1"))
            with pytest.raises(Conflict):
                shop.within(connection).handle(buy("A-1"))
            connection.execute("INSERT INTO invoice VALUES ('R-2')")
        assert [order.order_id for order in shop.find(Order)] == ["B-1"]


class TestWhatIsRefused:
    def test_a_pipeline_is_left_first(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            with connection.pipeline(), pytest.raises(Misconfigured, match="pipeline mode"):
                shop.within(connection).handle(buy("A-1"))
            shop.within(connection).handle(buy("A-1"))
        assert shop.get(Order, "A-1").status == "confirmed"

    def test_a_connection_of_sqlalchemys_that_is_closed(self, shop: OrderManagement, uri: str) -> None:
        engine = sqlalchemy.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))
        connection = engine.connect()
        connection.close()
        with pytest.raises(StorageFailed, match="closed"):
            shop.within(connection).handle(buy("A-1"))
        engine.dispose()

    def test_without_a_transaction_of_the_host_nothing_is_done(self, shop: OrderManagement, uri: str) -> None:
        with (
            psycopg.connect(uri, autocommit=True) as connection,
            pytest.raises(Misconfigured, match=r"connection\.transaction"),
        ):
            shop.within(connection).handle(buy("A-1"))

    def test_a_transaction_that_has_failed_is_not_joined(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT 1 / 0")
            with pytest.raises(StorageFailed, match="roll it back"):
                shop.within(connection).handle(buy("A-1"))

    def test_due_work_and_batches_are_left_to_a_shop_that_commits(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            inside = shop.within(connection)
            with pytest.raises(Misconfigured, match="after the commit"):
                inside.run_due()
            with pytest.raises(Misconfigured, match="own connection"):
                Batcher(inside)

    def test_a_session_that_may_lose_commits_is_refused_by_name(self, shop: OrderManagement, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            connection.execute("SET synchronous_commit = off")
            with pytest.raises(Misconfigured, match="synchronous_commit"):
                shop.within(connection).handle(buy("A-1"))

    def test_a_session_that_would_change_texts_is_refused_by_name(self, shop: OrderManagement, uri: str) -> None:
        with (
            psycopg.connect(uri, client_encoding="LATIN1") as connection,
            pytest.raises(Misconfigured, match="client_encoding"),
        ):
            shop.within(connection).handle(buy("A-1"))

    def test_tables_are_not_made_in_the_hosts_transaction(self, uri: str, postgres: Server) -> None:
        from ordermgmt.storage.postgres.joined import JoinedPostgresStorage

        with psycopg.connect(uri) as connection:
            storage = JoinedPostgresStorage(connection, schema=postgres.new_schema())
            with pytest.raises(Misconfigured, match="migrate"):
                OrderManagement(storage=storage)

    def test_a_connection_of_another_driver_is_refused(self, shop: OrderManagement) -> None:
        with pytest.raises(Misconfigured, match="psycopg 3"):
            shop.within(object()).handle(buy("A-1"))
