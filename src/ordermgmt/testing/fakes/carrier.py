"""A carrier in memory, with the adapter that speaks to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from pendulum import DateTime

from ...engine.adapters import CannotTell, Capabilities, Notice, NotThere
from ...engine.effects import Declined, Outcome, Pending, Succeeded, Unknown
from ...engine.ports import Clock, SystemClock
from ...shipments.messages import BuyLabel, CarrierEffect, Track, VoidLabel
from ...shipments.model import DELIVERED, IN_TRANSIT, UNDELIVERABLE, Label, Scan
from .books import Books
from .intake import Intake

WEBHOOK_SECRET = "whsec_carrier"  # noqa: S105 - it guards a fake


class FakeCarrier:
    """A carrier in memory.  Sells labels with tracking numbers, and reports what it is told to report.

    `deliver(tracking_number)`, `lose(tracking_number)` and `scan(tracking_number)` say what the next tracking
    answers.  Script coming requests like `FakePayments`: `decline_next()`, `fail_next()`, `lose_next()`,
    `break_next()`, `put_off_next()`, `answer_later_next()`, `hang_next()`, `arrive_late()`; and give it another
    personality through `capabilities` and `takes`.
    """

    capabilities = Capabilities(idempotency="key", lookup=True)

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        prefix: str = "TRACK",
        capabilities: Capabilities | None = None,
        takes: timedelta | None = None,
        secrets: Sequence[str] = (WEBHOOK_SECRET,),
    ) -> None:
        if capabilities is not None:
            self.capabilities = capabilities
        self._clock = clock or SystemClock()
        self._prefix = prefix
        self._intake = Intake(
            can=lambda: self.capabilities, clock=self._clock, perform=self._perform, booked=self._book, takes=takes
        )
        self.books = Books(tuple(secrets), 100)
        """Everything it could tell."""
        self._scans: dict[str, list[Scan]] = {}
        self.labels: dict[str, Label] = {}
        """Every label ever sold, by tracking number."""
        self.voided: list[str] = []
        """Tracking numbers of labels that were given back."""
        self.asked: Counter[str] = self._intake.asked
        self.executed: Counter[str] = self._intake.executed
        self.requests: list[CarrierEffect] = []
        self.refusals: list[str] = self._intake.misuses
        """Keys that were used for something else: each is a mistake of ours."""

    def decline_next(self, kind: str = "") -> None:
        """Decline the next request (of this type, such as ``"BuyLabel"``)."""
        self._intake.script.say("decline", kind)

    def fail_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer.  It may still `arrive_late`."""
        self._intake.script.say("fail", kind)

    def lose_next(self, kind: str = "") -> None:
        """Execute the next request, but lose the answer."""
        self._intake.script.say("lose", kind)

    def break_next(self, kind: str = "") -> None:
        """Answer the next request with an error of the carrier's own; one that remembers errors keeps it."""
        self._intake.script.say("break", kind)

    def put_off_next(self, kind: str = "") -> None:
        """Answer the next request with: later."""
        self._intake.script.say("put_off", kind)

    def answer_later_next(self, kind: str = "") -> None:
        """Take the next request on, and answer it when it is asked for again."""
        self._intake.script.say("later", kind)

    def hang_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer before its deadline, in real time."""
        self._intake.script.say("hang", kind)

    def arrive_late(self) -> int:
        """Requests that `fail_next` kept from arriving arrive after all.  Answers how many were executed."""
        return self._intake.arrive_late()

    def scan(self, tracking_number: str, note: str = "") -> Notice:
        """The parcel was seen on its way."""
        return self._report(tracking_number, IN_TRANSIT, note)

    def deliver(self, tracking_number: str) -> Notice:
        """The parcel arrived."""
        return self._report(tracking_number, DELIVERED, "")

    def lose(self, tracking_number: str, note: str = "lost") -> Notice:
        """The parcel will not arrive."""
        return self._report(tracking_number, UNDELIVERABLE, note)

    def _report(self, tracking_number: str, kind: str, note: str) -> Notice:
        with self._intake.lock:
            seen = Scan(kind=kind, occurred_at=self._clock.now(), note=note)
            self._scans[tracking_number].append(seen)
            return self.books.enter(seen.occurred_at, Notice(event_id="", reference=tracking_number, result=(seen,)))

    # The port.

    def execute(self, request: CarrierEffect, *, key: str, deadline: timedelta) -> Outcome:
        """See `Carrier.execute`."""
        self.requests.append(request)
        if isinstance(request, Track):
            return self._intake.ask(request, key, deadline, partial(self._track, request))
        return self._intake.take(request, key, deadline)

    def lookup(self, request: CarrierEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere | CannotTell:
        """See `Carrier.lookup`."""
        return self._track(request) if isinstance(request, Track) else self._intake.look(key)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: DateTime) -> list[Notice]:
        """See `Telling.parse_webhook`."""
        return self.books.parse(headers, body, now=now)

    def webhook_for(
        self, *what: Notice | str, at: DateTime | None = None, secret: str | None = None, with_key: bool = True
    ) -> tuple[dict[str, str], bytes]:
        """Signed headers and body that tell what happened: notices, keys, or tracking numbers."""
        with self._intake.lock:
            return self.books.webhook(what, at=at or self._clock.now(), secret=secret, with_key=with_key)

    # What it does.

    def _perform(self, request: CarrierEffect, key: str) -> Outcome:
        match request:
            case BuyLabel():
                number = f"{self._prefix}-{len(self.labels) + 1:06d}"
                self.labels[number] = Label(tracking_number=number, reference=f"label-{number}")
                self._scans[number] = []
                return Succeeded(result=self.labels[number], reference=number)
            case VoidLabel(label=label):
                self.voided.append(label.tracking_number)
                return Succeeded(reference=label.tracking_number)
            case _:
                return Unknown(f"{type(request).__name__} is nothing a carrier does")

    def _track(self, request: Track) -> Outcome:
        with self._intake.lock:
            scans = tuple(self._scans.get(request.tracking_number, ()))
        if scans and scans[-1].kind in (DELIVERED, UNDELIVERABLE):
            return Succeeded(result=scans, reference=request.tracking_number)
        return Pending(reference=request.tracking_number, again_after=timedelta(hours=6), result=scans)

    def _book(self, request: CarrierEffect, key: str, outcome: Outcome, at: DateTime) -> None:
        match outcome:
            case Succeeded(result=result, reference=reference):
                told = (result,) if isinstance(result, Label) else ()
                self.books.enter(at, Notice(event_id="", key=key, reference=reference, result=told))
            case Declined(code=code):
                self.books.enter(at, Notice(event_id="", key=key, answer="declined", code=code))
            case _:
                pass

    @property
    def asked_twice(self) -> list[str]:
        """Keys that were executed more than once: must be empty."""
        return [key for key, times in self.executed.items() if times > 1]
