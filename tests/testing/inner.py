"""Runs a module of contracts that are meant to fail, inside this process, and tells what became of each test."""

from __future__ import annotations

import contextlib
import functools
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.testing.awaited import Awaited

CASES = Path(__file__).parent / "cases"

_forms: list[bool] = [False]


def in_form(adapter: Any, awaited: type[Awaited]) -> Any:
    """The adapter of a case, in the form that is asked for: as it is, or for asyncio."""
    return awaited(adapter) if _forms[-1] else adapter


class Recorder:
    """A pytest plugin that listens."""

    def __init__(self) -> None:
        self.found = defaultdict[tuple[str, str], set[str]](set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, _, rest = report.nodeid.partition("::")
        cls, _, test = rest.partition("::")
        outcome = self._outcome(report)
        if outcome:
            self.found[cls, test.partition("[")[0]].add(outcome)

    def _outcome(self, report: pytest.TestReport) -> str:
        if report.when != "call":
            return "" if report.passed else report.outcome
        if hasattr(report, "wasxfail"):
            return "xfailed"
        return report.outcome


@functools.cache
def results_of(name: str, only: tuple[str, ...] = (), *, awaited: bool = False) -> Mapping[tuple[str, str], set[str]]:
    """(class, test) → what became of it in the module of this name: of all tests, or of those named ``class::test``."""
    recorder = Recorder()
    # The plugins of the run around this one stay out of it: they hold what belongs to the whole process.
    without = ("cacheprovider", "faulthandler", "xdist")
    chosen = [f"{CASES / name}::{one}" for one in only] or [str(CASES / name)]
    arguments = [*chosen, "-q", "--tb=no", "-o", "addopts=--import-mode=importlib"]
    _forms.append(awaited)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*arguments, *(f"-pno:{plugin}" for plugin in without)], plugins=[recorder])
    finally:
        _forms.pop()
    assert recorder.found, f"nothing of {name} was run"
    return dict(recorder.found)
