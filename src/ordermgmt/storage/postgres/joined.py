"""A PostgreSQL store within the host's transaction: on the host's connection, committed by the host or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakSet

import psycopg

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Misconfigured
from ordermgmt.storage.hosts import driver_connection, turns
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres import moving, questions
from ordermgmt.storage.postgres.connections import act
from ordermgmt.storage.postgres.joined_course import JoinedCourse, answered, check_joinable, examining, feed, meaning
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.reading import Answer, Reading
from ordermgmt.storage.postgres.schema import checked_name
from ordermgmt.storage.postgres.steps import Connection, Steps, drive
from ordermgmt.storage.postgres.texts import Statements, adapt

T = TypeVar("T")


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
        return JoinedPostgresTransaction(self, self._texts)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """As far as nothing is missing.  A follower reads on the library's own connection, where it can wait."""
        return self._doing(feed(self._texts, after, limit))

    def erase(self, subject: str) -> int:
        return self._ask(questions.erase(self._texts, subject))

    def absorb(self, batch: Batch) -> None:
        connection = self.driver()
        with turns.on(connection):
            self.examine(connection)
            try:
                moving.absorb(connection, self._texts, batch)
            except psycopg.Error as error:
                raise meaning(error) from error

    def dismiss(self, key: Key) -> None:
        connection = self.driver()
        with turns.on(connection):
            self.examine(connection)
            try:
                moving.dismiss(connection, self._texts, key)
            except psycopg.Error as error:
                raise meaning(error) from error

    def close(self) -> None:
        """Nothing: the connection is the host's."""

    def _ask(self, question: Question[Answer]) -> Answer:
        if not question.text:
            return question.read([])
        return self._doing(answered(question))

    def _doing(self, steps: Steps[T]) -> T:
        connection = self.driver()
        with turns.on(connection):
            self.examine(connection)
            return drive(steps, partial(act, connection))

    def driver(self) -> Connection:
        """The driver's connection, as it is now."""
        connection: Connection = driver_connection(self._given)
        if not _is_ours(connection):
            raise Misconfigured(
                f"a PostgreSQL store joins a blocking connection of psycopg 3 (got {type(connection).__name__})"
            )
        return connection

    def examine(self, connection: Connection) -> None:
        """Raise where it is not in a transaction, or about to begin one by itself, or is not fit for a store."""
        check_joinable(connection)
        if connection not in self._sound:
            drive(examining(self._texts), partial(act, connection))
            adapt(connection.adapters)
            self._sound.add(connection)


class PostgresSnapshot(JoinedPostgresStorage):
    """A store as it was at one moment, to be read as a whole: on a connection in ``REPEATABLE READ``."""

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """All there is: a number that is missing is of nothing that can be seen here."""
        return self._ask(questions.visible(self._texts, after, limit))


class JoinedPostgresTransaction:
    """A savepoint in the host's transaction.  See `Transaction`."""

    __slots__ = ("_act", "_connection", "_course", "_storage", "_texts")

    _course: JoinedCourse

    def __init__(self, storage: JoinedPostgresStorage, statements: Statements) -> None:
        self._storage = storage
        self._texts = statements

    def __enter__(self) -> Self:
        self._connection = self._storage.driver()
        turns.take(self._connection)
        try:
            self._storage.examine(self._connection)
            self._act = partial(act, self._connection)
            self._course = JoinedCourse(self._connection, self._texts)
            drive(self._course.begin(), self._act)
        except BaseException:
            turns.give_back(self._connection)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            drive(self._course.end(), self._act)
        finally:
            turns.give_back(self._connection)

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return drive(self._course.load(keys, skip_locked=skip_locked), self._act)

    def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        drive(self._course.commit(writes), self._act)


def _is_ours(given: object) -> bool:
    return isinstance(given, psycopg.Connection)
