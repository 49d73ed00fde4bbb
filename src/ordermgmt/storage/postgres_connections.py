"""The connections of a PostgreSQL store: how they are opened and judged, lent, given back, and kept out of forks.

Either they are the store's own, a few, opened when they are needed; or the host has a pool (anything with psycopg's
`connection()`), and each is borrowed for the time of one call or one transaction.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ordermgmt.engine.transaction import Key
from ordermgmt.errors import (
    Conflict,
    InvalidInput,
    Misconfigured,
    OrderManagementError,
    StorageBusy,
    StorageFailed,
)
from ordermgmt.storage.postgres_texts import adapt

Connection = psycopg.Connection[Any]

SERVER_MIN = 140000
"""PostgreSQL 14, the oldest that is still maintained."""
RECONNECT_SECONDS = 0.1
IDLE = TransactionStatus.IDLE


class Pool(Protocol):
    """What we need of a pool of the host's: psycopg_pool's `ConnectionPool` has it."""

    def connection(self) -> AbstractContextManager[Connection]: ...


class Lender(Protocol):
    """Where the store takes its connections from."""

    busy_timeout: float

    def borrow(self) -> Connection: ...

    def give_back(self, connection: Connection) -> None: ...

    def close(self) -> None: ...


def failure(error: psycopg.Error, keys: Sequence[Key] = ()) -> OrderManagementError:
    """The same, as an error of ours; `keys` is what was being decided on."""
    match error.sqlstate:
        case "40001" | "40P01" | "25P03":
            # Sent back by the server, or asleep in a transaction for so long that it was ended: decide again.
            return Conflict(tuple(keys))
        case "55P03" | "57014" | "53300":
            return StorageBusy(f"the database was busy for longer than we wait ({_first_line(error)}); try again")
        case "54000":
            return InvalidInput(f"a text is too long for an index of the database ({_first_line(error)}); shorten it")
        case "25006":
            return Misconfigured(
                "the server takes no writes any more, as a standby or by its settings; point the store at the primary"
            )
        case "42501" | "3F000" | "42P01" | "42883":
            return Misconfigured(
                f"the database does not let this user do it, or the store's tables are gone ({_first_line(error)}); "
                "connect as the schema's owner, or GRANT it"
            )
        case _:
            return StorageFailed(f"PostgreSQL could not do it ({_first_line(error)}); nothing was saved")


def _first_line(error: psycopg.Error) -> str:
    # The first line only: what follows may quote values, and values may be about persons.
    return str(error).strip().partition("\n")[0] or type(error).__name__


_SETTINGS = (
    "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('transaction_read_only'),"
    " current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),"
    " current_setting('server_encoding')"
)


def judge(connection: Connection) -> None:
    """Raise `Misconfigured` for a server that could lose what it acknowledged, or that cannot be a store at all."""
    # A host's connection may answer its own rows as anything.
    found = connection.cursor(row_factory=tuple_row).execute(_SETTINGS).fetchone()
    assert found is not None  # noqa: S101 - a SELECT without FROM has one row
    version, standby, read_only, synchronous, fsync, full_pages, encoding = found
    if version < SERVER_MIN:
        raise Misconfigured(f"the server is PostgreSQL {version // 10000}; 14 or newer is needed: upgrade it")
    if standby:
        raise Misconfigured("the server is a standby and takes no writes; point the store at the primary")
    if read_only == "on":
        raise Misconfigured(
            "default_transaction_read_only=on: nothing could be saved; set it to off for this user or database"
        )
    if synchronous == "off":
        raise Misconfigured(
            "synchronous_commit=off loses acknowledged commits when the server crashes; set it to on (or local, "
            "remote_write, remote_apply) for this user or database, and leave it out of the connection's options"
        )
    if fsync == "off":
        raise Misconfigured("fsync=off can lose the whole database in a power cut; set fsync=on and restart the server")
    if full_pages == "off":
        raise Misconfigured("full_page_writes=off can tear pages in a power cut; set full_page_writes=on and reload")
    if encoding != "UTF8":
        raise Misconfigured(
            f"the database's encoding is {encoding}, which cannot keep every text; make one with ENCODING 'UTF8' "
            "TEMPLATE template0"
        )


class Own:
    """A few connections of the store's own, opened when they are needed; each is used by one thread at a time."""

    def __init__(
        self,
        conninfo: str,
        *,
        connections_max: int,
        busy_timeout: float,
        statement_timeout: float,
        idle_timeout: float,
    ) -> None:
        try:
            conninfo_to_dict(conninfo)
        except psycopg.Error as error:
            raise Misconfigured(
                f"this is no connection string ({_first_line(error)}); give one like "
                '"postgresql://user@host:5432/shop" or "host=… dbname=shop user=…"'
            ) from None
        self.busy_timeout = busy_timeout
        self._conninfo = conninfo
        self._max = connections_max
        self._session = [
            f"SET lock_timeout = {int(busy_timeout * 1000)}",
            f"SET statement_timeout = {int(statement_timeout * 1000)}",
            f"SET idle_in_transaction_session_timeout = {int(idle_timeout * 1000)}",
            "SET client_encoding = 'UTF8'",
            # Only our own statements run here, and all of them look a few keys up: one plan each, and no reading of
            # whole tables because a table was small when the plan was made.
            "SET plan_cache_mode = force_generic_plan",
            "SET enable_seqscan = off",
            "SET enable_hashjoin = off",
            "SET enable_mergejoin = off",
        ]
        self._closed = False
        self._start()
        _everyone.add(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Connection] = []
        self._lent = WeakSet[Connection]()
        self._places = threading.BoundedSemaphore(self._max)

    def borrow(self) -> Connection:
        if os.getpid() != self._pid:
            self.forget()
        if self._closed:
            raise StorageFailed("this store is closed; open a new one")
        if not self._places.acquire(timeout=self.busy_timeout):
            raise StorageBusy(
                f"all {self._max} connections were in use for {self.busy_timeout} s; try again, or allow more "
                "(connections_max)"
            )
        try:
            connection = self._open()
        except BaseException:
            self._places.release()
            raise
        self._lent.add(connection)
        return connection

    def _open(self) -> Connection:
        try:
            return self._idle.pop()  # the one used last is the warmest
        except IndexError:
            pass
        deadline = time.monotonic() + self.busy_timeout
        while True:
            try:
                return self.connect()
            except psycopg.OperationalError as error:
                # A server that is starting again after a crash, or was told to: it is back in a moment.
                if time.monotonic() >= deadline:
                    raise failure(error) from error
            time.sleep(RECONNECT_SECONDS)

    def connect(self) -> Connection:
        connection = psycopg.connect(self._conninfo, autocommit=True, fallback_application_name="ordermgmt")
        try:
            judge(connection)
            connection.execute("; ".join(self._session).encode())
            adapt(connection.adapters)
        except BaseException:
            connection.close()
            raise
        return connection

    def keep(self, connection: Connection) -> None:
        """Take a connection that was opened apart from the others."""
        self._idle.append(connection)

    def give_back(self, connection: Connection) -> None:
        if os.getpid() != self._pid:
            _left_to_the_parent.append(connection)
            return
        self._lent.discard(connection)
        if connection.closed:
            # Where one has died, the others were most likely opened to the same server that is no more.
            self.close_idle()
        elif self._closed or connection.info.transaction_status is not IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        self._places.release()

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
        _left_to_the_parent.extend([*self._idle, *self._lent])
        self._start()


