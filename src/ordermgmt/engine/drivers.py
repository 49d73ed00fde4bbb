"""The two drivers: they own the transaction and do the I/O the engine asks for, blocking or awaited.

The transaction is a `with` block here and not in the generator, so that any exception, `KeyboardInterrupt` and
`CancelledError` included, leaves it and undoes it, and nothing stays locked.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Generator, Sequence
from typing import Any

from ..errors import Conflict, OrderManagementError
from .assembly import Assembly
from .effects import RetryLater, Unknown
from .handling import attempt
from .observing import NOBODY, Committed, Conflicted, EffectAttempted, Watch
from .ports import Clock
from .requests import Again, Job, Load, Now, Result, Save
from .transaction import AsyncStorage, AsyncTransaction, Key, Storage, Transaction, Write, joins
from .work_requests import Call

ATTEMPTS_MAX = 50
"""How often a batch is decided anew because others were faster, before `Conflict` reaches the caller."""


def _wait(attempts: int, chance: random.Random) -> float:
    """How long to wait before the next attempt, in seconds: short, growing, and not in step with others."""
    return chance.uniform(0.0001, min(0.05, 0.001 * 2 ** min(attempts, 10)))


def handle(
    assembly: Assembly,
    storage: Storage,
    clock: Clock,
    chance: random.Random,
    jobs: Sequence[Job],
    watch: Watch = NOBODY,
) -> Sequence[Result]:
    """Decide and save a batch, blocking."""
    saved: list[Committed] | None = [] if watch.active else None
    begun = time.perf_counter()
    known = frozenset[Key]()
    for tries in range(ATTEMPTS_MAX):
        try:
            with storage.transaction() as transaction:
                steps = attempt(assembly, jobs, known, ordered=not storage.exclusive)
                outcome = _drive(steps, transaction, clock, len(jobs), saved)
        except Conflict as conflict:
            watch.tell(Conflicted(keys=conflict.keys, attempt=tries + 1))
            # In the host's transaction the host decides again, for all that it did there was decided on the same rows.
            if tries == ATTEMPTS_MAX - 1 or joins(storage):
                raise
            time.sleep(_wait(tries, chance))
            continue
        if not isinstance(outcome, Again):
            if saved is not None:
                # Only now: nobody's row is locked while observers look.
                watch.handled(assembly, jobs, outcome, saved, begun)
            return outcome
        known = outcome.keys
    raise Conflict(tuple(sorted(known)))


def _drive(
    steps: Generator[Any, Any, list[Result] | Again],
    transaction: Transaction,
    clock: Clock,
    commands: int,
    saved: list[Committed] | None,
) -> list[Result] | Again:
    try:
        answer: Any = None
        while True:
            match steps.send(answer):
                case Load(keys=keys, skip_locked=skip_locked):
                    answer = transaction.load(keys, skip_locked=skip_locked)
                case Now():
                    answer = clock.now()
                case Save(writes=writes):
                    begun = time.perf_counter()
                    transaction.commit(writes)
                    if saved is not None:
                        saved.append(_committed(commands, writes, begun))
                    answer = None
                case other:  # pragma: no cover - the engine asks for nothing else
                    raise AssertionError(other)
    except StopIteration as end:
        result: list[Result] | Again = end.value
        return result


def _committed(commands: int, writes: Sequence[Write], begun: float) -> Committed:
    events = sum(len(write.entries) for write in writes)
    return Committed(commands=commands, rows=len(writes), events=events, seconds=time.perf_counter() - begun)


async def handle_async(
    assembly: Assembly,
    storage: AsyncStorage,
    clock: Clock,
    chance: random.Random,
    jobs: Sequence[Job],
    watch: Watch = NOBODY,
) -> Sequence[Result]:
    """Decide and save a batch, awaiting the store."""
    saved: list[Committed] | None = [] if watch.active else None
    begun = time.perf_counter()
    known = frozenset[Key]()
    for tries in range(ATTEMPTS_MAX):
        try:
            async with storage.transaction() as transaction:
                steps = attempt(assembly, jobs, known, ordered=not storage.exclusive)
                outcome = await _drive_async(steps, transaction, clock, len(jobs), saved)
        except Conflict as conflict:
            watch.tell(Conflicted(keys=conflict.keys, attempt=tries + 1))
            if tries == ATTEMPTS_MAX - 1 or joins(storage):
                raise
            await asyncio.sleep(_wait(tries, chance))
            continue
        if not isinstance(outcome, Again):
            if saved is not None:
                # Only now: nobody's row is locked while observers look.
                watch.handled(assembly, jobs, outcome, saved, begun)
            return outcome
        known = outcome.keys
    raise Conflict(tuple(sorted(known)))


async def _drive_async(
    steps: Generator[Any, Any, list[Result] | Again],
    transaction: AsyncTransaction,
    clock: Clock,
    commands: int,
    saved: list[Committed] | None,
) -> list[Result] | Again:
    try:
        answer: Any = None
        while True:
            match steps.send(answer):
                case Load(keys=keys, skip_locked=skip_locked):
                    answer = await transaction.load(keys, skip_locked=skip_locked)
                case Now():
                    answer = clock.now()
                case Save(writes=writes):
                    begun = time.perf_counter()
                    await transaction.commit(writes)
                    if saved is not None:
                        saved.append(_committed(commands, writes, begun))
                    answer = None
                case other:  # pragma: no cover - the engine asks for nothing else
                    raise AssertionError(other)
    except StopIteration as end:
        result: list[Result] | Again = end.value
        return result


def rehearse(
    assembly: Assembly, clock: Clock, job: Job
) -> Generator[tuple[Key, ...], Any, tuple[Result, tuple[Write, ...]]]:
    """Decide without saving: yields keys to read without locks, answers the result and what would be saved."""
    known = frozenset[Key]()
    while True:
        steps = attempt(assembly, [job], known, ordered=False)
        writes: tuple[Write, ...] = ()
        answer: Any = None
        try:
            while True:
                match steps.send(answer):
                    case Load(keys=keys):
                        answer = yield keys
                    case Now():
                        answer = clock.now()
                    case Save(writes=writes):
                        answer = None
                    case other:  # pragma: no cover - the engine asks for nothing else
                        raise AssertionError(other)
        except StopIteration as end:
            if not isinstance(end.value, Again):
                return end.value[0], writes
            known = end.value.keys


def call(one: Call, clock: Clock, watch: Watch = NOBODY) -> Any:
    """Ask an adapter, blocking.  Any exception means that nobody knows."""
    if _too_late(one, clock):
        return RetryLater()
    begun = time.perf_counter()
    answer = _call(one)
    watch.tell(_attempted(one, answer, begun))
    return answer


def _call(one: Call) -> Any:
    try:
        ask = one.adapter.lookup if one.lookup else one.adapter.execute
        answer = ask(one.request, key=one.intent.key, deadline=one.deadline)
    except Exception as problem:  # noqa: BLE001 - whatever an adapter raises, nobody knows whether it was executed
        return Unknown(_cause(problem))
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise OrderManagementError(
            f"the adapter {one.intent.port} answers with an awaitable; use AsyncOrderManagement with it"
        )
    return answer


async def call_async(one: Call, clock: Clock, watch: Watch = NOBODY) -> Any:
    """Ask an adapter in a thread, and await its answer if it is one to await."""
    if _too_late(one, clock):
        return RetryLater()
    begun = time.perf_counter()
    answer = await _call_async(one)
    watch.tell(_attempted(one, answer, begun))
    return answer


async def _call_async(one: Call) -> Any:
    try:
        ask = one.adapter.lookup if one.lookup else one.adapter.execute
        if inspect.iscoroutinefunction(ask):
            return await ask(one.request, key=one.intent.key, deadline=one.deadline)
        answer = await asyncio.to_thread(ask, one.request, key=one.intent.key, deadline=one.deadline)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as problem:  # noqa: BLE001 - whatever an adapter raises, nobody knows whether it was executed
        return Unknown(_cause(problem))


def _attempted(one: Call, answer: Any, begun: float) -> EffectAttempted:
    return EffectAttempted(
        effect_id=one.intent.effect_id,
        effect=one.intent.kind,
        port=one.intent.port,
        lookup=one.lookup,
        outcome=type(answer).__name__,
        attempt=one.intent.attempts,
        seconds=time.perf_counter() - begun,
    )


def _too_late(one: Call, clock: Clock) -> bool:
    """Whether the claim under which this was to be sent has run out: after a slow batch, or a pause of the machine."""
    return not one.lookup and clock.now() >= one.intent.due


def _cause(problem: Exception) -> str:
    """What went wrong, by its type alone: an exception's text may hold what must not be kept."""
    return type(problem).__name__
