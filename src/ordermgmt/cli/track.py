"""One order of a shop, looked at: its timeline, and where it stands."""

from __future__ import annotations

import attrs

from ..management import OrderManagement
from ..orders.model import Address
from ..settings import DEFAULT_CAPABILITIES
from .stores import check_one, opened, the_hosts
from .terminal import Paper
from .timeline import Whole, print_standing, print_timeline, timeline


def track(paper: Paper, order_id: str, db: str | None, schema: str, app: str | None = None) -> None:
    """Print it.  Raises `NotFound` for an order that is not there, `Misconfigured` where there is no shop."""
    check_one(db, app)
    if app is not None:
        with the_hosts(app) as shop:
            print_order(paper, shop, order_id)
        return
    # A host may have redrawn the lifecycles: who only looks needs no drawing, and refuses no status.
    reading = [attrs.evolve(capability, lifecycle=None) for capability in DEFAULT_CAPABILITIES]
    with opened(str(db), schema) as storage, OrderManagement(storage=storage, capabilities=reading) as shop:
        print_order(paper, shop, order_id)


def print_order(paper: Paper, shop: OrderManagement, order_id: str, told: str = "") -> None:
    """The whole story of one order."""
    whole = Whole.of(shop, order_id)
    address = shop.reveal(whole.order.ship_to, Address)
    to = f"for {address.name}, {address.city} {address.country}" if address is not None else whole.order.customer
    paper.title(f"{order_id}  {told}".rstrip(), to)
    print_timeline(paper, timeline(shop, whole))
    print_standing(paper, whole)
