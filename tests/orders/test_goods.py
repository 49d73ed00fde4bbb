"""Orders that are placed without setting goods aside, and what a buyer's purchase order says."""

from __future__ import annotations

import pendulum
import pytest

from ordermgmt import NothingToSetAside, OrderManagement, OutOfStock, ReceiveStock, SetGoodsAside
from tests.stories import line, on_the_shelf, paid_for, place, units


def test_an_order_can_be_placed_before_there_are_goods(shop: OrderManagement):
    order = place(shop, "A", stock=False, goods="later")
    assert (order.status, units(shop, "A")) == ("placed", {"open": 3})


def test_it_is_not_confirmed_before_they_are_set_aside(shop: OrderManagement):
    place(shop, "A", stock=False, goods="later")
    assert shop.settle("A").status == "placed"

    shop.handle(ReceiveStock(sku="mug", quantity=3))
    assert shop.handle(SetGoodsAside(order_id="A")).status == "confirmed"
    assert on_the_shelf(shop) == (3, 3, 0)


def test_goods_that_are_not_there_are_not_set_aside(shop: OrderManagement):
    place(shop, "A", stock=False, goods="later")
    with pytest.raises(OutOfStock):
        shop.handle(SetGoodsAside(order_id="A"))


def test_where_nothing_stands_open_nothing_is_set_aside(shop: OrderManagement):
    paid_for(shop, "A")
    with pytest.raises(NothingToSetAside):
        shop.handle(SetGoodsAside(order_id="A"))


def test_an_order_keeps_what_the_buyer_wrote_on_it(shop: OrderManagement):
    wanted = pendulum.datetime(2026, 2, 1)
    order = place(
        shop, "A", line("mug", 3, reference="pos 10", requested_at=wanted), reference="PO 4711", requested_at=wanted
    )
    assert (order.reference, order.requested_at) == ("PO 4711", wanted)
    assert (order.lines["1"].reference, order.lines["1"].requested_at) == ("pos 10", wanted)
