"""Many worlds, in several processes, and what they came to together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context

from attrs import define, field

from ...engine.messages import counted
from .faults import KINDS
from .simulating import simulate
from .world import Outcome, SimulationFailed


@define
class Summary:
    """What many worlds came to."""

    worlds: int = 0
    steps: int = 0
    events: int = 0
    executed: int = 0
    seconds: float = 0.0
    hits: Counter[str] = field(factory=Counter[str])
    failures: list[SimulationFailed] = field(factory=list[SimulationFailed])

    @property
    def never(self) -> tuple[str, ...]:
        """Kinds of fault that never happened, so that nothing is proven about them."""
        return tuple(kind for kind in KINDS if not self.hits[kind])

    def add(self, one: Outcome | SimulationFailed) -> None:
        """One world more."""
        self.worlds += 1
        if isinstance(one, SimulationFailed):
            self.failures.append(one)
            return
        self.steps += one.steps
        self.events += one.events
        self.executed += one.executed
        self.hits.update(one.hits)

    def __str__(self) -> str:
        rate = self.steps / self.seconds if self.seconds else 0
        told = f"{counted(self.worlds, 'world')}, {counted(self.steps, 'step')}"
        told += f" in {self.seconds:.0f} s ({rate:,.0f} steps/s)"
        deeds = f"{counted(self.events, 'event')}, {counted(self.executed, 'deed')} of providers"
        done = f"{deeds}, {counted(len(self.failures), 'breach', 'breaches')}"
        lines = [f"{told}, {done}"]
        lines += [f"  {kind:<22}{self.hits[kind]:>9,}" for kind in KINDS]
        lines += [f"seed {one.seed}: {one.law}: {one.explanation}" for one in self.failures]
        return "\n".join(lines)


def run_many(
    run: Callable[[int], Outcome],
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    enough: Callable[[Summary], bool] = lambda _: False,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Run a world for each seed, until the seeds or the patience (`enough`) end.  `run` must be importable."""
    summary = Summary()
    started = time.monotonic()
    for one in _outcomes(partial(_one, run), iter(seeds), jobs):
        summary.add(one)
        summary.seconds = time.monotonic() - started
        progress(summary)
        if enough(summary):
            break
    return summary


def ordinary(seed: int, *, steps: int, changes: bool = False) -> Outcome:
    """A world with an ordinary shop in memory; a function of a module, so that other processes find it."""
    return simulate(seed=seed, steps=steps, changes=changes)


def _one(run: Callable[[int], Outcome], seed: int) -> Outcome | SimulationFailed:
    try:
        return run(seed)
    except SimulationFailed as failure:
        return failure


def _outcomes(
    run: Callable[[int], Outcome | SimulationFailed], seeds: Iterator[int], jobs: int
) -> Iterator[Outcome | SimulationFailed]:
    if jobs <= 1:
        yield from map(run, seeds)
        return
    # Spawned and not forked: a child must not inherit threads or open stores of whoever calls us.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(run, seed) for seed in islice(seeds, 2 * jobs)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(run, seed) for seed in islice(seeds, 1)]
        finally:
            for one in waiting:
                one.cancel()
