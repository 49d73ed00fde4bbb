"""What a host implements for its carrier."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Protocol

from ..engine.adapters import CannotTell, Capabilities, NotThere
from ..engine.effects import Outcome
from .messages import CarrierEffect


class Carrier(Protocol):
    """One account at one carrier.  Methods may be blocking or `async`.

    `request` is a `BuyLabel` (succeed with a `Label`), a `VoidLabel`, or a `Track` (answer `Pending` with the scans
    so far, and `Succeeded` with all of them once the parcel was delivered or came back).  Send `key` as the
    carrier's idempotency key or reference.  Exceptions count as `Unknown`, so let them fly.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def execute(self, request: CarrierEffect, *, key: str, deadline: timedelta) -> Outcome | Awaitable[Outcome]:
        """Do it, within the deadline."""
        ...

    def lookup(
        self, request: CarrierEffect, *, key: str, deadline: timedelta
    ) -> Outcome | NotThere | CannotTell | Awaitable[Outcome | NotThere | CannotTell]:
        """What became of the request with this key.  Changes nothing at the carrier."""
        ...
