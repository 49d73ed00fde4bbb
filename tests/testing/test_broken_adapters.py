"""The contracts reject broken adapters, blocking and awaited, each by the test that names its bug.

With ``-s`` it prints the table.
"""

from __future__ import annotations

import re

import pytest

from tests.testing.inner import CASES, results_of

REJECTED_BY = {
    "broken_payments.py": {
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
    },
    "broken_carriers.py": {
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
    },
}
"""Cases of a module, and the test of the contract by which each is rejected."""

GOOD = "TestTheGoodOne"
BROKEN = [(module, name, test) for module, cases in REJECTED_BY.items() for name, test in cases.items()]
ASKED = sorted({(module, test) for module, _, test in BROKEN})
FORMS = pytest.mark.parametrize("awaited", [False, True], ids=["blocking", "awaited"])


def told(module: str, name: str, test: str, *, awaited: bool) -> set[str]:
    """What became of a test of a case.  Each adapter is put to the test that names its bug, and the good one to all."""
    chosen = [f"{name}::{test}" for name, test in REJECTED_BY[module].items()]
    chosen += [f"{GOOD}::{test}" for test in sorted(set(REJECTED_BY[module].values()))]
    return results_of(module, tuple(chosen), awaited=awaited)[name, test]


@FORMS
@pytest.mark.parametrize(("module", "name", "test"), BROKEN, ids=[name for _, name, _ in BROKEN])
def test_a_broken_adapter_is_rejected_by_the_test_that_names_its_bug(module: str, name: str, test: str, awaited: bool):
    assert "failed" in told(module, name, test, awaited=awaited)


@FORMS
@pytest.mark.parametrize(("module", "test"), ASKED)
def test_the_good_one_is_not_rejected_by_any_of_them(module: str, test: str, awaited: bool):
    assert told(module, GOOD, test, awaited=awaited) <= {"passed", "skipped"}


@pytest.mark.parametrize("module", REJECTED_BY)
def test_every_broken_adapter_is_listed(module: str):
    cases = (CASES / module).read_text(encoding="utf-8")
    assert set(re.findall(r"^class (Test\w+)", cases, re.MULTILINE)) - {GOOD} == set(REJECTED_BY[module])


def test_the_table_of_broken_adapters():
    width = max(len(name) for _, name, _ in BROKEN)
    print()
    for _, name, test in BROKEN:
        print(f"{name:{width}}  {test}")
    assert len(REJECTED_BY["broken_payments.py"]) >= 15
    assert len(REJECTED_BY["broken_carriers.py"]) >= 12
