"""A store in PostgreSQL: for many processes and machines, and for hosts who have one anyway."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Any, Self

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Conflict, Misconfigured, MissingExtra, OutcomeUnknown, StorageFailed
from ordermgmt.storage.checks import check_texts, check_writes, clamped

try:
    import psycopg
except ImportError as problem:
    raise MissingExtra("PostgresStorage needs psycopg 3: pip install 'ordermgmt[postgres]'") from problem

from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ordermgmt.storage import postgres_moving as moving
from ordermgmt.storage import postgres_questions as questions
from ordermgmt.storage import postgres_texts as texts
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres_connections import Connection, Hosts, Lender, Own, Pool, failure
from ordermgmt.storage.postgres_joined import JoinedPostgresStorage
from ordermgmt.storage.postgres_questions import Question
from ordermgmt.storage.postgres_reading import Answer, Reading
from ordermgmt.storage.postgres_schema import NewerSchema, checked_name, migrate
from ordermgmt.storage.postgres_texts import BEGIN, Statements, Values

__all__ = ["NewerSchema", "PostgresStorage"]

POLL_SECONDS = 0.002
ATTEMPTS_MAX = 5
"""How many connections in a row may turn out to be dead before the caller hears of it."""
IDLE = TransactionStatus.IDLE


class PostgresStorage(Reading):
    """Keeps everything in one schema of a PostgreSQL database; a commit is on its disk when it returns.

    Any number of threads, processes and machines may work on it: who needs the same rows waits for them in turn, at
    most `busy_timeout` seconds, then gets `StorageBusy`; all others go on meanwhile.

    Args:
        database: Where it is: a connection string (``"postgresql://user@host/shop"``), or your own pool of psycopg
            connections (`psycopg_pool.ConnectionPool`), which stays yours to close.
        schema: The schema for its tables; made if there is none.
        connections_max: How many connections of its own it opens at most.  Your pool has its own limit.
        busy_timeout: Seconds to wait for rows that others hold, for a free connection, and for a server that restarts.
        statement_timeout: Seconds after which the server gives a single statement up.
        idle_timeout: Seconds after which the server ends a transaction whose process has stopped, and frees its rows.
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
        busy_timeout: float = 30.0,
        statement_timeout: float = 60.0,
        idle_timeout: float = 60.0,
    ) -> None:
        self._texts = Statements(checked_name(schema))
        self.schema = schema
        _check_numbers(connections_max, busy_timeout, statement_timeout, idle_timeout)
        self._connections = _lender(database, connections_max, busy_timeout, statement_timeout, idle_timeout)
        try:
            self.installation = self._prepare()
            """A random id given to the schema when it was made; a copy has the same."""
        except BaseException:
            self._connections.close()
            raise

    def _prepare(self) -> str:
        try:
            if isinstance(self._connections, Own):
                # Where the address or the password is wrong, waiting does not help.
                self._connections.keep(self._connections.connect())
            with _Borrowed(self._connections) as connection:
                try:
                    migrate(lambda text, values: _rows(connection, text.encode(), list(values)), self._texts.schema)
                    return str(_rows(connection, self._texts.installation, [])[0][0])
                finally:
                    _undo(connection)
        except psycopg.Error as error:
            raise failure(error) from error

    def transaction(self) -> PostgresTransaction:
        return PostgresTransaction(self._connections, self._texts)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """The events of all entities with a position above `after`, none ever skipped.

        Positions rise, and those of one entity in the order of its history.  A number that is missing was taken by a
        commit that failed; one that may still be committed is never passed over: the page ends before it.
        """
        after = clamped(after)
        asked = questions.feed(self._texts, after, limit)
        found = self._ask(asked)
        whole = texts.unbroken(found, after)
        if whole or not found:
            return texts.entries(found[:whole])
        # The very next number is missing.  Its owner is saving at this moment, or has failed.
        highest = found[-1][-1]
        if not self._wait_for_savers():
            return []
        found = self._ask(asked)
        return texts.entries(found[: texts.unbroken(found, after, settled=highest)])

    def _wait_for_savers(self) -> bool:
        """Wait until everybody who is saving now has ended; False if that takes too long."""
        deadline = time.monotonic() + self._connections.busy_timeout
        savers = questions.saving(self._texts)
        saving = self._ask(savers)
        while saving:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
            now = self._ask(savers)
            saving &= now
        return True

    def erase(self, subject: str) -> int:
        """Forget every value about a person; the server overwrites them when it vacuums the table."""
        return self._ask(questions.erase(self._texts, subject))

    # To be moved as a whole; see `moving.Movable`.

    def absorb(self, batch: Batch) -> None:
        try:
            with _Borrowed(self._connections) as connection:
                moving.absorb(connection, self._texts, batch)
        except psycopg.Error as error:
            raise failure(error) from error

    def dismiss(self, key: Key) -> None:
        try:
            with _Borrowed(self._connections) as connection:
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
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with _Borrowed(self._connections) as connection:
                    try:
                        return question.read(_rows(connection, *question[:2]) if question.text else [])
                    except psycopg.OperationalError:
                        if attempt == ATTEMPTS_MAX or not connection.closed:
                            raise
            except psycopg.Error as error:
                raise failure(error) from error
        raise AssertionError  # pragma: no cover - the last time it was raised


