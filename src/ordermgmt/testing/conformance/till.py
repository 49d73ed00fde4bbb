"""One customer after another at a gateway: requests with fresh ids and keys, waited for until they are answered."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta
from typing import Any

import attrs
import pendulum
from attrs import define, field
from pendulum import DateTime

from ordermgmt.engine.adapters import NotThere
from ordermgmt.engine.effects import Pending, Succeeded
from ordermgmt.money import Money
from ordermgmt.payments.messages import Authorise, Capture, PaymentEffect, Void
from ordermgmt.payments.model import Fact
from ordermgmt.payments.port import GatewayCapabilities
from ordermgmt.refunds.messages import SendRefund

from .asking import Asker, Heard, shown
from .contract import not_claimed, not_driven

POLLS_MAX = 20
WAIT_MAX = timedelta(seconds=2)
"""How long the contract really waits where the provider's clock cannot be moved."""
_numbers = itertools.count(int(time.time()))
"""Payments are named anew in every run, for a provider's test account remembers those of the last one."""


@define
class Till:
    """What the tests do with a gateway."""

    ask: Asker
    can: GatewayCapabilities
    provider: Any
    token: str
    declined_token: str
    key_count: itertools.count[int] = field(factory=itertools.count)

    # What is claimed, and what can be driven.

    def needs(self, *claims: str) -> None:
        """Run on only if the adapter claims these capabilities."""
        for claim in claims:
            if not getattr(self.can, claim):
                not_claimed(claim)

    def needs_key(self) -> None:
        """Run on only if a key is executed once."""
        if self.can.idempotency != "key":
            not_claimed("idempotency by key")

    def needs_lookup(self) -> None:
        """Run on only if it can be asked what became of a request."""
        if not self.can.can_look_up:
            not_claimed("lookup")

    def needs_method(self, name: str) -> None:
        """Run on only if the adapter has this optional method."""
        if not hasattr(self.ask.adapter, name):
            not_claimed(name)

    def drive(self, ability: str) -> Any:
        """What the provider hook can do by this name; the test is reported and not run where it cannot."""
        found = getattr(self.provider, ability, None)
        if found is None:
            not_driven(ability)
        return found

    @property
    def now(self) -> DateTime:
        """The provider's time."""
        told = getattr(self.provider, "now", None)
        now: DateTime = told() if told is not None else pendulum.now("UTC")
        return now

    def pass_time(self, span: timedelta) -> None:
        """Let time pass at the provider."""
        if span <= timedelta(0):
            return
        move = getattr(self.provider, "pass_time", None)
        if move is not None:
            move(span)
        elif span <= WAIT_MAX:
            time.sleep(span.total_seconds())
        else:
            not_driven("pass_time")

    # Requests.

    def key(self) -> str:
        """A key as the engine makes them: 52 characters."""
        return f"{next(_numbers):026x}{next(self.key_count):026x}"

    def authorise(
        self, minor: int = 1000, currency: str = "EUR", *, sale: bool = False, token: str = "", payment_id: str = ""
    ) -> Authorise:
        """A request for a new payment."""
        order_id = f"kit-{next(_numbers)}"
        return Authorise(
            payment_id=payment_id or f"{order_id}:1",
            order_id=order_id,
            gateway="card",
            amount=Money.of_minor(minor, currency),
            ask=1,
            token=token or self.token,
            sale=sale,
        )

    def capture(self, paid: Paid, minor: int) -> Capture:
        """A request to capture on a payment."""
        return Capture(**paid.about(minor))

    def void(self, paid: Paid, minor: int) -> Void:
        """A request to give up what is open."""
        return Void(**paid.about(minor))

    def refund(self, paid: Paid, minor: int) -> SendRefund:
        """A request to give money back."""
        about = paid.about(minor)
        return SendRefund(**about, refund_id=f"{paid.request.order_id}:r{about['ask']}")

    def next_of(self, verb: str) -> tuple[PaymentEffect, str]:
        """A request of this kind that can succeed, with a key: what has to be done before is done."""
        match verb:
            case "authorise":
                return self.authorise(), self.key()
            case "capture":
                return self.capture(self.paid(), 1000), self.key()
            case "void":
                return self.void(self.paid(), 1000), self.key()
            case _:
                return self.refund(self.paid(sale=True), 1000), self.key()

    # Asking until there is an answer.

    def done(self, request: PaymentEffect, key: str = "") -> Heard:
        """The answer, waited for as long as it is pending."""
        key = key or self.key()
        return self.waited_for(request, key, self.ask.execute(request, key))

    def waited_for(self, request: PaymentEffect, key: str, answer: Heard) -> Heard:
        """What comes after `Pending`."""
        for _ in range(POLLS_MAX):
            if not isinstance(answer, Pending):
                return answer
            self.pass_time(answer.again_after)
            answer = self.ask.lookup(request, key) if self.can.can_look_up else self.ask.execute(request, key)
        raise AssertionError(f"still pending after {POLLS_MAX} polls")

    def found(self, request: PaymentEffect, key: str) -> Heard:
        """What a lookup finds once its lag is over, and it is not pending any more."""
        self.pass_time(self.can.lookup_lag)
        return self.waited_for(request, key, self.ask.lookup(request, key))

    def facts(self, request: PaymentEffect, key: str = "") -> tuple[Fact, ...]:
        """Do it; it must succeed with facts."""
        return facts_of(self.done(request, key))

    def paid(self, minor: int = 1000, currency: str = "EUR", *, sale: bool = False) -> Paid:
        """A new payment, authorised (and captured, if it is a sale)."""
        request = self.authorise(minor, currency, sale=sale)
        key = self.key()
        facts = self.facts(request, key)
        return Paid(request, key, facts)


@define
class Paid:
    """A payment that was authorised."""

    request: Authorise
    key: str
    facts: tuple[Fact, ...]
    asked: int = 1

    @property
    def authorisation(self) -> str:
        """The provider's name for it."""
        return self.facts[0].transaction_id

    def about(self, minor: int) -> dict[str, Any]:
        """What a further request on it says."""
        self.asked += 1
        request = self.request
        return {
            "payment_id": request.payment_id,
            "order_id": request.order_id,
            "gateway": request.gateway,
            "amount": Money.of_minor(minor, request.amount.currency),
            "ask": self.asked,
            "authorisation": self.authorisation,
        }


def facts_of(answer: Heard) -> tuple[Fact, ...]:
    """The facts of a success; anything else fails the test."""
    assert isinstance(answer, Succeeded), f"it must succeed, and {shown(answer)}"  # noqa: S101 - an assertion of tests
    facts: tuple[Any, ...] = answer.result
    assert isinstance(facts, tuple), "a success carries a tuple of facts"  # noqa: S101 - as above
    assert all(isinstance(fact, Fact) for fact in facts), "a success carries facts"  # noqa: S101 - as above
    assert facts, "a success carries at least one fact"  # noqa: S101 - as above
    return facts


def deeds(answer: Heard) -> set[tuple[str, str, int, str]]:
    """What an answer says was done, for comparing."""
    return {(f.transaction_id, f.kind, f.minor, f.currency) for f in facts_of(answer)}


def absent(answer: Heard) -> bool:
    """Whether a lookup said that there is no such request."""
    return isinstance(answer, NotThere)


def other_amount(request: Authorise) -> Authorise:
    """The same request with another amount."""
    return attrs.evolve(request, amount=request.amount + request.amount)
