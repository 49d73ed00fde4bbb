"""A PostgreSQL store within the host's transaction: on the host's connection, committed by the host or not at all."""

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
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres import moving, questions
from ordermgmt.storage.postgres.connections import act
from ordermgmt.storage.postgres.joined_course import JoinedCourse, answered, check_joinable, examining, feed, meaning
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.reading import Answer, Reading
from ordermgmt.storage.postgres.schema import checked_name
from ordermgmt.storage.postgres.steps import Connection, drive
from ordermgmt.storage.postgres.texts import Statements, adapt


class JoinedPostgresStorage(Reading):
    """Keeps everything in the database that the host's connection is on, in the host's transaction.

    Every `handle` runs behind a savepoint: refused or failed, it leaves the rest of the host's transaction as it was.
    What it saved is durable when the host commits, and gone when the host rolls back.  The rows it has decided on stay
    locked until then, so keep the transaction short.  A deadlock, a serialisation failure or somebody faster raises
    `Conflict`, which is `retryable`: roll back, and do the whole unit of work again.

    The tables must be there: open the database once with `PostgresStorage`, or run ``python -m ordermgmt migrate``.
    """

    volatile = False
    exclusive = False
    joins = True

    def __init__(self, connection: object, *, schema: str = "ordermgmt") -> None:
        """Join through this connection.

        It is a `psycopg.Connection`, SQLAlchemy's `Connection` or `Session` (on psycopg 3), Django's `connection`, or a
        function that answers one of them.
        """
        self._given = connection
        self._texts = Statements(checked_name(schema))
        self._sound = WeakSet[Connection]()

    def transaction(self) -> JoinedPostgresTransaction:
        return JoinedPostgresTransaction(self._connection(), self._texts)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """As far as nothing is missing.  A follower reads on the library's own connection, where it can wait."""
        return self._ask(feed(self._texts, after, limit))

    def erase(self, subject: str) -> int:
        return self._ask(questions.erase(self._texts, subject))

    def absorb(self, batch: Batch) -> None:
        connection = self._connection()
        try:
            moving.absorb(connection, self._texts, batch)
        except psycopg.Error as error:
            raise meaning(error) from error

    def dismiss(self, key: Key) -> None:
        connection = self._connection()
        try:
            moving.dismiss(connection, self._texts, key)
        except psycopg.Error as error:
            raise meaning(error) from error

    def close(self) -> None:
        """Nothing: the connection is the host's."""

    def _ask(self, question: Question[Answer]) -> Answer:
        if not question.text:
            return question.read([])
        return drive(answered(question), partial(act, self._connection()))

    def _connection(self) -> Connection:
        """The connection as it is now, in a transaction or about to begin one by itself."""
        connection: Connection = driver_connection(self._given)
        if not _is_ours(connection):
            raise Misconfigured(
                f"a PostgreSQL store joins a blocking connection of psycopg 3 (got {type(connection).__name__})"
            )
        check_joinable(connection)
        if connection not in self._sound:
            drive(examining(self._texts), partial(act, connection))
            adapt(connection.adapters)
            self._sound.add(connection)
        return connection


class JoinedPostgresTransaction:
    """A savepoint in the host's transaction.  See `Transaction`."""

    __slots__ = ("_act", "_course")

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._act = partial(act, connection)
        self._course = JoinedCourse(connection, statements)

    def __enter__(self) -> Self:
        drive(self._course.begin(), self._act)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drive(self._course.end(), self._act)

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return drive(self._course.load(keys, skip_locked=skip_locked), self._act)

    def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        drive(self._course.commit(writes), self._act)


def _is_ours(given: object) -> bool:
    return isinstance(given, psycopg.Connection)
