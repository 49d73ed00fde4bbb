"""A PostgreSQL store within the transaction of an asyncio host: `JoinedPostgresStorage`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import psycopg

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Misconfigured
from ordermgmt.storage.hosts import driver_connection
from ordermgmt.storage.postgres import questions
from ordermgmt.storage.postgres.async_connections import act_async
from ordermgmt.storage.postgres.joined_course import JoinedCourse, answered, check_joinable, examining, feed
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.reading import Answer, AsyncReading
from ordermgmt.storage.postgres.schema import checked_name
from ordermgmt.storage.postgres.steps import AsyncConnection, Steps, drive_async
from ordermgmt.storage.postgres.texts import Statements, adapt

T = TypeVar("T")


class AsyncJoinedPostgresStorage(AsyncReading):
    """Keeps everything in the database that the host's awaited connection is on, in the host's transaction.

    See `JoinedPostgresStorage`; the connection is a `psycopg.AsyncConnection`, or a function that answers one.
    """

    volatile = False
    exclusive = False
    joins = True
    awaits = True

    def __init__(self, connection: object, *, schema: str = "ordermgmt") -> None:
        self._given = connection
        self._texts = Statements(checked_name(schema))
        self._sound = WeakSet[AsyncConnection]()

    def transaction(self) -> AsyncJoinedPostgresTransaction:
        return AsyncJoinedPostgresTransaction(self, self._texts)

    async def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """As far as nothing is missing.  A follower reads on the library's own connection, where it can wait."""
        return await self._doing(feed(self._texts, after, limit))

    async def erase(self, subject: str) -> int:
        return await self._ask(questions.erase(self._texts, subject))

    async def close(self) -> None:
        """Nothing: the connection is the host's."""

    async def _ask(self, question: Question[Answer]) -> Answer:
        if not question.text:
            return question.read([])
        return await self._doing(answered(question))

    async def _doing(self, steps: Steps[T]) -> T:
        connection = self.driver()
        async with turn_on(connection):
            await self.examine(connection)
            return await drive_async(steps, partial(act_async, connection))

    def driver(self) -> AsyncConnection:
        """The driver's connection, as it is now."""
        connection: AsyncConnection = driver_connection(self._given)
        if not _is_ours(connection):
            raise Misconfigured(
                f"an awaited PostgreSQL store joins an AsyncConnection of psycopg 3 (got {type(connection).__name__})"
            )
        return connection

    async def examine(self, connection: AsyncConnection) -> None:
        """Raise where it is not in a transaction, or about to begin one by itself, or is not fit for a store."""
        check_joinable(connection)
        if connection not in self._sound:
            await drive_async(examining(self._texts), partial(act_async, connection))
            adapt(connection.adapters)
            self._sound.add(connection)


_turns = WeakKeyDictionary[AsyncConnection, asyncio.Lock]()


def turn_on(connection: AsyncConnection) -> asyncio.Lock:
    """One task at a time works on a connection, for the savepoint of one must not undo another's work."""
    return _turns.setdefault(connection, asyncio.Lock())


class AsyncJoinedPostgresTransaction:
    """A savepoint in the host's transaction.  See `AsyncTransaction`."""

    __slots__ = ("_act", "_course", "_storage", "_texts", "_turn")

    _course: JoinedCourse

    def __init__(self, storage: AsyncJoinedPostgresStorage, statements: Statements) -> None:
        self._storage = storage
        self._texts = statements

    async def __aenter__(self) -> Self:
        connection = self._storage.driver()
        self._turn = turn_on(connection)
        await self._turn.acquire()
        try:
            await self._storage.examine(connection)
            self._act = partial(act_async, connection)
            self._course = JoinedCourse(connection, self._texts)
            await drive_async(self._course.begin(), self._act)
        except BaseException:
            self._turn.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await drive_async(self._course.end(), self._act)
        finally:
            self._turn.release()

    async def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return await drive_async(self._course.load(keys, skip_locked=skip_locked), self._act)

    async def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        await drive_async(self._course.commit(writes), self._act)


def _is_ours(given: object) -> bool:
    return isinstance(given, psycopg.AsyncConnection)
