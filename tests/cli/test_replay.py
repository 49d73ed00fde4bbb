"""A replay counts every row of its file, loses nothing when it is killed, and its books balance to the penny."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from ordermgmt import Capture, Order, OrderManagement, Payment, Shipment, Stock
from ordermgmt.cli import main
from ordermgmt.cli.gateway import SteadyPayments
from ordermgmt.cli.online_retail import COLUMNS, OnlineRetail, kind_of
from ordermgmt.storage import SqliteStorage
from ordermgmt.verify import breaches

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail.csv.gz"
needs_the_real_file = pytest.mark.skipif(not REAL.exists(), reason="../shared/data/online_retail.csv.gz is not here")

FIRST, SECOND, THIRD = "2010-12-01 08:26:00", "2010-12-01 09:00:00", "2011-02-03 12:00:00"

ROWS = [
    # invoice, code, quantity, date, price, customer
    ("536365", "85123A", "6", FIRST, "2.55", "17850.0"),
    ("536365", "15056bl", "3", FIRST, "0.0415", "17850.0"),  # four decimals: 0.1245, charged 0.12
    ("536365", "15056BL", "2", FIRST, "1.005", "17850.0"),  # another code, for case matters: 2.01
    ("536365", "POST", "1", FIRST, "18.00", "17850.0"),
    ("C536379", "85123A", "-2", FIRST, "2.55", "17850.0"),
    ("A563185", "B", "1", FIRST, "11062.06", ""),
    ("536366", "22633", "-10", SECOND, "0.0", ""),
    ("536366", "22633", "4", SECOND, "0.0", ""),
    ("536367", "85123A", "1", SECOND, "2.55", ""),
    ("536368", "M", "1", SECOND, "3.335", "12345.0"),  # nothing to send: charged 3.34
    ("536367", "gift_0001_20", "1", SECOND, "16.67", ""),  # its invoice was interrupted by another
    ("536367", "22633", "1", SECOND, "-1.00", ""),
    ("536369", "85123A", "1", THIRD, "0.125", ""),  # half a penny goes up: 0.13
]

EXPECTED = {
    "invoices": 5,
    "orders": 4,
    "lines": 8,
    "units": 16,
    "goods_exact": "58.1145",
    "goods_charged": "58.12",
    "captured": "58.12",
    "stock_left": 0,
    "skipped": {"cancellation": 1, "adjustment": 1, "not_above_zero": 1, "price_zero": 1, "price_negative": 1},
}


def written(path: Path, rows: Sequence[tuple[str, ...]]) -> Path:
    """The rows as a file of the real one's form; packed if its name says so."""
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for invoice, code, quantity, at, price, customer in rows:
            writer.writerow([invoice, code, "WHITE, “HANGING” HEART", quantity, at, price, customer, "EIRE"])
        content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def many(invoices: int) -> list[tuple[str, ...]]:
    """So many small invoices, a minute apart."""
    rows: list[tuple[str, ...]] = []
    for n in range(invoices):
        at = f"2011-03-04 {n // 60:02d}:{n % 60:02d}:00"
        for line in range(1 + n % 3):
            quantity, price = str(1 + (n * line) % 5), f"{1 + line}.{n % 100:02d}5"
            rows.append((str(600000 + n), f"code-{(n + line) % 7}", quantity, at, price, "17850.0"))
    return rows


