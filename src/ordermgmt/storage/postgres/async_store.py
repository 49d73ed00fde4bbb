"""A store in PostgreSQL for asyncio: the same tables, statements and promises as `PostgresStorage`, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Misconfigured, MissingExtra

try:
    import psycopg
except ImportError as problem:
    raise MissingExtra("AsyncPostgresStorage needs psycopg 3: pip install 'ordermgmt[postgres]'") from problem

from ordermgmt.storage.checks import seconds_of
from ordermgmt.storage.postgres import questions
from ordermgmt.storage.postgres.async_connections import (
    AsyncBorrowed,
    AsyncHosts,
    AsyncLender,
    AsyncOwn,
    AsyncPool,
    act_async,
)
from ordermgmt.storage.postgres.async_joined import AsyncJoinedPostgresStorage
from ordermgmt.storage.postgres.connections import check_pool
from ordermgmt.storage.postgres.course import Course, feed
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.reading import Answer, AsyncReading
from ordermgmt.storage.postgres.schema import checked_name
from ordermgmt.storage.postgres.sessions import ATTEMPTS_MAX, check_count, failure, has_died, preparing
from ordermgmt.storage.postgres.steps import (
    Another,
    Ask,
    AsyncConnection,
    Elsewhere,
    Pause,
    Step,
    drive_async,
    undo,
)
from ordermgmt.storage.postgres.texts import Statements

__all__ = ["AsyncPostgresStorage"]


class AsyncPostgresStorage(AsyncReading):
    """Keeps everything in one schema of a PostgreSQL database, on awaited connections: for `AsyncOrderManagement`.

    It is the same store as `PostgresStorage`: both may work on one schema at the same time, and what that promises,
    this one does.  A task that is cancelled gives its connection back with its transaction undone.

    The server is looked at, and the tables are made, when it is used first, or by ``await storage.open()`` or
    ``async with``.  From then on it serves that event loop, until the loop is closed.

    Args:
        database: Where it is: a connection string (``"postgresql://user@host/shop"``), or your own pool of psycopg's
            awaited connections (`psycopg_pool.AsyncConnectionPool`), which stays yours to open and to close.
        schema: The schema for its tables; made if there is none.
        connections_max: How many connections of its own it opens at most.  Your pool has its own limit.
        busy_timeout: How long to wait for rows that others hold, for a free connection, and for a server that restarts.
        statement_timeout: After how long the server gives a single statement up.
        idle_timeout: After how long the server ends a transaction whose process has stopped, and frees its rows.
            These three are set on the store's own connections; those of your pool keep what you gave them.

    Raises `Misconfigured` for a server that could lose what it acknowledged, and for a second event loop; `NewerSchema`
    where a newer release wrote; `StorageFailed` where the server cannot be reached.
    """

    volatile = False
    exclusive = False
    awaits = True
    installation: str = ""
    """A random id given to the schema when it was made; a copy has the same.  Known once the store is open."""

    def __init__(
        self,
        database: str | AsyncPool,
        *,
        schema: str = "ordermgmt",
        connections_max: int = 10,
        busy_timeout: timedelta = timedelta(seconds=30),
        statement_timeout: timedelta = timedelta(seconds=60),
        idle_timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        self._texts = Statements(checked_name(schema))
        self.schema = schema
        check_count(connections_max)
        self._connections = _lender(
            database,
            connections_max,
            busy_seconds=seconds_of("busy_timeout", busy_timeout),
            statement_seconds=seconds_of("statement_timeout", statement_timeout),
            idle_seconds=seconds_of("idle_timeout", idle_timeout),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect, look at the server, and bring the schema up to date, unless that was done before."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._pid != os.getpid():
            self._settle_in(loop)
        if not self.installation:
            async with self._opening:
                if not self.installation:
                    self.installation = await self._prepared()

    def _settle_in(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._pid == os.getpid():
            if not self._loop.is_closed():
                raise Misconfigured(
                    "this AsyncPostgresStorage serves another event loop, which is still there; make a store for each "
                    "loop, or use PostgresStorage, which serves all of them in threads"
                )
            self._connections.move()
        self._loop, self._pid, self._opening, self.installation = loop, os.getpid(), asyncio.Lock(), ""

    async def _prepared(self) -> str:
        try:
            await self._connections.prove()
            for attempt in range(1, ATTEMPTS_MAX + 1):
                async with AsyncBorrowed(self._connections) as connection:
                    on_it = partial(act_async, connection)
                    try:
                        return await drive_async(preparing(self._texts), on_it)
                    except psycopg.OperationalError as error:
                        if attempt == ATTEMPTS_MAX or not has_died(connection, error):
                            raise
                    finally:
                        await drive_async(undo(connection), on_it)
        except BaseException as error:
            self._connections.close_idle()
            if isinstance(error, psycopg.Error):
                raise failure(error) from error
            raise
        raise AssertionError  # pragma: no cover - the last time it was raised

    def transaction(self) -> AsyncPostgresTransaction:
        return AsyncPostgresTransaction(self.open, self._connections, self._texts)

    async def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """See `PostgresStorage.feed`."""
        return await drive_async(feed(self._texts, after, limit, self._connections.busy_seconds), self._look)

    async def _look(self, step: Question[Any] | Pause) -> Any:
        return await (asyncio.sleep(step.seconds) if isinstance(step, Pause) else self._ask(step))

    async def erase(self, subject: str) -> int:
        """Forget every value about a person; the server overwrites them when it vacuums the table."""
        return await self._ask(questions.erase(self._texts, subject))

    def joined(self, connection: object) -> AsyncJoinedPostgresStorage:
        """The same store on an `AsyncConnection` of the host's, within the transaction that is open there."""
        return AsyncJoinedPostgresStorage(connection, schema=self.schema)

    async def close(self) -> None:
        """Close its own connections; whoever is in a transaction may still end it."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, question: Question[Answer]) -> Answer:
        """The answer to a question; asked again where the connection had died since it was used last."""
        await self.open()
        if not question.text:
            return question.read([])
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                async with AsyncBorrowed(self._connections) as connection:
                    try:
                        return question.read(await self._connections.asked(connection, Ask(*question[:2])))
                    except psycopg.OperationalError:
                        if attempt == ATTEMPTS_MAX or not connection.closed:
                            raise
            except psycopg.Error as error:
                raise failure(error) from error
        raise AssertionError  # pragma: no cover - the last time it was raised


class AsyncPostgresTransaction:
    """An open transaction of an `AsyncPostgresStorage`: the rows it has loaded are nobody else's until it ends."""

    __slots__ = ("_connection", "_connections", "_course", "_holds", "_open", "_texts")

    _connection: AsyncConnection
    _course: Course

    def __init__(self, open: Callable[[], Awaitable[None]], connections: AsyncLender, statements: Statements) -> None:
        self._open = open
        self._connections = connections
        self._texts = statements
        self._holds = False

    async def __aenter__(self) -> Self:
        await self._open()
        try:
            await self._borrow()
        except psycopg.Error as error:
            raise failure(error) from error
        self._course = Course(self._connection, self._texts, self._connections.busy_seconds)
        return self

    async def _borrow(self) -> None:
        self._connection = await self._connections.borrow()
        self._holds = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._course.end()
        if self._holds and self._course.is_ours:
            await self._release()

    async def _release(self) -> None:
        self._holds = False
        try:
            await drive_async(undo(self._connection), self._act)
        finally:
            await self._connections.give_back(self._connection)

    async def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return await drive_async(self._course.load(keys, skip_locked=skip_locked), self._act)

    async def commit(self, writes: Sequence[Write]) -> None:
        await drive_async(self._course.commit(writes), self._act)

    async def _act(self, step: Step) -> Any:
        match step:
            case Ask():
                return await self._connections.asked(self._connection, step)
            case Another():
                await self._release()
                await self._borrow()
                return self._connection
            case Elsewhere(steps=steps):
                await self._release()  # it may have been the only one
                async with AsyncBorrowed(self._connections) as other:
                    return await drive_async(steps, partial(act_async, other))
            case _:
                return await act_async(self._connection, step)


def _lender(
    database: str | AsyncPool,
    connections_max: int,
    *,
    busy_seconds: float,
    statement_seconds: float,
    idle_seconds: float,
) -> AsyncLender:
    if isinstance(database, str):
        return AsyncOwn(
            database,
            connections_max=connections_max,
            busy_seconds=busy_seconds,
            statement_seconds=statement_seconds,
            idle_seconds=idle_seconds,
        )
    check_pool(database, "AsyncPostgresStorage", "AsyncConnectionPool")
    return AsyncHosts(database, busy_seconds)
