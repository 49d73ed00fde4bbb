"""Workers may be killed and the PostgreSQL server may crash at any moment: what was answered stays, once."""

import json
import subprocess
import sys

import pytest

from tests.faults.shop import ROOT, environment

KILLS, CRASHES, SEED = 30, 2, 4


@pytest.fixture(scope="module")
def figures():
    command = [sys.executable, "-m", "tests.faults.killing", "--store", "postgres", "--json", "--seed", str(SEED)]
    command += ["--kills", str(KILLS), "--crashes", str(CRASHES)]
    run = subprocess.run(command, check=False, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240)
    assert run.stdout, run.stderr
    return json.loads(run.stdout)


def test_no_acknowledged_command_is_lost_when_workers_are_killed_and_the_server_crashes(figures):
    assert figures["kills"] >= KILLS
    assert figures["crashes"] == CRASHES
    assert figures["losses"] == []


def test_nothing_is_decided_or_executed_twice(figures):
    assert figures["doubles"] == []


def test_afterwards_everything_comes_to_rest_lawful_and_all_books_agree(figures):
    assert figures["breaches"] == []


def test_the_kills_struck_commands_that_were_under_way(figures):
    struck = {name: figures[name] for name in ("answered", "doubtful", "executed")}
    assert all(n > 5 for n in struck.values()), struck
