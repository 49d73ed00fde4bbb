"""What a command costs does not grow with the store: statements, rows touched and time of a life, at growing sizes.

python -m tests.benchmarks.growth                       1,000 and 100,000 orders
python -m tests.benchmarks.growth --orders 1000 1000000   (some gigabytes, some minutes)
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest.mock import patch

from attrs import define, field

from ordermgmt import ManualClock, OrderManagement
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakePayments

from .decisions import filled
from .lifecycles import live
from .timing import table

LIVES = 60
OPENINGS = 5


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


@define
class Found:
    """What was found at one size of the store."""

    openings: list[float]
    lives: list[float]
    counted: Counter[str] = field(factory=Counter[str])

    @property
    def life(self) -> float:
        """The median of a life, in seconds."""
        return statistics.median(self.lives)


def opened(path: Path) -> OrderManagement:
    """The shop of a store that is there."""
    return OrderManagement(storage=SqliteStorage(path), gateways={"card": FakePayments()}, clock=ManualClock())


def measured(folder: Path, sizes: Sequence[int]) -> list[Found]:
    """Statements and rows of a life by verb, and times in milliseconds, for each size.

    All stores are filled first, and then lived on in turn, so that what else the machine does falls on all alike.
    """
    connect = sqlite3.connect
    with patch.object(sqlite3, "connect", lambda *a, **k: connect(*a, **{"factory": Counted, **k})):
        for size in sizes:
            sys.stderr.write(f"filling a store with {size:,} orders\n")
            filled(SqliteStorage(folder / f"{size}.db"), size).close()
        found = [Found(openings=[], lives=[]) for _ in sizes]
        for one, size in zip(found, sizes, strict=True):
            for _ in range(OPENINGS):
                began = time.perf_counter()
                SqliteStorage(folder / f"{size}.db").close()
                one.openings.append(time.perf_counter() - began)
        shops = [opened(folder / f"{size}.db") for size in sizes]
        for shop in shops:
            live(shop, "warm")
        for n in range(LIVES):
            for one, shop in zip(found, shops, strict=True):
                Counted.statements.clear()
                began = time.perf_counter()
                live(shop, f"new-{n}")
                one.lives.append(time.perf_counter() - began)
                one.counted.update(Counted.statements)
        for shop in shops:
            shop.close()
    return found


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[1_000, 100_000], help="sizes of the store")
    sizes = parser.parse_args().orders
    with TemporaryDirectory() as folder:
        found = measured(Path(folder), sizes)
    verbs = sorted({verb for one in found for verb in one.counted})
    rows: list[tuple[Any, ...]] = [
        (f"{verb} a life", *(round(one.counted[verb] / LIVES, 1) for one in found)) for verb in verbs
    ]
    rows += [
        ("life, ms", *(round(one.life * 1e3, 1) for one in found)),
        ("opening, ms", *(round(statistics.median(one.openings) * 1e3, 1) for one in found)),
    ]
    table("One life on SQLite, by orders in the store", ("", *(f"{size:,}" for size in sizes)), rows)
    first, last = found[0], found[-1]
    assert first.counted == last.counted, f"statements grow with the store: {first.counted} and {last.counted}"
    sys.stdout.write(f"time ratio {last.life / first.life:.2f}\n")


if __name__ == "__main__":
    main()
