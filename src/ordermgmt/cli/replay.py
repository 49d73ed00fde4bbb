"""Real orders, lived through once more: every sales invoice of a file becomes an order, from entry to delivery.

Everything goes through the public front door, in batches, at the invoices' own dates.  Every command has an id, so
that a replay that was killed is started again with the same words and goes on where it was.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from attrs import define

from ..engine.discrepancies import Discrepancy
from ..engine.effects import Intent
from ..engine.messages import Command, counted
from ..engine.ports import ManualClock
from ..errors import CommandIdReused, OrderManagementError
from ..management import OrderManagement
from ..orders.entry import Line, PayNow, PlaceOrder, Tender
from ..orders.model import Order
from ..payments.model import Payment
from ..shipments.messages import HandOverShipment, RecordDelivery
from ..stock.messages import ReceiveStock
from ..stock.model import Stock
from .gateway import SteadyPayments
from .online_retail import SERVICES, SKIPPED, Invoice, OnlineRetail, RetailItems, Survey, kind_of
from .stores import made
from .terminal import Paper, table

ORDERS_A_BATCH = 100
LINES_A_BATCH = 3_000
"""A batch ends with the order that fills it: what it holds in memory is bounded by both."""
RECEIPTS_A_BATCH = 500
PAGE = 200

PAY = PayNow([Tender("card", token="replay")])  # noqa: S106 - a token that means nothing to anybody
LIVE = ("ready", "sending", "pending", "unknown", "parked")
"""The statuses of effects that have not ended."""

State = TypeVar("State")


class ReplayFailed(OrderManagementError):
    """The replay met something that it cannot explain; nothing is counted as done that is not."""


def replay(paper: Paper, source: Path, db: str, schema: str, limit: int | None) -> None:
    """Replay the file into the store, and print what came of it; the last line is one JSON object."""
    began = time.perf_counter()
    retail = OnlineRetail(source, limit)
    progress = Progress(sys.stderr)
    progress.say(f"reading {source.name}")
    survey = retail.survey()
    clock = ManualClock(survey.first_at)
    shop = OrderManagement(
        storage=made(db, schema),
        actor="replay",
        clock=clock,
        gateways={"card": SteadyPayments(clock)},
        items=RetailItems(),
    )
    with shop:
        done = finish_what_was_begun(shop, clock)
        if done:
            progress.say(f"{counted(len(done), 'order is', 'orders are')} complete already")
        _receive(shop, survey)
        lived = 0
        # Deciding makes no cycles of references: the collector would look at every batch many times and find nothing.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        left = (invoice for invoice in retail.invoices(survey) if invoice.number not in done)
        for batch in _batches(left):
            _live_through(shop, clock, batch)
            lived += len(batch)
            progress.show(len(done) + lived, survey.orders, lived / (time.perf_counter() - began))
        told = _account(shop, survey)
    seconds = time.perf_counter() - began
    told["seconds"] = round(seconds, 1)
    told["orders_per_second"] = round(lived / seconds, 1)
    told["peak_mb"] = peak_mb()
    _tell(paper, survey)
    paper.line(json.dumps(told))


# Living.


def finish_what_was_begun(shop: OrderManagement, clock: ManualClock) -> set[str]:
    """The orders an earlier run has completed.  What it was asking for when it ended is asked for to its end."""
    live = [intent for status in LIVE for intent in every(shop, Intent, status=status)]
    if live:
        # What was being sent is nobody's again when its lease is over.
        clock.set(max(clock.now(), *(intent.due for intent in live)))
        shop.run_due()
    return {order.order_id for order in every(shop, Order, complete="yes")}


def _receive(shop: OrderManagement, survey: Survey) -> None:
    """Each code's whole demand, once."""
    receipts = (
        (ReceiveStock(sku=code, quantity=quantity), f"retail:receive:{code}")
        for code, quantity in survey.demand.items()
    )
    while some := list(islice(receipts, RECEIPTS_A_BATCH)):
        try:
            do_all(shop, some)
        except CommandIdReused as error:
            raise ReplayFailed(
                "the database holds a replay of other orders (another file, or another --limit); use a new one"
            ) from error


def _batches(invoices: Iterable[Invoice]) -> Iterator[list[Invoice]]:
    batch = list[Invoice]()
    for invoice in invoices:
        batch.append(invoice)
        if len(batch) >= ORDERS_A_BATCH or sum(len(one.rows) for one in batch) >= LINES_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _live_through(shop: OrderManagement, clock: ManualClock, batch: Sequence[Invoice]) -> None:
    """Place, pay, send and deliver: the whole life of some orders."""
    clock.set(max(clock.now(), *(invoice.at for invoice in batch)))
    do_all(shop, [(_order(invoice), f"retail:{invoice.number}:place") for invoice in batch])
    shop.run_due()
    parcels = [one for one in batch if any(kind_of(row.code) == "stocked" for row in one.rows)]
    do_all(shop, [step for invoice in parcels for step in (_sent(invoice), _delivered(invoice))])
    shop.run_due()


