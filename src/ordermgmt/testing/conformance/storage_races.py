"""What every store promises to callers who come at the same time; a part of `StorageContract`."""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

import threading
import time

import pytest

from ordermgmt.engine.transaction import Query, Storage
from ordermgmt.errors import Conflict

from .contract import Contract
from .rows import increment, save, together, written


class RacesContract(Contract, declares=True):
    """No update is lost, nobody sees half a commit, and no reader waits."""

    def test_no_increment_is_lost_between_eight_threads(self, storage: Storage) -> None:
        def work(_: int) -> None:
            for _round in range(10):
                increment(storage, ("stock", "SKU"))

        together(8, work)
        assert storage.read([("stock", "SKU")])["stock", "SKU"].version == 80
        assert [entry.version for entry in storage.history(("stock", "SKU"))] == list(range(1, 81))

    def test_of_eight_who_create_the_same_entity_one_succeeds(self, storage: Storage) -> None:
        def work(number: int) -> bool:
            try:
                save(storage, written("A-1", doc=b"%d" % number))
            except Conflict:
                return False
            return True

        outcomes = together(8, work)
        assert outcomes.count(True) == 1
        assert storage.read([("order", "A-1")])["order", "A-1"].doc == b"%d" % outcomes.index(True)

    def test_what_is_decided_on_a_loaded_row_is_not_overtaken(self, storage: Storage) -> None:
        # Blind writers: expected versions alone must keep one of two from winning twice.
        def work(_: int) -> int:
            won = 0
            for version in range(20):
                try:
                    save(storage, written("A-1", version))
                except Conflict:
                    continue
                won += 1
            return won

        together(4, work)
        final = storage.read([("order", "A-1")])["order", "A-1"].version
        assert [entry.version for entry in storage.history(("order", "A-1"))] == list(range(1, final + 1))

    def test_readers_never_see_half_a_commit(self, storage: Storage) -> None:
        keys = [("order", "A"), ("order", "B")]
        save(storage, written("A", index={"status": "s0"}), written("B", index={"status": "s0"}))
        done = threading.Event()

        def write() -> None:
            try:
                for version in range(1, 60):
                    old, new = {"status": f"s{(version - 1) % 2}"}, {"status": f"s{version % 2}"}
                    save(storage, *(written(id, version, index=new, unindex=old) for id in "AB"))
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert len({row.version for row in storage.read(keys).values()}) == 1
                assert len(storage.find(Query(kind="order", equal={"status": ["s0"]}))) in {0, 2}
                assert storage.statuses("order") in ({"s0": 2}, {"s1": 2})
                assert len(storage.feed()) % 2 == 0

        together(3, lambda number: read() if number else write())

    def test_an_open_transaction_shows_nothing_and_stops_no_reader(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            transaction.load([("order", "A-1")])
            rows = together(1, lambda _: storage.read([("order", "A-1")]))[0]
            assert rows["order", "A-1"].version == 1
            assert len(storage.feed()) == 1
            transaction.commit([written("A-1", 1)])
        assert storage.read([("order", "A-1")])["order", "A-1"].version == 2

    def test_a_committed_change_is_seen_by_every_thread(self, storage: Storage) -> None:
        together(2, lambda _: storage.read([("order", "A-1")]))
        save(storage, written("A-1"))
        assert all(together(4, lambda _: storage.read([("order", "A-1")])))

    def test_a_row_that_somebody_holds_is_left_out_if_asked_so(self, storage: Storage) -> None:
        if storage.exclusive:
            pytest.skip("one transaction at a time: nobody else holds a row")
        save(storage, written("A-1"), written("A-2"))
        keys = [("order", "A-1"), ("order", "A-2")]
        with storage.transaction() as first, storage.transaction() as second:
            first.load(keys[:1])
            assert set(second.load(keys, skip_locked=True)) == {("order", "A-2")}

    def test_an_exclusive_store_has_one_transaction_at_a_time(self, storage: Storage) -> None:
        if not storage.exclusive:
            pytest.skip("transactions on other rows go on meanwhile")
        opened: list[int] = []

        def work(number: int) -> None:
            with storage.transaction() as transaction:
                opened.append(number)
                time.sleep(0.01)
                transaction.load([("order", f"A-{number}")])
                assert opened[-1] == number

        together(4, work)
        assert sorted(opened) == [0, 1, 2, 3]

    def test_with_nobody_about_skip_locked_leaves_nothing_out(self, storage: Storage) -> None:
        save(storage, written("A-1"))
        with storage.transaction() as transaction:
            assert len(transaction.load([("order", "A-1")], skip_locked=True)) == 1
