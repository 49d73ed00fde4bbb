"""Due work: notices to apply, later commands whose time has come, effects to send and answers to settle.

Generators like `handling.attempt`: they yield what is to be looked up, handled and called, so that one order of
steps serves blocking and asyncio hosts.  All of it is re-entrant: any number of threads, processes, cron jobs or
queue workers may do due work at the same time, for a claim succeeds once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import define
from pendulum import DateTime

from ..errors import Conflict
from ..values import frozen
from .adapters import Adapter, CannotTell, NotThere
from .assembly import Assembly
from .capability import changed
from .codec import Opaque
from .effects import (
    ATTEMPTS_MAX,
    ClaimEffect,
    Declined,
    DeferEffect,
    Intent,
    Outcome,
    ParkEffect,
    RenewEffect,
    SettleEffect,
    Succeeded,
    Unknown,
    idempotency_key,
)
from .inbox import ApplyMessage, KeepMessage, Message
from .instants import to_text
from .laters import Reminder, RunLater
from .meanings import in_doubt, meaning_of, news_of, sound
from .messages import TEXT_MAX, News, counted
from .recovery import THE_ONE, Sending
from .requests import Result
from .transaction import Found, Key, Query, Row
from .unknown import EXECUTE, LOOK, Step, next_step, not_there
from .work_requests import Call, Calls, Chance, Handle, Look, Read, Report, Reveal, Time, WorkRequest

BATCH = 64
"""How many effects are claimed, and settled, in one commit."""
NOT_OURS = timedelta(hours=1)
"""How long an effect is put aside that this shop cannot send: planned by a newer release, or for an unknown adapter."""


@define
class _Plan:
    """A due intent and what to do with it."""

    intent: Intent
    step: Step
    request: Any = None


@frozen(kw_only=True)
class Worker:
    """How due work is done: for which shop, for how long a claim holds, and how long an adapter may take."""

    assembly: Assembly
    lease: timedelta
    deadline: timedelta

    # Everything.

    def due_work(self, group: str | None = None) -> Generator[WorkRequest, Any, Report]:
        """Everything that is due now, until nothing is: of one group (an order), or of all.

        For one group it does not look again where everything was done and nothing of it made more due: whoever plans
        something else for the group at the same time will do that as well.
        """
        report = Report()
        while True:
            now: DateTime = yield Time()
            notices = yield from self._notices(now, report) if group is None else _nothing()
            laters = yield from self._laters(now, group, report)
            effects = yield from self._effects(now, group, report)
            if not notices and not laters and not effects:
                return _without_trouble(report)

    def run_one(self, effect_id: str) -> Generator[WorkRequest, Any, Report]:
        """One effect, if it is due and first in its lane."""
        report = Report()
        now: DateTime = yield Time()
        rows: Mapping[Key, Row] = yield Read((("effect", effect_id),))
        intents = [self.assembly.codec.look(row.doc) for row in rows.values()]
        due = [intent for intent in intents if isinstance(intent, Intent) and intent.due <= now]
        yield from self._work_on(due, now, report, patient=True)
        return _without_trouble(report)

    # Notices.

    def _notices(self, now: DateTime, report: Report) -> Generator[WorkRequest, Any, bool]:
        found: Sequence[Found] = yield Look(_due("inbox", now, None))
        progress = False
        for one in found:
            message = self.assembly.codec.look(one.row.doc)
            if not isinstance(message, Message):
                continue
            # Asked first: what is settled from now on is seen where its meaning is looked for.
            doubtful = yield from in_doubt(self.assembly, message)
            news = yield from meaning_of(self.assembly, message)
            command: News[Any] = (
                ApplyMessage(message_id=message.message_id, news=news)
                if news
                else KeepMessage(message_id=message.message_id, tries=message.tries, in_doubt=doubtful)
            )
            results: Sequence[Result] = yield Handle((command,))
            if results[0].error is not None:
                report.troubles.append(results[0].error)
                continue
            report.notices += bool(news)
            progress = True
        return progress

    # Later commands.

    def _laters(self, now: DateTime, group: str | None, report: Report) -> Generator[WorkRequest, Any, bool]:
        found: Sequence[Found] = yield Look(_due("later", now, group))
        done = left = 0
        for one in found:  # each in a commit of its own
            reminder = self.assembly.codec.look(one.row.doc)
            if not isinstance(reminder, Reminder) or reminder.command is None:
                continue
            command = self.assembly.codec.thaw(reminder.command)
            if isinstance(command, Opaque):
                continue
            run = RunLater(name=reminder.name, turn=reminder.turn, command=command)
            results: Sequence[Result] = yield Handle((run,))
            if results[0].error is None:
                done += 1
                left += results[0].leaves_due
        report.laters += done
        return bool(done) and (group is None or left > 0 or len(found) == BATCH)

    # Effects.

    def _effects(self, now: DateTime, group: str | None, report: Report) -> Generator[WorkRequest, Any, bool]:
        place: tuple[str, str] | None = None
        while True:
            found: Sequence[Found] = yield Look(_due("effect", now, group, place))
            if not found:
                return False
            place = found[-1].place
            intents = [self.assembly.codec.look(one.row.doc) for one in found]
            ready = [intent for intent in intents if isinstance(intent, Intent)]
            worked, left = yield from self._work_on(ready, now, report, patient=group is not None)
            if worked:
                return group is None or left or len(found) == BATCH

    def _work_on(
        self, due: list[Intent], now: DateTime, report: Report, *, patient: bool
    ) -> Generator[WorkRequest, Any, tuple[bool, bool]]:
        """Work on those of the due intents that may be worked on now.  Answers whether there were any, and whether more
        is left: what waits behind them, or became due by what was done.

        Unless it is `patient`, it passes over what somebody else holds at this moment.
        """
        ours = [intent for intent in due if self._is_ours(intent)]
        report.foreign += len(due) - len(ours)
        heads = yield from self._heads_of_lanes(ours)
        if not heads or (yield from self._suspended(report)):
            return False, False
        left = len(heads) < len(ours)
        plans = [self._plan(intent, now) for intent in heads]
        aside = tuple(command for plan in plans if (command := _put_aside(plan)) is not None)
        if aside:
            results: Sequence[Result] = yield Handle(aside)
            for result in results:
                _count(result.unwrap(), report)
                left = left or result.leaves_due
        work = [plan for plan in plans if plan.step.do in ("execute", "look")]
        claimed = yield from self._claim(work, now, patient=patient)
        if claimed:
            made_due = yield from self._send_and_settle(claimed, now, report)
            left = left or made_due
        return bool(claimed or aside), left

    def workable(self, upto: str, limit: int) -> Generator[WorkRequest, Any, list[Intent]]:
        """Effects that are due until then and may be worked on, the earliest first.

        Not what stands behind another one in its lane, what another installation planned, or anything while sending
        is suspended: whoever waits for those by the clock waits in a circle, and they must not crowd out others.
        """
        workable: list[Intent] = []
        if (yield from self._suspended(Report())):
            return workable
        place: tuple[str, str] | None = None
        while len(workable) < limit:
            found: Sequence[Found] = yield Look(Query(kind="effect", upto=("due", upto), limit=BATCH, after=place))
            seen = [self.assembly.codec.look(one.row.doc) for one in found]
            intents = [one for one in seen if isinstance(one, Intent)]
            workable += yield from self._heads_of_lanes([one for one in intents if self._is_ours(one)])
            if len(found) < BATCH:
                break
            place = found[-1].place
        return workable[:limit]

    def _is_ours(self, intent: Intent) -> bool:
        return intent.installation in ("", self.assembly.installation)

    def _suspended(self, report: Report) -> Generator[WorkRequest, Any, bool]:
        rows: Mapping[Key, Row] = yield Read((("sending", THE_ONE),))
        for row in rows.values():
            sending = self.assembly.codec.look(row.doc)
            # Where it cannot be read, nobody can say that sending is safe.
            report.suspended = not isinstance(sending, Sending) or sending.status == "suspended"
        return report.suspended

    def _heads_of_lanes(self, intents: list[Intent]) -> Generator[WorkRequest, Any, list[Intent]]:
        """Those of the due intents that are first in their lane.

        An intent's predecessors in its lane were planned before it, and what has ended stays ended.  So once every
        predecessor is seen to have ended, nobody can put another before it, and no lock is needed to know that.
        """
        lanes = sorted({intent.lane for intent in intents})
        first: dict[str, str] = {}
        place: tuple[str, str] | None = None
        while lanes:
            found: Sequence[Found] = yield Look(Query(kind="effect", equal={"lane": lanes}, limit=1000, after=place))
            others = [self.assembly.codec.look(one.row.doc) for one in found]
            if not all(isinstance(other, Intent) for other in others):
                # Whose lane one of them is in cannot be read from it: the index knows.
                return (yield from self._heads_one_by_one(intents))
            for other in others:
                first[other.lane] = min(first.get(other.lane, other.effect_id), other.effect_id)
            if len(found) < 1000:
                break
            place = found[-1].place
        return [intent for intent in intents if first.get(intent.lane) == intent.effect_id]

    def _heads_one_by_one(self, intents: list[Intent]) -> Generator[WorkRequest, Any, list[Intent]]:
        """As above, asking lane by lane: slower, and no effect needs to be read."""
        heads: list[Intent] = []
        for intent in intents:
            found: Sequence[Found] = yield Look(Query(kind="effect", equal={"lane": (intent.lane,)}, limit=1))
            heads += [intent for one in found if one.row.key[1] == intent.effect_id]
        return heads

    def _plan(self, intent: Intent, now: DateTime) -> _Plan:
        """What to do with a due intent; see `unknown` for why."""
        request = self.assembly.codec.thaw(intent.request)
        family, name = intent.port
        if isinstance(request, Opaque):
            why = f"its request was planned by a newer release ({request.type} v{request.v})"
            return _Plan(intent, Step("wait", why, now + NOT_OURS))
        if name not in self.assembly.ports.get(family, {}):
            return _Plan(intent, Step("wait", f"this shop has no adapter {name!r} among its {family}", now + NOT_OURS))
        if intent.status == "sending" and intent.attempts >= ATTEMPTS_MAX:
            # A request that ends its worker each time must not end every worker for ever.
            return _Plan(
                intent, Step("park", f"{counted(intent.attempts, 'worker')} did not live to tell what became of it")
            )
        # A lease that has run out means that nobody knows, just as if an attempt had said so.
        seen = changed(intent, doubtful=True) if intent.status == "sending" else intent
        return _Plan(intent, next_step(seen, self._adapter(intent).capabilities, now), request)

    def _claim(self, plans: list[_Plan], now: DateTime, *, patient: bool) -> Generator[WorkRequest, Any, list[_Plan]]:
        """Mark them as being worked on.  Whoever loses the race for one leaves it."""
        if not plans:
            return []
        claims = [
            ClaimEffect(
                effect_id=plan.intent.effect_id,
                lease=self.lease,
                sends=self._sends(plan, now),
                was=(plan.intent.status, plan.intent.token),
                planned=now,
                patient=patient,
            )
            for plan in plans
        ]
        results: Sequence[Result] = yield Handle(tuple(claims))
        claimed: list[_Plan] = []
        for plan, result in zip(plans, results, strict=True):
            if result.error is None:
                claimed.append(_Plan(result.state, plan.step, plan.request))
            elif isinstance(result.error, Conflict):
                raise result.error
        return claimed

    def _sends(self, plan: _Plan, now: DateTime) -> bool:
        """Whether this attempt may send: at once, or after a lookup that finds nothing."""
        if plan.step.do == "execute":
            return True
        return not_there(plan.intent, self._adapter(plan.intent).capabilities, now).do == "execute"

    def _send_and_settle(self, plans: list[_Plan], now: DateTime, report: Report) -> Generator[WorkRequest, Any, bool]:
        """Ask the adapters and record what they say.  Answers whether that made more work due."""
        yield from self._fill_in(plans)
        answers = yield from self._ask(plans, report)
        looked = [n for n, plan in enumerate(plans) if plan.step.do == "look" and isinstance(answers[n], NotThere)]
        steps = {n: not_there(plans[n].intent, self._adapter(plans[n].intent).capabilities, now) for n in looked}
        again = [n for n in looked if steps[n].do == "execute"]
        if again:
            resent = yield from self._ask([_Plan(plans[n].intent, EXECUTE, plans[n].request) for n in again], report)
            for n, answer in zip(again, resent, strict=True):
                answers[n] = answer
        jitter: float = yield Chance()
        commands = [
            self._found_nothing(plan.intent, steps[n])
            if n in steps and n not in again
            else self._answered(plan, answers[n], jitter)
            for n, plan in enumerate(plans)
        ]
        results: Sequence[Result] = yield Handle(tuple(commands))
        for result in results:
            if result.error is not None:
                report.troubles.append(result.error)
            else:
                _count(result.state, report)
        return any(result.leaves_due for result in results)

    def _ask(self, plans: list[_Plan], report: Report) -> Generator[WorkRequest, Any, list[Any]]:
        calls = tuple(
            Call(plan.intent, plan.request, self._adapter(plan.intent), plan.step.do == "look", self.deadline)
            for plan in plans
        )
        answers: Sequence[Any] = yield Calls(calls)
        report.sent += len(calls)
        return list(answers)

    def _answered(self, plan: _Plan, answer: Any, jitter: float) -> News[Any]:
        if isinstance(answer, CannotTell):
            answer = Unknown(answer.cause or "the provider could not tell")
        elif not isinstance(answer, Outcome):
            answer = Unknown(f"the adapter answered {type(answer).__name__}, which is no outcome")
        elif not sound(answer):
            answer = Unknown(f"the adapter answered {type(answer).__name__} with a field of a wrong type")
        if isinstance(answer, Unknown) and len(answer.cause) > TEXT_MAX:
            answer = Unknown(f"{answer.cause[:TEXT_MAX]}…")  # some adapters give a whole page of a server's words
        news = news_of(self.assembly, plan.request, answer)
        if news is None:
            answer, news = Unknown("the adapter's result could not be read"), ()
        return SettleEffect(
            effect_id=plan.intent.effect_id, token=plan.intent.token, outcome=answer, news=news, jitter=jitter
        )

    def _found_nothing(self, intent: Intent, step: Step) -> News[Any]:
        """A lookup found nothing, and the same key is not to be sent again now."""
        if step.do == "renew":
            key = idempotency_key(self.assembly.secret, intent.effect_id, intent.kind, intent.generation + 1)
            return RenewEffect(effect_id=intent.effect_id, token=intent.token, key=key, proof=step.why)
        until = step.until or intent.due
        return DeferEffect(effect_id=intent.effect_id, token=intent.token, until=until, why=step.why, looked=True)

    def look_up(self, intents: list[Intent]) -> Generator[WorkRequest, Any, None]:
        """Ask what became of these, whatever we believe, and record what the provider says."""
        thawed = ((intent, self.assembly.codec.thaw(intent.request)) for intent in intents)
        plans = [_Plan(intent, LOOK, request) for intent, request in thawed if not isinstance(request, Opaque)]
        yield from self._fill_in(plans)
        answers = yield from self._ask(plans, Report())
        commands = [
            SettleEffect(
                effect_id=plan.intent.effect_id,
                token=None,
                outcome=answer,
                news=news,
                evidence="looked up",
            )
            for plan, answer in zip(plans, answers, strict=True)
            if isinstance(answer, Succeeded | Declined)
            and (news := news_of(self.assembly, plan.request, answer)) is not None
        ]
        if commands:
            results: Sequence[Result] = yield Handle(tuple(commands))
            for result in results:
                result.unwrap()

    def _adapter(self, intent: Intent) -> Adapter:
        family, name = intent.port
        adapter: Adapter = self.assembly.ports[family][name]
        return adapter

    def _fill_in(self, plans: list[_Plan]) -> Generator[WorkRequest, Any, None]:
        """Give the requests the personal values they refer to."""
        refs = tuple(sorted({p.ref for plan in plans for p in self.assembly.codec.personal(plan.request)}))
        if refs:
            docs = yield Reveal(refs)
            for plan in plans:
                plan.request = self.assembly.codec.revealed(plan.request, docs)


def _without_trouble(report: Report) -> Report:
    """The report, or the first trouble raised, now that everything else is done."""
    for trouble in report.troubles:
        raise trouble
    return report


def _nothing() -> Generator[WorkRequest, Any, bool]:
    """Notices are not of one order before they are read, so `settle` leaves them to `run_due`."""
    return False
    yield  # a generator, as its sibling is


def _put_aside(plan: _Plan) -> News[Any] | None:
    intent, step = plan.intent, plan.step
    if step.do == "park":
        return ParkEffect(effect_id=intent.effect_id, token=intent.token, reason=step.why)
    if step.do == "wait":
        until = step.until or intent.due
        return DeferEffect(effect_id=intent.effect_id, token=intent.token, until=until, why=step.why)
    return None


def _due(kind: str, now: DateTime, group: str | None, after: tuple[str, str] | None = None) -> Query:
    """What is due by now: of all, or of one group by an index of its own, so that others' work costs nothing."""
    if group is None:
        return Query(kind=kind, upto=("due", to_text(now)), limit=BATCH, after=after)
    return Query(
        kind=kind, upto=("group_due", f"{group}|{to_text(now)}"), limit=BATCH, after=after or (f"{group}|", "")
    )


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
