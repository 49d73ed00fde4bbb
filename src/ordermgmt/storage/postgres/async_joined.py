"""A PostgreSQL store within the transaction of an asyncio host: `JoinedPostgresStorage`, awaited."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self
from weakref import WeakSet

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
from ordermgmt.storage.postgres.steps import AsyncConnection, drive_async
from ordermgmt.storage.postgres.texts import Statements, adapt


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
        return AsyncJoinedPostgresTransaction(self)

    async def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """As far as nothing is missing.  A follower reads on the library's own connection, where it can wait."""
        return await self._ask(feed(self._texts, after, limit))

    async def erase(self, subject: str) -> int:
        return await self._ask(questions.erase(self._texts, subject))

    async def close(self) -> None:
        """Nothing: the connection is the host's."""

    async def joined(self) -> tuple[AsyncConnection, JoinedCourse]:
        """The connection as it is now, and a course on it that has not begun."""
        connection = await self._connection()
        return connection, JoinedCourse(connection, self._texts)

    async def _ask(self, question: Question[Answer]) -> Answer:
        if not question.text:
            return question.read([])
        return await drive_async(answered(question), partial(act_async, await self._connection()))

    async def _connection(self) -> AsyncConnection:
        """The connection as it is now, in a transaction or about to begin one by itself."""
        connection: AsyncConnection = driver_connection(self._given)
        if not _is_ours(connection):
            raise Misconfigured(
                f"an awaited PostgreSQL store joins an AsyncConnection of psycopg 3 (got {type(connection).__name__})"
            )
        check_joinable(connection)
        if connection not in self._sound:
            await drive_async(examining(self._texts), partial(act_async, connection))
            adapt(connection.adapters)
            self._sound.add(connection)
        return connection


class AsyncJoinedPostgresTransaction:
    """A savepoint in the host's transaction.  See `AsyncTransaction`."""

    __slots__ = ("_act", "_course", "_storage")

    _course: JoinedCourse

    def __init__(self, storage: AsyncJoinedPostgresStorage) -> None:
        self._storage = storage

    async def __aenter__(self) -> Self:
        connection, self._course = await self._storage.joined()
        self._act = partial(act_async, connection)
        await drive_async(self._course.begin(), self._act)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await drive_async(self._course.end(), self._act)

    async def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return await drive_async(self._course.load(keys, skip_locked=skip_locked), self._act)

    async def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        await drive_async(self._course.commit(writes), self._act)


def _is_ours(given: object) -> bool:
    return isinstance(given, psycopg.AsyncConnection)
