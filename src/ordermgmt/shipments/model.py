"""One parcel: what is in it, its label, and where it is."""

from __future__ import annotations

from attrs import field
from pendulum import DateTime

from ..engine.messages import Personal
from ..orders.model import Address
from ..values import frozen

IN_TRANSIT = "in_transit"
DELIVERED = "delivered"
UNDELIVERABLE = "undeliverable"

STAGES = {"planned": "reserved", "picked": "picked", "packed": "packed"}
"""Shipment status → the bucket its units stand in, while the parcel is in the house."""


@frozen
class Content:
    """Units of one order line in a parcel.  A parcel may carry several orders."""

    order_id: str
    line_id: str
    quantity: int


@frozen(kw_only=True)
class Label:
    """What a carrier sold us for a parcel."""

    tracking_number: str
    tracking_url: str = ""
    reference: str = ""
    """The carrier's own name for it, needed to void it."""


@frozen(kw_only=True)
class Scan:
    """What a carrier reports of a parcel."""

    kind: str
    """in_transit, delivered or undeliverable."""
    occurred_at: DateTime
    note: str = ""


@frozen(kw_only=True)
class Shipment:
    """One box, one label, one tracking number."""

    shipment_id: str
    order_id: str
    """The first order in it, whose `settle` does the parcel's due work, even if its units were taken out since."""
    status: str
    contents: tuple[Content, ...]
    carrier: str
    """The carrier's name in the shop; empty where the host delivers itself."""
    location: str
    ship_to: Personal[Address] | None
    consignment_id: str = ""
    label: Label | None = None
    labels: int = 0
    """How many labels were asked for."""
    voided: int = 0
    """How many times a label was asked to be voided."""
    given_back: tuple[str, ...] = ()
    """The tracking numbers of labels that were to be voided: one that is reported again was not bought again."""
    scans: tuple[Scan, ...] = field(default=())
    handed_over_at: DateTime | None = None
    delivered_at: DateTime | None = None

    def of(self, order_id: str, line_id: str) -> int:
        """How many units of a line are in it."""
        return sum([c.quantity for c in self.contents if c.line_id == line_id and c.order_id == order_id])

    @property
    def orders(self) -> tuple[str, ...]:
        """Whose units are in it."""
        return tuple(dict.fromkeys([content.order_id for content in self.contents]))
