"""What an import is told and tells: policies, orders as they were read, and the rows that were refused."""

from __future__ import annotations

from typing import Any

from attrs import field

from ..errors import InvalidInput
from ..values import frozen

ERRORS = ("keep", "all")
"""What happens where some rows are bad: the good ones are kept, or it is all or nothing."""
STOCK = ("reserve", "skip", "force")
"""Goods are reserved, and an order without goods is refused; or they are left alone (`SetGoodsAside` takes them
later); or what is missing is booked in, for it stands somewhere."""


class Unreadable(InvalidInput):
    """The file as a whole is no table of orders: nothing of it was imported."""


class TooManyTogether(InvalidInput):
    """More orders than can be placed all or nothing."""


@frozen(kw_only=True)
class RefusedRow:
    """Why a row is no order, or no line of one."""

    row: int
    """Its line in the file, from 1."""
    field: str
    """The column or key; empty where it is the row as a whole, or the order."""
    reference: str
    """The order's own id in its channel, as far as it could be read."""
    error: str
    """The kind of error: ``"InvalidInput"``, ``"OutOfStock"``."""
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f", {self.field}" if self.field else "")
        order = f" (order {self.reference})" if self.reference else ""
        return f"{where}{order}: {self.reason}"


@frozen(kw_only=True)
class Told:
    """An order as a file tells it: not checked yet."""

    row: int
    fields: dict[str, Any]
    lines: tuple[tuple[int, dict[str, Any]], ...]
    """(row, fields) of each."""

    @property
    def reference(self) -> str:
        """The order's own id, for messages."""
        reference = self.fields.get("reference")
        return reference[:200] if isinstance(reference, str) else ""


@frozen(kw_only=True)
class ImportReport:
    """What came of an import."""

    orders: int = 0
    """How many orders the file tells."""
    placed: int = 0
    already: int = 0
    """How many were there from before."""
    received: dict[str, int] = field(factory=dict[str, int])
    """Pieces booked in by SKU, where that was asked for."""
    refused: tuple[RefusedRow, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no row was refused."""
        return not self.refused
