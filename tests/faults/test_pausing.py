"""A worker that slept beyond its lease wakes up: what it says is heard as a fact, what it believes changes nothing."""

import json
import subprocess
import sys

import pytest

from tests.faults.pausing import ALL
from tests.faults.shop import ROOT, environment


@pytest.fixture(scope="module")
def figures():
    command = [sys.executable, "-m", "tests.faults.pausing", "--json", "--pauses", str(len(ALL))]
    run = subprocess.run(command, check=False, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240)
    assert run.stdout, run.stderr
    return json.loads(run.stdout)


def test_nothing_is_executed_twice_and_all_books_agree(figures):
    assert figures["breaches"] == []


def test_every_stopped_worker_was_overtaken(figures):
    assert figures["pauses"] == len(ALL)
    assert figures["overtaken"] == len(ALL)


def test_a_late_success_is_accepted_where_nobody_else_had_heard(figures):
    assert figures["late_successes"] == sum(pause.overtaker == "finds the provider silent" for pause in ALL)
