"""One order's whole life, durably: against the same rows written by raw SQL, and against `eventsourcing`.

python -m tests.benchmarks.lifecycles            on SQLite and PostgreSQL
python -m tests.benchmarks.lifecycles --profile  where the time of a life in memory goes, instead

A life is: place 3 lines, reserve, authorise, capture, ship all, deliver.  Every step is a commit of its own with its
history and outbox; sending a request to the gateway is claimed in a commit before and settled in one after, on both
sides.  `eventsourcing` is installed for this alone: ``pip install eventsourcing==9.5.0``.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple
from unittest.mock import patch

import psycopg

from ordermgmt import HandOverShipment, OrderManagement, RecordDelivery
from ordermgmt.engine.transaction import Key, Row, Storage, Write
from ordermgmt.storage import MemoryStorage, PostgresStorage, SqliteStorage
from ordermgmt.storage.sqlite import connections
from ordermgmt.storage.sqlite import texts as sqlite_texts
from ordermgmt.storage.sqlite.connections import journal_for
from tests import servers

from .decisions import open_shop, placing
from .timing import table

ROUNDS = 7
LIVES = 20
"""How many in each round."""
PROFILED = 100
PEERS = {True: "eventsourcing, many writers", False: "eventsourcing, one writer"}
"""Whether other processes may write beside it → what it is called; see `eventsourced`."""


def live(shop: OrderManagement, order_id: str) -> None:
    """Place, authorise, hand over, capture, deliver."""
    shop.handle(placing(order_id, 3))
    shop.settle(order_id)
    shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1"))
    shop.settle(order_id)
    shop.handle(RecordDelivery(shipment_id=f"{order_id}:s1"))


class Recording(MemoryStorage):
    """Remembers what was written, commit by commit."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Sequence[Write]] = []

    @contextmanager
    def transaction(self) -> Generator[Any]:
        with super().transaction() as transaction:
            yield _Noted(transaction, self.commits)


class _Noted:
    def __init__(self, transaction: Any, commits: list[Sequence[Write]]) -> None:
        self._transaction = transaction
        self._commits = commits

    def load(self, keys: Sequence[Key], *, skip_locked: bool = False) -> dict[Key, Row]:
        rows: dict[Key, Row] = self._transaction.load(keys, skip_locked=skip_locked)
        return rows

    def commit(self, writes: Sequence[Write]) -> None:
        self._transaction.commit(writes)
        self._commits.append(writes)


def recorded(lives: int) -> tuple[list[Sequence[Write]], list[Sequence[Write]]]:
    """What opening a shop writes, and what so many lives write."""
    storage = Recording()
    shop = open_shop(storage)
    opening = list(storage.commits)
    storage.commits.clear()
    for n in range(lives):
        live(shop, f"floor-{n}")
    return opening, storage.commits


class Floor:
    """The same rows at the same settings, and nothing else: no reading, no deciding, no encoding."""

    texts: ClassVar[dict[str, Any]]
    """The statements by what they do: begin, insert, update, tell, lose, gain, commit."""

    def __init__(self, run: Callable[..., Any], lives: int) -> None:
        self._run = run
        opening, commits = recorded(lives)
        for writes in opening:
            self._write(writes)
        self._per_life = len(commits) // lives
        self._left = iter(commits)

    def live(self) -> None:
        for writes in itertools.islice(self._left, self._per_life):
            self._write(writes)

    def _write(self, writes: Sequence[Write]) -> None:
        run, texts = self._run, self.texts
        run(texts["begin"])
        for write in writes:
            row = write.row
            kind, ident = row.key
            if write.expected:
                run(texts["update"], (row.version, row.doc, row.head, row.at, kind, ident, write.expected))
            else:
                run(texts["insert"], (kind, ident, row.version, row.doc, row.head, row.at))
            for e in write.entries:
                run(texts["tell"], (kind, ident, e.version, e.doc, e.hash, e.at, e.actor, e.cause, e.command_id))
            for name, value in write.unindex.items():
                run(texts["lose"], (kind, name, value, ident))
            for name, value in write.index.items():
                run(texts["gain"], (kind, name, value, ident))
        run(texts["commit"])


class SqliteFloor(Floor):
    """In a file, with the statements of the store itself."""

    texts: ClassVar[dict[str, Any]] = {
        "begin": "BEGIN IMMEDIATE",
        "insert": sqlite_texts.INSERT_ENTITY,
        "update": sqlite_texts.UPDATE_ENTITY,
        "tell": sqlite_texts.INSERT_HISTORY,
        "lose": sqlite_texts.DELETE_INDEX,
        "gain": sqlite_texts.INSERT_INDEX,
        "commit": "COMMIT",
    }

    def __init__(self, path: Path, lives: int, journal: str, synchronous: str) -> None:
        SqliteStorage(path).close()  # makes the tables
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        super().__init__(connection.execute, lives)