class PostgresTransaction:
    """An open transaction of a `PostgresStorage`: the rows it has loaded are nobody else's until it ends."""

    __slots__ = ("_connection", "_connections", "_holds", "_over", "_pid", "_texts", "_versions", "_xid")

    _connection: Connection
    _holds: bool
    _pid: int

    def __init__(self, connections: Lender, statements: Statements) -> None:
        self._connections = connections
        self._texts = statements
        self._over = True
        self._versions: dict[Key, int] = {}
        self._xid = 0

    def __enter__(self) -> Self:
        self._pid = os.getpid()
        try:
            self._connection = self._begun()
        except psycopg.Error as error:
            raise failure(error) from error
        self._holds = True
        self._over = False
        return self

    def _begun(self) -> Connection:
        attempt = 0
        while True:
            attempt += 1
            connection = self._connections.borrow()
            try:
                connection.execute(BEGIN)
            except BaseException as error:
                died = connection.closed and isinstance(error, psycopg.OperationalError)
                self._connections.give_back(connection)
                # An idle connection dies with the server it was opened to; the next one is a fresh one.
                if died and attempt < ATTEMPTS_MAX:
                    continue
                raise
            return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if os.getpid() != self._pid:
            return  # a forked child leaves the block too; the transaction is its parent's
        if self._holds:
            self._release()

    def _release(self) -> None:
        self._holds = False
        try:
            _undo(self._connection)
        finally:
            self._connections.give_back(self._connection)

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        self._check_open()
        check_texts(chain.from_iterable(keys))
        if not keys:
            return {}
        try:
            return self._load(keys, patient=not skip_locked)
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _load(self, keys: Collection[Key], *, patient: bool = True) -> Mapping[Key, Row]:
        wanted, kinds, idents = texts.keys(keys)
        transaction, *found = _rows(self._connection, self._texts.take, [kinds, idents, patient])
        self._xid = transaction[1]
        rows = texts.rows(wanted, found)
        # A row that is there stays as it is until we end: it is ours.  One that is absent may be made by somebody else
        # before we make it, and then `save` says no.
        if patient:
            self._versions.update(dict.fromkeys(wanted, 0))
        self._versions.update((key, row.version) for key, row in rows.items())
        return rows

    def commit(self, writes: Sequence[Write]) -> None:
        self._check_open()
        check_writes(writes)
        self._over = True
        try:
            if writes:
                self._save(writes)
        except psycopg.Error as error:
            # Nobody else has these keys but one who was faster with them.
            if error.sqlstate == "23505":
                raise self._conflict(writes) from error
            raise self._failure(error) from error
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if not self._connection.closed:
                raise self._failure(error) from error
            self._learn(writes, error)

    def _save(self, writes: Sequence[Write]) -> None:
        versions = self._versions
        unseen = [write.row.key for write in writes if write.row.key not in versions]
        if unseen:
            self._load(unseen)
        stale = texts.stale(writes, versions)
        if stale:
            raise Conflict(stale)
        if not _rows(self._connection, self._texts.save, texts.saved(writes))[0][0]:
            raise self._conflict(writes)

    def _conflict(self, writes: Sequence[Write]) -> Conflict:
        """Who was faster; looked up after this transaction is undone, for the error names every stale row."""
        try:
            _undo(self._connection)
            wanted, kinds, idents = texts.keys([write.row.key for write in writes])
            rows = texts.rows(wanted, _rows(self._connection, self._texts.read, [kinds, idents]))
        except psycopg.Error:
            return Conflict(tuple(write.row.key for write in writes))
        versions = {key: rows[key].version if key in rows else 0 for key in wanted}
        return Conflict(texts.stale(writes, versions) or tuple(wanted))

    def _failure(self, error: psycopg.Error) -> Exception:
        if self._connection.closed:
            # The server went away before it was asked to commit: nothing was saved, and deciding again is safe.
            return Conflict(tuple(self._versions))
        return failure(error, tuple(self._versions))

    # A reply that was lost.

    def _learn(self, writes: Sequence[Write], lost: psycopg.Error) -> None:
        """The connection broke while the server was asked to commit.  Find out whether it did.

        Returns if all of it was saved.  Raises `Conflict` if nothing was, so that it is decided again, and
        `OutcomeUnknown` where the server cannot be asked.
        """
        if not writes:
            return
        self._release()  # it may have been the only one
        try:
            with _Borrowed(self._connections) as connection:
                self._wait_for_the_end(connection)
                if self._is_saved(connection, writes):
                    return
        except (psycopg.Error, StorageFailed) as error:
            raise OutcomeUnknown(
                "the connection broke during the commit, and the server could not be asked what became of it; repeat "
                "the command under its command id"
            ) from error
        raise Conflict(tuple(write.row.key for write in writes)) from lost

    def _wait_for_the_end(self, connection: Connection) -> None:
        """The server may still be at it, when only the connection broke."""
        deadline = time.monotonic() + self._connections.busy_timeout
        while _rows(connection, b"SELECT pg_xact_status(%s::text::xid8)", [str(self._xid)])[0][0] == "in progress":
            if time.monotonic() >= deadline:
                raise StorageFailed("the server is still at it")
            time.sleep(POLL_SECONDS)

    def _is_saved(self, connection: Connection, writes: Sequence[Write]) -> bool:
        # Not by the transaction's number: after a failover it may be another's.  An event's hash is nobody else's, and
        # all of a commit is there or nothing.
        for write in writes:
            if write.entries:
                last = write.entries[-1]
                return _rows(connection, self._texts.evidence, [*last.key, last.version]) == [(last.hash,)]
        wanted, kinds, idents = texts.keys([write.row.key for write in writes])
        rows = texts.rows(wanted, _rows(connection, self._texts.read, [kinds, idents]))
        return all(rows.get(write.row.key) == write.row for write in writes)

    def _check_open(self) -> None:
        if self._over or os.getpid() != self._pid:
            raise StorageFailed("this transaction is over; open a new one")


