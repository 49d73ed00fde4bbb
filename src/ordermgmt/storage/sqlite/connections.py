"""The connections of a SQLite store: how they are opened, lent, waited for, and kept out of forked children.

Three facts about SQLite shape this file.  Several of its versions can lose rows of a file in WAL mode that more than
one process writes, so the version decides on the mode.  Its own busy handler sleeps too long for short transactions,
so we wait ourselves.  And a connection taken through a fork can damage the file, even by being closed.
"""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from ordermgmt.errors import Misconfigured, StorageBusy, StorageFailed

T = TypeVar("T")

SQLITE_MIN = (3, 37, 0)
"""The first version with STRICT tables."""
IDLE_MAX = 8
"""How many reading connections are kept open for the next read."""


def journal_for(version: tuple[int, int, int]) -> tuple[str, str]:
    """The journal mode and the `synchronous` level that keep every commit with this version of SQLite.

    WAL needs the fix of the WAL-reset race (https://sqlite.org/wal.html#walresetbug), which is in 3.51.3, 3.50.7 and
    3.44.6.  Elsewhere DELETE, where only EXTRA also syncs the directory after the journal has been unlinked.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return ("WAL", "FULL") if fixed else ("DELETE", "EXTRA")


def failure(error: sqlite3.Error) -> StorageFailed:
    """The same, as an error of ours."""
    if is_busy(error):
        return StorageBusy(f"the database was locked by others for longer than we wait ({error}); try again")
    return StorageFailed(f"SQLite could not do it ({error}); nothing was saved")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether waiting may help."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code; PROTOCOL is what WAL answers when it lost a race for a lock.
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def patiently(action: Callable[[], T], deadline: float) -> T:
    """Do it, again and again while the database is locked, until the deadline on the monotonic clock."""
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        # Jitter, so that two who met once do not meet for ever.
        time.sleep(random.uniform(0.0001, 0.001))


class Connections:
    """One writing connection, taken in turn, and a few reading ones, each used by one thread at a time."""

    def __init__(self, path: str, busy_seconds: float) -> None:
        if sqlite3.sqlite_version_info < SQLITE_MIN:
            raise Misconfigured(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed (STRICT tables)")
        self.path = path
        self.busy_seconds = busy_seconds
        self._closed = False
        self._start()
        _everyone.add(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self.turn = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._lent: set[sqlite3.Connection] = set()

    def check_open(self) -> None:
        if os.getpid() != self._pid:
            self.forget()
        if self._closed:
            raise StorageFailed("this store is closed; open a new one")
        if self.path in _forked_in_use:
            raise StorageFailed(
                "the process was forked while a transaction was open, and SQLite's locks do not survive that;"
                " fork before opening the store, or between transactions"
            )

    def writer(self) -> sqlite3.Connection:
        """The writing connection; to be asked for by whoever holds `turn`, and ended by `release`."""
        connection = self._writer
        if connection is None:
            connection = self._writer = self.open()
        self._lent.add(connection)
        return connection

    def release(self, connection: sqlite3.Connection, *, broken: bool = False) -> None:
        self._lent.discard(connection)
        if broken or self._closed:
            self._writer = None
            connection.close()

    def borrow(self) -> sqlite3.Connection:
        """A reading connection; to be given back."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.open()
        self._lent.add(connection)
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        self._lent.discard(connection)
        if connection.in_transaction or len(self._idle) >= IDLE_MAX:
            connection.close()
            return
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def open(self) -> sqlite3.Connection:
        deadline = time.monotonic() + self.busy_seconds
        try:
            connection = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except sqlite3.OperationalError as error:
            told = f"{self.path} cannot be opened ({error}); is its folder there, and writable?"
            raise StorageFailed(told) from error
        try:
            # Some of these look into the file, and so can meet somebody's lock.
            patiently(lambda: self._set_up(connection), deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        # What is erased is overwritten, and REPLACE is a deletion like any other to the append-only triggers.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA recursive_triggers = ON")
        wanted, _ = journal_for(sqlite3.sqlite_version_info)
        mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        # An existing file is only ever taken out of WAL, never into it: another process may have an older SQLite.
        if wanted == "WAL" and connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if wanted == "DELETE" and mode != "delete":
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        if mode not in ("delete", wanted.lower()):
            raise StorageFailed(f"the file stays in journal mode {mode}, which is not safe with this SQLite")
        if mode == "wal":
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.execute("PRAGMA synchronous = EXTRA")

    def close(self) -> None:
        """Close what is idle now; what is lent is closed when it comes back."""
        if os.getpid() != self._pid:
            self.forget()
        self._closed = True
        self.close_unused()

    def __del__(self) -> None:
        # A store that was dropped without being closed leaves nothing open; nobody is in a transaction of it any more.
        # In a forked child the connections are the parent's.
        if getattr(self, "_pid", None) == os.getpid():
            self.close()

    def close_unused(self) -> None:
        self._close_idle()
        if self.turn.acquire(blocking=False):
            try:
                if self._writer is not None:
                    self._writer.close()
                    self._writer = None
            finally:
                self.turn.release()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return
            connection.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone for ever, and start with none."""
        if self._lent:
            _forked_in_use.add(self.path)
        for connection in {*self._lent, *self._idle, *([self._writer] if self._writer else [])}:
            # Closing it here could roll the parent's transaction back, and the interpreter closes what it frees, also
            # when it ends.  One reference too many keeps it from that.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._start()


_everyone: WeakSet[Connections] = WeakSet()
_forked_in_use: set[str] = set()


def _before_fork() -> None:
    for connections in list(_everyone):
        connections.close_unused()


def _after_fork_in_child() -> None:
    for connections in list(_everyone):
        connections.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
