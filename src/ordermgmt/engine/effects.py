"""Effects as entities: what we mean to ask the outside world, asked at most once at a time, and never forgotten.

    ready ──claim──▶ sending ──▶ succeeded | failed | pending | unknown | parked

An intent is committed before its adapter is called, and so is the mark that it is being sent.  Therefore
*ready* means certainly never executed, and a *sending* whose lease has run out means nobody knows.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import Any, ClassVar

from attrs import field
from pendulum import DateTime
from statemachine import State, StateMachine

from ..values import frozen
from .codec import Frozen
from .lifecycle import Lifecycle
from .messages import Command, Event, News, checked_name, checked_note, checked_text

KIND = "effect"
ATTEMPTS_MAX = 12
STUCK = ("parked", "unknown", "pending")
"""Statuses in which a person may say what became of an intent."""


class EffectChart(StateMachine):
    """How an intent ends.  Parked waits for a person; everything else that is not final has a due time.

    `succeed` and `fail` lead out of `ready` too: after a restored backup, an intent that looks unsent may have been
    executed, and what the provider tells is a fact.
    """

    ready = State(initial=True)
    sending = State()
    pending = State()
    unknown = State()
    parked = State()
    succeeded = State(final=True)
    failed = State(final=True)
    cancelled = State(final=True)

    claim = ready.to(sending) | pending.to(sending) | unknown.to(sending)
    put_off = sending.to(ready)
    renew = sending.to(ready)
    wait = sending.to(pending)
    lose = sending.to(unknown)
    succeed = (
        ready.to(succeeded)
        | sending.to(succeeded)
        | pending.to(succeeded)
        | unknown.to(succeeded)
        | parked.to(succeeded)
    )
    fail = failed.from_(ready, sending, pending, unknown, parked)
    park = sending.to(parked) | unknown.to(parked) | pending.to(parked)
    retry = parked.to(unknown)
    cancel = ready.to(cancelled)


EFFECT = Lifecycle.of(EffectChart)


# Outcomes: what an adapter answers.


@frozen
class Succeeded:
    """It is done.  `result` is what the port's own documentation says: facts, a label, …"""

    result: Any = None
    reference: str = ""
    """The provider's own name for it."""


@frozen
class Declined:
    """The provider's definite no.  Nothing was executed, and nothing will be."""

    code: str
    message: str = ""


@frozen
class Pending:
    """The provider has taken it and will answer later; ask again after `again_after`."""

    reference: str = ""
    again_after: timedelta = timedelta(minutes=5)
    result: Any = None
    """What is known already, if the port's documentation says so."""


@frozen
class Unknown:
    """Nobody knows whether it was executed: a time-out, a broken answer, any exception."""

    cause: str = ""


@frozen
class RetryLater:
    """Certainly not executed: too busy, rate limited.  Not an attempt."""

    after: timedelta = timedelta(seconds=1)


Outcome = Succeeded | Declined | Pending | Unknown | RetryLater
"""What an adapter may answer: one of these five, and nothing else."""


@frozen(kw_only=True)
class Intent:
    """One effect, from the decision that wanted it to its end."""

    effect_id: str
    kind: str
    """The type of the effect: ``"Authorise"``."""
    port: tuple[str, str]
    lane: str
    group: str
    request: Frozen
    key: str
    """The idempotency key every attempt carries."""
    status: str
    due: DateTime
    planned_at: DateTime
    attempts: int = 0
    token: int = 0
    """Counts the claims: an answer with an older token comes from a worker that was overtaken."""
    first_sent: DateTime | None = None
    """When it was first sent under its present key."""
    last_sent: DateTime | None = None
    """When it was last sent."""
    generation: int = 1
    """Counts the keys: a new one is made only with proof that the old one is dead."""
    looks: int = 0
    """How many lookups in a row found nothing."""
    installation: str = ""
    """Which installation planned it; no other one sends it."""
    ended_at: DateTime | None = None
    doubtful: bool = False
    """True once an attempt's outcome was unknown: from then on it may have been executed."""
    reference: str = ""
    reason: str = ""
    """Why it is parked, failed, or tried again."""

    @property
    def ended(self) -> bool:
        """True where nothing more will be asked."""
        return self.status in EFFECT.final


# Events.


@frozen(kw_only=True)
class EffectPlanned(Event):
    """A decision wants this done outside."""

    intent: Intent


@frozen(kw_only=True)
class EffectClaimed(Event):
    """A worker is about to call the adapter."""

    trigger: ClassVar[str | None] = "claim"
    token: int
    lease: DateTime
    at: DateTime
    sends: bool = True


@frozen(kw_only=True)
class EffectSucceeded(Event):
    """The outside world did it."""

    trigger: ClassVar[str | None] = "succeed"
    reference: str
    at: DateTime | None = None
    evidence: str = ""


@frozen(kw_only=True)
class EffectFailed(Event):
    """The outside world said no."""

    trigger: ClassVar[str | None] = "fail"
    code: str
    message: str
    evidence: str = ""


