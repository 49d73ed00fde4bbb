"""What the outside world looks like to the engine: adapters, what they promise, and what they answer.

An adapter states what its provider can do as data.  From that data, and from it alone, the engine chooses what is
safe when nobody knows whether a request was executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from attrs import field
from pendulum import DateTime

from ..errors import InvalidInput, OrderManagementError
from ..values import frozen
from .messages import checked_choice, checked_type

IDEMPOTENCY = ("none", "key", "reference")
LOOKUP = ("none", "by_key", "by_reference", "list")


def _lookup(value: Any) -> Any:
    return {True: "by_key", False: "none"}[value] if isinstance(value, bool) else value


def _not_negative(_instance: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, timedelta) or value < timedelta(0):
        raise InvalidInput(f"{attribute.name} must be a timedelta of zero or more (got {value!r})")


@frozen(kw_only=True)
class Capabilities:
    """What an adapter promises about asking twice."""

    idempotency: str = field(default="none", validator=checked_choice(*IDEMPOTENCY))
    """``"key"``: requests with one key are executed once, while the provider remembers it; ``"reference"``: a second
    request with our reference is refused, for ever; ``"none"``: every request is executed."""
    key_ttl: timedelta = field(default=timedelta(hours=24), validator=_not_negative)
    """How long the provider remembers a key."""
    remembers_errors: bool = field(default=False, validator=checked_type(bool))
    """True where a repeated key is answered with the stored error for ever."""
    lookup: str = field(default="none", converter=_lookup, validator=checked_choice(*LOOKUP))
    """How it can be asked what became of a request: none, by_key, by_reference or list.  True means by_key."""
    lookup_lag: timedelta = field(default=timedelta(0), validator=_not_negative)
    """How long after it was executed a lookup may still find nothing."""
    late_window: timedelta = field(default=timedelta(minutes=15), validator=_not_negative)
    """How long after it was sent a request may still arrive and be executed."""

    @property
    def can_look_up(self) -> bool:
        """Whether it can be asked what became of a single request."""
        return self.lookup != "none"


@frozen
class NotThere:
    """A lookup's answer: the provider has no such request.  Only where that is true within its declared lag."""


@frozen
class CannotTell:
    """A lookup's answer: it could not be found out now."""

    cause: str = ""


@frozen(kw_only=True)
class Notice:
    """Something a provider tells by itself: a webhook's content, or one row of a list."""

    event_id: str
    """The provider's id for this notice; the same one is applied once."""
    key: str = ""
    """Our idempotency key, where the provider repeats it."""
    reference: str = ""
    """The provider's name for what it is about: an authorisation, a tracking number."""
    answer: str = field(default="succeeded", validator=checked_choice("succeeded", "declined", "pending"))
    """succeeded, declined or pending."""
    code: str = ""
    """Why it was declined."""
    result: tuple[Any, ...] = ()
    """What happened, in the port's own values: facts, scans, a label."""


@frozen
class Listing:
    """One page of what a provider has on its books."""

    notices: tuple[Notice, ...]
    cursor: str | None = None
    """Ask on with it; None on the last page."""


class WebhookRejected(OrderManagementError):
    """A webhook's signature or form is wrong.  Nothing was stored; answer the sender with an error."""


class Adapter(Protocol):
    """What the engine calls: any port that performs effects.  Answers may be awaitable under asyncio."""

    @property
    def capabilities(self) -> Capabilities: ...

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """Do it.  Answers an outcome; every exception counts as `Unknown`."""
        ...

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """What became of the request with this key: an outcome, `NotThere` or `CannotTell`.  Changes nothing."""
        ...


class Telling(Protocol):
    """An adapter whose provider tells by itself.  Optional, as is `Listed`."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: DateTime) -> Sequence[Notice]:
        """Verify the raw bytes first, then read them.  Raises `WebhookRejected`."""
        ...


class Listed(Protocol):
    """An adapter whose provider can list what it did."""

    def list(self, since: DateTime, until: DateTime, cursor: str | None) -> Any:
        """A `Listing` of everything executed in this time."""
        ...
