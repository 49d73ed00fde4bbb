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

BAKERY = ORDER.redrawn(
    remove=[("confirmed", "close")],
    add=[
        ("confirmed", "bake", "baking"),
        ("baking", "take_out", "baked"),
        ("baked", "bake_again", "baking"),
        ("baked", "close", "closed"),
        ("baking", "cancel", "cancelled"),
        ("baked", "cancel", "cancelled"),
    ],
)
"""What is ordered is baked after it is confirmed, once more if it is burnt."""

APPROVED_DRAFTS = ORDER.redrawn(
    add=[
        ("draft", "approve", "approved"),
        ("approved", "place", "placed"),
        ("approved", "expire", "expired"),
        ("approved", "cancel", "cancelled"),
    ],
)
"""A draft may be approved before it is placed."""

REVIEWED_CAPABILITIES: tuple[Capability[Any], ...] = tuple(
    capability.redrawn(REVIEWED) if capability is orders else capability for capability in DEFAULT_CAPABILITIES
)
