"""Placing what a file tells, batch by batch, and telling what came of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define, field

from ..engine.messages import shorten
from ..errors import InvalidInput, NotTogether, OrderManagementError
from ..management import OrderManagement
from ..orders.entry import PlaceOrder
from ..orders.references import ReferenceTaken
from ..settings import BATCH_MAX
from ..stock.messages import ReceiveStock
from ..stock.rules import OutOfStock
from .model import ERRORS, STOCK, ImportReport, RefusedRow, Told, TooManyTogether, Unreadable
from .reading import FORMATS, read
from .rows import order_of

BATCH = 200
"""Orders a commit, where good rows are kept."""

TRIES = 20
"""How often goods are booked in anew for one order, because others took them first."""

Progress = Callable[[int, int, int], None]
"""Told how many orders were read, how many are placed or were there, and how many rows were refused."""


@define
class _Import:
    """An import as it goes on."""

    shop: OrderManagement
    goods: str
    force: bool
    by: str | None
    orders: int = 0
    placed: int = 0
    already: int = 0
    received: dict[str, int] = field(factory=dict[str, int])
    refused: list[RefusedRow] = field(factory=list[RefusedRow])

    @property
    def report(self) -> ImportReport:
        """What came of it so far."""
        return ImportReport(
            orders=self.orders,
            placed=self.placed,
            already=self.already,
            received=dict(self.received),
            refused=tuple(self.refused),
        )

    def tell(self, progress: Progress | None) -> None:
        """Tell how far it is."""
        if progress is not None:
            progress(self.orders, self.placed + self.already, len(self.refused))


@define
class _Wish:
    """An order that could be read, and where."""

    row: int
    order: PlaceOrder


def import_orders(
    shop: OrderManagement,
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,
    channel: str = "import",
    currency: str = "",
    errors: str = "keep",
    stock: str = "reserve",
    batch: int = BATCH,
    by: str | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Place the orders of a file: CSV with a row for each line, or JSON lines with an order each.

    Args:
        shop: Where they are placed.
        source: The file's path, or a file opened for bytes.
        format: ``"csv"`` or ``"jsonl"``; by default what the path ends with.
        channel: Whose orders they are, where a row does not say; references are unique in it.
        currency: In which they are told, where a row does not say.
        errors: ``"keep"`` places what is good; ``"all"`` places all of the orders or none, of up to 5,000.
        stock: ``"reserve"`` refuses an order without goods, ``"skip"`` leaves goods alone, ``"force"`` books in
            what is missing.
        batch: How many orders share a commit.
        by: Who imports.
        progress: Told how far it is, after every batch.

    Raises `Unreadable` where the file has no such form, `TooManyTogether`; never for a bad row: that is reported.
    Imported again it goes on where it was: an order whose reference is there already is counted and left alone.
    """
    _check(errors, "errors", ERRORS)
    _check(stock, "stock", STOCK)
    if batch.__class__ is not int or not 1 <= batch <= BATCH_MAX:
        raise InvalidInput(f"batch must be 1 to {BATCH_MAX} orders")
    if not isinstance(shop, OrderManagement):
        raise InvalidInput(f"import_orders takes an OrderManagement, also under asyncio (got {shorten(shop)})")
    source = Path(source) if isinstance(source, str) else source
    form = format if format is not None else _form(source)
    _check(form, "format", FORMATS)
    run = _Import(shop, "later" if stock == "skip" else "reserve", stock == "force", by)
    with _opened(source) as file:
        wishes = _wishes(run, read(file, form), channel, currency)
        if errors == "all":
            _all_or_nothing(run, list(islice(wishes, BATCH_MAX + 1)))
        else:
            while some := list(islice(wishes, batch)):
                _keep(run, some)
                run.tell(progress)
    run.tell(progress)
    return run.report


