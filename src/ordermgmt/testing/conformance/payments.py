"""What every payment adapter promises, as tests: subclass `PaymentGatewayContract`, give it yours, run pytest.

    class TestMyGateway(PaymentGatewayContract):
        def make(self):
            return MyGateway(url=SANDBOX, api_key=API_KEY)

What the adapter claims is read from its `capabilities`; a test that needs more is reported as skipped.  Give a
`provider` that drives your sandbox, your recorded answers or your stub, and more tests can run: see `ProviderHook`.
"""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pendulum
import pytest
from pendulum import DateTime

from ordermgmt.engine.adapters import CannotTell, Listing, Notice, NotThere
from ordermgmt.engine.effects import Declined, RetryLater, Succeeded
from ordermgmt.payments.model import (
    AUTHORISED,
    CAPTURED,
    FACT_KINDS,
    REFUNDED,
    SOLD,
    VOIDED,
    Fact,
)
from ordermgmt.payments.port import GatewayCapabilities

from .asking import Asker, Raised, is_answer, nobody_knows, shown, surroundings
from .contract import not_claimed
from .payment_webhooks import PaymentWebhooksContract
from .provider_hook import ProviderHook
from .till import Till, absent, deeds, facts_of, other_amount

VERBS = ("authorise", "capture", "void", "refund")
KIND = {"authorise": AUTHORISED, "capture": CAPTURED, "void": VOIDED, "refund": REFUNDED}
AN_HOUR = timedelta(hours=1)
SLACK_SECONDS = 0.5
"""How much longer than its deadline a call may take, for the machine's own slowness."""


