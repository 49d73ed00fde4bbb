"""The awaited connections of a PostgreSQL store: opened, judged, lent and given back on one event loop.

As in `connections`: either a few of the store's own, or each borrowed from a pool of the host's.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from ordermgmt.errors import Misconfigured, StorageFailed
from ordermgmt.storage.postgres.connections import keep_out_of_forks, left_to_the_parent
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
from ordermgmt.storage.postgres.steps import (
    Ask,
    AsyncConnection,
    Close,
    Do,
    Pause,
    asked_async,
    cancellations,
    drive_async,
    heed,
)
from ordermgmt.storage.postgres.texts import adapt
from ordermgmt.storage.postgres.wire import Wire

IDLE = TransactionStatus.IDLE


class AsyncPool(Protocol):
    """What we need of a pool of the host's: psycopg_pool's `AsyncConnectionPool` has it."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


class AsyncLender(Protocol):
    """Where the store takes its connections from."""

    busy_seconds: float

    async def prove(self) -> None: ...

    def close_idle(self) -> None: ...

    def move(self) -> None: ...

    async def borrow(self) -> AsyncConnection: ...

    async def give_back(self, connection: AsyncConnection) -> None: ...

    async def asked(self, connection: AsyncConnection, ask: Ask) -> list[Any]: ...

    async def close(self) -> None: ...


async def act_async(connection: AsyncConnection, step: Any) -> Any:
    """Do a step on this connection."""
    match step:
        case Ask():
            return await asked_async(connection, step)
        case Do(text=text):
            return await psycopg.AsyncCursor(connection).execute(text)
        case Pause(seconds=seconds):
            return await asyncio.sleep(seconds)
        case Close():
            return await connection.close()
        case other:  # pragma: no cover - nothing else is asked of a connection
            raise AssertionError(other)


class AsyncBorrowed:
    """A connection for the time of one call."""

    def __init__(self, connections: AsyncLender) -> None:
        self._connections = connections

    async def __aenter__(self) -> AsyncConnection:
        self._connection = await self._connections.borrow()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.give_back(self._connection)


