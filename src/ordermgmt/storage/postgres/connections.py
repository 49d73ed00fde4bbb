"""The connections of a PostgreSQL store: how they are opened and judged, lent, given back, and kept out of forks.

Either they are the store's own, a few, opened when they are needed; or the host has a pool (anything with psycopg's
`connection()`), and each is borrowed for the time of one call or one transaction.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from ordermgmt.errors import Misconfigured, StorageFailed
from ordermgmt.storage.postgres.sessions import (
    ATTEMPTS_MAX,
    CLOSED,
    RECONNECT_SECONDS,
    address,
    all_ended,
    all_lent,
    has_died,
    judging,
    not_lent,
    session,
    unreachable,
    was_lost,
)
from ordermgmt.storage.postgres.steps import Ask, Close, Connection, Do, Pause, asked, cursor, drive
from ordermgmt.storage.postgres.texts import adapt
from ordermgmt.storage.postgres.wire import Wire

IDLE = TransactionStatus.IDLE


class Pool(Protocol):
    """What we need of a pool of the host's: psycopg_pool's `ConnectionPool` has it."""

    def connection(self) -> AbstractContextManager[Connection]: ...


def check_pool(database: object, store: str, pool: str) -> None:
    """Raise `Misconfigured` for what lends no connections; `store` and `pool` are the names of what takes which."""
    if not callable(getattr(database, "connection", None)):
        raise Misconfigured(
            f"{type(database).__name__} is neither a connection string nor a pool; give {store} "
            f'"postgresql://user@host/shop", or a psycopg_pool.{pool}'
        )


class Lender(Protocol):
    """Where the store takes its connections from."""

    busy_seconds: float

    def prove(self) -> None: ...

    def borrow(self) -> Connection: ...

    def give_back(self, connection: Connection) -> None: ...

    def asked(self, connection: Connection, ask: Ask) -> list[Any]: ...

    def close(self) -> None: ...


def act(connection: Connection, step: Any) -> Any:
    """Do a step on this connection."""
    match step:
        case Ask():
            return asked(connection, step)
        case Do(text=text):
            return cursor(connection).execute(text)
        case Pause(seconds=seconds):
            return time.sleep(seconds)
        case Close():
            return connection.close()
        case other:  # pragma: no cover - nothing else is asked of a connection
            raise AssertionError(other)


def judge(connection: Connection) -> None:
    """Raise `Misconfigured` for a server that could lose what it acknowledged, or that cannot be a store at all."""
    drive(judging(), partial(act, connection))


class Borrowed:
    """A connection for the time of one call."""

    def __init__(self, connections: Lender) -> None:
        self._connections = connections
        self._connection: Connection | None = None

    def __enter__(self) -> Connection:
        connection = self._connection = self._connections.borrow()
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def __del__(self) -> None:
        # As in a transaction: for who is interrupted before `__exit__` has done anything.
        if self._connection is not None:
            self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.give_back(connection)


class Own:
    """A few connections of the store's own, opened when they are needed; each is used by one thread at a time."""

    def __init__(
        self,
        conninfo: str,
        *,
        connections_max: int,
        busy_seconds: float,
        statement_seconds: float,
        idle_seconds: float,
    ) -> None:
        self.busy_seconds = busy_seconds
        self._conninfo = address(conninfo, busy_seconds)
        self._max = connections_max
        self._session = session(busy_seconds, statement_seconds, idle_seconds)
        self._wires = WeakKeyDictionary[Connection, Wire]()
        self._closed = False
        self._start()
        keep_out_of_forks(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Connection] = []
        self._lent = set[Connection]()
        # As many as may be lent, to be taken and put back: one lock in C, where a semaphore is a condition in Python.
        self._places = SimpleQueue[None]()
        for _ in range(self._max):
            self._places.put(None)

    def borrow(self) -> Connection:
        if os.getpid() != self._pid:
            self.forget()
        if self._closed:
            raise StorageFailed(CLOSED)
        try:
            self._places.get(timeout=self.busy_seconds)
        except Empty:
            raise all_lent(self._max, self.busy_seconds) from None
        try:
            connection = self._open()
        except BaseException:
            self._places.put(None)
            raise
        self._lent.add(connection)
        return connection

    def _open(self) -> Connection:
        try:
            return self._idle.pop()  # the one used last is the warmest
        except IndexError:
            pass
        deadline = time.monotonic() + self.busy_seconds
        while True:
            try:
                return self.connect()
            except psycopg.OperationalError as error:
                # A server that is starting again after a crash, or was told to: it is back in a moment.
                if time.monotonic() >= deadline:
                    raise unreachable(error, self.busy_seconds) from error
            time.sleep(RECONNECT_SECONDS)

    def connect(self) -> Connection:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            judge(connection)
            connection.execute(self._session)
            adapt(connection.adapters)
            if psycopg.Pipeline.is_supported():
                self._wires[connection] = Wire(connection.pgconn)
        except BaseException:
            connection.close()
            raise
        return connection

    def asked(self, connection: Connection, ask: Ask) -> list[Any]:
        """What it answers; to a cursor where libpq is older than 14 and can send only one statement at a time."""
        wire = self._wires.get(connection)
        return asked(connection, ask) if wire is None else connection.wait(wire.asked(ask))

    def prove(self) -> None:
        """Have a connection: where the address or the password is wrong, waiting does not help."""
        try:
            self._idle.append(self.connect())
        except psycopg.OperationalError as error:
            if not was_lost(error):
                raise

    def give_back(self, connection: Connection) -> None:
        if os.getpid() != self._pid:
            left_to_the_parent.append(connection)
            return
        self._lent.discard(connection)
        if connection.closed:
            # Where one has died, the others were most likely opened to the same server that is no more.
            self.close_idle()
        elif self._closed or connection.pgconn.transaction_status != IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        self._places.put(None)

    def close(self) -> None:
        """Close what is idle now; what is lent is closed when it comes back."""
        if os.getpid() != self._pid:
            self.forget()
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return
            connection.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone for ever, and start with none."""
        # Closing one here would say goodbye to the server in the parent's name.
        left_to_the_parent.extend([*self._idle, *self._lent])
        self._start()


class Hosts:
    """A pool of the host's, who decides how many there are and what time-outs they have."""

    def __init__(self, pool: Pool, busy_seconds: float) -> None:
        self.busy_seconds = busy_seconds
        self._pool = pool
        self._closed = False
        self._judged = WeakSet[Connection]()
        self._lent = WeakKeyDictionary[Connection, tuple[AbstractContextManager[Connection], bool]]()

    def prove(self) -> None:
        """Nothing: the pool shows what it has when one is borrowed."""

    def borrow(self) -> Connection:
        deadline = time.monotonic() + self.busy_seconds
        for attempt in count(1):
            connection = self._borrow()
            if connection is not None:
                return connection
            # A pool that is larger than that has more of them, and is about to open new ones.
            if attempt > ATTEMPTS_MAX:
                if time.monotonic() >= deadline:
                    break
                time.sleep(RECONNECT_SECONDS / 10)
        raise all_ended(self.busy_seconds)

    def _borrow(self) -> Connection | None:
        """A connection that is fit for a store; None where it had died with the server it was opened to."""
        if self._closed:
            raise StorageFailed(CLOSED)
        lending = self._pool.connection()
        if not hasattr(lending, "__enter__"):
            raise Misconfigured(
                f"{type(self._pool).__name__} is awaited; give PostgresStorage a blocking pool (psycopg_pool."
                "ConnectionPool), or use AsyncPostgresStorage with AsyncOrderManagement"
            )
        try:
            connection = lending.__enter__()
        except psycopg.Error as error:
            raise not_lent(error) from error
        try:
            autocommit = connection.autocommit
            if not autocommit:
                connection.autocommit = True
            self._lent[connection] = (lending, autocommit)
            if connection not in self._judged:
                judge(connection)
                adapt(connection.adapters)
                self._judged.add(connection)
        except BaseException as error:
            self._lent.pop(connection, None)
            lending.__exit__(type(error), error, None)
            if has_died(connection, error):
                return None
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        lending, autocommit = self._lent.pop(connection)
        if connection.closed:
            # Where one has died, the others most likely have too: each is asked before it is trusted again.
            self._judged = WeakSet[Connection]()
        if connection.info.transaction_status is not IDLE:
            connection.close()
        elif not autocommit:
            connection.autocommit = False
        lending.__exit__(None, None, None)

    def asked(self, connection: Connection, ask: Ask) -> list[Any]:
        """What it answers, to a cursor: which statements are prepared there, and by whom, is the host's affair."""
        return asked(connection, ask)

    def close(self) -> None:
        """Borrow no more; the pool is the host's to close."""
        self._closed = True


class Forkable(Protocol):
    """Whoever holds connections that no forked child may use."""

    def close_idle(self) -> None: ...

    def forget(self) -> None: ...


_everyone = WeakSet[Forkable]()
left_to_the_parent: list[Any] = []
"""Connections that a forked child has, and must neither use nor close."""


def keep_out_of_forks(one: Forkable) -> None:
    """From now on, what is idle there is closed before a fork, and what is lent is left alone by the child."""
    _everyone.add(one)


def _before_fork() -> None:
    for one in list(_everyone):
        one.close_idle()


def _after_fork_in_child() -> None:
    for one in list(_everyone):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
