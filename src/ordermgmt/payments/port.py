"""What a host implements for its payment provider."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Protocol

from attrs import frozen

from ..engine.effects import Outcome
from ..engine.working import Capabilities, NotThere
from .messages import PaymentEffect


@frozen
class GatewayCapabilities(Capabilities):
    """What a payment provider can do, as data."""

    partial_capture: bool = True
    multi_capture: bool = True
    partial_refund: bool = True
    void_after_partial_capture: bool = True


class PaymentGateway(Protocol):
    """One account at one payment provider.  Methods may be blocking or `async`.

    `request` is an `Authorise`, `Capture`, `Void` or `SendRefund`.  Send `key` as the provider's idempotency key
    with every attempt, and switch your client's own retries off.  Answer `Succeeded` with the facts the provider
    reported, `Declined` only for the provider's own definite no, `Pending` where it will tell later, `RetryLater`
    where it was certainly not executed.  Anything else is `Unknown`; so is every exception, so let them fly.
    """

    @property
    def capabilities(self) -> GatewayCapabilities: ...

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | Awaitable[Outcome]:
        """Do it, within the deadline."""
        ...

    def lookup(
        self, request: PaymentEffect, *, key: str, deadline: timedelta
    ) -> Outcome | NotThere | Awaitable[Outcome | NotThere]:
        """What became of the request with this key.  Changes nothing at the provider."""
        ...
