"""A store in one SQLite file: the default for an embedded shop, safe for several threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Write
from ordermgmt.errors import Conflict, Misconfigured, StorageBusy, StorageFailed
from ordermgmt.storage.checks import check_texts, check_writes, seconds_of
from ordermgmt.storage.moving import Batch, IndexValue
from ordermgmt.storage.sqlite import rows, texts
from ordermgmt.storage.sqlite.backup import copy_in_pieces
from ordermgmt.storage.sqlite.connections import Connections, failure, patiently
from ordermgmt.storage.sqlite.joined import JoinedSqliteStorage
from ordermgmt.storage.sqlite.rows import Values
from ordermgmt.storage.sqlite.schema import migrate

T = TypeVar("T")


class SqliteStorage:
    """Keeps everything in one file; a commit is on the disk when it returns.

    One transaction at a time writes, whatever the number of threads and processes; whoever opens a second one waits,
    at most `busy_timeout`, then gets `StorageBusy`.  Reading does not wait for an open transaction.
    """

    volatile = False
    exclusive = True

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: timedelta = timedelta(seconds=30)) -> None:
        """Open the file, make it if there is none, and bring its tables up to date.

        Raises `NewerSchema` where a newer release wrote it, `StorageFailed` where it is no database or does not open.
        """
        if not isinstance(path, str | os.PathLike):
            raise Misconfigured(
                f"SqliteStorage takes the path of a file, such as 'shop.db' (got {type(path).__name__})"
            )
        name = os.fspath(path)
        if name in ("", ":memory:") or name.startswith("file:"):
            raise Misconfigured(f"{name!r} is not the path of a file; use MemoryStorage for a store without one")
        if name.startswith(("postgresql://", "postgres://")):
            raise Misconfigured("the address of a server is not the path of a file; use PostgresStorage")
        self._connections = Connections(str(Path(name).absolute()), seconds_of("busy_timeout", busy_timeout))
        self.installation = self._prepare()
        """A random id given to the file when it was made; a copy has the same."""

    def _prepare(self) -> str:
        try:
            with SqliteTransaction(self._connections, begin=False) as transaction:
                return transaction.prepare()
        except BaseException:
            self._connections.close()
            raise

    def transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self._connections)

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        check_texts(chain.from_iterable(keys))
        with _Reading(self._connections) as reading:
            if len(keys) > rows.KEYS_MAX:
                # Several SELECTs see the same state only in one transaction.
                reading.select("BEGIN", ())
            found = rows.read(reading.select, keys)
            if len(keys) > rows.KEYS_MAX:
                reading.select("COMMIT", ())
            return found

    def find(self, query: Query) -> Sequence[Found]:
        """Find by indexes, a page at a time.

        Without `upto` the name with the fewest values leads, and the others filter; with it, its index is walked from
        the low end and all names filter.  So let an index end (be unset) when nobody waits for the entity any more.
        """
        with _Reading(self._connections) as reading:
            return rows.find(reading.select, query)

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        with _Reading(self._connections) as reading:
            return rows.history(reading.select, key, after, limit)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        with _Reading(self._connections) as reading:
            return rows.feed(reading.select, after, limit)

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        with _Reading(self._connections) as reading:
            return rows.personal(reading.select, refs)

    def erase(self, subject: str) -> int:
        check_texts((subject,))
        with SqliteTransaction(self._connections) as transaction:
            return transaction.erase(subject)

    def statuses(self, kind: str) -> Mapping[str, int]:
        with _Reading(self._connections) as reading:
            return rows.statuses(reading.select, kind)

    # To be moved as a whole; see `moving.Movable`.

    def kinds(self) -> Sequence[str]:
        with _Reading(self._connections) as reading:
            return [kind for (kind,) in reading.select(texts.KINDS, ())]

    def indexed(self, *, after: IndexValue | None = None, limit: int = 1000) -> Sequence[IndexValue]:
        with _Reading(self._connections) as reading:
            return rows.indexed(reading.select, after, limit)

    def persons(self, *, after: str = "", limit: int = 1000) -> Sequence[PersonalValue]:
        with _Reading(self._connections) as reading:
            return rows.persons(reading.select, after, limit)

    def absorb(self, batch: Batch) -> None:
        with SqliteTransaction(self._connections) as transaction:
            transaction.do(lambda connection: rows.absorb(connection.executemany, batch))

    def dismiss(self, key: Key) -> None:
        with SqliteTransaction(self._connections) as transaction:
            transaction.do(lambda connection: connection.execute(texts.DISMISS, key))

    def joined(self, connection: object) -> JoinedSqliteStorage:
        """The same store on a connection of the host's, within the transaction that is open there."""
        return JoinedSqliteStorage(connection)

    def integrity(self, *, thorough: bool = False) -> Sequence[str]:
        """What SQLite finds wrong with the file; nothing if all is well.  Commits wait meanwhile.

        `thorough` also compares tables with their indexes, which takes longer.
        """
        with _Reading(self._connections) as reading:
            try:
                found = reading.select("PRAGMA integrity_check" if thorough else "PRAGMA quick_check", ())
            except StorageBusy:
                raise
            except StorageFailed as error:  # so damaged that the check itself stumbles
                return [str(error.__cause__)]
            return [problem for (problem,) in found if problem != "ok"]

    def backup(self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None) -> None:
        """Copy all of it into a new file, as it is at the end of the copying, while others go on working.

        A few pages at a time, so that a commit waits for a moment only.  `progress` is told how many pages are copied.
        An interrupted copy is not left behind.
        """
        to = Path(path)
        if to.exists():
            raise StorageFailed(f"{to} exists already; back up into a new file")
        part = to.with_name(to.name + ".part")
        part.unlink(missing_ok=True)
        # This process's own commits are copied along where they go through the connection that copies; those of other
        # processes make SQLite begin again.  So it is the writing one, and between two pieces everybody has a turn.
        try:
            copy_in_pieces(self._connections, part, progress)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the connections; whoever is in a transaction may still end it."""
        self._connections.close()


class SqliteTransaction:
    """The open transaction of a `SqliteStorage`; nobody else writes meanwhile, in any process."""

    __slots__ = ("_begin", "_connection", "_connections", "_deadline", "_holds", "_over", "_pid", "_turn", "_versions")

    _connection: sqlite3.Connection
    _deadline: float
    _pid: int
    _turn: threading.Lock

    def __init__(self, connections: Connections, *, begin: bool = True) -> None:
        self._connections = connections
        self._begin = begin
        self._holds = False
        self._over = True
        self._versions: dict[Key, int] = {}

    def __enter__(self) -> Self:
        connections = self._connections
        connections.check_open()
        self._pid = os.getpid()
        self._turn = connections.turn
        self._deadline = time.monotonic() + connections.busy_seconds
        # Threads of this process queue here; only processes have to poll for SQLite's lock.
        if not self._turn.acquire(timeout=connections.busy_seconds):
            raise StorageBusy(
                f"the store was locked by another transaction for {connections.busy_seconds:g} s; try again"
            )
        try:
            self._connection = connections.writer()
            self._holds = True
            if self._begin:
                self._lock()
        except BaseException as error:
            if self._holds:
                self._let_go(broken=True)
            else:
                self._turn.release()
            if isinstance(error, sqlite3.Error):
                raise failure(error) from error
            raise
        self._over = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._leave()

    def __del__(self) -> None:
        # Who is interrupted at the very door, before `__exit__` has done anything, leaves when its trace is forgotten.
        if self._holds:
            self._leave()

    def _leave(self) -> None:
        if not self._holds or os.getpid() != self._pid:
            return  # a forked child leaves the block too; the transaction is its parent's
        broken = True
        try:
            broken = not self._undone()
        finally:
            self._let_go(broken=broken)

    def _let_go(self, *, broken: bool) -> None:
        """Give the connection and the turn back."""
        self._connections.release(self._connection, broken=broken)
        self._holds = False
        self._turn.release()

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:  # noqa: ARG002
        self._check_open()
        check_texts(chain.from_iterable(keys))
        try:
            return self._load(keys)
        except sqlite3.Error as error:
            raise failure(error) from error

    def _load(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        found = rows.read(self._select, keys)
        # What we have seen stays true to the end of the transaction: nobody else may write.
        self._versions.update(dict.fromkeys(keys, 0))
        self._versions.update((key, row.version) for key, row in found.items())
        return found

    def commit(self, writes: Sequence[Write]) -> None:
        self._check_open()
        check_writes(writes)
        self._over = True
        try:
            versions = self._versions
            unseen = [write.row.key for write in writes if write.row.key not in versions]
            if unseen:
                self._load(unseen)
            stale = tuple(write.row.key for write in writes if versions[write.row.key] != write.expected)
            if stale:
                raise Conflict(stale)
            rows.save(self._connection.executemany, writes)
            self._finish()
        except sqlite3.Error as error:
            raise failure(error) from error

    def erase(self, subject: str) -> int:
        """Forget a person's values, and commit that."""
        return self.do(lambda connection: connection.execute(texts.ERASE, (subject,)).rowcount)

    def do(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Change something, and commit that."""
        self._check_open()
        self._over = True
        try:
            answer = change(self._connection)
            self._finish()
        except sqlite3.Error as error:
            raise failure(error) from error
        return answer

    def prepare(self) -> str:
        """Bring the tables up to date; answers the file's installation id."""
        try:
            patiently(lambda: migrate(self._connection, self._lock, self._finish), self._deadline)
            return str(self._select("SELECT installation FROM meta", ())[0][0])
        except sqlite3.Error as error:
            raise failure(error) from error

    def _select(self, text: str, values: Values) -> list[Any]:
        return patiently(lambda: self._connection.execute(text, values).fetchall(), self._deadline)

    def _lock(self) -> None:
        patiently(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._deadline)

    def _finish(self) -> None:
        # A reader can hold a COMMIT up; it is asked again, the transaction stays whole until then.
        deadline = time.monotonic() + self._connections.busy_seconds
        patiently(lambda: self._connection.execute("COMMIT"), deadline)

    def _undone(self) -> bool:
        """Undo what is open.  After a full disk or an I/O error SQLite has done so itself."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:  # closed, for one, where its store was before the trace of an interrupt was forgotten
            return False
        return True

    def _check_open(self) -> None:
        if self._over or os.getpid() != self._pid:
            raise StorageFailed("this transaction is over; open a new one")


class _Reading:
    """A reading connection, for the time of one call."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._deadline = time.monotonic() + connections.busy_seconds

    def __enter__(self) -> Self:
        self._connections.check_open()
        try:
            self._connection = self._connections.borrow()
        except sqlite3.Error as error:
            raise failure(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.give_back(self._connection)

    def select(self, text: str, values: Values) -> list[Any]:
        try:
            return patiently(lambda: self._connection.execute(text, values).fetchall(), self._deadline)
        except sqlite3.Error as error:
            raise failure(error) from error
