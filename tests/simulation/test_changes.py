"""Worlds in which orders are changed after they were placed: every law holds there, too."""

from __future__ import annotations

import pytest

from ordermgmt.orders.amended import OrderAmended
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing.simulation import simulate


class Kept(MemoryStorage):
    """A store that can be looked at when the world is over."""

    kept: list[MemoryStorage] = []  # noqa: RUF012 - one list for all, emptied by each test

    def close(self) -> None:
        self.kept.append(self)


@pytest.mark.parametrize("seed", range(4))
def test_no_law_is_broken_where_orders_are_changed(seed: int) -> None:
    simulate(seed=seed, steps=400, changes=True)


def test_orders_are_changed_there() -> None:
    Kept.kept.clear()
    for seed in range(4):
        simulate(seed=seed, steps=400, changes=True, storage=Kept)
    told = [entry.doc for store in Kept.kept for entry in store.feed(limit=100_000)]
    assert sum(OrderAmended.__name__.encode() in doc for doc in told) >= 3
