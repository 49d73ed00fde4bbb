"""An order lifecycle as a host might redraw it: somebody looks at every order before it is confirmed."""

from __future__ import annotations

from typing import Any

from ordermgmt import DEFAULT_CAPABILITIES, Capability, orders
from ordermgmt.orders.lifecycle import ORDER

REVIEWED = ORDER.redrawn(
    remove=[("placed", "confirm")],
    add=[
        ("placed", "review", "fraud_review"),
        ("fraud_review", "confirm", "confirmed"),
        ("fraud_review", "cancel", "cancelled"),
        ("fraud_review", "reject", "rejected"),
        ("fraud_review", "expire", "expired"),
    ],
)

REVIEWED_CAPABILITIES: tuple[Capability[Any], ...] = tuple(
    capability.redrawn(REVIEWED) if capability is orders else capability for capability in DEFAULT_CAPABILITIES
)
