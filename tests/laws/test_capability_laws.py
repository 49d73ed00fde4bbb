"""The laws of capabilities in one line: ours hold, a redrawn one holds, and a broken one is found."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ordermgmt import CancelOrder, orders
from ordermgmt.testing.laws import check_all_laws
from ordermgmt.verify import Breach
from tests.laws.redrawing import APPROVED_DRAFTS, BAKERY, REVIEWED


def test_our_own_capabilities_keep_every_law() -> None:
    check_all_laws(runs=2)


def test_a_redrawn_lifecycle_keeps_every_law() -> None:
    check_all_laws(orders.redrawn(REVIEWED), runs=2, seed=50)


def test_a_bakery_that_bakes_keeps_every_law() -> None:
    check_all_laws(orders.redrawn(BAKERY), runs=2, seed=70)


def test_a_shop_whose_drafts_are_approved_keeps_every_law() -> None:
    check_all_laws(orders.redrawn(APPROVED_DRAFTS), runs=2, seed=90)


def test_a_decision_that_remembers_is_found() -> None:
    asked: list[Any] = []

    def cancel(command: Any, state: Any, seen: Any, at: Any) -> Any:
        asked.append(command)
        events = tuple(orders.rules[CancelOrder].decide(command, state, seen, at))
        return events if len(asked) % 2 else events * 2

    rules = {**orders.rules, CancelOrder: attrs.evolve(orders.rules[CancelOrder], decide=cancel)}
    with pytest.raises(Breach, match="pure"):
        check_all_laws(attrs.evolve(orders, rules=rules))


def test_an_index_that_is_no_text_is_found() -> None:
    indexes: dict[str, Any] = {**orders.indexes, "lines": lambda order: len(order.lines)}
    with pytest.raises(Exception, match=r"text|str"):
        check_all_laws(attrs.evolve(orders, indexes=indexes))
