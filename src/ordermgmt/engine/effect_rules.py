"""What becomes of an effect: how each command about it is decided, how its events are folded, what it is found by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from operator import attrgetter
from typing import Any

from pendulum import DateTime

from ..errors import Refused
from ..values import error
from .capability import Capability, Evolve, Rule, Seen, changed, evolved, require
from .effects import (
    ATTEMPTS_MAX,
    EFFECT,
    KIND,
    STUCK,
    AdoptEffect,
    CancelEffect,
    ClaimEffect,
    Declined,
    DeferEffect,
    EffectAdopted,
    EffectAwaited,
    EffectCancelled,
    EffectClaimed,
    EffectDeferred,
    EffectFailed,
    EffectLost,
    EffectParked,
    EffectPlanned,
    EffectPutOff,
    EffectRenewed,
    EffectRetried,
    EffectSucceeded,
    Intent,
    Outcome,
    ParkEffect,
    Pending,
    RenewEffect,
    ResolveEffect,
    RetryEffect,
    RetryLater,
    SettleEffect,
    Succeeded,
    Unknown,
)
from .instants import later, to_text
from .messages import Event, Replies, check_name, counted

BACKOFF_FIRST = timedelta(seconds=1)
BACKOFF_MAX = timedelta(hours=1)


@error
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


@error
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
                return EffectParked(
                    reason=f"{counted(intent.attempts, 'attempt')} without an answer; the last: {cause}"
                )
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
        yield EffectParked(reason=f"{counted(intent.attempts, 'attempt')} without an answer; the last: {command.why}")
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


EVOLVE: Mapping[type[Event], Evolve] = {
    EffectPlanned: lambda state, e: (
        e.intent if e.status in (None, e.intent.status) else changed(e.intent, status=e.status)
    ),
    EffectClaimed: lambda state, e: evolved(
        state,
        e,
        token=e.token,
        due=e.lease,
        attempts=state.attempts + 1,
        first_sent=(state.first_sent or e.at) if e.sends else state.first_sent,
        last_sent=e.at if e.sends else state.last_sent,
    ),
    EffectSucceeded: lambda state, e: evolved(state, e, reference=e.reference, ended_at=e.at),
    EffectFailed: lambda state, e: evolved(state, e, reason=f"{e.code} {e.message}".strip()),
    # It was answered: asking where it stands, however often, uses no attempt up.
    EffectAwaited: lambda state, e: evolved(state, e, reference=e.reference, due=e.due, attempts=0),
    EffectLost: lambda state, e: evolved(state, e, reason=e.cause, due=e.due, doubtful=True, looks=e.looks),
    EffectDeferred: lambda state, e: evolved(state, e, reason=e.why, due=e.due),
    # A new key: as if it had never been sent, for that is what was proven.
    EffectRenewed: lambda state, e: evolved(
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
    EffectAdopted: lambda state, e: evolved(state, e, installation=e.installation),
    # Only what is in no doubt is put off, so it was never executed, and is not counted: as if it had never been sent.
    EffectPutOff: lambda state, e: evolved(state, e, due=e.due, attempts=state.attempts - 1, first_sent=None),
    # Parked while it was being sent: what became of that is as unknown as if an attempt had said so.
    EffectParked: lambda state, e: evolved(
        state, e, reason=e.reason, doubtful=state.doubtful or state.status == "sending"
    ),
    # A new token: whoever still means to park it for what was so before the person decided is too late.
    EffectRetried: lambda state, e: evolved(state, e, reason=e.note, due=e.due, attempts=0, token=state.token + 1),
    EffectCancelled: lambda state, e: evolved(state, e, reason=e.reason),
}


_by_id: Callable[[Any], str] = attrgetter("effect_id")


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
