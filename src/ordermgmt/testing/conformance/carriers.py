"""What every carrier adapter promises, as tests: subclass `CarrierContract`, give it yours, run pytest.

    class TestMyCarrier(CarrierContract):
        def make(self):
            return MyCarrier(url=SANDBOX, api_key=API_KEY)

A `provider` hook works as for payments, with `scan(tracking_number)` and `deliver(tracking_number)` besides.
"""

# ruff: noqa: S101 - this is a test module

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from attrs import define

from ordermgmt.engine.adapters import CannotTell, Capabilities, Notice, NotThere, WebhookRejected
from ordermgmt.engine.effects import Declined, Pending, RetryLater, Succeeded
from ordermgmt.engine.messages import Personal
from ordermgmt.orders.model import Address
from ordermgmt.shipments.messages import BuyLabel, Track, VoidLabel
from ordermgmt.shipments.model import DELIVERED, IN_TRANSIT, UNDELIVERABLE, Content, Label, Scan

from .asking import Asker, Heard, is_answer, nobody_knows, shown, surroundings
from .contract import Contract, not_claimed, not_driven

POLLS_MAX = 20
WAIT_MAX = timedelta(seconds=2)
SLACK_SECONDS = 0.5
_numbers = itertools.count(int(time.time()))


@define
class Counter:
    """Where parcels are handed in: requests with fresh ids and keys."""

    ask: Asker
    can: Capabilities
    provider: Any
    ship_to: Address

    def drive(self, ability: str) -> Any:
        """What the provider hook can do by this name; the test is reported and not run where it cannot."""
        found = getattr(self.provider, ability, None)
        if found is None:
            not_driven(ability)
        return found

    def needs_key(self) -> None:
        """Run on only if a key is executed once."""
        if self.can.idempotency != "key":
            not_claimed("idempotency by key")

    def needs_lookup(self) -> None:
        """Run on only if it can be asked what became of a request."""
        if not self.can.can_look_up:
            not_claimed("lookup")

    def key(self) -> str:
        """A key as the engine makes them: 52 characters."""
        return f"{next(_numbers):052x}"

    def buy(self) -> BuyLabel:
        """A request for a label of a new parcel."""
        number = next(_numbers)
        return BuyLabel(
            shipment_id=f"kit-{number}:s1",
            order_id=f"kit-{number}",
            carrier="parcel",
            number=1,
            contents=(Content(f"kit-{number}", "1", 2),),
            ship_to=Personal("kit", f"kit-{number}", self.ship_to),
        )

    def void(self, request: BuyLabel, label: Label) -> VoidLabel:
        """A request to give a label back."""
        return VoidLabel(
            shipment_id=request.shipment_id, order_id=request.order_id, carrier="parcel", number=2, label=label
        )

    def track(self, request: BuyLabel, label: Label) -> Track:
        """A question where the parcel is."""
        return Track(
            shipment_id=request.shipment_id,
            order_id=request.order_id,
            carrier="parcel",
            number=3,
            tracking_number=label.tracking_number,
        )

    def pass_time(self, span: timedelta) -> None:
        """Let time pass at the carrier."""
        move = getattr(self.provider, "pass_time", None)
        if move is not None:
            move(span)
        elif span <= WAIT_MAX:
            time.sleep(span.total_seconds())
        else:
            not_driven("pass_time")

    def done(self, request: BuyLabel | VoidLabel, key: str) -> Heard:
        """The answer, waited for as long as it is pending."""
        return self._waited_for(request, key, self.ask.execute(request, key))

    def found(self, request: BuyLabel | VoidLabel, key: str) -> Heard:
        """What a lookup finds once its lag is over, and it is not pending any more."""
        self.pass_time(self.can.lookup_lag)
        return self._waited_for(request, key, self.ask.lookup(request, key))

    def _waited_for(self, request: BuyLabel | VoidLabel, key: str, answer: Heard) -> Heard:
        for _ in range(POLLS_MAX):
            if not isinstance(answer, Pending):
                return answer
            self.pass_time(answer.again_after)
            ask = self.ask.lookup if self.can.can_look_up else self.ask.execute
            answer = ask(request, key)
        raise AssertionError(f"still pending after {POLLS_MAX} polls")

    def label(self, request: BuyLabel, key: str = "") -> Label:
        """Buy it; it must succeed with a label."""
        return label_of(self.done(request, key or self.key()))


