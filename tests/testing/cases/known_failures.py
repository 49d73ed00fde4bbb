"""Adapters with known failures, as `test_contracts` runs them."""

from typing import ClassVar

from ordermgmt import ManualClock
from ordermgmt.testing import FakePayments
from ordermgmt.testing.conformance.hooks import FakeSide
from ordermgmt.testing.conformance.payments import PaymentGatewayContract

NAME = "test_a_genuine_webhook_tells_what_was_answered"


class OfAFake(PaymentGatewayContract):
    def make(self):
        self.clock = ManualClock()
        return FakePayments(clock=self.clock)

    def provider(self, gateway):
        return FakeSide(gateway, self.clock)


class TellsNothing(FakePayments):
    def parse_webhook(self, headers, body, *, now):
        super().parse_webhook(headers, body, now=now)
        return []


class TestFailsAsKnown(OfAFake):
    known_failures: ClassVar = {NAME: "webhooks are not read as yet"}

    def make(self):
        self.clock = ManualClock()
        return TellsNothing(clock=self.clock)


class TestFailsNoMore(OfAFake):
    known_failures: ClassVar = {NAME: "this was repaired"}


class TestClaimsLittle(PaymentGatewayContract):
    def make(self):
        return FakePayments.neither()
