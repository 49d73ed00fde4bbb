"""A PostgreSQL store within the host's transaction: on the host's connection, committed by the host or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Self
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Conflict, Misconfigured, OrderManagementError, StorageFailed
from ordermgmt.storage import postgres_moving as moving
from ordermgmt.storage import postgres_questions as questions
from ordermgmt.storage import postgres_texts as texts
from ordermgmt.storage.checks import check_texts, check_writes, clamped
from ordermgmt.storage.hosts import NO_TRANSACTION, driver_connection
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres_connections import judge
from ordermgmt.storage.postgres_questions import Question
from ordermgmt.storage.postgres_reading import Answer, Reading
from ordermgmt.storage.postgres_schema import MIGRATIONS, NewerSchema, checked_name, schema_version
from ordermgmt.storage.postgres_sessions import failure
from ordermgmt.storage.postgres_steps import Connection, cursor, rows
from ordermgmt.storage.postgres_texts import Statements, adapt

SAVEPOINT = "ordermgmt"


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
        after = clamped(after)
        found = self._ask(questions.feed(self._texts, after, limit))
        return texts.entries(found[: texts.unbroken(found, after)])

    def erase(self, subject: str) -> int:
        check_texts((subject,))
        with _Told():
            return cursor(self._connection()).execute(self._texts.erase, [subject]).rowcount

    def absorb(self, batch: Batch) -> None:
        connection = self._connection()
        with _Told():
            moving.absorb(connection, self._texts, batch)

    def dismiss(self, key: Key) -> None:
        connection = self._connection()
        with _Told():
            moving.dismiss(connection, self._texts, key)

    def close(self) -> None:
        """Nothing: the connection is the host's."""

    def _ask(self, question: Question[Answer]) -> Answer:
        if not question.text:
            return question.read([])
        connection = self._connection()
        with _Told():
            return question.read(rows(connection, question.text, question.values))

    def _connection(self) -> Connection:
        """The connection as it is now, in a transaction or about to begin one by itself."""
        connection: Connection = driver_connection(self._given)
        if not _is_ours(connection):
            raise Misconfigured(
                f"a PostgreSQL store joins a blocking connection of psycopg 3 (got {type(connection).__name__})"
            )
        status = connection.info.transaction_status
        if status == TransactionStatus.IDLE and connection.autocommit:
            raise Misconfigured(NO_TRANSACTION.format(how="with connection.transaction():"))
        if status == TransactionStatus.INERROR:
            raise StorageFailed("the host's transaction has failed before; roll it back, and begin again")
        if connection not in self._sound:
            with _Told():
                self._check(connection)
            self._sound.add(connection)
        return connection

    def _check(self, connection: Connection) -> None:
        judge(connection)
        adapt(connection.adapters)
        newest = MIGRATIONS[-1][0]
        schema = self._texts.schema
        stored = schema_version(lambda text, values: rows(connection, text.encode(), list(values)), schema)
        if stored > newest:
            raise NewerSchema(f"schema {schema} has version {stored}, this release knows {newest}; upgrade ordermgmt")
        if stored < newest:
            raise Misconfigured(
                f"the tables of schema {schema} are at version {stored} and must be at {newest}, and they are not "
                "changed in a transaction of the host's; run `python -m ordermgmt migrate`, or open the database once "
                "with PostgresStorage"
            )


class JoinedPostgresTransaction:
    """A savepoint in the host's transaction.  See `Transaction`."""

    __slots__ = ("_connection", "_open", "_over", "_texts", "_versions")

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection = connection
        self._texts = statements
        self._open = False
        self._over = True
        self._versions: dict[Key, int] = {}

    def __enter__(self) -> Self:
        self._run(f"SAVEPOINT {SAVEPOINT}".encode())
        self._open = True
        self._over = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if not self._open:
            return
        self._open = False
        if self._connection.closed:
            return  # the server has undone everything, and the host learns it at its next statement
        # It also frees the rows that were locked here, and makes the host's transaction usable again after an error.
        self._run(f"ROLLBACK TO {SAVEPOINT}".encode())
        self._run(f"RELEASE {SAVEPOINT}".encode())

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        self._check_open()
        check_texts(chain.from_iterable(keys))
        if not keys:
            return {}
        wanted, kinds, idents = texts.keys(keys)
        with _Told(wanted):
            _, *told = rows(self._connection, self._texts.take, [kinds, idents, not skip_locked])
        found = texts.rows(wanted, told)
        if not skip_locked:
            self._versions.update(dict.fromkeys(wanted, 0))
        self._versions.update((key, row.version) for key, row in found.items())
        return found

    def commit(self, writes: Sequence[Write]) -> None:
        """Save it into the host's transaction."""
        self._check_open()
        check_writes(writes)
        unseen = [write.row.key for write in writes if write.row.key not in self._versions]
        self.load(unseen)
        self._over = True
        stale = texts.stale(writes, self._versions)
        if stale:
            raise Conflict(stale)
        keys = [write.row.key for write in writes]
        if writes:
            with _Told(keys):
                done: bool = rows(self._connection, self._texts.save, texts.saved(writes))[0][0]
            if not done:
                raise Conflict(tuple(keys))
        self._run(f"RELEASE {SAVEPOINT}".encode())
        self._open = False

    def _run(self, text: bytes) -> None:
        with _Told():
            cursor(self._connection).execute(text)

    def _check_open(self) -> None:
        if self._over:
            raise StorageFailed("this transaction is over; open a new one")


class _Told:
    """What the server refuses, as an error of ours."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = keys

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, psycopg.Error):
            return
        told: OrderManagementError = failure(error, self._keys)
        if error.sqlstate == "23505":  # an id that is taken: somebody else was faster with it
            told = Conflict(tuple(self._keys))
        raise told from error


def _is_ours(given: object) -> bool:
    return isinstance(given, psycopg.Connection)
