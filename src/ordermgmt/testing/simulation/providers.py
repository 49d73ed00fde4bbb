"""The world outside: payment providers and carriers of several characters, behind a network that loses things.

They keep books that nobody can take from them: what they executed, for which effect, under which key.  They refuse
what a real provider would refuse, and every refusal for a limit counts against us.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from attrs import define, field
from pendulum import DateTime

from ...engine.adapters import CannotTell, Capabilities, Listing, Notice, NotThere
from ...engine.effects import Declined, Outcome, Pending, RetryLater, Succeeded
from ...engine.messages import Effect
from ...payments.messages import Authorise, Capture, PaymentEffect, Void
from ...payments.model import (
    AUTHORISED,
    CAPTURED,
    CHARGED_BACK,
    EXPIRED,
    REFUNDED,
    SOLD,
    VOIDED,
    Amounts,
    Fact,
    Payment,
    fold,
)
from ...payments.port import GatewayCapabilities
from ...refunds.messages import SendRefund
from ...shipments.messages import BuyLabel, CarrierEffect, Track, VoidLabel
from ...shipments.model import DELIVERED, IN_TRANSIT, UNDELIVERABLE, Label, Scan
from ...values import frozen
from .faults import Faults

LOST = 0.1
"""How likely a parcel of the calm never arrives."""


class NoAnswer(Exception):
    """The network lost something."""


class Surroundings(Protocol):
    """What a provider needs of the world it stands in."""

    faults: Faults

    @property
    def now(self) -> DateTime: ...

    def happens(self, kind: str, chance: float) -> bool:
        """Throw the dice for a fault, and count it where it happens."""
        ...

    def between(self, low: float, high: float) -> float: ...

    def later(self, at: DateTime, what: Callable[[], object]) -> None:
        """Do this when its time has come."""
        ...

    def breach(self, law: str, explanation: str) -> None: ...

    def count(self, kind: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def publish(self, port: tuple[str, str], notice: Notice) -> None:
        """A webhook sets out."""
        ...


@define
class Deed:
    """Something a provider executed."""

    effect_id: str
    key: str
    outcome: Succeeded
    at: DateTime
    ready: DateTime
    """From when on it tells; later than `at` where it first answered that it would answer later."""


@frozen
class Remembered:
    """What a key is answered with."""

    outcome: Outcome | None
    """None for a stored server error."""
    at: DateTime
    ready: DateTime


LATE_MAX = timedelta(minutes=12)
"""How long a simulated request may be on its way.  Less than the declared late window, by what a lease and two clocks
that differ may add."""


class Provider:
    """What payment providers and carriers have in common: keys, books, and a network in between."""

    family = ""

    def __init__(self, name: str, capabilities: Capabilities, world: Surroundings) -> None:
        self.name = name
        self.capabilities = capabilities
        self.world = world
        self.executed: Counter[str] = Counter()
        """How often each effect was executed: more than once is a disaster."""
        self.deeds: dict[str, Deed] = {}
        """By effect."""
        self.by_key: dict[str, Deed] = {}
        self.refusals: list[str] = []
        self.requests: dict[str, Effect] = {}
        """What came under each key; the same key must bring the same request."""
        self.poisoned: dict[str, bool] = {}
        self.forgets_declines = name in ("card", "bank")
        """True where a key that was declined may be used for another try, which may then succeed."""
        self._declined: set[str] = set()
        self._memory: dict[str, Remembered] = {}
        self._notices = 0

    @property
    def port(self) -> tuple[str, str]:
        return (self.family, self.name)

    # The port.

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """A request sets out, and perhaps arrives."""
        faults, world = self.world.faults, self.world
        self._check_request(request, key)
        if self._is_poison(request):
            raise NoAnswer("this one always breaks")
        if world.happens("lost request", faults.lost_request):
            raise NoAnswer("the request was lost")
        if world.happens("late request", faults.late_request):
            arrives = world.now + LATE_MAX * world.between(0.01, 1)
            world.later(arrives, lambda: None if key in self._declined else self.arrive(request, key))
            raise NoAnswer("no answer in time")
        if world.happens("put off", faults.put_off):
            return RetryLater(timedelta(seconds=world.between(0, 1_000_000 if world.between(0, 1) > 0.9 else 60)))
        if self.capabilities.remembers_errors and world.happens("stored error", faults.stored_error):
            self._memory.setdefault(key, Remembered(None, world.now, world.now))
        if world.happens("garbage", faults.garbage):
            if world.between(0, 1) < 0.5:
                self.arrive(request, key)
            return object()
        answer = self.arrive(request, key)
        if world.happens("lost response", faults.lost_response):
            raise NoAnswer("the answer was lost")
        return answer

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """What became of the request with this key."""
        world = self.world
        if world.happens("lost request", world.faults.lost_request):
            raise NoAnswer("the question was lost")
        if world.happens("garbage", world.faults.garbage):
            return CannotTell("try again")
        return self._found(request, key)

    def _found(self, request: Any, key: str) -> Any:
        deed = self.by_key.get(key)
        lag = self.capabilities.lookup_lag
        before = self._memory.get(key)
        remembered = before is not None and self._remembers(before)
        if deed is None or self.world.now < deed.at + lag:
            declined = before is not None and remembered and isinstance(before.outcome, Declined)
            return before.outcome if before is not None and declined else NotThere()
        return deed.outcome if self.world.now >= deed.ready else Pending(f"later-{deed.effect_id}")

    def list(self, since: DateTime, until: DateTime, cursor: str | None) -> Listing:
        """Everything executed in this time, a page at a time."""
        start = int(cursor or 0)
        rows = [d for d in self.deeds.values() if since <= d.at <= until and self.world.now >= d.ready]
        page = tuple(self._notice(deed, f"deed-{deed.effect_id}", named=True) for deed in rows[start : start + 20])
        return Listing(page, str(start + 20) if start + 20 < len(rows) else None)

    # At the provider.

    def arrive(self, request: Any, key: str) -> Any:
        """A request arrives: answered from memory, or executed."""
        world = self.world
        before = self._memory.get(key)
        if before is not None and self._remembers(before):
            if before.outcome is None:
                raise NoAnswer("the stored error, once more")
            return before.outcome if world.now >= before.ready else Pending(f"later-{request.effect_id}")
        # A no that may become a yes is the one that may not be taken too late.
        if world.happens("decline", world.faults.decline * (2 if self.forgets_declines else 1)):
            outcome: Outcome = Declined("declined", "the provider said no")
        else:
            outcome = self._perform(request)
        ready = world.now
        if isinstance(outcome, Succeeded) and world.happens("pending", world.faults.pending):
            ready = world.now + timedelta(minutes=world.between(1, 600))
        if isinstance(outcome, Declined) and self.forgets_declines:
            self._declined.add(key)
            return outcome
        self._memory[key] = Remembered(outcome, world.now, ready)
        if isinstance(outcome, Succeeded):
            self._book(Deed(request.effect_id, key, outcome, world.now, ready))
        return outcome if ready == world.now else Pending(f"later-{request.effect_id}", timedelta(minutes=5))

    def _remembers(self, before: Remembered) -> bool:
        can = self.capabilities
        if can.idempotency == "none":
            return False
        if can.idempotency == "key" and self.world.now >= before.at + can.key_ttl:
            self.world.count("key expired")
            return False
        return True

    def _book(self, deed: Deed) -> None:
        self.executed[deed.effect_id] += 1
        self.world.tell(f"{self.name} executes {deed.effect_id} under key {deed.key[:6]}…")
        if self.executed[deed.effect_id] > 1:
            self.world.breach("E2", f"{self.name} executed {deed.effect_id} {self.executed[deed.effect_id]} times")
        self.deeds[deed.effect_id] = self.by_key[deed.key] = deed
        self.world.later(deed.ready, lambda: self._tell(deed))

    def _tell(self, deed: Deed) -> None:
        notice = self._notice(deed, self.event_id())
        if notice.result:
            self.world.publish(self.port, notice)

    def event_id(self) -> str:
        """A fresh name for a notice."""
        self._notices += 1
        return f"{self.name}-{self._notices}"

    def _is_poison(self, request: Any) -> bool:
        known = self.poisoned.get(request.effect_id)
        if known is None:
            known = not isinstance(request, Track) and self.world.happens("poison", self.world.faults.poison)
            self.poisoned[request.effect_id] = known
        return known

    def heal(self) -> None:
        """What always broke works from now on."""
        self.poisoned = dict.fromkeys(self.poisoned, False)

    def _check_request(self, request: Effect, key: str) -> None:
        before = self.requests.setdefault(key, request)
        if before != request:
            self.world.breach("E5", f"key {key[:8]}… came with another request: {request}, before {before}")

    def _refuse(self, effect_id: str, what: str, *, ours: bool) -> Declined:
        self.refusals.append(what)
        if ours:
            self.world.breach("M10", f"{self.name} refused {effect_id}: {what}")
        return Declined("limit", what)

    def _perform(self, request: Any) -> Outcome:
        raise NotImplementedError

    def _notice(self, deed: Deed, event_id: str, *, named: bool = False) -> Notice:
        raise NotImplementedError


@define
class Account:
    """One payment at the provider: the facts it would show on its dashboard."""

    currency: str
    facts: list[Fact] = field(factory=list[Fact])
    own: bool = False
    """True once the provider acted by itself, so that it may refuse what we asked in good faith."""

    @property
    def amounts(self) -> Amounts:
        """What the facts come to."""
        return fold(self.facts, ())


class Gateway(Provider):
    """A payment provider."""

    family = "gateways"

    def __init__(self, name: str, capabilities: GatewayCapabilities, world: Surroundings) -> None:
        super().__init__(name, capabilities, world)
        self.accounts: dict[str, Account] = {}
        self._of: dict[str, PaymentEffect] = {}

    def _perform(self, request: PaymentEffect) -> Outcome:
        self._of[request.effect_id] = request
        minor = request.amount.minor
        account = self.accounts.setdefault(request.payment_id, Account(request.amount.currency))
        amounts = account.amounts
        id, ours = request.effect_id, not account.own
        match request:
            case Authorise(token=token) if token.startswith("tok_decline"):
                return Declined("card_declined", "the customer's bank said no")
            case Authorise(sale=sale):
                return self._done(account, request, SOLD if sale else AUTHORISED)
            case Capture() | Void() if request.authorisation not in {fact.transaction_id for fact in account.facts}:
                return self._refuse(id, f"there is no authorisation {request.authorisation!r}", ours=True)
            case Capture() if minor > amounts.open:
                return self._refuse(id, f"capture of {minor} with {amounts.open} open", ours=ours)
            case Capture():
                return self._done(account, request, CAPTURED)
            case Void() if minor > amounts.open:
                return self._refuse(id, f"void of {minor} with {amounts.open} open", ours=ours)
            case Void():
                return self._done(account, request, VOIDED)
            case SendRefund() if minor > amounts.paid:
                return self._refuse(id, f"refund of {minor} with {amounts.paid} kept", ours=ours)
            case SendRefund():
                return self._done(account, request, REFUNDED)
            case _:
                return Declined("unknown", f"{type(request).__name__} is nothing a payment provider does")

    def _done(self, account: Account, request: PaymentEffect, kind: str) -> Succeeded:
        fact = self._fact(account, request.payment_id, kind, request.amount.minor)
        return Succeeded((fact,), fact.transaction_id)

    def _fact(self, account: Account, payment_id: str, kind: str, minor: int) -> Fact:
        fact = Fact(
            kind=kind,
            transaction_id=f"{self.name}-{payment_id}-{len(account.facts) + 1}",
            minor=minor,
            currency=account.currency,
            occurred_at=self.world.now,
        )
        account.facts.append(fact)
        return fact

    def _notice(self, deed: Deed, event_id: str, *, named: bool = False) -> Notice:
        request = self._of[deed.effect_id]
        reference = getattr(request, "authorisation", "") or deed.outcome.reference
        # Some notices name our key, and some only what they are about, as providers do.
        nameless = not named and self.capabilities.can_look_up and len(event_id) % 3 == 0
        return Notice(
            event_id=event_id, key="" if nameless else deed.key, reference=reference, result=deed.outcome.result
        )

    def act(self, payment: Payment) -> None:
        """What a provider does by itself: an authorisation runs out, or a bank takes the money back."""
        account = self.accounts.get(payment.payment_id)
        if account is None or not payment.authorisation:
            return
        amounts = account.amounts
        if amounts.open > 0 and self.world.between(0, 1) < 0.3:
            kind, minor = CAPTURED, amounts.open + 50  # by hand on its dashboard, with a tip
        elif amounts.open > 0:
            kind, minor = EXPIRED, amounts.open
        elif amounts.paid > 0:
            kind, minor = CHARGED_BACK, amounts.paid
        else:
            return
        account.own = True
        self.world.count("provider acts")
        fact = self._fact(account, payment.payment_id, kind, minor)
        notice = Notice(event_id=self.event_id(), reference=payment.authorisation, result=(fact,))
        self.world.publish(self.port, notice)


class Parcels(Provider):
    """A carrier."""

    family = "carriers"

    def __init__(self, name: str, capabilities: Capabilities, world: Surroundings) -> None:
        super().__init__(name, capabilities, world)
        self.labels: dict[str, Label] = {}
        """Every label sold, by tracking number."""
        self.voided: set[str] = set()
        self.tracked: set[str] = set()
        """Parcels somebody asked after: they are on their way."""
        self.scans: dict[str, list[Scan]] = {}
        self._of: dict[str, CarrierEffect] = {}

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if isinstance(request, Track):
            return self._track(request)
        return super().execute(request, key=key, deadline=deadline)

    def _found(self, request: Any, key: str) -> Any:
        return self._track(request) if isinstance(request, Track) else super()._found(request, key)

    def _track(self, request: Track) -> Outcome:
        number = request.tracking_number
        self.tracked.add(number)
        scans = tuple(self.scans.get(number, ()))
        if scans and scans[-1].kind in (DELIVERED, UNDELIVERABLE):
            return Succeeded(result=scans, reference=number)
        return Pending(reference=number, again_after=timedelta(hours=6), result=scans)

    def _perform(self, request: CarrierEffect) -> Outcome:
        self._of[request.effect_id] = request
        match request:
            case BuyLabel():
                number = f"{self.name}-{len(self.labels) + 1:05d}"
                self.labels[number] = Label(tracking_number=number, reference=f"label-{number}")
                self.scans[number] = []
                return Succeeded(self.labels[number], number)
            case VoidLabel(label=label) if label.tracking_number in self.voided:
                return self._refuse(request.effect_id, f"label {label.tracking_number} is void", ours=True)
            case VoidLabel(label=label):
                self.voided.add(label.tracking_number)
                return Succeeded(reference=label.tracking_number)
            case _:
                return Declined("unknown", f"{type(request).__name__} is nothing a carrier does")

    def _notice(self, deed: Deed, event_id: str, *, named: bool = False) -> Notice:
        result = deed.outcome.result
        about = (result,) if isinstance(result, Label) else ()
        return Notice(event_id=event_id, key=deed.key, reference=deed.outcome.reference, result=about)

    def report(self, number: str, kind: str) -> None:
        """A parcel was seen."""
        scans = self.scans[number]
        if scans and scans[-1].kind == DELIVERED:
            return
        scans.append(Scan(kind=kind, occurred_at=self.world.now))
        self.world.publish(self.port, Notice(event_id=self.event_id(), reference=number, result=(scans[-1],)))

    def arrive_at_last(self, number: str) -> None:
        """A parcel comes to its end, the right one most often."""
        if not self.scans[number] or self.scans[number][-1].kind not in (DELIVERED, UNDELIVERABLE):
            self.report(number, UNDELIVERABLE if self.world.between(0, 1) < LOST else DELIVERED)

    def move(self) -> None:
        """Some parcel gets on."""
        numbers = sorted(self.tracked)
        if numbers:
            number = numbers[int(self.world.between(0, len(numbers)))]
            chance = self.world.between(0, 1)
            self.report(number, DELIVERED if chance < 0.5 else IN_TRANSIT if chance < 0.75 else UNDELIVERABLE)


CHARACTERS: dict[str, GatewayCapabilities] = {
    "card": GatewayCapabilities(idempotency="key", lookup="by_key"),
    "wallet": GatewayCapabilities(
        idempotency="key", key_ttl=timedelta(minutes=40), lookup="by_key", remembers_errors=True
    ),
    "bank": GatewayCapabilities(idempotency="key", key_ttl=timedelta(minutes=45)),
    "voucher": GatewayCapabilities(idempotency="reference", lookup="by_reference"),
    "invoice": GatewayCapabilities(lookup="by_key", lookup_lag=timedelta(minutes=2)),
    "terminal": GatewayCapabilities(),
}
"""Payment providers by name, and what each can do."""

CARRIERS: dict[str, Capabilities] = {
    "parcel": Capabilities(idempotency="key", lookup="by_key"),
    "courier": Capabilities(lookup="by_key"),
}
