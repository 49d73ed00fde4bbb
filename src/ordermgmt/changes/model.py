"""A change of an order: what is wanted, until when, and what it would come to."""

from __future__ import annotations

from pendulum import DateTime

from ..engine.messages import Personal
from ..orders.amendment import Revision
from ..orders.model import Address
from ..orders.settlement import Settlement
from ..values import frozen

OPEN = frozenset(("drafted", "requested"))
"""Statuses of a change that waits for somebody."""


@frozen(kw_only=True)
class OrderChange:
    """What somebody wants to be different about an order.  Nothing of it holds until it is confirmed."""

    change_id: str
    order_id: str
    status: str
    wanted: Revision
    ship_to: Personal[Address] | None
    """Where the parcel is to go instead; None: no change."""
    reason: str
    settlement: Settlement
    """What it comes to: as worked out when it was last drafted, and then as it was when it was confirmed."""
    expires_at: DateTime
    version: int = 1
    """How many times it was drafted: editing makes another version, and the history keeps them all."""
    note: str = ""
    """Why it was declined, cancelled or reverted."""

    @property
    def open(self) -> bool:
        """Whether it still waits for somebody."""
        return self.status in OPEN
