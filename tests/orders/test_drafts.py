"""Drafts and quotes: written down and priced, promised a price for a while, placed at that price or forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    AddNote,
    AdvanceOrder,
    AlreadyExists,
    CancelOrder,
    CancelUnits,
    Command,
    ConfirmOrder,
    DraftOrder,
    EditDraft,
    GrantCredit,
    HoldOrder,
    InvalidInput,
    Item,
    Line,
    ListedItems,
    ManualClock,
    Move,
    MoveUnits,
    NotADraft,
    NotAllowed,
    NotFound,
    NotPlaced,
    NotQuoted,
    OnAccount,
    Order,
    OrderManagement,
    OrderManagementError,
    OutOfStock,
    PaidElsewhere,
    PaymentMismatch,
    PlaceDraft,
    PlaceOrder,
    PlanShipment,
    Quoted,
    QuoteOrder,
    QuoteOver,
    ReceiveStock,
    RejectOrder,
    Reservation,
    UnknownSku,
    WithdrawQuote,
    orders,
)
from ordermgmt.orders.lifecycle import ORDER
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify import check_all
from tests.stories import ANN, card_pays, eur, line, on_the_shelf, place, snapshot, units

WEEK = timedelta(days=7)


def draft(shop: OrderManagement, *lines: Line, **more: Any) -> Order:
    return shop.handle(DraftOrder(order_id="Q", lines=lines or (line("mug", 3),), **more))


def quoted(shop: OrderManagement, *lines: Line, **more: Any) -> Order:
    draft(shop, *lines, **more)
    return shop.handle(QuoteOrder(order_id="Q", valid_for=WEEK))


def take(shop: OrderManagement, **more: Any) -> Order:
    terms: dict[str, Any] = {"pay": card_pays()} | more
    return shop.handle(PlaceDraft(order_id="Q", **terms))


def test_a_draft_is_priced(shop: OrderManagement):
    order = draft(shop, line("mug", 3), line("pen", 2, "1.50"), shipping=eur("4.90"))

    assert (order.status, order.total) == ("draft", eur("37.90"))


def test_a_draft_takes_no_stock_and_no_money(shop: OrderManagement, card: FakePayments):
    shop.handle(ReceiveStock(sku="mug", quantity=3))

    draft(shop)
    shop.settle("Q")

    assert on_the_shelf(shop) == (3, 0, 0)
    assert card.requests == []


def test_a_draft_may_wish_for_what_is_not_there(shop: OrderManagement):
    assert draft(shop, line("mug", 1_000)).status == "draft"


def test_a_placed_draft_is_an_order_like_any_other(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=6))
    wished: dict[str, Any] = {"shipping": eur("4.90"), "customer": "ann", "channel": "web", "reference": "PO 7"}
    place(shop, "A", stock=False, **wished)
    draft(shop, **wished)

    take(shop)

    one, other = shop.settle("A"), shop.settle("Q")
    alike = ("status", "channel", "customer", "charges", "reference", "payment_status", "total", "due", "confirm")
    assert [getattr(one, name) for name in alike] == [getattr(other, name) for name in alike]
    assert [(a.sku, a.units, a.minor) for a in one.lines.values()] == [
        (b.sku, b.units, b.minor) for b in other.lines.values()
    ]


def test_what_lies_on_a_draft_lies_on_the_order(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    draft(shop)
    shop.handle(HoldOrder(order_id="Q", reason="credit limit"))
    shop.handle(AddNote(order_id="Q", text="met at the fair"))

    order = take(shop)

    assert (list(order.holds), len(order.notes)) == (["credit limit"], 1)


def test_the_address_of_a_draft_is_the_order_s(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    draft(shop, ship_to=ANN)

    assert shop.reveal(take(shop).ship_to, type(ANN)) == ANN


def test_a_draft_of_services_is_confirmed_and_performed_when_it_is_placed(clock: ManualClock):
    shop = OrderManagement(storage=MemoryStorage(), items=ListedItems({"visit": Item(kind="service")}), clock=clock)
    draft(shop, line("visit", 2))

    take(shop, pay=OnAccount())

    assert (shop.get(Order, "Q").status, units(shop, "Q")) == ("confirmed", {"delivered": 2})


@pytest.mark.parametrize(
    ("pay", "refusal"),
    [
        (card_pays(), OutOfStock),
        (PaidElsewhere(method="cash", amount=eur("29.99")), PaymentMismatch),
    ],
)
def test_a_draft_that_cannot_be_placed_stays_a_draft(
    shop: OrderManagement, pay: Any, refusal: type[OrderManagementError]
):
    draft(shop)
    before = snapshot(shop)

    with pytest.raises(refusal):
        take(shop, pay=pay)

    assert snapshot(shop) == before


def test_a_draft_is_placed_once(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=6))
    draft(shop)
    take(shop)

    with pytest.raises(NotADraft, match="placed"):
        take(shop)


def test_an_unpaid_placed_draft_expires(shop: OrderManagement, clock: ManualClock):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    draft(shop)
    take(shop, pay_within=timedelta(hours=1), confirm="by_hand")

    clock.advance(hours=1)
    shop.run_due()

    assert (shop.get(Order, "Q").status, on_the_shelf(shop)) == ("expired", (3, 0, 0))


# Editing.


def test_an_edited_draft_is_what_was_said_last(shop: OrderManagement):
    draft(shop, line("mug", 3), shipping=eur("4.90"), customer="ann")

    order = shop.handle(EditDraft(order_id="Q", lines=[line("mug", 2), line("pen", 1)]))

    assert (order.total, order.customer, list(order.lines)) == (eur("30.00"), "", ["1", "2"])


def test_an_edited_address_replaces_the_one_before(shop: OrderManagement):
    draft(shop, ship_to=ANN)
    shop.handle(EditDraft(order_id="Q", lines=[line("mug", 1)], ship_to=ANN))
    moved = ANN.__class__(name="Ann", street="Elsewhere 2", city="Gent", country="BE")

    order = shop.handle(EditDraft(order_id="Q", lines=[line("mug", 1)], ship_to=moved))

    assert shop.reveal(order.ship_to, type(ANN)) == moved


def test_what_lies_on_a_draft_outlives_an_edit(shop: OrderManagement):
    draft(shop)
    shop.handle(HoldOrder(order_id="Q", reason="credit limit"))

    assert list(shop.handle(EditDraft(order_id="Q", lines=[line("mug", 1)])).holds) == ["credit limit"]


def test_history_keeps_what_a_draft_was(shop: OrderManagement):
    draft(shop)
    shop.handle(EditDraft(order_id="Q", lines=[line("mug", 1)]))

    told = [type(one.event).__name__ for one in shop.history(Order, "Q")]

    assert told == ["OrderDrafted", "DraftEdited"]


@pytest.mark.parametrize("stage", ["placed", "cancelled"])
def test_only_drafts_are_edited_quoted_and_placed(shop: OrderManagement, stage: str):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    draft(shop)
    if stage == "placed":
        take(shop)
    else:
        shop.handle(CancelOrder(order_id="Q"))
    before = snapshot(shop)

    for command in (
        EditDraft(order_id="Q", lines=[line("mug", 1)]),
        QuoteOrder(order_id="Q", valid_for=WEEK),
        WithdrawQuote(order_id="Q"),
        PlaceDraft(order_id="Q", pay=OnAccount()),
    ):
        with pytest.raises(NotADraft, match=stage):
            shop.handle(command)

    assert snapshot(shop) == before


def test_an_edit_names_its_draft():
    with pytest.raises(InvalidInput, match="order_id"):
        EditDraft(lines=[line("mug", 1)])


def test_an_unknown_draft_is_not_edited(shop: OrderManagement):
    with pytest.raises(NotFound):
        shop.handle(EditDraft(order_id="nobody", lines=[line("mug", 1)]))


@pytest.mark.parametrize("again", [DraftOrder, PlaceOrder])
def test_an_id_is_drafted_or_placed_once(shop: OrderManagement, again: type[Any]):
    draft(shop)
    more: dict[str, Any] = {"pay": card_pays()} if again is PlaceOrder else {}

    with pytest.raises(AlreadyExists):
        shop.handle(again(order_id="Q", lines=[line("mug", 1)], **more))


def test_a_draft_without_an_id_is_given_one(shop: OrderManagement):
    order = shop.handle(DraftOrder(lines=[line("mug", 1)]))

    assert shop.get(Order, order.order_id) == order


def test_unknown_goods_are_not_drafted():
    shop = OrderManagement(storage=MemoryStorage(), items=ListedItems({}))

    with pytest.raises(UnknownSku):
        draft(shop)


# Nothing is promised yet.


@pytest.mark.parametrize(
    "command",
    [
        CancelUnits(order_id="Q", units={"1": 1}),
        MoveUnits(order_id="Q", moves=[Move("1", "perform", 1)]),
        GrantCredit(order_id="Q", amount=eur("1.00")),
        ConfirmOrder(order_id="Q"),
        RejectOrder(order_id="Q"),
        PlanShipment(shipment_id="s", contents=[("Q", "1", 1)]),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_is_done_about_a_draft_that_needs_a_promise(shop: OrderManagement, command: Command[object]):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    draft(shop)
    before = snapshot(shop)

    with pytest.raises(OrderManagementError) as no:
        shop.handle(command)

    assert isinstance(no.value, NotPlaced | NotAllowed) or "reserved" in str(no.value)
    assert snapshot(shop) == before


def test_a_given_up_draft_is_cancelled(shop: OrderManagement):
    draft(shop)

    order = shop.handle(CancelOrder(order_id="Q", reason="too dear"))

    assert (order.status, shop.get(Order, "Q").count("cancelled")) == ("cancelled", 3)
    with pytest.raises(NotFound):
        shop.get(Reservation, "Q")


# Quotes.


def test_a_quote_says_until_when_its_price_stands(shop: OrderManagement, clock: ManualClock):
    assert quoted(shop).quoted_until == clock.now() + WEEK


def test_a_quoted_price_is_not_edited(shop: OrderManagement):
    quoted(shop)
    before = snapshot(shop)

    with pytest.raises(Quoted):
        shop.handle(EditDraft(order_id="Q", lines=[line("mug", 3, "12.00")]))

    assert snapshot(shop) == before


def test_a_quote_is_placed_at_its_price_until_the_last_moment(shop: OrderManagement, clock: ManualClock):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    price = quoted(shop).total
    clock.advance(seconds=WEEK.total_seconds() - 1)

    assert take(shop).total == price


@pytest.mark.parametrize("worker", [False, True])
def test_a_quote_is_not_placed_when_its_time_is_over(shop: OrderManagement, clock: ManualClock, worker: bool):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    quoted(shop)
    clock.advance(days=7)
    if worker:
        shop.run_due()

    with pytest.raises(NotADraft if worker else QuoteOver):
        take(shop)


def test_a_quote_that_nobody_takes_expires(shop: OrderManagement, clock: ManualClock):
    quoted(shop)
    clock.advance(days=7)

    shop.run_due()

    assert shop.get(Order, "Q").status == "expired"


def test_a_quote_that_was_taken_does_not_expire(shop: OrderManagement, clock: ManualClock):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    quoted(shop)
    take(shop, confirm="by_hand")
    clock.advance(days=8)

    assert shop.run_due().laters == 0
    assert shop.get(Order, "Q").status == "placed"


def test_a_quote_that_was_given_up_leaves_no_reminder(shop: OrderManagement, clock: ManualClock):
    quoted(shop)
    shop.handle(CancelOrder(order_id="Q"))
    clock.advance(days=8)

    assert shop.run_due().laters == 0


def test_a_quote_given_again_until_the_same_moment_is_no_news(shop: OrderManagement):
    quoted(shop)
    before = shop.history(Order, "Q")
    shop.handle(QuoteOrder(order_id="Q", valid_for=WEEK))
    assert shop.history(Order, "Q") == before


def test_a_quote_given_anew_ends_anew(shop: OrderManagement, clock: ManualClock):
    quoted(shop)
    clock.advance(days=5)
    shop.handle(QuoteOrder(order_id="Q", valid_for=WEEK))

    clock.advance(days=5)
    shop.run_due()
    assert shop.get(Order, "Q").status == "draft"
    clock.advance(days=2)
    shop.run_due()

    assert shop.get(Order, "Q").status == "expired"


def test_a_withdrawn_quote_can_be_edited_and_does_not_expire(shop: OrderManagement, clock: ManualClock):
    quoted(shop)
    shop.handle(WithdrawQuote(order_id="Q", reason="wrong price"))
    shop.handle(EditDraft(order_id="Q", lines=[line("mug", 3, "12.00")]))
    clock.advance(days=8)

    assert shop.run_due().laters == 0
    assert shop.get(Order, "Q").total == eur("36.00")


def test_what_is_not_quoted_is_not_withdrawn(shop: OrderManagement):
    draft(shop)

    with pytest.raises(NotQuoted):
        shop.handle(WithdrawQuote(order_id="Q"))


def test_drafts_live_in_a_redrawn_lifecycle(clock: ManualClock):
    # A wholesaler has every draft approved before it is placed.
    approved = ORDER.redrawn(
        remove=[("draft", "place")],
        add=[
            ("draft", "approve", "approved"),
            ("approved", "place", "placed"),
            ("approved", "expire", "expired"),
            ("approved", "cancel", "cancelled"),
        ],
    )
    shop = OrderManagement(
        storage=MemoryStorage(),
        clock=clock,
        capabilities=[one.redrawn(approved) if one is orders else one for one in DEFAULT_CAPABILITIES],
    )
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    quoted(shop)
    with pytest.raises(NotAllowed):
        take(shop, pay=OnAccount())

    shop.handle(AdvanceOrder(order_id="Q", step="approve"))

    assert take(shop, pay=OnAccount()).status == "confirmed"
    check_all(shop).require()
