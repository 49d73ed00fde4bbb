"""What goes wrong in a simulated world, and how often: every kind has a name, and every hit is counted."""

from __future__ import annotations

import random
from typing import Any

import attrs
from attrs import field

from ...engine.messages import checked_type
from ...errors import InvalidInput
from ...values import frozen


class Crashed(BaseException):
    """A process dies.  A `BaseException`, so that nothing on its way can take it for an error to be handled."""


def _rate(_instance: object, attribute: Any, value: Any) -> None:
    checked_type(int, float)(_instance, attribute, value)
    if not 0 <= value <= 1:
        raise InvalidInput(f"{attribute.name} must be a chance from 0 to 1 (got {value})")


def _chance(default: float) -> Any:
    return field(default=default, validator=_rate)


@frozen(kw_only=True)
class Faults:
    """How likely each fault is, wherever it can happen.  ``Faults.none()`` is a calm world."""

    crash: float = _chance(0.006)
    """An actor dies at a boundary: before a transaction, with rows taken, before and after the commit, before and after
    an adapter is called.  Reads are no boundaries of their own: dying there changes nothing."""
    pause: float = _chance(0.008)
    """An actor stands still at a boundary, for a moment or far past its lease."""
    conflict: float = _chance(0.01)
    """A commit is answered with `Conflict`, and nothing is saved."""
    storage_busy: float = _chance(0.01)
    """A transaction cannot be begun."""
    storage_failed: float = _chance(0.004)
    """A commit fails, and nothing is saved: a full disk."""
    reply_lost: float = _chance(0.006)
    """A commit is durable, but its caller is told of a failure."""
    lost_request: float = _chance(0.08)
    """A request never arrives."""
    lost_response: float = _chance(0.12)
    """A request is executed, and its answer never arrives."""
    late_request: float = _chance(0.1)
    """A request arrives after everybody has given it up, and is executed."""
    stored_error: float = _chance(0.08)
    """A provider that remembers errors answers with a server error, under this key for ever."""
    garbage: float = _chance(0.04)
    """The adapter answers something that is no outcome, whether or not the request was executed."""
    decline: float = _chance(0.06)
    """The provider's definite no."""
    put_off: float = _chance(0.06)
    """Too many requests."""
    pending: float = _chance(0.08)
    """The provider answers later."""
    poison: float = _chance(0.01)
    """An effect that can never be executed: every request for it breaks."""
    jump: float = _chance(0.02)
    """Time passes in a jump: seconds to days, or a host's clock is set back."""
    webhook_duplicate: float = _chance(0.2)
    """A webhook comes again, as it was or under another event id."""
    provider_acts: float = _chance(0.5)
    """The provider acts by itself: an authorisation runs out, a bank takes money back."""

    @classmethod
    def none(cls) -> Faults:
        """Nothing goes wrong."""
        return cls(**{one.name: 0.0 for one in attrs.fields(cls)})

    def swarm(self, chance: random.Random) -> Faults:
        """The same faults, each absent, as it is, or much more likely.

        Worlds that differ in their faults find more than worlds that all have a little of everything (Groce and
        others, "Swarm testing", 2012).
        """
        rates = {one.name: getattr(self, one.name) for one in attrs.fields(type(self))}
        return Faults(**{name: min(rate * chance.choice((0, 1, 1, 3, 6)), 0.5) for name, rate in rates.items()})


KINDS = (
    *(f"crash {boundary}" for boundary in ("before begin", "after load", "before commit", "after commit")),
    "crash before call",
    "crash after call",
    "pause",
    "pause past the lease",
    "conflict",
    "storage busy",
    "storage failed",
    "commit reply lost",
    "lost request",
    "lost response",
    "late request",
    "stored error",
    "garbage",
    "decline",
    "put off",
    "pending",
    "poison",
    "key expired",
    "clock forward",
    "clock backward",
    "webhook duplicate",
    "webhook reordered",
    "provider acts",
)
"""Every kind of fault that is counted; a long run in which one of them never happened has proven nothing about it."""

CRASH_NAMES = {
    "begin": "crash before begin",
    "loaded": "crash after load",
    "commit": "crash before commit",
    "committed": "crash after commit",
    "call": "crash before call",
    "called": "crash after call",
}
