"""A store in PostgreSQL: for many processes and machines, and for hosts who have one anyway."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import MissingExtra

try:
    import psycopg
except ImportError as problem:
    raise MissingExtra("PostgresStorage needs psycopg 3: pip install 'ordermgmt[postgres]'") from problem


from ordermgmt.storage.checks import seconds_of
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres import moving, questions
from ordermgmt.storage.postgres.connections import Borrowed, Hosts, Lender, Own, Pool, act, check_pool
from ordermgmt.storage.postgres.course import Course, feed
from ordermgmt.storage.postgres.joined import JoinedPostgresStorage
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.reading import Answer, Reading
from ordermgmt.storage.postgres.schema import checked_name
from ordermgmt.storage.postgres.sessions import ATTEMPTS_MAX, check_count, failure, has_died, preparing
from ordermgmt.storage.postgres.steps import Another, Ask, Connection, Elsewhere, Pause, Step, drive, undo
from ordermgmt.storage.postgres.texts import Statements


class PostgresStorage(Reading):
    """Keeps everything in one schema of a PostgreSQL database; a commit is on its disk when it returns.

    Any number of threads, processes and machines may work on it: who needs the same rows waits for them in turn, at
    most `busy_timeout`, then gets `StorageBusy`; all others go on meanwhile.

    Args:
        database: Where it is: a connection string (``"postgresql://user@host/shop"``), or your own pool of psycopg
            connections (`psycopg_pool.ConnectionPool`), which stays yours to close.
        schema: The schema for its tables; made if there is none.
        connections_max: How many connections of its own it opens at most.  Your pool has its own limit.
        busy_timeout: How long to wait for rows that others hold, for a free connection, and for a server that restarts.
        statement_timeout: After how long the server gives a single statement up.
        idle_timeout: After how long the server ends a transaction whose process has stopped, and frees its rows.
            These three are set on the store's own connections; those of your pool keep what you gave them.

    Raises `Misconfigured` for a server that could lose what it acknowledged, `NewerSchema` where a newer release wrote,
    `StorageFailed` where it cannot be reached.
    """

    volatile = False
    exclusive = False

    def __init__(
        self,
        database: str | Pool,
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
        try:
            self.installation = self._prepare()
            """A random id given to the schema when it was made; a copy has the same."""
        except BaseException:
            self._connections.close()
            raise

    def _prepare(self) -> str:
        try:
            self._connections.prove()
            for attempt in range(1, ATTEMPTS_MAX + 1):
                with Borrowed(self._connections) as connection:
                    on_it = partial(act, connection)
                    try:
                        return drive(preparing(self._texts), on_it)
                    except psycopg.OperationalError as error:
                        if attempt == ATTEMPTS_MAX or not has_died(connection, error):
                            raise
                    finally:
                        drive(undo(connection), on_it)
        except psycopg.Error as error:
            raise failure(error) from error
        raise AssertionError  # pragma: no cover - the last time it was raised

    def transaction(self) -> PostgresTransaction:
        return PostgresTransaction(self._connections, self._texts)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """The events of all entities with a position above `after`, none ever skipped.

        Positions rise, and those of one entity in the order of its history.  A number that is missing was taken by a
        commit that failed; one that may still be committed is never passed over: the page ends before it.
        """
        return drive(feed(self._texts, after, limit, self._connections.busy_seconds), self._look)

    def _look(self, step: Question[Any] | Pause) -> Any:
        return time.sleep(step.seconds) if isinstance(step, Pause) else self._ask(step)

    def erase(self, subject: str) -> int:
        """Forget every value about a person; the server overwrites them when it vacuums the table."""
        return self._ask(questions.erase(self._texts, subject))

    # To be moved as a whole; see `moving.Movable`.

    def absorb(self, batch: Batch) -> None:
        try:
            with Borrowed(self._connections) as connection:
                try:
                    moving.absorb(connection, self._texts, batch)
                except BaseException:
                    # When psycopg rolls back, it makes the server forget all statements, and ours are among them.
                    connection.close()
                    raise
        except psycopg.Error as error:
            raise failure(error) from error

    def dismiss(self, key: Key) -> None:
        try:
            with Borrowed(self._connections) as connection:
                moving.dismiss(connection, self._texts, key)
        except psycopg.Error as error:
            raise failure(error) from error

    def joined(self, connection: object) -> JoinedPostgresStorage:
        """The same store on a connection of the host's, within the transaction that is open there."""
        return JoinedPostgresStorage(connection, schema=self.schema)

    def close(self) -> None:
        """Close its own connections; whoever is in a transaction may still end it."""
        self._connections.close()

    def _ask(self, question: Question[Answer]) -> Answer:
        """The answer to a question; asked again where the connection had died since it was used last."""
        if not question.text:
            return question.read([])
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with Borrowed(self._connections) as connection:
                    try:
                        return question.read(self._connections.asked(connection, Ask(*question[:2])))
                    except psycopg.OperationalError:
                        if attempt == ATTEMPTS_MAX or not connection.closed:
                            raise
            except psycopg.Error as error:
                raise failure(error) from error
        raise AssertionError  # pragma: no cover - the last time it was raised


class PostgresTransaction:
    """An open transaction of a `PostgresStorage`: the rows it has loaded are nobody else's until it ends."""

    __slots__ = ("_connection", "_connections", "_course", "_holds", "_pid", "_texts")

    _connection: Connection
    _course: Course

    def __init__(self, connections: Lender, statements: Statements) -> None:
        self._connections = connections
        self._texts = statements
        self._pid = os.getpid()
        self._holds = False

    def __enter__(self) -> Self:
        try:
            self._borrow()
        except psycopg.Error as error:
            raise failure(error) from error
        self._course = Course(self._connection, self._texts, self._connections.busy_seconds)
        return self

    def _borrow(self) -> None:
        self._connection = self._connections.borrow()
        self._holds = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._course.end()
        self._leave()

    def __del__(self) -> None:
        # Who is interrupted at the very door, before `__exit__` has done anything, leaves when its trace is forgotten.
        if self._holds:
            self._leave()

    def _leave(self) -> None:
        if self._holds and os.getpid() == self._pid:  # in a forked child the transaction is its parent's
            self._release()

    def _release(self) -> None:
        try:
            drive(undo(self._connection), self._act)
        finally:
            self._holds = False
            self._connections.give_back(self._connection)

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        return drive(self._course.load(keys, skip_locked=skip_locked), self._act)

    def commit(self, writes: Sequence[Write]) -> None:
        drive(self._course.commit(writes), self._act)

    def _act(self, step: Step) -> Any:
        match step:
            case Ask():
                return self._connections.asked(self._connection, step)
            case Another():
                self._release()
                self._borrow()
                return self._connection
            case Elsewhere(steps=steps):
                self._release()  # it may have been the only one
                with Borrowed(self._connections) as other:
                    return drive(steps, partial(act, other))
            case _:
                return act(self._connection, step)


def _lender(
    database: str | Pool, connections_max: int, *, busy_seconds: float, statement_seconds: float, idle_seconds: float
) -> Lender:
    if isinstance(database, str):
        return Own(
            database,
            connections_max=connections_max,
            busy_seconds=busy_seconds,
            statement_seconds=statement_seconds,
            idle_seconds=idle_seconds,
        )
    check_pool(database, "PostgresStorage", "ConnectionPool")
    return Hosts(database, busy_seconds)
