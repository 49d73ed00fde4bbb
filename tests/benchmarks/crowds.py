"""Everybody wants the same thing: buyers of one SKU, as threads and as processes, one unit each.

python -m tests.benchmarks.crowds [--seconds 5]

PostgreSQL: the whole of placing an order (history, outbox, five rows) beside a bare ``SELECT … FOR UPDATE`` and an
``UPDATE`` of one row, both with as many buyers, and beside one process that gathers its buyers in a `Batcher`.
SQLite: one process beside four, and how fairly the four are served.

What limits a crowd is told beside it: the processor's time that a sale takes of the buyers, the server's apart.
Threads share one interpreter, so they cannot sell more than a second holds of it; processes share the machine's cores
with the server.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import psycopg
from attrs import frozen

from ordermgmt import (
    Batcher,
    Line,
    Money,
    OrderManagement,
    OutOfStock,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Stock,
    Tender,
)
from ordermgmt.storage import PostgresStorage, SqliteStorage
from ordermgmt.testing import FakePayments
from tests import servers

from .timing import table

BUYERS = 8
SPAWN = multiprocessing.get_context("spawn")
PRICE = Money("9.50", "EUR")


def buying(order_id: str) -> PlaceOrder:
    """One unit of what everybody wants."""
    lines = [Line(sku="hot", quantity=1, unit_price=PRICE)]
    return PlaceOrder(order_id=order_id, lines=lines, pay=PayNow([Tender("card", token="tok_visa")]))


def open_shop(storage: Any) -> OrderManagement:
    return OrderManagement(storage=storage, gateways={"card": FakePayments()})


@frozen
class Bought:
    """What one buyer, or one process full of them, has bought."""

    took: list[float]
    """How long each purchase took, in seconds."""
    worked: float = 0.0
    """The processor's time for all of it, in seconds."""


def buy_for(seconds: float, buy: Callable[[str], object], who: str) -> Bought:
    """Buy again and again."""
    took: list[float] = []
    worked = time.process_time()
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        buy(f"{who}-{len(took)}")
        took.append(time.perf_counter() - began)
    return Bought(took, time.process_time() - worked)


def as_threads(seconds: float, buy: Callable[[str], object], run: str, count: int = BUYERS) -> list[Bought]:
    """All buyers as threads of this process."""
    took: list[float] = []
    worked = time.process_time()
    with ThreadPoolExecutor(count) as threads:
        for bought in threads.map(lambda n: buy_for(seconds, buy, f"{run}-{n}"), range(count)):
            took += bought.took
    return [Bought(took, time.process_time() - worked)]


def _buyer(where: tuple[str, str], seconds: float, who: str, start: Any, answers: Any) -> None:
    """One buyer, as a process of its own."""
    kind, place = where
    if kind == "bare":
        with psycopg.connect(place, autocommit=True) as connection:
            start.wait()
            answers.put(buy_for(seconds, bare(connection), who))
        return
    storage = PostgresStorage(place) if kind == "postgres" else SqliteStorage(place)
    with open_shop(storage) as shop:
        start.wait()
        answers.put(buy_for(seconds, lambda order_id: shop.handle(buying(order_id)), who))


def as_processes(seconds: float, where: tuple[str, str], run: str, count: int = BUYERS) -> list[Bought]:
    """All buyers as processes, started before the first one buys."""
    start, answers = SPAWN.Barrier(count), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=_buyer, args=(where, seconds, f"{run}-{n}", start, answers)) for n in range(count)
    ]
    for process in processes:
        process.start()
    bought = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return bought


def bare(connection: psycopg.Connection[Any]) -> Callable[[str], None]:
    """One row locked, looked at and changed: nothing kept, nothing told."""

    def buy(_order_id: str) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT on_hand FROM bare WHERE sku = 'hot' FOR UPDATE", prepare=True)
            (left,) = cursor.fetchone() or (0,)
            if left < 1:
                raise AssertionError("sold out")
            cursor.execute("UPDATE bare SET on_hand = on_hand - 1 WHERE sku = 'hot'", prepare=True)

    return buy


def bare_threads(uri: str, seconds: float) -> list[Bought]:
    """The bare statements, with a connection for every thread."""
    local = threading.local()

    def buy(order_id: str) -> None:
        if not hasattr(local, "buy"):
            local.buy = bare(psycopg.connect(uri, autocommit=True))
        local.buy(order_id)

    return as_threads(seconds, buy, "bare")


