"""Northwind's orders, lived through once more with their discounts and freight, day by day.

What the file shows as shipped is sent and delivered on that day; what it does not stays open, with its goods set aside
and its money authorised.  Every command has an id, so a replay that was killed is started again with the same words.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from pendulum import DateTime

from ..engine.discrepancies import Discrepancy
from ..engine.effects import Intent
from ..engine.messages import Command, counted
from ..engine.ports import ManualClock
from ..errors import CommandIdReused
from ..management import OrderManagement
from ..money import Money
from ..orders.entry import Line, PlaceOrder
from ..orders.model import Order
from ..payments.model import Payment
from ..pricing.terms import Discount
from ..shipments.messages import HandOverShipment, RecordDelivery
from ..stock.messages import ReceiveStock
from ..stock.model import Stock
from .gateway import SteadyPayments
from .northwind import CURRENCY, Sale, demand, sales
from .replay import LIVE, PAY, Progress, ReplayFailed, do_all, every, finish_what_was_begun, peak_mb
from .stores import made
from .terminal import Paper

Step = tuple[DateTime, str, Sale]
"""When, what (place or send), and of which order."""

BATCH = 100


def replay_northwind(paper: Paper, source: Path, db: str, schema: str, limit: int | None) -> None:
    """Replay the file into the store, show one order explained, and print what came of it as one JSON object."""
    began = time.perf_counter()
    found = sales(source, limit)
    progress = Progress(sys.stderr)
    progress.say(f"read {counted(len(found), 'order')} of {source.name}")
    clock = ManualClock(min(sale.ordered for sale in found))
    shop = OrderManagement(
        storage=made(db, schema), actor="replay", clock=clock, gateways={"card": SteadyPayments(clock)}
    )
    with shop:
        finish_what_was_begun(shop, clock)
        _receive(shop, found)
        done = 0
        for what, batch in _batches(found):
            _live(shop, clock, what, batch)
            done += len(batch) if what == "place" else 0
            progress.show(done, len(found), done / (time.perf_counter() - began))
        told = _account(shop, found)
        dearest = max(every(shop, Order), key=lambda order: order.total)
        paper.line(f"order {dearest.order_id}, the dearest, explained:")
        for line in str(dearest.explain()).splitlines():
            paper.line(line)
    seconds = time.perf_counter() - began
    told |= {"seconds": round(seconds, 1), "orders_per_second": round(len(found) / seconds, 1), "peak_mb": peak_mb()}
    paper.line(json.dumps(told))


# Living.


def _receive(shop: OrderManagement, found: list[Sale]) -> None:
    receipts = [
        (ReceiveStock(sku=product, quantity=quantity), f"northwind:receive:{product}")
        for product, quantity in sorted(demand(found).items())
    ]
    try:
        do_all(shop, receipts)
    except CommandIdReused as error:
        raise ReplayFailed(
            "the database holds a replay of other orders (another file, or another --limit); use a new one"
        ) from error


def _batches(found: list[Sale]) -> Iterator[tuple[str, list[Sale]]]:
    """What happened, in the order of the days, as many at once as happened one after the other."""
    steps = [(sale.ordered, "place", sale) for sale in found]
    steps += [(sale.shipped, "send", sale) for sale in found if sale.shipped is not None]
    # On one day orders are placed before parcels are sent.
    steps.sort(key=lambda step: (step[0], step[1], int(step[2].number)))
    for what, run in groupby(steps, key=lambda step: step[1]):
        while batch := [sale for _, _, sale in islice(run, BATCH)]:
            yield what, batch


def _live(shop: OrderManagement, clock: ManualClock, what: str, batch: Sequence[Sale]) -> None:
    days = [sale.ordered if what == "place" else sale.shipped or sale.ordered for sale in batch]
    clock.set(max(clock.now(), *days))
    if what == "place":
        do_all(shop, [(_order(sale), f"northwind:{sale.number}:place") for sale in batch])
    else:
        do_all(shop, [step for sale in batch for step in _sent(sale)])
    shop.run_due()


def _order(sale: Sale) -> PlaceOrder:
    return PlaceOrder(
        order_id=sale.number,
        lines=[
            Line(
                sku=row.product,
                quantity=row.quantity,
                unit_price=row.price,
                discounts=[Discount("discount", percent=row.percent)] if row.percent else (),
            )
            for row in sale.rows
        ],
        pay=PAY,
        shipping=sale.freight,
        ship_to=sale.ship_to,
        customer=sale.customer,
        channel="northwind",
        placed_at=sale.ordered,
    )


def _sent(sale: Sale) -> list[tuple[Command[Any], str]]:
    parcel = f"{sale.number}:s1"
    return [
        (HandOverShipment(shipment_id=parcel, occurred_at=sale.shipped), f"northwind:{sale.number}:send"),
        (RecordDelivery(shipment_id=parcel, occurred_at=sale.shipped), f"northwind:{sale.number}:deliver"),
    ]


# Counting.


def _account(shop: OrderManagement, found: list[Sale]) -> dict[str, Any]:
    """What the store holds, compared with what the file says.  Raises `ReplayFailed` where they differ."""
    by_number = {sale.number: sale for sale in found}
    goods = charged = freight = unexplained = wrong = complete = opened = 0
    for order in every(shop, Order):
        sale = by_number[order.order_id]
        lines = sum(line.minor for line in order.lines.values())
        goods += lines
        freight += order.total.minor - lines
        charged += order.total.minor
        unexplained += order.explain().total != order.due
        complete += order.complete
        if sale.shipped is None:
            opened += 1
            wrong += (order.status, order.fulfilment_status, order.money.open, order.money.captured) != (
                "confirmed",
                "unfulfilled",
                order.total.minor,
                0,
            )
        else:
            wrong += not order.complete or order.money.captured != order.total.minor or order.money.open != 0
    amounts = [payment.amounts for payment in every(shop, Payment)]
    captured, authorised = sum(one.captured for one in amounts), sum(one.open for one in amounts)
    stock_left = sum(stock.on_hand for stock in every(shop, Stock))
    waiting = sum(row.quantity for sale in found if sale.shipped is None for row in sale.rows)
    shipped = sum(sale.shipped is not None for sale in found)
    live = sum(1 for status in LIVE for _ in every(shop, Intent, status=status))
    discrepancies = sum(1 for _ in every(shop, Discrepancy, status="open"))
    checks = {
        f"{complete + opened:,} of {counted(len(found), 'order')} complete or open": complete + opened == len(found),
        f"{complete:,} of {counted(shipped, 'shipped order')} complete": complete == shipped,
        f"{counted(wrong, 'order is', 'orders are')} not paid exactly, or not where they should be": not wrong,
        f"{counted(unexplained, 'order does', 'orders do')} not explain what is charged": not unexplained,
        f"{captured} captured and {authorised} authorised are not {charged} charged": captured + authorised == charged,
        f"{freight} cents of freight charged": freight == sum(sale.freight.minor for sale in found),
        f"{counted(stock_left, 'piece is', 'pieces are')} on the shelf, {waiting:,} waited for": stock_left == waiting,
        f"{counted(live, 'request is', 'requests are')} unanswered": not live,
        f"{counted(discrepancies, 'discrepancy is', 'discrepancies are')} open": not discrepancies,
    }
    if problems := [told for told, holds in checks.items() if not holds]:
        raise ReplayFailed("the books do not balance: " + "; ".join(problems))
    rows = [row for sale in found for row in sale.rows]
    return {
        "orders": len(found),
        "lines": len(rows),
        "units": sum(row.quantity for row in rows),
        "gross": _told(sum((row.price.exact(row.quantity) for row in rows), Decimal(0))),
        "net_exact": _told(sum((row.exact for row in rows), Decimal(0))),
        "net_charged": _dollars(goods),
        "freight": _dollars(freight),
        "charged": _dollars(charged),
        "captured": _dollars(captured),
        "authorised": _dollars(authorised),
        "complete": complete,
        "open": opened,
        "late": sum(sale.late for sale in found),
    }


def _dollars(minor: int) -> str:
    return str(Money.of_minor(minor, CURRENCY).amount)


def _told(amount: Decimal) -> str:
    """Exact, with at least two decimals."""
    text = f"{amount:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
