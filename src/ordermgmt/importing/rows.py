"""What the fields of a row mean: an order as a file tells it becomes a `PlaceOrder`, or says which field is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import attrs
from pendulum import DateTime

from ..engine.instants import check_instant
from ..engine.messages import shorten
from ..errors import InvalidInput, OrderManagementError
from ..money import Money, UnitPrice
from ..orders.entry import Line, OnAccount, PaidElsewhere, Pay, PlaceOrder
from ..orders.model import Address
from .model import RefusedRow, Told

ORDER_FIELDS = (
    "reference",
    "channel",
    "order_id",
    "purchase_order",
    "customer",
    "currency",
    "placed_at",
    "requested_at",
    "shipping",
    "carrier",
    "location",
    "pay",
    "pay_method",
    "pay_reference",
    "pay_days",
    "paid",
    "ship_to",
    "bill_to",
)
LINE_FIELDS = (
    "sku",
    "quantity",
    "unit_price",
    "line_id",
    "line_external",
    "line_reference",
    "line_requested_at",
)
ADDRESS_FIELDS = tuple(a.name for a in attrs.fields(Address))
_ADDRESS_NEEDS = tuple(a.name for a in attrs.fields(Address) if a.default is attrs.NOTHING)
PAY = ("account", "elsewhere")

Value = TypeVar("Value")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_WHOLE = re.compile(r"[0-9]{1,30}")
_COLUMNS = {
    PlaceOrder: {"external": "reference", "reference": "purchase_order"},
    Line: {"external": "line_external", "reference": "line_reference"},
    OnAccount: {"days": "pay_days", "reference": "pay_reference"},
    PaidElsewhere: {"method": "pay_method", "amount": "paid", "reference": "pay_reference"},
}
"""Where a column is not called what the field is that it fills: an error speaks of the column."""


class BadField(Exception):
    """What is wrong, with which field, in which row."""

    def __init__(self, row: int, name: str, problem: Exception, reason: str = "") -> None:
        super().__init__(reason or str(problem))
        self.row = row
        self.name = name
        self.error = type(problem).__name__ if isinstance(problem, OrderManagementError) else "InvalidInput"


def order_of(told: Told, *, channel: str, currency: str, goods: str) -> PlaceOrder | RefusedRow:
    """The command that places it; or why not."""
    try:
        return _order(told, channel, currency, goods)
    except BadField as bad:
        return RefusedRow(row=bad.row, field=bad.name, reference=told.reference, error=bad.error, reason=str(bad))


def _order(told: Told, channel: str, currency: str, goods: str) -> PlaceOrder:
    fields = dict(told.fields)

    def get(name: str, read: Callable[[Any], Value], default: Value) -> Value:
        return _read(told.row, name, fields.get(name), read, default)

    money = get("currency", _text, currency)
    if not money:
        reason = "no currency is told; add a column, or say currency= (--currency)"
        raise BadField(told.row, "currency", InvalidInput(reason))
    reference = get("reference", _text, "")
    if not reference:
        raise BadField(told.row, "reference", InvalidInput("reference must say what the channel calls the order"))
    lines = tuple(_line(row, line, money) for row, line in told.lines)
    shipping = get("shipping", lambda value: Money(_amount(value), money), None)
    return _made(
        told.row,
        PlaceOrder,
        order_id=get("order_id", _text, None),
        lines=lines,
        pay=_pay(told.row, fields, lines, shipping, money),
        shipping=shipping,
        ship_to=get("ship_to", _address, None),
        bill_to=get("bill_to", _address, None),
        customer=get("customer", _text, ""),
        channel=get("channel", _text, channel),
        location=get("location", _text, "main"),
        carrier=get("carrier", _text, ""),
        reference=get("purchase_order", _text, ""),
        external=reference,
        requested_at=get("requested_at", _instant, None),
        placed_at=get("placed_at", _instant, None),
        goods=goods,
    )


def _line(row: int, fields: dict[str, Any], currency: str) -> Line:
    def get(name: str, read: Callable[[Any], Value], default: Value) -> Value:
        return _read(row, name, fields.get(name), read, default)

    for name in ("sku", "quantity", "unit_price"):
        if fields.get(name) in (None, ""):
            raise BadField(row, name, InvalidInput(f"{name} must not be empty"))
    return _made(
        row,
        Line,
        sku=get("sku", _text, ""),
        quantity=get("quantity", _whole, 0),
        unit_price=get("unit_price", lambda value: UnitPrice(_amount(value), currency), None),
        line_id=get("line_id", _text, ""),
        external=get("line_external", _text, ""),
        reference=get("line_reference", _text, ""),
        requested_at=get("line_requested_at", _instant, None),
    )


def _pay(row: int, fields: dict[str, Any], lines: tuple[Line, ...], shipping: Money | None, currency: str) -> Pay:
    """On account, unless the row says that it was paid: then all of it, or the amount it tells."""
    how = _read(row, "pay", fields.get("pay"), _text, "elsewhere" if fields.get("paid") else "account")
    reference = _read(row, "pay_reference", fields.get("pay_reference"), _text, "")
    if how == "account":
        days = _read(row, "pay_days", fields.get("pay_days"), _whole, 30)
        return _made(row, OnAccount, days=days, reference=reference)
    if how != "elsewhere":
        raise BadField(row, "pay", InvalidInput(f"pay must be one of {', '.join(PAY)} (got {shorten(how)})"))
    amount = _read(row, "paid", fields.get("paid"), lambda value: Money(_amount(value), currency), None)
    if amount is None:
        amount = _made(row, _sum, lines=lines, shipping=shipping, currency=currency)
    method = _read(row, "pay_method", fields.get("pay_method"), _text, "imported")
    return _made(row, PaidElsewhere, method=method, amount=amount, reference=reference)


def _sum(*, lines: tuple[Line, ...], shipping: Money | None, currency: str) -> Money:
    total = Money.sum((line.unit_price.times(line.quantity) for line in lines), currency)
    return total if shipping is None else total + shipping


# Fields.


def _read(row: int, name: str, value: Any, read: Callable[[Any], Value], default: Value) -> Value:
    if value is None or value == "":
        return default
    try:
        return read(value)
    except (OrderManagementError, TypeError, ValueError, OverflowError) as problem:
        raise BadField(row, name, problem) from problem


def _made(row: int, make: Callable[..., Value], **fields: Any) -> Value:
    try:
        return make(**fields)
    except (OrderManagementError, TypeError, ValueError, OverflowError) as problem:
        # Our errors begin with the name of the field they speak of.
        name, _, rest = str(problem).partition(" ")
        if name not in fields:
            raise BadField(row, "", problem) from problem
        column = _COLUMNS.get(cast("Any", make), {}).get(name, name)
        raise BadField(row, column, problem, f"{column} {rest}") from problem


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"it must be text (got {shorten(value)})")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if value.__class__ is int:
        return int(value)
    raise InvalidInput(f"it must be a whole number in plain digits (got {shorten(value)})")


def _amount(value: Any) -> str | int | Decimal:
    if isinstance(value, str | Decimal) or value.__class__ is int:
        return value
    raise InvalidInput(f"it must be an amount such as 9.50 (got {shorten(value)})")


def _instant(value: Any) -> DateTime:
    text = _text(value)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"it must be a day or an instant, such as 2026-01-31 or 2026-01-31T09:30:00Z (got {shorten(value)})"
        ) from None
    if _DATE.fullmatch(text):
        at = at.replace(tzinfo=UTC)
    elif at.tzinfo is None:
        raise InvalidInput(f"an instant needs its offset, such as 2026-01-31T09:30:00Z (got {shorten(value)})")
    return check_instant(at, "it")


def _address(value: Any) -> Address:
    if not isinstance(value, dict):
        raise InvalidInput("an address must be an object")
    told = cast("dict[str, Any]", value)
    if unknown := [key for key in told if key not in ADDRESS_FIELDS]:
        raise InvalidInput(f"an address has no {shorten(unknown[0])}; it has {', '.join(ADDRESS_FIELDS)}")
    if missing := [name for name in _ADDRESS_NEEDS if not told.get(name)]:
        raise InvalidInput(f"an address needs {', '.join(missing)}")
    return Address(**told)
