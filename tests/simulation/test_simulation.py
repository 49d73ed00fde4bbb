"""Worlds in which everything goes wrong: no law is broken, every kind of fault happens, and a seed is a world.

The seeds beyond the corpus are fresh every day, and the same all day long.  A run prints where they begin, and
ORDERMGMT_SIMULATION_SEED begins there again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path

import pytest
from attrs import evolve

from ordermgmt import DEFAULT_CAPABILITIES, OrderManagement
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing.simulation import (
    KINDS,
    SCENARIOS,
    Faults,
    SimulationFailed,
    Summary,
    crash_everywhere,
    run_many,
    simulate,
)
from ordermgmt.testing.simulation.__main__ import main
from ordermgmt.testing.simulation.many import ordinary

SEEDS = Path(__file__).with_name("seeds.txt")
CORPUS = [int(line.split()[0]) for line in SEEDS.read_text().splitlines() if line[:1].isdigit()]
STEPS = int(os.environ.get("ORDERMGMT_SIMULATION_STEPS", "200000"))
FRESH_MIN = 200
IN_CI = 20
"""How many of the stories are crashed everywhere in every run: the shorter ones."""


@pytest.mark.timeout(900)
def test_no_law_is_broken_in_worlds_old_and_new() -> None:
    base = int(os.environ.get("ORDERMGMT_SIMULATION_SEED", str(datetime.now(UTC).toordinal() * 10_000)))
    print(f"\nseeds from {base} (ORDERMGMT_SIMULATION_SEED={base} repeats them)")

    def enough(summary: Summary) -> bool:
        return summary.worlds >= len(CORPUS) + FRESH_MIN and summary.steps >= STEPS

    summary = run_many(partial(ordinary, steps=700), chain(CORPUS, count(base)), jobs=2, enough=enough)
    print(summary)
    assert not summary.failures, f"{len(summary.failures)} worlds broke a law; the first:\n{summary.failures[0]}"
    assert not summary.never, f"these faults never happened, so nothing is proven about them: {summary.never}"
    assert summary.steps >= STEPS


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        pytest.param(598, False, id="a carrier that would not say where a parcel is, and nobody was told"),
        pytest.param(694, False, id="a notice given up by a worker who had slept since an earlier try"),
        pytest.param(16, True, id="a judge took money that was asked before an amendment for asked too early"),
        pytest.param(67, True, id="a lost parcel that turned up took the units of another one"),
    ],
)
def test_long_worlds_that_once_broke_a_law(seed: int, changes: bool) -> None:
    simulate(seed=seed, steps=2000, changes=changes)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_same_seed_makes_the_same_history(seed: int) -> None:
    assert simulate(seed=seed, steps=400).digest == simulate(seed=seed, steps=400).digest


def test_a_history_does_not_depend_on_the_process_that_makes_it() -> None:
    code = "from ordermgmt.testing.simulation import simulate; print(simulate(seed=8, steps=300).digest)"

    def told(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert told("1") == told("2") == f"{simulate(seed=8, steps=300).digest}\n"


def test_other_seeds_make_other_histories() -> None:
    assert len({simulate(seed=seed, steps=200).digest for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", [10, 11])
def test_the_same_laws_hold_on_sqlite(seed: int, tmp_path: Path) -> None:
    outcome = simulate(seed=seed, steps=150, storage=lambda: SqliteStorage(tmp_path / "shop.db"))
    assert outcome.digest == simulate(seed=seed, steps=150).digest


def test_nothing_goes_wrong_in_a_calm_world() -> None:
    outcome = simulate(seed=3, steps=300, faults=Faults.none())
    assert not outcome.hits.keys() & {*KINDS} - {"webhook reordered"}


def test_a_broken_law_is_told_with_its_seed_and_story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordermgmt.engine.saving.chain", lambda head, parts, doc: "the same for ever")
    with pytest.raises(SimulationFailed) as failed:
        simulate(seed=4, steps=300)
    assert (failed.value.seed, failed.value.law) == (4, "J4")
    assert re.match(r"law J4 was broken at step \d+ of seed 4: .+\n +\d+  01 00:00", str(failed.value))


def test_a_shop_of_a_hosts_own_is_put_together_by_its_factory() -> None:
    made = list[OrderManagement]()

    def own(**parts: object) -> OrderManagement:
        made.append(OrderManagement(**{**parts, "actor": "our shop"}))  # type: ignore[arg-type] # whatever parts there are
        return made[-1]

    simulate(own, seed=1, steps=100)
    assert len(made) == 1


def _without_parcels(**parts: object) -> OrderManagement:
    """A shop whose people plan parcels themselves."""
    capabilities = tuple(
        evolve(one, reactions=tuple(r for r in one.reactions if r.name != "plan_the_parcel"))
        for one in DEFAULT_CAPABILITIES
    )
    return OrderManagement(**parts, capabilities=capabilities)  # type: ignore[arg-type] # whatever parts there are


def test_a_shop_that_plans_its_parcels_by_hand_says_so() -> None:
    with pytest.raises(SimulationFailed, match="nobody packs"):
        simulate(_without_parcels, seed=0, steps=400)
    simulate(_without_parcels, seed=0, steps=400, planned=False)


BY_LENGTH = (
    "cancelled before it was sent",
    "authorised",
    "sold at once",
    "declined",
    "expired",
    "rejected",
    "cancelled when authorised",
    "cancelled when paid",
    "answered later",
    "books compared",
    "paid elsewhere",
    "on account",
    "heard before it was answered",
    "a blind terminal",
    "answers lost by card",
    "answers lost by wallet",
    "answers lost by bank",
    "answers lost by voucher",
    "answers lost by invoice",
    "shipped and delivered",
    "cancelled when packed",
    "confirmed by hand",
    "picked, packed, given up",
)
STORIES = {scenario.name: scenario for scenario in SCENARIOS}
ALL = os.environ.get("ORDERMGMT_SIMULATION_ALL") == "1"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list(STORIES) if ALL else BY_LENGTH[:IN_CI])
def test_a_story_ends_alike_wherever_it_crashes(name: str) -> None:
    assert crash_everywhere(STORIES[name]) >= 10


def test_there_are_stories_enough() -> None:
    assert len(STORIES) == len(SCENARIOS) >= 28
    assert set(BY_LENGTH) <= set(STORIES)


def test_a_crash_that_loses_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from ordermgmt.engine import working

    monkeypatch.setattr(working.Worker, "_claim", _unclaimed)
    with pytest.raises(SimulationFailed, match="E7"):
        crash_everywhere(STORIES["authorised"])


def _unclaimed(self, plans, now, *, patient):
    return plans
    yield


def test_the_command_prints_what_happened_and_what_never_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--steps", "40", "--seeds", "1", "--quiet"]) == 0  # one world again: most kinds never happen in it
    told = capsys.readouterr().out
    assert "1 world, " in told
    assert "never happened: " in told


def test_the_command_fails_where_a_kind_of_fault_never_happens_in_many_worlds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ordermgmt.testing.simulation.__main__.ENOUGH", 2)
    assert main(["--steps", "40", "--seeds", "2", "--quiet"]) == 1
    assert "never happened: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--steps", "-1"], ["--jobs", "none"]])
def test_the_command_refuses_what_would_prove_nothing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
