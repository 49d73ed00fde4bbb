"""Faults as they are made: each a few lines, planted where such a bug would stand.

The simulator and the laws must find every one of them within a hundred seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import attrs
from pendulum import datetime

from ordermgmt.engine import codec, drivers, effects, handling, operating, saving, unknown, working
from ordermgmt.engine.adapters import NotThere
from ordermgmt.engine.capability import changed
from ordermgmt.engine.effects import (
    ClaimEffect,
    Declined,
    EffectClaimed,
    EffectFailed,
    EffectLost,
    EffectParked,
    EffectSucceeded,
    Intent,
    Pending,
    RetryLater,
    SettleEffect,
    Succeeded,
    Unknown,
    idempotency_key,
)
from ordermgmt.engine.transaction import Write
from ordermgmt.engine.working_set import Entity
from ordermgmt.errors import Conflict
from ordermgmt.money import Money
from ordermgmt.orders import amended, amendment, reckoning, stretches
from ordermgmt.orders import rules as order_rules
from ordermgmt.orders.drafts import PlaceDraft
from ordermgmt.orders.following import Asking
from ordermgmt.orders.holds import HoldReleased
from ordermgmt.orders.lifecycle import GONE_OUT
from ordermgmt.orders.messages import NotePayment, OrderPlaced
from ordermgmt.orders.references import ReferenceGiven, TakeReference
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
from ordermgmt.shipments.messages import LabelVoidAsked, RecordLabel
from ordermgmt.stock.messages import (
    CommitReservation,
    ReleaseStock,
    ReplaceClaims,
    ReserveStock,
    StockIssued,
    StockReleased,
    StockReserved,
)
from ordermgmt.testing.simulation import providers
from tests.mutants.planting import Broken, Garden, Mutant

CATALOGUE: list[Mutant] = []


def mutant(area: str) -> Callable[[Callable[[Garden], None]], Callable[[Garden], None]]:
    """Enter a fault under the words of its function's name."""

    def enter(plant: Callable[[Garden], None]) -> Callable[[Garden], None]:
        CATALOGUE.append(Mutant(plant.__name__.replace("_", " "), area, plant))
        return plant

    return enter


def nothing(*_args: Any, **_kwargs: Any) -> Iterable[Any]:
    return ()


