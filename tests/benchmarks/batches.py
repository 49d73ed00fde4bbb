"""What sharing a commit gains: the same purchases one commit each, 64 in a commit, and gathered from 64 callers.

python -m tests.benchmarks.batches [--rounds 9]

On SQLite at the library's own durable settings, and on PostgreSQL with its data on the disk.  The ways take turns, so
that what else the machine does falls on all alike; each figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from ordermgmt import Batcher, OrderManagement, PlaceOrder, ReceiveStock, Stock
from ordermgmt.storage import PostgresStorage, SqliteStorage
from tests import servers

from .crowds import buying, open_shop
from .timing import table

TOGETHER = 64
EACH = 16
"""How many purchases one of the gathered callers makes in a round."""


def ways(shop: OrderManagement, batcher: Batcher, callers: ThreadPoolExecutor) -> dict[str, Callable[[], int]]:
    """Each way to buy, and how many it buys in a round."""
    numbers = itertools.count()

    def some() -> list[PlaceOrder]:
        return [buying(f"o-{next(numbers)}") for _ in range(TOGETHER)]

    def alone() -> int:
        return len([shop.handle(one) for one in some()])

    def together() -> int:
        return sum(1 for one in shop.handle_many(some()) if not isinstance(one, Exception))

    def gathered() -> int:
        wanted = [some()[:EACH] for _ in range(TOGETHER)]
        return sum(callers.map(lambda own: len([batcher.handle(one) for one in own]), wanted))

    return {
        "one commit each": alone,
        f"handle_many of {TOGETHER}": together,
        f"Batcher, {TOGETHER} callers": gathered,
    }


def measured(name: str, shop: OrderManagement, rounds: int) -> None:
    """Print the rates of one store."""
    shop.handle(ReceiveStock(sku="hot", quantity=10**7))
    rates = dict[str, list[float]]()
    sold = 0
    with Batcher(shop, max_batch=TOGETHER) as batcher, ThreadPoolExecutor(TOGETHER) as callers:
        for way, buy in [*ways(shop, batcher, callers).items()] * (rounds + 1):
            began, waited = time.process_time(), time.perf_counter()
            bought = buy()
            rates.setdefault(way, []).append(bought / (time.perf_counter() - waited))
            rates.setdefault(f"{way}, processor", []).append((time.process_time() - began) / bought * 1e6)
            sold += bought
    assert shop.get(Stock, ("hot", "main")).reserved == sold
    medians = {way: statistics.median(found[1:]) for way, found in rates.items()}
    alone = medians["one commit each"]
    rows: list[tuple[Any, ...]] = [
        (way, medians[way], f"{medians[way] / alone:.1f}", medians[f"{way}, processor"])
        for way in medians
        if not way.endswith("processor")
    ]
    table(f"Sharing commits on {name}", ("", "sold/s", "× one commit each", "processor, µs each"), rows)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each way is taken (9)")
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        measured("SQLite", stack.enter_context(open_shop(SqliteStorage(folder / "shop.db"))), rounds)
        stack.enter_context(patch.object(servers, "IN_MEMORY", Path("nowhere")))
        server = stack.enter_context(servers.server())
        measured("PostgreSQL", stack.enter_context(open_shop(PostgresStorage(server.uri))), rounds)


if __name__ == "__main__":
    main()
