"""A replay of Northwind's orders: discounts and freight to the cent, and what was never shipped stays open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ordermgmt import Address, ManualClock, Order, OrderManagement, Stock
from ordermgmt.cli import main
from ordermgmt.cli.gateway import SteadyPayments
from ordermgmt.storage import SqliteStorage
from ordermgmt.verify import breaches

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "northwind.db"
needs_the_real_file = pytest.mark.skipif(not REAL.exists(), reason="../shared/data/northwind.db is not here")

FIRST, SECOND, THIRD = "1996-07-04 00:00:00.000", "1996-07-05 00:00:00.000", "1996-08-01 00:00:00.000"

ORDERS = [
    # number, customer, ordered, required, shipped, freight
    (10248, "VINET", FIRST, SECOND, THIRD, 32.38),  # late
    (10249, "TOMSP", FIRST, THIRD, SECOND, 3),
    (10250, "HANAR", SECOND, THIRD, None, 0.15),  # never shipped
]
LINES = [
    # order, product, price, quantity, discount
    (10248, 11, 14, 12, 0.0),  # 168.00
    (10248, 42, 9.8, 10, 0.15),  # 98.00 less 14.70
    (10249, 11, 0.35, 3, 0.05),  # 1.05 less 0.0525: five cents
    (10250, 72, 34.8, 5, 0.25),  # 174.00 less 43.50
]

EXPECTED = {
    "orders": 3,
    "lines": 4,
    "units": 30,
    "gross": "441.05",
    "net_exact": "382.7975",
    "net_charged": "382.80",
    "freight": "35.53",
    "charged": "418.33",
    "captured": "287.68",
    "authorised": "130.65",
    "complete": 2,
    "open": 1,
    "late": 1,
}


def written(path: Path, orders: Sequence[tuple[Any, ...]] = ORDERS, lines: Sequence[tuple[Any, ...]] = LINES) -> Path:
    """The orders as a file of the real one's form."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE Orders (OrderID INTEGER PRIMARY KEY, CustomerID TEXT, OrderDate DATETIME,"
            " RequiredDate DATETIME, ShippedDate DATETIME,"
            " Freight NUMERIC, ShipName TEXT, ShipAddress TEXT, ShipCity TEXT, ShipRegion TEXT,"
            " ShipPostalCode TEXT, ShipCountry TEXT)"
        )
        connection.execute(
            "CREATE TABLE [Order Details] (OrderID INTEGER, ProductID INTEGER, UnitPrice NUMERIC, Quantity INTEGER,"
            " Discount REAL)"
        )
        for order in orders:
            to = ("Vins et alcools", "Berguvsvägen\xa0 8", "Reims", None, "51100", "France")
            connection.execute(f"INSERT INTO Orders VALUES ({','.join('?' * 12)})", (*order, *to))  # noqa: S608 - marks only
        connection.executemany("INSERT INTO [Order Details] VALUES (?, ?, ?, ?, ?)", lines)
    return path