def sold(bought: list[Bought]) -> int:
    """How many, by all."""
    return sum(len(one.took) for one in bought)


def processor(bought: list[Bought]) -> str:
    """Its time that a sale took, in milliseconds."""
    return f"{sum(one.worked for one in bought) / sold(bought) * 1e3:.2f}"


def on_postgres(seconds: float) -> None:
    with patch.object(servers, "IN_MEMORY", Path("nowhere")), servers.server() as server:
        server.do(
            "CREATE TABLE bare (sku text PRIMARY KEY, on_hand bigint)", "INSERT INTO bare VALUES ('hot', 10000000)"
        )
        with open_shop(PostgresStorage(server.uri, connections_max=BUYERS)) as shop:
            shop.handle(ReceiveStock(sku="hot", quantity=10**7))
            handle = lambda order_id: shop.handle(buying(order_id))  # noqa: E731 - read beside its use
            runs = {
                "bare, 8 threads": bare_threads(server.uri, seconds),
                "handle, 1 thread": as_threads(seconds, handle, "o", 1),
                "handle, 8 threads": as_threads(seconds, handle, "t"),
                "bare, 8 processes": as_processes(seconds, ("bare", server.uri), "b"),
                "handle, 8 processes": as_processes(seconds, ("postgres", server.uri), "p"),
            }
            with Batcher(shop, max_batch=64) as batcher:
                gather = lambda order_id: batcher.handle(buying(order_id))  # noqa: E731 - as above
                runs["Batcher, 64 threads"] = as_threads(seconds, gather, "g", 64)
            placed = sum(sold(bought) for name, bought in runs.items() if "bare" not in name)
            stock = shop.get(Stock, ("hot", "main"))
            assert stock.reserved == placed, f"{placed} were sold, {stock.reserved} are reserved"
        base = sold(runs["bare, 8 threads"]), sold(runs["bare, 8 processes"])
        rows = [
            (
                name,
                sold(bought) / seconds,
                f"{sold(bought) / base['processes' in name]:.2f}",
                processor(bought),
            )
            for name, bought in runs.items()
        ]
        table("One SKU on PostgreSQL, every buyer one unit", ("", "sold/s", "× bare", "processor, ms a sale"), rows)


def on_sqlite(seconds: float) -> None:
    with TemporaryDirectory() as folder:
        place = str(Path(folder) / "hot.db")
        with open_shop(SqliteStorage(place)) as shop:
            shop.handle(ReceiveStock(sku="hot", quantity=10**7))
        one = as_processes(seconds, ("sqlite", place), "one", 1)
        four = as_processes(seconds, ("sqlite", place), "four", 4)
        with open_shop(SqliteStorage(place)) as shop:
            assert shop.get(Stock, ("hot", "main")).reserved == sold(one) + sold(four)
        counts = sorted(len(buyer.took) for buyer in four)
        waits = sorted(wait for buyer in four for wait in buyer.took)
        table(
            "One SKU on SQLite",
            ("", ""),
            [
                ("one process, sold/s", sold(one) / seconds),
                ("four processes, sold/s", sold(four) / seconds),
                ("four against one", f"{sold(four) / sold(one):.2f}"),
                ("slowest of its fair share", f"{counts[0] / statistics.mean(counts):.2f}"),
                ("p99.9 wait, ms", waits[int(len(waits) * 0.999)] * 1e3),
                ("longest wait, ms", waits[-1] * 1e3),
                ("one process, processor, ms a sale", processor(one)),
                ("four processes, processor, ms a sale", processor(four)),
            ],
        )


def sold_out() -> None:
    """While stock lasts nobody is refused, and after that everybody is: 100 units, 8 threads that want 20 each."""
    with servers.server() as server, open_shop(PostgresStorage(server.uri, connections_max=BUYERS)) as shop:
        shop.handle(ReceiveStock(sku="hot", quantity=100))
        bought, refused = [], []

        def one(n: int) -> None:
            for turn in range(20):
                try:
                    shop.handle(buying(f"{n}-{turn}"))
                    bought.append(n)
                except OutOfStock:
                    refused.append(n)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(BUYERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.stdout.write(f"100 units, 160 buyers: {len(bought)} bought, {len(refused)} refused\n")
        assert (len(bought), len(refused)) == (100, 60)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each crowd buys (5)")
    seconds = parser.parse_args().seconds
    on_postgres(seconds)
    on_sqlite(seconds)
    sold_out()


if __name__ == "__main__":
    main()
