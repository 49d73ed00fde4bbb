"""Effects as entities: what we mean to ask the outside world, asked at most once at a time, and never forgotten.

    ready ──claim──▶ sending ──▶ succeeded | failed | pending | unknown | parked

An intent is committed before its adapter is called, and so is the mark that it is being sent.  Therefore
*ready* means certainly never executed, and a *sending* whose lease has run out means nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any, ClassVar

import attrs
from attrs import field
from pendulum import DateTime
from statemachine import State, StateMachine

from ..errors import Refused
from ..values import frozen
from .capability import Capability, Evolve, Rule, Seen, as_type, changed, require
from .codec import Frozen
from .instants import later, to_text
from .lifecycle import Lifecycle
from .messages import Command, Event, News, Replies, check_name, checked_name, checked_note, checked_text

KIND = "effect"
ATTEMPTS_MAX = 12
STUCK = ("parked", "unknown", "pending")
"""Statuses in which a person may say what became of an intent."""
BACKOFF_FIRST = timedelta(seconds=1)
BACKOFF_MAX = timedelta(hours=1)


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
    """A person: try a parked intent again, with the same key."""

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


# Rules.


@attrs.define
class NotDue(Refused):
    """The effect is not to be sent now: too early, being sent by another worker, or ended."""

    effect_id: str
    status: str

    @property
    def message(self) -> str:
        return f"effect {self.effect_id} is {self.status} and not due; another worker may have it"


def backoff(attempts: int, jitter: float) -> timedelta:
    """How long to wait after this many attempts: doubling, capped, in the upper half of the step."""
    step = min(BACKOFF_MAX, BACKOFF_FIRST * int(2 ** min(attempts - 1, 20)))
    return step / 2 + (step / 2) * jitter


@attrs.define
class NotStuck(Refused):
    """Only an intent that is parked or whose outcome is unknown can be resolved by hand."""

    effect_id: str
    status: str

    @property
    def message(self) -> str:
        return f"effect {self.effect_id} is {self.status}; only a parked or unknown one is resolved by hand"


def _claim(command: ClaimEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if intent.due > at or intent.status in ("parked", *EFFECT.final):
        raise NotDue(intent.effect_id, intent.status)
    overtaken = command.was is not None and command.was != (intent.status, intent.token)
    if overtaken or (command.planned is not None and at > later(command.planned, command.lease)):
        raise NotDue(intent.effect_id, intent.status)
    if intent.status == "sending":
        # The lease has run out, so the worker before us is dead or asleep: its call may have been executed.
        yield EffectLost(cause="the worker did not answer before its lease ended", due=at)
    yield EffectClaimed(token=intent.token + 1, lease=later(at, command.lease), at=at, sends=command.sends)


def _settle(command: SettleEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if intent.ended:
        return
    outcome = command.outcome
    if isinstance(outcome, Succeeded):
        # A success is a fact, whoever brings it.  It may come while another attempt is on its way.
        reference = outcome.reference or intent.reference
        yield EffectSucceeded(reference=reference, at=at, evidence=command.evidence)
    elif command.token is None:
        if isinstance(outcome, Declined):
            yield EffectFailed(code=outcome.code, message=outcome.message, evidence=command.evidence)
    elif command.token == intent.token and intent.status == "sending":
        yield _settled(intent, outcome, command.jitter, at)


def _settled(intent: Intent, outcome: Outcome, jitter: float, at: DateTime) -> Event:
    """What the attempt that counts came to, if it was no success."""
    match outcome:
        case Declined(code=code, message=message):
            return EffectFailed(code=code, message=message)
        case Pending(reference=reference, again_after=again_after):
            return EffectAwaited(reference=reference or "pending", due=at + again_after)
        case RetryLater(after=after):
            wait = min(max(after, timedelta(seconds=1)), BACKOFF_MAX)
            if intent.reference and not intent.doubtful:  # it has it; only the question was put off
                return EffectAwaited(reference=intent.reference, due=at + wait)
            if intent.doubtful:
                return EffectLost(cause="put off by the provider", due=at + wait)
            return EffectPutOff(due=at + wait)
        case _:
            cause = outcome.cause if isinstance(outcome, Unknown) else ""
            if intent.attempts >= ATTEMPTS_MAX:
                return EffectParked(reason=f"{intent.attempts} attempts without an answer; the last: {cause}")
            return EffectLost(cause=cause, due=at + backoff(intent.attempts, jitter))


def _renew(command: RenewEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if command.token == intent.token and intent.status == "sending":
        yield EffectRenewed(generation=intent.generation + 1, key=command.key, proof=command.proof, due=at)


def _defer(command: DeferEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if intent.ended or intent.status == "parked" or command.token != intent.token:
        return
    if intent.attempts >= ATTEMPTS_MAX and intent.status == "sending":
        yield EffectParked(reason=f"{intent.attempts} attempts without an answer; the last: {command.why}")
    elif intent.status == "sending":
        yield EffectLost(cause=command.why, due=command.until, looks=intent.looks + 1 if command.looked else 0)
    elif intent.due <= at:
        yield EffectDeferred(why=command.why, due=command.until)


def _news_of(command: SettleEffect, events: tuple[Event, ...]) -> Replies:
    """A success is told to the business even when it comes twice; anything else only where it counted."""
    return command.news if events or isinstance(command.outcome, Succeeded) else ()


def _park(command: ParkEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if seen.draws("park") and command.token == intent.token and intent.due <= at:
        yield EffectParked(reason=command.reason)


def _adopt(command: AdoptEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    if not intent.ended and intent.installation != command.installation:
        yield EffectAdopted(installation=command.installation)


def _resolve(command: ResolveEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    intent = require(state, KIND, command.effect_id)
    outcome = command.outcome
    if intent.status == ("succeeded" if isinstance(outcome, Succeeded) else "failed"):
        return
    if intent.status not in STUCK:
        raise NotStuck(intent.effect_id, intent.status)
    if isinstance(outcome, Succeeded):
        yield EffectSucceeded(reference=outcome.reference or intent.reference, at=at, evidence=command.evidence)
    else:
        yield EffectFailed(code=outcome.code, message=outcome.message, evidence=command.evidence)


def _resolved_news(command: ResolveEffect, events: tuple[Event, ...]) -> Replies:
    return command.news if events else ()


def _retry(command: RetryEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.effect_id)
    yield EffectRetried(note=command.note, due=at)


def _cancel(command: CancelEffect, state: Intent | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.effect_id)
    yield EffectCancelled(reason=command.reason)


def _moved(state: Intent | None, event: Event, **changes: Any) -> Intent:
    intent = as_type(state, Intent)
    return changed(intent, status=event.status or intent.status, **changes)


EVOLVE: Mapping[type[Event], Evolve] = {
    EffectPlanned: lambda state, e: (
        e.intent if e.status in (None, e.intent.status) else changed(e.intent, status=e.status)
    ),
    EffectClaimed: lambda state, e: _moved(
        state,
        e,
        token=e.token,
        due=e.lease,
        attempts=state.attempts + 1,
        first_sent=(state.first_sent or e.at) if e.sends else state.first_sent,
        last_sent=e.at if e.sends else state.last_sent,
    ),
    EffectSucceeded: lambda state, e: _moved(state, e, reference=e.reference, ended_at=e.at),
    EffectFailed: lambda state, e: _moved(state, e, reason=f"{e.code} {e.message}".strip()),
    # It was answered: asking where it stands, however often, uses no attempt up.
    EffectAwaited: lambda state, e: _moved(state, e, reference=e.reference, due=e.due, attempts=0),
    EffectLost: lambda state, e: _moved(state, e, reason=e.cause, due=e.due, doubtful=True, looks=e.looks),
    EffectDeferred: lambda state, e: _moved(state, e, reason=e.why, due=e.due),
    # A new key: as if it had never been sent, for that is what was proven.
    EffectRenewed: lambda state, e: _moved(
        state,
        e,
        key=e.key,
        generation=e.generation,
        reason=e.proof,
        due=e.due,
        doubtful=False,
        looks=0,
        first_sent=None,
        last_sent=None,
        reference="",
    ),
    EffectAdopted: lambda state, e: _moved(state, e, installation=e.installation),
    # Not executed and not counted: as if it had never been tried.
    # Only what is in no doubt is put off, so it was never executed: as if it had never been sent.
    EffectPutOff: lambda state, e: _moved(state, e, due=e.due, attempts=state.attempts - 1, first_sent=None),
    # Parked while it was being sent: what became of that is as unknown as if an attempt had said so.
    EffectParked: lambda state, e: _moved(
        state, e, reason=e.reason, doubtful=state.doubtful or state.status == "sending"
    ),
    # A new token: whoever still means to park it for what was so before the person decided is too late.
    EffectRetried: lambda state, e: _moved(state, e, reason=e.note, due=e.due, attempts=0, token=state.token + 1),
    EffectCancelled: lambda state, e: _moved(state, e, reason=e.reason),
}


def _by_id(command: Any) -> str:
    return str(command.effect_id)


INDEXES = ("status", "due", "group_due", "lane", "group", "port", "key", "ended_at")


def _indexed(intent: Intent) -> Mapping[str, str | None]:
    """What an effect is found by.  It is due nowhere once it has ended, or while it waits for a person."""
    ended = intent.ended
    due = None if ended or intent.status == "parked" else to_text(intent.due)
    return {
        "status": intent.status,
        "due": due,
        "group_due": None if due is None else f"{intent.group}|{due}",
        "lane": None if ended else intent.lane,
        "group": intent.group,
        "port": "/".join(intent.port),
        "key": intent.key,
        "ended_at": to_text(intent.ended_at) if intent.ended_at is not None else None,
    }


def _index(name: str) -> Callable[[Intent], str | None]:
    return lambda intent: _indexed(intent)[name]


EFFECTS = Capability(
    kind=KIND,
    state=Intent,
    lifecycle=EFFECT,
    rules={
        ClaimEffect: Rule(_claim, _by_id),
        SettleEffect: Rule(_settle, _by_id, then=_news_of),
        RenewEffect: Rule(_renew, _by_id),
        DeferEffect: Rule(_defer, _by_id),
        AdoptEffect: Rule(_adopt, _by_id),
        ResolveEffect: Rule(_resolve, _by_id, then=_resolved_news),
        ParkEffect: Rule(_park, _by_id),
        RetryEffect: Rule(_retry, _by_id),
        CancelEffect: Rule(_cancel, _by_id),
    },
    evolve=EVOLVE,
    indexes={name: _index(name) for name in INDEXES},
    index_all=_indexed,
    identify=check_name,
    refusals=(NotDue, NotStuck),
    last=True,
)


def idempotency_key(secret: bytes, effect_id: str, kind: str, generation: int = 1) -> str:
    """A key the provider remembers us by: 52 characters 0–9 a–f, that tell nothing to others."""
    # The same decision makes the same key, so that a decision repeated after a restored backup collides
    # at the provider instead of being executed twice.
    key = secret if len(secret) <= blake2b.MAX_KEY_SIZE else blake2b(secret).digest()
    return blake2b(f"om1|{effect_id}|{kind}|{generation}".encode(), key=key, digest_size=26).hexdigest()
