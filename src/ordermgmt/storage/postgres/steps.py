"""What a PostgreSQL store does on a connection, step by step, and the two drivers that do it: blocking and awaited.

What a store does is written once, as generators that do no I/O: each yields a step and is sent the answer, or thrown
the error.  (psycopg itself is built so.)  Connections are lent and transactions ended by the drivers' `with` blocks and
not in a generator, so that whatever is raised, `KeyboardInterrupt` and `CancelledError` included, undoes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import tuple_row

from ordermgmt.storage.postgres.texts import Values

T = TypeVar("T")

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]
OPEN = {TransactionStatus.INTRANS, TransactionStatus.INERROR}


class Line(Protocol):
    """What a step may look at of a connection, blocking or awaited, without asking anybody."""

    @property
    def closed(self) -> bool: ...

    @property
    def pgconn(self) -> PGconn: ...


class Ask(NamedTuple):
    """Answered with the rows; none where a statement has none."""

    text: bytes
    values: Values
    before: bytes = b""
    """Said first, as BEGIN is."""
    after: bytes = b""
    """Said last, as COMMIT is, unless the statement has failed."""


class Do(NamedTuple):
    """Answered with None once it is done."""

    text: bytes


class Pause(NamedTuple):
    """Answered with None after so long."""

    seconds: float


class Close(NamedTuple):
    """Close the connection."""


class Another(NamedTuple):
    """Give this connection back, and take another one; answered with that one."""


class Elsewhere(NamedTuple):
    """Give this connection back, and do these steps on another one; answered with what they answer."""

    steps: Steps[Any]


Step = Ask | Do | Pause | Close | Another | Elsewhere
Steps = Generator[Step, Any, T]


def drive(steps: Generator[Any, Any, T], act: Callable[[Any], Any]) -> T:
    """Do these steps, blocking."""
    go: Callable[[Any], Any] = steps.send
    told: Any = None
    try:
        while True:
            step = go(told)
            try:
                go, told = steps.send, act(step)
            except BaseException as error:  # noqa: BLE001 - it is raised again where it belongs
                go, told = steps.throw, error
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        told = None  # an error and this frame would keep each other


async def drive_async(steps: Generator[Any, Any, T], act: Callable[[Any], Awaitable[Any]]) -> T:
    """Do these steps, awaiting each."""
    go: Callable[[Any], Any] = steps.send
    told: Any = None
    before = cancellations()
    try:
        while True:
            step = go(told)
            try:
                go, told = steps.send, await act(step)
                heed(before)
            except BaseException as error:  # noqa: BLE001 - as above
                go, told = steps.throw, error
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        told = None


def cancellations() -> int:
    """How often the task that runs was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def heed(before: int) -> None:
    """End the task that runs if it was asked to since then, though whatever it waited for did not tell it.

    `asyncio.wait_for` of Python 3.11, on which psycopg's pool waits, loses a request that comes in the moment in which
    there is an answer (https://github.com/python/cpython/issues/86296).  The task would go on to wait for rows that
    whoever ended it may hold.
    """
    if cancellations() > before:
        raise asyncio.CancelledError


def cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """A cursor that answers plain tuples, whatever the host likes its own rows and cursors to be."""
    return psycopg.Cursor(connection, row_factory=tuple_row)


def asked(connection: Connection, ask: Ask) -> list[Any]:
    """What a statement answers; nothing where it answers nothing."""
    if ask.before:
        cursor(connection).execute(ask.before)
    # Without arguments a % is a %.
    told = cursor(connection).execute(ask.text, ask.values or None, binary=True)
    found = told.fetchall() if told.description else []
    if ask.after:
        cursor(connection).execute(ask.after)
    return found


async def asked_async(connection: AsyncConnection, ask: Ask) -> list[Any]:
    """As `asked`, awaited."""
    if ask.before:
        await psycopg.AsyncCursor(connection).execute(ask.before)
    told = await psycopg.AsyncCursor(connection, row_factory=tuple_row).execute(
        ask.text, ask.values or None, binary=True
    )
    found = await told.fetchall() if told.description else []
    if ask.after:
        await psycopg.AsyncCursor(connection).execute(ask.after)
    return found


def undo(connection: Line) -> Steps[None]:
    """Undo what is open.  A connection that cannot is closed, and by whoever takes it back."""
    if connection.pgconn.transaction_status in OPEN:
        try:
            yield Ask(b"ROLLBACK", [])
        except psycopg.Error:
            yield Close()
