"""Due work: effects to send, answers to settle, later commands whose time has come.

A generator like `handling.attempt`: it yields what shall be looked up, handled and called, so that one order of
steps serves blocking and asyncio hosts.  It is re-entrant: any number of threads, processes, cron jobs or queue
workers may do due work at the same time, for a claim succeeds once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any, Protocol

from attrs import define, field, frozen
from pendulum import DateTime

from ..errors import Conflict
from .assembly import Assembly
from .codec import Opaque
from .effects import ClaimEffect, Intent, Outcome, ParkEffect, SettleEffect, Unknown
from .instants import to_text
from .laters import Reminder, RunLater
from .messages import Command, Effect, News
from .requests import Result
from .transaction import Found, Query

BATCH = 64
"""How many effects are claimed, and settled, in one commit."""


@frozen
class Capabilities:
    """What an adapter promises about asking twice, as data.  The engine chooses its steps by it."""

    idempotency: str = "none"
    """``"key"``: a repeated key is executed once; ``"reference"``: a repeated reference is refused; ``"none"``."""
    key_ttl: timedelta = timedelta(hours=24)
    """How long the provider remembers a key."""
    lookup: bool = False
    """Whether `lookup(key)` tells truthfully what became of a request."""
    late_window: timedelta = timedelta(minutes=15)
    """How long after it was sent a request may still arrive and be executed."""


@frozen
class NotThere:
    """A lookup's answer: the provider has no such request."""


class Adapter(Protocol):
    """What the engine calls: any port that performs effects.  Answers may be awaitable under asyncio."""

    @property
    def capabilities(self) -> Capabilities: ...

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """Do it.  Answers an outcome; every exception counts as `Unknown`."""
        ...

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        """What became of the request with this key: an outcome, or `NotThere`.  Changes nothing."""
        ...


@frozen
class Look:
    """Answered with what the query finds."""

    query: Query


@frozen
class Handle:
    """Decide these in one commit.  Answered with their results."""

    commands: tuple[Command[Any], ...]


@frozen
class Reveal:
    """Answered with the personal values under these references."""

    refs: tuple[str, ...]


@frozen
class Call:
    """Ask an adapter, outside of any transaction."""

    intent: Intent
    request: Effect
    adapter: Adapter
    lookup: bool
    deadline: timedelta


@frozen
class Calls:
    """Answered with what each adapter said, in the same order; an exception counts as `Unknown`."""

    calls: tuple[Call, ...]


@frozen
class Time:
    """Answered with the present instant."""


@frozen
class Chance:
    """Answered with a number from 0 to 1."""


WorkRequest = Look | Handle | Reveal | Calls | Time | Chance


@define
class Report:
    """What due work did."""

    sent: int = 0
    """Calls of adapters, lookups included."""
    succeeded: int = 0
    failed: int = 0
    """Definite refusals by a provider."""
    waiting: int = 0
    """Calls after which the effect waits for a later attempt or answer."""
    parked: int = 0
    laters: int = 0
    """Later commands decided."""
    discrepancies: list[str] = field(factory=list[str])

    def __str__(self) -> str:
        return (
            f"{self.sent} calls: {self.succeeded} succeeded, {self.failed} failed, {self.waiting} to be asked again, "
            f"{self.parked} parked; {self.laters} later commands"
        )


@define
class _Plan:
    """A claimed intent and what to do with it."""

    intent: Intent
    step: str
    reason: str = ""
    request: Any = None


def due_work(
    assembly: Assembly, *, group: str | None = None, lease: timedelta = timedelta(seconds=60), deadline: timedelta
) -> Generator[WorkRequest, Any, Report]:
    """Everything that is due now, until nothing is: of one group (an order), or of all."""
    report = Report()
    while True:
        now: DateTime = yield Time()
        laters = yield from _laters(assembly, now, group, report)
        effects = yield from _effects(assembly, now, group, lease, deadline, report)
        if not laters and not effects:
            return report


