"""The fakes do what they state, no better and no worse; and their webhooks cannot be forged."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta

import pytest

from ordermgmt import ManualClock, Money, NotThere, Pending, Succeeded, WebhookRejected
from ordermgmt.payments.messages import Authorise
from ordermgmt.testing import FakePayments, ProviderBroke, ProviderTimeout
from ordermgmt.testing.fakes.http_payments import HttpPayments
from ordermgmt.testing.fakes.server import SECRET

SECOND = timedelta(seconds=1)
FORGERIES = 20_000


def asked(minor: int = 1000) -> Authorise:
    amount = Money.of_minor(minor, "EUR")
    return Authorise(payment_id="A-1:1", order_id="A-1", gateway="card", amount=amount, ask=1, token="tok_visa")


def execute(fake: FakePayments, minor: int = 1000, key: str = "k") -> object:
    return fake.execute(asked(minor), key=key, deadline=SECOND)


def look(fake: FakePayments, key: str = "k") -> object:
    return fake.lookup(asked(), key=key, deadline=SECOND)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestPersonalities:
    def test_a_key_is_executed_once_while_it_is_remembered_and_again_afterwards(self, clock: ManualClock):
        fake = FakePayments.keyed(clock=clock, key_ttl=timedelta(hours=1))
        execute(fake)
        clock.advance(minutes=59)
        execute(fake)
        assert fake.asked_twice == []
        clock.advance(minutes=1)
        execute(fake)
        assert fake.executed["k"] == 2
        assert "k" in fake.asked_twice

    def test_a_second_request_with_the_same_reference_is_refused_for_ever(self, clock: ManualClock):
        fake = FakePayments.unique_reference(clock=clock, lookup=False)
        execute(fake)
        clock.advance(days=1000)
        with pytest.raises(ProviderBroke):
            execute(fake)
        assert fake.executed["k"] == 1

    @pytest.mark.parametrize("make", [FakePayments.lookup_only, FakePayments.neither])
    def test_without_idempotency_every_request_is_executed(self, make: Callable[..., FakePayments], clock: ManualClock):
        fake = make(clock=clock)
        execute(fake)
        execute(fake)
        assert fake.accounts["A-1:1"].authorised == 2000

    def test_a_slow_one_tells_when_its_time_has_come(self, clock: ManualClock):
        fake = FakePayments.asynchronous(clock=clock, takes=timedelta(minutes=10))
        assert isinstance(execute(fake), Pending)
        assert isinstance(look(fake), Pending)
        clock.advance(minutes=10)
        assert isinstance(look(fake), Succeeded)
        assert fake.executed["k"] == 1

    def test_a_remembered_error_comes_again_and_is_nothing_that_was_done(self, clock: ManualClock):
        fake = FakePayments.storing_errors(clock=clock)
        fake.break_next()
        for _ in range(3):
            with pytest.raises(ProviderBroke):
                execute(fake)
        assert isinstance(look(fake), NotThere)
        assert fake.executed["k"] == 0

    def test_an_error_that_is_not_remembered_is_gone_the_next_time(self, clock: ManualClock):
        fake = FakePayments.keyed(clock=clock)
        fake.break_next()
        with pytest.raises(ProviderBroke):
            execute(fake)
        assert isinstance(execute(fake), Succeeded)

    def test_a_lookup_that_lags_finds_it_later(self, clock: ManualClock):
        fake = FakePayments.lagging(clock=clock, lookup_lag=timedelta(seconds=30))
        execute(fake)
        clock.advance(seconds=29)
        assert isinstance(look(fake), NotThere)
        clock.advance(seconds=1)
        assert isinstance(look(fake), Succeeded)

    def test_the_same_key_with_other_parameters_is_noted_as_our_mistake(self, clock: ManualClock):
        fake = FakePayments(clock=clock)
        execute(fake, 1000)
        with pytest.raises(ProviderBroke):
            execute(fake, 2000)
        assert len(fake.refusals) == 1
        assert fake.accounts["A-1:1"].authorised == 1000


class TestLateRequests:
    @pytest.mark.parametrize(("minutes", "executed"), [(1, 1), (15, 1), (16, 0)])
    def test_they_arrive_within_the_late_window_only(self, clock: ManualClock, minutes: int, executed: int):
        fake = FakePayments(clock=clock)
        fake.fail_next()
        with pytest.raises(ProviderTimeout):
            execute(fake)
        clock.advance(minutes=minutes)
        assert fake.arrive_late() == executed
        assert fake.executed["k"] == executed

    def test_one_whose_key_was_executed_meanwhile_is_not_executed_again(self, clock: ManualClock):
        fake = FakePayments(clock=clock)
        fake.fail_next()
        with pytest.raises(ProviderTimeout):
            execute(fake)
        execute(fake)
        assert fake.arrive_late() == 0
        assert fake.asked_twice == []

    def test_one_that_nobody_recognises_is_executed_twice(self, clock: ManualClock):
        fake = FakePayments.lookup_only(clock=clock)
        fake.fail_next()
        with pytest.raises(ProviderTimeout):
            execute(fake)
        execute(fake)
        assert fake.arrive_late() == 1
        assert fake.asked_twice != []


def test_of_twenty_thousand_forged_webhooks_none_is_accepted(clock: ManualClock):
    fake = FakePayments(clock=clock, secrets=("whsec_new", "whsec_old"))
    execute(fake)
    headers, body = fake.webhook_for("k")
    ((name, genuine),) = [(n, v) for n, v in headers.items() if n == "Provider-Signature"]
    chance = random.Random(20_000)
    accepted = list[tuple[str, bytes]]()
    for _ in range(FORGERIES):
        signature, content, now = genuine, body, clock.now()
        match chance.randrange(7):
            case 0:
                place = chance.randrange(len(body))
                content = body[:place] + bytes([body[place] ^ (1 << chance.randrange(8))]) + body[place + 1 :]
            case 1:
                place = chance.randrange(len(genuine))
                other = chance.choice(
                    [letter for letter in "0123456789abcdefABCDEF٣=,tv ١" if letter != genuine[place]]
                )
                signature = genuine[:place] + other + genuine[place + 1 :]
            case 2:
                now = clock.now() + timedelta(seconds=chance.choice([-1, 1]) * chance.randrange(301, 10**7))
            case 3:
                signature = genuine.replace("v1=", chance.choice(["v0=", "v1:", "V1=", "v1==", "v1= ", "v2=", ""]))
            case 4:
                signature = chance.choice([genuine[: chance.randrange(len(genuine))], f"{genuine[:-1]}", genuine * 2])
            case 5:
                signature = f"t={int(clock.now().timestamp())},v1={chance.randbytes(32).hex()}"
            case _:
                content = body.replace(b"1000", str(chance.choice([n for n in range(1, 9999) if n != 1000])).encode())
        try:
            fake.parse_webhook({name: signature}, content, now=now)
        except WebhookRejected:
            continue
        accepted.append((signature, content))
    assert accepted == []


def test_a_provider_in_a_process_of_its_own_outlives_its_clients():
    command = [sys.executable, "-m", "ordermgmt.testing.fakes.server", "--personality", "keyed"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        assert provider.stdin is not None
        url = provider.stdout.readline().strip()
        first, second = (HttpPayments(url, secret=SECRET) for _ in range(2))
        answer = first.execute(asked(), key="k", deadline=timedelta(seconds=10))
        assert second.lookup(asked(), key="k", deadline=timedelta(seconds=10)) == answer
        with urllib.request.urlopen(f"{url}/control", timeout=10) as told:  # noqa: S310 - it is our own server
            assert json.load(told)["executed"] == {"k": 1}
        provider.stdin.close()
        assert provider.wait(timeout=10) == 0
