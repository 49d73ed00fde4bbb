"""A second person: asked by a policy, for exactly one command about a thing as it stands, and never the requester."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import (
    AddNote,
    Amendment,
    Approval,
    ApprovalNotNeeded,
    ApprovalOver,
    Approve,
    AsyncOrderManagement,
    CancelOrder,
    CommandIdReused,
    ConfirmOrderChange,
    DeclineApproval,
    Discrepancy,
    DraftOrderChange,
    GrantCredit,
    InvalidInput,
    LineChange,
    ManualClock,
    MoveUnits,
    NamedPolicy,
    NeedsApproval,
    NotAllowed,
    OnAccount,
    OrderManagement,
    PlaceOrder,
    ReceiveStock,
    Refused,
    RejectOrder,
    SamePerson,
    WithdrawApproval,
)
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.stories import card_pays, eur, laws_hold, line, paid_for, rows, snapshot

CREDIT = GrantCredit(order_id="A", amount=eur("7.00"), reason="late")


def large_credits(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    """Credits of 5.00 and more need a second person."""
    if isinstance(command, GrantCredit) and command.amount.minor >= 500:
        return NeedsApproval("a credit of 5.00 or more")
    return None


def cancelled_units(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    if isinstance(command, MoveUnits) and any(move.arrow == "cancel" for move in command.moves):
        return NeedsApproval("goods are let go")
    return None


def changes(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    return NeedsApproval("a change") if isinstance(command, ConfirmOrderChange) else None


def drafted_change(shop: OrderManagement) -> ConfirmOrderChange:
    amendment = Amendment(lines=[LineChange(line_id="1", quantity=4)])
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    shop.handle(DraftOrderChange(change_id="c", order_id="A", amendment=amendment))
    return ConfirmOrderChange(change_id="c")


POLICIES = (NamedPolicy("large credits", large_credits), NamedPolicy("goods let go", cancelled_units))


@pytest.fixture
def guarded(storage: Storage, card: FakePayments, clock: ManualClock) -> OrderManagement:
    shop = OrderManagement(storage=storage, gateways={"card": card}, clock=clock, policies=POLICIES)
    paid_for(shop, "A")
    return shop


@pytest.fixture
def by_two(storage: Storage, card: FakePayments, clock: ManualClock) -> OrderManagement:
    policies = [NamedPolicy("changes", changes)]
    shop = OrderManagement(storage=storage, gateways={"card": card}, clock=clock, policies=policies)
    paid_for(shop, "A")
    return shop


def approved(shop: OrderManagement, command: Any = CREDIT, *, asked_by: str = "ann") -> Approval:
    approval = shop.request_approval(command, by=asked_by, note="parcel was late")
    return shop.handle(Approve(approval_id=approval.approval_id), by="bob")


def test_the_refusal_says_what_to_ask_for(guarded: OrderManagement):
    before = snapshot(guarded)

    with pytest.raises(NeedsApproval, match="request_approval") as no:
        guarded.handle(CREDIT, by="ann")

    assert (no.value.command, no.value.reason) == ("GrantCredit", "a credit of 5.00 or more")
    assert no.value.approval_id.startswith("order.A.")
    assert snapshot(guarded) == before


def test_a_request_says_what_is_asked_by_whom_and_why(guarded: OrderManagement, clock: ManualClock):
    approval = guarded.request_approval(CREDIT, by="ann", note="parcel was late")

    assert (approval.status, approval.requested_by, approval.note) == ("requested", "ann", "parcel was late")
    assert (approval.command, approval.about, approval.reason) == (
        "GrantCredit",
        ("order", "A"),
        "a credit of 5.00 or more",
    )
    assert '"minor":700' in approval.content
    assert approval.expires_at == clock.now() + timedelta(days=1)


def test_waiting_requests_are_found(guarded: OrderManagement):
    approval = guarded.request_approval(CREDIT, by="ann")

    assert guarded.find(Approval, status="requested").items == (approval,)
    assert guarded.find(Approval, about="order/A").items == (approval,)


def test_what_a_second_person_approved_is_done(guarded: OrderManagement):
    approval = approved(guarded)
    assert (approval.status, approval.decided_by) == ("approved", "bob")

    assert guarded.handle(CREDIT, by="ann").credits == 700
    laws_hold(guarded)
    check_all(guarded).require()


def test_its_use_is_recorded_in_the_same_commit(guarded: OrderManagement):
    approval = approved(guarded)
    guarded.handle(CREDIT, by="ann")

    told = [type(one.event).__name__ for one in guarded.history(Approval, approval.approval_id)]
    assert told == ["ApprovalRequested", "ApprovalGiven", "ApprovalUsed"]
    assert guarded.get(Approval, approval.approval_id).status == "used"


def test_nobody_approves_what_they_asked_for(guarded: OrderManagement):
    approval = guarded.request_approval(CREDIT, by="ann")

    with pytest.raises(SamePerson):
        guarded.handle(Approve(approval_id=approval.approval_id), by="ann")


def test_whoever_approved_does_not_do_it_alone(guarded: OrderManagement):
    # Ann's request must not let Bob approve and act by himself.
    approved(guarded)

    with pytest.raises(NeedsApproval) as no:
        guarded.handle(CREDIT, by="bob")

    assert no.value.stands == "given by the one who now asks"


@pytest.mark.parametrize(
    "other",
    [
        GrantCredit(order_id="A", amount=eur("7.01"), reason="late"),
        GrantCredit(order_id="A", amount=eur("7.00"), reason="because"),
        GrantCredit(order_id="B", amount=eur("7.00"), reason="late"),
    ],
    ids=["amount", "reason", "order"],
)
def test_an_approval_is_for_exactly_one_command(guarded: OrderManagement, other: GrantCredit):
    paid_for(guarded, "B")
    approved(guarded)

    with pytest.raises(NeedsApproval) as no:
        guarded.handle(other, by="ann")

    assert no.value.stands == "not asked for"


def test_an_approval_is_worth_nothing_once_the_thing_has_changed(guarded: OrderManagement):
    approved(guarded)
    guarded.handle(AddNote(order_id="A", text="something happened"))

    with pytest.raises(NeedsApproval) as no:
        guarded.handle(CREDIT, by="ann")

    assert no.value.stands == "not asked for"


def test_an_approval_of_a_change_is_worth_nothing_once_its_order_has_moved(by_two: OrderManagement):
    confirm = drafted_change(by_two)
    approved(by_two, confirm)
    by_two.handle(AddNote(order_id="A", text="the customer has called"))

    with pytest.raises(NeedsApproval) as no:
        by_two.handle(confirm, by="ann")

    assert no.value.stands == "not asked for"


def test_an_approved_change_of_an_order_that_has_not_moved_is_confirmed(by_two: OrderManagement):
    confirm = drafted_change(by_two)
    approved(by_two, confirm)

    assert by_two.handle(confirm, by="ann").status == "confirmed"


def test_an_approval_outlives_what_others_buy_of_the_same_goods(by_two: OrderManagement):
    confirm = drafted_change(by_two)
    approved(by_two, confirm)
    paid_for(by_two, "B")

    assert by_two.handle(confirm, by="ann").status == "confirmed"


def test_an_approval_is_used_once(guarded: OrderManagement):
    approved(guarded)
    guarded.handle(CREDIT, by="ann")

    with pytest.raises(NeedsApproval):
        guarded.handle(CREDIT, by="ann")


def test_a_follow_up_that_needs_a_second_person_is_approved_with_its_command(guarded: OrderManagement):
    cancel = CancelOrder(order_id="A")
    with pytest.raises(NeedsApproval) as no:
        guarded.handle(cancel, by="ann")
    assert no.value.command == "CancelOrder"
    approved(guarded, cancel)

    assert guarded.handle(cancel, by="ann").status == "cancelled"


def test_a_command_id_is_not_spent_on_waiting_for_a_second_person(guarded: OrderManagement):
    with pytest.raises(NeedsApproval):
        guarded.handle(CREDIT, by="ann", command_id="c1")
    approved(guarded)

    assert guarded.handle(CREDIT, by="ann", command_id="c1").credits == 700
    assert guarded.handle(CREDIT, by="ann", command_id="c1").credits == 700
    with pytest.raises(CommandIdReused):
        guarded.handle(AddNote(order_id="A", text="x"), by="ann", command_id="c1")


# Other ends.


def decline(shop: OrderManagement, approval: Approval, clock: ManualClock) -> None:
    shop.handle(DeclineApproval(approval_id=approval.approval_id, note="no"), by="bob")


def withdraw(shop: OrderManagement, approval: Approval, clock: ManualClock) -> None:
    shop.handle(WithdrawApproval(approval_id=approval.approval_id), by="ann")


def forget(shop: OrderManagement, approval: Approval, clock: ManualClock) -> None:
    clock.advance(days=1)
    shop.run_due()


End = Callable[[OrderManagement, Approval, ManualClock], None]


@pytest.mark.parametrize(("end", "status"), [(decline, "declined"), (withdraw, "withdrawn"), (forget, "expired")])
def test_what_was_not_approved_is_not_done(guarded: OrderManagement, clock: ManualClock, end: End, status: str):
    end(guarded, guarded.request_approval(CREDIT, by="ann"), clock)

    with pytest.raises(NeedsApproval) as no:
        guarded.handle(CREDIT, by="ann")

    assert no.value.stands == status


@pytest.mark.parametrize("end", [decline, withdraw, forget])
def test_what_has_ended_is_not_approved(guarded: OrderManagement, clock: ManualClock, end: End):
    approval = guarded.request_approval(CREDIT, by="ann")
    end(guarded, approval, clock)

    with pytest.raises((NotAllowed, ApprovalOver)):
        guarded.handle(Approve(approval_id=approval.approval_id), by="bob")


@pytest.mark.parametrize("end", [withdraw, forget])
def test_it_can_be_asked_for_anew(guarded: OrderManagement, clock: ManualClock, end: End):
    end(guarded, guarded.request_approval(CREDIT, by="ann"), clock)

    approved(guarded)

    assert guarded.handle(CREDIT, by="ann").credits == 700


def test_what_was_declined_is_not_asked_of_the_next_person(guarded: OrderManagement, clock: ManualClock):
    decline(guarded, guarded.request_approval(CREDIT, by="ann"), clock)

    with pytest.raises(NeedsApproval, match="declined"):
        guarded.request_approval(CREDIT, by="ann")


def test_an_approval_is_not_used_after_its_time_whether_or_not_a_worker_came(
    guarded: OrderManagement, clock: ManualClock
):
    approval = approved(guarded)
    clock.advance(days=1)

    with pytest.raises(NeedsApproval, match="expired"):
        guarded.handle(CREDIT, by="ann")
    assert guarded.get(Approval, approval.approval_id).status == "approved"
    guarded.run_due()
    assert guarded.get(Approval, approval.approval_id).status == "expired"


def test_a_used_approval_leaves_nothing_to_do(guarded: OrderManagement, clock: ManualClock):
    approved(guarded)
    guarded.handle(CREDIT, by="ann")
    clock.advance(days=2)

    assert guarded.run_due().laters == 0
    assert guarded.find(Discrepancy).items == ()


def test_asking_twice_is_asking_once(guarded: OrderManagement):
    first = guarded.request_approval(CREDIT, by="ann")

    assert guarded.request_approval(CREDIT, by="carl") == first


# Asking for one.


def test_what_needs_no_second_person_is_not_requested(guarded: OrderManagement):
    with pytest.raises(ApprovalNotNeeded, match="GrantCredit"):
        guarded.request_approval(GrantCredit(order_id="A", amount=eur("1.00")))


def test_what_would_be_refused_anyway_is_not_requested(guarded: OrderManagement):
    with pytest.raises(NotAllowed):
        guarded.request_approval(RejectOrder(order_id="A"))


def test_a_command_that_is_approved_has_its_ids():
    def everything(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
        return NeedsApproval("always") if isinstance(command, PlaceOrder) else None

    shop = OrderManagement(
        storage=MemoryStorage(), gateways={"card": FakePayments()}, policies=[NamedPolicy("all", everything)]
    )
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    with pytest.raises(InvalidInput, match="ids"):
        shop.request_approval(PlaceOrder(lines=[line("mug", 1)], pay=card_pays()), by="ann")
    place = PlaceOrder(order_id="N", lines=[line("mug", 1)], pay=card_pays())

    approved(shop, place)

    assert shop.handle(place, by="ann").status == "placed"


@pytest.mark.parametrize("valid_for", [timedelta(0), timedelta(-1), timedelta(days=366), 7, None])
def test_an_approval_is_for_a_time(guarded: OrderManagement, valid_for: Any):
    with pytest.raises(InvalidInput, match="valid_for"):
        guarded.request_approval(CREDIT, by="ann", valid_for=valid_for)


def test_nothing_personal_is_shown_to_whoever_approves(guarded: OrderManagement):
    def notes(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
        return NeedsApproval("notes") if isinstance(command, AddNote) else None

    shop = OrderManagement(storage=guarded.storage, policies=[NamedPolicy("notes", notes)])

    approval = shop.request_approval(AddNote(order_id="A", text="her name is Ann"), by="ann")

    assert "Ann" not in approval.content


def test_shops_without_policies_write_no_approvals(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(CREDIT)

    assert not [key for key in rows(shop) if key[0] == "approval"]


def test_an_async_shop_asks_for_a_second_person_too(clock: ManualClock):
    async def go() -> int:
        shop = AsyncOrderManagement(storage=MemoryStorage(), clock=clock, policies=POLICIES)
        await shop.handle(ReceiveStock(sku="mug", quantity=3))
        await shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=OnAccount()))
        approval = await shop.request_approval(CREDIT, by="ann")
        await shop.handle(Approve(approval_id=approval.approval_id), by="bob")
        return (await shop.handle(CREDIT, by="ann")).credits

    assert asyncio.run(go()) == 700
