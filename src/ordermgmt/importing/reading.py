"""Files of orders as they come: JSON lines, and CSV with a row for each line of an order.

Nothing is believed: bytes that are no text, rows that break off, and lines without an end are told as refused rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, NoReturn, cast

from ..engine.messages import counted
from .model import RefusedRow, Told, Unreadable
from .rows import ADDRESS_FIELDS, LINE_FIELDS, ORDER_FIELDS

LINE_BYTES_MAX = 4 << 20
"""The longest line that is read."""
LINES_MAX = 10_001
"""One more than an order may have: enough to refuse it."""
FORMATS = ("csv", "jsonl")
_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = (";", "\t", "|")
"""What some programs write in a comma's place."""
_IGNORED = "x_"
"""Columns whose names begin so are the host's own, and left alone."""


def read(file: BinaryIO, form: str) -> Iterator[Told | RefusedRow]:
    """The orders in a file, and the rows that are none.  Raises `Unreadable` for a file that has no such form."""
    lines = _lines(file)
    return _csv(lines) if form == "csv" else _json_lines(lines)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """(number, bytes); None for a line that is too long to be one."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if number == 1:
            if line.startswith(_OTHER_BOMS):
                raise Unreadable("the file is UTF-16 or UTF-32; save it as UTF-8")
            line = line.removeprefix(_BOM)
        if len(line) <= LINE_BYTES_MAX:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAX)
        yield number, None


def _refused(row: int, reason: str, *, name: str = "", reference: Any = "") -> RefusedRow:
    told = reference[:200] if isinstance(reference, str) else ""
    return RefusedRow(row=row, field=name, reference=told, error="InvalidInput", reason=reason)


# JSON lines: one order each.


def _json_lines(lines: Iterable[tuple[int, bytes | None]]) -> Iterator[Told | RefusedRow]:
    for number, line in lines:
        if line is None:
            yield _refused(number, f"the line is longer than {LINE_BYTES_MAX} bytes")
        elif line.strip():
            yield _json_order(number, line)


def _json_order(number: int, line: bytes) -> Told | RefusedRow:
    try:
        order = json.loads(
            line.decode("utf-8"), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once
        )
    except UnicodeDecodeError:
        return _refused(number, "the line is not UTF-8")
    except (ValueError, RecursionError) as problem:
        return _refused(number, f"the line is not JSON ({str(problem)[:100] or 'nested too deeply'})")
    if not isinstance(order, dict):
        return _refused(number, "the line must be a JSON object: one order")
    return _order(number, cast("dict[str, Any]", order))


def _order(number: int, order: dict[str, Any]) -> Told | RefusedRow:
    lines = order.pop("lines", None)
    reference = order.get("reference")
    if unknown := sorted(str(key)[:60] for key in order if key not in ORDER_FIELDS):
        return _refused(
            number, f"there is no such field; known are {', '.join(ORDER_FIELDS)}", name=unknown[0], reference=reference
        )
    several = cast("list[dict[str, Any]]", lines)
    if not isinstance(lines, list) or not several:
        return _refused(number, "lines must be a list of objects, at least one", name="lines", reference=reference)
    for one in several[:LINES_MAX]:
        if not isinstance(one, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # nobody has looked yet
            return _refused(number, "lines must hold objects", name="lines", reference=reference)
        if unknown := sorted(str(key)[:60] for key in one if key not in LINE_FIELDS):
            return _refused(
                number,
                f"there is no such field; known are {', '.join(LINE_FIELDS)}",
                name=unknown[0],
                reference=reference,
            )
    return Told(row=number, fields=order, lines=tuple((number, one) for one in several[:LINES_MAX]))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return told


# CSV: one row for each line of an order, the rows of an order together.


def _csv(lines: Iterable[tuple[int, bytes | None]]) -> Iterator[Told | RefusedRow]:
    rows = _rows(lines)
    header = next(rows, None)
    if header is None:
        raise Unreadable("the file is empty; its first row must name the columns")
    if isinstance(header, RefusedRow):
        raise Unreadable(f"the first row must name the columns ({header.reason})")
    columns = _columns(header[1])
    order: list[tuple[int, dict[str, str]]] = []
    broken = False
    for one in rows:
        if isinstance(one, RefusedRow):
            yield one
            broken = broken or bool(order)  # the row may have been one of this order
            continue
        number, values = one
        if len(values) != len(columns):
            yield _refused(number, f"the row has {counted(len(values), 'field')}, the first row names {len(columns)}")
            place = columns.index("reference")
            broken = broken or (bool(order) and _may_belong(values, place, order[0][1]))
            continue
        row = {
            name: value for name, value in zip(columns, values, strict=True) if value and not name.startswith(_IGNORED)
        }
        if order and _name(row) != _name(order[0][1]):
            yield from _told(order, broken=broken)
            order, broken = [], False
        if len(order) < LINES_MAX:
            order.append((number, row))
    if order:
        yield from _told(order, broken=broken)


def _may_belong(values: list[str], place: int, row: dict[str, str]) -> bool:
    """Whether a torn row may be one of the order before it: unless it tells another reference."""
    return place >= len(values) - 1 or values[place] == row.get("reference", "")


def _name(row: dict[str, str]) -> tuple[str, str]:
    return row.get("channel", ""), row.get("reference", "")


def _rows(lines: Iterable[tuple[int, bytes | None]]) -> Iterator[tuple[int, list[str]] | RefusedRow]:
    """(line in the file where it begins, fields).  Bytes that are no text become surrogates, and are then refused."""
    last = [0]

    def texts() -> Iterator[str]:
        for number, line in lines:
            last[0] = number
            yield "\0" if line is None else line.decode("utf-8", "surrogateescape")

    reader = csv.reader(texts(), strict=True)
    while True:
        begun = last[0] + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield _refused(begun, f"the row cannot be read ({problem}); is a quote missing?")
            continue
        if not any(values):
            continue
        if values == ["\0"]:
            yield _refused(begun, f"the line is longer than {LINE_BYTES_MAX} bytes")
        elif any(not value.isascii() and _torn(value) for value in values):
            yield _refused(begun, "the row is not UTF-8")
        else:
            yield begun, values


def _torn(value: str) -> bool:
    return any("\udc80" <= c <= "\udcff" for c in value)


def _columns(names: list[str]) -> list[str]:
    known = {
        *ORDER_FIELDS,
        *LINE_FIELDS,
        *(f"{which}_{name}" for which in ("ship_to", "bill_to") for name in ADDRESS_FIELDS),
    }
    known -= {"ship_to", "bill_to"}
    columns = [name.strip() for name in names]
    if len(columns) == 1 and (other := next((one for one in _SEPARATORS if one in columns[0]), None)):
        raise Unreadable(f"the columns stand apart by {other!r}; save the file with commas between them")
    if unknown := [name for name in columns if name not in known and not name.startswith(_IGNORED)]:
        raise Unreadable(
            f"there is no column {unknown[0][:60]!r}; known are {', '.join(sorted(known))}; "
            f"begin the name of a column of your own with {_IGNORED}"
        )
    if len(set(columns)) != len(columns):
        raise Unreadable("a column stands twice in the first row")
    if missing := [name for name in ("reference", "sku", "quantity", "unit_price") if name not in columns]:
        raise Unreadable(f"the first row names no column {missing[0]}")
    return columns


def _told(rows: list[tuple[int, dict[str, str]]], *, broken: bool) -> Iterator[Told | RefusedRow]:
    """Several rows as one order.  What is the order's stands in the first of them; others repeat it or leave it out."""
    first, row = rows[0]
    reference = row.get("reference", "")
    if broken:
        yield _refused(first, "a row of this order cannot be read, so none is taken", reference=reference)
        return
    fields: dict[str, Any] = {name: value for name, value in row.items() if name not in LINE_FIELDS}
    for number, other in rows[1:]:
        for name, value in other.items():
            if name not in LINE_FIELDS and fields.get(name) != value:
                yield _refused(number, f"differs from row {first} of the same order", name=name, reference=reference)
                return
    for which in ("ship_to", "bill_to"):
        prefix = f"{which}_"
        parts = {name: fields.pop(name) for name in list(fields) if name.startswith(prefix)}
        if parts:
            fields[which] = {name.removeprefix(prefix): value for name, value in parts.items()}
    lines = tuple((number, {n: v for n, v in other.items() if n in LINE_FIELDS}) for number, other in chain(rows))
    yield Told(row=first, fields=fields, lines=lines)
