"""The same life with the `eventsourcing` library: orders, stock and effects as aggregates, saved together.

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

    @event("Reserved")
    def reserve(self, order_id: str, quantity: int) -> None:
        if quantity > self.on_hand - self.reserved:
            raise ValueError("out of stock")
        self.reserved += quantity

    @event("Issued")
    def issue(self, order_id: str, quantity: int) -> None:
        self.on_hand -= quantity
        self.reserved -= quantity


class Order(Aggregate):  # type: ignore[misc]
    @event("Placed")
    def __init__(self, number: str, lines: list[list[Any]]) -> None:
        self.number = number
        self.lines = lines
        self.status = "placed"
        self.money = {"authorised": 0, "captured": 0}

    @event("Confirmed")
    def confirm(self, authorised: int) -> None:
        self.money["authorised"] = authorised
        self.status = "confirmed"

    @event("HandedOver")
    def hand_over(self, units: int) -> None:
        self.status = "shipped"

    @event("Captured")
    def captured(self, minor: int) -> None:
        self.money["captured"] += minor

    @event("Delivered")
    def deliver(self) -> None:
        self.status = "delivered"


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


class Shop(Application):  # type: ignore[misc]
    """The commands of a life, each a `save` of all that it changes."""

    def open(self) -> list[UUID]:
        stocks = [Stock(sku, 10**9) for sku, _, _ in LINES]
        self.save(*stocks)
        return [stock.id for stock in stocks]

    def place(self, number: str, stock_ids: list[UUID]) -> tuple[UUID, UUID]:
        order = Order(number, [list(line) for line in LINES])
        stocks = [self.repository.get(one) for one in stock_ids]
        for stock, (_, quantity, _) in zip(stocks, LINES, strict=True):
            stock.reserve(number, quantity)
        effect = Effect("authorise", number, sum(line[2] for line in LINES))
        self.save(order, *stocks, effect)
        return order.id, effect.id

    def claim(self, effect_id: UUID) -> None:
        effect = self.repository.get(effect_id)
        effect.claim(1)
        self.save(effect)

    def authorised(self, order_id: UUID, effect_id: UUID) -> None:
        order, effect = self.repository.get(order_id), self.repository.get(effect_id)
        effect.settle("t-1")
        order.confirm(effect.minor)
        self.save(order, effect)

    def hand_over(self, order_id: UUID, stock_ids: list[UUID]) -> UUID:
        order = self.repository.get(order_id)
        order.hand_over(6)
        stocks = [self.repository.get(one) for one in stock_ids]
        for stock, (_, quantity, _) in zip(stocks, LINES, strict=True):
            stock.issue(order.number, quantity)
        effect = Effect("capture", order.number, 5700)
        self.save(order, *stocks, effect)
        return effect.id

    def captured(self, order_id: UUID, effect_id: UUID) -> None:
        order, effect = self.repository.get(order_id), self.repository.get(effect_id)
        effect.settle("t-2")
        order.captured(effect.minor)
        self.save(order, effect)

    def deliver(self, order_id: UUID) -> None:
        order = self.repository.get(order_id)
        order.deliver()
        self.save(order)


def _life(env: dict[str, str]) -> Callable[[], None]:
    # Aggregates are cached as its documentation advises for speed, so that stock is not replayed from its beginning.
    shop = Shop(env={**os.environ, **env, "AGGREGATE_CACHE_MAXSIZE": "1000", "AGGREGATE_CACHE_FASTFORWARD": "n"})
    stock_ids = shop.open()
    numbers = itertools.count()

    def live() -> None:
        order_id, effect_id = shop.place(f"o{next(numbers)}", stock_ids)
        shop.claim(effect_id)
        shop.authorised(order_id, effect_id)
        effect_id = shop.hand_over(order_id, stock_ids)
        shop.claim(effect_id)
        shop.captured(order_id, effect_id)
        shop.deliver(order_id)

    return live


def life_on_sqlite(path: Path, journal: str, synchronous: str) -> Callable[[], None]:
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
        live = _life({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)})
        live()  # all its connections are open now
    return live


def life_on_postgres(uri: str) -> Callable[[], None]:
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
        }
    )
