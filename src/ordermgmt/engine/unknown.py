"""What is safe when nobody knows whether a request was executed: the decision table.

With age = now − first sent, T = how long the provider remembers a key less a margin, W = how long a request may
still arrive late:

    provider has                 age < T                                   age ≥ T
    key and lookup               look; not there → same key again          look; not there, age > W → a new key
    key, no lookup               same key again                            park
    unique reference             look if it can; not there → same again    the same: references do not expire
    no key, lookup               wait W and the lag, look twice, apart; not there both times → a new key
    neither                      park at once: at most once

A new key needs proof that the old one is dead: it is too old to arrive, and a truthful lookup does not know it.
"""

from __future__ import annotations

from datetime import timedelta

from pendulum import DateTime

from ..values import frozen
from .adapters import Capabilities
from .effects import Intent
from .messages import counted

MARGIN = timedelta(minutes=5)
"""How much earlier than the provider says a key counts as forgotten, at least: clocks differ."""
LOOKS_NEEDED = 2
LOOK_AGAIN_AFTER = timedelta(minutes=1)
JUST_AFTER = timedelta(seconds=1)
"""At the very end of the late window a request may still arrive, so nothing is decided before that has passed."""


@frozen
class Step:
    """What to do with an intent: execute, look, wait, renew (a new key) or park."""

    do: str
    why: str = ""
    until: DateTime | None = None
    """When to come back, for wait."""


EXECUTE = Step("execute")
LOOK = Step("look")


def next_step(intent: Intent, can: Capabilities, now: DateTime) -> Step:
    """The next safe step for an intent that is due."""
    if intent.reference and not intent.doubtful:  # the provider has it and will tell
        return _poll(intent, can, now)
    if not intent.doubtful:
        return EXECUTE
    if can.idempotency == "none":
        if not can.can_look_up:
            return Step(
                "park", "nobody knows whether it was executed, and the provider can neither be asked nor told twice"
            )
        earliest = settled_at(intent, can)
        return LOOK if now >= earliest else Step("wait", "a late request may still arrive", earliest)
    if can.can_look_up:
        return LOOK
    if can.idempotency == "reference" or _remembered(intent, can, now):
        return EXECUTE
    return Step("park", "nobody knows whether it was executed, and the provider has forgotten its key by now")


def not_there(intent: Intent, can: Capabilities, now: DateTime) -> Step:
    """The next safe step after a lookup found nothing."""
    if can.idempotency == "reference":
        return EXECUTE
    dead = settled_at(intent, can)
    if can.idempotency == "key":
        if _remembered(intent, can, now) and not can.remembers_errors:
            return EXECUTE
        if now > dead:
            return Step("renew", f"unknown to the provider {now - intent_sent(intent, now)} after it was sent")
        return Step("wait", "a late request may still arrive", dead + JUST_AFTER)
    if now > dead and intent.looks + 1 >= LOOKS_NEEDED:
        return Step("renew", f"unknown to the provider in {counted(intent.looks + 1, 'lookup')}, the last {now}")
    return Step("wait", "a second lookup must agree", max(dead, now + max(can.lookup_lag, LOOK_AGAIN_AFTER)))


def settled_at(intent: Intent, can: Capabilities) -> DateTime:
    """From when on a lookup is the whole truth about everything that was sent."""
    return (intent.last_sent or intent.planned_at) + can.late_window + can.lookup_lag


def intent_sent(intent: Intent, now: DateTime) -> DateTime:
    """When it was first sent under its present key."""
    return intent.first_sent or now


def _remembered(intent: Intent, can: Capabilities, now: DateTime) -> bool:
    # A request sent now may arrive only after the late window, and must find its key remembered even then.
    return now < intent_sent(intent, now) + can.key_ttl - max(MARGIN, can.late_window)


def _poll(intent: Intent, can: Capabilities, now: DateTime) -> Step:
    if can.can_look_up:
        return LOOK
    if can.idempotency == "key" and _remembered(intent, can, now):
        return EXECUTE
    return Step("wait", "the provider will tell", now + timedelta(hours=6))
