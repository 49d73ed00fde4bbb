"""Tracking tells of drafts, quotes, holds and notes, and of steps that a host drew."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    AddNote,
    AdvanceOrder,
    DraftOrder,
    EditDraft,
    HoldOrder,
    ManualClock,
    OnAccount,
    OrderManagement,
    PlaceDraft,
    QuoteOrder,
    ReceiveStock,
    ReleaseHold,
    WithdrawQuote,
    orders,
)
from ordermgmt.cli import main
from ordermgmt.storage import SqliteStorage
from tests.laws.redrawing import BAKERY
from tests.stories import eur, line


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    redrawn = [one.redrawn(BAKERY) if one is orders else one for one in DEFAULT_CAPABILITIES]
    with OrderManagement(storage=SqliteStorage(path), clock=ManualClock(), capabilities=redrawn) as shop:
        shop.handle(ReceiveStock(sku="loaf", quantity=20))
        shop.handle(DraftOrder(order_id="Q", lines=[line("loaf", 3)], shipping=eur("4.90"), customer="ann"))
        shop.handle(QuoteOrder(order_id="Q", valid_for=timedelta(days=7)))
        shop.handle(WithdrawQuote(order_id="Q", reason="too dear"))
        shop.handle(EditDraft(order_id="Q", lines=[line("loaf", 2)], customer="ann"))
        shop.handle(AddNote(order_id="Q", text="sliced, please", line_id="1"))
        shop.handle(AddNote(order_id="Q", text="for the wedding"))
        shop.handle(PlaceDraft(order_id="Q", pay=OnAccount()))
        shop.handle(HoldOrder(order_id="Q", reason="credit limit"))
        shop.handle(HoldOrder(order_id="Q", reason="address", note="no such street"))
        shop.handle(ReleaseHold(order_id="Q", reason="credit limit", note="paid"))
        shop.handle(AdvanceOrder(order_id="Q", step="bake"))
    return path


def tracked(db: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["track", "Q", "--db", str(db)])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "told",
    [
        "Drafted: 3 × loaf",
        "34.90 EUR",
        "Quoted: the price stands until",
        "Quote withdrawn (too dear)",
        "Edited: 2 × loaf",
        "Note about line 1: sliced, please",
        "Note: for the wedding",
        "Order placed: 2 × loaf",
        "On hold: credit limit",
        "On hold: address (no such street)",
        "No longer on hold: credit limit (paid)",
        "on hold: address (no such street)",
        "Order: bake",
    ],
)
def test_everything_before_and_beside_the_status_is_told(db: Path, capsys: pytest.CaptureFixture[str], told: str):
    assert told in tracked(db, capsys)


def test_what_was_erased_is_not_told(db: Path, capsys: pytest.CaptureFixture[str]):
    redrawn = [one.redrawn(BAKERY) if one is orders else one for one in DEFAULT_CAPABILITIES]
    with OrderManagement(storage=SqliteStorage(db), capabilities=redrawn) as shop:
        shop.erase("ann")

    assert "Note about line 1: erased" in tracked(db, capsys)
