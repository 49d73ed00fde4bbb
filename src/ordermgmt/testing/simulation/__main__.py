"""Long runs: ``python -m ordermgmt.testing.simulation --steps 2000 --minutes 60 --jobs 2``.

Prints the hits by kind of fault, every breach with its story, and fails where a law was broken or a kind of fault
never happened in a hundred worlds or more.  A breach is seen again with ``--first SEED --seeds 1`` and the same
``--steps``.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from itertools import count, islice

from ...engine.messages import counted
from .many import Summary, ordinary, run_many

ENOUGH = 100
"""In how many worlds every kind of fault must have happened."""


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more (got {text})")
    return number


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ordermgmt.testing.simulation", description=__doc__)
    parser.add_argument("--steps", type=_positive, default=1_000, help="steps of the faulty phase of each world (1000)")
    parser.add_argument("--seeds", type=_positive, help="how many worlds (100; without end where minutes are given)")
    parser.add_argument("--minutes", type=float, help="begin no further world after so long")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes (1)")
    parser.add_argument("--changes", action="store_true", help="orders are changed after they were placed as well")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args(argv)


def _progress(summary: Summary) -> None:
    if summary.worlds % 20 == 0:
        told = (
            f"{counted(summary.worlds, 'world')}, {counted(summary.steps, 'step')}, "
            f"{counted(len(summary.failures), 'breach', 'breaches')}"
        )
        print(f"\r{told}", end="", file=sys.stderr, flush=True)  # noqa: T201 - a command line prints


def main(argv: list[str] | None = None) -> int:
    """Run, print, and answer the exit code."""
    wanted = _arguments(argv)
    seeds = wanted.seeds if wanted.seeds is not None or wanted.minutes is not None else 100
    summary = run_many(
        partial(ordinary, steps=wanted.steps, changes=wanted.changes),
        islice(count(wanted.first), seeds),
        jobs=wanted.jobs,
        enough=lambda told: wanted.minutes is not None and told.seconds >= 60 * wanted.minutes,
        progress=(lambda _: None) if wanted.quiet else _progress,
    )
    print(summary)  # noqa: T201 - a command line prints
    for failure in summary.failures[:5]:
        print(f"\n{failure}")  # noqa: T201 - a command line prints
    for kind in summary.never:
        print(f"never happened: {kind}")  # noqa: T201 - a command line prints
    return 1 if summary.failures or (summary.never and summary.worlds >= ENOUGH) else 0


if __name__ == "__main__":
    sys.exit(main())
