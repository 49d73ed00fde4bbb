"""A whole store, moved: from any store into any other, nothing is lost, and an interruption costs nothing."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from ordermgmt import (
    Line,
    Misconfigured,
    Money,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PlaceOrder,
    ReceiveStock,
    StorageFailed,
)
from ordermgmt.cli.stores import at_rest
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage, PostgresStorage, SqliteStorage
from ordermgmt.storage.moving import export_store, fingerprint, import_store
from ordermgmt.testing import FakePayments
from ordermgmt.testing.conformance.storage import whole_feed
from tests.servers import Server
from tests.stories import ANN, card_pays, laws_hold, line


def buy(order_id: str, quantity: int = 1) -> PlaceOrder:
    mug = Line(sku="mug", quantity=quantity, unit_price=Money("9.50", "EUR"))
    return PlaceOrder(order_id=order_id, lines=[mug], pay=OnAccount(days=30))


def live(storage: Storage) -> OrderManagement:
    """A shop with something of everything: payments, people, effects, refusals under command ids."""
    shop = OrderManagement(storage=storage, gateways={"card": FakePayments()})
    shop.handle(ReceiveStock(sku="mug", quantity=40))
    for n in range(6):
        shop.handle(buy(f"A-{n}"), command_id=f"c-{n}", by=f"ännä {n}")
    with pytest.raises(OutOfStock):
        shop.handle(buy("A-9", 500), command_id="c-9")
    shop.handle(PlaceOrder(order_id="B-1", lines=[line("mug", 1)], pay=card_pays(), ship_to=ANN, customer="ann"))
    shop.run_due()
    shop.handle(PlaceOrder(order_id="B-2", lines=[line("mug", 1)], pay=card_pays(), ship_to=ANN, customer="ann"))
    return shop


@pytest.fixture
def stores(tmp_path: Path, postgres: Server) -> Iterator[Callable[[str], Any]]:
    opened: list[Any] = []

    def new(kind: str) -> Any:
        made: Any
        if kind == "memory":
            made = MemoryStorage()
        elif kind == "sqlite":
            made = SqliteStorage(tmp_path / f"{len(opened)}.db")
        else:
            made = PostgresStorage(postgres.uri, schema=postgres.new_schema())
        opened.append(made)
        return made

    yield new
    for one in opened:
        if isinstance(one, PostgresStorage):
            postgres.do(f"DROP SCHEMA {one.schema} CASCADE")
        one.close()


KINDS = ("memory", "sqlite", "postgres")


def exported(storage: Storage) -> str:
    out = io.StringIO()
    export_store(storage, out)
    return out.getvalue()


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_what_is_moved_is_the_same_to_the_last_byte(source: str, target: str, stores: Callable[[str], Any]) -> None:
    one, other = stores(source), stores(target)
    live(one)
    told = exported(one)
    moved = import_store(other, io.StringIO(told))
    assert moved == fingerprint(one) == fingerprint(other)
    assert exported(other) == told
    assert [entry.hash for entry in other.feed()] == [entry.hash for entry in one.feed()]


def fail(postgres: Server, storage: PostgresStorage) -> None:
    """Events are undone after they had their numbers, so that these are missing in the feed from now on."""
    with psycopg.connect(postgres.uri) as host:
        OrderManagement(storage=storage).within(host).handle(ReceiveStock(sku="pen", quantity=1))
        host.rollback()


def test_commits_that_failed_on_a_server_leave_out_nothing(
    stores: Callable[[str], Any], postgres: Server, tmp_path: Path
) -> None:
    one, other = stores("postgres"), stores("sqlite")
    fail(postgres, one)
    shop = live(one)
    fail(postgres, one)
    shop.handle(buy("Z-1"))
    assert one.feed(limit=1)[0].position > 1
    with at_rest(postgres.uri, one.schema) as still:
        out = io.StringIO()
        moved = export_store(still, out)
    assert out.getvalue() == exported(one)
    assert import_store(other, io.StringIO(out.getvalue())) == moved == fingerprint(one)
    assert [entry.hash for entry in whole_feed(other)] == [entry.hash for entry in whole_feed(one)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_feed_that_does_not_tell_all_is_no_export(kind: str, stores: Callable[[str], Any]) -> None:
    storage = stores(kind)
    live(storage)
    feed = storage.feed
    storage.feed = lambda *, after=0, limit=1000: feed(after=after, limit=limit) if after < 3 else []
    with patch("ordermgmt.storage.moving.PAGE", 3), pytest.raises(StorageFailed, match="the feed tells 3 events"):
        exported(storage)


@pytest.mark.parametrize("target", KINDS)
def test_a_shop_goes_on_where_it_was_moved_to(target: str, stores: Callable[[str], Any]) -> None:
    old = live(stores("memory"))
    other = stores(target)
    import_store(other, io.StringIO(exported(old.storage)))
    shop = OrderManagement(storage=other, gateways={"card": FakePayments()})
    assert shop.handle(buy("A-1"), command_id="c-1").order_id == "A-1", "a command id is still known"
    with pytest.raises(OutOfStock):
        shop.handle(buy("A-9", 500), command_id="c-9")
    shop.handle(buy("C-1"))
    shop.run_due()
    followed = {one.id for one in shop.feed(after=old.feed(limit=1000)[-1].position)}
    assert "C-1" in followed, "whoever follows misses nothing"
    assert "A-1" not in followed, "and is told nothing twice"
    assert shop.erase("ann") > 0
    laws_hold(shop)


class TestInterrupted:
    @pytest.mark.parametrize("target", KINDS)
    def test_an_import_goes_on_where_it_was(
        self, target: str, stores: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ordermgmt.storage.moving.PAGE", 40)
        told = exported(live(stores("memory")).storage)
        other = stores(target)
        absorb, calls = other.absorb, [0]

        def failing(batch: Any) -> None:
            calls[0] += 1
            if calls[0] == 3:
                raise KeyboardInterrupt
            absorb(batch)

        other.absorb = failing
        with pytest.raises(KeyboardInterrupt):
            import_store(other, io.StringIO(told))
        with pytest.raises(Misconfigured, match="import-store"):
            OrderManagement(storage=other)
        before = calls[0]
        import_store(other, io.StringIO(told))
        assert calls[0] - before == -(-(len(told.splitlines()) - 1) // 40) - 2, "what was done is not done again"
        assert exported(other) == told
        laws_hold(OrderManagement(storage=other, gateways={"card": FakePayments()}))

    def test_a_store_that_holds_something_is_not_filled(self, stores: Callable[[str], Any]) -> None:
        told = exported(live(stores("memory")).storage)
        with pytest.raises(Misconfigured, match="not empty"):
            import_store(live(stores("memory")).storage, io.StringIO(told))


class TestDamaged:
    @pytest.fixture
    def told(self) -> list[str]:
        return exported(live(MemoryStorage()).storage).splitlines(keepends=True)

    def test_half_a_file_is_noticed(self, told: list[str]) -> None:
        with pytest.raises(StorageFailed, match="incomplete"):
            import_store(MemoryStorage(), told[:-3])

    def test_a_line_that_is_missing_is_noticed(self, told: list[str]) -> None:
        del told[5]
        with pytest.raises(StorageFailed, match="changed"):
            import_store(MemoryStorage(), told)

    def test_a_changed_line_is_noticed(self, told: list[str]) -> None:
        entry = json.loads(told[4])
        entry["e"][5] = "0" * 64
        told[4] = json.dumps(entry) + "\n"
        with pytest.raises(StorageFailed, match="changed"):
            import_store(MemoryStorage(), told)

    @pytest.mark.parametrize(
        "line",
        [
            '{"e":["x","stock","a",1,"{}","","","","",""]}',
            '{"e":[0.5,"stock","a",1,"{}","","","","",""]}',
            '{"e":[1,"stock","a",1,["$$$"],"","","","",""]}',
            '{"e":[1,"stock","a",1,"{}","","",""]}',
            '{"r":["stock","a",1000000000000000000000000000000,"{}","",""]}',
            '{"r":["stock","a",-1,"{}","",""]}',
            '{"i":["stock","a",1,"x"]}',
            '{"p":[1,2,3]}',
            '{"end":5}',
            '{"i":["stock","a","\\ud800","x"]}',
            "[" * 100_000,
            "\x00",
        ],
    )
    @pytest.mark.parametrize("target", KINDS)
    def test_damage_of_any_kind_is_said_to_be_that(
        self, line: str, target: str, told: list[str], stores: Callable[[str], Any]
    ) -> None:
        with pytest.raises(StorageFailed, match="export"):
            import_store(stores(target), [told[0], f"{line}\n", *told[1:]])

    def test_bytes_that_are_no_text_are_damage(self, told: list[str], tmp_path: Path) -> None:
        file = tmp_path / "shop.jsonl"
        file.write_bytes(told[0].encode() + b"\xff" + "".join(told[1:]).encode())
        with file.open(encoding="utf-8") as lines, pytest.raises(StorageFailed, match="damaged"):
            import_store(MemoryStorage(), lines)

    @pytest.mark.parametrize("line", ['{"orders": []}\n', "order;customer\n", "[]\n", ""])
    def test_another_file_is_refused(self, line: str) -> None:
        with pytest.raises(Misconfigured, match="no export"):
            import_store(MemoryStorage(), [line])

    def test_a_state_that_is_no_text_is_moved_as_it_is(self, tmp_path: Path) -> None:
        with closing(SqliteStorage(tmp_path / "shop.db")) as storage:
            live(storage)
            with closing(sqlite3.connect(tmp_path / "shop.db")) as file, file:
                file.execute("UPDATE entity SET doc = x'ff00fe' WHERE kind = 'order' AND id = 'A-1'")
            other = MemoryStorage()
            import_store(other, io.StringIO(exported(storage)))
        assert other.read([("order", "A-1")])["order", "A-1"].doc == b"\xff\x00\xfe"

    def test_a_store_without_the_means_says_so(self) -> None:
        class Bare:
            pass

        with pytest.raises(Misconfigured, match="Movable"):
            fingerprint(Bare())  # type: ignore[arg-type]  # that is the point


class TestBackup:
    def test_a_copy_made_while_others_sell_is_a_sound_shop(self, tmp_path: Path) -> None:
        storage = SqliteStorage(tmp_path / "shop.db")
        with OrderManagement(storage=storage) as shop:
            shop.handle_many([ReceiveStock(sku=f"s-{n}", quantity=1) for n in range(3000)])
            shop.handle(ReceiveStock(sku="mug", quantity=1000))
            stop = threading.Event()
            sold: list[str] = []

            def sell() -> None:
                while not stop.is_set():
                    sold.append(shop.handle(buy(f"A-{len(sold)}")).order_id)

            thread = threading.Thread(target=sell)
            thread.start()
            steps: list[tuple[int, int]] = []
            storage.backup(tmp_path / "copy.db", progress=lambda pages: steps.append((pages, len(sold))))
            before_the_end = steps[-1][1]
            stop.set()
            thread.join(60)
        assert len(steps) > 3, "it was made in pieces"
        assert steps[-1][1] > steps[0][1], "and others sold meanwhile"
        with OrderManagement(storage=SqliteStorage(tmp_path / "copy.db")) as copy:
            assert len(copy.find(Order, limit=1000)) >= before_the_end - 1
            laws_hold(copy)

    def test_an_interrupted_copy_is_not_left_behind(self, tmp_path: Path) -> None:
        def stop(_: int) -> None:
            raise KeyboardInterrupt

        storage = SqliteStorage(tmp_path / "shop.db")
        with OrderManagement(storage=storage) as shop:
            shop.handle(ReceiveStock(sku="mug", quantity=1))
            with pytest.raises(KeyboardInterrupt):
                storage.backup(tmp_path / "copy.db", progress=stop)
            shop.handle(buy("A-1"))
        assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []
