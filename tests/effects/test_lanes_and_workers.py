"""One effect at a time in a lane, bounded attempts, and any number of workers, some of them dead or asleep."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import CancelOrder, Declined, verify
from ordermgmt.engine.effect_rules import BACKOFF_MAX, backoff
from ordermgmt.engine.effects import ATTEMPTS_MAX, ParkEffect
from ordermgmt.errors import NotAllowed
from ordermgmt.payments.messages import CapturePayment, VoidPayment
from tests.effects.stage import HOUR, MINUTE, OPEN, Card, Crash, Stage, die
from tests.stories import eur, paid_for


class TestLanes:
    def test_a_void_never_overtakes_a_capture(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stage.shop.handle(CapturePayment(payment_id="A-1:1", amount=eur("10.00")))
        stage.shop.handle(VoidPayment(payment_id="A-1:1"))
        stage.card.fail_next("Capture")
        stage.run()
        assert [type(one).__name__ for one in stage.card.requests] == ["Authorise", "Capture"]
        stage.run(HOUR)
        assert [type(one).__name__ for one in stage.card.requests] == ["Authorise", "Capture", "Capture", "Void"]
        stage.agrees()

    def test_what_waits_behind_another_cannot_be_run_by_name(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stage.shop.handle(CapturePayment(payment_id="A-1:1", amount=eur("10.00")))
        stage.shop.handle(VoidPayment(payment_id="A-1:1"))
        report = stage.shop.effects.run_one(stage.the("Void").effect_id)
        assert report.sent == 0
        assert stage.the("Void").status == "ready"

    def test_a_poisoned_effect_blocks_its_lane_only(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        for n in range(5):
            paid_for(stage.shop, f"A-{n}")
        stage.card.fail_next("Capture")
        for n in range(5):
            stage.shop.handle(CapturePayment(payment_id=f"A-{n}:1", amount=eur("10.00")))
            stage.shop.handle(VoidPayment(payment_id=f"A-{n}:1"))
        stage.run(HOUR)
        assert [one.status for one in stage.all("Capture")].count("parked") == 1
        assert [one.status for one in stage.all("Void")].count("ready") == 1
        assert [one.status for one in stage.all("Void")].count("succeeded") == 4

    def test_a_lane_goes_on_when_its_poison_is_resolved(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        paid_for(stage.shop, "A-1")
        stage.card.fail_next("Capture")
        stage.shop.handle(CapturePayment(payment_id="A-1:1", amount=eur("10.00")))
        stage.shop.handle(VoidPayment(payment_id="A-1:1"))
        stage.run(HOUR)
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.resolve(parked.effect_id, Declined("not_done"), evidence="not on the dashboard")
        stage.run(HOUR)
        assert stage.the("Void").status == "succeeded"
        assert stage.card.refusals == []

    def test_a_blocked_lane_keeps_nobody_awake(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        paid_for(stage.shop, "A-1")
        stage.run(timedelta(days=60))
        stage.card.fail_next("Capture")
        stage.shop.handle(CapturePayment(payment_id="A-1:1", amount=eur("10.00")))
        stage.shop.handle(VoidPayment(payment_id="A-1:1"))
        stage.run(HOUR)
        assert stage.the("Void").status == "ready"
        assert stage.shop.effects.due() == []
        assert stage.shop.effects.next_due() is None

    def test_blocked_lanes_do_not_crowd_out_what_can_be_done(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        for n in range(3):
            paid_for(stage.shop, f"A-{n}")
        for n in range(2):
            stage.card.fail_next("Capture")
            stage.shop.handle(CapturePayment(payment_id=f"A-{n}:1", amount=eur("10.00")))
            stage.shop.handle(VoidPayment(payment_id=f"A-{n}:1"))
        stage.run(HOUR)
        stage.shop.handle(CapturePayment(payment_id="A-2:1", amount=eur("10.00")))
        assert [one.group for one in stage.shop.effects.due(limit=1)] == ["A-2"]


class TestAttempts:
    def test_they_are_bounded_and_then_it_is_parked_with_what_went_wrong(self):
        stage = Stage()
        stage.ask("Authorise")
        for _ in range(50):
            stage.card.fail_next()
        stage.run(timedelta(days=3))
        (parked,) = stage.shop.effects.parked()
        assert parked.attempts <= ATTEMPTS_MAX
        assert "ProviderTimeout" in parked.reason
        assert sum(stage.card.asked.values()) <= ATTEMPTS_MAX

    def test_they_come_less_and_less_often(self):
        stage = Stage()
        stage.ask("Authorise")
        times = list[float]()
        for _ in range(8):
            stage.card.fail_next()
            stage.card.before.append(lambda: times.append(stage.clock.now().timestamp()))
        stage.run(timedelta(days=1))
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(waits) >= 7
        assert all(later > earlier for earlier, later in itertools.pairwise(waits))

    @pytest.mark.parametrize("attempts", range(1, 30))
    def test_the_wait_is_in_the_upper_half_of_its_step_and_never_beyond_the_cap(self, attempts: int):
        whole = backoff(attempts, 1.0)
        assert backoff(attempts, 0.0) == whole / 2
        assert whole == min(BACKOFF_MAX, timedelta(seconds=2 ** (attempts - 1)))

    def test_being_put_off_is_no_attempt(self):
        stage = Stage()
        stage.ask("Authorise")
        for _ in range(40):
            stage.card.put_off_next()
        stage.run(HOUR)
        authorise = stage.the("Authorise")
        assert (authorise.status, authorise.attempts) == ("succeeded", 1)

    def test_the_same_key_and_the_same_bytes_are_sent_each_time(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, lookup=False))
        stage.ask("Authorise")
        for _ in range(5):
            stage.card.fail_next()
        stage.run(HOUR)
        assert len(stage.card.asked) == 1
        assert len(set(stage.card.requests)) == 1
        assert len(stage.card.requests) == 6


class TestWorkers:
    def test_two_workers_at_once_send_once(self):
        stage = Stage()
        stage.ask("Authorise")
        other = stage.another()
        stage.card.before.append(other.run_due)
        stage.run()
        assert sum(stage.card.asked.values()) == 1
        stage.agrees()

    def test_what_a_dead_worker_sent_is_not_lost(self):
        stage = Stage()
        stage.ask("Authorise")
        stage.card.after.append(die)
        with pytest.raises(Crash):
            stage.run()
        assert stage.the("Authorise").status == "sending"
        stage.run(2 * MINUTE)
        assert stage.the("Authorise").status == "succeeded"
        stage.agrees()

    def test_nobody_takes_an_effect_over_before_its_lease_ends(self):
        stage = Stage()
        stage.ask("Authorise")
        stage.card.before.append(die)
        with pytest.raises(Crash):
            stage.run()
        stage.clock.advance(seconds=59)
        assert stage.another().run_due().sent == 0

    def test_a_worker_that_slept_past_its_lease_brings_a_success_late_and_it_counts_once(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, lookup=False))
        stage.ask("Authorise")

        def sleep_while_another_works() -> None:
            stage.clock.advance(minutes=2)
            stage.another().run_due()

        stage.card.after.append(sleep_while_another_works)
        stage.run()
        assert stage.payment().amounts.authorised == 3000
        assert len(stage.payment().facts) == 1
        stage.agrees()

    def test_a_refusal_by_a_worker_that_slept_past_its_lease_does_not_count(self):
        class Mistaken(Card):
            def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
                answer = super().execute(request, key=key, deadline=deadline)
                return Declined("too_old") if self.asked[key] == 1 else answer

        stage = Stage(lambda clock: Mistaken.keyed(clock=clock, lookup=False))
        stage.ask("Authorise")

        def sleep_while_another_begins() -> None:
            stage.clock.advance(minutes=2)
            stage.card.lose_next()
            stage.another().run_due()

        stage.card.after.append(sleep_while_another_begins)
        stage.run()
        assert stage.payment().status != "declined"
        stage.run(HOUR)
        assert stage.payment().status == "authorised"

    def test_run_one_is_re_entrant(self):
        stage = Stage()
        stage.ask("Authorise")
        effect_id = stage.the("Authorise").effect_id
        stage.card.before.append(lambda: stage.shop.effects.run_one(effect_id))
        for _ in range(3):
            stage.shop.effects.run_one(effect_id)
        assert sum(stage.card.asked.values()) == 1
        stage.agrees()

    def test_driving_by_due_and_run_one_alone_ends_everything(self):
        stage = Stage()
        for n in range(5):
            stage.ask("Authorise", f"A-{n}")
        chance = random.Random(7)
        stage.card.lose_next()
        stage.card.fail_next()
        for _ in range(300):
            due = stage.shop.effects.due()
            if due:
                stage.shop.effects.run_one(chance.choice(due).effect_id)
                continue
            following = stage.shop.effects.next_due()
            if following is None:
                break
            stage.clock.set(max(following, stage.clock.now()))
            stage.shop.run_due()
        assert [one for one in stage.all() if one.status in OPEN] == []
        stage.agrees()

    def test_nothing_is_due_when_everything_has_ended(self):
        stage = Stage()
        stage.ask("Authorise")
        assert [one.kind for one in stage.shop.effects.due()] == ["Authorise"]
        stage.run(timedelta(days=60))
        assert stage.shop.effects.due() == []


class TestCancelling:
    def test_what_was_never_sent_can_be_taken_back(self):
        stage = Stage()
        stage.ask("Authorise")
        stage.shop.handle(CancelOrder(order_id="A-1"))
        stage.run(HOUR)
        assert stage.the("Authorise").status == "cancelled"
        assert stage.card.requests == []

    @pytest.mark.parametrize("mishap", ["fail_next", "lose_next", "answer_later_next"])
    def test_what_may_have_been_sent_cannot(self, mishap: str):
        stage = Stage()
        stage.ask("Authorise")
        getattr(stage.card, mishap)()
        stage.run()
        with pytest.raises(NotAllowed):
            stage.shop.effects.cancel(stage.the("Authorise").effect_id)

    def test_what_is_being_sent_cannot(self):
        stage = Stage()
        stage.ask("Authorise")
        refused = list[Exception]()

        def cancel() -> None:
            try:
                stage.shop.effects.cancel(stage.the("Authorise").effect_id)
            except NotAllowed as no:
                refused.append(no)

        stage.card.before.append(cancel)
        stage.run()
        assert len(refused) == 1
        stage.agrees()

    def test_a_worker_who_meant_to_park_it_does_not_undo_a_persons_retry(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Authorise")
        stage.card.fail_next()
        stage.run(HOUR)
        parked = stage.the("Authorise")
        assert parked.status == "parked"
        stage.shop.effects.retry(parked.effect_id, note="the terminal was off")
        late = ParkEffect(effect_id=parked.effect_id, token=parked.token, reason="nobody knows")
        stage.shop.handle(late)
        assert stage.the("Authorise").status == "unknown"

    def test_what_was_put_off_under_a_new_key_can_for_it_was_never_executed(self):
        stage = Stage(lambda clock: Card.lookup_only(clock=clock))
        stage.ask("Authorise")
        stage.card.fail_next()
        stage.card.put_off_next()
        stage.run()
        while stage.the("Authorise").status != "ready" or stage.the("Authorise").generation == 1:
            stage.run(MINUTE)
        assert stage.the("Authorise").first_sent is None
        stage.shop.effects.cancel(stage.the("Authorise").effect_id)
        verify.check_order(stage.shop, "A-1")

    def test_what_was_put_off_after_it_may_have_been_sent_cannot(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, lookup=False))
        stage.ask("Authorise")
        stage.card.lose_next()
        stage.run()
        stage.card.put_off_next()
        stage.run(MINUTE)
        with pytest.raises(NotAllowed):
            stage.shop.effects.cancel(stage.the("Authorise").effect_id)