def dropping(*types: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same answers without those of a type."""
    return lambda inner: lambda *args: [one for one in inner(*args) if not isinstance(one, types)]


# Effects.


@mutant("effects")
def forgotten_lane(garden: Garden) -> None:
    def all_of_them(self: Any, intents: list[Intent]) -> Any:
        return intents
        yield

    garden.patch(working.Worker, "_heads_of_lanes", all_of_them)


@mutant("effects")
def a_new_key_on_every_attempt(garden: Garden) -> None:
    def fresh(inner: Any) -> Any:
        def evolve(state: Any, event: Any) -> Any:
            claimed = inner(state, event)
            return changed(claimed, key=idempotency_key(b"fresh", claimed.effect_id, str(claimed.token)))

        return evolve

    garden.evolve("effect", EffectClaimed, fresh)


@mutant("effects")
def settled_twice(garden: Garden) -> None:
    def settle(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        if isinstance(command.outcome, Succeeded):
            yield EffectSucceeded(reference=command.outcome.reference, at=at)
        else:
            yield from effects._settle(command, state, seen, at)

    garden.decide("effect", SettleEffect, lambda _: settle)


@mutant("effects")
def sent_before_the_claim_is_committed(garden: Garden) -> None:
    def claim(self: Any, plans: Any, now: Any) -> Any:
        return [
            attrs.evolve(p, intent=changed(p.intent, status="sending", token=p.intent.token + 1, due=now + self.lease))
            for p in plans
        ]
        yield

    garden.patch(working.Worker, "_claim", claim)


@mutant("effects")
def a_zombies_refusal_is_accepted(garden: Garden) -> None:
    def settle(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            if isinstance(command.outcome, Declined) and command.token is not None:
                command = attrs.evolve(command, token=None)
            return inner(command, state, seen, at)

        return decide

    garden.decide("effect", SettleEffect, settle)


@mutant("effects")
def unknown_is_treated_as_declined(garden: Garden) -> None:
    def answered(self: Any, plan: Any, answer: Any, jitter: float) -> Any:
        return before(self, plan, Declined("timeout") if isinstance(answer, Unknown) else answer, jitter)

    before = garden.patch(working.Worker, "_answered", answered)


@mutant("effects")
def sent_again_after_the_key_expired(garden: Garden) -> None:
    garden.patch(unknown, "_remembered", lambda intent, can, now: True)


@mutant("effects")
def renewed_without_waiting_for_late_requests(garden: Garden) -> None:
    garden.patch(unknown, "settled_at", lambda intent, can: intent.last_sent or intent.planned_at)


@mutant("effects")
def sent_again_where_nothing_prevents_a_second_execution(garden: Garden) -> None:
    garden.patch(working, "next_step", lambda intent, can, now: unknown.EXECUTE)


@mutant("effects")
def an_old_plan_is_claimed(garden: Garden) -> None:
    def claim(inner: Any) -> Any:
        return lambda command, *rest: inner(attrs.evolve(command, was=None, planned=None), *rest)

    garden.decide("effect", ClaimEffect, claim)


@mutant("effects")
def sent_long_after_the_claim_ran_out(garden: Garden) -> None:
    garden.patch(drivers, "_too_late", lambda one, clock: False)
    garden.patch(working, "BATCH", 64)


@mutant("effects")
def two_claims_at_once(garden: Garden) -> None:
    def claim(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        if not state.ended:
            if state.status == "sending":
                yield EffectLost(cause="taken over", due=at)
            yield EffectClaimed(token=state.token + 1, lease=at + command.lease, at=at, sends=command.sends)

    garden.decide("effect", ClaimEffect, lambda _: claim)


@mutant("effects")
def parked_forgets_its_doubt(garden: Garden) -> None:
    garden.evolve(
        "effect", EffectParked, lambda _: lambda s, e: changed(s, status=e.status or s.status, reason=e.reason)
    )


@mutant("effects")
def lost_forgets_its_doubt(garden: Garden) -> None:
    garden.evolve("effect", EffectLost, lambda inner: lambda s, e: changed(inner(s, e), doubtful=False))


@mutant("effects")
def pending_is_treated_as_done(garden: Garden) -> None:
    def answered(self: Any, plan: Any, answer: Any, jitter: float) -> Any:
        done = (
            Succeeded((), answer.reference) if isinstance(answer, Pending) and plan.intent.kind != "Track" else answer
        )
        return before(self, plan, done, jitter)

    before = garden.patch(working.Worker, "_answered", answered)


@mutant("effects")
def attempts_without_an_end(garden: Garden) -> None:
    garden.patch(effects, "ATTEMPTS_MAX", 10**9)


@mutant("effects")
def the_next_attempt_is_next_year(garden: Garden) -> None:
    garden.patch(effects, "backoff", lambda attempts, jitter: timedelta(days=365))


@mutant("effects")
def a_dead_workers_effect_is_never_taken_up(garden: Garden) -> None:
    due = garden.of("effect").indexes["due"]
    every = garden.of("effect").index_all
    indexes = {**garden.of("effect").indexes, "due": lambda i: None if i.status == "sending" else due(i)}
    garden.change(
        "effect",
        indexes=indexes,
        index_all=every and (lambda i: {**every(i), "due": None} if i.status == "sending" else every(i)),
    )


@mutant("effects")
def a_success_is_not_told(garden: Garden) -> None:
    garden.patch(working, "news_of", lambda assembly, request, outcome: ())


@mutant("effects")
def nonsense_counts_as_success(garden: Garden) -> None:
    def answered(self: Any, plan: Any, answer: Any, jitter: float) -> Any:
        sensible = isinstance(answer, effects.Outcome) or type(answer) is not object
        return before(self, plan, answer if sensible else Succeeded(()), jitter)

    before = garden.patch(working.Worker, "_answered", answered)


@mutant("effects")
def not_found_is_treated_as_declined(garden: Garden) -> None:
    garden.patch(
        working.Worker,
        "_found_nothing",
        lambda self, intent, step: SettleEffect(
            effect_id=intent.effect_id, token=intent.token, outcome=Declined("not_found")
        ),
    )


@mutant("effects")
def put_off_is_treated_as_declined(garden: Garden) -> None:
    def settled(intent: Any, outcome: Any, jitter: float, at: Any) -> Any:
        if isinstance(outcome, RetryLater):
            return EffectFailed(code="busy", message="")
        return before(intent, outcome, jitter, at)

    before = garden.patch(effects, "_settled", settled)


@mutant("effects")
def a_webhook_is_acknowledged_and_not_stored(garden: Garden) -> None:
    def receive(self: Any, port: Any, notices: Any) -> Any:
        return []
        yield

    garden.patch(operating.Operator, "receive", receive)


@mutant("effects")
def a_parked_effect_gives_no_reason(garden: Garden) -> None:
    garden.evolve("effect", EffectParked, lambda inner: lambda s, e: changed(inner(s, e), reason=""))


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


# Orders.


@mutant("orders")
def the_void_is_forgotten_on_a_cancel(garden: Garden) -> None:
    def without(inner: Any) -> Any:
        return lambda event, order: [one for one in inner(event, order) if type(one).__name__ != "VoidPayment"]

    garden.react("order", "money_follows_the_units", without)


@mutant("orders")
def a_late_authorisation_is_ignored(garden: Garden) -> None:
    def note(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            events = list(inner(command, state, seen, at))
            return events[:1] if state is not None and state.status == "cancelled" else events

        return decide

    garden.decide("order", NotePayment, note)


@mutant("orders")
def the_orders_tally_is_not_updated(garden: Garden) -> None:
    kept = tuple(one for one in garden.of("order").reactions if one.on is not AskAnswered)
    garden.change("order", reactions=kept)


@mutant("orders")
def confirmed_without_an_authorisation(garden: Garden) -> None:
    def confirmed(order: Any, seen: Any, reckoned: Any = None) -> Any:
        return before(
            attrs.evolve(order, confirm="at_once") if order.confirm == "when_authorised" else order, seen, reckoned
        )

    before = garden.patch(order_rules, "confirmed_by_policy", confirmed)


@mutant("orders")
def units_are_moved_without_a_claim(garden: Garden) -> None:
    garden.patch(order_rules, "_refuse_unclaimed", lambda order, vectors, seen: None)


@mutant("orders")
def shares_that_lose_their_cents(garden: Garden) -> None:
    garden.patch(reckoning, "earned_by", lambda line: line.minor // line.quantity * line.count(*GONE_OUT))


@mutant("orders")
def shipping_is_collected_twice(garden: Garden) -> None:
    def balance(order: Any, reckoned: Any = None) -> tuple[Asking, ...]:
        more = sum(charge.minor for charge in order.charges)
        return tuple(
            attrs.evolve(a, minor=min(a.minor + more, order.payments[a.payment_id].amounts.capturable))
            if a.verb == "capture"
            else a
            for a in before(order, reckoned)
        )

    before = garden.patch(order_rules, "balance", balance)


@mutant("orders")
def the_release_is_forgotten_on_a_cancel(garden: Garden) -> None:
    def without(inner: Any) -> Any:
        return lambda event, order: [one for one in inner(event, order) if one.how != "release"]

    garden.react("order", "claims_follow_the_units", without)


@mutant("orders")
def cancelled_units_stay_where_they_are(garden: Garden) -> None:
    garden.forget("order", "let_go_of_everything")


@mutant("orders")
def the_expiry_is_not_taken_back(garden: Garden) -> None:
    def anyway(inner: Any) -> Any:
        from ordermgmt.orders.messages import OrderExpired

        return lambda command, state, seen, at: [OrderExpired()]

    from ordermgmt.orders.messages import ExpireOrder

    garden.decide("order", ExpireOrder, anyway)
    garden.forget("order", "no_need_to_expire")


@mutant("orders")
def a_cancel_does_not_look_whether_goods_are_out(garden: Garden) -> None:
    from ordermgmt.orders.messages import CancelOrder, OrderCancelled

    garden.decide("order", CancelOrder, lambda _: lambda command, state, seen, at: [OrderCancelled(reason="")])


@mutant("orders")
def a_hold_does_not_stop_the_goods(garden: Garden) -> None:
    garden.patch(order_rules, "refuse_held", lambda order, moves: None)


@mutant("orders")
def one_release_lets_go_of_every_hold(garden: Garden) -> None:
    garden.evolve("order", HoldReleased, lambda inner: lambda s, e: changed(inner(s, e), holds={}))


@mutant("orders")
def placing_a_draft_forgets_its_holds(garden: Garden) -> None:
    garden.evolve("order", OrderPlaced, lambda inner: lambda s, e: changed(inner(s, e), holds={}))


@mutant("orders")
def a_taken_quote_still_ends(garden: Garden) -> None:
    garden.forget("order", "the_quote_has_ended")


@mutant("orders")
def a_quote_that_never_ends(garden: Garden) -> None:
    garden.forget("order", "the_quote_ends_by_itself")


@mutant("orders")
def a_draft_is_placed_without_its_shipping(garden: Garden) -> None:
    def place(inner: Any) -> Any:
        def decide(command: Any, state: Any, seen: Any, at: Any) -> Any:
            return inner(command, state and changed(state, charges=()), seen, at)

        return decide

    garden.decide("order", PlaceDraft, place)


@mutant("orders")
def a_channel_s_id_is_taken_twice(garden: Garden) -> None:
    def take(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        yield ReferenceGiven(
            channel=command.channel, external=command.external, order_id=command.order_id, line_id=command.line_id
        )

    garden.decide("reference", TakeReference, lambda _: take)


# Stock.


@mutant("stock")
def reserved_without_a_check(garden: Garden) -> None:
    def reserve(command: Any, state: Any, seen: Any, at: Any) -> Iterable[Any]:
        yield StockReserved(
            sku=command.sku, location=command.location, quantity=command.quantity, order_id=command.order_id
        )

    def commit(inner: Any) -> Any:
        class Plenty:
            def get(self, *_: Any) -> Any:
                return type("Much", (), {"available": 10**9})()

        return lambda command, state, seen, at: inner(command, state, Plenty(), at)

    garden.decide("stock", ReserveStock, lambda _: reserve)
    garden.decide("reservation", CommitReservation, commit)


@mutant("stock")
def released_twice(garden: Garden) -> None:
    garden.evolve("stock", StockReleased, lambda inner: lambda s, e: inner(inner(s, e), e))


@mutant("stock")
def issued_without_its_reservation(garden: Garden) -> None:
    def evolve(inner: Any) -> Any:
        return lambda s, e: changed(inner(s, e), reserved=s.reserved)

    garden.evolve("stock", StockIssued, evolve)


@mutant("stock")
def issued_but_still_on_hand(garden: Garden) -> None:
    garden.evolve("stock", StockIssued, lambda inner: lambda s, e: changed(inner(s, e), on_hand=s.on_hand))


@mutant("stock")
def held_is_forgotten(garden: Garden) -> None:
    from ordermgmt.stock import flow

    garden.patch(flow, "_MOVEMENT", {**flow._MOVEMENT, "set_aside": ReleaseStock})


# Shipments.


@mutant("shipments")
def a_label_is_not_given_back(garden: Garden) -> None:
    garden.forget("shipment", "give_the_label_back")


@mutant("shipments")
def cancelled_units_stay_in_the_parcel(garden: Garden) -> None:
    garden.forget("shipment", "take_out_what_is_cancelled")


@mutant("shipments")
def a_second_label_is_kept(garden: Garden) -> None:
    garden.decide("shipment", RecordLabel, dropping(LabelVoidAsked))


@mutant("shipments")
def units_do_not_arrive_with_their_parcel(garden: Garden) -> None:
    garden.forget("shipment", "units_arrive")


@mutant("shipments")
def a_cancelled_parcel_keeps_its_units(garden: Garden) -> None:
    garden.forget("shipment", "units_go_back_to_the_shelf")


# The engine's memory.


@mutant("engine")
def a_command_id_is_ignored(garden: Garden) -> None:
    garden.patch(handling.Deciding, "_decided_before", lambda self, job: None)


@mutant("engine")
def the_id_of_a_refused_command_is_forgotten(garden: Garden) -> None:
    def remember(self: Any, decided: Any) -> None:
        if not decided.refusal:
            before(self, decided)

    before = garden.patch(handling.Deciding, "_remember", remember)


@mutant("engine")
def time_runs_backwards(garden: Garden) -> None:
    def of(assembly: Any, key: Any, row: Any) -> Any:
        entity = before.__func__(Entity, assembly, key, row)
        if entity.at is not None:
            entity.at = datetime(2000, 1, 1)
        return entity

    before = garden.patch(Entity, "of", staticmethod(of))


@mutant("engine")
def the_hash_chain_is_broken(garden: Garden) -> None:
    chain = codec.chain
    garden.patch(saving, "chain", lambda head, parts, doc: chain("", parts, doc))


@mutant("engine")
def a_refused_command_leaves_its_traces(garden: Garden) -> None:
    from ordermgmt.engine.working_set import WorkingSet

    garden.patch(WorkingSet, "undo", lambda self: self.keep())


@mutant("engine")
def a_later_command_is_lost(garden: Garden) -> None:
    garden.patch(working.Worker, "_laters", lambda self, now, group, report: working._nothing())


@mutant("engine")
def the_inbox_is_never_read(garden: Garden) -> None:
    garden.patch(working.Worker, "_notices", lambda self, now, report: working._nothing())


# Storage.


@mutant("storage")
def a_commit_in_two_halves(garden: Garden) -> None:
    class Halved(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            half = len(writes) // 2 if len(writes) > 4 and self.count % 7 == 0 else len(writes)
            transaction.commit(writes[:half])

    garden.store(Halved)


@mutant("storage")
def a_lost_write(garden: Garden) -> None:
    class Forgetful(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([] if self.count % 40 == 0 else writes)

    garden.store(Forgetful)


@mutant("storage")
def versions_are_not_checked(garden: Garden) -> None:
    class Careless(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            rows = self.inner.read([write.row.key for write in writes])
            transaction.commit(
                [attrs.evolve(w, expected=rows[w.row.key].version if w.row.key in rows else 0) for w in writes]
            )

    garden.store(Careless)


@mutant("storage")
def a_conflict_is_swallowed(garden: Garden) -> None:
    class Silent(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            try:
                transaction.commit(writes)
            except Conflict:
                return

    garden.store(Silent)


@mutant("storage")
def an_event_of_many_is_dropped(garden: Garden) -> None:
    class Short(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, entries=w.entries[:1]) for w in writes])

    garden.store(Short)


@mutant("storage")
def the_feed_swaps_two_events(garden: Garden) -> None:
    class Swapping(Broken):
        def feed(self, *, after: int = 0, limit: int = 1000) -> Any:
            page = list(super().feed(after=after, limit=limit))
            return [page[1], page[0], *page[2:]] if len(page) > 3 and after % 5 == 0 else page

    garden.store(Swapping)


@mutant("storage")
def an_index_is_stale(garden: Garden) -> None:
    class Stale(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, index={**w.index} if w.expected == 0 else {}) for w in writes])

    garden.store(Stale)


@mutant("storage")
def an_index_keeps_old_values(garden: Garden) -> None:
    class Hoarding(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, unindex={}) for w in writes])

    garden.store(Hoarding)


@mutant("storage")
def a_search_misses_the_last_of_a_page(garden: Garden) -> None:
    class Blind(Broken):
        def find(self, query: Any) -> Any:
            return list(super().find(query))[: max(query.limit - 1, 0)][:3]

    garden.store(Blind)


# Changes of orders.


@mutant("changes")
def claims_do_not_follow_an_amendment(garden: Garden) -> None:
    garden.forget("order", "claims_follow_the_amendment")


@mutant("changes")
def units_that_an_amendment_lets_go_stay_in_their_parcel(garden: Garden) -> None:
    garden.forget("shipment", "take_out_what_is_let_go")


@mutant("changes")
def a_change_that_has_ended_keeps_its_order(garden: Garden) -> None:
    garden.forget("change", "the_order_is_free")


@mutant("changes")
def the_order_does_not_know_its_change(garden: Garden) -> None:
    garden.forget("change", "the_order_knows_it")


@mutant("changes")
def the_change_outlives_its_order(garden: Garden) -> None:
    garden.forget("change", "no_change_of_what_has_ended")


@mutant("changes")
def a_confirmed_change_changes_nothing(garden: Garden) -> None:
    garden.forget("change", "amend_the_order")


@mutant("changes")
def added_units_are_not_counted(garden: Garden) -> None:
    def recast(line: Any, cast: Any) -> Any:
        return changed(before(line, cast), quantity=line.quantity)

    before = garden.patch(amended, "recast", recast)


@mutant("changes")
def an_amended_line_gains_a_cent(garden: Garden) -> None:
    before = stretches.amount
    garden.patch(amendment, "amount", lambda pieces: before(pieces) + 1)


@mutant("changes")
def claims_that_are_replaced_are_not_given_up(garden: Garden) -> None:
    garden.decide(
        "reservation", ReplaceClaims, lambda inner: lambda command, *rest: inner(changed(command, takes=()), *rest)
    )


# Adapters.


@mutant("adapters")
def a_gateway_ignores_keys(garden: Garden) -> None:
    garden.patch(providers.Provider, "_remembers", lambda self, before: False)


@mutant("adapters")
def an_adapter_makes_its_own_key_for_every_call(garden: Garden) -> None:
    def execute(self: Any, request: Any, *, key: str, deadline: Any) -> Any:
        self.calls = getattr(self, "calls", 0) + 1
        return before(self, request, key=f"{key}-{self.calls}", deadline=deadline)

    before = garden.patch(providers.Provider, "execute", execute)


@mutant("adapters")
def a_lookup_that_always_finds_nothing(garden: Garden) -> None:
    garden.patch(providers.Provider, "lookup", lambda self, request, *, key, deadline: NotThere())


@mutant("adapters")
def a_timeout_is_answered_as_a_decline(garden: Garden) -> None:
    def call(one: Any, clock: Any) -> Any:
        answer = before(one, clock)
        return Declined("timeout") if isinstance(answer, Unknown) and not one.lookup else answer

    before = garden.patch(drivers, "call", call)


@mutant("adapters")
def an_adapter_retries_by_itself_under_another_key(garden: Garden) -> None:
    def execute(self: Any, request: Any, *, key: str, deadline: Any) -> Any:
        try:
            return before(self, request, key=key, deadline=deadline)
        except providers.NoAnswer:
            return before(self, request, key=f"{key}-again", deadline=deadline)

    before = garden.patch(providers.Provider, "execute", execute)


@mutant("adapters")
def an_adapter_sends_half_the_amount(garden: Garden) -> None:
    def perform(self: Any, request: Any) -> Any:
        half = Money.of_minor(max(request.amount.minor // 2, 1), request.amount.currency)
        return before(self, attrs.evolve(request, amount=half))

    before = garden.patch(providers.Gateway, "_perform", perform)


@mutant("adapters")
def a_list_that_leaves_the_last_page_out(garden: Garden) -> None:
    def short(self: Any, since: Any, until: Any, cursor: Any) -> Any:
        page = before(self, since, until, cursor)
        return attrs.evolve(page, notices=page.notices[1:])

    before = garden.patch(providers.Provider, "list", short)