def _check(value: object, name: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InvalidInput(f"{name} must be one of {', '.join(choices)} (got {value!r})")


def _opened(source: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, Path):
        try:
            return source.open("rb")
        except OSError as problem:
            raise Unreadable(f"{source} cannot be opened ({problem.strerror}); name a file that is there") from problem
    if not hasattr(source, "readline") or isinstance(source, io.TextIOBase):
        raise InvalidInput(f"source must be a path, or a file opened for bytes: open(…, 'rb') (got {shorten(source)})")
    return nullcontext(source)


def _form(source: Path | BinaryIO) -> str:
    suffix = source.suffix.lower() if isinstance(source, Path) else ""
    if suffix == ".csv":
        return "csv"
    if suffix in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    raise InvalidInput("say format='csv' or format='jsonl', or call the file .csv or .jsonl: its name does not tell")


def _wishes(run: _Import, told: Iterable[Told | RefusedRow], channel: str, currency: str) -> Iterator[_Wish]:
    """The orders that can be read; the others are refused as they come."""
    seen: dict[tuple[str, str], int] = {}
    for one in told:
        if isinstance(one, RefusedRow):
            run.refused.append(one)
            continue
        run.orders += 1
        order = order_of(one, channel=channel, currency=currency, goods=run.goods)
        if isinstance(order, RefusedRow):
            run.refused.append(order)
            continue
        name = (order.channel, order.external)
        if name in seen:
            reason = f"the reference was told in row {seen[name]} already; put the rows of an order together"
            run.refused.append(_refusal(one.row, order, InvalidInput(reason), name="reference"))
            continue
        seen[name] = one.row
        yield _Wish(one.row, order)


def _refusal(row: int, order: PlaceOrder, problem: Exception, *, name: str = "") -> RefusedRow:
    return RefusedRow(row=row, field=name, reference=order.external, error=type(problem).__name__, reason=str(problem))


# Keeping what is good.


def _keep(run: _Import, wishes: Sequence[_Wish]) -> None:
    answers = run.shop.handle_many([wish.order for wish in wishes], by=run.by)
    for wish, answer in zip(wishes, answers, strict=True):
        if not (isinstance(answer, OutOfStock) and run.force):
            _note(run, wish, answer)
            continue
        _note(run, wish, _with_goods(run, wish, answer))


def _with_goods(run: _Import, wish: _Wish, short: OutOfStock) -> Any:
    """Book in what is missing and place it, in one commit.  Others may take goods meanwhile, so it is tried again."""
    answer: Any = short
    receipts: list[ReceiveStock] = []
    for _ in range(TRIES):
        # What was booked in with a try that failed was not saved: it is missing as well.
        receipts = [*receipts, *_receipts([(wish, answer)])]
        *_, answer = run.shop.handle_many([*receipts, wish.order], by=run.by, together=True)
        if not isinstance(answer, OutOfStock):
            if not isinstance(answer, Exception):
                _received(run, receipts)
            break
    return answer


def _note(run: _Import, wish: _Wish, answer: Any) -> None:
    if not isinstance(answer, Exception):
        run.placed += 1
    elif _is_there(wish, answer):
        run.already += 1
    elif isinstance(answer, OrderManagementError):
        run.refused.append(_refusal(wish.row, wish.order, answer))
    else:
        raise answer  # a bug, not a bad row


def _is_there(wish: _Wish, answer: Any) -> bool:
    """Whether the order was imported before: its own reference is taken, not that of one of its lines."""
    return isinstance(answer, ReferenceTaken) and not answer.line_id and answer.external == wish.order.external


def _receipts(short: Iterable[tuple[_Wish, OutOfStock]]) -> list[ReceiveStock]:
    """What must be booked in, so that all of these can be placed one after the other."""
    wanted: dict[tuple[str, str], int] = {}
    left: dict[tuple[str, str], int] = {}
    for _, refusal in short:
        for shortage in refusal.shortages:
            row = (shortage.sku, shortage.location)
            wanted[row] = wanted.get(row, 0) + shortage.wanted
            left[row] = min(left.get(row, shortage.available), shortage.available)
    return [
        ReceiveStock(sku=sku, location=location, quantity=n - left[sku, location], reference="import")
        for (sku, location), n in wanted.items()
    ]


def _received(run: _Import, receipts: Iterable[ReceiveStock]) -> None:
    for receipt in receipts:
        run.received[receipt.sku] = run.received.get(receipt.sku, 0) + receipt.quantity


# All or nothing.


def _all_or_nothing(run: _Import, wishes: list[_Wish]) -> None:
    """One commit.  What is there already is left out; what is missing is booked in where that is asked for."""
    if run.refused:
        return
    receipts: list[ReceiveStock] = []
    while wishes:
        if len(wishes) + len(receipts) > BATCH_MAX:
            raise TooManyTogether(f"at most {BATCH_MAX} orders can be placed all or nothing; split the file")
        commands = [*receipts, *(wish.order for wish in wishes)]
        answers = run.shop.handle_many(commands, by=run.by, together=True)[len(receipts) :]
        met = [(wish, answer) for wish, answer in zip(wishes, answers, strict=True)]
        bad = [
            (wish, answer)
            for wish, answer in met
            if isinstance(answer, Exception) and not isinstance(answer, NotTogether)
        ]
        if not bad:
            run.placed += len(wishes)
            _received(run, receipts)
            return
        there = {id(wish) for wish, answer in bad if _is_there(wish, answer)}
        short = [(wish, answer) for wish, answer in bad if isinstance(answer, OutOfStock)]
        if there:
            run.already += len(there)
            wishes = [wish for wish in wishes if id(wish) not in there]
        elif short and len(short) == len(bad) and run.force and not receipts:
            receipts = _receipts(short)
        else:
            for wish, answer in bad:
                _note(run, wish, answer)
            return


__all__ = ["BATCH", "Progress", "Unreadable", "import_orders"]
