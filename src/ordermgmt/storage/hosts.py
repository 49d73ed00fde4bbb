"""The connection of a host: what SQLAlchemy, Django or a driver hands over, and the driver's connection behind it.

Neither SQLAlchemy nor Django is imported; what is given is known by what it can do.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ordermgmt.errors import Misconfigured, StorageFailed

NO_TRANSACTION = (
    "no transaction is open on the host's connection, so what is saved there would be committed by itself; begin one "
    "first ({how}), or use a shop on the library's own connection"
)

FAILED_BEFORE = "the host's transaction has failed before; roll it back, and begin again"


def driver_connection(given: Any) -> Any:
    """The driver's own connection, in the transaction that the host has begun or that its framework begins by itself.

    `given` is that connection; SQLAlchemy's `Connection`, `Session` or `scoped_session`; Django's `connection`; or a
    function that answers one of them, asked at each use.  Raises `Misconfigured` where no transaction can be joined.
    """
    host = _asked(given)
    if hasattr(host, "in_atomic_block"):
        if not host.in_atomic_block:
            raise Misconfigured(NO_TRANSACTION.format(how="with transaction.atomic():"))
        if host.needs_rollback:  # Django will undo all of it, and says nothing to whoever does not ask it
            raise StorageFailed(FAILED_BEFORE)
        return host.connection
    if hasattr(host, "run_sync"):
        raise Misconfigured(
            f"{type(host).__name__} speaks through another thread or loop, which cannot be joined; use a blocking "
            "Session, or psycopg's AsyncConnection with AsyncOrderManagement"
        )
    if hasattr(host, "get_bind"):  # a Session begins by itself
        host = host.connection()
    if hasattr(host, "exec_driver_sql"):
        if host.closed:
            raise StorageFailed("the host's connection is closed; nothing was saved")
        if not host.in_transaction():
            host.begin()  # as its first statement would
        return host.connection.dbapi_connection
    return host


def _asked(given: Any) -> Any:
    """What a function answers.  A `scoped_session` can be called as well, and is none."""
    is_function = callable(given) and not hasattr(given, "connection") and not hasattr(given, "cursor")
    return given() if is_function else given


class Turns:
    """Who works on a host's connection: one thread at a time, for the savepoint of one must not undo another's work.

    A connection is known here while somebody works or waits on it, by its address: sqlite3's cannot be referred to
    weakly.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[int, _Turn] = {}

    def take(self, connection: object) -> None:
        """Wait until nobody else is at work on it."""
        with self._guard:
            turn = self._turns.setdefault(id(connection), _Turn())
            turn.people += 1
        try:
            turn.lock.acquire()
        except BaseException:
            self._leave(connection)
            raise

    def give_back(self, connection: object) -> None:
        """Let the next one go on."""
        self._leave(connection).lock.release()

    @contextmanager
    def on(self, connection: object) -> Generator[None]:
        """A turn for the time of one question."""
        self.take(connection)
        try:
            yield
        finally:
            self.give_back(connection)

    def _leave(self, connection: object) -> _Turn:
        with self._guard:
            turn = self._turns[id(connection)]
            turn.people -= 1
            if not turn.people:
                del self._turns[id(connection)]
        return turn


class _Turn:
    """A lock, and how many hold it or wait for it.  Whoever holds it may take it again."""

    __slots__ = ("lock", "people")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.people = 0


turns = Turns()
"""Of all connections: a host makes a store of each unit of work, on the same connection."""
