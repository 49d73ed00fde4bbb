"""The cost of a decision grows with its lines and not with the store.  Ratios within one run, with room for noise."""

from __future__ import annotations

from pathlib import Path

from ordermgmt.storage import MemoryStorage, SqliteStorage

from .decisions import cost_of_loading, cost_of_placing


def test_placing_an_order_costs_about_the_same_per_line_however_many_there_are() -> None:
    hundred = cost_of_placing(100, 4) / 100
    thousand = cost_of_placing(1_000, 1) / 1_000
    assert thousand < 3 * hundred, f"{thousand:.1f} µs a line at 1,000 lines, {hundred:.1f} at 100"


def test_getting_an_order_from_memory_costs_the_same_however_many_there_are() -> None:
    few, many = cost_of_loading(MemoryStorage(), 200), cost_of_loading(MemoryStorage(), 10_000)
    assert many < 3 * few, f"{many:.1f} µs of 10,000 orders, {few:.1f} of 200"


def test_getting_an_order_from_a_file_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    few = cost_of_loading(SqliteStorage(tmp_path / "few.db"), 200)
    many = cost_of_loading(SqliteStorage(tmp_path / "many.db"), 10_000)
    assert many < 3 * few, f"{many:.1f} µs of 10,000 orders, {few:.1f} of 200"
