"""Hypothesis knows our types without being told."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from ordermgmt import Fact, Line, Money, PlaceOrder, UnitPrice
from ordermgmt.testing.registration import register


@pytest.mark.parametrize("cls", [Money, UnitPrice, Line, PlaceOrder, Fact])
def test_hypothesis_makes_our_types_from_the_type_alone(cls: type[object]) -> None:
    register()
    assert isinstance(find(st.from_type(cls), lambda _: True, settings=settings(database=None)), cls)


def test_hypothesis_calls_the_entry_point_when_it_is_imported() -> None:
    code = "import hypothesis.strategies as st; from ordermgmt import Money; print(st.from_type(Money).example())"
    shown = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    if "ordermgmt" not in _installed_plugins():
        pytest.skip("ordermgmt is not installed here, only on the path: its entry points are not known")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip()


def test_registering_builds_no_strategy() -> None:
    code = (
        "import sys; import hypothesis; from ordermgmt.testing.registration import register; register(); "
        "assert 'ordermgmt.testing.strategies' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _installed_plugins() -> set[str]:
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="hypothesis")}
