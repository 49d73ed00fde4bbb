"""The same fact by response, webhook, poll and list: in any order, any number of times, one payment."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from ordermgmt import ManualClock, Succeeded, WebhookRejected
from ordermgmt.engine import meanings, working
from ordermgmt.engine.adapters import Notice
from ordermgmt.engine.assembly import Assembly
from ordermgmt.engine.inbox import TRIES_MAX, KeepMessage, Message
from ordermgmt.payments.model import CAPTURED, Fact
from ordermgmt.testing.fakes import webhooks
from tests.effects.stage import HOUR, MINUTE, Card, Stage
from tests.stories import paid_for, snapshot


def captured(mishap: str = "lose_next") -> Stage:
    """A capture was executed, and we do not know."""
    stage = Stage()
    stage.ask("Capture")
    getattr(stage.card, mishap)("Capture")
    stage.run()
    return stage


def by_webhook(stage: Stage) -> None:
    stage.shop.receive_webhook("card", *stage.card.webhook_for(stage.the("Capture").key))
    stage.run()


def by_webhook_without_key(stage: Stage) -> None:
    headers, body = stage.card.webhook_for(stage.the("Capture").key, with_key=False)
    stage.shop.receive_webhook("card", headers, body)
    stage.run()


def by_response(stage: Stage) -> None:
    stage.run(MINUTE)


def by_list(stage: Stage) -> None:
    stage.shop.effects.reconcile("card", stage.clock.now() - 2 * HOUR)


WAYS: tuple[Callable[[Stage], None], ...] = (by_webhook, by_webhook_without_key, by_response, by_list)


@pytest.mark.parametrize("order", list(itertools.permutations(WAYS)), ids=lambda o: "-".join(w.__name__ for w in o))
def test_however_and_in_whatever_order_it_is_told_the_payment_is_the_same(order: tuple[Callable[[Stage], None], ...]):
    stage = captured()
    for way in order:
        way(stage)
        assert stage.payment().amounts.captured == 3000
    assert len(stage.payment().facts) == 2
    assert stage.payment().status == "captured"
    assert stage.the("Capture").status == "succeeded"
    assert stage.discrepancies() == []
    stage.agrees()


@pytest.mark.parametrize("mishap", ["lose_next", "answer_later_next"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_alone_is_enough_for_the_money(way: Callable[[Stage], None], mishap: str):
    stage = captured(mishap)
    if mishap == "answer_later_next" and way is by_response:
        stage.run(HOUR)
    way(stage)
    assert stage.payment().amounts.captured == 3000


def facts_of_a_whole_life(stage: Stage) -> list[Notice]:
    """Authorised, captured in part, captured by hand, refunded by hand, charged back: five facts."""
    paid_for(stage.shop, "A-1")
    stage.card.capture_on_dashboard("A-1:1", 1000)
    stage.card.capture_on_dashboard("A-1:1", 500)
    stage.card.refund_on_dashboard("A-1:1", 300)
    stage.card.charge_back("A-1:1", 700)
    return [notice for _, notice in stage.card.books.entries]


def test_five_facts_in_every_order_with_one_of_them_told_twice_give_one_payment():
    stage = Stage()
    notices = facts_of_a_whole_life(stage)
    assert len(notices) == 5
    chance = random.Random(11)
    results = set[object]()
    for order in itertools.permutations(notices):
        again = Stage(clock=ManualClock(stage.clock.now()))
        paid_for(again.shop, "A-1")
        told = list(order)
        told.insert(chance.randrange(6), chance.choice(told))
        for notice in told:
            again.shop.receive_webhook("card", *stage.card.webhook_for(notice))
            again.shop.run_due()
        payment = again.payment()
        results.add((payment.amounts, payment.status, frozenset(payment.facts)))
        assert [one.kind for one in again.all()] == ["Authorise"]
    assert len(results) == 1


@pytest.mark.parametrize("kind", ["refund_on_dashboard", "charge_back"])
def test_money_given_back_before_its_capture_was_told_takes_nothing_from_the_customer(kind: str):
    stage = Stage()
    paid_for(stage.shop, "A-1")
    stage.card.capture_on_dashboard("A-1:1", 1000)
    given_back = getattr(stage.card, kind)("A-1:1", 300)
    stage.shop.receive_webhook("card", *stage.card.webhook_for(given_back))
    stage.run()
    assert stage.all("Capture") == []


class TestTheInbox:
    def test_a_webhook_is_stored_before_it_is_applied(self):
        stage = captured()
        stage.shop.receive_webhook("card", *stage.card.webhook_for(stage.the("Capture").key))
        assert [one.status for one in stage.shop.find(Message)] == ["received"]
        assert stage.payment().amounts.captured == 0

    def test_a_webhook_that_comes_twice_changes_nothing_the_second_time(self):
        stage = captured()
        by_webhook(stage)
        before = snapshot(stage.shop)
        by_webhook(stage)
        assert snapshot(stage.shop) == before

    def test_a_forged_webhook_changes_nothing(self):
        stage = captured()
        headers, body = stage.card.webhook_for(stage.the("Capture").key, secret="whsec_forged")
        before = snapshot(stage.shop)
        with pytest.raises(WebhookRejected):
            stage.shop.receive_webhook("card", headers, body)
        assert snapshot(stage.shop) == before

    def test_the_same_event_with_other_content_is_a_discrepancy(self):
        stage = captured()
        by_webhook(stage)
        notice = stage.card.books.find(stage.the("Capture").key)
        (fact,) = notice.result
        lie = attrs.evolve(notice, result=(attrs.evolve(fact, minor=1),))
        stage.shop.receive_webhook("card", *stage.card.webhook_for(lie))
        stage.run()
        assert stage.payment().amounts.captured == 3000
        assert any("other content" in reason for reason in stage.discrepancies())

    def test_the_same_deed_with_another_amount_under_another_event_id_is_a_discrepancy(self):
        stage = captured()
        by_webhook(stage)
        notice = stage.card.books.find(stage.the("Capture").key)
        (fact,) = notice.result
        lie = attrs.evolve(notice, event_id="evt-other", result=(attrs.evolve(fact, minor=1),))
        stage.shop.receive_webhook("card", *stage.card.webhook_for(lie))
        stage.run()
        assert stage.payment().amounts.captured == 3000
        assert len(stage.discrepancies()) == 1

    def test_what_is_told_of_something_unknown_is_kept_and_applied_once_it_is_known(self):
        other = Stage()
        other.ask("Authorise")
        other.run()
        notice = other.card.capture_on_dashboard("A-1:1", 1000)
        stage = Stage(clock=ManualClock(other.clock.now()))
        stage.shop.receive_webhook("card", *other.card.webhook_for(notice))
        stage.run(2 * MINUTE)
        assert [one.status for one in stage.shop.find(Message)] == ["received"]
        stage.ask("Authorise")
        stage.run(HOUR)
        assert [one.status for one in stage.shop.find(Message)] == ["applied"]
        assert stage.payment().amounts.captured == 1000

    def test_what_stays_unknown_becomes_a_discrepancy(self):
        stage = Stage()
        stranger = Notice(
            event_id="evt-1",
            reference="txn-of-nobody",
            result=(Fact(kind=CAPTURED, transaction_id="t-1", minor=100, currency="EUR"),),
        )
        headers, body = webhooks.signed([stranger], secret="whsec_fake", at=stage.clock.now())
        stage.shop.receive_webhook("card", headers, body)
        stage.run(1000 * HOUR)
        (message,) = stage.shop.find(Message)
        assert message.status == "given_up"
        assert message.tries < TRIES_MAX + 1
        assert any("fits nothing" in reason for reason in stage.discrepancies())

    def test_what_may_tell_of_something_in_doubt_is_kept_until_that_is_settled(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Authorise")
        stage.card.lose_next("Authorise")
        stage.run(MINUTE)
        (parked,) = stage.shop.effects.parked()
        done = stage.card.books.find(parked.key)
        stage.shop.receive_webhook("card", *stage.card.webhook_for(done, with_key=False))
        stage.run(1000 * HOUR)
        assert [one.status for one in stage.shop.find(Message)] == ["received"]
        assert not [reason for reason in stage.discrepancies() if "fits nothing" in reason]
        stage.shop.effects.resolve(parked.effect_id, Succeeded(done.result, done.reference), evidence="its dashboard")
        stage.run(1000 * HOUR)
        assert [one.status for one in stage.shop.find(Message)] == ["applied"]
        assert stage.payment().amounts.authorised == 3000
        assert not stage.discrepancies()

    def test_what_is_settled_while_its_notice_is_looked_at_is_not_missed(self, monkeypatch: pytest.MonkeyPatch):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stage.ask("Authorise")
        stage.card.lose_next("Authorise")
        stage.run(MINUTE)
        (parked,) = stage.shop.effects.parked()
        done = stage.card.books.find(parked.key)
        stage.shop.receive_webhook("card", *stage.card.webhook_for(done, with_key=False))
        meaning = meanings.meaning_of

        def settled_meanwhile(assembly: Assembly, message: Message) -> Any:
            news = yield from meaning(assembly, message)
            if message.last_try and stage.shop.effects.parked():
                outcome = Succeeded(done.result, done.reference)
                stage.shop.effects.resolve(parked.effect_id, outcome, evidence="its dashboard")
            return news

        monkeypatch.setattr(working, "meaning_of", settled_meanwhile)
        stage.run(1000 * HOUR)
        assert not stage.shop.effects.parked()
        assert [one.status for one in stage.shop.find(Message)] == ["applied"]
        assert not stage.discrepancies()

    def test_whoever_slept_since_an_earlier_try_gives_nothing_up(self):
        stage = Stage()
        stranger = Notice(
            event_id="evt-1",
            reference="txn-of-nobody",
            result=(Fact(kind=CAPTURED, transaction_id="t-1", minor=100, currency="EUR"),),
        )
        headers, body = webhooks.signed([stranger], secret="whsec_fake", at=stage.clock.now())
        stage.shop.receive_webhook("card", headers, body)
        message = stage.shop.find(Message)[0]
        while not message.last_try:
            stage.clock.set(message.due)
            stage.shop.run_due()
            (message,) = stage.shop.find(Message)
        for tries in range(message.tries):
            stage.shop.handle(KeepMessage(message_id=message.message_id, tries=tries))
            assert stage.shop.find(Message)[0] == message
        stage.shop.handle(KeepMessage(message_id=message.message_id, tries=message.tries))
        assert stage.shop.find(Message)[0].status == "given_up"

    def test_what_came_before_all_that_is_in_doubt_is_given_up(self):
        stage = Stage(lambda clock: Card.neither(clock=clock))
        stranger = Notice(
            event_id="evt-1",
            reference="txn-of-nobody",
            result=(Fact(kind=CAPTURED, transaction_id="t-1", minor=100, currency="EUR"),),
        )
        headers, body = webhooks.signed([stranger], secret="whsec_fake", at=stage.clock.now())
        stage.shop.receive_webhook("card", headers, body)
        stage.run(MINUTE)
        stage.ask("Authorise")
        stage.card.lose_next("Authorise")
        stage.run(1000 * HOUR)
        assert stage.shop.effects.parked()
        assert [one.status for one in stage.shop.find(Message)] == ["given_up"]

    def test_a_webhook_for_one_payment_cannot_move_another(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        paid_for(stage.shop, "A-2")
        notice = stage.card.capture_on_dashboard("A-1:1", 500)
        stage.shop.receive_webhook("card", *stage.card.webhook_for(notice))
        stage.run()
        assert stage.payment("A-1:1").amounts.captured == 500
        assert stage.payment("A-2:1").amounts.captured == 0

    def test_one_that_the_provider_could_not_do_after_all_is_told_by_webhook(self):
        stage = Stage(lambda clock: Card.keyed(clock=clock, lookup=False))
        stage.ask("SendRefund")
        stage.card.decline_later_next("SendRefund")
        stage.run()
        assert stage.the("SendRefund").status == "pending"
        stage.shop.receive_webhook("card", *stage.card.webhook_for(stage.the("SendRefund").key))
        stage.run()
        assert stage.the("SendRefund").status == "failed"
        assert stage.payment().amounts.refunded == 0
        assert stage.discrepancies()

    def test_a_decline_that_comes_after_a_success_changes_nothing(self):
        stage = captured()
        by_response(stage)
        late = Notice(event_id="evt-late", key=stage.the("Capture").key, answer="declined", code="no")
        stage.shop.receive_webhook("card", *stage.card.webhook_for(late))
        stage.run()
        assert stage.the("Capture").status == "succeeded"
        stage.agrees()

    def test_the_provider_may_let_an_authorisation_run_out(self):
        stage = Stage()
        paid_for(stage.shop, "A-1")
        stage.shop.receive_webhook("card", *stage.card.webhook_for(stage.card.expire("A-1:1")))
        stage.run()
        assert stage.payment().status == "expired"
