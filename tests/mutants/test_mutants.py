"""The simulator and the laws find every planted fault within a hundred seeds, and nothing where none is planted.

Every run plants the faults of `hints.json`, and tries the seed first that found each before, and then the others.  The
whole form plants all of them, begins with seed 0 for each, and notes anew which seed finds it:

    ORDERMGMT_MUTANTS_ALL=1 python -m pytest -s tests/mutants

With ``-s`` it prints the table: the part, the fault, the law that found it, and at which seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from ordermgmt.testing.simulation import SimulationFailed, simulate
from tests.mutants.catalogue import CATALOGUE
from tests.mutants.planting import Mutant, planted

SEEDS_MAX = 100
STEPS = 800
ALL = os.environ.get("ORDERMGMT_MUTANTS_ALL") == "1"
_HINTS = Path(__file__).with_name("hints.json")
HINTS: dict[str, int] = json.loads(_HINTS.read_text(encoding="utf-8")) if _HINTS.exists() else {}
"""Mutant → a seed that killed it before."""
PLANTED = [mutant for mutant in CATALOGUE if ALL or mutant.name in HINTS]


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, int]]:
    """Mutant → the first seed that killed it; kept where all seeds were tried."""
    seeds = dict[str, int]()
    yield seeds
    if ALL:
        noted = json.dumps(HINTS | seeds, indent=2, sort_keys=True)
        _HINTS.write_text(f"{noted}\n", encoding="utf-8")


def killed(mutant: Mutant) -> SimulationFailed | None:
    hint = [] if ALL else [HINTS.get(mutant.name, 0)]
    for seed in chain(hint, (seed for seed in range(SEEDS_MAX) if seed not in hint)):
        with planted(mutant) as arguments:
            try:
                simulate(seed=seed, steps=STEPS, changes=mutant.area == "changes", **arguments)
            except SimulationFailed as failure:
                return failure
    return None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", PLANTED, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_fault_is_found(mutant: Mutant, found: dict[str, int]) -> None:
    failure = killed(mutant)
    assert failure is not None, f"{mutant.name} survived {SEEDS_MAX} seeds"
    found[mutant.name] = failure.seed
    print(f"{mutant.area:<10}| {mutant.name:<55}| {failure.law:<8}| seed {failure.seed}")


def test_nothing_is_found_where_nothing_is_planted() -> None:
    # A seed that breaks a law by itself would prove nothing about a fault.
    worlds = {(HINTS[mutant.name], mutant.area == "changes") for mutant in PLANTED if mutant.name in HINTS}
    for seed, changes in sorted(worlds):
        with planted(None) as arguments:
            simulate(seed=seed, steps=STEPS, changes=changes, **arguments)


def test_there_are_faults_of_every_sort() -> None:
    areas = {mutant.area for mutant in CATALOGUE}
    assert areas == {
        "effects",
        "payments",
        "refunds",
        "orders",
        "stock",
        "shipments",
        "engine",
        "storage",
        "adapters",
        "changes",
    }
    assert len({mutant.name for mutant in CATALOGUE}) == len(CATALOGUE) >= 40
    assert HINTS.keys() <= {mutant.name for mutant in CATALOGUE}
