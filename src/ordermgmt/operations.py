"""Effects as people and schedulers see them: `shop.effects`.

A thread, cron, Celery or a workflow engine may drive the same calls: `due`, `run_one` and `next_due` are re-entrant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from datetime import datetime
from typing import Any

from pendulum import DateTime

from .engine.effects import Declined, Intent, Succeeded
from .engine.messages import check_text
from .engine.operating import Operator, Reconciliation
from .engine.recovery import Sending
from .engine.work_requests import Report


class Effects:
    """The effects of one shop: what is due, what is stuck, and what the providers' books say.

    `by` is who decides, as in `handle`; it stands in the effect's history.
    """

    def __init__(self, operator: Operator, run: Callable[[Generator[Any, Any, Any]], Any]) -> None:
        self._operator = operator
        self._run = run

    def due(self, *, limit: int = 100) -> list[Intent]:
        """Effects that are due now and first in their lane, the most overdue first: what `run_one` would do."""
        intents: list[Intent] = self._run(self._operator.due(limit))
        return intents

    def next_due(self) -> DateTime | None:
        """When there will be something to do next; None if nothing waits."""
        next_due: DateTime | None = self._run(self._operator.next_due())
        return next_due

    def run_one(self, effect_id: str) -> Report:
        """Do one effect, if it is due and first in its lane.  Otherwise nothing happens."""
        report: Report = self._run(self._operator.worker.run_one(check_text(effect_id, "effect_id")))
        return report

    def parked(self, *, limit: int = 100, after: tuple[str, str] | None = None) -> list[Intent]:
        """Effects that wait for a person, with reason and evidence in their history."""
        intents: list[Intent] = self._run(self._operator.parked(limit, after))
        return intents

    def retry(self, effect_id: str, *, note: str = "", by: str | None = None) -> Intent:
        """Try a parked effect again, with the same key.  Refused (`NotAllowed`) where it is not parked."""
        intent: Intent = self._run(self._operator.retry(effect_id, note, by))
        return intent

    def resolve(self, effect_id: str, outcome: Succeeded | Declined, *, evidence: str, by: str | None = None) -> Intent:
        """Say what became of a stuck effect, as you found it at the provider.

        `Succeeded(result=…)` holds what the port's effects succeed with: facts, a label.  Where it has ended just so
        meanwhile, nothing is left to say and nothing changes; else it is refused with `NotStuck` unless it is parked,
        unknown or pending.
        """
        intent: Intent = self._run(self._operator.resolve(effect_id, outcome, evidence, by))
        return intent

    def cancel(self, effect_id: str, *, reason: str = "", by: str | None = None) -> Intent:
        """Take back an effect that was certainly never sent.  Refused (`NotAllowed`) otherwise."""
        intent: Intent = self._run(self._operator.cancel(effect_id, reason, by))
        return intent

    def adopt(self, effect_id: str, *, by: str | None = None) -> Intent:
        """Take over an effect that another installation planned.  Only after a move: never for a copy."""
        intent: Intent = self._run(self._operator.adopt(effect_id, by))
        return intent

    def reconcile(
        self, gateway: str, since: datetime, until: datetime | None = None, *, family: str = "gateways"
    ) -> Reconciliation:
        """Compare a provider's books with ours, both ways.  What it did and we do not know of is imported; what we
        hold and it does not is a discrepancy.  Doing it twice changes nothing.
        """
        found: Reconciliation = self._run(self._operator.reconcile((family, gateway), since, until))
        return found

    def recover(self, since: datetime, *, reason: str = "") -> Sending:
        """After a backup was restored: send nothing until every adapter was reconciled from `since` on."""
        sending: Sending = self._run(self._operator.recover(since, reason))
        return sending

    def resume(self) -> Sending:
        """End the recovery.  Refused with `NotReconciled` while an adapter was not compared."""
        sending: Sending = self._run(self._operator.resume())
        return sending


class AsyncEffects:
    """`Effects`, awaited."""

    def __init__(self, operator: Operator, run: Callable[[Generator[Any, Any, Any]], Awaitable[Any]]) -> None:
        self._operator = operator
        self._run = run

    async def due(self, *, limit: int = 100) -> list[Intent]:
        """See `Effects.due`."""
        intents: list[Intent] = await self._run(self._operator.due(limit))
        return intents

    async def next_due(self) -> DateTime | None:
        """See `Effects.next_due`."""
        next_due: DateTime | None = await self._run(self._operator.next_due())
        return next_due

    async def run_one(self, effect_id: str) -> Report:
        """See `Effects.run_one`."""
        report: Report = await self._run(self._operator.worker.run_one(check_text(effect_id, "effect_id")))
        return report

    async def parked(self, *, limit: int = 100, after: tuple[str, str] | None = None) -> list[Intent]:
        """See `Effects.parked`."""
        intents: list[Intent] = await self._run(self._operator.parked(limit, after))
        return intents

    async def retry(self, effect_id: str, *, note: str = "", by: str | None = None) -> Intent:
        """See `Effects.retry`."""
        intent: Intent = await self._run(self._operator.retry(effect_id, note, by))
        return intent

    async def resolve(
        self, effect_id: str, outcome: Succeeded | Declined, *, evidence: str, by: str | None = None
    ) -> Intent:
        """See `Effects.resolve`."""
        intent: Intent = await self._run(self._operator.resolve(effect_id, outcome, evidence, by))
        return intent

    async def cancel(self, effect_id: str, *, reason: str = "", by: str | None = None) -> Intent:
        """See `Effects.cancel`."""
        intent: Intent = await self._run(self._operator.cancel(effect_id, reason, by))
        return intent

    async def adopt(self, effect_id: str, *, by: str | None = None) -> Intent:
        """See `Effects.adopt`."""
        intent: Intent = await self._run(self._operator.adopt(effect_id, by))
        return intent

    async def reconcile(
        self, gateway: str, since: datetime, until: datetime | None = None, *, family: str = "gateways"
    ) -> Reconciliation:
        """See `Effects.reconcile`."""
        found: Reconciliation = await self._run(self._operator.reconcile((family, gateway), since, until))
        return found

    async def recover(self, since: datetime, *, reason: str = "") -> Sending:
        """See `Effects.recover`."""
        sending: Sending = await self._run(self._operator.recover(since, reason))
        return sending

    async def resume(self) -> Sending:
        """See `Effects.resume`."""
        sending: Sending = await self._run(self._operator.resume())
        return sending
