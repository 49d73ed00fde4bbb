"""A shop within the host's transaction: saved with the host's own rows, or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.event
from django.db import connection as django_connection
from django.db import transaction
from pendulum import DateTime
from sqlalchemy.orm import Session

from ordermgmt import (
    AsyncOrderManagement,
    Batcher,
    Misconfigured,
    NotFound,
    Order,
    OrderManagement,
    OutOfStock,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Stock,
    StorageBusy,
    StorageFailed,
    SystemClock,
    Tender,
)
from ordermgmt.engine.transaction import Entry, Row, Write
from ordermgmt.storage import MemoryStorage, NewerSchema, SqliteStorage
from ordermgmt.testing import FakePayments
from tests.storage.joining import buy
from tests.stories import laws_hold


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def shop(path: Path) -> Iterator[OrderManagement]:
    with OrderManagement(storage=SqliteStorage(path), gateways={"card": FakePayments()}) as shop:
        shop.handle(ReceiveStock(sku="mug", quantity=10))
        yield shop


# Each way a host may hold its connection: a block in which the host's transaction is open, and what joins it.

Joining = tuple[Any, Callable[[str], object]]
"""What the host gives to `within`, and how it runs a statement of its own."""
Host = Callable[[Path], AbstractContextManager[Joining]]


@contextmanager
def plain(path: Path) -> Generator[Joining]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("CREATE TABLE IF NOT EXISTS invoice (number TEXT)")
        connection.execute("BEGIN")
        try:
            yield connection, connection.execute
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def legacy(path: Path) -> Generator[Joining]:
    """As `sqlite3` is used by default: it begins by itself before the first change."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("CREATE TABLE IF NOT EXISTS invoice (number TEXT)")
        connection.row_factory = sqlite3.Row
        with connection:
            yield connection, connection.execute


def _engine(path: Path) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("CREATE TABLE IF NOT EXISTS invoice (number TEXT)")

    return engine


@contextmanager
def sqlalchemy_session(path: Path) -> Generator[Joining]:
    engine = _engine(path)
    try:
        with Session(engine) as session, session.begin():
            yield session, lambda text: session.execute(sqlalchemy.text(text))
    finally:
        engine.dispose()


@contextmanager
def sqlalchemy_connection(path: Path) -> Generator[Joining]:
    engine = _engine(path)
    try:
        with engine.begin() as connection:
            yield connection, connection.exec_driver_sql
    finally:
        engine.dispose()


@contextmanager
def django_atomic(path: Path) -> Generator[Joining]:
    django_connection.close()
    before = dict(django_connection.settings_dict)
    django_connection.settings_dict.update(NAME=str(path), OPTIONS={"init_command": "PRAGMA synchronous = EXTRA"})
    try:
        with django_connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS invoice (number TEXT)")

            def run(text: str) -> None:
                cursor.execute(text)

            with transaction.atomic():  # pyright: ignore[reportGeneralTypeIssues]  # Django is not typed
                yield django_connection, run
    finally:
        django_connection.close()
        django_connection.settings_dict.update(before)


HOSTS = [plain, legacy, sqlalchemy_session, sqlalchemy_connection, django_atomic]


