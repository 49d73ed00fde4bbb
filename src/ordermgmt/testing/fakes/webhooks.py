"""Webhooks as the fake providers send and read them: signed over the raw bytes together with the time.

The form is that of Stripe (https://docs.stripe.com/webhooks#verify-manually): a header ``t=<seconds>,v1=<hex>``,
where v1 is the HMAC-SHA256 of ``<t>.<body>``.  Unlike Stripe's library, a time in the future is refused as well.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from pendulum import DateTime

from ...engine.adapters import Notice, WebhookRejected
from . import wire

HEADER = "Provider-Signature"
TOLERANCE_SECONDS = 300
_PART = re.compile(r"[a-z][a-z0-9]*=[0-9a-f]+")
_TIME = re.compile(r"t=([0-9]{1,12})")
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})")


def signed(notices: Sequence[Notice], *, secret: str, at: DateTime) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook that tells these."""
    body = wire.written({"events": [wire.notice_doc(notice) for notice in notices]})
    return sign(body, secret=secret, at=at), body


def sign(body: bytes, *, secret: str, at: DateTime) -> dict[str, str]:
    """The headers that make these bytes genuine."""
    seconds = int(at.timestamp())
    return {"Content-Type": "application/json", HEADER: f"t={seconds},v1={_mac(secret, seconds, body)}"}


def parse(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: DateTime) -> list[Notice]:
    """What a webhook tells.  Nothing of the body is read before a signature of it was found to be right."""
    _verify(headers, body, secrets, now)
    try:
        return [wire.read_notice(one) for one in wire.several(wire.read(body), "events")]
    except ValueError as problem:
        raise WebhookRejected(f"the webhook is signed, and cannot be read: {problem}") from problem


def _verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: DateTime) -> None:
    sent = [value for name, value in headers.items() if name.lower() == HEADER.lower()]
    parts = sent[0].split(",") if len(sent) == 1 else []
    times = [found[1] for part in parts if (found := _TIME.fullmatch(part))]
    signatures = [found[1] for part in parts if (found := _SIGNATURE.fullmatch(part))]
    if len(times) != 1 or not signatures or not all(map(_PART.fullmatch, parts)):
        raise WebhookRejected("the webhook carries no signature that could be checked")
    seconds = int(times[0])
    genuine = False
    for secret in secrets:
        expected = _mac(secret, seconds, body)
        for signature in signatures:
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise WebhookRejected("the webhook's signature is wrong")
    if abs(now.timestamp() - seconds) > TOLERANCE_SECONDS:
        raise WebhookRejected(f"the webhook was signed more than {TOLERANCE_SECONDS} seconds away from now")


def _mac(secret: str, seconds: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, sha256).hexdigest()
