"""Comparing books both ways, restoring a backup, and copies of a database that must not send."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from ordermgmt import NotReconciled, Payment
from ordermgmt.payments.messages import CapturePayment
from ordermgmt.storage import SqliteStorage
from tests.effects.stage import HOUR, MINUTE, OPEN, Card, Stage
from tests.stories import eur, paid_for, snapshot

DAY = timedelta(days=1)


class TestReconciling:
    def test_books_that_agree_raise_no_alarm(self):
        stage = Stage()
        for n in range(5):
            stage.ask("SendRefund", f"A-{n}")
        stage.run(HOUR)
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert found.agrees
        assert (found.listed, found.imported) == (15, 0)
        assert stage.discrepancies() == []

    def test_what_the_provider_did_unasked_is_imported(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stage.card.capture_on_dashboard("A-1:1", 1200)
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert found.imported >= 1
        assert stage.payment().amounts.captured == 1200

    def test_what_the_provider_does_not_list_is_a_discrepancy(self):
        stage = Stage()
        stage.ask("Capture")
        stage.run(MINUTE)
        capture = stage.the("Capture")
        stage.card.books.entries[:] = [e for e in stage.card.books.entries if e[1].key != capture.key]
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert found.missing == [capture.effect_id]
        assert any("does not list it" in reason for reason in stage.discrepancies())

    def test_deeds_that_are_none_of_ours_are_reported(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stranger = Stage(lambda clock: stage.card, clock=stage.clock, secret=b"another shop")
        stranger.ask("Authorise", "B-1")
        stranger.run()
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert len(found.strangers) == 1
        assert not found.agrees

    def test_doing_it_twice_changes_nothing(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stage.card.capture_on_dashboard("A-1:1", 1200)
        stage.ask("Capture", "A-2")
        stage.run(MINUTE)
        key = stage.all("Capture")[0].key
        stage.card.books.entries[:] = [e for e in stage.card.books.entries if e[1].key != key]
        since = stage.clock.now() - DAY
        stage.shop.effects.reconcile("card", since)
        before = snapshot(stage.shop)
        again = stage.shop.effects.reconcile("card", since)
        assert snapshot(stage.shop) == before
        assert again.imported == 0

    def test_what_nobody_knows_is_looked_up(self):
        stage = Stage()
        stage.ask("Capture")
        stage.card.lose_next("Capture")
        stage.run()
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert found.looked >= 1
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_what_is_parked_is_looked_up_too(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, key_ttl=HOUR))
        stage.ask("Capture")
        for _ in range(15):
            stage.card.fail_next("Capture")
        stage.run(12 * HOUR)
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert [one.effect_id for one in stage.shop.effects.parked()] == [parked.effect_id]

    def test_what_was_done_before_and_told_within_the_period_is_not_missed(self):
        stage = Stage()
        stage.ask("Capture")
        stage.card.lose_next("Capture")
        stage.run()
        stage.clock.advance(minutes=5)
        since = stage.clock.now()
        stage.clock.advance(minutes=5)
        stage.run(MINUTE)
        assert stage.the("Capture").status == "succeeded"
        assert stage.shop.effects.reconcile("card", since).missing == []

    def test_pages_are_read_to_the_end(self):
        stage = Stage(lambda clock: Card(clock=clock, page_size=2))
        for n in range(7):
            paid_for(stage.shop, f"A-{n}")
            stage.card.capture_on_dashboard(f"A-{n}:1", 100)
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert found.listed == 14
        assert all(one.amounts.captured == 100 for one in stage.shop.find(Payment))

    def test_every_seeded_difference_is_found_and_nothing_else(self):
        stage = Stage(lambda clock: Card(clock=clock, page_size=50))
        for n in range(60):
            stage.ask("Capture", f"A-{n:03}")
        stage.run(MINUTE)
        unasked = {f"A-{n:03}:1" for n in range(0, 60, 3)}
        for payment_id in sorted(unasked):
            stage.card.refund_on_dashboard(payment_id, 7)
        gone = {one.effect_id for one in stage.all("Capture")[1::4]}
        keys = {one.key for one in stage.all("Capture")[1::4]}
        stage.card.books.entries[:] = [e for e in stage.card.books.entries if e[1].key not in keys]
        found = stage.shop.effects.reconcile("card", stage.clock.now() - DAY)
        assert set(found.missing) == gone
        assert found.imported == len(unasked)
        assert {one.payment_id for one in stage.shop.find(Payment, limit=100) if one.amounts.refunded} == unasked


class Restored:
    """A shop on SQLite, a backup of its file, and what happened after it was made."""

    def __init__(self, folder: Path) -> None:
        self.path, self.backup = folder / "shop.db", folder / "backup.db"
        self.stage = Stage(storage=SqliteStorage(self.path), installation="shop-1")
        self.stage.ask("Capture")
        self.backed_up_at = self.stage.clock.now()
        self.copy()

    def copy(self) -> None:
        self.stage.storage.close()
        shutil.copy(self.path, self.backup)
        self.stage.storage = SqliteStorage(self.path)
        self.stage.shop = self.stage.another(installation="shop-1")

    def restore(self, installation: str = "shop-1") -> None:
        self.stage.storage.close()
        self.stage.storage = SqliteStorage(self.backup)
        self.stage.shop = self.stage.another(installation=installation)


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    return Restored(tmp_path)


class TestRestoringABackup:
    def test_nothing_is_sent_until_every_provider_is_reconciled(self, restored: Restored):
        stage = restored.stage
        stage.run(MINUTE)
        asked = len(stage.card.requests)
        restored.restore()
        stage.shop.effects.recover(restored.backed_up_at - MINUTE, reason="disk lost")
        report = stage.shop.run_due()
        assert report.suspended
        assert len(stage.card.requests) == asked
        with pytest.raises(NotReconciled):
            stage.shop.effects.resume()

    def test_what_was_done_after_the_backup_is_imported_and_not_done_again(self, restored: Restored):
        stage = restored.stage
        stage.run(MINUTE)
        restored.restore()
        assert stage.the("Capture").status == "ready"
        stage.shop.effects.recover(restored.backed_up_at - MINUTE)
        stage.shop.effects.reconcile("card", restored.backed_up_at - MINUTE)
        stage.shop.effects.resume()
        stage.run(HOUR)
        assert stage.the("Capture").status == "succeeded"
        assert sum(1 for one in stage.card.requests if type(one).__name__ == "Capture") == 1
        stage.agrees()

    def test_what_was_not_done_is_done_after_resuming(self, restored: Restored):
        stage = restored.stage
        restored.restore()
        stage.shop.effects.recover(restored.backed_up_at - MINUTE)
        stage.shop.effects.reconcile("card", restored.backed_up_at - MINUTE)
        stage.shop.effects.resume()
        stage.run(HOUR)
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_reconciling_from_after_the_backup_is_not_enough(self, restored: Restored):
        stage = restored.stage
        restored.restore()
        stage.shop.effects.recover(restored.backed_up_at - MINUTE)
        stage.clock.advance(minutes=1)
        stage.shop.effects.reconcile("card", stage.clock.now())
        with pytest.raises(NotReconciled):
            stage.shop.effects.resume()

    def test_the_same_decision_made_again_meets_the_same_key_at_the_provider(self, tmp_path: Path):
        stage = Stage(storage=SqliteStorage(tmp_path / "shop.db"), installation="shop-1")
        paid_for(stage.shop, "A-1")
        stage.storage.close()
        shutil.copy(tmp_path / "shop.db", tmp_path / "backup.db")
        stage.storage = SqliteStorage(tmp_path / "shop.db")
        stage.shop = stage.another(installation="shop-1")
        capture = CapturePayment(payment_id="A-1:1", amount=eur("10.00"))
        stage.shop.handle(capture)
        stage.run()
        stage.storage.close()
        stage.storage = SqliteStorage(tmp_path / "backup.db")
        stage.shop = stage.another(installation="shop-1")
        stage.shop.handle(capture)
        stage.run()
        assert stage.card.accounts["A-1:1"].captured == 1000
        stage.agrees()


class TestCopies:
    def test_a_copy_opened_as_another_installation_sends_nothing(self, restored: Restored):
        stage = restored.stage
        restored.restore(installation="staging")
        report = stage.shop.run_due()
        assert report.foreign >= 1
        stage.run(DAY)
        assert [type(one).__name__ for one in stage.card.requests] == ["Authorise"]
        assert stage.the("Capture").status == "ready"

    def test_a_copy_does_not_run_one_by_name_either(self, restored: Restored):
        stage = restored.stage
        restored.restore(installation="staging")
        assert stage.shop.effects.run_one(stage.the("Capture").effect_id).sent == 0

    def test_what_is_adopted_after_a_move_is_sent(self, restored: Restored):
        stage = restored.stage
        restored.restore(installation="new-house")
        stage.shop.effects.adopt(stage.the("Capture").effect_id)
        stage.run(MINUTE)
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_the_installation_itself_goes_on(self, restored: Restored):
        stage = restored.stage
        restored.restore()
        stage.run(MINUTE)
        assert [one for one in stage.all() if one.status in OPEN] == []
        stage.agrees()