def invoices(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM invoice ORDER BY number")]


@pytest.mark.parametrize("host", HOSTS)
class TestInTheHostsTransaction:
    def test_what_the_host_commits_is_saved_with_its_own_rows(
        self, host: Host, shop: OrderManagement, path: Path
    ) -> None:
        with host(path) as (connection, run):
            run("INSERT INTO invoice VALUES ('R-1')")
            order = shop.within(connection).handle(buy("A-1"), by="ann", command_id="c-1")
            assert order.status == "confirmed"
        assert shop.get(Order, "A-1") == order
        assert invoices(path) == ["R-1"]
        laws_hold(shop)

    def test_what_the_host_rolls_back_has_not_happened(self, host: Host, shop: OrderManagement, path: Path) -> None:
        with pytest.raises(ZeroDivisionError), host(path) as (connection, run):  # noqa: PT012 - all of it is undone
            run("INSERT INTO invoice VALUES ('R-1')")
            inside = shop.within(connection)
            inside.handle(buy("A-1"))
            assert inside.get(Stock, ("mug", "main")).available == 9
            raise ZeroDivisionError
        assert shop.get(Stock, ("mug", "main")).available == 10
        with pytest.raises(NotFound):
            shop.get(Order, "A-1")
        assert invoices(path) == []

    def test_a_refusal_leaves_the_rest_of_the_hosts_transaction_as_it_was(
        self, host: Host, shop: OrderManagement, path: Path
    ) -> None:
        with host(path) as (connection, run):
            inside = shop.within(connection)
            run("INSERT INTO invoice VALUES ('R-1')")
            inside.handle(buy("A-1"))
            with pytest.raises(OutOfStock):
                inside.handle(buy("A-2", 100))
            inside.handle(buy("A-3"))
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-1", "A-3"]
        assert invoices(path) == ["R-1"]
        laws_hold(shop)

    def test_everything_can_be_read_there(self, host: Host, shop: OrderManagement, path: Path) -> None:
        with host(path) as (connection, _):
            inside = shop.within(connection)
            inside.handle(buy("A-1"))
            assert [order.order_id for order in inside.find(Order, status="confirmed")] == ["A-1"]
            assert [one.event for one in inside.history(Order, "A-1")]
            assert inside.feed(after=1)
            assert inside.preview(buy("A-2")).entity.order_id == "A-2"
            assert inside.erase("nobody") == 0


@pytest.fixture
def host(path: Path, shop: OrderManagement) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        yield connection


class TestWhatIsRefused:
    def test_due_work_is_left_to_a_shop_that_commits(self, shop: OrderManagement, host: sqlite3.Connection) -> None:
        paid = PlaceOrder(order_id="A-1", lines=buy("A-1").lines, pay=PayNow([Tender("card", token="tok")]))
        host.execute("BEGIN")
        inside = shop.within(host)
        inside.handle(paid)
        (effect,) = inside.effects.due()
        for due_work in (
            inside.run_due,
            lambda: inside.settle("A-1"),
            lambda: inside.effects.run_one(effect.effect_id),
        ):
            with pytest.raises(Misconfigured, match="after the commit"):
                due_work()
        host.execute("COMMIT")
        assert shop.settle("A-1").payment_status == "authorised"

    def test_books_are_compared_elsewhere(self, shop: OrderManagement, host: sqlite3.Connection) -> None:
        host.execute("BEGIN")
        with pytest.raises(Misconfigured, match="after the commit"):
            shop.within(host).effects.reconcile("card", shop._settings.clock.now())
        host.execute("ROLLBACK")

    def test_a_batcher_commits_and_so_cannot_join(self, shop: OrderManagement, host: sqlite3.Connection) -> None:
        with pytest.raises(Misconfigured, match="own connection"):
            Batcher(shop.within(host))

    def test_tables_are_not_made_in_the_hosts_transaction(self, tmp_path: Path, shop: OrderManagement) -> None:
        with closing(sqlite3.connect(tmp_path / "empty.db")) as empty:
            with pytest.raises(Misconfigured, match="migrate"):
                shop.within(empty).handle(buy("A-1"))
            assert empty.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)

    def test_a_newer_release_is_not_written_into(self, shop: OrderManagement, host: sqlite3.Connection) -> None:
        host.execute("UPDATE meta SET schema = 99")
        host.execute("BEGIN")
        with pytest.raises(NewerSchema):
            shop.within(host).handle(buy("A-1"))

    def test_without_a_transaction_of_the_host_nothing_is_done(
        self, shop: OrderManagement, host: sqlite3.Connection
    ) -> None:
        with pytest.raises(Misconfigured, match="BEGIN"):
            shop.within(host).handle(buy("A-1"))

    def test_django_must_be_atomic(self, shop: OrderManagement) -> None:
        with pytest.raises(Misconfigured, match=r"transaction\.atomic"):
            shop.within(django_connection).handle(buy("A-1"))

    def test_what_django_is_about_to_undo_is_not_added_to(self, shop: OrderManagement, path: Path) -> None:
        with django_atomic(path) as (connection, run):
            run("INSERT INTO invoice VALUES ('R-1')")
            transaction.set_rollback(True)  # as an error inside a block of Django's does, or of its models
            inside = shop.within(connection)
            with pytest.raises(StorageFailed, match="has failed before"):
                inside.handle(buy("A-1"))
            with pytest.raises(StorageFailed, match="has failed before"):
                inside.get(Stock, ("mug", "main"))
        assert invoices(path) == []

    def test_a_connection_that_is_closed_saves_nothing(self, shop: OrderManagement, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.close()
        with pytest.raises(StorageFailed, match="closed"):
            shop.within(connection).handle(buy("A-1"))
        with pytest.raises(StorageFailed, match="closed"):
            shop.within(connection).get(Stock, ("mug", "main"))

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="connections have no autocommit before Python 3.12")
    def test_nothing_is_begun_for_a_host_whose_commits_do_nothing(self, shop: OrderManagement, path: Path) -> None:
        given: Any = {"autocommit": True}
        with closing(sqlite3.connect(path, **given)) as connection:
            connection.execute("PRAGMA synchronous = EXTRA")
            with pytest.raises(Misconfigured, match="no transaction is open"):
                shop.within(connection).handle(buy("A-1"))
            assert not connection.in_transaction
            connection.execute("BEGIN")
            shop.within(connection).handle(buy("A-1"))
            connection.execute("COMMIT")
        assert shop.get(Order, "A-1").status == "confirmed"

    @pytest.mark.parametrize(
        ("pragma", "told"),
        [
            ("synchronous = NORMAL", "synchronous = EXTRA"),
            ("synchronous = OFF", "synchronous = EXTRA"),
            ("journal_mode = MEMORY", "journal_mode = DELETE"),
        ],
    )
    def test_a_connection_that_may_lose_commits_is_refused_by_name(
        self, shop: OrderManagement, host: sqlite3.Connection, pragma: str, told: str
    ) -> None:
        host.execute(f"PRAGMA {pragma}")
        host.execute("BEGIN")
        with pytest.raises(Misconfigured, match=told):
            shop.within(host).handle(buy("A-1"))

    def test_a_connection_that_reads_bytes_is_refused(self, shop: OrderManagement, host: sqlite3.Connection) -> None:
        host.text_factory = bytes
        host.execute("BEGIN")
        with pytest.raises(Misconfigured, match="text_factory"):
            shop.within(host).handle(buy("A-1"))

    def test_a_connection_to_something_else_is_refused(self, shop: OrderManagement) -> None:
        with pytest.raises(Misconfigured, match="sqlite3"):
            shop.within(object()).handle(buy("A-1"))

    def test_memory_cannot_join(self) -> None:
        with pytest.raises(Misconfigured, match="SqliteStorage"):
            OrderManagement(storage=MemoryStorage()).within(object())

    def test_a_store_in_threads_cannot_share_a_connection(self, shop: OrderManagement) -> None:
        with pytest.raises(Misconfigured, match="thread"):
            AsyncOrderManagement(storage=shop.storage).within(object())

    def test_an_awaited_session_cannot_be_joined_by_a_blocking_shop(self, shop: OrderManagement) -> None:
        class AsyncSession:
            run_sync = staticmethod(asyncio.run)

        with pytest.raises(Misconfigured, match="blocking"):
            shop.within(AsyncSession()).handle(buy("A-1"))


