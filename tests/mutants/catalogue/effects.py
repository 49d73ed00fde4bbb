"""Effects: asking the outside world exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import attrs

from ordermgmt.engine import drivers, effect_rules, operating, unknown, working
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
    Outcome,
    Pending,
    RetryLater,
    SettleEffect,
    Succeeded,
    Unknown,
    idempotency_key,
)
from tests.mutants.planting import Garden, mutant


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
            yield from effect_rules._settle(command, state, seen, at)

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
    garden.patch(effect_rules, "ATTEMPTS_MAX", 10**9)


@mutant("effects")
def the_next_attempt_is_next_year(garden: Garden) -> None:
    garden.patch(effect_rules, "backoff", lambda attempts, jitter: timedelta(days=365))


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
        sensible = isinstance(answer, Outcome) or type(answer) is not object
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

    before = garden.patch(effect_rules, "_settled", settled)


@mutant("effects")
def a_webhook_is_acknowledged_and_not_stored(garden: Garden) -> None:
    def receive(self: Any, port: Any, notices: Any) -> Any:
        return []
        yield

    garden.patch(operating.Operator, "receive", receive)


@mutant("effects")
def a_parked_effect_gives_no_reason(garden: Garden) -> None:
    garden.evolve("effect", EffectParked, lambda inner: lambda s, e: changed(inner(s, e), reason=""))
