"""Payment adapters with one bug each, under the contract: `test_broken_adapters` demands that each is rejected.

They break a good adapter (a fake, or `HttpPayments` over a real server) in the ways adapters are broken in practice.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import attrs
import pytest

from ordermgmt import ManualClock
from ordermgmt.engine.adapters import Listing, NotThere, WebhookRejected
from ordermgmt.engine.effects import Declined, RetryLater, Succeeded
from ordermgmt.payments.messages import Authorise, Capture, Void
from ordermgmt.payments.port import GatewayCapabilities
from ordermgmt.refunds.messages import SendRefund
from ordermgmt.testing import FakePayments
from ordermgmt.testing.conformance.hooks import FakeSide, ServerSide
from ordermgmt.testing.conformance.payments import PaymentGatewayContract
from ordermgmt.testing.fakes import webhooks, wire
from ordermgmt.testing.fakes.http_payments import HttpPayments, ProviderAnswer
from ordermgmt.testing.fakes.server import PaymentServer
from tests.testing.awaited import AwaitedGateway
from tests.testing.inner import in_form


class Adapter:
    """A good adapter around a good provider, to be broken in one place."""

    def __init__(self, fake: FakePayments) -> None:
        self.fake = fake

    @property
    def capabilities(self) -> GatewayCapabilities:
        return self.fake.capabilities

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.fake.execute(request, key=key, deadline=deadline)

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.fake.lookup(request, key=key, deadline=deadline)

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        return self.fake.parse_webhook(headers, body, now=now)

    def list(self, since: Any, until: Any, cursor: str | None) -> Any:
        return self.fake.list(since, until, cursor)


class Broken(PaymentGatewayContract):
    """The contract for a broken adapter around a fake."""

    adapter: type[Adapter] = Adapter
    short_deadline = timedelta(seconds=0.1)

    def make(self) -> Any:
        self.clock = ManualClock()
        self.fake = FakePayments(clock=self.clock, secrets=("whsec_new", "whsec_old"), page_size=3)
        return in_form(self.adapter(self.fake), AwaitedGateway)

    def provider(self, gateway: Any) -> FakeSide:
        return FakeSide(self.fake, self.clock)


class BrokenOverHttp(PaymentGatewayContract):
    """The contract for a broken adapter that speaks HTTP."""

    adapter: type[HttpPayments] = HttpPayments
    short_deadline = timedelta(seconds=0.1)

    @pytest.fixture
    def gateway(self, server: PaymentServer) -> Any:
        self.server = server
        return in_form(self.adapter(server.url, secret=server.secret), AwaitedGateway)

    def provider(self, gateway: Any) -> ServerSide:
        return ServerSide(self.server)


@pytest.fixture(scope="module")
def server() -> Iterator[PaymentServer]:
    with PaymentServer(FakePayments(page_size=3), hang=timedelta(seconds=0.3)) as server:
        yield server


class TestTheGoodOne(Broken):
    """Broken nowhere: what rejects it is broken itself."""


# Keys.


class InventsKeys(Adapter):
    tries = 0

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        self.tries += 1
        return super().execute(request, key=f"{key}-{self.tries}", deadline=deadline)


class TestInventsAKeyPerTry(Broken):
    adapter = InventsKeys


class TestIgnoresKeys(Broken):
    def make(self) -> Any:
        self.clock = ManualClock()
        self.fake = FakePayments.lookup_only(clock=self.clock)
        adapter = Adapter(self.fake)
        claimed = GatewayCapabilities(idempotency="key", lookup=True)
        return type("Boasting", (), {name: getattr(adapter, name) for name in METHODS} | {"capabilities": claimed})()


METHODS = ("execute", "lookup", "parse_webhook", "list")


class ShortensKeys(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return super().execute(request, key=key[:16], deadline=deadline)

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return super().lookup(request, key=key[:16], deadline=deadline)


class TestCutsKeysShort(Broken):
    adapter = ShortensKeys


class RetriesByItself(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception:  # noqa: BLE001 - the bug
            return super().execute(request, key=f"{key}-again", deadline=deadline)


class TestRetriesWithAnotherKey(Broken):
    adapter = RetriesByItself


class NotAtOnce(Adapter):
    """Checks whether it has seen the key, and then asks without it: two at once both find nothing."""

    def __init__(self, fake: FakePayments) -> None:
        super().__init__(fake)
        self.seen: dict[str, Any] = {}
        self.count = 0

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if key not in self.seen:
            time.sleep(0.01)
            self.count += 1
            self.seen[key] = super().execute(request, key=f"{key}{self.count}", deadline=deadline)
        return self.seen[key]

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.seen.get(key, NotThere())


class TestRemembersKeysItself(Broken):
    adapter = NotAtOnce


# Yes, no, and nobody knows.


class DeclinesTimeOuts(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception:  # noqa: BLE001 - the bug
            return Declined("timeout")


class TestAnswersDeclinedOnATimeOut(Broken):
    adapter = DeclinesTimeOuts


class HopesForTheBest(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception:  # noqa: BLE001 - the bug
            return Succeeded(result=())


class TestTakesALostAnswerForAYes(Broken):
    adapter = HopesForTheBest


class PutsOffTimeOuts(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception:  # noqa: BLE001 - the bug
            return RetryLater()


class TestSaysCertainlyNotExecutedOnATimeOut(Broken):
    adapter = PutsOffTimeOuts


class DeclinesBadAnswers(HttpPayments):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except ProviderAnswer as problem:
            return Declined(str(problem))


class TestTakesABadAnswerForANo(BrokenOverHttp):
    adapter = DeclinesBadAnswers


class ReadsStatusOnly(HttpPayments):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except ProviderAnswer as problem:
            if "HTTP 200" in str(problem):
                return Succeeded(result=())
            raise


class TestBelievesEvery200(BrokenOverHttp):
    adapter = ReadsStatusOnly


class WaitsForEver(HttpPayments):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        answer = super().execute(request, key=key, deadline=deadline)
        return RetryLater(timedelta(days=400)) if isinstance(answer, RetryLater) else answer


class TestBelievesAnyRetryAfter(BrokenOverHttp):
    adapter = WaitsForEver


# Amounts and facts.


class CountsCents(Adapter):
    """Sends major units times a hundred, whatever the currency, and reads them back the same way."""

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        wrong = self._scaled(request, {"JPY": (100, 1), "KWD": (1, 10)}.get(request.amount.currency, (1, 1)))
        answer = super().execute(wrong, key=key, deadline=deadline)
        if isinstance(answer, Succeeded):
            facts = tuple(attrs.evolve(fact, minor=request.amount.minor) for fact in answer.result)
            return attrs.evolve(answer, result=facts)
        return answer

    def _scaled(self, request: Any, by: tuple[int, int]) -> Any:
        minor = request.amount.minor * by[0] // by[1]
        return attrs.evolve(request, amount=type(request.amount).of_minor(minor, request.amount.currency))


class TestTakesEveryCurrencyForOneWithTwoDecimals(Broken):
    adapter = CountsCents


def facts_changed(answer: Any, **changes: Any) -> Any:
    if isinstance(answer, Succeeded) and answer.result:
        return attrs.evolve(answer, result=tuple(attrs.evolve(fact, **changes) for fact in answer.result))
    return answer


class ReusesIds(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        answer = super().execute(request, key=key, deadline=deadline)
        return facts_changed(answer, transaction_id=f"payment-{request.payment_id}")


class TestReusesTransactionIds(Broken):
    adapter = ReusesIds


class FloatAmounts(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        answer = super().execute(request, key=key, deadline=deadline)
        return facts_changed(answer, minor=int(request.amount.minor / 100 * 1.1) * 100 // 110 * 100)


class TestLosesCentsInFloats(Broken):
    adapter = FloatAmounts


class ForgetsCurrency(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return facts_changed(super().execute(request, key=key, deadline=deadline), currency="EUR")


class TestTellsOneCurrencyForAll(Broken):
    adapter = ForgetsCurrency


class VoidsTheRest(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        answer = super().execute(request, key=key, deadline=deadline)
        if isinstance(request, Capture) and isinstance(answer, Succeeded):
            account = self.fake.accounts[request.payment_id]
            account.voided += account.open
        return answer


class TestVoidsTheRestOfAPartialCapture(Broken):
    adapter = VoidsTheRest


class IgnoresRefunds(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if isinstance(request, SendRefund):
            return Succeeded(result=(), reference="refund")
        return super().execute(request, key=key, deadline=deadline)


class TestIgnoresRefunds(Broken):
    adapter = IgnoresRefunds


class IgnoresVoids(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if isinstance(request, Void):
            return facts_changed(
                self.fake.execute(
                    Authorise(
                        payment_id=request.payment_id,
                        order_id=request.order_id,
                        gateway=request.gateway,
                        amount=request.amount,
                        ask=request.ask,
                        token="tok",
                    ),
                    key=key,
                    deadline=deadline,
                ),
                kind="voided",
            )
        return super().execute(request, key=key, deadline=deadline)


class TestDoesSomethingElseThanAVoid(Broken):
    adapter = IgnoresVoids


class AllowsMore(Adapter):
    """Claims that the provider refuses what is too much, and it does not."""

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        account = self.fake.accounts.get(request.payment_id)
        if account is not None and isinstance(request, Capture):
            account.authorised += max(0, request.amount.minor - account.open)
        return super().execute(request, key=key, deadline=deadline)


class TestClaimsALimitThatNobodyKeeps(Broken):
    adapter = AllowsMore


# Lookups.


class LookupExecutes(Adapter):
    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.execute(request, key=key, deadline=deadline)


class TestLooksUpByAskingAgain(Broken):
    adapter = LookupExecutes


class LagsMore(Adapter):
    def __init__(self, fake: FakePayments) -> None:
        super().__init__(fake)
        fake.capabilities = attrs.evolve(fake.capabilities, lookup_lag=timedelta(minutes=1))

    @property
    def capabilities(self) -> GatewayCapabilities:
        return attrs.evolve(self.fake.capabilities, lookup_lag=timedelta(0))


class TestSaysNotThereWithinALagItDoesNotDeclare(Broken):
    adapter = LagsMore


class NotThereOnErrors(HttpPayments):
    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().lookup(request, key=key, deadline=deadline)
        except Exception:  # noqa: BLE001 - the bug
            return NotThere()


class TestTakesAFailedLookupForNotThere(BrokenOverHttp):
    adapter = NotThereOnErrors


class FindsAnything(Adapter):
    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        found = super().lookup(request, key=key, deadline=deadline)
        return Succeeded(result=()) if isinstance(found, NotThere) else found


class TestFindsWhatWasNeverAsked(Broken):
    adapter = FindsAnything


# Webhooks.


def read(body: bytes) -> Any:
    return [wire.read_notice(one) for one in json.loads(body)["events"]]


class Unverified(Adapter):
    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        try:
            return read(body)
        except Exception as problem:
            raise WebhookRejected("unreadable") from problem


class TestVerifiesNothing(Broken):
    adapter = Unverified


class ParsesFirst(Adapter):
    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        notices = read(body)
        super().parse_webhook(headers, body, now=now)
        return notices


class TestVerifiesAfterParsing(Broken):
    adapter = ParsesFirst


class SignsParsed(Adapter):
    """Verifies what it has read and written again, not the bytes that came."""

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            body = wire.written(json.loads(body))
        return super().parse_webhook(headers, body, now=now)


class TestVerifiesOtherBytes(Broken):
    adapter = SignsParsed


class AnyTime(Adapter):
    past = future = True

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        told = {name.lower(): value for name, value in headers.items()}.get(webhooks.HEADER.lower(), "")
        with contextlib.suppress(ValueError, IndexError):
            seconds = int(told.split(",")[0].removeprefix("t="))
            late = now.timestamp() - seconds
            if (late > 0 and self.past) or (late < 0 and self.future):
                now = now - timedelta(seconds=late)
        return super().parse_webhook(headers, body, now=now)


class AnyPast(AnyTime):
    future = False


class AnyFuture(AnyTime):
    past = False


class TestAcceptsOldWebhooks(Broken):
    adapter = AnyPast


class TestAcceptsWebhooksFromTheFuture(Broken):
    adapter = AnyFuture


class EmptyIsFine(Adapter):
    """Compares as many characters as were sent."""

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        told = {name.lower(): value for name, value in headers.items()}.get(webhooks.HEADER.lower(), "")
        parts = dict(part.partition("=")[::2] for part in told.split(","))
        for secret in self.fake.books.secrets:
            expected = hmac.new(secret.encode(), f"{parts.get('t', '')}.".encode() + body, sha256).hexdigest()
            if expected.startswith(parts.get("v1", "")):
                return read(body)
        raise WebhookRejected("wrong")


class TestAcceptsAnEmptySignature(Broken):
    adapter = EmptyIsFine


class OneSecret(Adapter):
    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        return webhooks.parse(headers, body, secrets=self.fake.books.secrets[:1], now=now)


class TestKnowsOneSecretOnly(Broken):
    adapter = OneSecret


class FirstOnly(Adapter):
    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        return super().parse_webhook(headers, body, now=now)[:1]


class TestReadsTheFirstOfABatch(Broken):
    adapter = FirstOnly


class ExactHeaders(Adapter):
    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        exact = {webhooks.HEADER: headers[webhooks.HEADER]} if webhooks.HEADER in headers else {}
        return super().parse_webhook(exact, body, now=now)


class TestReadsHeadersInOneCaseOnly(Broken):
    adapter = ExactHeaders


class FreshEventIds(Adapter):
    count = 0

    def parse_webhook(self, headers: Any, body: bytes, *, now: Any) -> Any:
        self.count += 1
        notices = super().parse_webhook(headers, body, now=now)
        return [attrs.evolve(n, event_id=f"{n.event_id}-{self.count}") for n in notices]


class TestMakesUpEventIds(Broken):
    adapter = FreshEventIds


# Lists.


class DropsAPage(Adapter):
    def list(self, since: Any, until: Any, cursor: str | None) -> Any:
        page = super().list(since, until, cursor)
        return Listing(page.notices, None)


class TestReadsTheFirstPageOnly(Broken):
    adapter = DropsAPage


class RepeatsARow(Adapter):
    def list(self, since: Any, until: Any, cursor: str | None) -> Any:
        at = int(cursor or 0)
        return super().list(since, until, str(max(0, at - 1)))


class TestTellsARowOfTheLastPageAgain(Broken):
    adapter = RepeatsARow


# Manners.


class Blocks(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception:
            time.sleep(0.8)
            raise


class TestBlocksPastTheDeadline(Broken):
    adapter = Blocks


class Leaks(HttpPayments):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception as problem:
            raise RuntimeError(f"the call with Authorization: Bearer {self._secret} failed") from problem


class TestLeaksItsSecretInAnException(BrokenOverHttp):
    adapter = Leaks


class LeaksRequest(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        try:
            return super().execute(request, key=key, deadline=deadline)
        except Exception as problem:
            raise RuntimeError(f"{request}, paid with {request.token}, failed") from problem


class TestLeaksTheCustomersToken(Broken):
    adapter = LeaksRequest


class ShownSecret(Adapter):
    def __repr__(self) -> str:
        return f"Adapter(secrets={self.fake.books.secrets})"


class TestShowsItsSecretInItsRepr(Broken):
    adapter = ShownSecret


class Global(Broken):
    """Changes something for the whole process; here it is put back afterwards."""

    @pytest.fixture(autouse=True)
    def put_back(self) -> Iterator[None]:
        context, level = ssl._create_default_https_context, logging.getLogger().level
        yield
        ssl._create_default_https_context = context
        logging.getLogger().setLevel(level)


class TurnsTlsOff(Adapter):
    def __init__(self, fake: FakePayments) -> None:
        super().__init__(fake)
        setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)  # noqa: B010 - its type forbids it


class TestTurnsTlsChecksOffForAll(Global):
    adapter = TurnsTlsOff


class SetsLogging(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        logging.getLogger().setLevel(logging.DEBUG)
        return super().execute(request, key=key, deadline=deadline)


class TestConfiguresLoggingForAll(Global):
    adapter = SetsLogging


class AnswersNone(Adapter):
    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        answer = super().execute(request, key=key, deadline=deadline)
        return None if isinstance(request, Void) else answer


class TestAnswersNothing(Broken):
    adapter = AnswersNone
