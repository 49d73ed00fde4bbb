"""A process of its own that works on a SQLite store; started by test_sqlite.py as `shop_process.py WHAT PATH …`."""

import os
import resource
import sys
import threading
from pathlib import Path

import pytest

from ordermgmt.errors import StorageFailed
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing.conformance.storage import increment, save, written

KEY = ("stock", "SKU")


def open_it(path):
    print(SqliteStorage(path).installation)


def increase(path, times):
    storage = SqliteStorage(path)
    for _ in range(int(times)):
        increment(storage, KEY)
    storage.close()


def until_killed(path):
    storage = SqliteStorage(path)
    row = storage.read([KEY]).get(KEY)
    version = row.version if row else 0
    while True:
        save(storage, written("SKU", version, kind="stock", doc=os.urandom(3000)), written(f"{version}", kind="order"))
        version += 1
        os.write(1, b"%d\n" % version)


def child(work):
    """Do it in a forked child that ends as an interpreter does; anything wrong shows in how it ends."""
    pid = os.fork()
    if not pid:
        work()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def fork_when_idle(path):
    storage = SqliteStorage(path)
    increment(storage, KEY)
    child(lambda: increment(storage, KEY))
    increment(storage, KEY)
    child(storage.close)
    increment(storage, KEY)
    assert len(storage.history(KEY)) == 4


def fork_without_hooks(path):
    # As a server written in C forks: nobody is told before.
    storage = SqliteStorage(path)
    increment(storage, KEY)
    storage._connections._pid = -1
    increment(storage, KEY)
    assert len(storage.history(KEY)) == 2


def refuses(storage, path):
    for question in (storage.feed, lambda: save(storage, written("B")), lambda: SqliteStorage(path)):
        with pytest.raises(StorageFailed, match="forked"):
            question()


def fork_inside_transaction(path):
    storage = SqliteStorage(path)
    with storage.transaction() as transaction:
        transaction.load([KEY])
        # As if half of a commit were written: now there is a journal that the child could play back.
        transaction._connection.execute("INSERT INTO idx (kind, name, value, id) VALUES ('stock', 'n', 'v', 'SKU')")
        journal = Path(path + "-journal")
        journaled = journal.exists()
        pid = os.fork()
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
            assert journal.exists() == journaled
            transaction.commit([written("SKU", kind="stock")])
        else:
            try:
                transaction.commit([written("SKU", kind="stock")])
            except StorageFailed:
                refuses(storage, path)
    if not pid:
        sys.exit(7)
    increment(storage, KEY)
    assert len(storage.history(KEY)) == 2


def fork_beside_transaction(path):
    storage = SqliteStorage(path)
    opened, forked = threading.Event(), threading.Event()

    def write():
        with storage.transaction() as transaction:
            opened.set()
            forked.wait()
            transaction.commit([written("SKU", kind="stock")])

    thread = threading.Thread(target=write)
    thread.start()
    opened.wait()
    child(lambda: refuses(storage, path))
    forked.set()
    thread.join()
    increment(storage, KEY)
    assert len(storage.history(KEY)) == 2


def small_disk(path):
    storage = SqliteStorage(path)
    increment(storage, KEY)
    limit = Path(path).stat().st_size + 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with pytest.raises(StorageFailed):
        save(storage, written("SKU", 1, kind="stock", doc=os.urandom(1 << 20)))
    assert len(storage.feed()) == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    increment(storage, KEY)
    assert len(storage.history(KEY)) == 2
    assert not storage.integrity(thorough=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
