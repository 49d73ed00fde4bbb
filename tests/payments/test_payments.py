"""A payment is what its provider told us: in any order, any number of times, whatever our rules say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ordermgmt import (
    Amounts,
    CancelShipment,
    CapturePayment,
    Content,
    Discrepancy,
    Fact,
    GrantCredit,
    HandOverShipment,
    ManualClock,
    Money,
    NotFound,
    NothingOpen,
    OnAccount,
    Order,
    OrderManagement,
    OverAuthorised,
    PaidElsewhere,
    Payment,
    PayNow,
    PlanShipment,
    RecordAuthorisation,
    RecordCapture,
    RecordChargeback,
    RecordDecline,
    RecordExpiry,
    RecordRefund,
    RecordSale,
    RecordVoid,
    Tender,
    VoidPayment,
    WrongCurrency,
)
from ordermgmt.payments.messages import RECORDS, RecordFact
from ordermgmt.payments.model import FACT_KINDS, Ask, fold, status_of
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from tests.stories import card_pays, eur, laws_hold, line, paid_for, place, snapshot

A_FACT = {
    "authorise": RecordAuthorisation,
    "capture": RecordCapture,
    "sale": RecordSale,
    "void": RecordVoid,
    "expire": RecordExpiry,
    "refund": RecordRefund,
    "chargeback": RecordChargeback,
}


def news(told: str, order_id: str = "A") -> RecordFact:
    """What a provider tells: ``"capture 10.00 #2"``; without a reference, its own number is made up from it."""
    verb, amount, *reference = told.split()
    return A_FACT[verb](
        payment_id=f"{order_id}:1",
        order_id=order_id,
        transaction_id=reference[0] if reference else told,
        amount=eur(amount),
    )


def never_sent(shop: OrderManagement, total: str = "500.00") -> Payment:
    """A payment its provider has not been asked for yet, so that only what is told counts."""
    place(shop, "A", line("mug", 1, total), confirm="by_hand")
    return shop.get(Payment, "A:1")


def open_questions(shop: OrderManagement) -> list[str]:
    return [one.reason for one in shop.find(Discrepancy, status="open")]


def counted(payment: Payment) -> dict[str, int]:
    """What its facts add up to; nothing where there is none."""
    names = ("authorised", "captured", "refunded", "voided", "expired", "charged_back")
    return {name: n for name in names if (n := getattr(payment.amounts, name))}


# One fact after the other.


@pytest.mark.parametrize(
    ("told", "amounts", "status"),
    [
        pytest.param(["authorise 11.00"], {"authorised": 1100}, "authorised", id="P1"),
        pytest.param(["authorise 11.00 #1", "authorise 11.00 #1"], {"authorised": 1100}, "authorised", id="P4-twice"),
        pytest.param(["authorise 12.00 #2"], {"authorised": 1200}, "authorised", id="P7"),
        pytest.param(
            ["sale 11.00 #1", "sale 12.00 #2", "chargeback 10.00 #3"],
            {"authorised": 2300, "captured": 2300, "charged_back": 1000},
            "captured",
            id="P9",
        ),
        pytest.param(
            ["authorise 250.00 #1", "capture 200.00 #2", "refund 30.00 #3"],
            {"authorised": 25000, "captured": 20000, "refunded": 3000},
            "partly_captured",
            id="P14",
        ),
        pytest.param(
            ["authorise 250.00 #1", "void 11.00 #2"], {"authorised": 25000, "voided": 1100}, "authorised", id="P16"
        ),
        pytest.param(
            ["sale 250.00 #1", "refund 11.00 #r"],
            {"authorised": 25000, "captured": 25000, "refunded": 1100},
            "captured",
            id="P17",
        ),
        pytest.param(["sale 100.00"], {"authorised": 10000, "captured": 10000}, "captured", id="M4"),
        pytest.param(
            ["sale 100.00 #1", "sale 100.00 #1"], {"authorised": 10000, "captured": 10000}, "captured", id="M6"
        ),
        pytest.param(["authorise 5.00", "void 5.00"], {"authorised": 500, "voided": 500}, "voided", id="voided"),
        pytest.param(["authorise 5.00", "expire 5.00"], {"authorised": 500, "expired": 500}, "expired", id="expired"),
        pytest.param(
            ["authorise 5.00", "expire 5.00", "authorise 5.00 #late"],
            {"authorised": 1000, "expired": 500},
            "authorised",
            id="authorised-after-it-expired",
        ),
        pytest.param(
            ["authorise 5.00", "void 5.00", "capture 5.00"],
            {"authorised": 500, "voided": 500, "captured": 500},
            "captured",
            id="captured-after-it-was-voided",
        ),
        pytest.param(["capture 5.00"], {"captured": 500}, "captured", id="a-capture-that-nothing-authorised"),
    ],
)
def test_what_a_provider_tells_is_counted(
    shop: OrderManagement, told: Sequence[str], amounts: dict[str, int], status: str
):
    never_sent(shop)

    for one in told:
        shop.handle(news(one))

    payment = shop.get(Payment, "A:1")
    assert (counted(payment), payment.status) == (amounts, status)


def test_an_order_knows_what_its_payments_stand_at(shop: OrderManagement):
    never_sent(shop)

    shop.handle(news("authorise 499.99"))
    assert shop.get(Order, "A").payment_status == "partly_authorised"
    shop.handle(news("authorise 0.01"))

    assert shop.get(Order, "A").payment_status == "authorised"


def test_the_same_deed_told_twice_changes_nothing(shop: OrderManagement):
    never_sent(shop)
    shop.handle(news("authorise 10.00"))
    before = snapshot(shop)

    shop.handle(news("authorise 10.00"))

    assert snapshot(shop) == before


@pytest.mark.parametrize("second", ["authorise 12.00 #1", "capture 10.00 #1"])
def test_a_deed_told_in_two_ways_is_counted_once_and_somebody_is_asked(shop: OrderManagement, second: str):
    # Saleor P21: same reference, other amount: amounts unchanged.
    never_sent(shop)
    shop.handle(news("authorise 10.00 #1"))

    shop.handle(news(second))

    assert shop.get(Payment, "A:1").amounts.authorised == 1000
    assert shop.get(Payment, "A:1").amounts.captured == 0
    assert len(open_questions(shop)) == 1


def test_a_fact_in_another_currency_is_kept_and_not_counted(shop: OrderManagement):
    never_sent(shop)

    shop.handle(RecordAuthorisation(payment_id="A:1", order_id="A", transaction_id="t", amount=Money("10.00", "USD")))

    assert shop.get(Payment, "A:1").amounts.authorised == 0
    assert open_questions(shop) == ["a fact was not counted: it is in USD, the payment in EUR"]
    assert type(shop.history(Payment, "A:1")[-1].event).__name__ == "FactNotCounted"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (["authorise 10.00", "capture 11.00"], "the provider captured or gave up 100 minor units more"),
        (["authorise 10.00", "void 11.00"], "the provider captured or gave up 100 minor units more"),
        (["sale 10.00", "chargeback 11.00"], "the provider gave back 100 minor units more"),
    ],
)
def test_more_than_there_was_is_recorded_and_somebody_is_asked(shop: OrderManagement, told: Sequence[str], reason: str):
    never_sent(shop)

    for one in told:
        shop.handle(news(one))

    assert [text for text in open_questions(shop) if text.startswith(reason)]


def test_money_that_was_taken_too_much_is_given_back(shop: OrderManagement, clock: ManualClock):
    paid_for(shop, "A", pay=card_pays(sale=True))

    shop.handle(news("sale 5.00 #tip"))

    assert shop.get(Order, "A").money.refund_pending == 500


def test_news_about_a_payment_nobody_knows_is_not_made_up(shop: OrderManagement):
    place(shop, "A", pay=OnAccount())

    with pytest.raises(NotFound):
        shop.handle(news("capture 5.00"))


# Any order, any repetition.

FACTS = st.builds(
    Fact,
    kind=st.sampled_from(FACT_KINDS),
    transaction_id=st.sampled_from([f"t{n}" for n in range(8)]),
    minor=st.integers(1, 10**6),
    currency=st.just("EUR"),
)


def sets_of_facts() -> st.SearchStrategy[list[Fact]]:
    """What a provider did: every deed has one name."""
    return st.lists(FACTS, max_size=8, unique_by=lambda fact: fact.transaction_id)


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Fact], list[Fact]]:
    """One set of facts, told twice: in another order, and with repetitions."""
    facts = draw(sets_of_facts())
    again = draw(st.lists(st.sampled_from(facts), max_size=6)) if facts else []
    return facts, draw(st.permutations([*facts, *again]))


def told_to_a_shop(facts: Sequence[Fact]) -> Payment:
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, clock=ManualClock())
    never_sent(shop)
    for fact in facts:
        shop.handle(
            RECORDS[fact.kind](
                payment_id="A:1",
                order_id="A",
                transaction_id=fact.transaction_id,
                amount=Money.of_minor(fact.minor, fact.currency),
            )
        )
    laws_hold(shop)
    return shop.get(Payment, "A:1")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(tellings())
def test_the_same_facts_make_the_same_amounts_in_any_order_and_repetition(both: tuple[list[Fact], list[Fact]]):
    once, otherwise = map(told_to_a_shop, both)

    assert once.facts == otherwise.facts
    assert counted(once) == counted(otherwise)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.permutations([Fact(kind=k, transaction_id=k, minor=n, currency="EUR") for n, k in enumerate(FACT_KINDS, 1)]))
def test_the_order_of_facts_does_not_matter_to_the_status(facts: list[Fact]):
    amounts = fold(facts, ())

    assert (amounts, status_of(amounts, ())) == (
        Amounts(authorised=4, captured=5, voided=4, expired=5, refunded=6, charged_back=7),
        "captured",
    )


# The status is a function of facts and asks.


@pytest.mark.parametrize(
    ("amounts", "declined", "withdrawn", "status"),
    [
        (Amounts(authorised=10, captured=4), (), False, "partly_captured"),
        (Amounts(authorised=10, captured=10), (), False, "captured"),
        (Amounts(authorised=10, captured=4, voided=6), (), False, "captured"),
        (Amounts(authorised=10, captured=12), (), False, "captured"),
        (Amounts(captured=5), ("authorise",), False, "captured"),
        (Amounts(authorised=10), (), False, "authorised"),
        (Amounts(authorised=10, voided=9), (), False, "authorised"),
        (Amounts(authorised=10), ("authorise",), True, "authorised"),
        (Amounts(authorised=10, voided=10), (), False, "voided"),
        (Amounts(authorised=10, voided=1, expired=9), (), False, "voided"),
        (Amounts(), (), True, "voided"),
        (Amounts(authorised=10, expired=10), (), False, "expired"),
        (Amounts(authorised=10, expired=10), ("authorise",), False, "expired"),
        (Amounts(), ("authorise",), False, "declined"),
        (Amounts(), ("capture",), False, "pending"),
        (Amounts(authorise_pending=10), (), False, "pending"),
        (Amounts(), (), False, "pending"),
    ],
)
def test_a_payments_status_is_the_first_that_fits_its_facts(
    amounts: Amounts, declined: tuple[str, ...], withdrawn: bool, status: str
):
    assert status_of(amounts, declined, withdrawn=withdrawn) == status


@pytest.mark.parametrize("verb", ["authorise", "capture", "refund", "void"])
def test_what_is_asked_and_not_answered_is_pending(verb: str):
    amounts = fold((), [Ask(verb=verb, minor=7), Ask(verb=verb, minor=5)])

    assert getattr(amounts, f"{verb}_pending") == 12
    assert amounts.pending


# Asking.


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [(eur("30.01"), OverAuthorised), (Money("1.00", "USD"), WrongCurrency)],
)
def test_no_more_is_asked_for_than_is_authorised(shop: OrderManagement, asked: Money, refusal: type[Exception]):
    paid_for(shop, "A")
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(CapturePayment(payment_id="A:1", amount=asked))

    assert snapshot(shop) == before


def test_what_is_asked_for_counts_as_asked_until_it_is_answered(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CapturePayment(payment_id="A:1", amount=eur("20.00")))

    with pytest.raises(OverAuthorised) as no:
        shop.handle(CapturePayment(payment_id="A:1", amount=eur("10.01")))

    assert no.value.capturable == eur("10.00")


def test_an_authorisation_is_voided_once(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(VoidPayment(payment_id="A:1"))

    with pytest.raises(NothingOpen):
        shop.handle(VoidPayment(payment_id="A:1"))

    shop.settle("A")
    assert shop.get(Payment, "A:1").status == "voided"


def test_money_is_captured_for_the_shares_that_leave(shop: OrderManagement, card: FakePayments):
    paid_for(shop, "A", shipping=eur("4.90"))

    shop.handle(HandOverShipment(shipment_id="A:s1"))
    shop.settle("A")

    assert (card.captured, shop.get(Payment, "A:1").status) == (3490, "captured")


def test_a_void_does_not_overtake_a_capture(shop: OrderManagement, card: FakePayments):
    paid_for(shop, "A")
    shop.handle(CapturePayment(payment_id="A:1", amount=eur("20.00")))
    shop.handle(VoidPayment(payment_id="A:1"))

    shop.settle("A")

    assert [(type(one).__name__, one.amount.minor) for one in card.requests[1:]] == [("Capture", 2000), ("Void", 1000)]


# The provider's no.


def test_a_declined_authorisation_is_a_declined_payment(shop: OrderManagement):
    paid_for(shop, "A", pay=card_pays("tok_decline_me"))

    payment = shop.get(Payment, "A:1")
    assert (payment.status, payment.amounts, payment.asks) == ("declined", Amounts(), {})


def test_a_decline_told_twice_changes_nothing(shop: OrderManagement):
    never_sent(shop)
    told = RecordDecline(payment_id="A:1", order_id="A", ask=1, code="no funds")
    shop.handle(told)
    before = snapshot(shop)

    shop.handle(told)

    assert snapshot(shop) == before


def test_an_authorisation_after_a_decline_counts(shop: OrderManagement):
    never_sent(shop)
    shop.handle(RecordDecline(payment_id="A:1", order_id="A", ask=1))

    shop.handle(news("authorise 500.00"))

    assert (shop.get(Payment, "A:1").status, shop.get(Order, "A").payment_status) == ("authorised", "authorised")


def test_a_declined_capture_is_not_asked_again_by_itself(shop: OrderManagement, card: FakePayments):
    paid_for(shop, "A")
    card.decline_next("Capture")
    shop.handle(HandOverShipment(shipment_id="A:s1"))

    order = shop.settle("A")

    assert (order.payment_status, order.money.pending) == ("authorised", False)
    assert len([one for one in card.requests if type(one).__name__ == "Capture"]) == 1
    assert len(open_questions(shop)) == 1


# Elsewhere, and on several tenders.


def test_money_taken_elsewhere_is_a_fact_from_the_start(shop: OrderManagement, card: FakePayments):
    place(shop, "A", pay=PaidElsewhere(method="cash", amount=eur("30.00"), reference="till 4"))

    payment = shop.get(Payment, "A:1")
    assert (payment.status, payment.gateway, payment.method) == ("captured", "", "cash")
    assert list(payment.facts) == ["till 4"]
    shop.settle("A")
    assert card.requests == []


def two_tenders(shop: OrderManagement) -> None:
    first = Tender("card", token="tok_gift", amount=eur("5.00"), sale=True)
    paid_for(shop, "A", line("mug", 1), pay=PayNow([first, Tender("card", token="tok_visa", sale=True)]))


@pytest.mark.parametrize(
    ("given_back", "each"),
    [pytest.param("10.00", [500, 500], id="all"), pytest.param("4.00", [400, 0], id="some")],
)
def test_refunds_come_from_the_tenders_in_their_order(shop: OrderManagement, given_back: str, each: list[int]):
    # Solidus, part B 82: payments of 5 + 5; refund 10: five from each; refund 4: only from the first.
    two_tenders(shop)

    shop.handle(GrantCredit(order_id="A", amount=eur(given_back)))
    shop.settle("A")

    assert [shop.get(Payment, f"A:{n}").amounts.refunded for n in (1, 2)] == each


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(1, 9_99), st.integers(0, 500))
@example(parcels=[1, 1, 1], price=333, shipping=0)
def test_what_is_captured_parcel_by_parcel_adds_up_to_the_order(parcels: list[int], price: int, shipping: int):
    card = FakePayments()
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": card}, clock=ManualClock())
    price_each = f"{price // 100}.{price % 100:02d}"
    order = paid_for(shop, "A", line("mug", sum(parcels), price_each), shipping=Money.of_minor(shipping, "EUR"))
    shop.handle(CancelShipment(shipment_id="A:s1"))

    for n, quantity in enumerate(parcels):
        shop.handle(PlanShipment(shipment_id=f"p{n}", contents=[Content("A", "1", quantity)]))
        shop.handle(HandOverShipment(shipment_id=f"p{n}"))
        shop.settle("A")

    assert card.captured == order.total.minor
    assert card.refusals == []
    laws_hold(shop)
