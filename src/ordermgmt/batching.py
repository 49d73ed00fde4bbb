"""Many callers, few commits: concurrent `handle` calls gathered, decided in one transaction, saved with one sync.

A durable commit costs several times what a decision does, and a hot row can be locked by one transaction at a time.
So callers who come at the same time share both.  No thread is started: whoever comes first leads, takes along those
who have come in the meantime, and hands the lead to the first of those who came too late.  Nobody is answered before
the commit that holds their command is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar

from .async_management import AsyncOrderManagement
from .engine.messages import Command, shorten
from .engine.requests import Job, Result
from .engine.transaction import joins
from .errors import InvalidInput, Misconfigured, OutcomeUnknown, StorageFailed
from .management import OrderManagement
from .settings import BATCH_MAX

__all__ = ["AsyncBatcher", "Batcher"]

State = TypeVar("State")

MAX_BATCH = 64
MAX_WAIT = timedelta(milliseconds=2)
WAIT_MAX = timedelta(seconds=10)
"""The longest wait that is accepted: the first caller is held up for that long."""

_INTERRUPTED = "the commit that held this command was interrupted"


class _Size:
    """How many callers go together, and how long the first of them waits for the others.

    The batch before tells how many callers there are.  That many are waited for, but no longer than `max_wait`.  So a
    caller who is alone does not wait at all, and a crowd does not wait for those who have gone home.
    """

    def __init__(self, max_batch: int, max_wait: timedelta) -> None:
        if isinstance(max_batch, bool) or not isinstance(max_batch, int) or not 1 <= max_batch <= BATCH_MAX:
            raise InvalidInput(f"max_batch must be 1 to {BATCH_MAX} (got {shorten(max_batch)})")
        if not isinstance(max_wait, timedelta) or not timedelta(0) <= max_wait <= WAIT_MAX:
            raise InvalidInput(f"max_wait must be a timedelta of 0 to {WAIT_MAX} (got {shorten(max_wait)})")
        self.most = max_batch
        self.seconds = max_wait.total_seconds()
        self.wanted = 1

    def taken(self, batch: int, behind: int) -> None:
        """A batch goes, and so many stay behind it: together they are who will be back."""
        self.wanted = min(self.most, batch + behind)


class _Call:
    """One caller who waits: for its answer, or to lead."""

    __slots__ = ("_gate", "job", "leads", "result")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.leads = False
        self.result: Result | None = None
        # A bare lock, let go by whoever wakes the caller: an Event would be three of them.
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self) -> None:
        self._gate.acquire()

    def answer(self, result: Result) -> None:
        self.result = result
        self._gate.release()

    def lead(self) -> None:
        self.leads = True
        self._gate.release()


class Batcher:
    """`shop.handle` for many threads at once, in shared commits.

    Args:
        shop: The shop; it may be used directly at the same time.
        max_batch: How many commands one commit holds at most.
        max_wait: How long the first caller waits for others, at most.  It waits only where others are expected:
            a caller who is alone is served at once.

    Every caller gets its own entity, refusal or error, and is answered after the commit.  Where the commit fails, all
    whose commands it held get the error, and nothing of them was saved.
    """

    def __init__(self, shop: OrderManagement, *, max_batch: int = MAX_BATCH, max_wait: timedelta = MAX_WAIT) -> None:
        if not isinstance(shop, OrderManagement):
            raise Misconfigured(
                f"Batcher takes an OrderManagement (got {shorten(shop)}); for asyncio there is AsyncBatcher"
            )
        _refuse_hosts(shop.storage)
        self._shop = shop
        self._size = _Size(max_batch, max_wait)
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._enough = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._waiting: list[_Call] = []
        self._led = False
        self._leader = 0
        """The thread that decides a batch at this moment."""

    def handle(self, command: Command[State], *, by: str | None = None, command_id: str | None = None) -> State:
        """See `OrderManagement.handle`: the same promises, in a commit shared with whoever calls at the same time."""
        self._check_caller()
        call = _Call(self._shop.prepared(command, by=by, command_id=command_id))
        try:
            self._join(call)
            if not call.leads:
                call.wait()
            if call.leads:
                self._lead()
        finally:
            self._leave(call)
        if call.result is None:  # pragma: no cover - whoever leads answers everybody
            raise AssertionError(call.job)
        state: State = call.result.unwrap()
        return state

    def _join(self, call: _Call) -> None:
        """Wait with the others; whoever is the first of them leads."""
        with self._lock:
            if self._closed:
                raise StorageFailed("this batcher is closed; open a new one, or use shop.handle")
            self._waiting.append(call)
            if not self._led:
                self._led = call.leads = True
            elif len(self._waiting) >= self._size.wanted:
                self._enough.notify()

    def _lead(self) -> None:
        batch: list[_Call] = []
        try:
            with self._lock:
                self._enough.wait_for(lambda: len(self._waiting) >= self._size.wanted, self._size.seconds)
                batch = self._waiting[: self._size.most]
                del self._waiting[: self._size.most]
                self._size.taken(len(batch), len(self._waiting))
            steps = _apart([call.job for call in batch])
            self._leader = threading.get_ident()
            for call, result in zip(batch, _blocking(steps, self._shop.decide), strict=True):
                call.answer(result)
        finally:
            self._leader = 0
            # Where this thread was interrupted, the others must not wait for ever; what became of them it cannot say.
            for call in batch:
                if call.result is None:
                    call.answer(Result(error=OutcomeUnknown(_INTERRUPTED)))

    def _leave(self, call: _Call) -> None:
        """Whoever has led lets the first of those who wait lead next.

        A caller who was interrupted takes its command back, unless a commit holds it already.
        """
        if call.result is not None and not call.leads:
            return
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
            if call.leads and self._waiting:
                self._waiting[0].lead()
            elif call.leads:
                self._led = False
                self._idle.notify_all()

    def _check_caller(self) -> None:
        """Refuse whoever is called by a batch, as an observer is: it would wait for that batch to end."""
        if os.getpid() != self._pid:
            self._start()  # in a forked child: whoever led or waited is the parent's
        if self._leader == threading.get_ident():
            raise Misconfigured(
                "a batcher is called from within its own batch, by an observer or a rule, and would wait for itself; "
                "use the shop there, or do it after the batch"
            )

    def close(self) -> None:
        """Take no more calls, and answer once everybody who came before was served.  The shop stays open."""
        self._check_caller()
        with self._lock:
            self._closed = True
            self._idle.wait_for(lambda: not self._led)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncBatcher:
    """`AsyncOrderManagement.handle` for many tasks at once, in shared commits.  See `Batcher`.

    A task that is cancelled while it waits disturbs nobody: its command is taken back if no commit holds it yet, and
    has happened as a whole or not at all otherwise.
    """

    def __init__(
        self, shop: AsyncOrderManagement, *, max_batch: int = MAX_BATCH, max_wait: timedelta = MAX_WAIT
    ) -> None:
        if not isinstance(shop, AsyncOrderManagement):
            raise Misconfigured(
                f"AsyncBatcher takes an AsyncOrderManagement (got {shorten(shop)}); for threads there is Batcher"
            )
        _refuse_hosts(shop.storage)
        self._shop = shop
        self._size = _Size(max_batch, max_wait)
        self._waiting: list[tuple[Job, asyncio.Future[Result]]] = []
        self._enough = asyncio.Event()
        self._leading: asyncio.Task[None] | None = None
        self._closed = False

    async def handle(self, command: Command[State], *, by: str | None = None, command_id: str | None = None) -> State:
        """See `Batcher.handle`."""
        job = await self._shop.prepared(command, by=by, command_id=command_id)
        if self._closed:
            raise StorageFailed("this batcher is closed; open a new one, or use shop.handle")
        loop = asyncio.get_running_loop()
        if self._leading is not None and self._leading.get_loop() is not loop:
            raise Misconfigured("a batcher serves one event loop; make one for each")
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((job, answer))
        if len(self._waiting) >= self._size.wanted:
            self._enough.set()
        if self._leading is None:
            self._enough = asyncio.Event()  # one that was waited for serves that event loop for ever
            # A task of its own, so that cancelling a caller cancels nobody else.
            self._leading = loop.create_task(self._lead())
        state: State = (await answer).unwrap()
        return state

    async def _lead(self) -> None:
        batch: list[tuple[Job, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                await self._gather()
                self._waiting = [one for one in self._waiting if not one[1].done()]
                batch, self._waiting = self._waiting[: self._size.most], self._waiting[self._size.most :]
                self._size.taken(len(batch), len(self._waiting))
                results = await _awaited(_apart([job for job, _ in batch]), self._shop.decide)
                for (_, answer), result in zip(batch, results, strict=True):
                    if not answer.done():
                        answer.set_result(result)
        finally:
            self._leading = None
            for _, answer in batch:
                if not answer.done():
                    answer.set_result(Result(error=OutcomeUnknown(_INTERRUPTED)))
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting = []

    async def _gather(self) -> None:
        self._enough.clear()
        if len(self._waiting) < self._size.wanted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._size.seconds):
                    await self._enough.wait()

    async def close(self) -> None:
        """Take no more calls, and answer once everybody who came before was served.  The shop stays open."""
        self._closed = True
        if self._leading is not None:
            await asyncio.shield(self._leading)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


Deciding = Generator[Sequence[Job], Sequence[Result] | Exception, list[Result]]


def _apart(jobs: Sequence[Job]) -> Deciding:
    """Decide a batch; yields what to decide in one commit, and is sent its results or the error of that commit.

    What the store could not do concerns everybody in the commit.  Any other error comes from one of the commands, whose
    events cannot be stored for instance; nothing was saved, so the halves are tried apart until it stands alone.
    """
    if not jobs:
        return []
    answer = yield jobs
    if not isinstance(answer, Exception):
        return list(answer)
    if len(jobs) == 1 or isinstance(answer, StorageFailed | OutcomeUnknown):
        return [Result(error=_own(answer)) for _ in jobs]
    half = len(jobs) // 2
    first = yield from _apart(jobs[:half])
    return first + (yield from _apart(jobs[half:]))


def _blocking(steps: Deciding, decide: Callable[[Sequence[Job]], Sequence[Result]]) -> list[Result]:
    answer: Sequence[Result] | Exception | None = None
    try:
        while True:
            jobs = next(steps) if answer is None else steps.send(answer)
            try:
                answer = decide(jobs)
            except Exception as error:  # noqa: BLE001 - every error has a caller whom it reaches
                answer = error
    except StopIteration as end:
        results: list[Result] = end.value
        return results


async def _awaited(steps: Deciding, decide: Callable[[Sequence[Job]], Awaitable[Sequence[Result]]]) -> list[Result]:
    answer: Sequence[Result] | Exception | None = None
    try:
        while True:
            jobs = next(steps) if answer is None else steps.send(answer)
            try:
                answer = await decide(jobs)
            except Exception as error:  # noqa: BLE001 - as above
                answer = error
    except StopIteration as end:
        results: list[Result] = end.value
        return results


def _own(error: Exception) -> Exception:
    """The error for one of several callers: raised in several threads, one exception would mix up their traces."""
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - what cannot be copied is shared
        return error
    own.__cause__ = error
    return own


def _refuse_hosts(storage: Any) -> None:
    if joins(storage):
        raise Misconfigured(
            "a batcher commits, and here the host's transaction does; give it a shop on the library's own connection"
        )
