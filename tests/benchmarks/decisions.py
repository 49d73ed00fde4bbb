"""What a decision costs: placing an order in memory without I/O, by its lines; and loading one, by the store's size.

python -m tests.benchmarks.decisions
"""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ordermgmt import (
    HandOverShipment,
    Line,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    RecordDelivery,
    Tender,
)
from ordermgmt.engine.handling import attempt
from ordermgmt.engine.requests import Job, Load, Now
from ordermgmt.engine.transaction import Entry, Row, Storage, Write
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakePayments

from .timing import least, table, yardstick

SKUS = tuple(f"sku-{n}" for n in range(1_000))
PRICE = Money("9.50", "EUR")


def open_shop(storage: Storage) -> OrderManagement:
    """A shop with plenty of everything."""
    shop = OrderManagement(storage=storage, gateways={"card": FakePayments()}, clock=ManualClock())
    shop.handle_many([ReceiveStock(sku=sku, quantity=10**9) for sku in SKUS])
    return shop


def placing(order_id: str, lines: int) -> PlaceOrder:
    """An order of that many lines, each of another SKU."""
    return PlaceOrder(
        order_id=order_id,
        lines=[Line(sku=sku, quantity=2, unit_price=PRICE) for sku in itertools.islice(SKUS, lines)],
        pay=PayNow([Tender("card", token="tok_visa")]),
    )


def decide(shop: OrderManagement, jobs: list[Job], rows: dict[Any, Row]) -> None:
    """The whole pure path of each job: load from a dictionary, decide, encode what would be saved."""
    now = ManualClock().now()
    for job in jobs:
        steps = attempt(shop.assembly, [job], frozenset(), ordered=False)
        request = next(steps)
        try:
            while True:
                match request:
                    case Load(keys=keys):
                        request = steps.send({key: rows[key] for key in keys if key in rows})
                    case Now():
                        request = steps.send(now)
                    case _:
                        request = steps.send(None)
        except StopIteration as end:
            end.value[0].unwrap()


def cost_of_placing(lines: int, orders: int) -> float:
    """Microseconds to place one order of that many lines: decided and encoded, nothing stored."""
    storage = MemoryStorage()
    shop = open_shop(storage)
    commands = [placing(f"o{n}", lines) for n in range(orders)]
    jobs = [shop._settings.job(command, None, None) for command in commands]
    keys = {key for command in commands for key in shop.assembly.keys(command)}
    rows = dict(storage.read(list(keys)))
    return least(lambda: decide(shop, jobs, rows)) / orders * 1e6


def cost_of_a_life(storage: Storage, orders: int) -> float:
    """Microseconds for one order's whole life through the front door: place, authorise, hand over, capture, deliver."""
    shop = open_shop(storage)
    numbers = itertools.count()

    def live() -> None:
        for _ in range(orders):
            order_id = f"o{next(numbers)}"
            shop.handle(placing(order_id, 3))
            shop.settle(order_id)
            shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1"))
            shop.settle(order_id)
            shop.handle(RecordDelivery(shipment_id=f"{order_id}:s1"))

    return least(live, rounds=3) / orders * 1e6


def filled(storage: Storage, orders: int) -> OrderManagement:
    """A shop whose store holds that many orders, put there as rows."""
    shop = open_shop(storage)
    shop.handle(placing("model", 3))
    key = ("order", "model")
    row = storage.read([key])[key]
    index = shop.assembly.by_kind["order"].index(shop.get(Order, "model"))
    values = {name: value for name, value in index.items() if value is not None}
    entries = tuple(storage.history(key))
    for numbers in _batched(orders, 1_000):
        writes = []
        for n in numbers:
            copy = ("order", f"copy-{n:06d}")
            history: tuple[Entry, ...] = tuple(entry._replace(key=copy, position=0) for entry in entries)
            writes.append(Write(row._replace(key=copy), 0, history, values, {}, ()))
        with storage.transaction() as transaction:
            transaction.load([write.row.key for write in writes])
            transaction.commit(writes)
    return shop


def _batched(n: int, size: int) -> list[range]:
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def cost_of_loading(storage: Storage, orders: int) -> float:
    """Microseconds to get one order from a store that holds that many."""
    shop = filled(storage, orders)
    ids = [f"copy-{n:06d}" for n in range(0, orders, max(orders // 200, 1))]
    return least(lambda: [shop.get(Order, order_id) for order_id in ids]) / len(ids) * 1e6


def main() -> None:
    """Print all of it."""
    print(f"yardstick: {yardstick():.2f} µs\n")
    rows = []
    for lines, orders in ((1, 400), (3, 400), (10, 100), (100, 20), (1_000, 4)):
        cost = cost_of_placing(lines, orders)
        rows.append((lines, cost, cost / lines))
    table("Placing an order, decided and encoded, no I/O (processor µs)", ("lines", "µs", "µs per line"), rows)
    with TemporaryDirectory() as folder:
        table(
            "One order's whole life of 3 lines through the front door (processor µs)",
            ("store", "µs"),
            [
                ("memory", cost_of_a_life(MemoryStorage(), 60)),
                ("SQLite", cost_of_a_life(SqliteStorage(Path(folder) / "life.db"), 20)),
            ],
        )
        sizes = (1_000, 100_000)
        loading = [
            ("memory", *[cost_of_loading(MemoryStorage(), n) for n in sizes]),
            ("SQLite", *[cost_of_loading(SqliteStorage(Path(folder) / f"{n}.db"), n) for n in sizes]),
        ]
        table("Getting one order (processor µs)", ("store", *[f"of {n:,}" for n in sizes]), loading)


if __name__ == "__main__":
    main()
