"""A payment provider for replays: it does whatever it is asked, and remembers nothing.

A replay may be killed and started again, and a provider that lived in the killed process would have forgotten what it
executed.  This one derives the transaction id from the idempotency key, so that the same request is answered with the
same facts by every process, and a payment counts them once.
"""

from __future__ import annotations

from datetime import timedelta

from ..engine.adapters import NotThere
from ..engine.effects import Outcome, Succeeded
from ..engine.ports import Clock
from ..payments.messages import Authorise, Capture, PaymentEffect, Void
from ..payments.model import AUTHORISED, CAPTURED, REFUNDED, SOLD, VOIDED, Fact
from ..payments.port import GatewayCapabilities


class SteadyPayments:
    """Executes everything, in any process, with one transaction per key."""

    # Sending the same key once more is always harmless, so nothing needs looking up, however long ago it was.
    capabilities = GatewayCapabilities(idempotency="key", key_ttl=timedelta(days=36500), lookup=False)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.captured = 0
        """What was captured through this object, in minor units."""

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Succeeded:  # noqa: ARG002 - answers at once
        """See `PaymentGateway.execute`."""
        match request:
            case Authorise(sale=sale):
                kind = SOLD if sale else AUTHORISED
            case Capture():
                kind = CAPTURED
            case Void():
                kind = VOIDED
            case _:
                kind = REFUNDED
        if kind in (CAPTURED, SOLD):
            self.captured += request.amount.minor
        fact = Fact(
            kind=kind,
            transaction_id=f"txn-{key}",
            minor=request.amount.minor,
            currency=request.amount.currency,
            occurred_at=self._clock.now(),
        )
        return Succeeded(result=(fact,), reference=fact.transaction_id)

    def lookup(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere:  # noqa: ARG002 - as above
        """It remembers nothing."""
        return NotThere()
