"""What is safe when nobody knows: every row of the table in `engine/unknown.py`."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pendulum
import pytest

from ordermgmt.engine.adapters import Capabilities
from ordermgmt.engine.codec import Frozen
from ordermgmt.engine.effects import Intent
from ordermgmt.engine.unknown import next_step, not_there

SENT = pendulum.datetime(2026, 1, 1)
TTL = timedelta(hours=24)
WINDOW = timedelta(minutes=15)
LAG = timedelta(minutes=1)
MINUTE = timedelta(minutes=1)
FRESH = timedelta(minutes=1)
LATE = timedelta(minutes=17)
"""Older than a late request can be, and the lookup's lag."""
OLD = timedelta(hours=25)
"""Older than the provider remembers a key."""

ways = {
    "key and lookup": Capabilities(idempotency="key", lookup="by_key", key_ttl=TTL, late_window=WINDOW, lookup_lag=LAG),
    "key and lookup, errors remembered": Capabilities(
        idempotency="key", lookup="by_key", key_ttl=TTL, late_window=WINDOW, lookup_lag=LAG, remembers_errors=True
    ),
    "key only": Capabilities(idempotency="key", lookup="none", key_ttl=TTL),
    "reference and lookup": Capabilities(idempotency="reference", lookup="by_reference"),
    "reference only": Capabilities(idempotency="reference", lookup="none"),
    "lookup only": Capabilities(idempotency="none", lookup="by_reference", late_window=WINDOW, lookup_lag=LAG),
    "neither": Capabilities(idempotency="none", lookup="none"),
}


def intent(*, doubtful: bool = True, reference: str = "", looks: int = 0, sent: bool = True) -> Intent:
    return Intent(
        effect_id="e",
        kind="Capture",
        port=("gateways", "card"),
        lane="l",
        group="g",
        request=Frozen("Capture", 1, msgspec.Raw(b"{}")),
        key="k",
        status="unknown",
        due=SENT,
        planned_at=SENT,
        doubtful=doubtful,
        reference=reference,
        looks=looks,
        first_sent=SENT if sent else None,
        last_sent=SENT if sent else None,
    )


@pytest.mark.parametrize("way", ways)
@pytest.mark.parametrize("age", [FRESH, LATE, OLD])
def test_what_was_never_in_doubt_is_sent(way: str, age: timedelta):
    assert next_step(intent(doubtful=False), ways[way], SENT + age).do == "execute"


@pytest.mark.parametrize(
    ("way", "fresh", "late", "old"),
    [
        ("key and lookup", "look", "look", "look"),
        ("key and lookup, errors remembered", "look", "look", "look"),
        ("key only", "execute", "execute", "park"),
        ("reference and lookup", "look", "look", "look"),
        ("reference only", "execute", "execute", "execute"),
        ("lookup only", "wait", "look", "look"),
        ("neither", "park", "park", "park"),
    ],
)
def test_what_is_in_doubt(way: str, fresh: str, late: str, old: str):
    steps = [next_step(intent(), ways[way], SENT + age).do for age in (FRESH, LATE, OLD)]
    assert steps == [fresh, late, old]


@pytest.mark.parametrize(
    ("way", "looks", "fresh", "late", "old"),
    [
        ("key and lookup", 0, "execute", "execute", "renew"),
        ("key and lookup, errors remembered", 0, "wait", "renew", "renew"),
        ("reference and lookup", 0, "execute", "execute", "execute"),
        ("lookup only", 0, "wait", "wait", "wait"),
        ("lookup only", 1, "wait", "renew", "renew"),
    ],
)
def test_what_a_lookup_did_not_find(way: str, looks: int, fresh: str, late: str, old: str):
    steps = [not_there(intent(looks=looks), ways[way], SENT + age).do for age in (FRESH, LATE, OLD)]
    assert steps == [fresh, late, old]


@pytest.mark.parametrize(
    ("way", "fresh", "old"),
    [
        ("key and lookup", "look", "look"),
        ("key only", "execute", "wait"),
        ("reference and lookup", "look", "look"),
        ("reference only", "wait", "wait"),
        ("lookup only", "look", "look"),
        ("neither", "wait", "wait"),
    ],
)
def test_what_the_provider_has_taken_on_is_polled(way: str, fresh: str, old: str):
    taken = intent(doubtful=False, reference="r")
    assert [next_step(taken, ways[way], SENT + age).do for age in (FRESH, OLD)] == [fresh, old]


def test_a_wait_ends_when_no_request_can_arrive_any_more():
    step = next_step(intent(), ways["lookup only"], SENT + FRESH)
    assert step.until == SENT + WINDOW + LAG


def test_a_second_lookup_is_apart_from_the_first():
    now = SENT + LATE
    step = not_there(intent(), ways["lookup only"], now)
    assert step.until is not None
    assert step.until >= now + timedelta(minutes=1)


def test_a_key_is_not_sent_where_it_might_arrive_after_it_was_forgotten():
    can = ways["key only"]
    assert next_step(intent(), can, SENT + TTL - WINDOW - MINUTE).do == "execute"
    assert next_step(intent(), can, SENT + TTL - WINDOW + MINUTE).do == "park"


def test_a_key_counts_as_forgotten_a_little_early_for_clocks_differ():
    can = Capabilities(idempotency="key", lookup="none", key_ttl=TTL, late_window=timedelta(0))
    assert next_step(intent(), can, SENT + TTL - 6 * MINUTE).do == "execute"
    assert next_step(intent(), can, SENT + TTL - 4 * MINUTE).do == "park"


def test_at_the_very_end_of_the_late_window_nothing_is_decided_yet():
    can = ways["key and lookup, errors remembered"]
    end = SENT + WINDOW + LAG
    step = not_there(intent(), can, end)
    assert step.do == "wait"
    assert step.until is not None
    assert step.until > end
    assert not_there(intent(), can, step.until).do == "renew"


def test_whatever_is_parked_says_why():
    for way in ("key only", "neither"):
        assert next_step(intent(), ways[way], SENT + OLD).why


def test_whatever_is_renewed_carries_its_proof():
    assert "unknown to the provider" in not_there(intent(), ways["key and lookup"], SENT + OLD).why
    assert "unknown to the provider" in not_there(intent(looks=1), ways["lookup only"], SENT + OLD).why
