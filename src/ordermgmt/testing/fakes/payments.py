"""A payment provider in memory, with the gateway adapter that speaks to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Self

from attrs import define
from pendulum import DateTime

from ...engine.adapters import CannotTell, Listing, Notice, NotThere
from ...engine.effects import Declined, Outcome, Succeeded, Unknown
from ...engine.ports import Clock, SystemClock
from ...payments.messages import Authorise, Capture, PaymentEffect, Void
from ...payments.model import AUTHORISED, CAPTURED, CHARGED_BACK, EXPIRED, REFUNDED, SOLD, VOIDED, Fact
from ...payments.port import GatewayCapabilities
from ...refunds.messages import SendRefund
from .books import Books
from .intake import Intake

WEBHOOK_SECRET = "whsec_fake"  # noqa: S105 - it guards a fake


@define
class Account:
    """One payment at the provider, in minor units."""

    currency: str
    authorised: int = 0
    captured: int = 0
    voided: int = 0
    refunded: int = 0
    expired: int = 0
    charged_back: int = 0
    authorisation: str = ""
    """The provider's transaction id of the authorisation."""

    @property
    def open(self) -> int:
        """What can still be captured."""
        return self.authorised - self.captured - self.voided - self.expired

    @property
    def kept(self) -> int:
        """What the merchant has."""
        return self.captured - self.refunded - self.charged_back


