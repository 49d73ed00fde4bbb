"""Stock: what is on the shelf, and what of it is promised.  A movement ledger per SKU and location."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from ..engine.capability import Capability, Rule
from ..engine.messages import check_id, check_text, shorten
from ..errors import InvalidInput
from .flow import REACTIONS
from .lifecycle import RESERVATION
from .messages import CommitReservation, ReduceReservation, ReplaceClaims, stock_id
from .model import Reservation, Stock
from .rules import (
    RESERVATION_EVOLVE,
    STOCK_DECIDE,
    STOCK_EVOLVE,
    NotThatMany,
    OutOfStock,
    TooMuchStock,
    commit,
    reduce,
    replace,
    rows_of_claims,
    rows_of_takes,
)


def _identify(key: Any) -> str:
    """The store's id of ``(sku, location)``."""
    match key:
        case (str(sku), str(location)):
            return stock_id(check_text(sku, "sku"), check_id(location, "location"))
        case _:
            raise InvalidInput(f"stock is asked for by (sku, location), such as ('mug', 'main') (got {shorten(key)})")


stock = Capability(
    kind="stock",
    state=Stock,
    rules={
        command: Rule(decide, lambda command: stock_id(command.sku, command.location))
        for command, decide in STOCK_DECIDE.items()
    },
    evolve=STOCK_EVOLVE,
    indexes={"sku": attrgetter("sku")},
    identify=_identify,
    refusals=(OutOfStock, NotThatMany, TooMuchStock),
    # Many orders want the same row, so it is taken last and held shortest.
    last=True,
)

reservations = Capability(
    kind="reservation",
    state=Reservation,
    lifecycle=RESERVATION,
    rules={
        CommitReservation: Rule(commit, attrgetter("order_id"), keys=rows_of_claims),
        ReduceReservation: Rule(reduce, attrgetter("order_id"), reads=rows_of_takes),
        ReplaceClaims: Rule(replace, attrgetter("order_id"), keys=rows_of_claims, reads=rows_of_takes),
    },
    evolve=RESERVATION_EVOLVE,
    reactions=REACTIONS,
    indexes={"status": attrgetter("status")},
)

__all__ = ["reservations", "stock"]