def replayed(source: Path, db: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """The JSON object the replay ends with."""
    assert main(["replay", "online-retail", str(source), "--db", str(db), *more]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told


def counted(told: dict[str, Any]) -> dict[str, Any]:
    """What is the same in every run."""
    return {name: value for name, value in told.items() if name in EXPECTED}


# What becomes of the rows.


@pytest.mark.parametrize("name", ["retail.csv", "retail.csv.gz"])
def test_every_row_is_in_an_order_or_skipped_for_a_reason(tmp_path: Path, name: str, capsys):
    told = replayed(written(tmp_path / name, ROWS), tmp_path / "shop.db", capsys)
    assert counted(told) == EXPECTED
    assert told["lines"] + sum(told["skipped"].values()) == len(ROWS)


def test_the_last_line_has_these_figures_and_no_others(tmp_path: Path, capsys):
    told = replayed(written(tmp_path / "retail.csv", ROWS), tmp_path / "shop.db", capsys)
    assert list(told) == [*EXPECTED, "seconds", "orders_per_second", "peak_mb"]


def test_what_is_no_goods_is_counted_by_its_code(tmp_path: Path, capsys):
    source = written(tmp_path / "retail.csv", ROWS)
    assert main(["replay", "online-retail", str(source), "--db", str(tmp_path / "shop.db")]) == 0
    told = capsys.readouterr().out
    for code in ("POST: postage, service", "M: manual entry, service", "gift_0001_20: gift voucher, digital"):
        assert [line.split()[-1] for line in told.splitlines() if code in line] == ["1"]


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    replayed(written(tmp_path / "retail.csv", ROWS), tmp_path / "shop.db", capsys)
    with OrderManagement(storage=SqliteStorage(tmp_path / "shop.db")) as shop:
        yield shop


def test_orders_are_placed_sent_and_delivered_at_the_invoices_own_dates(shop: OrderManagement):
    order, parcel = shop.get(Order, "536369"), shop.get(Shipment, "536369:s1")
    dates = (order.placed_at, parcel.handed_over_at, parcel.delivered_at)
    assert {at.to_datetime_string() for at in dates if at is not None} == {THIRD}
    assert None not in dates


def test_the_customer_is_kept_and_a_guest_has_none(shop: OrderManagement):
    assert [shop.get(Order, id).customer for id in ("536365", "536367")] == ["17850", ""]


def test_codes_that_differ_in_case_are_different_goods(shop: OrderManagement):
    assert [line.sku for line in shop.get(Order, "536365").lines.values()] == ["85123A", "15056bl", "15056BL", "POST"]
    assert {stock.sku for stock in shop.find(Stock)} == {"85123A", "15056bl", "15056BL"}


def test_an_interrupted_invoice_is_one_order(shop: OrderManagement):
    assert [line.sku for line in shop.get(Order, "536367").lines.values()] == ["85123A", "gift_0001_20"]


def test_every_order_is_complete_and_paid_to_the_penny(shop: OrderManagement):
    orders = list(shop.find(Order))
    assert [order.complete for order in orders] == [True] * 4
    assert [order.paid for order in orders] == [order.total for order in orders]


def test_the_store_obeys_the_laws(shop: OrderManagement):
    assert list(breaches(shop)) == []


def test_a_limit_takes_the_first_invoices_only(tmp_path: Path, capsys):
    told = replayed(written(tmp_path / "retail.csv", ROWS), tmp_path / "shop.db", capsys, "--limit", "2")
    assert (told["invoices"], told["orders"], told["lines"], sum(told["skipped"].values())) == (2, 1, 4, 4)


# What is refused.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "is not the Online Retail file"),
        (f"{','.join(COLUMNS)}\n536365,85123A,HEART,6\n", "row 1: 4 cells instead of 8"),
        (f"{','.join(COLUMNS)}\n536365,85123A,HEART,six,{FIRST},1.00,,EIRE\n", "row 1: "),
        (f"{','.join(COLUMNS)}\n536365,85123A,HEART,6,{FIRST},1e3,,EIRE\n", "row 1: "),
        (f"{','.join(COLUMNS)}\n536365,85123A,HEART,6,yesterday,1.00,,EIRE\n", "row 1: "),
    ],
)
def test_another_file_is_refused_with_its_row(tmp_path: Path, capsys, text: str, said: str):
    source = tmp_path / "retail.csv"
    source.write_text(text)
    assert main(["replay", "online-retail", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys):
    assert main(["replay", "online-retail", str(tmp_path / "no.csv"), "--db", str(tmp_path / "shop.db")]) == 2
    assert capsys.readouterr().err == f"ordermgmt: there is no file {tmp_path / 'no.csv'}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_database_with_another_replay_is_refused(tmp_path: Path, capsys):
    source = written(tmp_path / "retail.csv", ROWS)
    replayed(source, tmp_path / "shop.db", capsys, "--limit", "1")
    assert main(["replay", "online-retail", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert "holds a replay of other orders" in capsys.readouterr().err


def test_books_that_do_not_balance_are_told(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    right = SteadyPayments.execute

    def take_a_penny_less(self: Any, request: Any, **how: Any) -> Any:
        done = right(self, request, **how)
        if not isinstance(request, Capture):
            return done
        return evolve(done, result=tuple(evolve(fact, minor=fact.minor - 1) for fact in done.result))

    monkeypatch.setattr(SteadyPayments, "execute", take_a_penny_less)
    source = written(tmp_path / "retail.csv", ROWS[-1:])
    assert main(["replay", "online-retail", str(source), "--db", str(tmp_path / "shop.db")]) == 2
    assert "do not balance" in capsys.readouterr().err


# Killed, and started again.


def test_a_second_run_doubles_nothing(tmp_path: Path, capsys):
    source = written(tmp_path / "retail.csv", ROWS)
    replayed(source, tmp_path / "shop.db", capsys)
    before = events(tmp_path / "shop.db")
    assert counted(replayed(source, tmp_path / "shop.db", capsys)) == EXPECTED
    assert events(tmp_path / "shop.db") == before


def events(db: Path) -> int:
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        count = 0
        while page := shop.feed(count):
            count += len(page)
        return count


KILLED = """
import os, signal, sys
from ordermgmt.cli import main
from ordermgmt.cli.gateway import SteadyPayments
from ordermgmt.storage.sqlite.store import SqliteTransaction

left, where = int(sys.argv[1]), sys.argv[2]

def dying(what, *, after):
    def until_then(*args, **kwargs):
        global left
        left -= 1
        if not left and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = what(*args, **kwargs)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return until_then

if where == "asking":  # the provider is being asked: nobody knows whether it has done it
    SteadyPayments.execute = dying(SteadyPayments.execute, after=False)
else:
    SqliteTransaction.commit = dying(SqliteTransaction.commit, after=where == "after a commit")
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("where", "every"), [("before a commit", 8), ("after a commit", 7), ("asking", 150)], ids=str)
def test_killed_again_and_again_it_finishes_the_job_without_doubling_anything(
    tmp_path: Path, capsys, where: str, every: int
):
    source, db = written(tmp_path / "retail.csv", many(200)), tmp_path / "shop.db"
    arguments = ["replay", "online-retail", str(source), "--db", str(db)]
    killed = 0
    while True:
        command = [sys.executable, "-c", KILLED, str(every), where, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != -signal.SIGKILL:
            break
        killed += 1
    assert done.returncode == 0, done.stderr
    assert killed >= 2

    survey = OnlineRetail(source).survey()
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["orders"] == 200
    assert told["captured"] == told["goods_charged"] == f"{survey.charged / 100:.2f}"
    assert told["stock_left"] == 0
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        assert sum(len(payment.facts) for payment in everything(shop, Payment)) == 2 * 200  # authorised, captured
        assert list(breaches(shop)) == []


def everything(shop: OrderManagement, state: type[Any]) -> list[Any]:
    found: list[Any] = []
    after = None
    while True:
        page = shop.find(state, after=after)
        found += page
        after = page.next
        if after is None:
            return found


# The real file.


def penny(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@needs_the_real_file
def test_the_first_real_invoices_are_charged_and_captured_as_the_file_says(tmp_path: Path, capsys):
    charged = exact = Decimal(0)
    units: Counter[str] = Counter()
    seen: set[str] = set()
    with gzip.open(REAL, "rt", encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            invoice, price, quantity = row["InvoiceNo"], Decimal(row["UnitPrice"]), int(row["Quantity"])
            if invoice.isdigit():
                if invoice not in seen and len(seen) == 150:
                    break
                seen.add(invoice)
                if price > 0 and quantity > 0:
                    charged += penny(price * quantity)
                    exact += price * quantity
                    units[row["StockCode"]] += quantity
    told = replayed(REAL, tmp_path / "shop.db", capsys, "--limit", "150")
    assert Decimal(told["captured"]) == Decimal(told["goods_charged"]) == charged
    assert Decimal(told["goods_exact"]) == exact
    assert (told["invoices"], told["units"], told["stock_left"]) == (150, units.total(), 0)


@needs_the_real_file
def test_the_whole_real_file_is_accounted_for_row_by_row():
    survey = OnlineRetail(REAL).survey()
    # As ../shared/data/README.md has it, which counts the 3 A rows among 22,064 invoices and 10,644,560.424 pounds;
    # they come to −11,062.06, and nothing else without a C has a price and is not sold.
    assert survey.rows == 541_909 == survey.lines + survey.skipped.total()
    assert survey.invoices == 22_064 - 3
    assert survey.exact_micros == 10_644_560_424_000 + 11_062_060_000
    assert survey.skipped == {"cancellation": 9_288, "adjustment": 3, "not_above_zero": 1_336, "price_zero": 1_179}


@needs_the_real_file
def test_every_invoice_of_the_real_file_comes_once_and_whole():
    retail = OnlineRetail(REAL, limit=3_000)
    survey = retail.survey()
    invoices = list(retail.invoices(survey))
    assert len({invoice.number for invoice in invoices}) == len(invoices) == survey.orders
    assert sum(len(invoice.rows) for invoice in invoices) == survey.lines
    sold = [row for invoice in invoices for row in invoice.rows if kind_of(row.code) == "stocked"]
    assert sum(row.quantity for row in sold) == survey.demand.total()


@needs_the_real_file
@pytest.mark.skipif(not os.environ.get("ORDERMGMT_WHOLE_FILE"), reason="takes minutes; set ORDERMGMT_WHOLE_FILE=1")
@pytest.mark.timeout(1_800)
def test_the_whole_real_file_is_replayed_to_the_penny(tmp_path: Path, capsys):
    told = replayed(REAL, tmp_path / "shop.db", capsys)
    assert told["captured"] == told["goods_charged"]
    assert told["stock_left"] == 0
    assert told["peak_mb"] < 1024
