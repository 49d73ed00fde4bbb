"""The UCI *Online Retail* file, read as orders: which rows are sold, and why the others are not.

One row per invoice line, an invoice's rows nearly always together.  https://doi.org/10.24432/C5BW33
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from attrs import define, field
from pendulum import DateTime

from ..engine.instants import in_utc
from ..engine.messages import counted
from ..errors import InvalidInput
from ..money import UnitPrice
from ..orders.port import Item
from ..values import frozen

COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
CURRENCY = "GBP"

SERVICES = {
    "POST": "postage",
    "DOT": "postage (dotcom)",
    "C2": "carriage",
    "M": "manual entry",
    "m": "manual entry",
    "S": "samples",
    "D": "discount",
    "B": "bad debt",
    "BANK CHARGES": "bank charges",
    "AMAZONFEE": "marketplace fee",
    "CRUK": "charity commission",
}
"""Codes that are no goods.  Where an invoice charges one (quantity and price above zero), the order has it as a line
of kind service: it needs no stock and no parcel, and its amount is captured with the rest."""

VOUCHER = "gift_0001_"
"""Codes that begin so are gift vouchers: digital.  All others (PADS, DCGS…) are goods, and stocked."""

SKIPPED = ("cancellation", "adjustment", "not_above_zero", "price_zero", "price_negative")
"""Why a row is in no order, first match: an invoice number with C; any other that is not digits only; a quantity of
zero or less (a write-off); a price of zero (a write-off or a gift); a price below zero."""


def kind_of(code: str) -> str:
    """What a stock code stands for: stocked, service or digital."""
    if code in SERVICES:
        return "service"
    return "digital" if code.startswith(VOUCHER) else "stocked"


class RetailItems:
    """The catalogue: every code can be ordered, as what it is."""

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """All of them."""
        return {sku: _ITEMS[kind_of(sku)] for sku in skus}


_ITEMS = {kind: Item(kind=kind) for kind in ("stocked", "service", "digital")}


class Row(NamedTuple):
    """One line of the file that is sold."""

    code: str
    quantity: int
    price: UnitPrice


@frozen
class Invoice:
    """One invoice that becomes an order."""

    number: str
    at: DateTime
    customer: str
    rows: tuple[Row, ...]


@define
class Survey:
    """What one look through the file tells, before anything is ordered."""

    rows: int = 0
    """Rows looked at; with a limit, those before the first invoice beyond it."""
    first_at: DateTime | None = None
    """The date of the first invoice."""
    last_row: dict[str, int] = field(factory=dict[str, int])
    """Sales invoice → its last row.  Few are interrupted by others; their order is made when they are whole."""
    orders: int = 0
    """Invoices with a line that is sold."""
    lines: int = 0
    units: int = 0
    exact_micros: int = 0
    """Σ quantity × price at full precision, in millionths of a pound."""
    charged: int = 0
    """Σ of the lines' totals as they are charged, in pence."""
    demand: Counter[str] = field(factory=Counter[str])
    """Stocked code → units sold in all."""
    services: Counter[str] = field(factory=Counter[str])
    """Code that is no stocked goods → lines sold."""
    skipped: Counter[str] = field(factory=Counter[str])
    """Reason → rows that are in no order."""

    @property
    def invoices(self) -> int:
        """Sales invoices, whether or not anything in them is sold."""
        return len(self.last_row)


class OnlineRetail:
    """The file.  Every reading streams; memory does not grow with it."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self._path = path
        self._limit = limit
        self._prices = dict[str, UnitPrice]()

    def survey(self) -> Survey:
        """Look through it once."""
        survey = Survey()
        sold = set[str]()
        for number, cells in self._rows():
            invoice = cells[0]
            if invoice.isdecimal() and invoice not in survey.last_row and len(survey.last_row) == self._limit:
                break
            survey.rows = number
            if invoice.isdecimal():
                if invoice not in survey.last_row:
                    at = self._instant(number, cells[4])
                    survey.first_at = min(survey.first_at or at, at)
                survey.last_row[invoice] = number
            row = self._sold(number, cells)
            if isinstance(row, str):
                survey.skipped[row] += 1
                continue
            sold.add(invoice)
            survey.lines += 1
            survey.units += row.quantity
            survey.exact_micros += row.price.micros * row.quantity
            survey.charged += row.price.times(row.quantity).minor
            if kind_of(row.code) == "stocked":
                survey.demand[row.code] += row.quantity
            else:
                survey.services[row.code] += 1
        survey.orders = len(sold)
        return survey

    def invoices(self, survey: Survey) -> Iterator[Invoice]:
        """Every invoice that becomes an order, as soon as its last row is read: always in the same order."""
        begun = dict[str, tuple[str, str, list[Row]]]()
        for number, cells in self._rows():
            if number > survey.rows:
                break
            invoice = cells[0]
            last = survey.last_row.get(invoice)
            if last is None:
                continue
            row = self._sold(number, cells)
            if not isinstance(row, str):
                begun.setdefault(invoice, (cells[4], cells[6], []))[2].append(row)
            if number == last and invoice in begun:
                at, customer, rows = begun.pop(invoice)
                yield Invoice(invoice, self._instant(number, at), customer.removesuffix(".0"), tuple(rows))

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        with self._path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, encoding="utf-8", newline="") as text:
                reader = csv.reader(text)
                if next(reader, None) != COLUMNS:
                    raise InvalidInput(
                        f"{self._path} is not the Online Retail file; its columns are {','.join(COLUMNS)}"
                    )
                for number, cells in enumerate(reader, 1):
                    if len(cells) != len(COLUMNS):
                        raise InvalidInput(
                            f"{self._path}, row {number}: {counted(len(cells), 'cell')} instead of {len(COLUMNS)}"
                        )
                    yield number, cells

    def _sold(self, number: int, cells: list[str]) -> Row | str:
        """What is sold in a row, or why nothing is."""
        invoice, code, _, pieces, _, amount, _, _ = cells
        if not invoice.isdecimal():
            return "cancellation" if invoice.startswith("C") else "adjustment"
        try:
            quantity = int(pieces)
            price = self._prices.get(amount) or self._prices.setdefault(amount, UnitPrice(amount, CURRENCY))
        except ValueError as error:
            raise InvalidInput(f"{self._path}, row {number}: {error}") from error
        if quantity <= 0:
            return "not_above_zero"
        if price.micros <= 0:
            return "price_zero" if price.micros == 0 else "price_negative"
        return Row(code, quantity, price)

    def _instant(self, number: int, text: str) -> DateTime:
        try:
            return in_utc(datetime.fromisoformat(f"{text}+00:00"))
        except ValueError as error:
            raise InvalidInput(f"{self._path}, row {number}: {error}") from error