class _Borrowed:
    """A connection for the time of one call."""

    def __init__(self, connections: Lender) -> None:
        self._connections = connections

    def __enter__(self) -> Connection:
        self._connection = self._connections.borrow()
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.give_back(self._connection)


def _rows(connection: Connection, text: bytes, values: Values) -> list[Any]:
    """What a statement answers; nothing where it answers nothing."""
    # Without arguments a % is a %.
    # A pool's connections may answer the host's own rows as anything.
    cursor = connection.cursor(binary=True, row_factory=tuple_row).execute(text, values or None)
    return cursor.fetchall() if cursor.description else []


def _undo(connection: Connection) -> None:
    """Undo what is open.  A connection that cannot is closed by whoever takes it back."""
    if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()


def _lender(
    database: str | Pool, connections_max: int, busy_timeout: float, statement_timeout: float, idle_timeout: float
) -> Lender:
    if isinstance(database, str):
        return Own(
            database,
            connections_max=connections_max,
            busy_timeout=busy_timeout,
            statement_timeout=statement_timeout,
            idle_timeout=idle_timeout,
        )
    if not callable(getattr(database, "connection", None)):
        raise Misconfigured(
            f"{type(database).__name__} is neither a connection string nor a pool; give PostgresStorage "
            '"postgresql://user@host/shop", or a psycopg_pool.ConnectionPool'
        )
    return Hosts(database, busy_timeout)


def _check_numbers(connections_max: int, *seconds: float) -> None:
    if isinstance(connections_max, bool) or not isinstance(connections_max, int) or connections_max < 1:
        raise Misconfigured(f"connections_max={connections_max!r}: at least one connection is needed")
    for one in seconds:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0.001 <= one <= 2_000_000:
            raise Misconfigured(f"a time-out of {one!r} s: give seconds, from 0.001 on; without one a store may hang")
