"""The state machine that hosts subclass: it holds on our own shop, and finds a broken one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ordermgmt import DEFAULT_CAPABILITIES, OrderManagement
from ordermgmt.orders.messages import UnitsMoved
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing.machine import OrderMachine
from ordermgmt.verify import Breach
from tests.laws.redrawing import REVIEWED_CAPABILITIES

QUICK = settings(
    max_examples=40,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class LyingWorld(OrderMachine):
    lies = True


class ReviewedShop(OrderMachine):
    def make_shop(self, **parts: Any) -> OrderManagement:
        return OrderManagement(storage=MemoryStorage(), capabilities=REVIEWED_CAPABILITIES, **parts)


class ForgetfulShop(OrderMachine):
    """A shop in which cancelled goods are never let go of."""

    def make_shop(self, **parts: Any) -> OrderManagement:
        capabilities = [
            attrs.evolve(
                capability,
                reactions=tuple(
                    reaction
                    for reaction in capability.reactions
                    if (reaction.on, reaction.name) != (UnitsMoved, "claims_follow_the_units")
                ),
            )
            for capability in DEFAULT_CAPABILITIES
        ]
        return OrderManagement(storage=MemoryStorage(), capabilities=capabilities, **parts)


@pytest.mark.parametrize("machine", [OrderMachine, LyingWorld, ReviewedShop])
def test_the_laws_hold_in_a_shop_under_random_use(machine: type[OrderMachine]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


def test_a_shop_that_forgets_to_release_goods_is_found_by_a_short_story() -> None:
    with pytest.raises(Breach) as found:
        run_state_machine_as_test(ForgetfulShop, settings=settings(QUICK, stateful_step_count=8, max_examples=200))
    assert found.value.law in ("S3", "Q2")
    story = "\n".join(getattr(found.value, "__notes__", []))
    told = (line.strip() for line in story.splitlines())
    echoes = ("state.what_changed_is_lawful", "state.teardown")
    steps = [line for line in told if line.startswith(("state.", "placed")) and not line.startswith(echoes)]
    assert len(steps) <= 5, story