def _order(invoice: Invoice) -> PlaceOrder:
    return PlaceOrder(
        order_id=invoice.number,
        lines=[Line(sku=row.code, quantity=row.quantity, unit_price=row.price) for row in invoice.rows],
        pay=PAY,
        customer=invoice.customer,
        channel="online-retail",
        placed_at=invoice.at,
    )


def _sent(invoice: Invoice) -> tuple[HandOverShipment, str]:
    command = HandOverShipment(shipment_id=f"{invoice.number}:s1", occurred_at=invoice.at)
    return command, f"retail:{invoice.number}:send"


def _delivered(invoice: Invoice) -> tuple[RecordDelivery, str]:
    command = RecordDelivery(shipment_id=f"{invoice.number}:s1", occurred_at=invoice.at)
    return command, f"retail:{invoice.number}:deliver"


def do_all(shop: OrderManagement, commands: Sequence[tuple[Command[Any], str]]) -> None:
    """All of them, in one commit.  Nothing is ever refused in a replay."""
    for answer in shop.handle_many(commands):
        if isinstance(answer, Exception):
            raise answer


# Counting.


def _account(shop: OrderManagement, survey: Survey) -> dict[str, Any]:
    """What the store holds, compared with what the file says.  Raises `ReplayFailed` where they differ."""
    captured = sum(payment.amounts.captured for payment in every(shop, Payment))
    stock_left = sum(stock.on_hand for stock in every(shop, Stock))
    complete = wrong = 0
    for order in every(shop, Order, complete="yes"):
        complete += 1
        wrong += order.money.captured != order.total.minor or order.money.open != 0
    live = sum(1 for status in LIVE for _ in every(shop, Intent, status=status))
    discrepancies = sum(1 for _ in every(shop, Discrepancy, status="open"))
    checks = {
        f"{complete:,} of {counted(survey.orders, 'order')} complete": complete == survey.orders,
        f"{captured} pence captured, {survey.charged} charged": captured == survey.charged,
        f"{counted(wrong, 'order was', 'orders were')} not paid exactly": not wrong,
        f"{counted(stock_left, 'piece is', 'pieces are')} left on the shelf": not stock_left,
        f"{counted(live, 'request is', 'requests are')} unanswered": not live,
        f"{counted(discrepancies, 'discrepancy is', 'discrepancies are')} open": not discrepancies,
        f"{counted(survey.rows, 'row')} read": survey.rows == survey.lines + sum(survey.skipped.values()),
    }
    if problems := [told for told, holds in checks.items() if not holds]:
        raise ReplayFailed("the books do not balance: " + "; ".join(problems))
    return {
        "invoices": survey.invoices,
        "orders": survey.orders,
        "lines": survey.lines,
        "units": survey.units,
        "goods_exact": _pounds(survey.exact_micros, 6),
        "goods_charged": _pounds(survey.charged, 2),
        "captured": _pounds(captured, 2),
        "stock_left": stock_left,
        "skipped": {reason: survey.skipped[reason] for reason in SKIPPED},
    }


def every(shop: OrderManagement, state: type[State], **where: str) -> Iterator[State]:
    """All entities of a kind, page by page."""
    after: tuple[str, str] | None = None
    while True:
        page = shop.find(state, limit=PAGE, after=after, **where)
        yield from page
        if page.next is None:
            return
        after = page.next


def _pounds(scaled: int, decimals: int) -> str:
    """Exact, with at least two decimals."""
    whole, part = divmod(scaled, 10**decimals)
    fraction = f"{part:0{decimals}d}"
    return f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"


def peak_mb() -> int | None:
    """The most memory this process ever held, in MiB; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, but bytes on macOS
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _tell(paper: Paper, survey: Survey) -> None:
    """What the figures stand for, for people."""
    rows = [("", "rows"), ("in orders", f"{survey.lines:,}")]
    for code, n in sorted(survey.services.items(), key=lambda item: (-item[1], item[0])):
        rows.append((f"  of them {code}: {SERVICES.get(code, 'gift voucher')}, {kind_of(code)}", f"{n:,}"))
    rows += [(f"not in an order: {reason.replace('_', ' ')}", f"{survey.skipped[reason]:,}") for reason in SKIPPED]
    rows.append(("in the file", f"{survey.rows:,}"))
    for line in table(rows, right=[1]):
        paper.line(line)


# Showing that it is alive.


@define
class Progress:
    """One line that is drawn anew on a terminal; elsewhere a line every few seconds."""

    out: TextIO
    _told: float = 0.0

    def say(self, text: str) -> None:
        """Something to be read."""
        print(text, file=self.out, flush=True)

    def show(self, done: int, of: int, a_second: float) -> None:
        """How far it is."""
        text = f"{done:,} of {counted(of, 'order')}, {a_second:.0f} a second"
        last = done == of
        if self.out.isatty():
            print(f"\r{text}\x1b[K", end="\n" if last else "", file=self.out, flush=True)
        elif last or time.monotonic() - self._told >= 5:
            self._told = time.monotonic()
            print(text, file=self.out, flush=True)