class PostgresFloor(Floor):
    """On a server, statement by statement, each prepared.

    Constraints and triggers as they are; only the functions of the store are not used.
    """

    texts: ClassVar[dict[str, Any]] = {
        "begin": b"BEGIN",
        "insert": b"INSERT INTO entity (kind, id, version, doc, head, at) VALUES (%s, %s, %s, %s, %s, %s)",
        "update": b"UPDATE entity SET version = %s, doc = %s, head = %s, at = %s"
        b" WHERE kind = %s AND id = %s AND version = %s",
        "tell": b"INSERT INTO history (position, kind, id, version, doc, hash, at, actor, cause, command_id)"
        b" VALUES (nextval('position'), %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        "lose": b"DELETE FROM idx WHERE kind = %s AND name = %s AND value = %s AND id = %s",
        "gain": b"INSERT INTO idx (kind, name, value, id) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        "commit": b"COMMIT",
    }

    def __init__(self, uri: str, schema: str, lives: int) -> None:
        PostgresStorage(uri, schema=schema).close()  # makes the tables
        self._connection = psycopg.connect(uri, autocommit=True, prepare_threshold=1)
        run = self._connection.cursor().execute
        run(f"SET search_path = {schema}".encode())
        super().__init__(run, lives)


class Took(NamedTuple):
    """Milliseconds a life."""

    waited: float
    processor: float
    """Of this process: the database's server has its own."""


def compared(contestants: dict[str, Callable[[], None]], lives: int = LIVES) -> dict[str, list[Took]]:
    """What a life took, round by round: every contestant in every round, so that noise meets all of them."""
    times: dict[str, list[Took]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, one in contestants.items():
            began, spent = time.perf_counter(), time.process_time()
            for _ in range(lives):
                one()
            waited, processor = time.perf_counter() - began, time.process_time() - spent
            times[name].append(Took(waited / lives * 1e3, processor / lives * 1e3))
    return times


def told(title: str, times: dict[str, list[Took]]) -> None:
    """Medians, and the median of the ratios to the first contestant within a round."""
    floor = next(iter(times.values()))
    rows: list[tuple[Any, ...]] = []
    for name, some in times.items():
        ratio = statistics.median(one.waited / base.waited for one, base in zip(some, floor, strict=True))
        waited, processor = map(statistics.median, zip(*some, strict=True))
        rows.append((name, waited, f"{ratio:.2f}", processor))
    table(title, ("", "ms", "× the floor", "processor, ms"), rows)


def ours(storage: Storage) -> Callable[[], None]:
    """A life in a shop of ours."""
    shop = open_shop(storage)
    numbers = itertools.count()
    return lambda: live(shop, f"o{next(numbers)}")


def on_sqlite(folder: Path, journal: str, synchronous: str) -> dict[str, list[Took]]:
    """Raw SQL, this library, and `eventsourcing`, each on a file of its own, all with the same settings."""
    with patch.object(connections, "journal_for", lambda version: (journal, synchronous)):
        contestants = {
            "raw SQL": SqliteFloor(folder / f"floor-{journal}.db", ROUNDS * LIVES, journal, synchronous).live,
            "ordermgmt": ours(SqliteStorage(folder / f"ours-{journal}.db")),
        }
        try:
            from .eventsourced import life_on_sqlite
        except ImportError:
            sys.stdout.write("eventsourcing is not installed; compared without it\n")
        else:
            for many, called in PEERS.items():
                path = folder / f"es-{journal}-{many:d}.db"
                contestants[called] = life_on_sqlite(path, journal, synchronous, many_writers=many)
        return compared(contestants)


def on_postgres() -> dict[str, list[Took]]:
    """The same on a server of its own, whose files lie on the disk."""
    with patch.object(servers, "IN_MEMORY", Path("nowhere")), servers.server() as server:
        contestants = {
            "raw SQL": PostgresFloor(server.uri, "floor", ROUNDS * LIVES).live,
            "ordermgmt": ours(PostgresStorage(server.uri, schema="ours")),
        }
        try:
            from .eventsourced import life_on_postgres
        except ImportError:
            sys.stdout.write("eventsourcing is not installed; compared without it\n")
        else:
            for many, called in PEERS.items():
                contestants[called] = life_on_postgres(server.uri, many_writers=many)
        return compared(contestants)


def profile() -> None:
    """Where the time of a life in memory goes, by function."""
    one = ours(MemoryStorage())
    for _ in range(20):
        one()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(PROFILED):
        one()
    profiler.disable()
    calls = sum(function.callcount for function in profiler.getstats())
    sys.stdout.write(f"{calls // PROFILED:,} function calls a life\n")
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(25)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true", help="where the time of a life in memory goes, instead")
    if parser.parse_args().profile:
        profile()
        return
    with TemporaryDirectory() as folder:
        version: tuple[int, int, int] = sqlite3.sqlite_version_info[:3]
        own = journal_for(version)
        for journal, synchronous in (("DELETE", "EXTRA"), ("WAL", "FULL")):
            settings = f"{journal}, {synchronous}{' (ours with this SQLite)' if (journal, synchronous) == own else ''}"
            told(
                f"One life of 3 lines on SQLite {sqlite3.sqlite_version}, {settings}",
                on_sqlite(Path(folder), journal, synchronous),
            )
    told("One life of 3 lines on PostgreSQL, every step durable", on_postgres())


if __name__ == "__main__":
    main()