@frozen(kw_only=True)
class EffectAwaited(Event):
    """The provider will answer later."""

    trigger: ClassVar[str | None] = "wait"
    reference: str
    due: DateTime


@frozen(kw_only=True)
class EffectLost(Event):
    """Nobody knows whether it was executed."""

    trigger: ClassVar[str | None] = "lose"
    cause: str
    due: DateTime
    looks: int = 0
    """How many lookups in a row have found nothing by now."""


@frozen(kw_only=True)
class EffectPutOff(Event):
    """It was certainly not executed; later again."""

    trigger: ClassVar[str | None] = "put_off"
    due: DateTime


@frozen(kw_only=True)
class EffectRenewed(Event):
    """Its key is proven dead: whatever was sent under it was never executed and never will be."""

    trigger: ClassVar[str | None] = "renew"
    generation: int
    key: str
    proof: str
    due: DateTime


@frozen(kw_only=True)
class EffectDeferred(Event):
    """Nothing can be done now."""

    why: str
    due: DateTime


@frozen(kw_only=True)
class EffectAdopted(Event):
    """Another installation takes it over."""

    installation: str


@frozen(kw_only=True)
class EffectParked(Event):
    """Only a person can say what became of it."""

    trigger: ClassVar[str | None] = "park"
    reason: str


@frozen(kw_only=True)
class EffectRetried(Event):
    """A person wants it tried again."""

    trigger: ClassVar[str | None] = "retry"
    note: str
    due: DateTime


@frozen(kw_only=True)
class EffectCancelled(Event):
    """It was never sent, and will not be."""

    trigger: ClassVar[str | None] = "cancel"
    reason: str


# Commands.


@frozen(kw_only=True)
class ClaimEffect(Command[Intent]):
    """Mark an intent as being worked on, before its adapter is called."""

    effect_id: str
    lease: timedelta = timedelta(seconds=60)
    sends: bool = True
    """Whether this may send the request, or only looks what became of it."""
    was: tuple[str, int] | None = None
    """Status and token when it was looked at.  Whatever happened to it since makes what was planned unsafe."""
    planned: DateTime | None = None
    """When it was looked at.  What was planned longer ago than a lease is planned anew: keys are forgotten by then."""
    patient: bool = True
    """Whether to wait for whoever holds the row.  A worker who does everybody's effects rather goes on to others."""


@frozen(kw_only=True)
class SettleEffect(News[Intent]):
    """Record what became of an attempt.  `news` is what that means for the business."""

    effect_id: str
    token: int | None
    """The token of the attempt that was answered; None for the provider's own words, which no attempt overtakes."""
    outcome: Outcome
    news: tuple[News[Any], ...] = ()
    jitter: float = 0.0
    """0 to 1: where in the second half of the back-off the next attempt falls."""
    evidence: str = ""


@frozen(kw_only=True)
class RenewEffect(News[Intent]):
    """Give an intent a new key, with the proof that the old one is dead."""

    effect_id: str
    token: int
    key: str
    proof: str


@frozen(kw_only=True)
class DeferEffect(News[Intent]):
    """Come back later: nothing can be done now.  `looked` counts a lookup that found nothing."""

    effect_id: str
    token: int
    until: DateTime
    why: str
    looked: bool = False


@frozen(kw_only=True)
class ParkEffect(News[Intent]):
    """Give an intent up to a person, because no automatic step is safe."""

    effect_id: str
    token: int
    reason: str


@frozen(kw_only=True)
class AdoptEffect(Command[Intent]):
    """Take over an intent that another installation planned: after a move, never for a copy."""

    effect_id: str = field(validator=checked_name)
    installation: str


@frozen(kw_only=True)
class RetryEffect(Command[Intent]):
    """A person's decision: try a parked intent again, with the same key."""

    effect_id: str = field(validator=checked_name)
    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class ResolveEffect(Command[Intent]):
    """A person: say what became of an intent, with evidence.  Made by `shop.effects.resolve`.

    Refused while the intent is not stuck; repeating it changes nothing.
    """

    effect_id: str = field(validator=checked_name)
    outcome: Succeeded | Declined
    evidence: str = field(validator=checked_text)
    news: tuple[News[Any], ...] = ()


@frozen(kw_only=True)
class CancelEffect(Command[Intent]):
    """Take back an intent that was never sent.  Refused once it may have been."""

    effect_id: str = field(validator=checked_name)
    reason: str = field(default="", validator=checked_note)


def idempotency_key(secret: bytes, effect_id: str, kind: str, generation: int = 1) -> str:
    """A key the provider remembers us by: 52 characters 0–9 a–f, that tell nothing to others."""
    # The same decision makes the same key, so that a decision repeated after a restored backup collides
    # at the provider instead of being executed twice.
    key = secret if len(secret) <= blake2b.MAX_KEY_SIZE else blake2b(secret).digest()
    return blake2b(f"om1|{effect_id}|{kind}|{generation}".encode(), key=key, digest_size=26).hexdigest()
