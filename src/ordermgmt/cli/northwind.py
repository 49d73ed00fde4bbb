"""The Northwind sample database, read as orders: products at prices, with a discount on each line, and freight.

Microsoft's sample of a food trader, as SQLite.  Its numbers are stored as binary fractions and read as they are shown:
``0.15`` is 15 %, not the fraction nearest to it.  It tells no taxes and no day of delivery.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from pendulum import DateTime

from ..engine.instants import in_utc
from ..errors import InvalidInput
from ..money import Money, UnitPrice
from ..orders.model import Address
from ..values import frozen

CURRENCY = "USD"

_ORDERS = """
    SELECT OrderID, CustomerID, OrderDate, RequiredDate, ShippedDate, Freight,
           ShipName, ShipAddress, ShipCity, ShipRegion, ShipPostalCode, ShipCountry
    FROM Orders ORDER BY OrderID LIMIT ?
"""
_LINES = "SELECT ProductID, UnitPrice, Quantity, Discount FROM [Order Details] WHERE OrderID = ? ORDER BY ProductID"


class Row(NamedTuple):
    """One line of an order."""

    product: str
    quantity: int
    price: UnitPrice
    percent: Decimal
    """What is off, in percent."""

    @property
    def exact(self) -> Decimal:
        """Its amount after the discount, at full precision."""
        return self.price.exact(self.quantity) * (100 - self.percent) / 100


@frozen
class Sale:
    """One order of the file."""

    number: str
    customer: str
    ordered: DateTime
    required: DateTime | None
    shipped: DateTime | None
    freight: Money
    ship_to: Address
    rows: tuple[Row, ...]

    @property
    def late(self) -> bool:
        """Whether it was shipped after the day it was required on."""
        return self.shipped is not None and self.required is not None and self.shipped > self.required


def sales(path: Path, limit: int | None) -> list[Sale]:
    """The orders of the file, by their numbers.  Raises `InvalidInput` where it is no Northwind database."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = list(_sales(connection, limit))
    except sqlite3.Error as error:
        raise InvalidInput(f"{path} is not the Northwind database: {error}") from error
    if not found:
        raise InvalidInput(f"{path} holds no orders; there is nothing to replay")
    return found


def _sales(connection: sqlite3.Connection, limit: int | None) -> Iterator[Sale]:
    for number, customer, ordered, required, shipped, freight, *to in connection.execute(_ORDERS, (limit or -1,)):
        rows = tuple(
            Row(str(product), quantity, UnitPrice(_decimal(price), CURRENCY), _decimal(discount) * 100)
            for product, price, quantity, discount in connection.execute(_LINES, (number,))
        )
        at = _instant(ordered)
        if not rows or at is None:
            raise InvalidInput(f"order {number} of the file has no lines, or no date")
        # No-break spaces stand in some of them.
        name, street, city, region, postal_code, country = (" ".join((cell or "").split()) for cell in to)
        yield Sale(
            number=str(number),
            customer=customer or "",
            ordered=at,
            required=_instant(required),
            shipped=_instant(shipped),
            freight=Money(_decimal(freight), CURRENCY),
            ship_to=Address(
                name=name, street=street, city=city, region=region, postal_code=postal_code, country=country
            ),
            rows=rows,
        )


def _decimal(cell: Any) -> Decimal:
    """A number as it is shown: the shortest that reads as the same one."""
    return Decimal(repr(cell)) if isinstance(cell, int | float) else Decimal(0)


def _instant(cell: str | None) -> DateTime | None:
    return None if cell is None else in_utc(datetime.fromisoformat(f"{cell}+00:00"))


def demand(orders: list[Sale]) -> Counter[str]:
    """Product → units ordered in all."""
    wanted = Counter[str]()
    for sale in orders:
        for row in sale.rows:
            wanted[row.product] += row.quantity
    return wanted