def _laters(assembly: Assembly, now: DateTime, group: str | None, report: Report) -> Generator[WorkRequest, Any, bool]:
    found: Sequence[Found] = yield Look(_due("later", now, group, BATCH, None))
    reminders = [assembly.codec.decode(one.row.doc) for one in found]
    commands = list[Command[Any]]()
    for reminder in reminders:
        if isinstance(reminder, Reminder) and reminder.command is not None:
            command = assembly.codec.thaw(reminder.command)
            if not isinstance(command, Opaque):
                commands.append(RunLater(name=reminder.name, turn=reminder.turn, command=command))
    progress = False
    for command in commands:  # each in a commit of its own
        results: Sequence[Result] = yield Handle((command,))
        if results[0].error is None:
            report.laters += 1
            progress = True
    return progress


def _effects(
    assembly: Assembly, now: DateTime, group: str | None, lease: timedelta, deadline: timedelta, report: Report
) -> Generator[WorkRequest, Any, bool]:
    place: tuple[str, str] | None = None
    while True:
        found: Sequence[Found] = yield Look(_due("effect", now, group, BATCH, place))
        if not found:
            return False
        place = found[-1].place
        heads = yield from _heads_of_lanes(assembly, [assembly.codec.decode(one.row.doc) for one in found])
        if heads:
            claimed = yield from _claim(assembly, heads, lease)
            if claimed:
                yield from _send_and_settle(assembly, claimed, now, deadline, report)
                return True


def _due(kind: str, now: DateTime, group: str | None, limit: int, after: tuple[str, str] | None) -> Query:
    equal = {} if group is None else {"group": (group,)}
    return Query(kind=kind, equal=equal, upto=("due", to_text(now)), limit=limit, after=after)


def _heads_of_lanes(assembly: Assembly, due: list[Any]) -> Generator[WorkRequest, Any, list[Intent]]:
    """Those of the due intents that are first in their lane.

    An intent's predecessors in its lane were planned before it, and what has ended stays ended.  So once every
    predecessor is seen to have ended, nobody can put another before it, and no lock is needed to know that.
    """
    intents = [intent for intent in due if isinstance(intent, Intent)]
    lanes = sorted({intent.lane for intent in intents})
    first = dict[str, str]()
    place: tuple[str, str] | None = None
    while lanes:
        found: Sequence[Found] = yield Look(Query(kind="effect", equal={"lane": lanes}, limit=1000, after=place))
        for one in found:
            other = assembly.codec.decode(one.row.doc)
            if isinstance(other, Intent):
                first[other.lane] = min(first.get(other.lane, other.effect_id), other.effect_id)
        if len(found) < 1000:
            break
        place = found[-1].place
    return [intent for intent in intents if first.get(intent.lane) == intent.effect_id]


def _claim(
    assembly: Assembly, heads: list[Intent], lease: timedelta
) -> Generator[WorkRequest, Any, list[tuple[Intent, Intent]]]:
    """Mark them as being sent.  Whoever loses the race for one leaves it."""
    results: Sequence[Result] = yield Handle(tuple(ClaimEffect(effect_id=i.effect_id, lease=lease) for i in heads))
    claimed = list[tuple[Intent, Intent]]()
    for before, result in zip(heads, results, strict=True):
        if result.error is None:
            claimed.append((before, result.state))
        elif isinstance(result.error, Conflict):
            raise result.error
    return claimed


