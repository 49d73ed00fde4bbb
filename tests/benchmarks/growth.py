"""What a command costs does not grow with the store: statements, rows touched and time of a life, at growing sizes.

python -m tests.benchmarks.growth                       1,000 and 100,000 orders
python -m tests.benchmarks.growth --orders 1000 1000000   (some gigabytes, some minutes)
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest.mock import patch

from ordermgmt import ManualClock, OrderManagement
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakePayments

from .decisions import filled
from .lifecycles import live
from .timing import table

LIVES = 60


class Counted(sqlite3.Connection):
    """Counts what is run on it."""

    statements: ClassVar[Counter[str]] = Counter()

    def execute(self, sql: str, *rest: Any) -> Any:
        self._count(sql, 1)
        return super().execute(sql, *rest)

    def executemany(self, sql: str, many: Any) -> Any:
        rows = list(many)
        self._count(sql, len(rows))
        return super().executemany(sql, rows)

    def _count(self, sql: str, rows: int) -> None:
        verb = sql.split(None, 1)[0].upper()
        self.statements[verb] += rows


def measured(folder: Path, orders: int) -> tuple[dict[str, float], dict[str, float]]:
    """Statements and rows of a life by verb, and times in milliseconds."""
    path = folder / f"{orders}.db"
    connect = sqlite3.connect
    with patch.object(sqlite3, "connect", lambda *a, **k: connect(*a, **{"factory": Counted, **k})):
        shop = filled(SqliteStorage(path), orders)
        shop.close()
        began = time.perf_counter()
        reopened = SqliteStorage(path)
        opening = time.perf_counter() - began
        reopened.close()
        shop = OrderManagement(storage=SqliteStorage(path), gateways={"card": FakePayments()}, clock=ManualClock())
        numbers = itertools.count()
        live(shop, f"warm-{next(numbers)}")
        Counted.statements.clear()
        times: list[float] = []
        for _ in range(LIVES):
            began = time.perf_counter()
            live(shop, f"new-{next(numbers)}")
            times.append(time.perf_counter() - began)
        shop.close()
    counted = {verb: n / LIVES for verb, n in Counted.statements.items()}
    return counted, {"life, ms": statistics.median(times) * 1e3, "opening, ms": opening * 1e3}


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[1_000, 100_000], help="sizes of the store")
    sizes = parser.parse_args().orders
    with TemporaryDirectory() as folder:
        found = [measured(Path(folder), orders) for orders in sizes]
    verbs = sorted({verb for counted, _ in found for verb in counted})
    rows: list[tuple[Any, ...]] = [
        (f"{verb} a life", *(round(counted.get(verb, 0), 1) for counted, _ in found)) for verb in verbs
    ]
    rows += [(name, *(round(times[name], 1) for _, times in found)) for name in found[0][1]]
    table("One life on SQLite, by orders in the store", ("", *(f"{size:,}" for size in sizes)), rows)
    first, last = found[0], found[-1]
    assert first[0] == last[0], f"statements grow with the store: {first[0]} and {last[0]}"
    sys.stdout.write(f"time ratio {last[1]['life, ms'] / first[1]['life, ms']:.2f}\n")


if __name__ == "__main__":
    main()
