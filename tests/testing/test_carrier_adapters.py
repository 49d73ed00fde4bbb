"""The contract accepts every honest carrier adapter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import ManualClock
from ordermgmt.engine.adapters import Capabilities
from ordermgmt.testing import FakeCarrier
from ordermgmt.testing.conformance.carriers import CarrierContract
from ordermgmt.testing.conformance.hooks import CarrierSide
from tests.testing.awaited import Awaited


class OfAFake(CarrierContract):
    short_deadline = timedelta(seconds=0.1)
    can = Capabilities(idempotency="key", lookup=True)

    def make(self) -> FakeCarrier:
        self.clock = ManualClock()
        return FakeCarrier(clock=self.clock, capabilities=self.can)

    def provider(self, carrier: FakeCarrier) -> CarrierSide:
        return CarrierSide(carrier, self.clock)


class TestTheUsualCarrier(OfAFake):
    pass


class TestACarrierThatKnowsReferencesOnly(OfAFake):
    can = Capabilities(idempotency="reference", lookup="by_reference")


class TestACarrierThatKnowsNothing(OfAFake):
    can = Capabilities(idempotency="none", lookup="none")


class TestASlowCarrier(OfAFake):
    def make(self) -> FakeCarrier:
        self.clock = ManualClock()
        return FakeCarrier(clock=self.clock, takes=timedelta(minutes=1))


class TestAnAwaitedCarrier(OfAFake):
    @pytest.fixture
    def carrier(self) -> Awaited:
        return Awaited(self.make())

    def provider(self, carrier: Any) -> CarrierSide:
        return CarrierSide(carrier.inner, self.clock)
