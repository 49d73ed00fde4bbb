"""What a host implements for its payment provider."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Protocol

from attrs import field

from ..engine.adapters import CannotTell, Capabilities, NotThere
from ..engine.effects import Outcome
from ..engine.messages import checked_type
from ..values import frozen
from .messages import PaymentEffect


@frozen(kw_only=True)
class GatewayCapabilities(Capabilities):
    """What a payment provider can do, as data.  The conformance contract checks an adapter by it."""

    partial_capture: bool = field(default=True, validator=checked_type(bool))
    multi_capture: bool = field(default=True, validator=checked_type(bool))
    partial_refund: bool = field(default=True, validator=checked_type(bool))
    multi_refund: bool = field(default=True, validator=checked_type(bool))
    void_after_partial_capture: bool = field(default=True, validator=checked_type(bool))
    enforces_capture_limit: bool = field(default=True, validator=checked_type(bool))
    enforces_refund_limit: bool = field(default=True, validator=checked_type(bool))


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
    ) -> Outcome | NotThere | CannotTell | Awaitable[Outcome | NotThere | CannotTell]:
        """What became of the request with this key.  Changes nothing at the provider."""
        ...