def _send_and_settle(
    assembly: Assembly, claimed: list[tuple[Intent, Intent]], now: DateTime, deadline: timedelta, report: Report
) -> Generator[WorkRequest, Any, None]:
    plans = [_plan(assembly, intent, now) for _, intent in claimed]
    yield from _fill_in(assembly, [plan for plan in plans if plan.step in ("execute", "lookup")])
    asked = [plan for plan in plans if plan.step in ("execute", "lookup")]
    calls = tuple(
        Call(plan.intent, plan.request, _adapter(assembly, plan.intent), plan.step == "lookup", deadline)
        for plan in asked
    )
    answers: Sequence[Any] = yield Calls(calls)
    # A lookup that finds nothing is followed by a resend with the same key, while the provider still knows it.
    again = [n for n, (plan, answer) in enumerate(zip(asked, answers, strict=True)) if isinstance(answer, NotThere)]
    answers = list(answers)
    if again:
        resent: Sequence[Any] = yield Calls(
            tuple(
                Call(calls[n].intent, calls[n].request, calls[n].adapter, lookup=False, deadline=deadline)
                for n in again
                if _may_resend(assembly, asked[n].intent, now)
            )
        )
        replies = iter(resent)
        for n in again:
            may = _may_resend(assembly, asked[n].intent, now)
            answers[n] = next(replies) if may else Unknown("the provider knows of no such request, and forgot the key")
    jitter: float = yield Chance()
    commands = list[Command[Any]]()
    for plan, answer in zip(asked, answers, strict=True):
        outcome = answer if isinstance(answer, Outcome) else Unknown(f"the adapter answered {type(answer).__name__}")
        commands.append(
            SettleEffect(
                effect_id=plan.intent.effect_id,
                token=plan.intent.token,
                outcome=outcome,
                news=news_of(assembly, plan.request, outcome),
                jitter=jitter,
            )
        )
    commands += [
        ParkEffect(effect_id=plan.intent.effect_id, token=plan.intent.token, reason=plan.reason)
        for plan in plans
        if plan.step == "park"
    ]
    results: Sequence[Result] = yield Handle(tuple(commands))
    report.sent += len(calls) + len(again)
    for result in results:
        if result.error is not None:
            raise result.error
        _count(result.state, report)


def _count(intent: Intent, report: Report) -> None:
    match intent.status:
        case "succeeded":
            report.succeeded += 1
        case "failed":
            report.failed += 1
        case "parked":
            report.parked += 1
        case _:
            report.waiting += 1


def _adapter(assembly: Assembly, intent: Intent) -> Adapter:
    family, name = intent.port
    adapter: Adapter = assembly.ports[family][name]
    return adapter


def _plan(assembly: Assembly, intent: Intent, now: DateTime) -> _Plan:
    """The next safe step for a claimed intent: FAULTS' unknown-outcome table."""
    request = assembly.codec.thaw(intent.request)
    family, name = intent.port
    if isinstance(request, Opaque):
        return _Plan(intent, "park", f"its request was planned by a newer release ({request.type} v{request.v})")
    if name not in assembly.ports.get(family, {}):
        return _Plan(intent, "park", f"this shop has no adapter {name!r} among its {family}")
    capabilities = _adapter(assembly, intent).capabilities
    if not intent.doubtful and not intent.reference:
        return _Plan(intent, "execute", request=request)
    if capabilities.lookup:
        return _Plan(intent, "lookup", request=request)
    if _may_resend(assembly, intent, now):
        return _Plan(intent, "execute", request=request)
    return _Plan(
        intent, "park", "nobody knows whether it was executed, and the provider can neither be asked nor told twice"
    )


def _may_resend(assembly: Assembly, intent: Intent, now: DateTime) -> bool:
    """Whether sending the same bytes under the same key once more is certainly harmless."""
    capabilities = _adapter(assembly, intent).capabilities
    if capabilities.idempotency == "reference":
        return True
    sent = intent.first_sent or now
    return capabilities.idempotency == "key" and sent + capabilities.key_ttl > now


def _fill_in(assembly: Assembly, plans: list[_Plan]) -> Generator[WorkRequest, Any, None]:
    """Give the requests the personal values they refer to."""
    refs = tuple(sorted({p.ref for plan in plans for p in assembly.codec.personal(plan.request)}))
    if refs:
        docs = yield Reveal(refs)
        for plan in plans:
            plan.request = assembly.codec.revealed(plan.request, docs)


def news_of(assembly: Assembly, request: Effect, outcome: Outcome) -> tuple[News[Any], ...]:
    """What an outcome means for the business, in the words of the capability that wanted the effect."""
    capability = assembly.effects.get(type(request))
    told = capability.answers.get(type(request)) if capability is not None else None
    return tuple(told(request, outcome)) if told is not None else ()
