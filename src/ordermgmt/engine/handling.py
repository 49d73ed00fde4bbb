"""How a batch of commands is handled: load, decide everything that follows, save once.

One generator serves blocking and asyncio hosts.  It never does I/O: it yields what it needs (`requests`) and
is sent the answers.

The batch is decided in memory from the rows that are loaded (`deciding`).  Deciding is pure, so where a row turns out
to be missing the whole batch is simply decided again after one more load; with keys declared well there is one load
in all.  Rows are taken in one total order: when one is needed that comes before a row already taken, the attempt gives
up and is started again with the union (`Again`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from pendulum import DateTime

from ..errors import NotTogether
from .assembly import Assembly
from .capability import changed
from .deciding import Deciding
from .effects import ClaimEffect
from .instants import to_text
from .requests import Again, Job, Load, Now, Request, Result, Save
from .saving import writes
from .transaction import Key, Row, Write
from .working_set import Entity


def attempt(
    assembly: Assembly, jobs: Sequence[Job], known: frozenset[Key], *, ordered: bool = True
) -> Generator[Request, Any, list[Result] | Again]:
    """Decide these jobs and save what they change.

    `known` are keys an earlier attempt found to be needed.  `ordered` is False where the store lets nobody else
    take rows meanwhile, so that they may be taken in any order.
    """
    first = set(known)
    for job in jobs:
        first |= assembly.keys(job.command)
        if job.command_id:
            first.add(("command", job.command_id))
    loaded: dict[Key, Entity] = {}
    wanted = first
    at: DateTime | None = None
    loads = 0
    while True:
        loads += 1
        keys = tuple(sorted(wanted, key=assembly.lock_order))
        rows: Mapping[Key, Row] = yield Load(keys, skip_locked=not loaded and not known and _claims_only(jobs))
        for key in keys:
            loaded[key] = Entity.of(assembly, key, rows.get(key))
        # Taken once, after the first rows are locked.
        now: DateTime = at if at is not None else (yield Now())
        at = now
        deciding = Deciding(assembly, loaded, now)
        results = [deciding.run(job) for job in jobs]
        if not deciding.missing:
            break
        wanted = deciding.missing
        if ordered and min(map(assembly.lock_order, wanted)) < max(map(assembly.lock_order, loaded)):
            return Again(frozenset(loaded) | frozenset(wanted))
    failed = sum(result.error is not None for result in results)
    if failed and ordered and loads > 1 and not _claims_only(jobs):
        # A store that locks nothing may have shown rows of different moments: nobody is refused for what never was.
        rows = yield Load(tuple(sorted(loaded, key=assembly.lock_order)))
        if any(rows.get(key) != entity.row for key, entity in loaded.items()):
            return Again(frozenset(loaded))
    if failed and any(job.together for job in jobs):
        return [result if result.error is not None else Result(error=NotTogether(failed)) for result in results]
    changes = writes(assembly, deciding.working.entities.values())
    for key in deciding.given:
        assembly.recent.forget(key)
    if changes:
        yield Save(changes)
        if _makes_due(changes, to_text(now)):
            return [changed(result, leaves_due=True) for result in results]
    return results


def _makes_due(changes: Sequence[Write], now: str) -> bool:
    """Whether any of these is, from now on, found among what is due by now."""
    for change in changes:
        due = change.index.get("due")
        if due is not None and due <= now:
            return True
    return False


def _claims_only(jobs: Sequence[Job]) -> bool:
    """Whether these are claims that may be left to others: to a claim, a row that is held is as good as none."""
    return all(isinstance(job.command, ClaimEffect) and not job.command.patient for job in jobs)
