"""The same life with the `eventsourcing` library: what lives in ours are aggregates here, saved together.

It tells the same 35 events in the same 7 commits.  It keeps no rows of state and no indexes beside them, and decides
next to nothing.  Two of its settings are measured.  With many writers it looks for newer events of whatever it has in
memory, as it does unless told otherwise, so that any process may write, as with ours.  With one writer it reads
nothing, and one process must do all the writing.

Only for the benchmark; the library is not among our dependencies.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from attrs import define
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.sqlite import SQLiteConnectionPool
from psycopg.conninfo import conninfo_to_dict

LINES = [(f"sku-{n}", 2, 1900) for n in range(3)]


class Stock(Aggregate):  # type: ignore[misc]  # untyped library
    @event("Received")
    def __init__(self, sku: str, quantity: int) -> None:
        self.sku = sku
        self.on_hand = quantity
        self.reserved = 0

    def reserve(self, order_id: str, quantity: int) -> None:
        if quantity > self.on_hand - self.reserved:
            raise ValueError("out of stock")
        self.reserved_for(order_id, quantity)

    @event("Reserved")
    def reserved_for(self, order_id: str, quantity: int) -> None:
        self.reserved += quantity

    @event("Issued")
    def issue(self, order_id: str, quantity: int) -> None:
        self.on_hand -= quantity
        self.reserved -= quantity


class Reservation(Aggregate):  # type: ignore[misc]
    @event("Committed")
    def __init__(self, order_id: str, claims: list[list[Any]]) -> None:
        self.order_id = order_id
        self.claims = {sku: quantity for sku, quantity, _ in claims}
        self.status = "committed"

    @event("Reduced")
    def reduce(self, claims: list[list[Any]]) -> None:
        for sku, quantity, _ in claims:
            self.claims[sku] -= quantity

    @event("Consumed")
    def consume(self) -> None:
        self.status = "consumed"


class Payment(Aggregate):  # type: ignore[misc]
    @event("Requested")
    def __init__(self, order_id: str, minor: int) -> None:
        self.order_id = order_id
        self.minor = minor
        self.facts: dict[str, int] = {}
        self.asked = 0

    @event("FactRecorded")
    def record(self, transaction_id: str, kind: str, minor: int) -> None:
        self.facts[transaction_id] = minor

    @event("CaptureAsked")
    def ask_capture(self, minor: int) -> None:
        self.asked += minor


class Shipment(Aggregate):  # type: ignore[misc]
    @event("Planned")
    def __init__(self, order_id: str, contents: list[list[Any]]) -> None:
        self.order_id = order_id
        self.contents = contents
        self.status = "planned"

    @event("Picked")
    def pick(self) -> None:
        self.status = "picked"

    @event("Packed")
    def pack(self) -> None:
        self.status = "packed"

    @event("HandedOver")
    def hand_over(self) -> None:
        self.status = "shipped"

    @event("Delivered")
    def deliver(self) -> None:
        self.status = "delivered"


class Order(Aggregate):  # type: ignore[misc]
    @event("Placed")
    def __init__(self, number: str, lines: list[list[Any]]) -> None:
        self.number = number
        self.lines = lines
        self.units = {sku: {"open": quantity} for sku, quantity, _ in lines}
        self.status = "placed"
        self.money: dict[str, int] = {}
        self.shipments: list[str] = []

    @event("UnitsMoved")
    def move(self, to: str) -> None:
        self.units = {sku: {to: sum(units.values())} for sku, units in self.units.items()}

    @event("PaymentNoted")
    def note_payment(self, amounts: dict[str, int]) -> None:
        self.money = amounts

    @event("MoneyAsked")
    def ask(self, minor: int) -> None:
        self.asked = minor

    @event("ShipmentNoted")
    def note_shipment(self, shipment_id: str) -> None:
        self.shipments.append(shipment_id)

    @event("Confirmed")
    def confirm(self) -> None:
        self.status = "confirmed"


class Effect(Aggregate):  # type: ignore[misc]
    @event("Planned")
    def __init__(self, kind: str, order_id: str, minor: int) -> None:
        self.kind = kind
        self.minor = minor
        self.status = "ready"

    @event("Claimed")
    def claim(self, token: int) -> None:
        self.status = "sending"

    @event("Settled")
    def settle(self, transaction_id: str) -> None:
        self.status = "succeeded"


@define
class Life:
    """The ids of one order and of what belongs to it."""

    order: UUID
    reservation: UUID
    payment: UUID
    effect: UUID
    shipment: UUID | None = None


class Shop(Application):  # type: ignore[misc]
    """The commands of a life, each a `save` of all that it changes: the same 35 events as ours, in as many commits."""

    def open(self) -> list[UUID]:
        stocks = [Stock(sku, 10**9) for sku, _, _ in LINES]
        self.save(*stocks)
        return [stock.id for stock in stocks]

    def place(self, number: str, stock_ids: list[UUID]) -> Life:
        lines = [list(line) for line in LINES]
        total = sum(line[2] for line in LINES)
        order, payment, reservation = Order(number, lines), Payment(number, total), Reservation(number, lines)
        stocks = [self.repository.get(one) for one in stock_ids]
        for stock, (_, quantity, _) in zip(stocks, LINES, strict=True):
            stock.reserve(number, quantity)
        order.move("reserved")
        order.note_payment({"authorise_pending": total})
        effect = Effect("authorise", number, total)
        self.save(order, payment, reservation, *stocks, effect)
        return Life(order.id, reservation.id, payment.id, effect.id)

    def claim(self, effect_id: UUID) -> None:
        effect = self.repository.get(effect_id)
        effect.claim(1)
        self.save(effect)

    def authorised(self, life: Life) -> None:
        order, payment, effect = (self.repository.get(one) for one in (life.order, life.payment, life.effect))
        effect.settle("t-1")
        payment.record("t-1", "authorised", effect.minor)
        order.note_payment({"authorised": effect.minor})
        order.confirm()
        shipment = Shipment(order.number, order.lines)
        order.note_shipment(str(shipment.id))
        life.shipment = shipment.id
        self.save(order, payment, shipment, effect)

    def hand_over(self, life: Life, stock_ids: list[UUID]) -> None:
        wanted = (life.order, life.payment, life.reservation, life.shipment)
        order, payment, reservation, shipment = (self.repository.get(one) for one in wanted)
        shipment.pick()
        shipment.pack()
        shipment.hand_over()
        order.move("shipped")
        order.ask(payment.minor)
        payment.ask_capture(payment.minor)
        order.note_payment({"authorised": payment.minor, "capture_pending": payment.minor})
        reservation.reduce(order.lines)
        reservation.consume()
        stocks = [self.repository.get(one) for one in stock_ids]
        for stock, (_, quantity, _) in zip(stocks, LINES, strict=True):
            stock.issue(order.number, quantity)
        effect = Effect("capture", order.number, payment.minor)
        life.effect = effect.id
        self.save(order, payment, reservation, shipment, *stocks, effect)

    def captured(self, life: Life) -> None:
        order, payment, effect = (self.repository.get(one) for one in (life.order, life.payment, life.effect))
        effect.settle("t-2")
        payment.record("t-2", "captured", effect.minor)
        order.note_payment({"authorised": effect.minor, "captured": effect.minor})
        self.save(order, payment, effect)

    def deliver(self, life: Life) -> None:
        order, shipment = self.repository.get(life.order), self.repository.get(life.shipment)
        shipment.deliver()
        order.move("delivered")
        self.save(order, shipment)


def _life(env: dict[str, str], *, many_writers: bool) -> Callable[[], None]:
    # Aggregates are cached as its documentation advises for speed, so that stock is not replayed from its beginning.
    cached = {"AGGREGATE_CACHE_MAXSIZE": "1000", "AGGREGATE_CACHE_FASTFORWARD": "y" if many_writers else "n"}
    shop = Shop(env={**os.environ, **env, **cached})
    stock_ids = shop.open()
    numbers = itertools.count()

    def live() -> None:
        one = shop.place(f"o{next(numbers)}", stock_ids)
        shop.claim(one.effect)
        shop.authorised(one)
        shop.hand_over(one, stock_ids)
        shop.claim(one.effect)
        shop.captured(one)
        shop.deliver(one)

    return live


def life_on_sqlite(path: Path, journal: str, synchronous: str, *, many_writers: bool) -> Callable[[], None]:
    """A life on a SQLite file, in this journal mode and at this `synchronous` level.

    The library itself takes WAL at SQLite's default level, FULL, whatever the version.
    """

    def connect(pool: SQLiteConnectionPool) -> Any:
        pool.is_journal_mode_wal = True  # or it would set WAL
        connection = create(pool)
        connection.cursor().execute(f"PRAGMA journal_mode = {journal}")
        connection.cursor().execute(f"PRAGMA synchronous = {synchronous}")
        return connection

    create = SQLiteConnectionPool._create_connection
    with patch.object(SQLiteConnectionPool, "_create_connection", connect):
        where = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
        live = _life(where, many_writers=many_writers)
        live()  # all its connections are open now
    return live


def life_on_postgres(uri: str, *, many_writers: bool) -> Callable[[], None]:
    """A life on a PostgreSQL server, every save a durable commit."""
    where = conninfo_to_dict(uri)
    return _life(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(where["dbname"]),
            "POSTGRES_HOST": str(where["host"]),
            "POSTGRES_PORT": str(where.get("port", 5432)),
            "POSTGRES_USER": str(where["user"]),
            "POSTGRES_PASSWORD": str(where.get("password", "")),
        },
        many_writers=many_writers,
    )
