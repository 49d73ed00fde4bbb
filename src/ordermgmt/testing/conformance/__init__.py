"""Contracts an adapter is proven by: `payments`, `carriers`, `storage`.  Import the one you need; they need pytest."""

import pytest

# What a contract asserts is told in full when it fails, and holds under `python -O` too.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("storage", "storage_async", "payments", "carriers", "till"))
)
