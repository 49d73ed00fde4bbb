"""Commands that are decided together: all of them, or none."""

from __future__ import annotations

from ordermgmt import NotTogether, OnAccount, Order, OrderManagement, OutOfStock, PlaceOrder, ReceiveStock
from tests.stories import line, snapshot


def orders(*quantities: int) -> list[PlaceOrder]:
    return [PlaceOrder(order_id=f"O{n}", lines=[line("mug", q)], pay=OnAccount()) for n, q in enumerate(quantities, 1)]


def test_where_one_is_refused_nothing_is_done(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    before = snapshot(shop)
    first, second, third = shop.handle_many(orders(1, 9, 1), together=True)

    assert snapshot(shop) == before
    assert isinstance(second, OutOfStock)
    assert [type(one) for one in (first, third)] == [NotTogether, NotTogether]
    assert first.refused == 1


def test_where_none_is_refused_all_is_done(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    assert [one.status for one in shop.handle_many(orders(1, 2), together=True)] == ["confirmed", "confirmed"]


def test_what_one_takes_is_missing_for_the_other(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    assert isinstance(shop.handle_many(orders(2, 2), together=True)[1], OutOfStock)


def test_alone_each_stands_for_itself(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    first, second = shop.handle_many(orders(2, 2))
    assert isinstance(first, Order)
    assert isinstance(second, OutOfStock)