class FakePayments:
    """A payment provider in memory.  Does what its `capabilities` state and nothing better, and enforces its limits.

    By default it executes a key once in 24 hours and can be looked up.  Other personalities are made by name:
    `keyed`, `unique_reference`, `lookup_only`, `neither`, `asynchronous`, `storing_errors`, `lagging`; or give
    `capabilities` of your own.

    Script what happens to coming requests: `decline_next()`, `fail_next()` (a time-out that was not executed;
    `arrive_late()` executes it after all), `lose_next()` (executed, but the answer is lost), `break_next()` (an error
    of the provider's own), `put_off_next()` (too many requests), `answer_later_next()` (pending until it is asked
    again), `hang_next()`.  A token that begins with ``tok_decline`` is always declined.

    Args:
        clock: The provider's time; a `ManualClock` in tests.
        capabilities: What it can do, and does.
        takes: How long it answers `Pending` to everything; None answers at once.
        secrets: What its webhooks are signed with: the first one signs, all of them are accepted.
        page_size: How many deeds one page of `list` holds.
    """

    capabilities = GatewayCapabilities(idempotency="key", lookup=True)

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        capabilities: GatewayCapabilities | None = None,
        takes: timedelta | None = None,
        secrets: Sequence[str] = (WEBHOOK_SECRET,),
        page_size: int = 100,
    ) -> None:
        if capabilities is not None:
            self.capabilities = capabilities
        self._clock = clock or SystemClock()
        self._intake = Intake(
            can=lambda: self.capabilities,
            clock=self._clock,
            perform=self._perform,
            booked=self._book,
            takes=takes,
        )
        self.books = Books(tuple(secrets), page_size)
        """Every deed with its time."""
        self._transactions = 0
        self.accounts: dict[str, Account] = {}
        """What the provider holds, by our payment id."""
        self.asked: Counter[str] = self._intake.asked
        """How often each key came."""
        self.executed: Counter[str] = self._intake.executed
        """How often each key was executed.  More than one would be a disaster."""
        self.done: Counter[str] = Counter()
        """How often each effect was done, under whatever keys.  More than one would be a disaster."""
        self.requests: list[PaymentEffect] = []
        """Every request that arrived, in order."""
        self.refusals: list[str] = self._intake.misuses
        """What was refused for a limit, or for a key that was used for something else: each is a mistake of ours."""

    # Personalities.

    @classmethod
    def keyed(
        cls, *, clock: Clock | None = None, key_ttl: timedelta = timedelta(hours=24), lookup: bool = True
    ) -> Self:
        """Executes a key once, and forgets it after `key_ttl`: asked again then, it executes again."""
        can = GatewayCapabilities(idempotency="key", key_ttl=key_ttl, lookup=lookup)
        return cls(clock=clock, capabilities=can)

    @classmethod
    def unique_reference(cls, *, clock: Clock | None = None, lookup: bool = True) -> Self:
        """Refuses a second request with the same reference, for ever."""
        can = GatewayCapabilities(idempotency="reference", lookup="by_reference" if lookup else "none")
        return cls(clock=clock, capabilities=can)

    @classmethod
    def lookup_only(cls, *, clock: Clock | None = None, lookup_lag: timedelta = timedelta(0)) -> Self:
        """Executes every request; can be asked what it did."""
        can = GatewayCapabilities(idempotency="none", lookup="by_reference", lookup_lag=lookup_lag)
        return cls(clock=clock, capabilities=can)

    @classmethod
    def neither(cls, *, clock: Clock | None = None) -> Self:
        """Executes every request, and cannot be asked."""
        return cls(clock=clock, capabilities=GatewayCapabilities(idempotency="none", lookup="none"))

    @classmethod
    def asynchronous(cls, *, clock: Clock | None = None, takes: timedelta = timedelta(minutes=10)) -> Self:
        """Takes everything on, and tells later: by webhook, or when it is asked after `takes`."""
        return cls(clock=clock, takes=takes)

    @classmethod
    def storing_errors(cls, *, clock: Clock | None = None, key_ttl: timedelta = timedelta(hours=24)) -> Self:
        """Remembers errors of its own: a key that met one is answered with it again."""
        can = GatewayCapabilities(idempotency="key", key_ttl=key_ttl, lookup=True, remembers_errors=True)
        return cls(clock=clock, capabilities=can)

    @classmethod
    def lagging(cls, *, clock: Clock | None = None, lookup_lag: timedelta = timedelta(seconds=30)) -> Self:
        """Finds what it did only after a while."""
        can = GatewayCapabilities(idempotency="key", lookup=True, lookup_lag=lookup_lag)
        return cls(clock=clock, capabilities=can)

    # Scripting.

    def decline_next(self, kind: str = "") -> None:
        """Decline the next request (of this type, such as ``"Capture"``)."""
        self._intake.script.say("decline", kind)

    def fail_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer.  It may still `arrive_late`."""
        self._intake.script.say("fail", kind)

    def lose_next(self, kind: str = "") -> None:
        """Execute the next request, but lose the answer."""
        self._intake.script.say("lose", kind)

    def break_next(self, kind: str = "") -> None:
        """Answer the next request with an error of the provider's own; a provider that remembers errors keeps it."""
        self._intake.script.say("break", kind)

    def put_off_next(self, kind: str = "") -> None:
        """Answer the next request with: later."""
        self._intake.script.say("put_off", kind)

    def answer_later_next(self, kind: str = "") -> None:
        """Take the next request on, and answer it when it is asked for again."""
        self._intake.script.say("later", kind)

    def decline_later_next(self, kind: str = "") -> None:
        """Take the next request on, and tell later that it could not be done: a refund that a bank sends back."""
        self._intake.script.say("decline_later", kind)

    def hang_next(self, kind: str = "") -> None:
        """Do not execute the next request, and do not answer before its deadline, in real time."""
        self._intake.script.say("hang", kind)

    def arrive_late(self) -> int:
        """Requests that `fail_next` kept from arriving arrive after all, unless their late window is over.

        Answers how many were executed.
        """
        return self._intake.arrive_late()

    # The port.

    def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome:
        """See `PaymentGateway.execute`."""
        self.requests.append(request)
        return self._intake.take(request, key, deadline)

    def lookup(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere | CannotTell:
        """See `PaymentGateway.lookup`."""
        return self.look_up(key)

    def look_up(self, key: str) -> Outcome | NotThere | CannotTell:
        """What became of the request with this key; nothing is changed."""
        return self._intake.look(key)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: DateTime) -> list[Notice]:
        """See `Telling.parse_webhook`."""
        return self.books.parse(headers, body, now=now)

    def list(self, since: DateTime, until: DateTime, cursor: str | None) -> Listing:
        """See `Listed.list`."""
        with self._intake.lock:
            return self.books.page(since, until, cursor)

    # Telling.

    def webhook_for(
        self, *what: Notice | str, at: DateTime | None = None, secret: str | None = None, with_key: bool = True
    ) -> tuple[dict[str, str], bytes]:
        """Signed headers and body that tell what happened: notices, or names of them (a key, a transaction id).

        Args:
            what: What to tell, in this order.
            at: When it is signed; now by default.
            secret: Signs it; the first of `secrets` by default.
            with_key: Whether our idempotency keys are repeated, as not all providers do.
        """
        with self._intake.lock:
            return self.books.webhook(what, at=at or self._clock.now(), secret=secret, with_key=with_key)

    # Unasked.

    def expire(self, payment_id: str) -> Notice:
        """What is open of an authorisation runs out."""
        account = self.accounts[payment_id]
        return self._unasked(payment_id, EXPIRED, account.open, "expired")

    def charge_back(self, payment_id: str, minor: int | None = None) -> Notice:
        """The customer's bank takes money back; everything if no amount is given."""
        account = self.accounts[payment_id]
        return self._unasked(payment_id, CHARGED_BACK, account.kept if minor is None else minor, "charged_back")

    def capture_on_dashboard(self, payment_id: str, minor: int | None = None) -> Notice:
        """Somebody captures by hand at the provider; everything open if no amount is given."""
        account = self.accounts[payment_id]
        return self._unasked(payment_id, CAPTURED, account.open if minor is None else minor, "captured")

    def refund_on_dashboard(self, payment_id: str, minor: int | None = None) -> Notice:
        """Somebody gives money back by hand at the provider; everything if no amount is given."""
        account = self.accounts[payment_id]
        return self._unasked(payment_id, REFUNDED, account.kept if minor is None else minor, "refunded")

    def _unasked(self, payment_id: str, kind: str, minor: int, column: str) -> Notice:
        with self._intake.lock:
            account = self.accounts[payment_id]
            if minor <= 0:
                raise ValueError(f"there is nothing of payment {payment_id} that could be {kind}")
            setattr(account, column, getattr(account, column) + minor)
            fact = self._fact(payment_id, kind, minor, account.currency)
            notice = Notice(event_id="", reference=account.authorisation, result=(fact,))
            return self.books.enter(self._clock.now(), notice)

    # What it does.

    def _perform(self, request: PaymentEffect, key: str) -> Outcome:
        amount = request.amount.minor
        account = self.accounts.setdefault(request.payment_id, Account(request.amount.currency))
        match request:
            case Authorise(token=token) if token.startswith("tok_decline"):
                return Declined("card_declined", "the customer's bank said no")
            case Authorise(sale=sale):
                account.authorised += amount
                if sale:
                    account.captured += amount
                done = self._done(request, SOLD if sale else AUTHORISED)
                account.authorisation = account.authorisation or done.reference
                return done
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
        self.done[request.effect_id] += 1
        fact = self._fact(request.payment_id, kind, request.amount.minor, request.amount.currency)
        return Succeeded(result=(fact,), reference=fact.transaction_id)

    def _fact(self, payment_id: str, kind: str, minor: int, currency: str) -> Fact:
        self._transactions += 1
        return Fact(
            kind=kind,
            transaction_id=f"txn-{payment_id}-{self._transactions}",
            minor=minor,
            currency=currency,
            occurred_at=self._clock.now(),
        )

    def _book(self, request: PaymentEffect, key: str, outcome: Outcome, at: DateTime) -> None:
        account = self.accounts.get(request.payment_id)
        reference = account.authorisation if account is not None else ""
        match outcome:
            case Succeeded(result=facts):
                self.books.enter(at, Notice(event_id="", key=key, reference=reference, result=facts))
            case Declined(code=code):
                notice = Notice(event_id="", key=key, reference=reference, answer="declined", code=code)
                self.books.enter(at, notice)
            case _:
                pass

    # What came of it.

    @property
    def captured(self) -> int:
        """All money ever captured, in minor units."""
        return sum(account.captured for account in self.accounts.values())

    @property
    def asked_twice(self) -> Sequence[str]:
        """Keys that were executed, and effects that were done, more than once: must be empty."""
        return [name for counted in (self.executed, self.done) for name, times in counted.items() if times > 1]
