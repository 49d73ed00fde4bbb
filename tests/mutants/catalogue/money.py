"""Payments and refunds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from ordermgmt.engine.capability import changed
from ordermgmt.payments import flow as payment_flow
from ordermgmt.payments import rules as payment_rules
from ordermgmt.payments.messages import (
    RECORDS,
    AskAnswered,
    FactRecorded,
    RecordDecline,
    RecordFact,
)
from ordermgmt.payments.model import Amounts
from ordermgmt.payments.rules import OverCaptured
from ordermgmt.refunds.messages import RefundApproved, RefundRequested, RequestRefund
from tests.mutants.planting import Garden, mutant, nothing

# Payments.


@mutant("payments")
def a_fact_is_counted_twice(garden: Garden) -> None:
    def heard(payment: Any, facts: Any) -> Any:
        for news in before(payment, facts):
            yield attrs.evolve(news, transaction_id=f"{news.transaction_id}-w")

    before: Any = payment_flow.heard
    hears = {"gateways": attrs.evolve(garden.of("payment").hears["gateways"], told=heard)}
    garden.change("payment", hears=hears)


@mutant("payments")
def a_fact_is_keyed_by_its_report(garden: Garden) -> None:
    def recorded(inner: Any) -> Any:
        def evolve(state: Any, event: Any) -> Any:
            renamed = attrs.evolve(event.fact, transaction_id=event.fact.transaction_id)
            after = inner(state, event)
            facts = {f"{n}": fact for n, fact in enumerate((*state.facts.values(), renamed))}
            return changed(after, facts=facts)

        return evolve

    garden.evolve("payment", FactRecorded, recorded)


@mutant("payments")
def excess_is_clamped(garden: Garden) -> None:
    def fold(facts: Any, asks: Any) -> Any:
        amounts = before(facts, asks)
        return attrs.evolve(amounts, captured=min(amounts.captured, amounts.authorised))

    before = garden.patch(payment_rules, "fold", fold)


@mutant("payments")
def excess_is_not_told(garden: Garden) -> None:
    garden.forget("payment", "tell_of_excess")


@mutant("payments")
def news_of_too_much_is_refused(garden: Garden) -> None:
    def record(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            if command.fact_kind == "captured" and command.amount.minor > state.amounts.open:
                raise OverCaptured(command.payment_id, command.amount, command.amount)
            return inner(command, state, seen, at)

        return decide

    garden.decide("payment", RECORDS["captured"], record)


@mutant("payments")
def refund_limit_without_what_is_in_flight(garden: Garden) -> None:
    garden.patch(Amounts, "refundable", property(lambda self: self.paid))


@mutant("payments")
def capture_limit_without_what_is_in_flight(garden: Garden) -> None:
    garden.patch(Amounts, "capturable", property(lambda self: self.open))


@mutant("payments")
def captures_more_than_authorised(garden: Garden) -> None:
    garden.patch(Amounts, "capturable", property(lambda self: self.open * 2 - self.capture_pending - self.void_pending))


@mutant("payments")
def the_remainder_is_lost_on_a_partial_capture(garden: Garden) -> None:
    def fold(facts: Any, asks: Any) -> Any:
        amounts = before(facts, asks)
        return attrs.evolve(amounts, voided=amounts.voided + max(amounts.open, 0)) if amounts.captured else amounts

    before = garden.patch(payment_rules, "fold", fold)


@mutant("payments")
def a_decline_is_forgotten(garden: Garden) -> None:
    garden.decide("payment", RecordDecline, lambda _: nothing)


@mutant("payments")
def an_answer_is_forgotten(garden: Garden) -> None:
    garden.evolve("payment", FactRecorded, lambda inner: lambda s, e: inner(s, attrs.evolve(e, ask=0)))
    garden.evolve("payment", AskAnswered, lambda _: lambda s, e: s)


@mutant("payments")
def a_capture_names_no_authorisation(garden: Garden) -> None:
    def nameless(inner: Any) -> Any:
        return lambda event, payment: [attrs.evolve(one, authorisation="") for one in inner(event, payment)]

    garden.react("payment", "take_the_money", nameless)


# Refunds.


@mutant("refunds")
def refunded_twice(garden: Garden) -> None:
    def twice(inner: Any) -> Any:
        def react(event: Any, payment: Any) -> Iterable[Any]:
            for effect in inner(event, payment):
                yield effect
                yield attrs.evolve(effect, ask=effect.ask + 500_000)

        return react

    garden.react("refund", "send_it", twice)


@mutant("refunds")
def more_is_refunded_than_owed(garden: Garden) -> None:
    def request(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        yield RefundRequested(
            refund_id=command.refund_id,
            order_id=command.order_id,
            payment_id=command.payment_id,
            amount=command.amount,
            reason=command.reason,
        )
        yield RefundApproved()

    garden.decide("refund", RequestRefund, lambda _: request)


@mutant("refunds")
def the_refund_is_never_sent(garden: Garden) -> None:
    garden.forget("refund", "send_it")


@mutant("refunds")
def the_refund_does_not_hear_of_its_end(garden: Garden) -> None:
    def facts_only(told: Any) -> Any:
        return lambda effect, outcome: [news for news in told(effect, outcome) if isinstance(news, RecordFact)]

    only_facts = {effect: facts_only(told) for effect, told in garden.of("refund").answers.items()}
    garden.change("refund", answers=only_facts)


@mutant("payments")
def a_gateways_no_is_told_to_nobody(garden: Garden) -> None:
    garden.forget("payment", "tell_of_declined_follow_up")


@mutant("payments")
def what_was_taken_back_is_sent_all_the_same(garden: Garden) -> None:
    garden.forget("payment", "take_the_request_back")


@mutant("refunds")
def a_refund_that_failed_is_told_to_nobody(garden: Garden) -> None:
    garden.forget("refund", "tell_of_failure")
