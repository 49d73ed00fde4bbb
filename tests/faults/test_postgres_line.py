"""The connection to PostgreSQL may break at any moment: what was asked for is done once, or said to be unknown."""

import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from ordermgmt import (
    Order,
    OrderManagement,
    OutcomeUnknown,
    PlaceOrder,
    ReceiveStock,
    Stock,
    StorageFailed,
    SystemClock,
)
from ordermgmt.storage import PostgresStorage
from ordermgmt.testing import FakePayments
from ordermgmt.testing.conformance.storage import save, written
from tests.faults.postgres_line import AFTER, BEFORE, line_to
from tests.stories import card_pays, laws_hold
from tests.stories import line as order_line

END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ordermgmt'"


@pytest.fixture
def line(own_postgres, postgres_storage):
    with tempfile.TemporaryDirectory() as folder, line_to(own_postgres.uri, Path(folder)) as line:
        yield line


@pytest.fixture
def storage(line, postgres_storage):
    with closing(
        PostgresStorage(line.uri, schema=postgres_storage.schema, busy_timeout=timedelta(seconds=5))
    ) as storage:
        yield storage


@pytest.fixture
def shop(storage):
    shop = OrderManagement(storage=storage, gateways={"card": FakePayments()})
    yield shop
    laws_hold(shop)


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_goods_are_received_once_though_the_line_breaks_at_the_commit(shop, line, when):
    line.cut = when
    shop.handle(ReceiveStock(sku="mug", quantity=5))
    assert line.cuts == 1
    assert shop.get(Stock, ("mug", "main")).on_hand == 5


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_an_order_is_placed_once_though_the_line_breaks_at_every_commit(shop, line, when):
    shop.handle(ReceiveStock(sku="mug", quantity=50))
    for n in range(10):
        line.cut = when
        shop.handle(PlaceOrder(order_id=f"A-{n}", lines=[order_line("mug", 2)], pay=card_pays()))
        line.cut = when
        shop.settle(f"A-{n}")
    assert line.cuts == 20
    assert shop.get(Stock, ("mug", "main")).available == 30
    assert all(shop.get(Order, f"A-{n}").payment_status == "authorised" for n in range(10))


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_the_line_may_break_with_a_single_connection(line, postgres_storage, when):
    with closing(
        PostgresStorage(line.uri, schema=postgres_storage.schema, connections_max=1, busy_timeout=timedelta(seconds=5))
    ) as storage:
        shop = OrderManagement(storage=storage)
        line.cut = when
        shop.handle(ReceiveStock(sku="mug", quantity=5))
        assert shop.get(Stock, ("mug", "main")).on_hand == 5


@pytest.mark.parametrize(("when", "done"), [(BEFORE, 0), (AFTER, 1)])
def test_where_the_server_cannot_be_asked_the_outcome_is_unknown_and_the_command_id_tells_it(
    line, postgres_storage, when, done
):
    with closing(
        PostgresStorage(line.uri, schema=postgres_storage.schema, busy_timeout=timedelta(seconds=0.3))
    ) as storage:
        shop = OrderManagement(storage=storage)
        line.cut, line.closed = when, True
        with pytest.raises(OutcomeUnknown, match="command id"):
            shop.handle(ReceiveStock(sku="mug", quantity=5), command_id="delivery 17")
        line.closed = False
        assert len(storage.history(("stock", shop.assembly.target(ReceiveStock(sku="mug", quantity=5))[1]))) == done
        assert shop.handle(ReceiveStock(sku="mug", quantity=5), command_id="delivery 17").on_hand == 5


def test_a_commit_that_only_remembers_a_refusal_is_found_too(shop, line):
    impossible = PlaceOrder(order_id="A-1", lines=[order_line("mug", 2)], pay=card_pays())
    line.cut = AFTER
    with pytest.raises(Exception, match="mug") as first:
        shop.handle(impossible, command_id="c-1")
    assert line.cuts == 1
    with pytest.raises(type(first.value)):
        shop.handle(impossible, command_id="c-1")


def test_while_nobody_gets_through_the_store_says_so(postgres_storage, line):
    with closing(
        PostgresStorage(line.uri, schema=postgres_storage.schema, busy_timeout=timedelta(seconds=0.2))
    ) as storage:
        connection = storage._connections.borrow()
        connection.close()
        storage._connections.give_back(connection)
        line.closed = True
        with pytest.raises(StorageFailed, match="nothing was saved"):
            save(storage, written("A-1"))
        line.closed = False
        save(storage, written("A-1"))


def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(own_postgres, postgres_storage):
    save(postgres_storage, written("A-1"))
    own_postgres.do(END_ALL, "SELECT pg_sleep(0.1)")
    save(postgres_storage, written("A-2"))
    own_postgres.do(END_ALL, "SELECT pg_sleep(0.1)")
    assert len(postgres_storage.feed()) == 2


def test_a_connection_that_dies_before_the_commit_is_a_reason_to_decide_again(own_postgres, postgres_storage):
    asked: list[str] = []

    class ClockThatKills(SystemClock):
        def now(self):
            if not asked:
                asked.append("now")
                own_postgres.do(END_ALL)
            return super().now()

    shop = OrderManagement(storage=postgres_storage, clock=ClockThatKills())
    assert shop.handle(ReceiveStock(sku="mug", quantity=5)).on_hand == 5
    assert asked
