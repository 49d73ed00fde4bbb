"""Filling, verifying, exporting, importing and backing up a large store: time an order, and the memory of each process.

python -m tests.benchmarks.operations                          SQLite, 10,000 and 100,000 orders (some minutes)
python -m tests.benchmarks.operations --store postgres         the same on a server of its own

Every deed is a process of its own, as an operator starts it, so that its memory is its own as well.  What the server
needs is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from unittest.mock import patch

from attrs import frozen

from ordermgmt import Line, Money, OnAccount, Order, OrderManagement, PlaceOrder, ReceiveStock
from ordermgmt.storage import PostgresStorage, SqliteStorage
from tests import servers

from .timing import table

SKUS = 100
BATCH = 500


@frozen
class Took:
    """What one process took."""

    seconds: float
    peak: float
    """The most memory it held, in MiB."""


def process(*arguments: str) -> Took:
    """Run this Python with these arguments to its end."""
    began = time.perf_counter()
    child = Popen([sys.executable, *arguments], stdout=DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{' '.join(arguments)} ended with {child.returncode}"
    return Took(time.perf_counter() - began, usage.ru_maxrss / 1024)


def buying(orders: int) -> Iterator[PlaceOrder]:
    """Orders of three lines, on account."""
    for n in range(orders):
        lines = [Line(sku=f"sku-{(n + k) % SKUS}", quantity=1, unit_price=Money("9.50", "EUR")) for k in range(3)]
        yield PlaceOrder(order_id=f"A-{n:07d}", lines=lines, pay=OnAccount(days=30))


def fill(db: str, schema: str, orders: int) -> None:
    """Place so many orders, in a store that is not there yet."""
    storage = PostgresStorage(db, schema=schema) if "://" in db else SqliteStorage(db)
    with OrderManagement(storage=storage) as shop:
        shop.handle_many([ReceiveStock(sku=f"sku-{n}", quantity=10 * orders) for n in range(SKUS)])
        for answer in shop.handle_all(buying(orders), batch=BATCH):
            assert isinstance(answer, Order), answer


def measured(db: str, copy: str, schema: str, orders: int, folder: Path) -> dict[str, Took]:
    """Each deed on a store of so many orders."""
    place, other = ["--db", db], ["--db", copy]
    if "://" in db:
        place, other = [*place, "--schema", schema], [*other, "--schema", f"{schema}_copy"]
    exported = str(folder / f"{orders}.jsonl")
    ours = ["-m", "ordermgmt"]
    filling = ["-m", __spec__.name, "--fill", str(orders), "--db", db, "--schema", schema]
    deeds = {
        "fill": filling,
        "verify": [*ours, "verify", *place],
        "export": [*ours, "export", *place, exported],
        "import-store": [*ours, "import-store", exported, *other],
        "verify the copy": [*ours, "verify", *other],
    }
    if "://" not in db:
        deeds["backup"] = [*ours, "backup", *place, str(folder / f"{orders}.backup")]
    took = {}
    for name, arguments in deeds.items():
        sys.stderr.write(f"{orders:,} orders: {name}\n")
        took[name] = process(*arguments)
    return took


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[10_000, 100_000], help="sizes of the store")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--db", help=argparse.SUPPRESS)
    parser.add_argument("--schema", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fill is not None:
        fill(given.db, given.schema, given.fill)
        return
    sizes: Sequence[int] = given.orders
    running: AbstractContextManager[servers.Server | None] = nullcontext()
    if given.store == "postgres":
        running = servers.server()
    with (
        TemporaryDirectory() as name,
        patch.object(servers, "IN_MEMORY", Path("nowhere")),
        running as server,
    ):
        folder = Path(name)
        found = []
        for size in sizes:
            db, copy = (server.uri, server.uri) if server else (str(folder / f"{size}.db"), str(folder / f"{size}c.db"))
            found.append(measured(db, copy, f"of_{size}", size, folder))
    rows = [
        (
            deed,
            *(round(one[deed].seconds, 1) for one in found),
            *(round(one[deed].seconds / size * 1e6) for one, size in zip(found, sizes, strict=True)),
            *(round(one[deed].peak) for one in found),
        )
        for deed in found[0]
    ]
    columns = [f"{what} {size:,}" for what in ("s", "µs an order", "MiB") for size in sizes]
    table(f"A store on {given.store}, by orders in it", ("", *columns), rows)
    for deed in found[0]:
        grown = found[-1][deed].peak / found[0][deed].peak
        sys.stdout.write(f"{deed}: memory {grown:.2f} × from {sizes[0]:,} to {sizes[-1]:,} orders\n")


if __name__ == "__main__":
    main()
