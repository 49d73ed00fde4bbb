"""Verify finds what is wrong with drafts, quotes, holds, references and approvals, in states and in histories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    Approval,
    Approve,
    DraftOrder,
    GrantCredit,
    HoldOrder,
    NamedPolicy,
    NeedsApproval,
    OnAccount,
    Order,
    OrderManagement,
    PickShipment,
    PlaceDraft,
    PlaceOrder,
    QuoteOrder,
    ReceiveStock,
    ReleaseHold,
    orders,
)
from ordermgmt.engine.capability import changed
from ordermgmt.engine.transaction import Row
from ordermgmt.orders import flow, rules
from ordermgmt.orders.holds import HoldReleased
from ordermgmt.storage import MemoryStorage
from ordermgmt.verify import check_all
from tests.stories import eur, line, place


def two_people(command: Any, state: Any, seen: Any, at: Any) -> NeedsApproval | None:
    return NeedsApproval("money") if isinstance(command, GrantCredit) else None


def lived() -> OrderManagement:
    """A shop with a quote, an order on hold with an id of its channel, and an approval."""
    shop = OrderManagement(storage=MemoryStorage(), policies=[NamedPolicy("two people", two_people)])
    shop.handle(ReceiveStock(sku="mug", quantity=99))
    shop.handle(DraftOrder(order_id="Q", lines=[line("mug", 3)]))
    shop.handle(QuoteOrder(order_id="Q", valid_for=timedelta(days=7)))
    shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=OnAccount(), external="1001"))
    shop.handle(HoldOrder(order_id="A", reason="doubts"))
    approval = shop.request_approval(GrantCredit(order_id="A", amount=eur("1.00")), by="ann")
    shop.handle(Approve(approval_id=approval.approval_id), by="bob")
    check_all(shop).require()
    return shop


def laws_broken(shop: OrderManagement) -> set[str]:
    return {breach.law for breach in check_all(shop).breaches}


def spoil(shop: OrderManagement, kind: str, id: str, change: Callable[[Any], Any]) -> None:
    """Change a state behind the shop's back."""
    storage = shop.storage
    assert isinstance(storage, MemoryStorage)
    codec = shop.assembly.codec
    row = storage.read([(kind, id)])[kind, id]
    doc = codec.encode(change(codec.decode(row.doc)))
    storage._rows[kind, id] = Row(row.key, row.version, doc, row.head, row.at)


@pytest.mark.parametrize(
    ("law", "kind", "id", "change"),
    [
        ("D1", "order", "Q", lambda order: attrs.evolve(order, shipments=("Q:s1",))),
        ("D2", "order", "Q", lambda order: attrs.evolve(order, quoted_until=order.quoted_until.add(days=1))),
        ("D2", "later", "quote.Q", lambda later: attrs.evolve(later, status="withdrawn")),
        ("D2", "order", "Q", lambda order: attrs.evolve(order, terms=attrs.evolve(order.terms, kind="account"))),
        ("R1", "order", "A", lambda order: attrs.evolve(order, external="1002")),
        ("R1", "reference", "order/7.default/1001", lambda one: attrs.evolve(one, order_id="Q")),
    ],
)
def test_a_state_that_breaks_a_law_is_found(law: str, kind: str, id: str, change: Callable[[Any], Any]):
    shop = lived()

    spoil(shop, kind, id, change)

    assert law in laws_broken(shop)


def test_an_approval_by_its_requester_is_found():
    shop = lived()
    (approval,) = shop.find(Approval)

    spoil(shop, "approval", approval.approval_id, lambda one: attrs.evolve(one, decided_by="ann"))

    assert "X3" in laws_broken(shop)


def shop_of(capability: Any) -> OrderManagement:
    shop = OrderManagement(
        storage=MemoryStorage(), capabilities=[capability if one is orders else one for one in DEFAULT_CAPABILITIES]
    )
    shop.handle(ReceiveStock(sku="mug", quantity=99))
    return shop


def test_goods_that_move_while_their_order_is_on_hold_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rules, "refuse_held", lambda order, moves: None)
    shop = shop_of(orders)
    place(shop, "A", pay=OnAccount())
    shop.handle(HoldOrder(order_id="A", reason="doubts"))
    shop.handle(PickShipment(shipment_id="A:s1"))

    assert "H1" in laws_broken(shop)


def test_a_release_that_takes_every_hold_away_is_found():
    release = orders.evolve[HoldReleased]
    evolve = {**orders.evolve, HoldReleased: lambda state, event: changed(release(state, event), holds={})}
    shop = shop_of(attrs.evolve(orders, evolve=evolve))
    place(shop, "A", pay=OnAccount())
    for reason in ("one", "two"):
        shop.handle(HoldOrder(order_id="A", reason=reason))

    shop.handle(ReleaseHold(order_id="A", reason="one"))

    assert "H2" in laws_broken(shop)


def test_a_draft_that_is_placed_at_another_price_is_found():
    rule = orders.rules[PlaceDraft]

    def dearer(command: Any, state: Order | None, seen: Any, at: Any) -> Any:
        assert state is not None
        lines = {id: changed(one, minor=one.minor + 1) for id, one in state.lines.items()}
        return rule.decide(command, changed(state, lines=lines), seen, at)

    changes = {**orders.rules, PlaceDraft: attrs.evolve(rule, decide=dearer)}
    shop = shop_of(attrs.evolve(orders, rules=changes))
    shop.handle(DraftOrder(order_id="Q", lines=[line("mug", 3)]))
    shop.handle(PlaceDraft(order_id="Q", pay=OnAccount()))

    assert "D3" in laws_broken(shop)


def test_a_quote_that_still_ends_after_it_was_taken_is_found():
    forgetful = tuple(one for one in orders.reactions if one.then is not flow.the_quote_has_ended)
    shop = shop_of(attrs.evolve(orders, reactions=forgetful))
    shop.handle(DraftOrder(order_id="Q", lines=[line("mug", 3)]))
    shop.handle(QuoteOrder(order_id="Q", valid_for=timedelta(days=7)))
    shop.handle(PlaceDraft(order_id="Q", pay=OnAccount()))

    assert "D2" in laws_broken(shop)
