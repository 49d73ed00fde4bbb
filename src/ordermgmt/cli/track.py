"""One order of a shop, looked at: its timeline, and where it stands."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ..errors import Misconfigured
from ..management import OrderManagement
from ..orders.model import Address
from ..storage import SqliteStorage
from ..storage.sqlite_schema import schema_version
from .terminal import Paper
from .timeline import Whole, print_standing, print_timeline, timeline


def track(paper: Paper, order_id: str, db: Path) -> None:
    """Print it.  Raises `NotFound` for an order that is not in the file, `Misconfigured` for a file without a shop."""
    refuse_others(db)
    with OrderManagement(storage=SqliteStorage(db)) as shop:
        print_order(paper, shop, order_id)


def refuse_others(db: Path) -> None:
    """Opening a store makes what is missing in it, and looking must not do that to another program's file."""
    try:
        with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if schema_version(connection):
                return
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{db} cannot be read as a database ({error})") from error
    raise Misconfigured(f"{db} holds no shop; name the file that the shop's SqliteStorage uses")


def print_order(paper: Paper, shop: OrderManagement, order_id: str, told: str = "") -> None:
    """The whole story of one order."""
    whole = Whole.of(shop, order_id)
    address = shop.reveal(whole.order.ship_to, Address)
    to = f"for {address.name}, {address.city} {address.country}" if address is not None else whole.order.customer
    paper.title(f"{order_id}  {told}".rstrip(), to)
    print_timeline(paper, timeline(shop, whole))
    print_standing(paper, whole)
