"""How a fake provider takes requests on: once for each key, once for each reference, or every time.

It does what the stated capabilities promise and nothing better: a key is forgotten when its time is over, an error
is replayed where errors are remembered, a lookup finds nothing within the lag, and a request that got lost may
still arrive while the late window is open.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from attrs import define
from pendulum import DateTime

from ...engine.adapters import Capabilities, NotThere
from ...engine.effects import Declined, Outcome, Pending, RetryLater
from ...engine.ports import Clock
from .script import ProviderBroke, ProviderTimeout, Script

AGAIN_AFTER = timedelta(minutes=5)


@define
class Kept:
    """What a provider remembers of a request."""

    request: Any
    outcome: Outcome | None
    """None for an error of its own that it remembers."""
    at: DateTime
    ready: DateTime
    """From when on it tells the outcome."""
    reference: str = ""


@define
class Late:
    """A request on its way: nobody answered it, and it may yet arrive."""

    request: Any
    key: str
    sent: DateTime


class Intake:
    """A provider's counter: requests come in, and are executed as often as its capabilities say."""

    def __init__(
        self,
        *,
        can: Callable[[], Capabilities],
        clock: Clock,
        perform: Callable[[Any, str], Outcome],
        booked: Callable[[Any, str, Outcome, DateTime], None],
        takes: timedelta | None,
    ) -> None:
        self._can = can
        self._clock = clock
        self._perform = perform
        self._booked = booked
        self._takes = takes
        self._kept: dict[str, Kept] = {}
        self._late: list[Late] = []
        self._accepted = 0
        self.script = Script()
        self.lock = threading.RLock()
        self.asked: Counter[str] = Counter()
        self.executed: Counter[str] = Counter()
        self.misuses: list[str] = []

    def take(self, request: Any, key: str, deadline: timedelta) -> Outcome:
        """A request has come."""
        with self.lock:
            self.asked[key] += 1
            known = self._known(request, key)
            if known is not None:
                return known
            step = self.script.next(request)
            if step != "hang":
                return self._do(step, request, key)
        time.sleep(deadline.total_seconds())
        raise ProviderTimeout("not executed, and no answer before the deadline")

    def ask(self, request: Any, key: str, deadline: timedelta, answer: Callable[[], Outcome]) -> Outcome:
        """A question has come, which changes nothing and may be asked again: nothing of it is remembered."""
        with self.lock:
            self.asked[key] += 1
            step = self.script.next(request, named=True)
        match step:
            case "decline":
                return Declined("declined", "the provider said no")
            case "put_off":
                return RetryLater(timedelta(seconds=1))
            case "break":
                raise ProviderBroke("an error of the provider's own")
            case "fail" | "lose":
                raise ProviderTimeout("no answer")
            case "hang":
                time.sleep(deadline.total_seconds())
                raise ProviderTimeout("no answer before the deadline")
            case _:
                return answer()

    def look(self, key: str) -> Outcome | NotThere:
        """What became of the request with this key; nothing is changed."""
        with self.lock:
            kept = self._kept.get(key)
            if kept is None or kept.outcome is None or self._clock.now() < kept.at + self._can().lookup_lag:
                return NotThere()
            return self._told(kept, kept.outcome)

    def arrive_late(self) -> int:
        """Requests that got lost arrive after all, those not older than the late window.  Answers how many were
        executed.
        """
        with self.lock:
            late, self._late = self._late, []
            now, done = self._clock.now(), 0
            for one in late:
                if now > one.sent + self._can().late_window or self._holds(one.key):
                    continue
                self._keep(one.request, one.key, self._execute(one.request, one.key))
                done += 1
            return done

    def _holds(self, key: str) -> bool:
        """Whether another request with this key would not be executed again."""
        kept, can = self._kept.get(key), self._can()
        if kept is None or can.idempotency == "none":
            return False
        return can.idempotency == "reference" or self._clock.now() < kept.at + can.key_ttl

    def _known(self, request: Any, key: str) -> Outcome | None:
        if not self._holds(key):
            return None
        kept, can = self._kept[key], self._can()
        if can.idempotency == "reference" and not can.can_look_up:
            raise ProviderBroke("there is a request with this reference already")
        if kept.request != request:
            self.misuses.append(f"{type(request).__name__} with the key of another request")
            raise ProviderBroke("the same key came with other parameters")
        if kept.outcome is None:
            raise ProviderBroke("the error that is remembered for this key")
        return self._told(kept, kept.outcome)

    def _do(self, step: str, request: Any, key: str) -> Outcome:
        match step:
            case "decline":
                outcome = self._keep(request, key, Declined("declined", "the provider said no"))
                return self._told(self._kept[key], outcome)
            case "fail":
                self._late.append(Late(request, key, self._clock.now()))
                raise ProviderTimeout("not executed, and no answer")
            case "break":
                if self._can().remembers_errors:
                    now = self._clock.now()
                    self._kept[key] = Kept(request, None, now, now)
                raise ProviderBroke("an error of the provider's own; not executed")
            case "lose":
                self._keep(request, key, self._execute(request, key))
                raise ProviderTimeout("executed, but the answer was lost")
            case "put_off":
                return RetryLater(timedelta(seconds=1))
            case "later" | "decline_later":
                no = Declined("failed_later", "it could not be done after all")
                self._keep(request, key, no if step == "decline_later" else self._execute(request, key))
                return self._pending(self._kept[key])
            case _:
                outcome = self._keep(request, key, self._execute(request, key))
                return self._told(self._kept[key], outcome)

    def _execute(self, request: Any, key: str) -> Outcome:
        self.executed[key] += 1
        return self._perform(request, key)

    def _keep(self, request: Any, key: str, outcome: Outcome) -> Outcome:
        now = self._clock.now()
        ready = now + self._takes if self._takes is not None else now
        self._accepted += 1
        self._kept[key] = Kept(request, outcome, now, ready, f"pending-{self._accepted}")
        self._booked(request, key, outcome, ready)
        return outcome

    def _told(self, kept: Kept, outcome: Outcome) -> Outcome:
        return outcome if self._clock.now() >= kept.ready else self._pending(kept)

    def _pending(self, kept: Kept) -> Outcome:
        return Pending(reference=kept.reference, again_after=self._takes or AGAIN_AFTER)
