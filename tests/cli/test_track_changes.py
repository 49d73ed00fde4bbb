"""Tracking tells what was changed about an order, who wanted it, and what became of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordermgmt import (
    Amendment,
    AmendOrder,
    ConfirmOrderChange,
    DeclineOrderChange,
    DraftOrderChange,
    LineChange,
    OnAccount,
    OrderManagement,
    ReceiveStock,
    RequestOrderChange,
    RevertAmendment,
    RevertOrderChange,
)
from ordermgmt.cli import main
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakePayments
from tests.stories import card_pays, eur, line, place


def test_changes_are_told_with_the_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = tmp_path / "shop.db"
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        place(shop, "A", line("mug", 3), pay=OnAccount())
        fewer = Amendment(lines=[LineChange(line_id="1", quantity=1)])
        shop.handle(DraftOrderChange(change_id="c1", order_id="A", amendment=fewer, reason="by phone"))
        shop.handle(RequestOrderChange(change_id="c1"))
        shop.handle(DeclineOrderChange(change_id="c1", reason="too late"))
        shop.handle(DraftOrderChange(change_id="c2", order_id="A", amendment=fewer))
        shop.handle(ConfirmOrderChange(change_id="c2"))
        shop.handle(RevertOrderChange(change_id="c2"))
    assert main(["track", "A", "--db", str(db)]) == 0

    told = capsys.readouterr().out
    for words in (
        "Change c1 drafted: 20.00 EUR less (by phone)",
        "Change c1 declined (too late)",
        "Change c2 confirmed",
        "Order amended (1): without 2 × mug",
        "Change c2 taken back",
        "Amendment 1 taken back: with 2 × mug more",
    ):
        assert words in told, words


def test_an_order_was_placed_at_what_it_cost_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = tmp_path / "shop.db"
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        place(shop, "A", line("mug", 1), pay=OnAccount(), shipping=eur("4.90"))
        shop.handle(ReceiveStock(sku="mug", quantity=1))
        shop.handle(AmendOrder(order_id="A", amendment=Amendment(add=[line("mug", 1)], charges={"gift": eur("2.00")})))
    assert main(["track", "A", "--db", str(db)]) == 0

    assert "10.00 EUR + shipping 4.90 EUR = 14.90 EUR" in capsys.readouterr().out


def test_a_change_whose_amendment_was_taken_back_at_the_order_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    db = tmp_path / "shop.db"
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        place(shop, "A", line("mug", 3), pay=OnAccount())
        fewer = Amendment(lines=[LineChange(line_id="1", quantity=1)])
        shop.handle(DraftOrderChange(change_id="c1", order_id="A", amendment=fewer))
        shop.handle(ConfirmOrderChange(change_id="c1"))
        shop.handle(RevertAmendment(order_id="A", change_id="c1"))
    assert main(["track", "A", "--db", str(db)]) == 0

    told = capsys.readouterr().out
    assert "Amendment 1 taken back" in told
    assert "Change c1 taken back with it" in told


def test_what_was_put_on_account_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = tmp_path / "shop.db"
    with OrderManagement(storage=SqliteStorage(db), gateways={"card": FakePayments()}) as shop:
        place(shop, "A", line("mug", 3), pay=card_pays("tok_decline"))
        shop.settle("A")
        shop.handle(AmendOrder(order_id="A", pay=OnAccount()))
    assert main(["track", "A", "--db", str(db)]) == 0

    assert "Order amended (1): 30.00 EUR to be paid on account" in capsys.readouterr().out
