"""What people and schedulers do with effects: see them, run them, resolve stuck ones, compare books."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field
from pendulum import DateTime

from ..errors import InvalidInput, NotFound
from ..values import frozen
from .adapters import Listing, Notice
from .capability import changed
from .codec import Opaque
from .discrepancies import OpenDiscrepancy
from .effects import (
    STUCK,
    AdoptEffect,
    CancelEffect,
    Declined,
    Intent,
    ResolveEffect,
    RetryEffect,
    Succeeded,
)
from .inbox import Message, ReceiveMessage, message_id
from .instants import LATEST, check_instant, from_text, to_text
from .meanings import meaning_of, news_of
from .messages import check_page, check_text
from .recovery import BeginRecovery, EndRecovery, NoteReconciled, Sending
from .requests import Result
from .transaction import Found, Key, Query, Row
from .work_requests import Handle, Listen, Look, Read, Time, WorkRequest
from .working import Worker

PAGE = 200
CLOCKS_DIFFER = timedelta(minutes=1)
"""How much wider a provider is asked for its books than we compare: its clock is not ours."""


@define
class Reconciliation:
    """What a comparison of books found."""

    port: str
    listed: int = 0
    """How many deeds the provider listed."""
    imported: int = 0
    """Deeds that we did not know of, and do now."""
    missing: list[str] = field(factory=list[str])
    """Effects that we hold as done, and the provider does not list."""
    strangers: list[str] = field(factory=list[str])
    """Deeds that are none of ours, by the provider's ids."""
    looked: int = 0
    """Unknown and parked effects that were looked up."""

    @property
    def agrees(self) -> bool:
        """Whether both books say the same now."""
        return not self.missing and not self.strangers