class Hosts:
    """A pool of the host's, who decides how many there are and what time-outs they have."""

    def __init__(self, pool: Pool, busy_timeout: float) -> None:
        self.busy_timeout = busy_timeout
        self._pool = pool
        self._closed = False
        self._judged = WeakSet[Connection]()
        self._lent = WeakKeyDictionary[Connection, tuple[AbstractContextManager[Connection], bool]]()

    def borrow(self) -> Connection:
        if self._closed:
            raise StorageFailed("this store is closed; open a new one")
        lending = self._pool.connection()
        if not hasattr(lending, "__enter__"):
            raise Misconfigured(
                f"{type(self._pool).__name__} is awaited; give PostgresStorage a blocking pool (psycopg_pool."
                "ConnectionPool): AsyncOrderManagement calls it in threads"
            )
        try:
            connection = lending.__enter__()
        except psycopg.Error as error:
            raise failure(error) from error
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
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        lending, autocommit = self._lent.pop(connection)
        if connection.info.transaction_status is not IDLE:
            connection.close()
        elif not autocommit:
            connection.autocommit = False
        lending.__exit__(None, None, None)

    def close(self) -> None:
        """Borrow no more; the pool is the host's to close."""
        self._closed = True


_everyone = WeakSet[Own]()
_left_to_the_parent: list[Connection] = []


def _before_fork() -> None:
    for own in list(_everyone):
        own.close_idle()


def _after_fork_in_child() -> None:
    for own in list(_everyone):
        own.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
