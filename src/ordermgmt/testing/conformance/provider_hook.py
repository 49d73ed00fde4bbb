"""What a contract would like to make a provider do, so that more of its tests can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from pendulum import DateTime


class ProviderHook(Protocol):
    """What a contract would like to make your provider do.  Every method is optional: give what you can.

    A sandbox can rarely lose an answer; a stub behind your adapter's HTTP client can.
    """

    secrets: Sequence[str]
    """Texts that must never be shown: API keys, tokens."""
    faults: Sequence[str]
    """Names of bad answers that `spoil` can make: ``"html"``, ``"error_500"``…"""

    def lose_request(self) -> None:
        """The next request does not reach the provider, and nobody answers."""
        ...

    def lose_answer(self) -> None:
        """The next request is executed, and its answer is lost."""
        ...

    def spoil(self, fault: str) -> None:
        """The next request is answered with this bad answer."""
        ...

    def spoil_lookup(self) -> None:
        """The next lookup meets an error of the provider's own."""
        ...

    def hang(self) -> None:
        """The next request is not answered before its deadline."""
        ...

    def pass_time(self, span: timedelta) -> None:
        """Move the provider's clock."""
        ...

    def now(self) -> DateTime:
        """The provider's time."""
        ...

    def executions(self, key: str) -> int:
        """How often the request with this key was executed."""
        ...

    def account(self, payment_id: str) -> Mapping[str, Any]:
        """currency, authorised, captured, voided and refunded of a payment, in minor units."""
        ...

    def webhook(self, *keys: str, at: DateTime | None = None, secret: int = 0) -> tuple[Mapping[str, str], bytes]:
        """One webhook that tells what became of these requests, signed at that time with the n-th live secret."""
        ...

    def sign(self, body: bytes, at: DateTime) -> Mapping[str, str]:
        """The headers that make any bytes genuine."""
        ...

    def expire(self, payment_id: str) -> tuple[Mapping[str, str], bytes]:
        """An authorisation runs out at the provider; the webhook that tells it."""
        ...

    def charge_back(self, payment_id: str) -> tuple[Mapping[str, str], bytes]:
        """The customer's bank takes the money back; the webhook that tells it."""
        ...
