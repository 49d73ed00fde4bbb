"""The contract accepts every honest payment adapter: each personality, over HTTP, and awaited."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import ManualClock
from ordermgmt.testing import FakePayments
from ordermgmt.testing.conformance.hooks import FakeSide, ServerSide
from ordermgmt.testing.conformance.payments import PaymentGatewayContract
from ordermgmt.testing.fakes.http_payments import HttpPayments
from ordermgmt.testing.fakes.server import PaymentServer
from tests.testing.awaited import AwaitedGateway

SHORT = timedelta(seconds=0.1)


class OfAFake(PaymentGatewayContract):
    """A fake on a clock of its own, of the personality that `fake` makes."""

    short_deadline = SHORT

    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments(clock=clock, secrets=("whsec_new", "whsec_old"), page_size=3)

    def make(self) -> FakePayments:
        self.clock = ManualClock()
        return self.fake(self.clock)

    def provider(self, gateway: FakePayments) -> FakeSide:
        return FakeSide(gateway, self.clock)


class TestTheUsualFake(OfAFake):
    pass


class TestKeyed(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.keyed(clock=clock, key_ttl=timedelta(hours=1))


class TestKeyedWithoutLookup(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.keyed(clock=clock, lookup=False)


class TestUniqueReference(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.unique_reference(clock=clock)


class TestUniqueReferenceWithoutLookup(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.unique_reference(clock=clock, lookup=False)


class TestLookupOnly(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.lookup_only(clock=clock)


class TestNeither(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.neither(clock=clock)


class TestAsynchronous(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.asynchronous(clock=clock)


class TestStoringErrors(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.storing_errors(clock=clock)


class TestLagging(OfAFake):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.lagging(clock=clock)


class TestAwaited(OfAFake):
    @pytest.fixture
    def gateway(self) -> AwaitedGateway:
        return AwaitedGateway(self.make())

    def provider(self, gateway: Any) -> FakeSide:
        return FakeSide(gateway.inner, self.clock)


class TestAwaitedAndAsynchronous(TestAwaited):
    def fake(self, clock: ManualClock) -> FakePayments:
        return FakePayments.asynchronous(clock=clock)


@pytest.fixture(scope="module")
def server() -> Iterator[PaymentServer]:
    with PaymentServer(FakePayments(page_size=3), hang=timedelta(seconds=0.3)) as server:
        yield server


class TestOverHttp(PaymentGatewayContract):
    short_deadline = SHORT

    @pytest.fixture
    def gateway(self, server: PaymentServer) -> HttpPayments:
        self.server = server
        return HttpPayments(server.url, secret=server.secret)

    def provider(self, gateway: HttpPayments) -> ServerSide:
        return ServerSide(self.server)


class TestOverHttpToOneThatRemembersErrors(TestOverHttp):
    @pytest.fixture
    def gateway(self) -> Iterator[HttpPayments]:
        fake = FakePayments.storing_errors()
        with PaymentServer(fake, hang=timedelta(seconds=0.3)) as self.server:
            yield HttpPayments(self.server.url, secret=self.server.secret, capabilities=fake.capabilities)