class AsyncOwn:
    """A few connections of the store's own, opened when they are needed; each is used by one task at a time."""

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
        self._wires = WeakKeyDictionary[AsyncConnection, Wire]()
        self._closed = False
        self._start()
        keep_out_of_forks(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[AsyncConnection] = []
        self._lent = WeakSet[AsyncConnection]()
        self._places = asyncio.Semaphore(self._max)

    async def borrow(self) -> AsyncConnection:
        if self._closed:
            raise StorageFailed(CLOSED)
        try:
            async with asyncio.timeout(self.busy_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise all_lent(self._max, self.busy_seconds) from None
        try:
            connection = await self._open()
        except BaseException:
            self._places.release()
            raise
        self._lent.add(connection)
        return connection

    async def _open(self) -> AsyncConnection:
        if self._idle:
            return self._idle.pop()  # the one used last is the warmest
        deadline = time.monotonic() + self.busy_seconds
        while True:
            try:
                return await self.connect()
            except psycopg.OperationalError as error:
                # A server that is starting again after a crash, or was told to: it is back in a moment.
                if time.monotonic() >= deadline:
                    raise unreachable(error, self.busy_seconds) from error
            await asyncio.sleep(RECONNECT_SECONDS)

    async def connect(self) -> AsyncConnection:
        before = cancellations()
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        try:
            heed(before)
            await drive_async(judging(), partial(act_async, connection))
            await connection.execute(self._session)
            adapt(connection.adapters)
            if psycopg.AsyncPipeline.is_supported():
                self._wires[connection] = Wire(connection.pgconn)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def prove(self) -> None:
        """Have a connection: where the address or the password is wrong, waiting does not help."""
        if self._closed:
            raise StorageFailed(CLOSED)
        if self._idle:
            return
        try:
            self._idle.append(await self.connect())
        except psycopg.OperationalError as error:
            if not was_lost(error):
                raise

    async def give_back(self, connection: AsyncConnection) -> None:
        # Nothing here waits, so nobody can cancel it half done.
        if os.getpid() != self._pid:
            left_to_the_parent.append(connection)
            return
        self._lent.discard(connection)
        if connection.closed:
            # Where one has died, the others were most likely opened to the same server that is no more.
            self.close_idle()
        elif self._closed or connection.pgconn.transaction_status != IDLE:
            await connection.close()
        else:
            self._idle.append(connection)
        self._places.release()

    async def asked(self, connection: AsyncConnection, ask: Ask) -> list[Any]:
        """What it answers; to a cursor where libpq is older than 14 and can send only one statement at a time."""
        wire = self._wires.get(connection)
        return await (asked_async(connection, ask) if wire is None else connection.wait(wire.asked(ask)))

    async def close(self) -> None:
        """Close what is idle now; what is lent is closed when it comes back."""
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        while self._idle:
            # It waits for nothing, and there may be nobody to await it: before a fork, or when the loop has ended.
            with suppress(StopIteration):
                self._idle.pop().close().send(None)

    def move(self) -> None:
        """Serve another event loop, for the one before has ended."""
        self.close_idle()
        self._start()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone for ever, and start with none."""
        left_to_the_parent.extend([*self._idle, *self._lent])
        self._start()


class AsyncHosts:
    """A pool of the host's, who decides how many there are and what time-outs they have."""

    def __init__(self, pool: AsyncPool, busy_seconds: float) -> None:
        self.busy_seconds = busy_seconds
        self._pool = pool
        self._closed = False
        self._judged = WeakSet[AsyncConnection]()
        self._lent = WeakKeyDictionary[AsyncConnection, tuple[AbstractAsyncContextManager[AsyncConnection], bool]]()

    async def prove(self) -> None:
        """Nothing: the pool shows what it has when one is borrowed."""

    def close_idle(self) -> None:
        """Nothing: what is idle is the pool's."""

    def move(self) -> None:
        """Nothing: the pool knows which event loop it serves."""

    async def borrow(self) -> AsyncConnection:
        deadline = time.monotonic() + self.busy_seconds
        for attempt in count(1):
            connection = await self._borrow()
            if connection is not None:
                return connection
            # A pool that is larger than that has more of them, and is about to open new ones.
            if attempt > ATTEMPTS_MAX:
                if time.monotonic() >= deadline:
                    break
                await asyncio.sleep(RECONNECT_SECONDS / 10)
        raise all_ended(self.busy_seconds)

    async def _borrow(self) -> AsyncConnection | None:
        """A connection that is fit for a store; None where it had died with the server it was opened to."""
        if self._closed:
            raise StorageFailed(CLOSED)
        lending = self._pool.connection()
        if not hasattr(lending, "__aenter__"):
            raise Misconfigured(
                f"{type(self._pool).__name__} is a blocking pool; give AsyncPostgresStorage an awaited one "
                "(psycopg_pool.AsyncConnectionPool), or use PostgresStorage: AsyncOrderManagement calls it in threads"
            )
        before = cancellations()
        try:
            connection = await lending.__aenter__()
        except psycopg.Error as error:
            raise not_lent(error) from error
        try:
            heed(before)
            autocommit = connection.autocommit
            if not autocommit:
                await connection.set_autocommit(True)
            self._lent[connection] = (lending, autocommit)
            if connection not in self._judged:
                await drive_async(judging(), partial(act_async, connection))
                adapt(connection.adapters)
                self._judged.add(connection)
        except BaseException as error:
            self._lent.pop(connection, None)
            await lending.__aexit__(type(error), error, None)
            if has_died(connection, error):
                return None
            raise
        return connection

    async def give_back(self, connection: AsyncConnection) -> None:
        lending, autocommit = self._lent.pop(connection)
        if connection.closed:
            # Where one has died, the others most likely have too: each is asked before it is trusted again.
            self._judged = WeakSet[AsyncConnection]()
        if connection.info.transaction_status is not IDLE:
            await connection.close()
        elif not autocommit:
            await connection.set_autocommit(False)
        await lending.__aexit__(None, None, None)

    async def asked(self, connection: AsyncConnection, ask: Ask) -> list[Any]:
        """As `Hosts.asked`."""
        return await asked_async(connection, ask)

    async def close(self) -> None:
        """Borrow no more; the pool is the host's to close."""
        self._closed = True