class TestWithOthers:
    def test_threads_that_share_the_hosts_connection_take_turns(self, shop: OrderManagement, path: Path) -> None:
        with closing(sqlite3.connect(path, check_same_thread=False)) as host:
            host.execute("PRAGMA synchronous = EXTRA")
            with ThreadPoolExecutor(8) as threads:
                told = list(threads.map(lambda n: shop.within(host).handle(buy(f"A-{n}")), range(10)))
            host.commit()
        assert sorted(order.order_id for order in shop.find(Order)) == sorted(order.order_id for order in told)
        laws_hold(shop)

    def test_whoever_is_locked_out_is_told_to_begin_again(
        self, shop: OrderManagement, host: sqlite3.Connection, path: Path
    ) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            host.execute("BEGIN")
            with pytest.raises(StorageBusy) as busy:
                shop.within(host).handle(buy("A-1"))
            assert busy.value.retryable
            other.execute("ROLLBACK")
        host.execute("ROLLBACK")
        host.execute("BEGIN")
        shop.within(host).handle(buy("A-1"))
        host.execute("COMMIT")

    def test_nothing_is_decided_on_rows_that_others_have_changed(
        self, shop: OrderManagement, host: sqlite3.Connection
    ) -> None:
        """Two hosts in threads sell the last units, each in a transaction that has read before."""
        sold: list[str] = []

        def sell(name: str) -> None:
            with closing(sqlite3.connect(host_path, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("PRAGMA busy_timeout = 0")
                for n in range(10):
                    while True:
                        connection.execute("BEGIN")
                        try:
                            connection.execute("SELECT count(*) FROM entity").fetchone()
                            shop.within(connection).handle(buy(f"{name}-{n}"))
                            connection.execute("COMMIT")
                        except OutOfStock:
                            connection.execute("ROLLBACK")
                            return
                        except (StorageBusy, sqlite3.OperationalError):
                            connection.execute("ROLLBACK")
                            continue
                        sold.append(name)
                        break

        host_path = host.execute("PRAGMA database_list").fetchone()[2]
        threads = [threading.Thread(target=sell, args=(name,)) for name in ("A", "B")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(sold) == 10
        assert shop.get(Stock, ("mug", "main")).available == 0
        laws_hold(shop)

    def test_nobody_else_writes_from_the_moment_something_is_decided_on(
        self, shop: OrderManagement, host: sqlite3.Connection, path: Path
    ) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            host.execute("BEGIN")
            with shop.within(host).storage.transaction() as deciding:
                deciding.load([("stock", "main/mug")])
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("BEGIN IMMEDIATE")
            host.execute("ROLLBACK")
            other.execute("BEGIN IMMEDIATE")

    def test_whoever_comes_while_another_decides_waits_for_it_and_neither_must_begin_again(
        self, shop: OrderManagement, host: sqlite3.Connection, path: Path
    ) -> None:
        deciding = threading.Event()

        class Pondering(SystemClock):
            def now(self) -> DateTime:  # it is asked after the rows are loaded
                if not deciding.is_set():
                    deciding.set()
                    time.sleep(0.2)
                return super().now()

        def second() -> None:
            deciding.wait(20)
            with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("BEGIN")
                shop.within(connection).handle(buy("A-2"))
                connection.execute("COMMIT")

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(second)
            host.execute("BEGIN")
            OrderManagement(storage=shop.storage, clock=Pondering()).within(host).handle(buy("A-1"))
            host.execute("COMMIT")
            waiting.result(30)
        assert sorted(order.order_id for order in shop.find(Order)) == ["A-1", "A-2"]

    def test_a_function_may_answer_the_present_connection(
        self, shop: OrderManagement, host: sqlite3.Connection
    ) -> None:
        inside = shop.within(lambda: host)
        host.execute("BEGIN")
        inside.handle(buy("A-1"))
        host.execute("COMMIT")
        host.execute("BEGIN")
        inside.handle(buy("A-2"))
        host.execute("ROLLBACK")
        assert [order.order_id for order in shop.find(Order)] == ["A-1"]

    def test_what_was_half_saved_when_it_failed_is_undone_and_the_hosts_own_rows_stay(
        self, shop: OrderManagement, host: sqlite3.Connection
    ) -> None:
        host.execute("CREATE TABLE invoice (number TEXT)")
        host.execute("BEGIN")
        host.execute("INSERT INTO invoice VALUES ('R-1')")
        at = "2026-01-01T00:00:00.000000Z"
        row = Row(("thing", "1"), 1, b"{}", "", at)
        # Its event is there already in another's name, so the row is written and then the event is refused.
        host.execute(
            "INSERT INTO history (kind, id, version, doc, hash, at, actor, cause, command_id)"
            " VALUES ('thing', '1', 1, x'7b7d', '', '', '', '', '')"
        )
        entry = Entry(("thing", "1"), 1, b"{}", "", at, "", "", "")
        with pytest.raises(StorageFailed), shop.within(host).storage.transaction() as transaction:
            transaction.commit([Write(row, 0, (entry,), {}, {})])
        host.execute("COMMIT")
        assert host.execute("SELECT count(*) FROM entity WHERE kind = 'thing'").fetchone() == (0,)
        assert host.execute("SELECT number FROM invoice").fetchall() == [("R-1",)]

    def test_a_shop_can_be_made_of_the_joined_store_alone(
        self, shop: OrderManagement, host: sqlite3.Connection
    ) -> None:
        host.execute("BEGIN")
        joined = shop.within(host).storage
        OrderManagement(storage=joined).handle(buy("A-1"))
        host.execute("COMMIT")
        assert shop.get(Order, "A-1").order_id == "A-1"