def label_of(answer: Heard) -> Label:
    """The label of a success; anything else fails the test."""
    assert isinstance(answer, Succeeded), f"it must succeed, and {shown(answer)}"
    assert isinstance(answer.result, Label), "buying succeeds with a label"
    return answer.result


class CarrierContract(Contract, declares=True):
    """The promises of a `Carrier`; an adapter that passes buys each label once."""

    ship_to: ClassVar[Address] = Address(
        name="Ånn Østergård", street="Rue Haute 1", city="Bruxelles", postal_code="1000", country="BE"
    )
    """An address the carrier's test account delivers to."""
    deadline: ClassVar[timedelta] = timedelta(seconds=5)
    """How long a call may take."""
    short_deadline: ClassVar[timedelta] = timedelta(seconds=0.3)
    """The deadline that a carrier who hangs is given."""

    def make(self) -> Any:
        """The adapter, for those who need no fixture of their own."""
        raise NotImplementedError("give a `carrier` fixture or a `make` method")

    def provider(self, carrier: Any) -> Any:  # noqa: ARG002 - for those who override it
        """The hook that drives the carrier behind this adapter; None if there is none."""
        return None

    @pytest.fixture
    def carrier(self) -> Any:
        return self.make()

    @pytest.fixture(autouse=True)
    def _before(self) -> None:
        """Autouse fixtures come first: this is how the world was before the adapter was made."""
        self._surroundings = surroundings()

    @pytest.fixture
    def counter(self, carrier: Any) -> Iterator[Counter]:
        asker = Asker(carrier, self.deadline)
        yield Counter(asker, carrier.capabilities, self.provider(carrier), self.ship_to)
        asker.loop.close()

    # Labels

    def test_it_states_what_it_can_do_as_data(self, counter: Counter) -> None:
        assert isinstance(counter.can, Capabilities)
        assert counter.ask.adapter.capabilities == counter.can

    def test_a_label_has_a_tracking_number(self, counter: Counter) -> None:
        label = counter.label(counter.buy())
        assert label.tracking_number.__class__ is str
        assert label.tracking_number == label.tracking_number.strip() != ""

    def test_each_parcel_has_a_tracking_number_of_its_own(self, counter: Counter) -> None:
        numbers = [counter.label(counter.buy()).tracking_number for _ in range(5)]
        assert len(set(numbers)) == 5

    def test_a_label_can_be_given_back(self, counter: Counter) -> None:
        request = counter.buy()
        answer = counter.done(counter.void(request, counter.label(request)), counter.key())
        assert isinstance(answer, Succeeded | Declined), shown(answer)

    def test_what_it_answers_is_an_outcome(self, counter: Counter) -> None:
        request = counter.buy()
        label = counter.label(request)
        for asked in (counter.buy(), counter.void(request, label), counter.track(request, label)):
            answer = counter.ask.execute(asked, counter.key())
            assert is_answer(answer), f"{type(asked).__name__} answered {shown(answer)}"

    # The same key

    def test_a_key_that_comes_twice_buys_one_label(self, counter: Counter) -> None:
        counter.needs_key()
        request, key = counter.buy(), counter.key()
        assert counter.label(request, key) == counter.label(request, key)
        if hasattr(counter.provider, "executions"):
            assert counter.provider.executions(key) == 1

    def test_a_key_that_comes_many_times_at_once_buys_one_label(self, counter: Counter) -> None:
        counter.needs_key()
        request, key = counter.buy(), counter.key()
        answers = counter.ask.together([(request, key)] * 8)
        told = [a for a in answers if not nobody_knows(a) and not isinstance(a, RetryLater | Pending)]
        assert len({label_of(answer) for answer in told}) <= 1
        if hasattr(counter.provider, "executions"):
            assert counter.provider.executions(key) == 1

    def test_different_parcels_at_once_get_their_own_labels(self, counter: Counter) -> None:
        answers = counter.ask.together([(counter.buy(), counter.key()) for _ in range(5)])
        told = [label_of(answer).tracking_number for answer in answers if isinstance(answer, Succeeded)]
        assert len(set(told)) == len(told)

    def test_a_key_that_comes_with_another_parcel_buys_nothing(self, counter: Counter) -> None:
        counter.needs_key()
        key = counter.key()
        label = counter.label(counter.buy(), key)
        answer = counter.done(counter.buy(), key)
        assert nobody_knows(answer) or label_of(answer) == label

    # Nobody knows

    def test_no_answer_at_all_means_that_nobody_knows(self, counter: Counter) -> None:
        counter.drive("lose_request")()
        answer = counter.ask.execute(counter.buy(), counter.key())
        assert nobody_knows(answer), shown(answer)

    def test_a_lost_answer_is_neither_a_yes_nor_a_no(self, counter: Counter) -> None:
        counter.drive("lose_answer")()
        answer = counter.ask.execute(counter.buy(), counter.key())
        assert nobody_knows(answer), shown(answer)

    def test_after_a_lost_answer_the_same_key_tells_the_label(self, counter: Counter) -> None:
        counter.needs_key()
        lose = counter.drive("lose_answer")
        request, key = counter.buy(), counter.key()
        lose()
        counter.ask.execute(request, key)
        assert counter.label(request, key) == counter.label(request, key)
        if hasattr(counter.provider, "executions"):
            assert counter.provider.executions(key) == 1

    def test_a_bad_answer_is_neither_a_yes_nor_a_no(self, counter: Counter) -> None:
        spoil = counter.drive("spoil")
        wrong = list[str]()
        for fault in counter.drive("faults"):
            spoil(fault)
            answer = counter.ask.execute(counter.buy(), counter.key(), self.short_deadline)
            if not nobody_knows(answer) and not isinstance(answer, RetryLater):
                wrong.append(f"{fault}: {shown(answer)}")
        assert not wrong

    # Lookup

    def test_a_lookup_tells_the_label_that_was_bought(self, counter: Counter) -> None:
        counter.needs_lookup()
        request, key = counter.buy(), counter.key()
        label = counter.label(request, key)
        assert label_of(counter.found(request, key)) == label

    def test_a_lookup_finds_the_label_that_was_bought_and_not_answered(self, counter: Counter) -> None:
        counter.needs_lookup()
        lose = counter.drive("lose_answer")
        request, key = counter.buy(), counter.key()
        lose()
        counter.ask.execute(request, key)
        assert label_of(counter.found(request, key)).tracking_number

    def test_a_lookup_does_not_know_what_was_never_asked(self, counter: Counter) -> None:
        counter.needs_lookup()
        answer = counter.ask.lookup(counter.buy(), counter.key())
        assert isinstance(answer, NotThere | CannotTell), shown(answer)

    def test_a_lookup_buys_nothing(self, counter: Counter) -> None:
        counter.needs_lookup()
        request, key = counter.buy(), counter.key()
        counter.ask.lookup(request, key)
        assert isinstance(counter.ask.lookup(request, key), NotThere | CannotTell)
        if hasattr(counter.provider, "executions"):
            assert counter.provider.executions(key) == 0

    # Tracking

    def test_a_parcel_nobody_has_seen_is_pending(self, counter: Counter) -> None:
        request = counter.buy()
        answer = counter.ask.execute(counter.track(request, counter.label(request)), counter.key())
        assert isinstance(answer, Pending), shown(answer)
        assert answer.again_after > timedelta(0)

    def test_a_parcel_on_its_way_is_pending_with_its_scans(self, counter: Counter) -> None:
        scan = counter.drive("scan")
        request = counter.buy()
        label = counter.label(request)
        scan(label.tracking_number)
        answer = counter.ask.execute(counter.track(request, label), counter.key())
        assert isinstance(answer, Pending), shown(answer)
        assert [one.kind for one in answer.result] == [IN_TRANSIT]

    def test_a_parcel_that_arrived_succeeds_with_all_scans(self, counter: Counter) -> None:
        scan, deliver = counter.drive("scan"), counter.drive("deliver")
        request = counter.buy()
        label = counter.label(request)
        scan(label.tracking_number)
        deliver(label.tracking_number)
        answer = counter.ask.execute(counter.track(request, label), counter.key())
        assert isinstance(answer, Succeeded), shown(answer)
        assert [one.kind for one in answer.result] == [IN_TRANSIT, DELIVERED]
        assert all(isinstance(one, Scan) and one.occurred_at.tzinfo for one in answer.result)

    def test_asking_where_it_is_again_tells_what_is_new(self, counter: Counter) -> None:
        deliver = counter.drive("deliver")
        request = counter.buy()
        label = counter.label(request)
        key = counter.key()
        counter.ask.execute(counter.track(request, label), key)
        deliver(label.tracking_number)
        assert isinstance(counter.ask.execute(counter.track(request, label), key), Succeeded)

    def test_scans_are_of_known_kinds(self, counter: Counter) -> None:
        scan = counter.drive("scan")
        request = counter.buy()
        label = counter.label(request)
        scan(label.tracking_number)
        answer = counter.ask.execute(counter.track(request, label), counter.key())
        assert {one.kind for one in answer.result} <= {IN_TRANSIT, DELIVERED, UNDELIVERABLE}

    # Webhooks

    def test_a_webhook_tells_a_scan_by_its_tracking_number(self, counter: Counter) -> None:
        if not hasattr(counter.ask.adapter, "parse_webhook"):
            not_claimed("parse_webhook")
        webhook, deliver = counter.drive("webhook"), counter.drive("deliver")
        label = counter.label(counter.buy())
        deliver(label.tracking_number)
        headers, body = webhook(label.tracking_number)
        (notice,) = counter.ask.adapter.parse_webhook(headers, body, now=counter.drive("now")())
        assert isinstance(notice, Notice)
        assert notice.reference == label.tracking_number
        assert [one.kind for one in notice.result] == [DELIVERED]

    def test_an_altered_webhook_is_rejected(self, counter: Counter) -> None:
        if not hasattr(counter.ask.adapter, "parse_webhook"):
            not_claimed("parse_webhook")
        webhook, deliver = counter.drive("webhook"), counter.drive("deliver")
        label = counter.label(counter.buy())
        deliver(label.tracking_number)
        headers, body = webhook(label.tracking_number)
        now = counter.drive("now")()
        for place in range(0, len(body), 7):
            altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            with pytest.raises(WebhookRejected):
                counter.ask.adapter.parse_webhook(headers, altered, now=now)
        with pytest.raises(WebhookRejected):
            counter.ask.adapter.parse_webhook({}, body, now=now)
        for far in (timedelta(hours=-1), timedelta(hours=1)):
            with pytest.raises(WebhookRejected):
                counter.ask.adapter.parse_webhook(headers, body, now=now + far)

    # Manners

    def test_it_answers_or_raises_before_the_deadline(self, counter: Counter) -> None:
        counter.drive("hang")()
        answer = counter.ask.execute(counter.buy(), counter.key(), self.short_deadline)
        assert counter.ask.slowest <= self.short_deadline.total_seconds() + SLACK_SECONDS
        assert nobody_knows(answer), shown(answer)

    def test_it_changes_nothing_around_it(self, counter: Counter) -> None:
        request = counter.buy()
        label = counter.label(request)
        counter.done(counter.void(request, label), counter.key())
        counter.ask.lookup(request, counter.key())
        now = surroundings()
        changed = [name for name, value in self._surroundings.items() if now[name] != value]
        assert not changed, f"the adapter changes {', '.join(changed)} for the whole process"

    def test_no_secret_and_no_address_is_shown(self, counter: Counter) -> None:
        secrets = (*counter.drive("secrets"), self.ship_to.name, self.ship_to.street)
        texts = [repr(counter.ask.adapter), str(counter.ask.adapter)]
        for ability in ("lose_request", "lose_answer"):
            if hasattr(counter.provider, ability):
                getattr(counter.provider, ability)()
                answer = counter.ask.execute(counter.buy(), counter.key())
                texts.append(shown(answer))
        for secret in secrets:
            assert not [text for text in texts if secret in text], "a secret or an address is shown"
