"""Contracts an adapter is proven by: `payments`, `carriers`, `storage`.  Import the one you need; they need pytest."""

import pytest

# What a contract asserts is told in full when it fails, and holds under `python -O` too.
ASSERTING = (
    "storage",
    "storage_async",
    "storage_races",
    "storage_search",
    "payments",
    "payment_webhooks",
    "carriers",
    "till",
)

pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ASSERTING))
