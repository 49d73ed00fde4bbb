"""What follows when an order's claims change: the rows they stand on move with them."""

from __future__ import annotations

from ..engine.capability import on, story
from ..engine.messages import Replies
from .messages import (
    IssueStock,
    ReleaseStock,
    ReservationCommitted,
    ReservationReduced,
    ReserveStock,
    SetStockAside,
    by_row,
)
from .model import Reservation


def take_from_the_shelf(event: ReservationCommitted, reservation: Reservation) -> Replies:
    for (sku, location), quantity in by_row(event.claims).items():
        yield ReserveStock(sku=sku, location=location, quantity=quantity, order_id=event.order_id)


_MOVEMENT = {"release": ReleaseStock, "set_aside": SetStockAside, "issue": IssueStock}


def move_what_was_claimed(event: ReservationReduced, reservation: Reservation) -> Replies:
    movement = _MOVEMENT[event.how]
    for (sku, location), quantity in by_row(event.claims).items():
        yield movement(sku=sku, location=location, quantity=quantity, order_id=event.order_id)


REACTIONS = story(
    on(ReservationCommitted, take_from_the_shelf),
    on(ReservationReduced, move_what_was_claimed),
)
