"""Timing that a noisy machine does not spoil: the least of several rounds of processor time."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence


def least(work: Callable[[], object], *, rounds: int = 5) -> float:
    """Processor seconds of the quickest round."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def yardstick() -> float:
    """Microseconds this machine takes for a piece of plain Python, to compare runs on different machines by.

    About 6 on a machine where ``pendulum.parse`` takes 10.
    """

    def work() -> None:
        for _ in range(2_000):
            counts = dict.fromkeys("abcdefgh", 0)
            for letter in "hgfedcba":
                counts[letter] += len(letter)
            sorted(counts.items())

    return least(work) / 2_000 * 1e6


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints figures as people read them."""
    told = [[f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    cells = [list(columns), *told]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    sys.stdout.write("\n".join([title, *lines, ""]) + "\n")
