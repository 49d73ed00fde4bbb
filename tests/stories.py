"""Short words for telling what a shop does, and the laws every shop must keep, whatever was done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from ordermgmt import (
    Address,
    HandOverShipment,
    Line,
    Money,
    Order,
    OrderManagement,
    PackShipment,
    Payment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    RecordDelivery,
    Reservation,
    Shipment,
    Stock,
    Tender,
)
from ordermgmt.engine.codec import Opaque
from ordermgmt.engine.transaction import Query, Row

ANN = Address(name="Ann", street="Rue Haute 1", city="Bruxelles", postal_code="1000", country="BE")


def eur(amount: str) -> Money:
    """An amount in euros."""
    return Money(amount, "EUR")


def card_pays(token: str = "tok_visa", *, sale: bool = False) -> PayNow:
    """The whole order on one card."""
    return PayNow([Tender("card", token=token, sale=sale)])


def line(sku: str, quantity: int, price: str = "10.00", **more: Any) -> Line:
    """A line in euros."""
    return Line(sku=sku, quantity=quantity, unit_price=eur(price), **more)


def place(shop: OrderManagement, order_id: str, *lines: Line, stock: bool = True, **more: Any) -> Order:
    """Place an order, of three mugs where nothing is said; what it needs is received before."""
    several = lines or (line("mug", 3),)
    if stock:
        wanted = Counter[str]()
        for one in several:
            wanted[one.sku] += one.quantity
        for sku, n in wanted.items():
            shop.handle(ReceiveStock(sku=sku, quantity=n))
    terms: dict[str, Any] = {"pay": card_pays()} | more
    return shop.handle(PlaceOrder(order_id=order_id, lines=several, **terms))


def paid_for(shop: OrderManagement, order_id: str, *lines: Line, **more: Any) -> Order:
    """Placed, authorised, confirmed, and planned into the parcel ``order_id:s1``."""
    place(shop, order_id, *lines, **more)
    return shop.settle(order_id)


def sent(shop: OrderManagement, order_id: str, *lines: Line, **more: Any) -> Order:
    """Handed over and captured."""
    paid_for(shop, order_id, *lines, **more)
    shop.handle(PackShipment(shipment_id=f"{order_id}:s1"))
    shop.settle(order_id)
    shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1"))
    return shop.settle(order_id)


def arrived(shop: OrderManagement, order_id: str, *lines: Line, **more: Any) -> Order:
    """Delivered."""
    sent(shop, order_id, *lines, **more)
    shop.handle(RecordDelivery(shipment_id=f"{order_id}:s1"))
    return shop.get(Order, order_id)


def on_the_shelf(shop: OrderManagement, sku: str = "mug") -> tuple[int, int, int]:
    """(on hand, reserved, held)."""
    stock = shop.get(Stock, (sku, "main"))
    return stock.on_hand, stock.reserved, stock.held


def units(shop: OrderManagement, order_id: str, line_id: str = "1") -> dict[str, int]:
    """Where the units of a line stand."""
    return shop.get(Order, order_id).lines[line_id].units


def rows(shop: OrderManagement) -> dict[tuple[str, str], Row]:
    """Every stored entity, effects and discrepancies included."""
    found = dict[tuple[str, str], Row]()
    for capability in shop.assembly.capabilities:
        place: tuple[str, str] | None = None
        while page := shop.storage.find(Query(kind=capability.kind, limit=500, after=place)):
            found |= {one.row.key: one.row for one in page}
            place = page[-1].place
    return found


def snapshot(shop: OrderManagement) -> tuple[Any, ...]:
    """Everything a refused command must leave as it was: states, versions, effects, the feed, the indexes."""
    statuses = {c.kind: dict(shop.storage.statuses(c.kind)) for c in shop.assembly.capabilities}
    return rows(shop), tuple(shop.storage.feed(limit=100_000)), statuses


def laws_hold(shop: OrderManagement) -> None:
    """Folding gives the saved state; units, stock and money are conserved; indexes tell what the states are."""
    states = dict[tuple[str, str], Any]()
    for key, row in rows(shop).items():
        state = shop.assembly.codec.decode(row.doc)
        if isinstance(state, Opaque):
            continue
        states[key] = state
        capability = shop.assembly.by_kind[key[0]]
        events = [shop.assembly.codec.decode(entry.doc) for entry in shop.storage.history(key, limit=100_000)]
        assert len(events) == row.version
        assert capability.fold(events) == state, f"folding the history of {key} gives another state"
        for name, value in capability.index(state).items():
            if value is not None:
                found = shop.storage.find(Query(kind=key[0], equal={name: (value,)}, limit=100_000))
                assert key in [one.row.key for one in found], f"{key} is not found by {name}={value}"
    _units_and_stock(
        [one for one in states.values() if isinstance(one, Order)],
        {key[1]: one for key, one in states.items() if isinstance(one, Stock)},
        [one for one in states.values() if isinstance(one, Reservation)],
        [one for one in states.values() if isinstance(one, Shipment)],
    )
    _money(
        {one.order_id: one for one in states.values() if isinstance(one, Order)},
        [one for one in states.values() if isinstance(one, Payment)],
    )


def _units_and_stock(
    orders: Iterable[Order],
    stocks: dict[str, Stock],
    reservations: Iterable[Reservation],
    shipments: Iterable[Shipment],
) -> None:
    promised, claimed = Counter[str](), Counter[str]()
    in_parcels = Counter[tuple[str, str, str]]()
    for shipment in shipments:
        bucket = {"planned": "reserved", "picked": "picked", "packed": "packed"}.get(shipment.status, "")
        for content in shipment.contents if bucket else ():
            in_parcels[content.order_id, content.line_id, bucket] += content.quantity
    for order in orders:
        for one in order.lines.values():
            assert sum(one.units.values()) == one.quantity, f"units of {order.order_id}/{one.line_id} are lost or made"
            assert all(n > 0 for n in one.units.values())
            if one.kind == "stocked":
                promised[f"{one.location}/{one.sku}"] += one.count("reserved", "picked", "packed")
            for bucket in ("reserved", "picked", "packed"):
                planned = in_parcels[order.order_id, one.line_id, bucket]
                assert planned <= one.count(bucket), f"parcels of {order.order_id} hold too much"
    for reservation in reservations:
        for claim in reservation.claims.values():
            claimed[f"{claim.location}/{claim.sku}"] += claim.quantity
    for id, stock in stocks.items():
        assert stock.reserved == promised[id] == claimed[id], f"{id}: promises, claims and units disagree"
        assert stock.reserved >= 0
        assert stock.held >= 0
        assert stock.reserved + stock.held <= stock.on_hand


def _money(orders: dict[str, Order], payments: Iterable[Payment]) -> None:
    for payment in payments:
        amounts = payment.amounts
        assert all(n >= 0 for n in attrs.astuple(amounts))
        order = orders[payment.order_id]
        assert order.payments[payment.payment_id].amounts == amounts, f"{order.order_id} does not know its payment"
