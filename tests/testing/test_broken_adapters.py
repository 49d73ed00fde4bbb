"""The contract rejects broken adapters, each by the test that names its bug.  With ``-s`` it prints the table."""

from __future__ import annotations

import re

import pytest

from tests.testing.inner import CASES, results_of

REJECTED_BY = {
    "TestInventsAKeyPerTry": "test_a_key_that_comes_twice_is_executed_once",
    "TestIgnoresKeys": "test_a_key_that_comes_twice_is_executed_once",
    "TestCutsKeysShort": "test_payments_of_the_same_amount_are_different_deeds",
    "TestRetriesWithAnotherKey": "test_a_lost_answer_is_neither_a_yes_nor_a_no",
    "TestRemembersKeysItself": "test_a_key_that_comes_many_times_at_once_is_executed_once",
    "TestAnswersDeclinedOnATimeOut": "test_no_answer_at_all_means_that_nobody_knows",
    "TestTakesALostAnswerForAYes": "test_a_lost_answer_is_neither_a_yes_nor_a_no",
    "TestSaysCertainlyNotExecutedOnATimeOut": "test_a_lost_answer_is_neither_a_yes_nor_a_no",
    "TestTakesABadAnswerForANo": "test_a_bad_answer_is_neither_a_yes_nor_a_no",
    "TestBelievesEvery200": "test_a_bad_answer_is_neither_a_yes_nor_a_no",
    "TestBelievesAnyRetryAfter": "test_a_wait_that_the_provider_asks_for_is_a_sane_span",
    "TestTakesEveryCurrencyForOneWithTwoDecimals": "test_the_provider_holds_the_exact_amount_in_every_currency",
    "TestReusesTransactionIds": "test_every_deed_has_a_transaction_id_of_its_own",
    "TestLosesCentsInFloats": "test_small_and_large_amounts_are_exact",
    "TestTellsOneCurrencyForAll": "test_amounts_are_exact_in_every_currency",
    "TestVoidsTheRestOfAPartialCapture": "test_after_a_partial_capture_the_rest_is_still_there",
    "TestIgnoresRefunds": "test_what_is_reported_is_what_the_provider_did",
    "TestDoesSomethingElseThanAVoid": "test_what_is_reported_is_what_the_provider_did",
    "TestClaimsALimitThatNobodyKeeps": "test_more_than_is_authorised_is_not_captured",
    "TestLooksUpByAskingAgain": "test_a_lookup_executes_nothing",
    "TestSaysNotThereWithinALagItDoesNotDeclare": "test_not_there_is_true_as_soon_as_the_lag_is_over",
    "TestTakesAFailedLookupForNotThere": "test_a_lookup_that_fails_proves_nothing",
    "TestFindsWhatWasNeverAsked": "test_a_lookup_does_not_know_what_was_never_asked",
    "TestVerifiesNothing": "test_an_altered_body_is_rejected",
    "TestVerifiesAfterParsing": "test_a_webhook_is_verified_before_it_is_read",
    "TestVerifiesOtherBytes": "test_an_altered_body_is_rejected",
    "TestAcceptsOldWebhooks": "test_an_old_webhook_is_rejected",
    "TestAcceptsWebhooksFromTheFuture": "test_a_webhook_from_the_future_is_rejected",
    "TestAcceptsAnEmptySignature": "test_a_missing_or_empty_signature_is_rejected",
    "TestKnowsOneSecretOnly": "test_a_webhook_signed_with_any_live_secret_is_accepted",
    "TestReadsTheFirstOfABatch": "test_all_of_a_batch_is_told",
    "TestReadsHeadersInOneCaseOnly": "test_the_names_of_headers_are_read_in_any_case",
    "TestMakesUpEventIds": "test_the_same_deed_has_the_same_event_id_each_time",
    "TestReadsTheFirstPageOnly": "test_a_list_tells_every_deed_once_over_all_pages",
    "TestTellsARowOfTheLastPageAgain": "test_a_list_tells_every_deed_once_over_all_pages",
    "TestBlocksPastTheDeadline": "test_it_answers_or_raises_before_the_deadline",
    "TestLeaksItsSecretInAnException": "test_no_secret_is_shown",
    "TestLeaksTheCustomersToken": "test_no_token_of_a_customer_is_shown_in_an_exception",
    "TestShowsItsSecretInItsRepr": "test_no_secret_is_shown",
    "TestTurnsTlsChecksOffForAll": "test_it_changes_nothing_around_it",
    "TestConfiguresLoggingForAll": "test_it_changes_nothing_around_it",
    "TestAnswersNothing": "test_what_it_answers_is_an_outcome",
}


GOOD = "TestTheGoodOne"
CHOSEN = tuple(f"{name}::{test}" for name, test in REJECTED_BY.items())
OF_THE_GOOD = tuple(f"{GOOD}::{test}" for test in sorted(set(REJECTED_BY.values())))


def told(name: str, test: str) -> set[str]:
    """What became of a test of a case.  Each adapter is put to the test that names its bug, and the good one to all."""
    return results_of("broken_payments.py", CHOSEN + OF_THE_GOOD)[name, test]


@pytest.mark.parametrize("name", REJECTED_BY)
def test_a_broken_adapter_is_rejected_by_the_test_that_names_its_bug(name: str):
    assert "failed" in told(name, REJECTED_BY[name])


@pytest.mark.parametrize("test", sorted(set(REJECTED_BY.values())))
def test_the_good_one_is_not_rejected_by_any_of_them(test: str):
    assert told(GOOD, test) <= {"passed", "skipped"}


def test_every_broken_adapter_is_listed():
    cases = (CASES / "broken_payments.py").read_text(encoding="utf-8")
    assert set(re.findall(r"^class (Test\w+)", cases, re.MULTILINE)) - {GOOD} == set(REJECTED_BY)


def test_the_table_of_broken_adapters():
    width = max(map(len, REJECTED_BY))
    print()
    for name, by in REJECTED_BY.items():
        print(f"{name:{width}}  {by}")
    assert len(REJECTED_BY) >= 15
