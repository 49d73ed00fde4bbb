"""Random lives of a shop: commands, faults, time-outs and late news, with units, stock and money checked after each."""

from __future__ import annotations

from collections import Counter

import pytest

from ordermgmt import verify
from ordermgmt.storage import SqliteStorage
from tests.laws.driver import World
from tests.laws.redrawing import REVIEWED_CAPABILITIES

CANCELS_MIN = 500


def test_however_orders_are_cancelled_no_stock_and_no_money_is_kept() -> None:
    hits = Counter[str]()
    seed = 0
    while min(hits["cancels after a capture"], hits["cancels with an authorisation in flight"]) < CANCELS_MIN:
        assert seed < 60, f"too few cancels are reached: {hits}"
        hits += World(seed, fickle=True, orders_max=100).run(100).hits
        seed += 1
    print({what: n for what, n in hits.items() if "cancels" in what or what.startswith("fault")}, f"in {seed} worlds")


@pytest.mark.parametrize("seed", range(8))
def test_goods_and_money_are_conserved_whatever_happens(seed: int) -> None:
    World(seed).run(150)


@pytest.mark.parametrize("seed", range(100, 106))
def test_news_is_never_refused_true_or_not(seed: int) -> None:
    World(seed, lies=True).run(150)


@pytest.mark.parametrize("seed", range(200, 206))
def test_news_is_never_refused_where_the_lifecycle_is_redrawn(seed: int) -> None:
    World(seed, lies=seed % 2 == 0, capabilities=REVIEWED_CAPABILITIES).run(120)


@pytest.mark.parametrize("seed", [300, 301])
def test_history_folds_to_what_is_saved_in_a_file_too(seed: int, tmp_path) -> None:
    path = tmp_path / "shop.db"
    storage = SqliteStorage(path)
    World(seed, storage=storage, lies=seed % 2 == 1).run(60)
    storage.close()
    assert str(verify.verify_file(path)).startswith("no breach")
