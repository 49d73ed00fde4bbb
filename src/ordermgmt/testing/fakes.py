"""A payment provider and a carrier to play with: scriptable, deterministic, and they count what they were asked.

They stand for the outside world: they keep what they executed by idempotency key, so that asking twice shows, and
they refuse what a real provider would refuse, so that asking for too much shows as well.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from datetime import timedelta

from attrs import define, field

from ..engine.adapters import Capabilities, NotThere
from ..engine.effects import Declined, Outcome, Pending, RetryLater, Succeeded, Unknown
from ..engine.ports import Clock, SystemClock
from ..payments.messages import Authorise, Capture, PaymentEffect, Void
from ..payments.model import AUTHORISED, CAPTURED, REFUNDED, SOLD, VOIDED, Fact
from ..payments.port import GatewayCapabilities
from ..refunds.messages import SendRefund
from ..shipments.messages import BuyLabel, CarrierEffect, Track, VoidLabel
from ..shipments.model import DELIVERED, IN_TRANSIT, UNDELIVERABLE, Label, Scan


class ProviderTimeout(Exception):
    """What a fake raises where a real provider would not answer in time."""


@define
class Account:
    """One payment at the provider, in minor units."""

    currency: str
    authorised: int = 0
    captured: int = 0
    voided: int = 0
    refunded: int = 0

    @property
    def open(self) -> int:
        """What can still be captured."""
        return self.authorised - self.captured - self.voided

    @property
    def kept(self) -> int:
        """What the merchant has."""
        return self.captured - self.refunded


@define
class _Script:
    """What happens to the next requests."""

    steps: deque[tuple[str, str]] = field(factory=deque[tuple[str, str]])
    """(what, which): which is a type of effect, or '' for any."""

    def next(self, request: object) -> str:
        kind = type(request).__name__
        for n, (what, which) in enumerate(self.steps):
            if which in ("", kind):
                del self.steps[n]
                return what
        return ""


class FakePayments:
    """A payment provider in memory.  Executes a key once, enforces its limits, and never forgets.

    Script what happens to coming requests: `decline_next()`, `fail_next()` (a time-out that was not executed),
    `lose_next()` (executed, but the answer is lost), `put_off_next()` (too many requests), `answer_later_next()`
    (pending until it is asked again).  A token that begins with ``tok_decline`` is always declined.
    """

    capabilities = GatewayCapabilities(idempotency="key", lookup=True)

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._script = _Script()
        self._answers: dict[str, Outcome] = {}
        self._later: dict[str, Outcome] = {}
        self._transactions = 0
        self.accounts: dict[str, Account] = {}
        """What the provider holds, by our payment id."""
        self.asked: Counter[str] = Counter()
        """How often each key came."""
        self.executed: Counter[str] = Counter()
        """How often each key was executed.  More than one would be a disaster."""
        self.requests: list[PaymentEffect] = []
        """Every request that arrived, in order."""
        self.refusals: list[str] = []
        """What was refused for a limit: each is a mistake of ours."""

    # Scripting.

    def decline_next(self, kind: str = "") -> None:
        """Decline the next request (of this type, such as ``"Capture"``)."""
        self._script.steps.append(("decline", kind))

    def fail_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer."""
        self._script.steps.append(("fail", kind))

    def lose_next(self, kind: str = "") -> None:
        """Execute the next request, but lose the answer."""
        self._script.steps.append(("lose", kind))

    def put_off_next(self, kind: str = "") -> None:
        """Answer the next request with: later."""
        self._script.steps.append(("put_off", kind))

    def answer_later_next(self, kind: str = "") -> None:
        """Take the next request on, and answer it when it is asked for again."""
        self._script.steps.append(("later", kind))

    # The port.

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome:
        """See `PaymentGateway.execute`."""
        with self._lock:
            self.asked[key] += 1
            self.requests.append(request)
            if key in self._later:
                return self._settled(key)
            if key in self._answers:
                return self._answers[key]
            match self._script.next(request):
                case "decline":
                    return self._remember(key, Declined("declined", "the provider said no"))
                case "fail":
                    raise ProviderTimeout("not executed, and no answer")
                case "lose":
                    self._remember(key, self._execute(request, key))
                    raise ProviderTimeout("executed, but the answer was lost")
                case "put_off":
                    return RetryLater(timedelta(seconds=1))
                case "later":
                    self._later[key] = self._execute(request, key)
                    return Pending(reference=f"pending-{len(self._later)}", again_after=timedelta(minutes=5))
                case _:
                    return self._remember(key, self._execute(request, key))

    def lookup(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere:
        """See `PaymentGateway.lookup`."""
        with self._lock:
            if key in self._later:
                return self._settled(key)
            return self._answers.get(key, NotThere())

    def _settled(self, key: str) -> Outcome:
        return self._remember(key, self._later.pop(key))

    def _remember(self, key: str, outcome: Outcome) -> Outcome:
        self._answers[key] = outcome
        return outcome

    def _execute(self, request: PaymentEffect, key: str) -> Outcome:
        self.executed[key] += 1
        amount = request.amount.minor
        account = self.accounts.setdefault(request.payment_id, Account(request.amount.currency))
        match request:
            case Authorise(token=token) if token.startswith("tok_decline"):
                return Declined("card_declined", "the customer's bank said no")
            case Authorise(sale=sale):
                account.authorised += amount
                if sale:
                    account.captured += amount
                return self._done(request, SOLD if sale else AUTHORISED)
            case Capture() if amount > account.open:
                return self._refuse(f"capture of {amount} with {account.open} open")
            case Capture():
                account.captured += amount
                return self._done(request, CAPTURED)
            case Void() if amount > account.open:
                return self._refuse(f"void of {amount} with {account.open} open")
            case Void():
                account.voided += amount
                return self._done(request, VOIDED)
            case SendRefund() if amount > account.kept:
                return self._refuse(f"refund of {amount} with {account.kept} captured")
            case SendRefund():
                account.refunded += amount
                return self._done(request, REFUNDED)
            case _:
                return Unknown(f"{type(request).__name__} is nothing a payment provider does")

    def _refuse(self, what: str) -> Declined:
        self.refusals.append(what)
        return Declined("limit", what)

    def _done(self, request: PaymentEffect, kind: str) -> Succeeded:
        self._transactions += 1
        fact = Fact(
            kind=kind,
            transaction_id=f"txn-{request.payment_id}-{self._transactions}",
            minor=request.amount.minor,
            currency=request.amount.currency,
            occurred_at=self._clock.now(),
        )
        return Succeeded(result=(fact,), reference=fact.transaction_id)

    # What came of it.

    @property
    def captured(self) -> int:
        """All money ever captured, in minor units."""
        return sum(account.captured for account in self.accounts.values())

    @property
    def asked_twice(self) -> list[str]:
        """Keys that were executed more than once: must be empty."""
        return [key for key, times in self.executed.items() if times > 1]


class FakeCarrier:
    """A carrier in memory.  Sells labels with tracking numbers, and reports what it is told to report.

    `deliver(tracking_number)`, `lose(tracking_number)` and `scan(tracking_number)` say what the next tracking
    answers.  Script coming requests like `FakePayments`: `decline_next()`, `fail_next()`, `lose_next()`.
    """

    capabilities = Capabilities(idempotency="key", lookup=True)

    def __init__(self, *, clock: Clock | None = None, prefix: str = "TRACK") -> None:
        self._clock = clock or SystemClock()
        self._prefix = prefix
        self._lock = threading.Lock()
        self._script = _Script()
        self._answers: dict[str, Outcome] = {}
        self._scans: dict[str, list[Scan]] = {}
        self.labels: dict[str, Label] = {}
        """Every label ever sold, by tracking number."""
        self.voided: list[str] = []
        """Tracking numbers of labels that were given back."""
        self.asked: Counter[str] = Counter()
        self.executed: Counter[str] = Counter()
        self.requests: list[CarrierEffect] = []

    def decline_next(self, kind: str = "") -> None:
        """Decline the next request (of this type, such as ``"BuyLabel"``)."""
        self._script.steps.append(("decline", kind))

    def fail_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer."""
        self._script.steps.append(("fail", kind))

    def lose_next(self, kind: str = "") -> None:
        """Execute the next request, but lose the answer."""
        self._script.steps.append(("lose", kind))

    def scan(self, tracking_number: str, note: str = "") -> None:
        """The parcel was seen on its way."""
        self._report(tracking_number, IN_TRANSIT, note)

    def deliver(self, tracking_number: str) -> None:
        """The parcel arrived."""
        self._report(tracking_number, DELIVERED, "")

    def lose(self, tracking_number: str, note: str = "lost") -> None:
        """The parcel will not arrive."""
        self._report(tracking_number, UNDELIVERABLE, note)

    def _report(self, tracking_number: str, kind: str, note: str) -> None:
        with self._lock:
            self._scans[tracking_number].append(Scan(kind=kind, occurred_at=self._clock.now(), note=note))

    # The port.

    def execute(self, request: CarrierEffect, *, key: str, deadline: timedelta) -> Outcome:
        """See `Carrier.execute`."""
        with self._lock:
            self.asked[key] += 1
            self.requests.append(request)
            if isinstance(request, Track):
                return self._track(request)
            if key in self._answers:
                return self._answers[key]
            match self._script.next(request):
                case "decline":
                    outcome: Outcome = Declined("declined", "the carrier said no")
                case "fail":
                    raise ProviderTimeout("not executed, and no answer")
                case "lose":
                    self._answers[key] = self._execute(request, key)
                    raise ProviderTimeout("executed, but the answer was lost")
                case _:
                    outcome = self._execute(request, key)
            self._answers[key] = outcome
            return outcome

    def lookup(self, request: CarrierEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere:
        """See `Carrier.lookup`."""
        with self._lock:
            if isinstance(request, Track):
                return self._track(request)
            return self._answers.get(key, NotThere())

    def _execute(self, request: CarrierEffect, key: str) -> Outcome:
        self.executed[key] += 1
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
        scans = tuple(self._scans.get(request.tracking_number, ()))
        if scans and scans[-1].kind in (DELIVERED, UNDELIVERABLE):
            return Succeeded(result=scans, reference=request.tracking_number)
        return Pending(reference=request.tracking_number, again_after=timedelta(hours=6), result=scans)


__all__ = ["Account", "FakeCarrier", "FakePayments", "ProviderTimeout"]