@frozen
class Operator:
    """Operations as generators, for both front doors."""

    worker: Worker

    # Looking.

    def due(self, limit: int) -> Generator[WorkRequest, Any, list[Intent]]:
        """Effects that are due now and may be worked on, the most overdue first."""
        check_page(limit)
        now: DateTime = yield Time()
        return (yield from self.worker.workable(to_text(now), limit))

    def next_due(self) -> Generator[WorkRequest, Any, DateTime | None]:
        """When the next effect, later command or notice can be worked on; None if nothing waits for its time."""
        dues = [intent.due for intent in (yield from self.worker.workable(LATEST, 1))]
        for kind in ("later", "inbox"):
            found: Sequence[Found] = yield Look(Query(kind=kind, upto=("due", LATEST), limit=1))
            dues += [from_text(one.place[0]) for one in found]
        return min(dues) if dues else None

    def parked(self, limit: int, after: tuple[str, str] | None) -> Generator[WorkRequest, Any, list[Intent]]:
        """Effects that wait for a person, by id."""
        check_page(limit, after)
        query = Query(kind="effect", equal={"status": ("parked",)}, limit=limit, after=after)
        found: Sequence[Found] = yield Look(query)
        return self._intents(found)

    def _intents(self, found: Sequence[Found]) -> list[Intent]:
        decoded = (self.worker.assembly.codec.decode(one.row.doc) for one in found)
        return [intent for intent in decoded if isinstance(intent, Intent)]

    # Deciding.

    def retry(self, effect_id: str, note: str, by: str | None = None) -> Generator[WorkRequest, Any, Intent]:
        """Try a parked effect again, with the same key."""
        intent: Intent = yield from self._one(RetryEffect(effect_id=effect_id, note=note), by)
        return intent

    def cancel(self, effect_id: str, reason: str, by: str | None = None) -> Generator[WorkRequest, Any, Intent]:
        """Take back an effect that was never sent."""
        intent: Intent = yield from self._one(CancelEffect(effect_id=effect_id, reason=reason), by)
        return intent

    def adopt(self, effect_id: str, by: str | None = None) -> Generator[WorkRequest, Any, Intent]:
        """Take over an effect that another installation planned."""
        command = AdoptEffect(effect_id=effect_id, installation=self.worker.assembly.installation)
        intent: Intent = yield from self._one(command, by)
        return intent

    def resolve(
        self, effect_id: str, outcome: Succeeded | Declined, evidence: str, by: str | None = None
    ) -> Generator[WorkRequest, Any, Intent]:
        """Say what became of a stuck effect."""
        if not isinstance(outcome, Succeeded | Declined):
            raise InvalidInput("resolve takes Succeeded(…) or Declined(…): what became of it")
        intent = yield from self._intent(effect_id)
        request = self.worker.assembly.codec.thaw(intent.request)
        if isinstance(request, Opaque):
            raise InvalidInput(f"effect {effect_id} was planned by a newer release; resolve it there")
        news = news_of(self.worker.assembly, request, outcome)
        if news is None and intent.status in STUCK:
            raise InvalidInput(
                f"the result does not say what a {intent.kind} succeeds with: give its facts, its label, …"
            )
        command = ResolveEffect(effect_id=effect_id, outcome=outcome, evidence=evidence, news=news or ())
        resolved: Intent = yield from self._one(command, by)
        return resolved

    def _intent(self, effect_id: str) -> Generator[WorkRequest, Any, Intent]:
        rows: Mapping[Key, Row] = yield Read((("effect", check_text(effect_id, "effect_id")),))
        for row in rows.values():
            intent = self.worker.assembly.codec.decode(row.doc)
            if isinstance(intent, Intent):
                return intent
        raise NotFound("effect", effect_id)

    def _one(self, command: Any, by: str | None = None) -> Generator[WorkRequest, Any, Any]:
        results: Sequence[Result] = yield Handle((command,), by)
        return results[0].unwrap()

    # Hearing.

    def receive(self, port: tuple[str, str], notices: Sequence[Notice]) -> Generator[WorkRequest, Any, list[Message]]:
        """Store notices.  Once this has answered, the sender may be told that they have arrived."""
        if not notices:
            return []
        now: DateTime = yield Time()
        results: Sequence[Result] = yield Handle(
            tuple(ReceiveMessage(message=self._message(port, n, now)) for n in notices)
        )
        return [result.unwrap() for result in results]

    def _message(self, port: tuple[str, str], notice: Notice, now: DateTime) -> Message:
        event_id = check_text(notice.event_id, "event_id")
        return Message(
            message_id=message_id(port, event_id),
            source=port,
            event_id=event_id,
            key=notice.key,
            reference=notice.reference,
            answer=notice.answer,
            code=notice.code,
            result=tuple(self.worker.assembly.codec.freeze(value) for value in notice.result),
            status="received",
            due=now,
        )

    # Comparing books.

    def reconcile(
        self, port: tuple[str, str], since: datetime, until: datetime | None
    ) -> Generator[WorkRequest, Any, Reconciliation]:
        """Compare a provider's books with ours, both ways, and import what it did that we do not know of."""
        now: DateTime = yield Time()
        start = check_instant(since, "since")
        end = check_instant(until, "until") if until is not None else now
        if end < start:
            raise InvalidInput(f"until ({end}) lies before since ({start})")
        adapter = self._adapter(port)
        found = Reconciliation("/".join(port))
        yield from self._look_up_stuck(port, found)
        keys: set[str] = set()
        if hasattr(adapter, "list"):
            held = yield from self._held(port, start, end)
            yield from self._import(port, adapter, start, end, keys, found)
            yield from self._miss(held, start, end, keys, found)
        yield from self._one(NoteReconciled(port=found.port, since=start, until=end))
        return found

    def _adapter(self, port: tuple[str, str]) -> Any:
        family, name = port
        adapter = self.worker.assembly.ports.get(family, {}).get(name)
        if adapter is None:
            raise NotFound(family.rstrip("s"), name)
        return adapter

    def _look_up_stuck(self, port: tuple[str, str], found: Reconciliation) -> Generator[WorkRequest, Any, None]:
        """Everything of this provider whose outcome is unknown, parked ones too, is looked up once."""
        if not self._adapter(port).capabilities.can_look_up:
            return
        place: tuple[str, str] | None = None
        while True:
            equal = {"status": ("unknown", "parked", "ready", "pending"), "port": ("/".join(port),)}
            page: Sequence[Found] = yield Look(Query(kind="effect", equal=equal, limit=PAGE, after=place))
            intents = self._intents(page)
            if intents:
                found.looked += len(intents)
                yield from self.worker.look_up(intents)
            if len(page) < PAGE:
                return
            place = page[-1].place

    def _import(
        self,
        port: tuple[str, str],
        adapter: Any,
        since: DateTime,
        until: DateTime,
        keys: set[str],
        found: Reconciliation,
    ) -> Generator[WorkRequest, Any, None]:
        """What the provider lists: settled with the effect it names, or told to what bears its reference."""
        cursor: str | None = None
        while True:
            listing: Listing = yield Listen(adapter, since - CLOCKS_DIFFER, until + CLOCKS_DIFFER, cursor)
            for notice in listing.notices:
                found.listed += 1
                keys.add(notice.key)
                now: DateTime = yield Time()
                message = self._message(port, changed(notice, event_id=f"list:{notice.event_id}"), now)
                news = yield from meaning_of(self.worker.assembly, message)
                if not news:
                    found.strangers.append(notice.event_id)
                    continue
                results: Sequence[Result] = yield Handle(tuple(news))
                found.imported += sum(result.unwrap() is not None and result.changed for result in results)
            cursor = listing.cursor
            if cursor is None:
                return

    def _held(
        self, port: tuple[str, str], since: DateTime, until: DateTime
    ) -> Generator[WorkRequest, Any, list[Intent]]:
        """What we hold as done in this time, so that the provider must list it.

        Asked before the provider is: what is done while it answers is not in its list yet, and no reason for an
        alarm.  Neither is what was sent before `since`, for the provider may list it under that time.
        """
        held = list[Intent]()
        place: tuple[str, str] | None = (to_text(since), "")
        while True:
            query = Query(
                kind="effect",
                equal={"port": ("/".join(port),), "status": ("succeeded",)},
                upto=("ended_at", to_text(until)),
                limit=PAGE,
                after=place,
            )
            page: Sequence[Found] = yield Look(query)
            held += [
                one
                for one in self._intents(page)
                if self._is_listed(one) and (one.first_sent or one.planned_at) >= since
            ]
            if len(page) < PAGE:
                return held
            place = page[-1].place

    def _is_listed(self, intent: Intent) -> bool:
        request = self.worker.assembly.codec.thaw(intent.request)
        return not isinstance(request, Opaque) and not request.only_asks

    def _miss(
        self, held: list[Intent], since: DateTime, until: DateTime, keys: set[str], found: Reconciliation
    ) -> Generator[WorkRequest, Any, None]:
        """What we hold as done and the provider does not list."""
        for intent in held:
            if intent.key not in keys:
                found.missing.append(intent.effect_id)
                reason = f"{found.port} does not list it between {since} and {until}"
                yield from self._one(OpenDiscrepancy(about=("effect", intent.effect_id), reason=reason))

    # Recovering.

    def recover(self, since: datetime, reason: str) -> Generator[WorkRequest, Any, Sending]:
        """A backup was restored: send nothing until every adapter was reconciled from `since` on."""
        ports = tuple(
            f"{family}/{name}" for family, named in sorted(self.worker.assembly.ports.items()) for name in sorted(named)
        )
        command = BeginRecovery(since=check_instant(since, "since"), ports=ports, reason=reason)
        sending: Sending = yield from self._one(command)
        return sending

    def resume(self) -> Generator[WorkRequest, Any, Sending]:
        """All adapters were reconciled: send again."""
        sending: Sending = yield from self._one(EndRecovery())
        return sending
