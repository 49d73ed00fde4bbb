"""Tracking tells where one order stands, and looking changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ordermgmt import (
    CancelUnits,
    HandOverShipment,
    Line,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PackShipment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    RecordUndeliverable,
    Tender,
)
from ordermgmt.cli import main
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments

PRICE = Money("2.50", "EUR")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A shop with one order of two lines: a part cancelled, the rest lost on its way."""
    path = tmp_path / "shop.db"
    card, post, clock = FakePayments(), FakeCarrier(prefix="POST"), ManualClock()
    shop = OrderManagement(storage=SqliteStorage(path), gateways={"card": card}, carriers={"post": post}, clock=clock)
    with shop:
        shop.handle(ReceiveStock(sku="pen", quantity=20))
        shop.handle(ReceiveStock(sku="ink", quantity=20))
        lines = [Line(sku="pen", quantity=5, unit_price=PRICE), Line(sku="ink", quantity=1, unit_price=PRICE)]
        pay = PayNow([Tender("card", token="tok")])
        shop.handle(PlaceOrder(order_id="A-1", lines=lines, pay=pay, carrier="post"), by="Ann")
        shop.settle("A-1")
        shop.handle(CancelUnits(order_id="A-1", units={"2": 1}, reason="no ink"), by="Ann")
        shop.handle(PackShipment(shipment_id="A-1:s1"), by="Joe")
        shop.settle("A-1")
        shop.handle(HandOverShipment(shipment_id="A-1:s1"), by="Joe")
        shop.settle("A-1")
        shop.handle(RecordUndeliverable(shipment_id="A-1:s1", note="nobody at home"))
        card.decline_next()
        shop.handle(PlaceOrder(order_id="A-2", lines=lines, pay=pay), by="Bob")
        shop.settle("A-2")
    return path


def tracked(db: Path, order_id: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["track", order_id, "--db", str(db)]) == 0
    return capsys.readouterr().out


def test_it_tells_what_happened_and_by_whom(db: Path, capsys: pytest.CaptureFixture[str]):
    told = tracked(db, "A-1", capsys)
    for sentence in (
        "00:00  Ann   Order placed: 5 × pen, 1 × ink",
        "Taken off the order: 1 × ink",
        "Joe   Parcel A-1:s1 picked",
        "card: 12.50 EUR captured",
        "Parcel A-1:s1 could not be delivered (nobody at home)",
    ):
        assert sentence in told


def test_it_tells_where_the_order_stands(db: Path, capsys: pytest.CaptureFixture[str]):
    told = tracked(db, "A-1", capsys)
    assert "= confirmed · paid · " in told
    assert "· exception" in told
    assert "due 12.50 EUR, paid 12.50 EUR" in told
    assert "parcel A-1:s1: undeliverable, post POST-000001" in told


def test_a_declined_payment_is_told(db: Path, capsys: pytest.CaptureFixture[str]):
    told = tracked(db, "A-2", capsys)
    assert "card declined to authorise 15.00 EUR (declined)" in told
    assert "= placed · unpaid · unfulfilled" in told


def test_an_order_that_is_not_there_is_refused(db: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["track", "A-9", "--db", str(db)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "ordermgmt: there is no order 'A-9'; check the id, or create it first\n")


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    nowhere = tmp_path / "nowhere.db"
    assert main(["track", "A-1", "--db", str(nowhere)]) == 2
    assert capsys.readouterr().err == f"ordermgmt: there is no database file {nowhere}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_shop_is_refused_and_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ann, " * 100)
    before = letter.read_bytes()
    assert main(["track", "A-1", "--db", str(letter)]) == 2
    assert capsys.readouterr().err.startswith("ordermgmt: ")
    assert letter.read_bytes() == before


def test_an_empty_file_and_another_programs_database_are_left_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    empty, other = tmp_path / "empty.db", tmp_path / "other.db"
    empty.touch()
    theirs = sqlite3.connect(other)
    theirs.execute("CREATE TABLE letters (text TEXT)")
    theirs.close()
    before = other.read_bytes()
    assert main(["track", "A-1", "--db", str(empty)]) == 2
    assert main(["track", "A-1", "--db", str(other)]) == 2
    assert "holds no shop" in capsys.readouterr().err
    assert (empty.read_bytes(), other.read_bytes()) == (b"", before)


def test_looking_changes_nothing(db: Path, capsys: pytest.CaptureFixture[str]):
    before = db.read_bytes()
    tracked(db, "A-1", capsys)
    assert db.read_bytes() == before


def test_many_lines_are_counted_rather_than_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = tmp_path / "shop.db"
    with OrderManagement(storage=SqliteStorage(db), gateways={"card": FakePayments()}) as shop:
        shop.handle_many([ReceiveStock(sku=f"s{n}", quantity=3) for n in range(9)])
        lines = [Line(sku=f"s{n}", quantity=3, unit_price=PRICE) for n in range(9)]
        shop.handle(PlaceOrder(order_id="A-1", lines=lines, pay=PayNow([Tender("card", token="tok")])))
        assert shop.get(Order, "A-1").total == Money("67.50", "EUR")
    assert "3 × s3, 15 units of 5 other items" in " ".join(tracked(db, "A-1", capsys).split())
