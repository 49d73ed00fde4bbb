"""Asking an adapter as the engine would, blocking or awaited, and watching what it does to its surroundings."""

from __future__ import annotations

import asyncio
import decimal
import inspect
import locale
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from attrs import define, field

from ordermgmt.engine.effects import Declined, Outcome, Pending, RetryLater, Succeeded, Unknown

T = TypeVar("T")
LONGEST = 60.0
"""How long any call may take at all, in seconds, before the contract gives up waiting."""


class Loop:
    """An event loop in a thread of its own: an async adapter lives on one loop, as it would in a host."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait_for(self, answer: Awaitable[T]) -> T:
        """The answer, once it is there."""

        async def awaited() -> T:
            return await answer

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(LONGEST)

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@define
class Raised:
    """An adapter raised: nobody knows what became of the request."""

    problem: BaseException

    def text(self) -> str:
        """All that a log would show of it."""
        return "".join(traceback.format_exception(self.problem))


Heard = Any
"""An outcome, `NotThere`, `CannotTell`, or `Raised`."""


@define
class Asker:
    """Calls one adapter."""

    adapter: Any
    deadline: timedelta
    loop: Loop = field(factory=Loop)
    slowest: float = 0.0

    def execute(self, request: Any, key: str, deadline: timedelta | None = None) -> Heard:
        """What `execute` answers."""
        return self._ask(self.adapter.execute, request, key, deadline)

    def lookup(self, request: Any, key: str, deadline: timedelta | None = None) -> Heard:
        """What `lookup` answers."""
        return self._ask(self.adapter.lookup, request, key, deadline)

    def listed(self, *period: Any) -> Any:
        """What `list` answers; its exceptions are the test's."""
        answer = self.adapter.list(*period)
        return self.loop.wait_for(answer) if inspect.isawaitable(answer) else answer

    def _ask(self, method: Callable[..., Any], request: Any, key: str, deadline: timedelta | None) -> Heard:
        began = time.monotonic()
        try:
            answer = method(request, key=key, deadline=deadline or self.deadline)
            if inspect.isawaitable(answer):
                answer = self.loop.wait_for(answer)
        except Exception as problem:  # noqa: BLE001 - whatever it raises is what the test looks at
            answer = Raised(problem)
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        return answer

    def together(self, calls: Iterable[tuple[Any, str]]) -> list[Heard]:
        """All of these (request, key) at the same time."""
        asked = list(calls)
        start = threading.Barrier(len(asked))

        def one(request: Any, key: str) -> Heard:
            start.wait(timeout=LONGEST)
            return self.execute(request, key)

        with ThreadPoolExecutor(len(asked)) as pool:
            return [f.result() for f in [pool.submit(one, request, key) for request, key in asked]]


def nobody_knows(answer: Heard) -> bool:
    """Whether the answer leaves open what became of the request."""
    return isinstance(answer, Raised | Unknown)


def shown(answer: Heard) -> str:
    """An answer for an assertion's message."""
    return f"raised {answer.problem!r}" if isinstance(answer, Raised) else repr(answer)


def is_answer(answer: Heard) -> bool:
    """Whether it is one of the five outcomes, or an exception."""
    return isinstance(answer, Outcome | Raised)


def surroundings() -> dict[str, Any]:
    """What no adapter may change, for everybody else in the process uses it as well."""
    root = logging.getLogger()
    return {
        "the default TLS context": vars(ssl)["_create_default_https_context"],  # this is what careless clients set
        "what a TLS context verifies": _tls(),
        "the socket time-out": socket.getdefaulttimeout(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the time zone": (os.environ.get("TZ"), time.tzname),
        "environment variables": {n: v for n, v in os.environ.items() if not n.startswith("PYTEST")},
        "signal handlers": {number: signal.getsignal(number) for number in sorted(signal.valid_signals())},
        "the root logger": (root.level, [h for h in root.handlers if not type(h).__module__.startswith("_pytest")]),
        "what is logged": (logging.root.manager.disable, logging.getLoggerClass(), logging.raiseExceptions),
        "sys.path": list(sys.path),
        "the hook for uncaught exceptions": (sys.excepthook, threading.excepthook),
        "the recursion limit": sys.getrecursionlimit(),
        "the decimal context": str(decimal.getcontext()),
        "the working directory": os.getcwd(),  # noqa: PTH109 - as text, for comparing
        "the warnings filter": list(warnings.filters),
    }


def _tls() -> tuple[Any, ...]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return (context.check_hostname, context.verify_mode, context.minimum_version)


__all__ = [
    "Asker",
    "Declined",
    "Heard",
    "Loop",
    "Pending",
    "Raised",
    "RetryLater",
    "Succeeded",
    "Unknown",
    "is_answer",
    "nobody_knows",
    "shown",
    "surroundings",
]
