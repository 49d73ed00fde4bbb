"""States that are remembered from one command to the next: they are what the rows say, and nobody else's."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ordermgmt import AddNote, Address, Order, OrderManagement, PlaceOrder, ReceiveStock, Stock, StorageFailed
from ordermgmt.engine.messages import Personal
from ordermgmt.engine.recent import DOC_MAX, ROWS_MAX, Recent
from ordermgmt.engine.transaction import Key
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakePayments
from ordermgmt.testing.simulation import simulate
from tests.stories import ANN, arrived, card_pays, eur, line, place

Kept = tuple[bytes, Any]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    """Everything that is remembered: the bytes, and the state they are taken for."""
    seen: list[Kept] = []
    keep = Recent.keep

    def noted(self: Recent, key: Key, doc: bytes, state: Any, index: Any = None) -> None:
        seen.append((doc, state))
        keep(self, key, doc, state, index)

    monkeypatch.setattr(Recent, "keep", noted)
    return seen


def shown(state: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """All of a state, personal values included, but not where it lies."""
    with monkeypatch.context() as patch:
        patch.setattr(Personal, "__repr__", lambda self: f"{self.subject} {self.ref} {self.value!r}")
        return re.sub(r"0x[0-9a-f]+", "", repr(state))


def test_what_is_remembered_is_what_reading_the_row_would_give(
    shop: OrderManagement, kept: list[Kept], monkeypatch: pytest.MonkeyPatch
):
    arrived(shop, "A", ship_to=ANN)
    simulate(OrderManagement, seed=7, steps=150)

    assert len(kept) > 150
    for doc, state in kept:
        read = shop.assembly.codec.decode(doc)
        assert shown(read, monkeypatch) == shown(state, monkeypatch)
        assert shop.assembly.codec.encode(state) == doc


def test_a_caller_may_do_with_an_answer_what_it_likes(shop: OrderManagement):
    order = place(shop, "A")
    order.lines.clear()
    order.payments.clear()
    again = shop.handle(AddNote(order_id="A", text="as it was"))
    again.lines.clear()

    assert shop.settle("A").total == eur("30.00")
    assert shop.settle("A").payment_status == "authorised"


def test_what_a_preview_shows_may_be_spoiled_too(shop: OrderManagement):
    place(shop, "A")
    shop.settle("A")
    shop.preview(AddNote(order_id="A", text="what if")).entity.lines.clear()

    assert shop.handle(AddNote(order_id="A", text="it is")).total == eur("30.00")


def test_the_answer_to_a_repeated_command_may_be_spoiled_too(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    unnamed = PlaceOrder(lines=[line("mug", 1)], pay=card_pays())
    placed = shop.handle(unnamed, command_id="once")
    shop.settle(placed.order_id)
    shop.handle(unnamed, command_id="once").lines.clear()

    assert shop.handle(AddNote(order_id=placed.order_id, text="it is")).total == eur("10.00")


def test_what_another_shop_wrote_is_seen(tmp_path: Path):
    with closing(SqliteStorage(tmp_path / "shop.db")) as ours, closing(SqliteStorage(tmp_path / "shop.db")) as theirs:
        one, other = OrderManagement(storage=ours), OrderManagement(storage=theirs)
        for shop in (one, other, one, other):
            shop.handle(ReceiveStock(sku="mug", quantity=1))

        assert one.get(Stock, ("mug", "main")).on_hand == 4


def test_a_row_that_was_damaged_since_is_noticed(tmp_path: Path):
    with closing(SqliteStorage(tmp_path / "shop.db")) as storage:
        shop = OrderManagement(storage=storage)
        shop.handle(ReceiveStock(sku="mug", quantity=1))
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            connection.execute("UPDATE entity SET doc = substr(doc, 1, 20) WHERE kind = 'stock'")
            connection.commit()

        with pytest.raises(StorageFailed, match="damaged"):
            shop.handle(ReceiveStock(sku="mug", quantity=1))


def test_nothing_about_a_person_is_remembered(kept: list[Kept], monkeypatch: pytest.MonkeyPatch):
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()})
    arrived(shop, "A", ship_to=ANN)
    shop.handle(AddNote(order_id="A", text="rang twice"))

    told = " ".join(shown(state, monkeypatch) for _, state in kept)
    assert "order:A" in told
    assert "Rue Haute" not in told
    assert "rang twice" not in told
    assert shop.reveal(shop.get(Order, "A").ship_to, Address) == ANN


def test_it_stays_small():
    recent = Recent()
    for n in range(ROWS_MAX + 1):
        recent.keep(("stock", str(n)), b"{}", n)
    recent.keep(("order", "long"), b"x" * (DOC_MAX + 1), "long")

    assert recent.of(("order", "long"), b"x" * (DOC_MAX + 1)) is None
    assert recent.of(("stock", str(ROWS_MAX)), b"{}") == (ROWS_MAX, None)
    assert recent.of(("stock", "0"), b"{}") is None


def test_only_the_same_bytes_are_the_same_state():
    recent = Recent()
    recent.keep(("stock", "mug"), b'{"on_hand":1}', "one")

    assert recent.of(("stock", "mug"), b'{"on_hand":2}') is None
    recent.forget(("stock", "mug"))
    assert recent.of(("stock", "mug"), b'{"on_hand":1}') is None
    recent.forget(("stock", "mug"))
