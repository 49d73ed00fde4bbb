"""The simulator and the laws find every planted fault within a hundred seeds, and nothing where none is planted.

A campaign of its own, not yet part of every run:

    python -m pytest -s tests/mutants/campaign.py
"""

from __future__ import annotations

import json
import os
from itertools import chain
from pathlib import Path

import pytest

from ordermgmt.testing.simulation import SimulationFailed, simulate
from tests.mutants.catalogue import CATALOGUE
from tests.mutants.planting import Mutant, planted

SEEDS_MAX = 100
STEPS = 800
_HINTS = Path(__file__).with_name("hints.json")
HINTS: dict[str, int] = json.loads(_HINTS.read_text()) if _HINTS.exists() else {}
"""Mutant → a seed that killed it before; it is tried first, and the others after it."""


def killed(mutant: Mutant) -> SimulationFailed | None:
    hint = HINTS.get(mutant.name, 0)
    for seed in chain([hint], (seed for seed in range(SEEDS_MAX) if seed != hint)):
        with planted(mutant) as arguments:
            try:
                simulate(seed=seed, steps=STEPS, **arguments)
            except SimulationFailed as failure:
                return failure
    return None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", CATALOGUE, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_fault_is_found(mutant: Mutant) -> None:
    failure = killed(mutant)
    assert failure is not None, f"{mutant.name} survived {SEEDS_MAX} seeds"
    print(f"{mutant.area:<10}| {mutant.name:<55}| {failure.law:<8}| seed {failure.seed}")


def test_nothing_is_found_where_nothing_is_planted() -> None:
    seeds = sorted({*HINTS.values()})
    for seed in seeds if os.environ.get("ORDERMGMT_SIMULATION_ALL") == "1" else seeds[:15]:
        with planted(None) as arguments:
            simulate(seed=seed, steps=STEPS, **arguments)


def test_there_are_faults_of_every_sort() -> None:
    areas = {mutant.area for mutant in CATALOGUE}
    assert areas == {"effects", "payments", "refunds", "orders", "stock", "shipments", "engine", "storage", "adapters"}
    assert len({mutant.name for mutant in CATALOGUE}) == len(CATALOGUE) >= 40
