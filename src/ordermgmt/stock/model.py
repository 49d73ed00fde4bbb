"""What is on the shelf, and what of it is promised."""

from __future__ import annotations

from ..values import frozen


@frozen(kw_only=True)
class Stock:
    """One SKU at one location: the running totals of its movements, in pieces."""

    sku: str
    location: str
    on_hand: int = 0
    """Physically there."""
    reserved: int = 0
    """Promised to orders; still there."""
    held: int = 0
    """There, but not for sale: waiting to be put away or inspected."""
    safety: int = 0
    """Kept back for whatever may come."""

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved - self.held - self.safety


@frozen
class Claim:
    """Pieces promised to one line of an order."""

    line_id: str
    sku: str
    location: str
    quantity: int


@frozen(kw_only=True)
class Reservation:
    """All that is promised to one order."""

    order_id: str
    status: str
    claims: dict[str, Claim]
    """Line id → what it has a claim on; lines without a claim are absent."""
    issued: bool = False
    """True once anything was handed over."""


@frozen
class Shortage:
    """What an order wanted of one SKU, and what could be promised."""

    sku: str
    location: str
    wanted: int
    available: int
