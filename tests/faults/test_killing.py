"""Workers may be killed at any moment: what was answered stays, and nothing is executed twice."""

import json
import subprocess
import sys

import pytest

from tests.faults.shop import ROOT, environment

KILLS = 300
SEED = 3


@pytest.fixture(scope="module")
def figures():
    command = [sys.executable, "-m", "tests.faults.killing", "--json", "--kills", str(KILLS), "--seed", str(SEED)]
    run = subprocess.run(command, check=False, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240)
    assert run.stdout, run.stderr
    return json.loads(run.stdout)


def test_no_acknowledged_command_is_lost_in_300_kills(figures):
    assert figures["kills"] >= KILLS
    assert figures["losses"] == []


def test_nothing_is_decided_or_executed_twice_in_300_kills(figures):
    assert figures["doubles"] == []


def test_after_the_kills_everything_comes_to_rest_lawful_and_all_books_agree(figures):
    assert figures["breaches"] == []


def test_the_kills_struck_everywhere_between_a_command_and_its_end(figures):
    struck = {name: figures[name] for name in ("answered", "doubtful", "leases_run_out", "found_again", "executed")}
    assert all(n > 10 for n in struck.values()), struck
