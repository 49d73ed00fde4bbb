"""Carrier adapters with one bug each, under the contract: `test_broken_adapters` demands that each is rejected."""

# ruff: noqa: N801, BLE001 - the adapter of a case is a class in a class, and swallowing everything is what some do wrong

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import attrs
import pytest

from ordermgmt import ManualClock
from ordermgmt.engine.adapters import NotThere
from ordermgmt.engine.effects import Declined, Pending, Succeeded
from ordermgmt.shipments.messages import BuyLabel, Track
from ordermgmt.shipments.model import Label
from ordermgmt.testing import FakeCarrier
from ordermgmt.testing.conformance.carriers import CarrierContract
from ordermgmt.testing.conformance.hooks import CarrierSide
from tests.testing.awaited import Awaited
from tests.testing.inner import in_form


class Adapter:
    """A good adapter around a good carrier, to be broken in one place."""

    def __init__(self, fake: FakeCarrier) -> None:
        self.fake = fake
        self.capabilities = fake.capabilities
        self.calls = itertools.count(1)

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.fake.execute(request, key=key, deadline=deadline)

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.fake.lookup(request, key=key, deadline=deadline)

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        return self.fake.parse_webhook(headers, body, now=now)


class OfACarrier(CarrierContract):
    short_deadline = timedelta(seconds=0.1)
    adapter: type[Adapter] = Adapter

    @pytest.fixture
    def carrier(self) -> Any:
        self.clock = ManualClock()
        return in_form(self.adapter(FakeCarrier(clock=self.clock)), Awaited)

    def provider(self, carrier: Any) -> CarrierSide:
        return CarrierSide(carrier.fake, self.clock)


class TestTheGoodOne(OfACarrier):
    pass


class TestMakesAKeyForEveryCall(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            return super().execute(request, key=f"{key}-{next(self.calls)}", deadline=deadline)


class TestTellsOneTrackingNumberForAll(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            answer = super().execute(request, key=key, deadline=deadline)
            if isinstance(request, BuyLabel) and isinstance(answer, Succeeded):
                return attrs.evolve(answer, result=Label(tracking_number="T-1", reference="label"))
            return answer


class TestTakesALostAnswerForANo(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            try:
                answer = super().execute(request, key=key, deadline=deadline)
            except Exception:
                return Declined("timeout")
            return answer if isinstance(answer, Succeeded | Pending | Declined) else Declined("timeout")


class TestAnswersNothing(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            super().execute(request, key=key, deadline=deadline)


class TestBuysAnotherLabelAfterALostAnswer(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            try:
                answer = super().execute(request, key=key, deadline=deadline)
            except Exception:
                answer = None
            if isinstance(answer, Succeeded | Pending | Declined):
                return answer
            return super().execute(request, key=f"{key}-again", deadline=deadline)


class TestLooksUpByAskingAgain(OfACarrier):
    class adapter(Adapter):
        def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            return self.fake.execute(request, key=f"{key}-{next(self.calls)}", deadline=deadline)


class TestFindsNothing(OfACarrier):
    class adapter(Adapter):
        def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            return super().lookup(request, key=key, deadline=deadline) if isinstance(request, Track) else NotThere()


class TestFindsWhatWasNeverAsked(OfACarrier):
    class adapter(Adapter):
        def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            found = super().lookup(request, key=key, deadline=deadline)
            return Succeeded(Label(tracking_number="T-1", reference="label")) if isinstance(found, NotThere) else found


class TestTakesAParcelNobodyHasSeenForDelivered(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            answer = super().execute(request, key=key, deadline=deadline)
            return Succeeded(answer.result) if isinstance(request, Track) and isinstance(answer, Pending) else answer


class TestTellsTheLastScanOnly(OfACarrier):
    class adapter(Adapter):
        def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
            answer = super().execute(request, key=key, deadline=deadline)
            return attrs.evolve(answer, result=answer.result[-1:]) if isinstance(request, Track) else answer


class TestBelievesEveryWebhook(OfACarrier):
    class adapter(Adapter):
        def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
            try:
                return super().parse_webhook(headers, body, now=now)
            except Exception:
                return []


class TestShowsItsSecretInItsRepr(OfACarrier):
    class adapter(Adapter):
        def __repr__(self) -> str:
            return f"Carrier(secrets={self.fake.books.secrets})"
