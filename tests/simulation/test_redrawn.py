"""A shop with another drawing lives through the same world: nothing of the simulator knows our chart by heart."""

from __future__ import annotations

from functools import partial

import pytest

from ordermgmt import DEFAULT_CAPABILITIES, Lifecycle, OrderManagement, orders
from ordermgmt.testing.simulation import simulate
from tests.laws.redrawing import APPROVED_DRAFTS, BAKERY, REVIEWED


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("drawn", [REVIEWED, BAKERY, APPROVED_DRAFTS], ids=["reviewed", "bakery", "approved drafts"])
def test_a_redrawn_lifecycle_keeps_the_laws_in_a_world_of_faults(drawn: Lifecycle, seed: int) -> None:
    capabilities = tuple(orders.redrawn(drawn) if one is orders else one for one in DEFAULT_CAPABILITIES)

    simulate(seed=seed, steps=800, shop_factory=partial(OrderManagement, capabilities=capabilities))
