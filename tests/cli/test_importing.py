"""Orders are imported from the command line, and every bad row is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ordermgmt import Item, ListedItems, Order, OrderManagement
from ordermgmt.cli import main
from ordermgmt.storage import SqliteStorage

ROWS = "reference,sku,quantity,unit_price\n1,mug,2,9.50\n2,mug,none,9.50\n"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ROWS)
    return path


def asked(orders: Path, *more: str) -> list[str]:
    return ["import", str(orders), "--db", str(orders.with_name("shop.db")), "--currency", "EUR", *more]


def test_good_rows_are_placed_and_bad_ones_told(orders: Path, capsys: pytest.CaptureFixture[str]):
    report = orders.with_name("refused.jsonl")
    assert main(asked(orders, "--stock", "force", "--report", str(report))) == 1

    assert "row 3, quantity (order 2)" in (told := capsys.readouterr().out)
    assert "2 orders: 1 placed, 0 there already, 1 row refused; 2 pieces booked in" in told
    assert json.loads(report.read_text())["field"] == "quantity"
    with OrderManagement(storage=SqliteStorage(orders.with_name("shop.db"))) as shop:
        assert [order.external for order in shop.find(Order)] == ["1"]


def test_refused_rows_are_told_as_they_stand_in_the_file(orders: Path, capsys: pytest.CaptureFixture[str]):
    orders.write_text(ROWS + "3,mug,1,9.50,too many\n")
    report = orders.with_name("refused.jsonl")
    assert main(asked(orders, "--report", str(report))) == 1

    assert [line.split()[1].strip(",:") for line in capsys.readouterr().out.splitlines()[:3]] == ["2", "3", "4"]
    assert [json.loads(line)["row"] for line in report.read_text().splitlines()] == [2, 3, 4]


def test_a_report_that_exists_is_told_before_anything_is_placed(orders: Path, capsys: pytest.CaptureFixture[str]):
    report = orders.with_name("refused.jsonl")
    report.write_text("mine")
    assert main(asked(orders, "--stock", "force", "--report", str(report))) == 2

    assert f"{report} exists already" in capsys.readouterr().err
    assert report.read_text() == "mine"
    assert not orders.with_name("shop.db").exists()


def test_again_it_goes_on_where_it_was(orders: Path, capsys: pytest.CaptureFixture[str]):
    main(asked(orders, "--stock", "skip"))
    orders.write_text(ROWS.replace("none", "1"))
    assert main(asked(orders, "--stock", "skip")) == 0
    assert "1 placed, 1 there already" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"\xff\xfeab", b"colour\nred\n"])
def test_a_file_of_another_form_is_one_sentence(orders: Path, content: bytes, capsys: pytest.CaptureFixture[str]):
    orders.write_bytes(content)
    assert main(asked(orders)) == 2
    assert capsys.readouterr().err.startswith("ordermgmt: ")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(asked(tmp_path / "none.csv")) == 2
    assert "there is no file" in capsys.readouterr().err


# In a shop of the host's own.


@pytest.fixture
def webshop(orders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop that lists its items: pens are not among them."""
    module, path = ModuleType("webshop"), orders.with_name("webshop.db")

    def shop() -> OrderManagement:
        listed = ListedItems({"mug": Item(kind="service")})
        return OrderManagement(storage=SqliteStorage(path), items=listed, actor="webshop")

    module.__dict__["shop"] = shop
    monkeypatch.setitem(sys.modules, "webshop", module)
    return path


def test_orders_are_imported_into_a_shop_of_the_hosts_own(
    orders: Path, webshop: Path, capsys: pytest.CaptureFixture[str]
):
    orders.write_text(ROWS.replace("none", "1") + "3,pen,1,1.00\n")
    assert main(["import", str(orders), "--app", "webshop:shop", "--currency", "EUR"]) == 1

    assert "unknown SKU: pen" in capsys.readouterr().out
    with OrderManagement(storage=SqliteStorage(webshop)) as shop:
        assert {order.lines["1"].kind for order in shop.find(Order)} == {"service"}


@pytest.mark.parametrize("where", [[], ["--db", "shop.db", "--app", "webshop:shop"]])
def test_the_command_line_says_where_the_shop_is_once(
    orders: Path, webshop: Path, where: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["import", str(orders), *where]) == 2
    assert main(["track", "A", *where]) == 2
    assert capsys.readouterr().err.count("say where the shop is") == 2
    assert not webshop.exists()


def test_an_order_of_a_shop_of_the_hosts_own_is_tracked(
    orders: Path, webshop: Path, capsys: pytest.CaptureFixture[str]
):
    main(["import", str(orders), "--app", "webshop:shop", "--currency", "EUR"])
    with OrderManagement(storage=SqliteStorage(webshop)) as shop:
        (order,) = shop.find(Order, external="1")
    capsys.readouterr()

    assert main(["track", order.order_id, "--app", "webshop:shop"]) == 0
    assert order.order_id in capsys.readouterr().out
