"""The disk is full: the command fails whole, reading goes on, and nothing is lost or done twice."""

import os
import random
import resource
import sys
import traceback
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest

from ordermgmt import (
    CancelOrder,
    HandOverShipment,
    ManualClock,
    Order,
    OrderManagement,
    PackShipment,
    PlaceOrder,
    ReceiveStock,
    StorageFailed,
    verify,
)
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakePayments
from tests.faults.shop import differing_books, folder
from tests.stories import card_pays, line, rows

PLENTY = 1_000_000
ORDERS = 12


class SmallDisk:
    """A shop whose file may not grow where we say so."""

    def __init__(self, where):
        self.storage = SqliteStorage(Path(where) / "shop.db")
        self.clock = ManualClock()
        self.card = FakePayments(clock=self.clock)
        self.shop = OrderManagement(storage=self.storage, gateways={"card": self.card}, clock=self.clock)
        self.failed = list[str]()

    def allow(self, pages):
        """So many pages more, and no more: the limit belongs to the one connection that writes."""
        with self.storage.transaction() as transaction:
            connection = transaction._connection
            (used,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {used + pages}")

    def handle(self, name, command):
        """Handle it on a full disk; if that fails, with space again under the same id."""
        self.allow(0)
        before = rows(self.shop), len(self.storage.feed(limit=100_000))
        try:
            self.shop.handle(command, command_id=name)
        except StorageFailed:
            self.failed.append(name)
            assert (rows(self.shop), len(self.storage.feed(limit=100_000))) == before
            self.allow(PLENTY)
            self.shop.handle(command, command_id=name)

    def come_to_rest(self):
        self.allow(PLENTY)
        while (due := self.shop.effects.next_due()) is not None:
            self.clock.advance(seconds=max((due - self.clock.now()).total_seconds(), 0))
            self.shop.run_due()

    def judged(self):
        verify.check_all(self.shop).require()
        assert not self.storage.integrity(thorough=True)
        assert self.card.asked_twice == []
        assert self.card.refusals == []
        accounts = {name: attrs.asdict(account) for name, account in self.card.accounts.items()}
        assert differing_books(self.shop, accounts) == []


@pytest.fixture
def disk():
    with TemporaryDirectory(dir=folder()) as where:
        disk = SmallDisk(where)
        disk.shop.handle(ReceiveStock(sku="mug", quantity=1000))
        yield disk
        disk.shop.close()


def order(order_id):
    return PlaceOrder(order_id=order_id, lines=[line("mug", 3)], pay=card_pays())


def test_a_command_that_finds_no_space_changes_nothing_and_succeeds_later_under_its_id(disk):
    for n in range(ORDERS):
        disk.handle(f"place {n}", order(f"A-{n}"))
    assert len(disk.failed) >= 3
    assert len(disk.shop.find(Order)) == ORDERS
    assert disk.shop.handle(order("A-0"), command_id="place 0").order_id == "A-0"
    disk.come_to_rest()
    disk.judged()


def test_a_whole_story_told_on_a_full_disk_ends_as_told(disk):
    for n in range(ORDERS):
        disk.handle(f"place {n}", order(f"A-{n}"))
    disk.come_to_rest()
    for n in range(ORDERS):
        if n % 3 == 0:
            disk.handle(f"cancel {n}", CancelOrder(order_id=f"A-{n}"))
        else:
            disk.handle(f"pack {n}", PackShipment(shipment_id=f"A-{n}:s1"))
            disk.handle(f"hand {n}", HandOverShipment(shipment_id=f"A-{n}:s1"))
    disk.come_to_rest()
    assert {name.split()[0] for name in disk.failed} >= {"place", "cancel", "hand"}
    statuses = {one.order_id: one.payment_status for one in disk.shop.find(Order)}
    assert sorted(statuses.values()) == ["not_due"] * 4 + ["paid"] * 8
    disk.judged()


def test_no_effect_is_sent_that_could_not_be_marked_as_sent(disk):
    for n in range(ORDERS):
        disk.shop.handle(order(f"A-{n}"))
    disk.allow(0)
    with pytest.raises(StorageFailed, match="full"):
        disk.shop.run_due()
    assert disk.card.requests == []
    disk.come_to_rest()
    assert len(disk.card.requests) == ORDERS
    disk.judged()


def test_an_answer_that_finds_no_space_is_found_again_at_the_provider(disk):
    class FillsTheDisk(FakePayments):
        def execute(self, request, *, key, deadline):
            disk.allow(0)
            return super().execute(request, key=key, deadline=deadline)

    disk.card = FillsTheDisk(clock=disk.clock)
    disk.shop = OrderManagement(storage=disk.storage, gateways={"card": disk.card}, clock=disk.clock)
    for n in range(ORDERS):
        disk.shop.handle(order(f"A-{n}"))
    with pytest.raises(StorageFailed, match="full"):
        disk.shop.run_due()
    assert set(disk.card.executed.values()) == {1}
    assert {one.payment_status for one in disk.shop.find(Order)} == {"pending"}
    disk.come_to_rest()
    assert {one.payment_status for one in disk.shop.find(Order)} == {"authorised"}
    assert len(disk.card.requests) == ORDERS, "they are looked up, not sent again"
    disk.judged()


def test_reading_and_verifying_go_on_while_the_disk_is_full(disk):
    disk.shop.handle(order("A"))
    disk.allow(0)
    with pytest.raises(StorageFailed, match="full"):
        disk.shop.handle_many([order(f"B-{n}") for n in range(ORDERS)])
    assert disk.shop.get(Order, "A").status == "placed"
    assert disk.shop.history(Order, "A")
    assert disk.shop.preview(order("C")).entity.order_id == "C"
    verify.check_all(disk.shop).require()


@pytest.mark.parametrize("seed", range(6))
def test_a_file_that_may_not_grow_is_a_full_disk(seed):
    """With the system's own limit, in a process of its own."""
    with TemporaryDirectory(dir=folder()) as where:
        path = Path(where) / "shop.db"
        pid = os.fork()
        if not pid:
            outcome = 1
            try:
                _meet_the_limit(path, random.Random(seed))
                outcome = 0
            except BaseException:  # noqa: BLE001 - the parent must see it
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(outcome)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert verify.verify_file(path).require().entities["order"] == ORDERS
        with closing(SqliteStorage(path)) as storage:
            assert not storage.integrity(thorough=True)


def _meet_the_limit(path, chance):
    disk = SmallDisk(path.parent)
    disk.shop.handle(ReceiveStock(sku="mug", quantity=1000))
    failures = 0
    for n in range(ORDERS):
        limit = path.stat().st_size + chance.choice((0, 1000, 4096, 9000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            disk.shop.handle(order(f"A-{n}"), command_id=f"place {n}")
        except StorageFailed:
            failures += 1
        if chance.random() < 0.5:
            try:
                disk.shop.run_due()
            except StorageFailed:
                failures += 1
        assert len(disk.shop.find(Order)) <= n + 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        disk.shop.handle(order(f"A-{n}"), command_id=f"place {n}")
    assert failures >= 3
    disk.clock.advance(hours=1)
    disk.come_to_rest()
    disk.judged()
    disk.shop.close()
