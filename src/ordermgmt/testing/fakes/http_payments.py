"""An honest adapter that speaks HTTP to the fake payment provider: read it before you write your own.

What it takes care of: one deadline for the whole call; the key with every attempt and no retries of its own; a
decline only where the provider says "declined" in so many words; every other answer is an exception, and the
exceptions hold neither secrets nor what the provider wrote.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from pendulum import DateTime

from ...engine.adapters import CannotTell, Listing, Notice, NotThere
from ...engine.effects import Declined, Outcome, RetryLater
from ...engine.instants import to_text
from ...payments.messages import PaymentEffect
from ...payments.port import GatewayCapabilities
from . import webhooks, wire
from .payments import WEBHOOK_SECRET

ANSWER_MAX = 1 << 20
CHUNK = 1 << 14
LIST_DEADLINE = timedelta(seconds=30)
RETRY_AFTER_MAX = timedelta(hours=1)
_SECONDS = re.compile(r"[0-9]{1,9}")


class ProviderAnswer(Exception):
    """The provider's answer is none: an error of its own, or nothing that can be read."""


class HttpPayments:
    """One account at the fake provider behind `PaymentServer`.

    Args:
        url: Where it listens.
        secret: Our bearer token there.
        webhook_secrets: What its webhooks may be signed with.
        capabilities: What this provider can do.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str,
        webhook_secrets: Sequence[str] = (WEBHOOK_SECRET,),
        capabilities: GatewayCapabilities | None = None,
    ) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port
        self._secret = secret
        self._webhook_secrets = tuple(webhook_secrets)
        self.capabilities = capabilities or GatewayCapabilities(idempotency="key", lookup="by_key")

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome:
        """See `PaymentGateway.execute`."""
        body = wire.written(wire.request_doc(request))
        status, headers, doc = self._ask("POST", "/requests", deadline, body, {"Idempotency-Key": key})
        return _outcome(status, headers, doc)

    def lookup(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere | CannotTell:
        """See `PaymentGateway.lookup`."""
        status, headers, doc = self._ask("GET", f"/requests/{quote(key, safe='')}", deadline)
        if status == 404 and _error(doc) == "no_such_request":
            return NotThere()
        outcome = _outcome(status, headers, doc)
        return CannotTell("asked too often") if isinstance(outcome, RetryLater) else outcome

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: DateTime) -> list[Notice]:
        """See `Telling.parse_webhook`."""
        return webhooks.parse(headers, body, secrets=self._webhook_secrets, now=now)

    def list(self, since: DateTime, until: DateTime, cursor: str | None) -> Listing:
        """See `Listed.list`."""
        asked = {"since": to_text(since), "until": to_text(until)} | ({"cursor": cursor} if cursor else {})
        status, _, doc = self._ask("GET", f"/events?{urlencode(asked)}", LIST_DEADLINE)
        if status != 200:
            raise ProviderAnswer(f"HTTP {status} instead of a list")
        return wire.read_listing(doc)

    def _ask(
        self,
        method: str,
        path: str,
        deadline: timedelta,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        """One request and its answer, within the deadline."""
        end = time.monotonic() + deadline.total_seconds()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=deadline.total_seconds())
        told = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            raw = _read(connection, answer, end)
            if answer.headers.get_content_type() != "application/json":
                raise ProviderAnswer(f"HTTP {answer.status}, and not in JSON")
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, _doc(answer, raw)
        finally:
            connection.close()


def _read(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, end: float) -> bytes:
    """The whole body: a server that sends it drop by drop does not get more time than any other."""
    parts, size = list[bytes](), 0
    expected = answer.length
    while part := answer.read1(CHUNK):
        parts.append(part)
        size += len(part)
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end before the deadline")
        if size > ANSWER_MAX:
            raise ProviderAnswer("the answer is too long")
        if connection.sock is not None:
            connection.sock.settimeout(left)
    if expected is not None and size < expected:
        raise ProviderAnswer("the answer ends too early")
    return b"".join(parts)


def _doc(answer: http.client.HTTPResponse, raw: bytes) -> dict[str, Any]:
    try:
        return wire.read(raw)
    except ValueError:
        # The text of the answer stays out of it: what a broken provider sends may be anybody's.
        raise ProviderAnswer(f"HTTP {answer.status}, and unreadable") from None


def _outcome(status: int, headers: Mapping[str, str], doc: dict[str, Any]) -> Outcome:
    if status in (200, 202) and "error" not in doc:
        return wire.read_answer(doc)
    if status == 402 and _error(doc) == "declined":
        told = doc["error"]
        return Declined(wire.text(told, "code"), wire.text(told, "message"))
    if status in (409, 429):
        return RetryLater(_wait(headers.get("retry-after", "")))
    raise ProviderAnswer(f"HTTP {status}: {_error(doc) or 'no reason'}")


def _error(doc: Mapping[str, Any]) -> str:
    told = doc.get("error")
    kind = cast("dict[str, Any]", told).get("type") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) and kind.isidentifier() else ""


def _wait(told: str) -> timedelta:
    """What Retry-After says, in seconds; absurd values become the longest wait."""
    if not told.isascii() or not told.isdigit():
        return timedelta(seconds=1)
    return min(timedelta(seconds=int(told)), RETRY_AFTER_MAX) if _SECONDS.fullmatch(told) else RETRY_AFTER_MAX
