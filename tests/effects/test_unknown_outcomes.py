"""Every provider personality, every way to lose a request, every kind of effect: done once, or parked with a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ordermgmt import Declined, ManualClock, Succeeded
from ordermgmt.engine.effect_rules import NotStuck
from ordermgmt.engine.effects import EffectRenewed
from ordermgmt.errors import NotAllowed
from ordermgmt.payments.model import CAPTURED, Fact
from ordermgmt.payments.port import GatewayCapabilities
from tests.effects.stage import HOUR, MINUTE, OPEN, VERBS, Card, Crash, Stage, die

PERSONALITIES: dict[str, Callable[[ManualClock], Card]] = {
    "keyed": lambda clock: Card.keyed(clock=clock),
    "keyed for an hour": lambda clock: Card.keyed(clock=clock, key_ttl=HOUR),
    "keyed without lookup": lambda clock: Card.keyed(clock=clock, lookup=False),
    "unique reference": lambda clock: Card.unique_reference(clock=clock),
    "unique reference without lookup": lambda clock: Card.unique_reference(clock=clock, lookup=False),
    "lookup only": lambda clock: Card.lookup_only(clock=clock, lookup_lag=timedelta(seconds=20)),
    "neither": lambda clock: Card.neither(clock=clock),
    "asynchronous": lambda clock: Card.asynchronous(clock=clock),
    "storing errors": lambda clock: Card.storing_errors(clock=clock),
    "lagging": lambda clock: Card.lagging(clock=clock),
}


def lose_request(stage: Stage, verb: str) -> None:
    stage.card.fail_next(verb)
    stage.run()


def lose_answer(stage: Stage, verb: str) -> None:
    stage.card.lose_next(verb)
    stage.run()


def arrive_late(stage: Stage, verb: str) -> None:
    stage.card.fail_next(verb)
    stage.run()
    stage.clock.advance(minutes=10)
    stage.card.arrive_late()


def arrive_late_between_two_tries(stage: Stage, verb: str) -> None:
    stage.card.fail_next(verb)
    stage.run()
    stage.run(2 * MINUTE)
    stage.card.arrive_late()


def lose_many(stage: Stage, verb: str) -> None:
    for _ in range(4):
        stage.card.fail_next(verb)
    stage.run()


def break_once(stage: Stage, verb: str) -> None:
    stage.card.break_next(verb)
    stage.run()


def put_off(stage: Stage, verb: str) -> None:
    stage.card.put_off_next(verb)
    stage.run()


def die_before(stage: Stage, verb: str) -> None:
    stage.card.before.append(die)
    with pytest.raises(Crash):
        stage.run()


def die_after(stage: Stage, verb: str) -> None:
    stage.card.after.append(die)
    with pytest.raises(Crash):
        stage.run()


def stay_away(stage: Stage, verb: str) -> None:
    """Lost, and nobody runs due work for two days."""
    stage.card.lose_next(verb)
    stage.run()
    stage.clock.advance(days=2)


MISHAPS = (
    *(lose_request, lose_answer, arrive_late, arrive_late_between_two_tries, lose_many),
    *(break_once, put_off, die_before, die_after, stay_away),
)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.__name__)
@pytest.mark.parametrize("personality", PERSONALITIES)
def test_it_is_done_once_or_parked_with_a_reason(personality: str, mishap: Callable[[Stage, str], None], verb: str):
    stage = Stage(PERSONALITIES[personality])
    stage.ask(verb) if personality != "asynchronous" else ask_slowly(stage, verb)
    mishap(stage, verb)
    stage.run(timedelta(days=4))
    assert stage.card.asked_twice == []
    assert stage.card.refusals == []
    assert [one for one in stage.all() if one.status in OPEN] == []
    parked = stage.shop.effects.parked()
    assert all(one.reason for one in parked)
    if parked:
        assert personality in ("neither", "keyed without lookup", "unique reference without lookup")
    else:
        stage.agrees()


def ask_slowly(stage: Stage, verb: str) -> None:
    """As `Stage.ask`, with a provider that takes its time."""
    from ordermgmt import CancelOrder, GrantCredit, HandOverShipment, PackShipment
    from tests.stories import eur, place

    place(stage.shop, "A-1")
    if verb == "Authorise":
        return
    stage.run(HOUR)
    if verb == "Void":
        stage.shop.handle(CancelOrder(order_id="A-1"))
        return
    stage.shop.handle(PackShipment(shipment_id="A-1:s1"))
    stage.shop.handle(HandOverShipment(shipment_id="A-1:s1"))
    if verb == "SendRefund":
        stage.run(HOUR)
        stage.shop.handle(GrantCredit(order_id="A-1", amount=eur("5.00"), reason="late"))


class TestAtMostOnce:
    def test_without_key_and_lookup_a_lost_request_is_parked_at_once(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Capture")
        stage.card.fail_next("Capture")
        stage.run(MINUTE)
        (parked,) = stage.shop.effects.parked()
        assert "nobody knows whether it was executed" in parked.reason
        assert stage.card.asked[parked.key] == 1

    def test_what_was_put_off_was_not_executed_and_is_sent_again(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Capture")
        stage.card.put_off_next("Capture")
        stage.run(HOUR)
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()


class TestKeysThatExpire:
    def test_a_forgotten_key_is_not_sent_again_without_looking(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, key_ttl=HOUR))
        stage.ask("Capture")
        stage.card.lose_next("Capture")
        stage.run()
        key = stage.the("Capture").key
        stage.clock.advance(hours=2)
        stage.run()
        assert stage.card.looked == [key]
        assert stage.card.asked[key] == 1
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_a_forgotten_key_that_was_never_executed_is_renewed_with_proof(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, key_ttl=HOUR))
        stage.ask("Capture")
        stage.card.fail_next("Capture")
        stage.run()
        old = stage.the("Capture").key
        stage.clock.advance(hours=2)
        stage.run(MINUTE)
        capture = stage.the("Capture")
        assert (capture.status, capture.generation) == ("succeeded", 2)
        assert capture.key != old
        history = stage.shop.history(type(capture), capture.effect_id)
        (proof,) = [one.event.proof for one in history if isinstance(one.event, EffectRenewed)]
        assert "unknown to the provider" in proof
        stage.agrees()

    def test_without_lookup_a_forgotten_key_is_parked(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, key_ttl=HOUR, lookup=False))
        stage.ask("Capture")
        stage.card.fail_next("Capture")
        stage.run()
        stage.clock.advance(hours=2)
        stage.run()
        (parked,) = stage.shop.effects.parked()
        assert "forgotten its key" in parked.reason
        assert stage.card.asked[parked.key] == 1

    def test_a_remembered_error_gets_a_new_key_only_after_the_late_window(self):
        stage = Stage(lambda clock: Card.storing_errors(clock=clock))
        stage.ask("Capture")
        stage.card.break_next("Capture")
        stage.run()
        stage.run(10 * MINUTE)
        assert stage.the("Capture").generation == 1
        stage.run(HOUR)
        assert (stage.the("Capture").status, stage.the("Capture").generation) == ("succeeded", 2)
        stage.agrees()

    def test_an_error_that_is_remembered_for_something_executed_is_found_by_lookup(self):
        stage = Stage(lambda clock: Card.storing_errors(clock=clock))
        stage.ask("Capture")
        stage.card.lose_next("Capture")
        stage.run(HOUR)
        assert (stage.the("Capture").status, stage.the("Capture").generation) == ("succeeded", 1)
        stage.agrees()


class TestLookupOnly:
    def test_it_is_looked_for_twice_apart_after_the_late_window_before_it_is_sent_again(self):
        stage = Stage(lambda clock: Card.lookup_only(clock=clock, lookup_lag=timedelta(seconds=20)))
        stage.ask("Capture")
        stage.card.fail_next("Capture")
        stage.run()
        sent = stage.clock.now()
        key = stage.the("Capture").key
        stage.run(15 * MINUTE)
        assert stage.card.looked == []
        stage.run(HOUR)
        assert stage.card.looked == [key, key]
        assert stage.card.asked[key] == 1
        capture = stage.the("Capture")
        assert capture.status == "succeeded"
        assert capture.first_sent is not None
        assert capture.first_sent - sent >= 16 * MINUTE
        stage.agrees()

    def test_a_request_that_arrives_between_the_two_lookups_is_found(self):
        can = GatewayCapabilities(idempotency="none", lookup="by_reference", late_window=timedelta(minutes=15))
        stage = Stage(lambda clock: Card(clock=clock, capabilities=can))
        stage.ask("Capture")
        stage.card.fail_next("Capture")
        stage.run()
        stage.clock.advance(minutes=15)
        stage.run()
        stage.card.arrive_late()
        stage.run(HOUR)
        assert stage.card.arrive_late() == 0
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()


class TestParked:
    def parked(self, **more: object) -> Stage:
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Capture")
        stage.card.lose_next("Capture")
        stage.run(MINUTE)
        return stage

    def test_it_is_resolved_with_what_was_found_at_the_provider(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        fact = stage.card.books.entries[-1][1].result[0]
        stage.shop.effects.resolve(parked.effect_id, Succeeded((fact,)), evidence="seen on the dashboard")
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_resolving_twice_the_same_way_changes_nothing(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        fact = stage.card.books.entries[-1][1].result[0]
        for _ in range(2):
            stage.shop.effects.resolve(parked.effect_id, Succeeded((fact,)), evidence="seen on the dashboard")
        assert len(stage.payment().facts) == 2
        stage.agrees()

    def test_resolving_it_the_other_way_afterwards_is_refused(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.resolve(parked.effect_id, Declined("not_done"), evidence="not on the dashboard")
        fact = stage.card.books.entries[-1][1].result[0]
        with pytest.raises(NotStuck):
            stage.shop.effects.resolve(parked.effect_id, Succeeded((fact,)), evidence="it is there after all")

    def test_a_fact_that_contradicts_the_person_is_recorded_and_reported(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.resolve(parked.effect_id, Declined("not_done"), evidence="not on the dashboard")
        stage.shop.receive_webhook("card", *stage.card.webhook_for(parked.key))
        stage.run()
        assert stage.payment().amounts.captured == 3000
        assert stage.discrepancies()

    def test_it_needs_evidence(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        with pytest.raises(ValueError, match="evidence"):
            stage.shop.effects.resolve(parked.effect_id, Declined("not_done"), evidence="")

    def test_what_is_not_stuck_is_not_resolved_by_hand(self):
        stage = Stage()
        stage.ask("Capture")
        with pytest.raises(NotStuck):
            stage.shop.effects.resolve(stage.the("Capture").effect_id, Declined("no"), evidence="none")

    def test_it_is_tried_again_with_the_same_key_where_a_person_says_so(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, lookup=False))
        stage.ask("Capture")
        for _ in range(12):
            stage.card.fail_next("Capture")
        stage.run(timedelta(hours=20))
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.retry(parked.effect_id, note="the provider is back")
        stage.run()
        capture = stage.the("Capture")
        assert (capture.status, capture.key) == ("succeeded", parked.key)
        stage.agrees()

    def test_trying_again_does_not_make_the_unsafe_safe(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        stage.shop.effects.retry(parked.effect_id)
        stage.run(HOUR)
        assert stage.the("Capture").status == "parked"
        assert stage.card.asked[parked.key] == 1

    def test_what_is_not_parked_is_not_tried_again_by_hand(self):
        stage = Stage()
        stage.ask("Capture")
        with pytest.raises(NotAllowed):
            stage.shop.effects.retry(stage.the("Capture").effect_id)

    def test_a_webhook_ends_what_is_parked(self):
        stage = self.parked()
        stage.shop.receive_webhook("card", *stage.card.webhook_for(stage.the("Capture").key))
        stage.run()
        assert stage.shop.effects.parked() == []
        stage.agrees()

    def test_a_fact_of_another_currency_is_kept_out_of_the_books_when_resolving(self):
        stage = self.parked()
        (parked,) = stage.shop.effects.parked()
        wrong = Fact(kind=CAPTURED, transaction_id="t", minor=3000, currency="USD")
        stage.shop.effects.resolve(parked.effect_id, Succeeded((wrong,)), evidence="misread")
        assert stage.payment().amounts.captured == 0
        assert stage.discrepancies()