def replayed(source: Path, db: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """The JSON object the replay ends with, without what differs from run to run."""
    assert main(["replay", "northwind", str(source), "--db", str(db), *more]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(told) == [*EXPECTED, "seconds", "orders_per_second", "peak_mb"]
    return {name: told[name] for name in EXPECTED}


def opened(db: Path) -> OrderManagement:
    clock = ManualClock()
    return OrderManagement(storage=SqliteStorage(db), gateways={"card": SteadyPayments(clock)}, clock=clock)


def test_every_line_is_charged_less_its_discount_and_every_order_with_its_freight(tmp_path: Path, capsys):
    assert replayed(written(tmp_path / "northwind.db"), tmp_path / "shop.db", capsys) == EXPECTED


def test_an_order_that_was_never_shipped_stays_open_with_goods_and_money_set_aside(tmp_path: Path, capsys):
    replayed(written(tmp_path / "northwind.db"), tmp_path / "shop.db", capsys)
    with opened(tmp_path / "shop.db") as shop:
        order = shop.get(Order, "10250")
        assert (order.status, order.payment_status, order.fulfilment_status) == (
            "confirmed",
            "authorised",
            "unfulfilled",
        )
        stock = shop.get(Stock, ("72", "main"))
        assert (stock.on_hand, stock.reserved) == (5, 5)
        assert list(breaches(shop)) == []


def test_an_order_lives_at_its_own_dates_and_goes_to_its_own_address(tmp_path: Path, capsys):
    replayed(written(tmp_path / "northwind.db"), tmp_path / "shop.db", capsys)
    with opened(tmp_path / "shop.db") as shop:
        order = shop.get(Order, "10248")
        assert (str(order.placed_at.date()), order.customer) == ("1996-07-04", "VINET")
        assert [str(one.at.date()) for one in shop.history(Order, "10248")][-1] == "1996-08-01"
        assert order.ship_to is not None
        address = shop.reveal(order.ship_to, Address)
        assert address is not None
        assert address.street == "Berguvsvägen 8"


def test_the_dearest_order_is_explained(tmp_path: Path, capsys):
    assert main(["replay", "northwind", str(written(tmp_path / "n.db")), "--db", str(tmp_path / "shop.db")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == [
        "order 10248, the dearest, explained:",
        "line 1    12 × 11 at 14.00 USD  168.00",
        "line 2    10 × 42 at 9.80 USD    98.00",
        "          discount              -14.70",
        "shipping                         32.38",
        "─" * 42,
        "due                             283.68 USD",
    ]


def test_a_replay_is_started_again_with_the_same_words_and_changes_nothing(tmp_path: Path, capsys):
    source = written(tmp_path / "northwind.db")
    replayed(source, tmp_path / "shop.db", capsys)
    with opened(tmp_path / "shop.db") as shop:
        before = len(shop.feed(limit=1_000))
    assert replayed(source, tmp_path / "shop.db", capsys) == EXPECTED
    with opened(tmp_path / "shop.db") as shop:
        assert len(shop.feed(limit=1_000)) == before


def test_only_the_first_orders_are_replayed_where_a_limit_is_given(tmp_path: Path, capsys):
    told = replayed(written(tmp_path / "northwind.db"), tmp_path / "shop.db", capsys, "--limit", "1")
    assert (told["orders"], told["charged"]) == (1, "283.68")


def test_a_database_that_holds_another_replay_is_refused(tmp_path: Path, capsys):
    source = written(tmp_path / "northwind.db")
    replayed(source, tmp_path / "shop.db", capsys, "--limit", "1")
    assert main(["replay", "northwind", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert "holds a replay of other orders" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_file_that_is_not_northwind_is_refused(tmp_path: Path, content: bytes, capsys):
    (tmp_path / "other.db").write_bytes(content)
    assert main(["replay", "northwind", str(tmp_path / "other.db"), "--db", str(tmp_path / "shop.db")]) == 2
    assert "is not the Northwind database" in capsys.readouterr().err


def test_an_order_without_lines_is_refused(tmp_path: Path, capsys):
    source = written(tmp_path / "northwind.db", lines=LINES[:2])
    assert main(["replay", "northwind", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert "10249 of the file has no lines" in capsys.readouterr().err


def test_an_empty_northwind_has_nothing_to_replay(tmp_path: Path, capsys):
    source = written(tmp_path / "northwind.db", orders=[], lines=[])
    assert main(["replay", "northwind", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert "holds no orders" in capsys.readouterr().err


@needs_the_real_file
def test_the_real_file_has_the_sums_it_is_known_by(tmp_path: Path, capsys):
    told = replayed(REAL, tmp_path / "shop.db", capsys)
    assert {name: told[name] for name in ("orders", "gross", "net_exact", "freight", "open", "late")} == {
        "orders": 830,
        "gross": "1354458.59",
        "net_exact": "1265793.0395",
        "freight": "64942.69",
        "open": 21,
        "late": 37,
    }
