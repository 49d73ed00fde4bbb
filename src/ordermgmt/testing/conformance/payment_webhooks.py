"""What every payment adapter promises about webhooks; a part of `PaymentGatewayContract`.

Only an adapter that has `parse_webhook`, with a `provider` hook that can send webhooks, is asked about them.
"""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pendulum import DateTime

from ordermgmt.engine.adapters import Notice, WebhookRejected
from ordermgmt.payments.model import CHARGED_BACK, EXPIRED

from ...engine.messages import counted
from .contract import Contract
from .till import Till, deeds

GARBAGE = (b"", b"{", b"null", b"[]", b'{"events":1}', b"\xff\xfe\x00", b"[" * 100_000, b'{"events":[{"id":"x"}]}')


class PaymentWebhooksContract(Contract, declares=True):
    """What is genuine is read in full, and nothing else is read at all."""

    def test_a_genuine_webhook_tells_what_was_answered(self, till: Till) -> None:
        notice, answer = self._told(till)
        assert {(f.transaction_id, f.kind, f.minor, f.currency) for f in notice.result} == deeds(answer)

    def test_a_webhook_names_the_key_or_the_authorisation(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        paid = till.paid()
        key = till.key()
        till.done(till.capture(paid, 1000), key)
        (notice,) = self._parse(till, *webhook(key))
        assert notice.key == key or notice.reference == paid.authorisation

    def test_the_same_deed_has_the_same_event_id_each_time(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        key = till.key()
        till.done(till.authorise(), key)
        ids = {notice.event_id for _ in range(2) for notice in self._parse(till, *webhook(key))}
        assert len(ids) == 1

    def test_different_deeds_have_different_event_ids(self, till: Till) -> None:
        notices = self._batch(till, 3)
        assert len({notice.event_id for notice in notices}) == 3

    def test_all_of_a_batch_is_told(self, till: Till) -> None:
        assert len(self._batch(till, 3)) == 3

    def test_the_names_of_headers_are_read_in_any_case(self, till: Till) -> None:
        headers, body = self._genuine(till)
        for change in (str.upper, str.lower, str.title):
            assert self._parse(till, {change(name): value for name, value in headers.items()}, body)

    def test_an_altered_body_is_rejected(self, till: Till) -> None:
        headers, body = self._genuine(till)
        for place in range(0, len(body), max(1, len(body) // 60)):
            for bit in (0x01, 0x20):
                altered = body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
                self._rejects(till, headers, altered)
        for altered in (body + b" ", b" " + body, body[:-1], body * 2, b""):
            self._rejects(till, headers, altered)

    def test_an_altered_signature_is_rejected(self, till: Till) -> None:
        headers, body = self._genuine(till)
        self._parse(till, headers, body)
        for name, value in headers.items():
            if name.lower() in ("content-type", "content-length"):
                continue
            for place, letter in enumerate(value):
                other = "0" if letter != "0" else "1"
                self._rejects(till, {**headers, name: value[:place] + other + value[place + 1 :]}, body)

    def test_a_missing_or_empty_signature_is_rejected(self, till: Till) -> None:
        headers, body = self._genuine(till)
        self._rejects(till, {}, body)
        for name, value in headers.items():
            if name.lower() in ("content-type", "content-length"):
                continue
            self._rejects(till, {n: v for n, v in headers.items() if n != name}, body)
            for empty in ("", " ", ",", "=", value.split("=")[0], value.rpartition("=")[0] + "="):
                self._rejects(till, {**headers, name: empty}, body)

    def test_a_webhook_of_another_account_is_rejected(self, till: Till) -> None:
        headers, body = self._genuine(till)
        other, _ = self._genuine(till)
        if other != headers:
            self._rejects(till, other, body)
        self._rejects(till, till.drive("webhook")(*self._one(till), secret=-1)[0], body)

    @pytest.mark.parametrize("seconds", [301, 3_600, 86_400])
    def test_an_old_webhook_is_rejected(self, till: Till, seconds: int) -> None:
        headers, body = self._genuine(till)
        self._rejects(till, headers, body, till.now + timedelta(seconds=seconds + 1))

    @pytest.mark.parametrize("seconds", [301, 3_600, 86_400])
    def test_a_webhook_from_the_future_is_rejected(self, till: Till, seconds: int) -> None:
        headers, body = self._genuine(till)
        self._rejects(till, headers, body, till.now - timedelta(seconds=seconds + 1))

    @pytest.mark.parametrize("seconds", [-240, 0, 240])
    def test_a_webhook_is_accepted_where_clocks_differ_a_little(self, till: Till, seconds: int) -> None:
        headers, body = self._genuine(till)
        assert till.ask.adapter.parse_webhook(headers, body, now=till.now + timedelta(seconds=seconds))

    def test_a_webhook_is_verified_before_it_is_read(self, till: Till) -> None:
        headers, _ = self._genuine(till)
        for garbage in GARBAGE:
            self._rejects(till, headers, garbage)

    def test_a_signed_webhook_that_cannot_be_read_is_rejected(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        sign = till.drive("sign")
        for garbage in GARBAGE:
            self._rejects(till, sign(garbage, till.now), garbage)

    def test_a_webhook_signed_with_any_live_secret_is_accepted(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        keys = self._one(till)
        for secret in range(till.drive("webhook_secrets")):
            assert self._parse(till, *webhook(*keys, secret=secret))

    def test_what_the_provider_does_unasked_names_the_authorisation(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        paid = till.paid()
        (notice,) = self._parse(till, *till.drive("expire")(paid.request.payment_id))
        assert notice.reference == paid.authorisation
        assert [(f.kind, f.minor) for f in notice.result] == [(EXPIRED, 1000)]

    def test_a_chargeback_is_told_as_what_it_is(self, till: Till) -> None:
        till.needs_method("parse_webhook")
        paid = till.paid(sale=True)
        (notice,) = self._parse(till, *till.drive("charge_back")(paid.request.payment_id))
        assert notice.reference == paid.authorisation
        assert [(f.kind, f.minor) for f in notice.result] == [(CHARGED_BACK, 1000)]

    def _one(self, till: Till) -> list[str]:
        key = till.key()
        till.done(till.authorise(), key)
        return [key]

    def _genuine(self, till: Till) -> tuple[Mapping[str, str], bytes]:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        told: tuple[Mapping[str, str], bytes] = webhook(*self._one(till))
        return told

    def _batch(self, till: Till, n: int) -> Sequence[Notice]:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        keys = [key for _ in range(n) for key in self._one(till)]
        return self._parse(till, *webhook(*keys))

    def _told(self, till: Till) -> tuple[Notice, Any]:
        till.needs_method("parse_webhook")
        webhook = till.drive("webhook")
        request, key = till.authorise(), till.key()
        answer = till.done(request, key)
        (notice,) = self._parse(till, *webhook(key))
        return notice, answer

    def _parse(self, till: Till, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        notices: Sequence[Notice] = till.ask.adapter.parse_webhook(headers, body, now=till.now)
        assert all(isinstance(notice, Notice) for notice in notices)
        return notices

    def _rejects(self, till: Till, headers: Mapping[str, str], body: bytes, now: DateTime | None = None) -> None:
        try:
            told = till.ask.adapter.parse_webhook(headers, body, now=now or till.now)
        except WebhookRejected:
            return
        except Exception as problem:
            raise AssertionError(f"it must raise WebhookRejected, and raised {type(problem).__name__}") from problem
        raise AssertionError(f"it was accepted: {counted(len(told), 'notice')} from headers {dict(headers)}")
