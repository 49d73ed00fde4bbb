"""A contract cannot be weakened in silence: what is changed is refused, and what fails is named with its reason."""

from __future__ import annotations

import inspect

import pytest

from ordermgmt.testing.conformance.carriers import CarrierContract
from ordermgmt.testing.conformance.contract import ContractWeakened
from ordermgmt.testing.conformance.payments import PaymentGatewayContract
from ordermgmt.testing.conformance.storage import StorageContract
from tests.testing.inner import results_of

CONTRACTS = [
    (PaymentGatewayContract, "test_a_key_that_comes_twice_is_executed_once"),
    (CarrierContract, "test_a_label_has_a_tracking_number"),
    (StorageContract, "test_a_conflict_changes_nothing"),
    # Each of these stands in a part that the contract is put together from.
    (PaymentGatewayContract, "test_an_altered_body_is_rejected"),
    (StorageContract, "test_no_increment_is_lost_between_eight_threads"),
    (StorageContract, "test_every_name_must_match"),
]


@pytest.mark.parametrize(("contract", "name"), CONTRACTS)
class TestNothingIsWeakenedInSilence:
    def test_overriding_a_test_is_refused_by_its_name(self, contract, name):
        with pytest.raises(ContractWeakened, match=name):
            type("TestMine", (contract,), {name: lambda self: None})

    def test_taking_a_test_away_is_refused(self, contract, name):
        with pytest.raises(ContractWeakened, match=name):
            type("TestMine", (contract,), {name: None})

    def test_hiding_a_test_behind_another_class_is_refused(self, contract, name):
        weak = type("Weak", (), {name: lambda self: None})
        with pytest.raises(ContractWeakened, match=name):
            type("TestMine", (weak, contract), {})

    def test_overriding_a_test_two_classes_down_is_refused(self, contract, name):
        first = type("TestMine", (contract,), {})
        with pytest.raises(ContractWeakened, match=name):
            type("TestMineToo", (first,), {name: lambda self: None})

    @pytest.mark.parametrize("mark", [pytest.mark.skip, pytest.mark.xfail, pytest.mark.skipif(True, reason="")])
    def test_marking_the_whole_contract_is_refused(self, contract, name, mark):
        with pytest.raises(ContractWeakened, match=r"skip|xfail"):
            type("TestMine", (contract,), {"pytestmark": [mark]})

    def test_a_known_failure_that_is_no_test_is_refused(self, contract, name):
        with pytest.raises(ContractWeakened, match="test_of_yesterday"):
            type("TestMine", (contract,), {"known_failures": {"test_of_yesterday": "it is gone"}})

    def test_a_known_failure_needs_a_reason(self, contract, name):
        with pytest.raises(ContractWeakened, match=name):
            type("TestMine", (contract,), {"known_failures": {name: " "}})

    def test_an_adapters_own_tests_beside_it_are_welcome(self, contract, name):
        mine = type("TestMine", (contract,), {"test_of_my_own": lambda self: None})
        assert vars(mine)["test_of_my_own"] is not None

    def test_a_known_failure_leaves_the_contract_itself_as_it_was(self, contract, name):
        mine = type("TestMine", (contract,), {"known_failures": {name: "as yet"}})
        marks = [mark.name for mark in inspect.getattr_static(mine, name).pytestmark]
        assert "xfail" in marks
        assert "xfail" not in [mark.name for mark in getattr(inspect.getattr_static(contract, name), "pytestmark", ())]


def test_a_known_failure_is_a_strict_xfail():
    name = "test_a_genuine_webhook_tells_what_was_answered"
    results = results_of("known_failures.py", (f"TestFailsAsKnown::{name}", f"TestFailsNoMore::{name}"))
    assert results["TestFailsAsKnown", name] == {"xfailed"}
    assert results["TestFailsNoMore", name] == {"failed"}


def test_what_is_not_claimed_is_reported_and_not_run():
    names = ("test_a_key_that_comes_twice_is_executed_once", "test_a_bad_answer_is_neither_a_yes_nor_a_no")
    results = results_of("known_failures.py", tuple(f"TestClaimsLittle::{name}" for name in names))
    assert [results["TestClaimsLittle", name] for name in names] == [{"skipped"}, {"skipped"}]


def test_the_contract_for_payments_demands_at_least_fifty_things():
    assert len(PaymentGatewayContract.contract_tests) >= 50
