"""What may be asked of an order, and why not: tried without saving, so that it is as true as a refusal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import define

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    Allowances,
    Approve,
    AsyncOrderManagement,
    CancelOrder,
    ConfirmOrder,
    DraftOrder,
    GrantCredit,
    HoldOrder,
    InvalidInput,
    Misconfigured,
    NamedPolicy,
    NeedsApproval,
    NotAllowed,
    NotFound,
    OnAccount,
    OnHold,
    OrderManagement,
    OrderManagementError,
    PackShipment,
    PlaceOrder,
    Policies,
    ReceiveStock,
    Refused,
    Stock,
    orders,
)
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.testing.next_steps import askable
from tests.laws.redrawing import REVIEWED
from tests.stories import arrived, eur, line, paid_for, place, sent, snapshot


@define
class Closed(Refused):
    """The shop is closed; come back on Monday."""

    @property
    def message(self) -> str:
        return "the shop is closed; come back on Monday"


class TooLate(Refused):
    """It is too late for that."""


def closed(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    """Nothing is cancelled on Sundays.

    Not even by mail.
    """
    return Closed() if isinstance(command, CancelOrder) else None


def too_late(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    return TooLate() if isinstance(command, CancelOrder | ConfirmOrder) else None


def second_person(command: Any, state: Any, seen: Any, at: Any) -> Refused | None:
    return NeedsApproval("money") if isinstance(command, GrantCredit) else None


CLOSED, TOO_LATE = NamedPolicy("closed on Sundays", closed), NamedPolicy("too late", too_late)
SECOND = NamedPolicy("second person", second_person)


def shop_with(*policies: NamedPolicy, **more: Any) -> OrderManagement:
    return OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, policies=policies, **more)


def test_it_says_of_every_command_whether_it_is_allowed(shop: OrderManagement):
    paid_for(shop, "A")

    verdicts = shop.allowed("A")

    assert {"CancelOrder", "PackShipment", "GrantCredit", "HoldOrder", "AddNote"} <= set(verdicts.allowed)
    assert {one.name for one in verdicts} > set(verdicts.allowed)
    assert all(one.reasons for one in verdicts if not one.allowed)


def test_asking_changes_nothing(shop: OrderManagement):
    paid_for(shop, "A")
    before = snapshot(shop)

    shop.allowed("A")

    assert snapshot(shop) == before


@pytest.mark.parametrize(
    "stage", ["draft", "placed", "confirmed", "held", "packed", "shipped", "delivered", "cancelled"]
)
def test_it_is_as_true_as_what_then_happens(stage: str):
    def at_stage() -> OrderManagement:
        shop = shop_with()
        if stage == "draft":
            shop.handle(DraftOrder(order_id="A", lines=[line("mug", 3)]))
        elif stage == "placed":
            place(shop, "A", confirm="by_hand")
        elif stage in ("shipped", "delivered"):
            (sent if stage == "shipped" else arrived)(shop, "A")
        else:
            paid_for(shop, "A")
        if stage == "packed":
            shop.handle(PackShipment(shipment_id="A:s1"))
        if stage == "held":
            shop.handle(HoldOrder(order_id="A", reason="doubts"))
        if stage == "cancelled":
            shop.handle(CancelOrder(order_id="A"))
        return shop

    for verdict in at_stage().allowed("A"):
        (answer,) = at_stage().handle_many([verdict.example])
        told = [(type(reason), str(reason)) for reason in verdict.reasons]
        happened = [(type(answer), str(answer))] if isinstance(answer, OrderManagementError) else []
        assert told == happened, verdict.name


def test_a_refusal_says_what_would_help(shop: OrderManagement):
    paid_for(shop, "A")
    shop.handle(HoldOrder(order_id="A", reason="doubts"))

    (verdict,) = shop.allowed("A").of("PackShipment")

    assert isinstance(verdict.reasons[0], OnHold)
    assert verdict.advice == ("release it (ReleaseHold)",)


def test_a_missing_arrow_says_which_way_leads_there(shop: OrderManagement):
    shop.handle(DraftOrder(order_id="A", lines=[line("mug", 3)]))

    (verdict,) = shop.allowed("A").of("ConfirmOrder")

    assert verdict.advice == ("it is drawn from placed: first place",)


def test_a_missing_arrow_says_when_no_way_leads_there_any_more(shop: OrderManagement):
    paid_for(shop, "A")

    (verdict,) = shop.allowed("A").of("RejectOrder")

    assert isinstance(verdict.reasons[0], NotAllowed)
    assert verdict.advice == ("nothing any more: it is drawn from placed, and no way leads back there",)


def test_every_policy_is_heard_and_then_the_rule():
    shop = shop_with(CLOSED, TOO_LATE)
    place(shop, "A")
    shop.settle("A")

    (verdict,) = shop.allowed("A").of("ConfirmOrder")
    assert [type(reason) for reason in verdict.reasons] == [TooLate, NotAllowed]
    (verdict,) = shop.allowed("A").of("CancelOrder")

    assert [type(reason) for reason in verdict.reasons] == [Closed, TooLate]
    assert verdict.advice == ("come back on Monday", "It is too late for that.")


def test_it_knows_whether_a_second_person_has_approved():
    shop = shop_with(SECOND)
    paid_for(shop, "A")
    (verdict,) = shop.allowed("A", by="ann").of("GrantCredit")
    assert isinstance(verdict.reasons[0], NeedsApproval)

    approval = shop.request_approval(verdict.example, by="ann")
    shop.handle(Approve(approval_id=approval.approval_id), by="bob")

    assert shop.allowed("A", by="ann").of("GrantCredit")[0].allowed
    assert not shop.allowed("A", by="bob").of("GrantCredit")[0].allowed


def test_a_second_person_is_one_reason_among_others():
    shop = shop_with(SECOND, NamedPolicy("no credits", lambda c, *_: TooLate() if isinstance(c, GrantCredit) else None))
    paid_for(shop, "A")

    (verdict,) = shop.allowed("A").of("GrantCredit")

    assert {type(reason) for reason in verdict.reasons} == {TooLate, NeedsApproval}


def test_steps_of_the_host_s_own_are_listed_each():
    reviewed = [one.redrawn(REVIEWED) if one is orders else one for one in DEFAULT_CAPABILITIES]
    shop = shop_with(capabilities=reviewed)
    place(shop, "A")

    assert shop.allowed("A").of("AdvanceOrder(review)")[0].allowed


def test_it_lists_every_command_that_a_random_test_would_ask(shop: OrderManagement):
    # What can be asked of an order, but for what needs to be found first: goods to move, a parcel to plan, money owed.
    needs_more = {"MoveUnits", "PlanShipment", "CommitReservation", "PutAwayStock", "RequestRefund"}
    shop.handle(DraftOrder(order_id="Q", lines=[line("mug", 3)]))
    paid_for(shop, "A")
    for order_id in ("Q", "A"):
        listed = {type(one.example).__name__ for one in shop.allowed(order_id)}
        wanted = {type(one).__name__ for one in askable(shop, order_id)} - needs_more - {"EditDraft"}
        assert wanted <= listed


def test_it_prints_as_a_table():
    shop = shop_with(CLOSED)
    paid_for(shop, "A")

    told = str(shop.allowed("A"))

    assert "order A\n" in told
    assert "  CancelOrder       no: the shop is closed\n                      → come back on Monday" in told
    assert "  AddNote           allowed" in told
    assert max(map(len, told.splitlines())) <= 110


def test_an_order_that_is_not_there_is_not_found(shop: OrderManagement):
    with pytest.raises(NotFound):
        shop.allowed("nobody")
    with pytest.raises(InvalidInput):
        shop.allowed("no such id")


def test_an_async_shop_answers_the_same():
    async def go() -> Allowances:
        shop = AsyncOrderManagement(storage=MemoryStorage(), policies=[CLOSED])
        await shop.handle(ReceiveStock(sku="mug", quantity=3))
        await shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=OnAccount()))
        with pytest.raises(NotFound):
            await shop.allowed("nobody")
        return await shop.allowed("A")

    shop = shop_with(CLOSED)
    place(shop, "A", pay=OnAccount())

    assert str(asyncio.run(go())) == str(shop.allowed("A"))


# The list of policies.


def test_a_shop_shows_its_policies():
    shop = shop_with(CLOSED, TOO_LATE)

    assert shop.policies.names == ("closed on Sundays", "too late")
    assert str(shop.policies) == "1. closed on Sundays  Nothing is cancelled on Sundays.\n2. too late"
    assert str(shop_with().policies) == "no policies"


def test_a_policy_is_replaced_in_its_place_by_its_name():
    mild = NamedPolicy("closed on Sundays", lambda *_: None)

    policies = shop_with(CLOSED, TOO_LATE).policies.having(mild, SECOND)

    assert list(policies) == [mild, TOO_LATE, SECOND]
    shop = shop_with(*policies.without("too late", "second person"))
    place(shop, "A")
    assert shop.handle(CancelOrder(order_id="A")).status == "cancelled"


@pytest.mark.parametrize("answer", [True, False, "no", 0, Refused, ValueError("no")], ids=repr)
def test_a_policy_that_answers_no_refusal_is_named_and_nothing_changes(answer: Any):
    wrong = NamedPolicy("office hours", lambda command, state, seen, at: answer)
    shop = OrderManagement(storage=MemoryStorage(), policies=[wrong])

    with pytest.raises(Misconfigured, match="policy 'office hours' must answer None, or a refusal"):
        shop.handle(ReceiveStock(sku="mug", quantity=1))
    assert len(shop.find(Stock)) == 0


def test_a_policy_that_is_not_there_is_not_left_out():
    with pytest.raises(NotFound, match="nothing"):
        Policies([CLOSED]).without("nothing")


@pytest.mark.parametrize(
    "policies",
    [
        [CLOSED, CLOSED],
        [CLOSED, NamedPolicy("closed on Sundays", too_late)],
        ["closed"],
        [NamedPolicy("", closed)],
        [NamedPolicy(" padded ", closed)],
        [NamedPolicy("none", None)],  # type: ignore[arg-type]  # on purpose
        7,
    ],
)
def test_policies_that_cannot_be_told_apart_or_asked_are_refused_when_the_shop_is_built(policies: Any):
    with pytest.raises(Misconfigured):
        OrderManagement(storage=MemoryStorage(), policies=policies)


def test_a_credit_is_only_an_example(shop: OrderManagement):
    paid_for(shop, "A")

    assert shop.allowed("A").of("GrantCredit")[0].example == GrantCredit(order_id="A", amount=eur("0.01"))