class PaymentGatewayContract(PaymentWebhooksContract, declares=True):
    """The promises of a `PaymentGateway`; an adapter that passes is one the engine can trust with money."""

    token: ClassVar[str] = "tok_visa"  # noqa: S105 - a provider's test token
    """A token the provider's test account accepts."""
    declined_token: ClassVar[str] = "tok_decline"  # noqa: S105 - a provider's test token
    """A token it declines."""
    currencies: ClassVar[Sequence[str]] = ("EUR", "JPY", "KWD")
    """Currencies of the account: with two decimals, none, and three, as far as it has them."""
    deadline: ClassVar[timedelta] = timedelta(seconds=5)
    """How long a call may take."""
    short_deadline: ClassVar[timedelta] = timedelta(seconds=0.3)
    """The deadline that a provider who hangs is given."""

    def make(self) -> Any:
        """The adapter, for those who need no fixture of their own."""
        raise NotImplementedError("give a `gateway` fixture or a `make` method")

    def provider(self, gateway: Any) -> Any:  # noqa: ARG002 - for those who override it
        """The hook that drives the provider behind this adapter; None if there is none."""
        return None

    @pytest.fixture
    def gateway(self) -> Any:
        return self.make()

    @pytest.fixture(autouse=True)
    def _before(self) -> None:
        """Autouse fixtures come first: this is how the world was before the adapter was made."""
        self._surroundings = surroundings()

    @pytest.fixture
    def till(self, gateway: Any) -> Iterator[Till]:
        asker = Asker(gateway, self.deadline)
        yield Till(asker, gateway.capabilities, self.provider(gateway), self.token, self.declined_token)
        asker.loop.close()

    # What it says about itself

    def test_it_states_what_it_can_do_as_data(self, till: Till) -> None:
        assert isinstance(till.can, GatewayCapabilities)
        assert till.ask.adapter.capabilities == till.can

    def test_what_it_answers_is_an_outcome(self, till: Till) -> None:
        for verb in VERBS:
            request, key = till.next_of(verb)
            answer = till.ask.execute(request, key)
            assert is_answer(answer), f"{verb} answered {shown(answer)}"

    # Facts and amounts

    def test_an_authorisation_is_a_fact_of_the_amount_asked(self, till: Till) -> None:
        (fact,) = till.facts(till.authorise(1234))
        assert (fact.kind, fact.minor, fact.currency) == (AUTHORISED, 1234, "EUR")

    def test_a_sale_takes_the_money_at_once(self, till: Till) -> None:
        facts = till.facts(till.authorise(1234, sale=True))
        assert sum(f.minor for f in facts if f.kind in (SOLD, AUTHORISED)) == 1234
        assert sum(f.minor for f in facts if f.kind in (SOLD, CAPTURED)) == 1234

    @pytest.mark.parametrize("verb", VERBS)
    def test_each_request_is_answered_with_a_fact_of_its_kind(self, till: Till, verb: str) -> None:
        request, key = till.next_of(verb)
        facts = till.facts(request, key)
        assert [(f.kind, f.minor, f.currency) for f in facts] == [(KIND[verb], 1000, "EUR")]

    @pytest.mark.parametrize("place", range(3), ids=["two decimals", "no decimals", "three decimals"])
    def test_amounts_are_exact_in_every_currency(self, till: Till, place: int) -> None:
        if place >= len(self.currencies):
            not_claimed("a currency of this kind")
        currency = self.currencies[place]
        paid = till.paid(12345, currency)
        (fact,) = till.facts(till.capture(paid, 12345))
        assert (fact.minor, fact.currency) == (12345, currency)

    @pytest.mark.parametrize("place", range(3), ids=["two decimals", "no decimals", "three decimals"])
    def test_the_provider_holds_the_exact_amount_in_every_currency(self, till: Till, place: int) -> None:
        account = till.drive("account")
        if place >= len(self.currencies):
            not_claimed("a currency of this kind")
        currency = self.currencies[place]
        paid = till.paid(12345, currency)
        held = account(paid.request.payment_id)
        assert (held["authorised"], held["currency"]) == (12345, currency)

    @pytest.mark.parametrize("minor", [1, 2_999, 12_345_678])
    def test_small_and_large_amounts_are_exact(self, till: Till, minor: int) -> None:
        (fact,) = till.facts(till.authorise(minor))
        assert fact.minor == minor

    def test_every_deed_has_a_transaction_id_of_its_own(self, till: Till) -> None:
        till.needs("partial_capture", "multi_capture", "partial_refund", "multi_refund")
        paid = till.paid()
        ids = [paid.authorisation]
        for request in (
            till.capture(paid, 400),
            till.capture(paid, 300),
            till.refund(paid, 100),
            till.refund(paid, 50),
        ):
            ids += [fact.transaction_id for fact in till.facts(request)]
        assert len(set(ids)) == len(ids) == 5

    def test_payments_of_the_same_amount_are_different_deeds(self, till: Till) -> None:
        assert till.paid().authorisation != till.paid().authorisation

    def test_facts_tell_the_providers_time_if_any(self, till: Till) -> None:
        (fact,) = till.facts(till.authorise())
        assert fact.occurred_at is None or (isinstance(fact.occurred_at, DateTime) and fact.occurred_at.tzinfo)

    def test_facts_are_plain_values(self, till: Till) -> None:
        for fact in till.facts(till.authorise()):
            assert fact.kind in FACT_KINDS
            assert fact.transaction_id.__class__ is str
            assert fact.transaction_id
            assert fact.minor.__class__ is int
            assert fact.currency.__class__ is str

    def test_the_longest_ids_with_every_character_we_use_arrive_whole(self, till: Till) -> None:
        odd = f"kit-{till.key()}_._-:"
        request = till.authorise(payment_id=odd + "x" * (128 - len(odd)))
        key = till.key()
        first = till.done(request, key)
        facts_of(first)
        if till.can.can_look_up:
            assert deeds(till.found(request, key)) == deeds(first)

    def test_tokens_and_references_beyond_ascii_do_no_harm(self, till: Till) -> None:
        answer = till.done(till.authorise(token="tok_Ünï-日本-🛒"))  # noqa: S106 - a token nobody gave
        assert is_answer(answer)

    # Captures, voids, refunds

    def test_partial_captures_add_up(self, till: Till) -> None:
        till.needs("partial_capture", "multi_capture")
        paid = till.paid()
        captured = [f.minor for n in (200, 300, 500) for f in till.facts(till.capture(paid, n))]
        assert captured == [200, 300, 500]

    def test_after_a_partial_capture_the_rest_is_still_there(self, till: Till) -> None:
        till.needs("partial_capture", "multi_capture")
        paid = till.paid()
        till.facts(till.capture(paid, 400))
        (rest,) = till.facts(till.capture(paid, 600))
        assert (rest.kind, rest.minor) == (CAPTURED, 600)

    def test_the_rest_of_a_partial_capture_can_be_given_up(self, till: Till) -> None:
        till.needs("partial_capture", "void_after_partial_capture")
        paid = till.paid()
        till.facts(till.capture(paid, 400))
        (fact,) = till.facts(till.void(paid, 600))
        assert (fact.kind, fact.minor) == (VOIDED, 600)

    def test_more_than_is_authorised_is_not_captured(self, till: Till) -> None:
        till.needs("enforces_capture_limit")
        assert isinstance(till.done(till.capture(till.paid(), 1001)), Declined)

    def test_captures_in_parts_are_not_more_than_is_authorised(self, till: Till) -> None:
        till.needs("enforces_capture_limit", "partial_capture", "multi_capture")
        paid = till.paid()
        till.facts(till.capture(paid, 600))
        assert isinstance(till.done(till.capture(paid, 401)), Declined)

    def test_what_was_voided_is_not_captured(self, till: Till) -> None:
        till.needs("enforces_capture_limit")
        paid = till.paid()
        till.facts(till.void(paid, 1000))
        assert isinstance(till.done(till.capture(paid, 1000)), Declined)

    def test_more_than_was_captured_is_not_refunded(self, till: Till) -> None:
        till.needs("enforces_refund_limit")
        assert isinstance(till.done(till.refund(till.paid(sale=True), 1001)), Declined)

    def test_refunds_in_parts_are_not_more_than_was_captured(self, till: Till) -> None:
        till.needs("enforces_refund_limit", "partial_refund", "multi_refund")
        paid = till.paid(sale=True)
        till.facts(till.refund(paid, 600))
        assert isinstance(till.done(till.refund(paid, 401)), Declined)

    @pytest.mark.parametrize("verb", VERBS)
    def test_what_is_reported_is_what_the_provider_did(self, till: Till, verb: str) -> None:
        account = till.drive("account")
        request, key = till.next_of(verb)
        column = {"authorise": "authorised", "capture": "captured", "void": "voided", "refund": "refunded"}[verb]
        before = account(request.payment_id)[column] if verb != "authorise" else 0
        till.facts(request, key)
        assert account(request.payment_id)[column] == before + 1000

    # A no

    def test_a_card_that_is_declined_is_declined_with_a_reason(self, till: Till) -> None:
        answer = till.done(till.authorise(token=till.declined_token))
        assert isinstance(answer, Declined), shown(answer)
        assert answer.code

    def test_a_declined_key_stays_declined(self, till: Till) -> None:
        till.needs_key()
        request, key = till.authorise(token=till.declined_token), till.key()
        assert isinstance(till.done(request, key), Declined)
        assert isinstance(till.done(request, key), Declined)

    # The same key

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_key_that_comes_twice_is_executed_once(self, till: Till, verb: str) -> None:
        till.needs_key()
        request, key = till.next_of(verb)
        assert deeds(till.done(request, key)) == deeds(till.done(request, key))

    def test_a_key_that_comes_twice_moves_money_once(self, till: Till) -> None:
        till.needs_key()
        account = till.drive("account")
        paid = till.paid()
        request, key = till.capture(paid, 400), till.key()
        for _ in range(3):
            till.done(request, key)
        assert account(paid.request.payment_id)["captured"] == 400

    def test_a_key_that_comes_many_times_at_once_is_executed_once(self, till: Till) -> None:
        till.needs_key()
        request, key = till.authorise(), till.key()
        answers = till.ask.together([(request, key)] * 8)
        told = [till.waited_for(request, key, a) for a in answers if not nobody_knows(a) and not _later(a)]
        assert told, "none of eight was answered"
        assert len(set(map(frozenset, map(deeds, told)))) == 1
        if till.provider is not None and hasattr(till.provider, "executions"):
            assert till.provider.executions(key) == 1

    def test_another_key_is_another_deed(self, till: Till) -> None:
        first, second = till.authorise(), till.authorise()
        assert deeds(till.done(first)).isdisjoint(deeds(till.done(second)))

    def test_different_requests_at_once_get_their_own_answers(self, till: Till) -> None:
        asked = [(till.authorise(1000 + n), till.key()) for n in range(6)]
        answers = till.ask.together(asked)
        told = [till.waited_for(*one, answer) for one, answer in zip(asked, answers, strict=True)]
        assert [facts_of(answer)[0].minor for answer in told] == [1000 + n for n in range(6)]

    def test_a_key_with_other_parameters_changes_nothing(self, till: Till) -> None:
        till.needs_key()
        request, key = till.authorise(), till.key()
        first = till.done(request, key)
        second = till.done(other_amount(request), key)
        assert nobody_knows(second) or deeds(second) == deeds(first), shown(second)

    def test_a_reference_that_comes_twice_is_executed_once(self, till: Till) -> None:
        if till.can.idempotency != "reference":
            not_claimed("idempotency by reference")
        request, key = till.authorise(), till.key()
        first = till.done(request, key)
        second = till.done(request, key)
        assert nobody_knows(second) or deeds(second) == deeds(first), shown(second)

    # Nobody knows

    @pytest.mark.parametrize("verb", VERBS)
    def test_no_answer_at_all_means_that_nobody_knows(self, till: Till, verb: str) -> None:
        lose = till.drive("lose_request")
        request, key = till.next_of(verb)
        lose()
        answer = till.ask.execute(request, key)
        assert nobody_knows(answer), shown(answer)

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_lost_answer_is_neither_a_yes_nor_a_no(self, till: Till, verb: str) -> None:
        lose = till.drive("lose_answer")
        request, key = till.next_of(verb)
        lose()
        answer = till.ask.execute(request, key)
        assert nobody_knows(answer), shown(answer)

    @pytest.mark.parametrize("verb", VERBS)
    def test_after_a_lost_answer_the_same_key_tells_what_was_done(self, till: Till, verb: str) -> None:
        till.needs_key()
        lose = till.drive("lose_answer")
        request, key = till.next_of(verb)
        lose()
        till.ask.execute(request, key)
        again = till.done(request, key)
        assert facts_of(again)[0].minor == 1000
        if hasattr(till.provider, "executions"):
            assert till.provider.executions(key) == 1

    def test_after_a_lost_request_the_same_key_does_it(self, till: Till) -> None:
        till.needs_key()
        lose = till.drive("lose_request")
        if till.can.remembers_errors:
            not_claimed("to forget errors")
        request, key = till.authorise(), till.key()
        lose()
        till.ask.execute(request, key)
        assert facts_of(till.done(request, key))[0].minor == 1000

    def test_a_bad_answer_is_neither_a_yes_nor_a_no(self, till: Till) -> None:
        spoil = till.drive("spoil")
        wrong = list[str]()
        for fault in till.drive("faults"):
            request, key = till.authorise(), till.key()
            spoil(fault)
            answer = till.ask.execute(request, key, self.short_deadline)
            if not nobody_knows(answer) and not isinstance(answer, RetryLater):
                wrong.append(f"{fault}: {shown(answer)}")
        assert not wrong

    def test_a_bad_answer_leaves_the_next_one_good(self, till: Till) -> None:
        spoil = till.drive("spoil")
        for fault in till.drive("faults"):
            spoil(fault)
            till.ask.execute(till.authorise(), till.key(), self.short_deadline)
            assert facts_of(till.done(till.authorise(777)))[0].minor == 777

    def test_a_wait_that_the_provider_asks_for_is_a_sane_span(self, till: Till) -> None:
        spoil = till.drive("spoil")
        for fault in till.drive("faults"):
            spoil(fault)
            answer = till.ask.execute(till.authorise(), till.key(), self.short_deadline)
            if isinstance(answer, RetryLater):
                assert timedelta(0) <= answer.after <= timedelta(days=1)

    def test_what_was_put_off_was_not_executed(self, till: Till) -> None:
        spoil, executions = till.drive("spoil"), till.drive("executions")
        for fault in till.drive("faults"):
            request, key = till.authorise(), till.key()
            spoil(fault)
            if isinstance(till.ask.execute(request, key, self.short_deadline), RetryLater):
                assert executions(key) == 0

    # Lookup

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_lookup_tells_what_was_answered(self, till: Till, verb: str) -> None:
        till.needs_lookup()
        request, key = till.next_of(verb)
        answer = till.done(request, key)
        assert deeds(till.found(request, key)) == deeds(answer)

    def test_a_lookup_tells_of_a_decline(self, till: Till) -> None:
        till.needs_lookup()
        request, key = till.authorise(token=till.declined_token), till.key()
        till.done(request, key)
        found = till.found(request, key)
        assert not isinstance(found, Succeeded | NotThere), shown(found)

    def test_a_lookup_does_not_know_what_was_never_asked(self, till: Till) -> None:
        till.needs_lookup()
        answer = till.ask.lookup(till.authorise(), till.key())
        assert isinstance(answer, NotThere | CannotTell), shown(answer)

    def test_a_lookup_executes_nothing(self, till: Till) -> None:
        till.needs_lookup()
        request, key = till.authorise(), till.key()
        for _ in range(3):
            till.ask.lookup(request, key)
        assert isinstance(till.found(request, key), NotThere | CannotTell)
        if hasattr(till.provider, "executions"):
            assert till.provider.executions(key) == 0

    def test_a_lookup_does_not_count_as_asking(self, till: Till) -> None:
        till.needs_lookup()
        request, key = till.authorise(), till.key()
        till.ask.lookup(request, key)
        assert facts_of(till.done(request, key))[0].minor == 1000

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_lookup_finds_what_was_done_and_not_answered(self, till: Till, verb: str) -> None:
        till.needs_lookup()
        lose = till.drive("lose_answer")
        request, key = till.next_of(verb)
        lose()
        till.ask.execute(request, key)
        (fact,) = facts_of(till.found(request, key))
        assert (fact.kind, fact.minor) == (KIND[verb], 1000)

    def test_a_lookup_finds_nothing_where_the_request_was_lost(self, till: Till) -> None:
        till.needs_lookup()
        lose = till.drive("lose_request")
        request, key = till.authorise(), till.key()
        lose()
        till.ask.execute(request, key)
        assert isinstance(till.found(request, key), NotThere | CannotTell)

    def test_not_there_is_true_as_soon_as_the_lag_is_over(self, till: Till) -> None:
        till.needs_lookup()
        request, key = till.authorise(), till.key()
        till.ask.execute(request, key)
        till.pass_time(till.can.lookup_lag)
        assert not absent(till.ask.lookup(request, key)), "the lookup lags longer than is declared"

    def test_a_lookup_that_fails_proves_nothing(self, till: Till) -> None:
        till.needs_lookup()
        spoil = till.drive("spoil_lookup")
        request, key = till.authorise(), till.key()
        till.done(request, key)
        spoil()
        answer = till.ask.lookup(request, key, self.short_deadline)
        assert nobody_knows(answer) or isinstance(answer, CannotTell), shown(answer)

    # Lists

    def test_a_list_tells_every_deed_once_over_all_pages(self, till: Till) -> None:
        till.needs_method("list")
        start = till.now - AN_HOUR
        asked = [(till.authorise(), till.key()) for _ in range(7)]
        done = [deeds(till.done(request, key)) for request, key in asked]
        told = [f.transaction_id for notice in self._listed(till, start) for f in notice.result]
        for (one,) in done:
            assert told.count(one[0]) == 1

    def test_a_list_names_the_keys_or_the_authorisations(self, till: Till) -> None:
        till.needs_method("list")
        start = till.now - AN_HOUR
        paid = till.paid()
        till.done(till.capture(paid, 1000))
        ours = [n for n in self._listed(till, start) if n.key == paid.key or n.reference == paid.authorisation]
        assert {f.kind for notice in ours for f in notice.result} >= {AUTHORISED}

    def test_a_list_of_another_time_is_empty(self, till: Till) -> None:
        till.needs_method("list")
        till.paid()
        long_ago = pendulum.datetime(2001, 1, 1)
        assert not till.ask.listed(long_ago, long_ago + AN_HOUR, None).notices

    def test_a_list_changes_nothing(self, till: Till) -> None:
        till.needs_method("list")
        start = till.now - AN_HOUR
        till.paid()
        first = [notice.event_id for notice in self._listed(till, start)]
        assert [notice.event_id for notice in self._listed(till, start)] == first

    def _listed(self, till: Till, since: DateTime) -> list[Notice]:
        told, cursor = list[Notice](), None
        for _ in range(10_000):
            page = till.ask.listed(since, till.now + AN_HOUR, cursor)
            assert isinstance(page, Listing)
            told += page.notices
            cursor = page.cursor
            if cursor is None:
                return told
        raise AssertionError("the list does not end")

    # Deadlines

    def test_it_answers_or_raises_before_the_deadline(self, till: Till) -> None:
        till.drive("hang")()
        answer = till.ask.execute(till.authorise(), till.key(), self.short_deadline)
        assert till.ask.slowest <= self.short_deadline.total_seconds() + SLACK_SECONDS
        assert nobody_knows(answer), shown(answer)

    # Manners

    def test_it_changes_nothing_around_it(self, till: Till) -> None:
        for verb in VERBS:
            request, key = till.next_of(verb)
            till.done(request, key)
            till.ask.lookup(request, key)
        now = surroundings()
        changed = [name for name, value in self._surroundings.items() if now[name] != value]
        assert not changed, f"the adapter changes {', '.join(changed)} for the whole process"

    def test_no_secret_is_shown(self, till: Till) -> None:
        secrets = till.drive("secrets")
        shown_texts = [repr(till.ask.adapter), str(till.ask.adapter), repr(till.can)]
        for ability in ("lose_request", "lose_answer", "spoil_lookup"):
            if hasattr(till.provider, ability):
                request, key = till.authorise(), till.key()
                getattr(till.provider, ability)()
                shown_texts += _texts(till.ask.execute(request, key), till.ask.lookup(request, key))
        for fault in getattr(till.provider, "faults", ()):
            till.provider.spoil(fault)
            shown_texts += _texts(till.ask.execute(till.authorise(), till.key(), self.short_deadline))
        if hasattr(till.ask.adapter, "parse_webhook"):
            try:
                till.ask.adapter.parse_webhook({}, b"{}", now=till.now)
            except Exception as problem:  # noqa: BLE001 - its text is what is looked at
                shown_texts += _texts(Raised(problem))
        for secret in secrets:
            assert not [text for text in shown_texts if secret in text], "a secret is shown"

    def test_no_token_of_a_customer_is_shown_in_an_exception(self, till: Till) -> None:
        lose = till.drive("lose_request")
        token = f"tok_visa_{till.key()}"
        lose()
        answer = till.ask.execute(till.authorise(token=token), till.key())
        assert not [text for text in _texts(answer) if token in text]

    def test_a_request_is_left_as_it_was(self, till: Till) -> None:
        request = till.authorise()
        before = attrs.asdict(request)
        till.done(request)
        assert attrs.asdict(request) == before


def _later(answer: Any) -> bool:
    return isinstance(answer, RetryLater)


def _texts(*answers: Any) -> list[str]:
    """All that a log could show of these answers, without the lines of our own source that led there."""
    told = list[str]()
    for answer in answers:
        problem = answer.problem if isinstance(answer, Raised) else None
        if problem is None:
            told.append(repr(answer))
        while problem is not None:
            told += [repr(problem), str(problem), *getattr(problem, "__notes__", ())]
            problem = problem.__cause__ or problem.__context__
    return told


__all__ = ["Fact", "PaymentGatewayContract", "ProviderHook"]
