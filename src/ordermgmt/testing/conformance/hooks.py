"""Hooks that drive our own fakes for the contracts; and examples for yours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs
from pendulum import DateTime

from ordermgmt.engine.ports import Clock, ManualClock, SystemClock
from ordermgmt.testing.fakes import FakeCarrier, FakePayments, webhooks
from ordermgmt.testing.fakes.server import FAULTS, PaymentServer


class FakeSide:
    """The provider's side of a `FakePayments`."""

    def __init__(self, fake: FakePayments, clock: Clock | None = None) -> None:
        self.fake = fake
        self.clock = clock or SystemClock()
        self.secrets: Sequence[str] = fake.books.secrets
        self.webhook_secrets = len(fake.books.secrets)
        if isinstance(self.clock, ManualClock):
            self.pass_time = self._pass_time

    def lose_request(self) -> None:
        """See `ProviderHook`."""
        self.fake.fail_next()

    def lose_answer(self) -> None:
        """See `ProviderHook`."""
        self.fake.lose_next()

    def hang(self) -> None:
        """See `ProviderHook`."""
        self.fake.hang_next()

    def now(self) -> DateTime:
        """See `ProviderHook`."""
        return self.clock.now()

    def _pass_time(self, span: timedelta) -> None:
        if isinstance(self.clock, ManualClock):
            self.clock.set(self.clock.now() + span)

    def executions(self, key: str) -> int:
        """See `ProviderHook`."""
        return self.fake.executed[key]

    def account(self, payment_id: str) -> Mapping[str, Any]:
        """See `ProviderHook`."""
        return attrs.asdict(self.fake.accounts[payment_id])

    def webhook(self, *keys: str, at: DateTime | None = None, secret: int = 0) -> tuple[Mapping[str, str], bytes]:
        """See `ProviderHook`; the secret −1 is one that nobody accepts."""
        live = self.fake.books.secrets
        return self.fake.webhook_for(*keys, at=at, secret=live[secret] if secret >= 0 else "whsec_of_somebody_else")

    def sign(self, body: bytes, at: DateTime) -> Mapping[str, str]:
        """See `ProviderHook`."""
        return webhooks.sign(body, secret=self.fake.books.secrets[0], at=at)

    def expire(self, payment_id: str) -> tuple[Mapping[str, str], bytes]:
        """See `ProviderHook`."""
        return self.fake.webhook_for(self.fake.expire(payment_id))

    def charge_back(self, payment_id: str) -> tuple[Mapping[str, str], bytes]:
        """See `ProviderHook`."""
        return self.fake.webhook_for(self.fake.charge_back(payment_id))


class ServerSide(FakeSide):
    """The provider's side of a `PaymentServer`: everything that can go wrong on the way as well."""

    faults: Sequence[str] = FAULTS

    def __init__(self, server: PaymentServer, clock: Clock | None = None) -> None:
        super().__init__(server.fake, clock)
        self.server = server
        self.secrets = (*self.secrets, server.secret)

    def spoil(self, fault: str) -> None:
        """See `ProviderHook`."""
        self.server.fault(fault)

    def spoil_lookup(self) -> None:
        """See `ProviderHook`."""
        self.server.fault("error_500")

    def hang(self) -> None:
        """See `ProviderHook`."""
        self.server.fault("time_out")


class CarrierSide:
    """The carrier's side of a `FakeCarrier`."""

    def __init__(self, fake: FakeCarrier, clock: Clock | None = None) -> None:
        self.fake = fake
        self.clock = clock or SystemClock()
        self.secrets: Sequence[str] = fake.books.secrets
        if isinstance(self.clock, ManualClock):
            self.pass_time = self._pass_time

    def _pass_time(self, span: timedelta) -> None:
        if isinstance(self.clock, ManualClock):
            self.clock.set(self.clock.now() + span)

    def lose_request(self) -> None:
        """See `ProviderHook`."""
        self.fake.fail_next()

    def lose_answer(self) -> None:
        """See `ProviderHook`."""
        self.fake.lose_next()

    def hang(self) -> None:
        """See `ProviderHook`."""
        self.fake.hang_next()

    def now(self) -> DateTime:
        """See `ProviderHook`."""
        return self.clock.now()

    def executions(self, key: str) -> int:
        """See `ProviderHook`."""
        return self.fake.executed[key]

    def scan(self, tracking_number: str) -> None:
        """The parcel was seen on its way."""
        self.fake.scan(tracking_number)

    def deliver(self, tracking_number: str) -> None:
        """The parcel arrived."""
        self.fake.deliver(tracking_number)

    def webhook(self, *what: str) -> tuple[Mapping[str, str], bytes]:
        """One webhook that tells of these keys or tracking numbers."""
        return self.fake.webhook_for(*what)
