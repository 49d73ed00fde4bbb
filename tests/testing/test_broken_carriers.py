"""The contract rejects broken carrier adapters, each by the test that names its bug.  With ``-s``: the table."""

from __future__ import annotations

import re

import pytest

from tests.testing.inner import CASES, results_of

REJECTED_BY = {
    "TestMakesAKeyForEveryCall": "test_a_key_that_comes_twice_buys_one_label",
    "TestTellsOneTrackingNumberForAll": "test_each_parcel_has_a_tracking_number_of_its_own",
    "TestTakesALostAnswerForANo": "test_a_lost_answer_is_neither_a_yes_nor_a_no",
    "TestAnswersNothing": "test_what_it_answers_is_an_outcome",
    "TestBuysAnotherLabelAfterALostAnswer": "test_a_lost_answer_is_neither_a_yes_nor_a_no",
    "TestLooksUpByAskingAgain": "test_a_lookup_buys_nothing",
    "TestFindsNothing": "test_a_lookup_finds_the_label_that_was_bought_and_not_answered",
    "TestFindsWhatWasNeverAsked": "test_a_lookup_does_not_know_what_was_never_asked",
    "TestTakesAParcelNobodyHasSeenForDelivered": "test_a_parcel_nobody_has_seen_is_pending",
    "TestTellsTheLastScanOnly": "test_a_parcel_that_arrived_succeeds_with_all_scans",
    "TestBelievesEveryWebhook": "test_an_altered_webhook_is_rejected",
    "TestShowsItsSecretInItsRepr": "test_no_secret_and_no_address_is_shown",
}
GOOD = "TestTheGoodOne"
CHOSEN = tuple(f"{name}::{test}" for name, test in REJECTED_BY.items())
OF_THE_GOOD = tuple(f"{GOOD}::{test}" for test in sorted(set(REJECTED_BY.values())))


def told(name: str, test: str) -> set[str]:
    """What became of a test of a case.  Each adapter is put to the test that names its bug, and the good one to all."""
    return results_of("broken_carriers.py", CHOSEN + OF_THE_GOOD)[name, test]


@pytest.mark.parametrize("name", REJECTED_BY)
def test_a_broken_carrier_is_rejected_by_the_test_that_names_its_bug(name: str):
    assert "failed" in told(name, REJECTED_BY[name])


@pytest.mark.parametrize("test", sorted(set(REJECTED_BY.values())))
def test_the_good_carrier_is_not_rejected_by_any_of_them(test: str):
    assert told(GOOD, test) <= {"passed", "skipped"}


def test_every_broken_carrier_is_listed():
    cases = (CASES / "broken_carriers.py").read_text(encoding="utf-8")
    assert set(re.findall(r"^class (Test\w+)", cases, re.MULTILINE)) - {GOOD} == set(REJECTED_BY)


def test_the_table_of_broken_carriers():
    width = max(map(len, REJECTED_BY))
    print()
    for name, by in REJECTED_BY.items():
        print(f"{name:{width}}  {by}")
    assert len(REJECTED_BY) >= 12
