"""A third driver of the engine, beside the blocking and the awaited one: it stops at every boundary.

What the others do in one go is here a generator that yields the name of each boundary it comes to.  Whoever drives
it decides who goes on, who stands still, and who dies.  A virtual lock stands before the store's own: an actor that
would block says `begin` and is not called again before the lock is free.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol

from ...engine import drivers, handling
from ...engine.laters import NotYet
from ...engine.messages import Command, News
from ...engine.ports import Clock
from ...engine.requests import Again, Job, Load, Now, Result, Save
from ...engine.transaction import Key, Write
from ...engine.work_requests import Calls, Chance, Handle, Listen, Look, Read, Reveal, Time
from ...errors import Conflict, Refused, StorageBusy, StorageFailed
from ...management import OrderManagement
from .faults import Faults
from .store import Turns

Steps = Generator[str, None, Any]


class Stage(Protocol):
    """What the driver needs of the world."""

    faults: Faults
    shop: OrderManagement
    turns: Turns

    def happens(self, kind: str, chance: float) -> bool: ...

    def between(self, low: float, high: float) -> float: ...

    def breach(self, law: str, explanation: str) -> None: ...

    def before_call(self, call: Any) -> None:
        """An adapter is about to be called: the laws of sending are checked."""
        ...

    def after_call(self, answer: Any) -> None:
        """An adapter has answered."""
        ...

    def saved(self, writes: Sequence[Write]) -> None:
        """A commit was answered: it must be there."""
        ...


def handle(world: Stage, clock: Clock, jobs: Sequence[Job]) -> Generator[str, None, Sequence[Result]]:
    """Decide and save a batch.  The same as `drivers.handle`, boundary by boundary."""
    known = frozenset[Key]()
    for _ in range(drivers.ATTEMPTS_MAX):
        yield "begin"
        if world.happens("storage busy", world.faults.storage_busy):
            raise StorageBusy("the store was locked by another process")
        try:
            outcome = yield from _attempt(world, clock, jobs, known)
        except Conflict:
            continue
        if not isinstance(outcome, Again):
            _judge(world, jobs, outcome)
            return outcome
        known = outcome.keys
    raise Conflict(tuple(sorted(known)))


def _attempt(
    world: Stage, clock: Clock, jobs: Sequence[Job], known: frozenset[Key]
) -> Generator[str, None, list[Result] | Again]:
    storage = world.turns
    writes: tuple[Write, ...] = ()
    outcome: list[Result] | Again
    with storage.transaction() as transaction:
        steps = handling.attempt(world.shop.assembly, jobs, known, ordered=not storage.exclusive)
        answer: Any = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                outcome = end.value
                break
            match request:
                case Load(keys=keys):
                    answer = transaction.load(keys)
                    yield "loaded"
                case Now():
                    answer = clock.now()
                case Save(writes=writes):
                    yield "commit"
                    if world.happens("conflict", world.faults.conflict):
                        raise Conflict(tuple(write.row.key for write in writes))
                    if world.happens("storage failed", world.faults.storage_failed):
                        raise StorageFailed("the disk is full")
                    transaction.commit(writes)
                    world.saved(writes)
                    answer = None
                case other:
                    raise AssertionError(other)
    if writes:
        yield "committed"
        if world.happens("commit reply lost", world.faults.reply_lost):
            raise StorageFailed("the connection was lost, and with it the answer")
    if isinstance(outcome, list):
        _judge_refusals(world, jobs, outcome, writes)
    return outcome


def _judge(world: Stage, jobs: Sequence[Job], results: Sequence[Result]) -> None:
    """Law 3: news is never refused.  A bug is a bug, whoever asked."""
    for job, result in zip(jobs, results, strict=True):
        if isinstance(job.command, News) and isinstance(result.error, Refused) and not isinstance(result.error, NotYet):
            world.breach("news", f"{type(job.command).__name__} was refused: {result.error}")
        if result.error is not None and not isinstance(result.error, Refused | ValueError):
            world.breach("bug", f"{type(job.command).__name__} met {result.error!r}")


def _judge_refusals(world: Stage, jobs: Sequence[Job], results: Sequence[Result], writes: Sequence[Write]) -> None:
    """Law 4: a refused command changes nothing, but that it is remembered under its id."""
    if all(result.error is not None for result in results):
        for write in writes:
            if write.row.key[0] != "command" or not any(job.command_id for job in jobs):
                world.breach("refusal", f"{jobs[0].command} was refused, but changed {write.row.key}")


def work(world: Stage, clock: Clock, actor: str, steps: Generator[Any, Any, Any]) -> Generator[str, None, Any]:
    """Due work and operations: the engine's own generators, answered boundary by boundary."""
    answer: Any = None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration as end:
            return end.value
        match request:
            case Look(query=query):  # no boundary of its own: before anything is done about it, there is one
                answer = world.turns.find(query)
            case Read(keys=keys):
                answer = world.turns.read(keys)
            case Reveal(refs=refs):
                answer = world.turns.personal(refs)
            case Handle(commands=commands):
                answer = yield from handle(world, clock, [Job(command, actor) for command in commands])
            case Calls(calls=calls):
                answers = list[Any]()
                for call in calls:
                    yield "call"
                    world.before_call(call)
                    answers.append(drivers.call(call, clock))
                    world.after_call(answers[-1])
                    yield "called"
                answer = answers
            case Listen(adapter=adapter, since=since, until=until, cursor=cursor):
                yield "look"
                answer = adapter.list(since, until, cursor)
            case Time():
                answer = clock.now()
            case Chance():
                answer = world.between(0, 1)
            case other:
                raise AssertionError(other)


def job(shop: OrderManagement, command: Command[Any], actor: str, command_id: str | None) -> Job:
    """A command as the engine takes it."""
    settings = shop._settings  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - a driver of the engine, like the shop itself
    return settings.job(command, actor, command_id)
