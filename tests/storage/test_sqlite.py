"""SqliteStorage keeps the promises of a store, and what a file adds to them."""

import gc
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

import ordermgmt
from ordermgmt.engine.transaction import PersonalValue, Query
from ordermgmt.errors import Misconfigured, StorageBusy, StorageFailed
from ordermgmt.storage import NewerSchema, SqliteStorage
from ordermgmt.storage.sqlite import connections, texts
from ordermgmt.storage.sqlite.connections import Connections, journal_for
from ordermgmt.storage.sqlite.schema import MIGRATIONS, migrate, schema_version
from ordermgmt.storage.sqlite.store import SqliteTransaction
from ordermgmt.testing.conformance.storage import StorageContract, increment, save, together, written
from tests.storage.interrupting import interrupted_at, look

KEY = ("stock", "SKU")


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path):
        self.path = tmp_path / "shop.db"
        with closing(SqliteStorage(self.path)) as storage:
            yield storage

    def reopen(self, storage):
        storage.close()
        return SqliteStorage(self.path)


class TestSqliteStorageInWriteAheadMode(TestSqliteStorage):
    """As with a SQLite that has the fix; one process alone does not meet the fault."""

    @pytest.fixture(autouse=True)
    def fixed_version(self, monkeypatch):
        monkeypatch.setattr(connections, "journal_for", lambda _: ("WAL", "FULL"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


@pytest.fixture
def storage(path):
    with closing(SqliteStorage(path)) as storage:
        yield storage


def process(what, path, *rest, **options):
    source = str(Path(ordermgmt.__file__).parents[1])
    script = str(Path(__file__).with_name("shop_process.py"))
    env = {**os.environ, "PYTHONPATH": source}
    return subprocess.Popen([sys.executable, "-W", "error", script, what, str(path), *rest], env=env, **options)


# Which journal


@pytest.mark.parametrize(
    ("version", "journal"),
    [
        ((3, 37, 0), "DELETE"),
        ((3, 40, 1), "DELETE"),
        ((3, 44, 5), "DELETE"),
        ((3, 44, 6), "WAL"),
        ((3, 44, 99), "WAL"),
        ((3, 45, 0), "DELETE"),
        ((3, 45, 99), "DELETE"),
        ((3, 50, 6), "DELETE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 0), "DELETE"),
        ((3, 51, 2), "DELETE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_only_versions_with_the_fix_write_ahead_and_all_sync_fully(version, journal):
    assert journal_for(version) == (journal, {"WAL": "FULL", "DELETE": "EXTRA"}[journal])


def test_every_connection_syncs_as_its_journal_needs(storage):
    lent = storage._connections
    for connection in (lent.writer(), lent.borrow()):
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        assert (mode, synchronous) in {("delete", 3), ("wal", 2)}
        connection.close()


def test_a_file_in_write_ahead_mode_is_taken_out_of_it_by_a_version_without_the_fix(path, monkeypatch):
    monkeypatch.setattr(connections, "journal_for", lambda _: ("WAL", "FULL"))
    with closing(SqliteStorage(path)) as storage:
        save(storage, written("A-1"))
        assert storage._connections.writer().execute("PRAGMA journal_mode").fetchone() == ("wal",)
    monkeypatch.setattr(connections, "journal_for", lambda _: ("DELETE", "EXTRA"))
    with closing(SqliteStorage(path)) as storage:
        assert len(storage.feed()) == 1
        assert storage._connections.writer().execute("PRAGMA journal_mode").fetchone() == ("delete",)
    monkeypatch.setattr(connections, "journal_for", lambda _: ("WAL", "FULL"))
    with closing(SqliteStorage(path)) as storage:
        assert storage._connections.writer().execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_sqlite_without_strict_tables_is_refused(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(Misconfigured, match=r"3\.37"):
        SqliteStorage(path)


@pytest.mark.parametrize("name", ["", ":memory:", "file:shop.db?mode=memory"])
def test_a_path_that_is_no_file_is_refused(name):
    with pytest.raises(Misconfigured, match="MemoryStorage"):
        SqliteStorage(name)


def test_the_address_of_a_server_is_refused_and_not_shown():
    with pytest.raises(Misconfigured, match="PostgresStorage") as no:
        SqliteStorage("postgresql://shop:secret@db.example/shop")
    assert "secret" not in str(no.value)


def test_a_folder_that_is_not_there_is_said_to_be_the_trouble(tmp_path):
    with pytest.raises(StorageFailed, match="open"):
        SqliteStorage(tmp_path / "nowhere" / "shop.db")


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path):
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(StorageFailed, match="not a database"):
        SqliteStorage(path)
    assert path.read_bytes() == b"dear diary, " * 1000


# Schema and migrations


def test_a_file_of_a_newer_release_is_refused_and_left_as_it_is(path):
    with closing(SqliteStorage(path)) as storage:
        save(storage, written("A-1"))
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE meta SET schema = 99")
    before = path.read_bytes()
    with pytest.raises(NewerSchema, match="99"):
        SqliteStorage(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("done", range(len(MIGRATIONS[0][1]) + 1))
def test_a_first_migration_interrupted_anywhere_is_done_by_the_next_opening(path, done):
    version, statements = MIGRATIONS[0]
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        begin, commit = (lambda text=text: raw.execute(text) for text in ("BEGIN IMMEDIATE", "COMMIT"))
        with pytest.raises(sqlite3.OperationalError):
            migrate(raw, begin, commit, [(version, (*statements[:done], "SELECT nonsense"))])
    with closing(SqliteStorage(path)) as storage:
        save(storage, written("A-1"))
        assert len(storage.installation) == 32


def test_a_later_migration_goes_on_where_it_was_interrupted(path):
    with closing(SqliteStorage(path)) as storage:
        save(storage, written("A-1"))
    second = (2, ("CREATE TABLE extra (a INTEGER) STRICT",))
    broken = (3, ("CREATE TABLE more (a INTEGER) STRICT", "SELECT nonsense"))
    third = (3, ("CREATE TABLE more (a INTEGER) STRICT",))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        begin, commit = (lambda text=text: raw.execute(text) for text in ("BEGIN IMMEDIATE", "COMMIT"))
        with pytest.raises(sqlite3.OperationalError):
            migrate(raw, begin, commit, [*MIGRATIONS, second, broken])
        raw.execute("ROLLBACK")
        assert schema_version(raw) == 2
        migrate(raw, begin, commit, [*MIGRATIONS, second, third])
        assert schema_version(raw) == 3
        assert raw.execute("SELECT count(*) FROM history").fetchone() == (1,)


def test_a_migration_that_somebody_else_did_meanwhile_is_not_done_again(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:

        def begin():
            SqliteStorage(path).close()
            raw.execute("BEGIN IMMEDIATE")

        migrate(raw, begin, lambda: raw.execute("COMMIT"))
        assert schema_version(raw) == MIGRATIONS[-1][0]


def test_processes_that_open_a_new_file_at_once_make_one_store(path):
    running = [process("open_it", path, stdout=subprocess.PIPE) for _ in range(4)]
    installations = {one.communicate(timeout=60)[0] for one in running}
    assert [one.returncode for one in running] == [0] * 4
    assert len(installations) == 1


def test_threads_that_open_a_new_file_at_once_make_one_store(path):
    stores = together(6, lambda _: SqliteStorage(path))
    assert len({storage.installation for storage in stores}) == 1
    for storage in stores:
        storage.close()


def test_the_installation_id_stays_and_differs_between_files(path, tmp_path):
    with closing(SqliteStorage(path)) as first, closing(SqliteStorage(path)) as again:
        assert first.installation == again.installation
    with closing(SqliteStorage(tmp_path / "other.db")) as other:
        assert other.installation != first.installation


# History only grows


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history SET doc = x'00' WHERE position = 1",
        "UPDATE history SET actor = actor",
        "DELETE FROM history",
        "DELETE FROM history WHERE position = 3",
    ],
)
def test_history_can_be_neither_changed_nor_deleted(storage, path, statement):
    save(storage, written("A-1", events=3))
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(statement)
    assert len(storage.feed()) == 3


def test_history_cannot_be_replaced_through_our_own_connections(storage):
    save(storage, written("A-1"))
    connection = storage._connections.borrow()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("REPLACE INTO history SELECT position, kind, id, 9, doc, '', '', '', '', '' FROM history")
    connection.close()


def test_positions_have_no_gaps_even_after_transactions_that_were_undone(storage):
    for version in range(5):
        with pytest.raises(StorageFailed):
            # A document that is no bytes is found out in the middle of writing.
            save(storage, written("A-1", version), written("B-1", doc=cast("bytes", 3.5)))
        save(storage, written("A-1", version))
    assert [entry.position for entry in storage.feed()] == [1, 2, 3, 4, 5]


def test_an_erased_value_is_no_longer_anywhere_in_the_file(storage, path):
    save(storage, written("A-1", personal=[PersonalValue("r", "s", b"Ann of Green Gables")]))
    assert b"Green Gables" in path.read_bytes()
    storage.erase("s")
    assert all(b"Green Gables" not in file.read_bytes() for file in path.parent.iterdir())


# Others hold the file


def test_a_writer_elsewhere_is_waited_for_and_then_said_to_be_busy(path):
    with closing(SqliteStorage(path, busy_timeout=timedelta(milliseconds=50))) as storage:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusy):
                save(storage, written("A-1"))
            assert not storage.feed()
            other.execute("ROLLBACK")
        save(storage, written("A-1"))


def test_a_reader_elsewhere_only_delays_a_commit(storage, path):
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM entity").fetchall()
        ending = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        ending.start()
        save(storage, written("A-1"))
        ending.join()
    assert len(storage.feed()) == 1


@pytest.mark.skipif(journal_for(sqlite3.sqlite_version_info)[0] == "WAL", reason="readers do not delay a WAL commit")
def test_a_commit_that_a_reader_delays_too_long_is_undone(path):
    with closing(SqliteStorage(path, busy_timeout=timedelta(milliseconds=50))) as storage:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM entity").fetchall()
            with pytest.raises(StorageBusy):
                save(storage, written("A-1"))
        assert not storage.feed()
        save(storage, written("A-1"))


def test_a_second_transaction_in_the_same_thread_is_told_that_the_store_is_busy(path):
    with (
        closing(SqliteStorage(path, busy_timeout=timedelta(milliseconds=50))) as storage,
        storage.transaction() as transaction,
    ):
        with pytest.raises(StorageBusy):
            save(storage, written("A-1"))
        transaction.commit([written("A-1")])


@pytest.mark.parametrize(
    "door", [SqliteTransaction.__exit__, SqliteTransaction._leave, SqliteTransaction._let_go, Connections.release]
)
def test_whoever_is_interrupted_at_the_door_keeps_no_turn(path, door):
    with closing(SqliteStorage(path, busy_timeout=timedelta(milliseconds=50))) as storage:
        with interrupted_at(door):
            look(storage, KEY)
        increment(storage, KEY)
        with interrupted_at(door):
            increment(storage, KEY)
        increment(storage, KEY)
        assert storage.read([KEY])[KEY].version == 3


def test_whoever_was_interrupted_may_be_forgotten_after_the_store_was_closed(path):
    storage = SqliteStorage(path)
    transaction = storage.transaction()
    transaction.__enter__()
    storage._connections.close()
    transaction._connection.close()
    del transaction  # what is raised here, pytest would tell of
    gc.collect()
    with closing(SqliteStorage(path)) as again:
        increment(again, KEY)


def test_a_transaction_that_is_open_when_the_store_is_closed_may_end(path):
    storage = SqliteStorage(path)
    with storage.transaction() as transaction:
        storage.close()
        transaction.commit([written("A-1")])
    with closing(SqliteStorage(path)) as again:
        assert len(again.feed()) == 1


# Disks and processes fail


def test_a_full_disk_loses_nothing_and_later_all_is_well(storage):
    save(storage, written("A-1", index={"status": "new"}))
    writer = storage._connections.writer()
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageFailed, match="full"):
        save(storage, written("A-1", 1, doc=os.urandom(1 << 20)), written("A-2"))
    assert [entry.key for entry in storage.feed()] == [("order", "A-1")]
    assert storage.statuses("order") == {"new": 1}
    storage._connections.writer().execute("PRAGMA max_page_count = 1000000")
    save(storage, written("A-1", 1, doc=os.urandom(1 << 20)), written("A-2"))
    assert len(storage.feed()) == 3
    assert not storage.integrity(thorough=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
@pytest.mark.parametrize(
    "what",
    ["small_disk", "fork_when_idle", "fork_without_hooks", "fork_inside_transaction", "fork_beside_transaction"],
)
def test_a_process_of_its_own_survives(path, what):
    one = process(what, path, stderr=subprocess.PIPE, text=True)
    _, errors = one.communicate(timeout=60)
    assert one.returncode == 0, errors
    with closing(SqliteStorage(path)) as storage:
        assert not storage.integrity(thorough=True)
        assert [entry.version for entry in storage.history(KEY)] == list(range(1, len(storage.feed()) + 1))


def test_no_increment_is_lost_between_two_processes_and_four_threads(storage, path):
    running = [process("increase", path, "60") for _ in range(2)]

    def work(_):
        for _round in range(20):
            increment(storage, KEY)

    together(4, work)
    assert [one.wait(timeout=120) for one in running] == [0, 0]
    assert [entry.version for entry in storage.history(KEY)] == list(range(1, 201))
    assert [entry.position for entry in storage.feed()] == list(range(1, 201))
    assert not storage.integrity(thorough=True)


def test_what_a_killed_writer_had_acknowledged_is_there(path):
    chance = random.Random(20)
    for _ in range(20):
        writer = process("until_killed", path, stdout=subprocess.PIPE)
        assert writer.stdout
        acknowledged = 0
        for _commit in range(chance.randint(1, 8)):
            acknowledged = int(writer.stdout.readline())
        time.sleep(chance.uniform(0, 0.01))
        writer.send_signal(signal.SIGKILL)
        # Not communicate: it passes over what readline has read ahead.
        with writer.stdout:
            rest = writer.stdout.read()
        writer.wait(timeout=60)
        # A last line cut off by the kill was not acknowledged.
        acknowledged = max(
            [acknowledged, *(int(line) for line in rest.splitlines(keepends=True) if line[-1:] == b"\n")]
        )
        with closing(SqliteStorage(path)) as storage:
            version = storage.read([KEY])[KEY].version
            assert version - acknowledged in {0, 1}
            assert len(storage.feed(limit=10_000)) == 2 * version
            assert not storage.integrity()


# Looking after the file


def test_a_healthy_file_has_no_problems(storage):
    save(storage, *(written(f"A-{n}", index={"status": "new"}) for n in range(100)))
    assert not storage.integrity()
    assert not storage.integrity(thorough=True)


def test_a_damaged_file_is_found_out(path):
    with closing(SqliteStorage(path)) as storage:
        save(storage, *(written(f"A-{n}", index={"status": "new"}) for n in range(1000)))
    damaged = bytearray(path.read_bytes())
    for page in range(8, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 8] = os.urandom(8)
    path.write_bytes(damaged)
    with closing(SqliteStorage(path)) as storage:
        assert storage.integrity()


def test_a_backup_has_everything_and_is_a_file_of_its_own(storage, tmp_path):
    save(storage, written("A-1", index={"status": "new"}))
    storage.backup(tmp_path / "copy.db")
    save(storage, written("A-2"))
    with closing(SqliteStorage(tmp_path / "copy.db")) as copy:
        assert [entry.key[1] for entry in copy.feed()] == ["A-1"]
        assert copy.installation == storage.installation
        assert not copy.integrity(thorough=True)


def test_a_backup_overwrites_no_file(storage, path):
    with pytest.raises(StorageFailed, match="exists"):
        storage.backup(path)


@pytest.mark.parametrize("upto", [None, ("due", "5")])
@pytest.mark.parametrize("after", [None, ("1", "a")])
@pytest.mark.parametrize("equal", [{}, {"status": ["a"]}, {"status": ["a", "b"], "customer": ["c"]}])
def test_no_question_reads_a_whole_table(storage, upto, after, equal):
    text, values = texts.find(Query(kind="order", equal=equal, upto=upto, after=after))
    plan = str(storage._connections.writer().execute("EXPLAIN QUERY PLAN " + text, values).fetchall())
    assert "SCAN" not in plan.replace("SCAN h", ""), plan


def test_loading_looks_every_key_up(storage):
    text = texts.rows(50)
    plan = str(storage._connections.writer().execute("EXPLAIN QUERY PLAN " + text, ["a"] * 100).fetchall())
    assert "SEARCH e USING INDEX" in plan
    assert "SCAN e" not in plan


def test_a_file_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "shop.db"
    with pytest.raises(StorageFailed, match=re.escape(str(path))):
        SqliteStorage(path)
