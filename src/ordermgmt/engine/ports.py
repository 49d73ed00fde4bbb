"""What the engine needs from its host: the time, fresh ids, and a little chance.

Each has a form for production and one that a test holds in its hand.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime, timedelta
from typing import Protocol

import pendulum
from pendulum import DateTime

from ..errors import InvalidInput, Misconfigured
from ..values import frozen
from .instants import check_instant


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> DateTime:
        """The present instant, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> DateTime:
        """The present instant, in UTC."""
        return pendulum.now("UTC")


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = check_instant(now or pendulum.datetime(2026, 1, 1), "now")

    def now(self) -> DateTime:
        """The instant it was last moved to."""
        return self._now

    def set(self, now: datetime) -> None:
        """Moves it to an instant, forwards or backwards."""
        self._now = check_instant(now, "now")

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> DateTime:
        """Moves it by a span; answers the new time."""
        self._now = self._now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._now


@frozen
class InUtc:
    """A clock of the host's.  Whatever zone it tells the time in, it is taken as that instant in UTC."""

    clock: Clock

    def now(self) -> DateTime:
        """The present instant.  Raises `Misconfigured` where the clock does not say in which zone."""
        try:
            return check_instant(self.clock.now(), "the time")
        except InvalidInput as problem:
            raise Misconfigured(f"the clock {type(self.clock).__name__} is of no use: {problem}") from problem


def in_utc(clock: Clock) -> Clock:
    """This clock, telling the time in UTC; ours do so by themselves."""
    return clock if type(clock) in (SystemClock, ManualClock) else InUtc(clock)


class Ids(Protocol):
    """Makes fresh ids."""

    def new(self) -> str:
        """An id never given before: 1–64 ASCII letters, digits and ``. _ : -``."""
        ...


class SystemIds:
    """UUIDs of version 7 (RFC 9562): unique, and in order of time."""

    def __init__(self, clock: Clock | None = None, chance: random.Random | None = None) -> None:
        self._clock = clock
        self._chance = chance or random.SystemRandom()

    def new(self) -> str:
        """A fresh UUID."""
        milliseconds = int((self._clock.now().timestamp() if self._clock else time.time()) * 1000)
        bits = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | 0b10 << 62
        bits |= self._chance.getrandbits(12) << 64 | self._chance.getrandbits(62)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class ManualIds:
    """Counts: ``id-1``, ``id-2``, …"""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._count = 0
        self._lock = threading.Lock()

    def new(self) -> str:
        """The next one."""
        with self._lock:
            self._count += 1
            return f"{self._prefix}-{self._count}"
