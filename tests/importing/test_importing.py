"""Importing orders from rows: what is good is placed, what is bad is told, and the same file can come again."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pendulum
import pytest

from ordermgmt import AsyncOrderManagement, InvalidInput, Order, OrderManagement, ReceiveStock, SetGoodsAside
from ordermgmt.importing import ImportReport, TooManyTogether, Unreadable, import_orders
from ordermgmt.storage import MemoryStorage
from tests.stories import eur, on_the_shelf, snapshot

HEADER = "reference,sku,quantity,unit_price"


def csv(*rows: str, header: str = HEADER) -> io.BytesIO:
    return io.BytesIO("\n".join([header, *rows]).encode())


def lines(*orders: Any) -> io.BytesIO:
    return io.BytesIO("\n".join(one if isinstance(one, str) else json.dumps(one) for one in orders).encode())


def order(reference: str, quantity: Any = 1, **more: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "lines": [{"sku": "mug", "quantity": quantity, "unit_price": "9.50"}],
        "currency": "EUR",
    } | more


def imported(shop: OrderManagement, file: io.BytesIO, form: str = "csv", **more: Any) -> ImportReport:
    given: dict[str, Any] = {"format": form, "currency": "EUR", "channel": "old"} | more
    return import_orders(shop, file, **given)


def told(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(row.row, row.field, row.error) for row in report.refused]


@pytest.fixture
def stocked(shop: OrderManagement) -> OrderManagement:
    shop.handle(ReceiveStock(sku="mug", quantity=10))
    shop.handle(ReceiveStock(sku="pen", quantity=10))
    return shop


# What is read.


def test_a_file_is_named_by_its_path_as_text_too(stocked: OrderManagement, tmp_path: Path):
    path = tmp_path / "orders.csv"
    path.write_bytes(csv("1,mug,2,9.50").read())

    assert import_orders(stocked, str(path), currency="EUR").placed == 1


def test_a_file_that_is_not_there_is_told(stocked: OrderManagement, tmp_path: Path):
    with pytest.raises(Unreadable, match="cannot be opened"):
        import_orders(stocked, tmp_path / "none.csv")


@pytest.mark.parametrize("source", [None, 7, io.StringIO(HEADER), b"orders.csv"], ids=["none", "int", "text", "bytes"])
def test_what_is_no_file_of_bytes_is_refused(stocked: OrderManagement, source: Any):
    with pytest.raises(InvalidInput, match="a file opened for bytes"):
        import_orders(stocked, source, format="csv")


def test_orders_are_imported_into_a_shop_that_is_not_awaited():
    shop: Any = AsyncOrderManagement(storage=MemoryStorage())
    with pytest.raises(InvalidInput, match="takes an OrderManagement"):
        imported(shop, csv("1,mug,2,9.50"))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_columns_that_stand_apart_by_something_else_are_told(stocked: OrderManagement, mark: str):
    with pytest.raises(Unreadable, match="save the file with commas"):
        imported(stocked, csv("1,mug,2,9".replace(",", mark), header=HEADER.replace(",", mark)))


def test_rows_of_one_reference_are_one_order(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,2,9.50", "1,pen,1,0.333333", "2,mug,1,9.50"))

    assert (report.orders, report.placed, report.ok) == (2, 2, True)
    first, second = (stocked.find(Order, external=reference)[0] for reference in ("1", "2"))
    assert [(one.sku, one.quantity, one.minor) for one in first.lines.values()] == [("mug", 2, 1900), ("pen", 1, 33)]
    assert second.due == eur("9.50")


def test_a_purchase_order_keeps_what_the_buyer_wrote(stocked: OrderManagement):
    header = (
        "reference,purchase_order,requested_at,placed_at,customer,ship_to_name,ship_to_street,ship_to_city,"
        "ship_to_country,sku,quantity,unit_price,line_reference,line_requested_at"
    )
    row = "7,PO 4711,2026-03-01,2025-12-24T10:00:00+01:00,acme,Ann,Long Lane 1,York,GB,mug,1,9.50,pos 10,2026-02-01"
    assert imported(stocked, csv(row, header=header)).ok

    found = stocked.find(Order, external="7")[0]
    assert (found.reference, found.customer, found.channel) == ("PO 4711", "acme", "old")
    assert found.requested_at == pendulum.datetime(2026, 3, 1)
    assert found.placed_at == pendulum.datetime(2025, 12, 24, 9)
    assert (found.lines["1"].reference, found.lines["1"].requested_at) == ("pos 10", pendulum.datetime(2026, 2, 1))
    assert found.ship_to is not None


def test_json_lines_tell_the_same(stocked: OrderManagement):
    one = order("7", 2, purchase_order="PO 4711", ship_to={"name": "Ann", "street": "x", "city": "y", "country": "GB"})
    assert imported(stocked, lines(one), "jsonl").placed == 1
    assert stocked.find(Order, external="7")[0].due == eur("19.00")


def test_an_order_that_was_paid_is_paid(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,2,9.50,elsewhere,4.90", header=HEADER + ",pay,shipping"))
    assert report.ok
    found = stocked.find(Order, external="1")[0]
    assert (found.paid, found.payment_status) == (eur("23.90"), "paid")


def test_an_order_that_was_paid_otherwise_than_it_costs_is_refused(stocked: OrderManagement):
    assert told(imported(stocked, csv("1,mug,2,9.50,5.00", header=HEADER + ",paid"))) == [(2, "", "PaymentMismatch")]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_files_from_spreadsheets_are_read(stocked: OrderManagement, mark: bytes, end: bytes):
    file = io.BytesIO(mark + end.join([HEADER.encode(), b'"1","mug","1","9.50"', b"", b"2,mug,1,9.50"]))
    assert imported(stocked, file).placed == 2


def test_columns_of_the_hosts_own_are_left_alone(stocked: OrderManagement):
    assert imported(stocked, csv("1,mug,1,9.50,anything", header=HEADER + ",x_colour")).ok


def test_a_path_tells_its_form(stocked: OrderManagement, tmp_path: Path):
    path = tmp_path / "orders.csv"
    path.write_bytes(csv("1,mug,1,9.50").getvalue())
    assert import_orders(stocked, path, currency="EUR").placed == 1


# What is refused.


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("1,mug,0,9.50", "quantity"),
        ("1,mug,-1,9.50", "quantity"),
        ("1,mug,1.5,9.50", "quantity"),
        ("1,mug,١,9.50", "quantity"),
        ("1,mug,1e9,9.50", "quantity"),
        ("1,mug,,9.50", "quantity"),
        ("1,,1,9.50", "sku"),
        ("1, mug ,1,9.50", "sku"),
        ("1,mug,1,", "unit_price"),
        ("1,mug,1,nine", "unit_price"),
        ("1,mug,1,-1", "unit_price"),
        ("1,mug,1,1E+9", "unit_price"),
        ("1,mug,1,NaN", "unit_price"),
        ("1,mug,1,0.1234567", "unit_price"),
        (",mug,1,9.50", "reference"),
        ("1\x07,mug,1,9.50", "reference"),
        ("1,mug,1,9.50,extra", ""),
        ("1,mug", ""),
        ('1,mug,1,"9.50', ""),
        ('1,"m"ug,1,9.50', ""),
    ],
)
def test_a_bad_row_is_told_with_its_field_and_nothing_of_it_is_placed(stocked: OrderManagement, row: str, field: str):
    before = snapshot(stocked)
    report = imported(stocked, csv(row))

    assert [(one.row, one.field) for one in report.refused] == [(2, field)]
    assert str(report.refused[0])
    assert snapshot(stocked) == before


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("purchase_order", "x" * 600, "purchase_order must have at most"),
        ("line_external", "x" * 600, "line_external must have at most"),
        ("line_reference", "a\x07", "line_reference must not contain"),
        ("pay_days", "99999", "pay_days must be"),
        ("pay_reference", "a\x07", "pay_reference must not contain"),
        ("placed_at", "2026-01-31T09:30:00", "an instant needs its offset, such as 2026-01-31T09:30:00Z"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_the_file(stocked: OrderManagement, column: str, value: str, told: str):
    (refused,) = imported(stocked, csv(f"1,mug,1,9.50,{value}", header=f"{HEADER},{column}")).refused
    assert refused.field == column
    assert refused.reason.startswith(told)


def test_a_number_that_is_too_large_is_told_with_its_limit(stocked: OrderManagement):
    (refused,) = imported(stocked, csv(f"1,mug,{'9' * 20},9.50")).refused
    assert "1 to 1000000000" in refused.reason


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "1",
        "null",
        '"text"',
        "{}",
        '{"reference": "1"}',
        '{"reference": "1", "lines": []}',
        '{"reference": "1", "lines": [1]}',
        '{"reference": "1", "lines": {}}',
        '{"reference": 1, "lines": [{"sku": "mug", "quantity": 1, "unit_price": "1"}]}',
        '{"reference": "1", "reference": "2", "lines": [{"sku": "mug", "quantity": 1, "unit_price": "1"}]}',
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": true, "unit_price": "1"}]}',
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": 1, "unit_price": NaN}]}',
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": 1, "unit_price": 1e400}]}',
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": 1, "unit_price": "1"}], "colour": "red"}',
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": 1, "unit_price": "1", "colour": "red"}]}',
        '{"reference": "1", "ship_to": {"name": "x"}, "lines": [{"sku": "m", "quantity": 1, "unit_price": "1"}]}',
        '{"reference": "1", "placed_at": "yesterday", "lines": [{"sku": "m", "quantity": 1, "unit_price": "1"}]}',
        '{"reference": "1", "placed_at": "2999-01-01", "lines": [{"sku": "m", "quantity": 1, "unit_price": "1"}]}',
        "[" * 100_000,
        '{"reference": "1", "lines": [{"sku": "mug", "quantity": ' + "9" * 5000 + ', "unit_price": "1"}]}',
    ],
)
def test_a_line_that_is_no_order_is_told(shop: OrderManagement, line: str):
    report = imported(shop, lines(line), "jsonl")
    assert (len(report.refused), report.placed, report.refused[0].row) == (1, 0, 1)
    assert len(report.refused[0].reason) < 600


def test_the_good_rows_are_kept(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,1,9.50", "2,mug,none,9.50", "3,mug,1,9.50"))
    assert (report.placed, told(report)) == (2, [(3, "quantity", "InvalidInput")])


def test_an_order_with_one_bad_row_is_refused_as_a_whole(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,1,9.50", "1,pen,none,1.00"))
    assert (report.placed, told(report)) == (0, [(3, "quantity", "InvalidInput")])


def test_a_row_that_says_something_else_of_its_order_is_refused(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,1,9.50,ann", "1,pen,1,1.00,bob", header=HEADER + ",customer"))
    assert told(report) == [(3, "customer", "InvalidInput")]


def test_a_reference_that_comes_twice_is_refused_the_second_time(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,1,9.50", "2,mug,1,9.50", "1,mug,1,9.50"))
    assert (report.placed, told(report)) == (2, [(4, "reference", "InvalidInput")])


def test_a_file_that_breaks_off_in_a_quote_is_told(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,1,9.50", '2,"mu'))
    assert sorted(row.row for row in report.refused) == [2, 3], "the torn row may have been one of the order before"
    assert report.placed == 0


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfer\x00e\x00f\x00",
        b"reference,sku,quantity\n1,mug,1",
        b"reference,sku,quantity,unit_price,colour\n",
        b"reference,sku,sku,quantity,unit_price\n",
        b'"reference,sku\n',
        b"",
    ],
)
def test_a_file_of_another_form_is_refused_as_a_whole(shop: OrderManagement, content: bytes):
    with pytest.raises(Unreadable):
        imported(shop, io.BytesIO(content))


def test_a_file_without_rows_has_no_orders(shop: OrderManagement):
    assert imported(shop, csv()) == ImportReport()
    assert imported(shop, io.BytesIO(b""), "jsonl") == ImportReport()


def test_a_line_without_an_end_is_told_and_the_next_ones_are_read(stocked: OrderManagement):
    huge = b"x" * (9 << 20)
    file = io.BytesIO(b"\n".join([HEADER.encode(), huge, b"2,mug,1,9.50"]))
    report = imported(stocked, file)
    assert (report.placed, [row.row for row in report.refused]) == (1, [2])


@pytest.mark.parametrize("wrong", [{"errors": "some"}, {"stock": "maybe"}, {"format": "xml"}, {"batch": 0}])
def test_a_policy_that_there_is_not_is_refused(shop: OrderManagement, wrong: dict[str, Any]):
    with pytest.raises(InvalidInput):
        imported(shop, csv(), **wrong)


# Again.


def test_the_same_file_again_places_nothing(stocked: OrderManagement):
    imported(stocked, csv("1,mug,6,9.50", "2,mug,4,9.50"))
    before = snapshot(stocked)
    report = imported(stocked, csv("1,mug,6,9.50", "2,mug,4,9.50"))

    assert (report.placed, report.already, report.ok) == (0, 2, True)
    assert snapshot(stocked) == before


def test_corrected_rows_are_placed_the_next_time(stocked: OrderManagement):
    imported(stocked, csv("1,mug,1,9.50", "2,mug,none,9.50"))
    report = imported(stocked, csv("1,mug,1,9.50", "2,mug,1,9.50"))
    assert (report.placed, report.already) == (1, 1)


def test_another_channel_has_references_of_its_own(stocked: OrderManagement):
    imported(stocked, csv("1,mug,1,9.50"))
    assert imported(stocked, csv("1,mug,1,9.50"), channel="other").placed == 1


# Stock.


def test_an_order_without_goods_is_refused(shop: OrderManagement):
    assert told(imported(shop, csv("1,mug,1,9.50"))) == [(2, "", "OutOfStock")]


def test_goods_can_be_left_alone(shop: OrderManagement):
    assert imported(shop, csv("1,mug,1,9.50"), stock="skip").placed == 1
    found = shop.find(Order, external="1")[0]
    assert (found.status, found.lines["1"].units) == ("placed", {"open": 1})

    shop.handle(ReceiveStock(sku="mug", quantity=1))
    assert shop.handle(SetGoodsAside(order_id=found.order_id)).status == "confirmed"


@pytest.mark.parametrize("errors", ["keep", "all"])
def test_what_is_missing_can_be_booked_in(stocked: OrderManagement, errors: str):
    report = imported(stocked, csv("1,mug,8,9.50", "2,mug,5,9.50", "3,mug,7,9.50"), stock="force", errors=errors)
    assert (report.placed, report.received) == (3, {"mug": 10})
    assert on_the_shelf(stocked) == (20, 20, 0)


# All or nothing.


@pytest.mark.parametrize("bad", ["3,mug,none,9.50", "3,mug,99,9.50", "3,mug"])
def test_all_or_nothing_places_nothing_where_one_is_bad(stocked: OrderManagement, bad: str):
    before = snapshot(stocked)
    report = imported(stocked, csv("1,mug,1,9.50", "2,mug,1,9.50", bad), errors="all")

    assert (report.placed, [row.row for row in report.refused]) == (0, [4])
    assert snapshot(stocked) == before


def test_all_or_nothing_counts_what_earlier_orders_take(stocked: OrderManagement):
    report = imported(stocked, csv("1,mug,6,9.50", "2,mug,6,9.50"), errors="all")
    assert (report.placed, told(report)) == (0, [(3, "", "OutOfStock")])


def test_all_or_nothing_goes_on_where_it_was(stocked: OrderManagement):
    imported(stocked, csv("1,mug,1,9.50"))
    report = imported(stocked, csv("1,mug,1,9.50", "2,mug,1,9.50"), errors="all")
    assert (report.placed, report.already) == (1, 1)


def test_all_or_nothing_has_a_limit():
    shop = OrderManagement(storage=MemoryStorage())
    with pytest.raises(TooManyTogether):
        imported(shop, csv(*(f"{n},mug,1,9.50" for n in range(5002))), errors="all", stock="skip")
    assert not shop.find(Order)


def test_progress_is_told(stocked: OrderManagement):
    seen = list[tuple[int, int, int]]()
    imported(stocked, csv(*(f"{n},mug,1,9.50" for n in range(5))), batch=2, progress=lambda *now: seen.append(now))
    assert seen[-1] == (5, 5, 0)
    assert len(seen) > 2


# Whatever comes.

GOOD = csv(
    "1,mug,1,9.50,ann,2026-03-01",
    "1,pen,2,0.333333,ann,2026-03-01",
    "2,mug,1,9.50,bob,",
    header=HEADER + ",customer,requested_at",
).getvalue()
GOOD_LINES = lines(order("1"), order("2", 3, pay="elsewhere", shipping="4.90")).getvalue()


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.parametrize(("good", "form"), [(GOOD, "csv"), (GOOD_LINES, "jsonl")], ids=["csv", "jsonl"])
def test_a_damaged_file_is_told_and_never_a_crash(seed: int, good: bytes, form: str):
    chance = random.Random(seed)
    damaged = bytearray(good)
    for _ in range(chance.choice((1, 1, 3, 10))):
        place = chance.randrange(len(damaged))
        match chance.choice(("flip", "cut", "insert", "copy")):
            case "flip":
                damaged[place] = chance.randrange(256)
            case "cut":
                del damaged[place : place + chance.randrange(1, 20)]
            case "insert":
                damaged[place:place] = chance.choice((b'"', b",", b"\n", b"\0", b"{", b"\xff", b"9" * 30, b"\r"))
            case _:
                damaged[place:place] = damaged[: chance.randrange(len(damaged))]
        if not damaged:
            damaged = bytearray(b"\n")
    shop = OrderManagement(storage=MemoryStorage())
    try:
        report = imported(shop, io.BytesIO(bytes(damaged)), form, stock=chance.choice(("skip", "force", "reserve")))
    except Unreadable:
        return
    assert len(shop.find(Order)) == report.placed
    assert all(row.row >= 1 and row.reason and len(row.reason) < 1000 for row in report.refused)
