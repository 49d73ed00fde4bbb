"""The front door: how a shop is put together, read, and worked, by the words in its class."""

from __future__ import annotations

import inspect
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pendulum
import pytest

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    AdvanceOrder,
    AsyncOrderManagement,
    CancelOrder,
    ConfirmOrder,
    HandOverShipment,
    Intent,
    InvalidInput,
    ManualClock,
    ManualIds,
    Misconfigured,
    NotAllowed,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    PackShipment,
    Payment,
    PlaceOrder,
    ReceiveStock,
    RecordAuthorisation,
    Refund,
    Reservation,
    Shipment,
    Stock,
    StorageFailed,
    orders,
    stock,
)
from ordermgmt.orders.lifecycle import ORDER
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import arrived, card_pays, eur, laws_hold, line, paid_for, place, sent

# Put together.


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"lease": timedelta(seconds=30)}, "the lease must be longer than the deadline"),
        ({"capabilities": (*DEFAULT_CAPABILITIES, stock)}, "two capabilities have the kind 'stock'"),
        (
            {"capabilities": (*DEFAULT_CAPABILITIES, attrs.evolve(stock, kind="shelf"))},
            "two capabilities have the state",
        ),
    ],
)
def test_a_shop_that_is_put_together_wrongly_says_what_is_wrong(given: dict[str, Any], complaint: str):
    with pytest.raises(Misconfigured, match=complaint):
        OrderManagement(storage=MemoryStorage(), **given)


@pytest.mark.parametrize("given", [{"actor": ""}, {"gateways": {"": FakePayments()}}, {"carriers": {"a\nb": None}}])
def test_names_in_a_shop_are_text(given: dict[str, Any]):
    with pytest.raises(InvalidInput):
        OrderManagement(storage=MemoryStorage(), **given)


def test_both_front_doors_have_the_same_words():
    def words(cls: type[Any]) -> dict[str, list[str]]:
        methods = inspect.getmembers(cls, lambda member: callable(member) or isinstance(member, property))
        return {
            name: [] if isinstance(member, property) else list(inspect.signature(member).parameters)
            for name, member in methods
            if not name.startswith("_")
        }

    assert words(OrderManagement) == words(AsyncOrderManagement)
    opened = [inspect.signature(cls.__init__).parameters.keys() for cls in (OrderManagement, AsyncOrderManagement)]
    assert opened[0] == opened[1]


def test_a_shop_is_closed_behind_its_block():
    with OrderManagement(storage=MemoryStorage()) as shop:
        shop.handle(ReceiveStock(sku="mug", quantity=1))

    with pytest.raises(StorageFailed):
        shop.get(Stock, ("mug", "main"))


def test_a_clock_and_ids_of_the_hosts_own_are_used():
    clock = ManualClock(pendulum.datetime(2030, 5, 1))
    shop = OrderManagement(storage=MemoryStorage(), clock=clock, ids=ManualIds("order"), actor="till 3")
    shop.handle(ReceiveStock(sku="mug", quantity=1))

    order = shop.handle(PlaceOrder(lines=[line("mug", 1)], pay=OnAccount()))

    first = shop.history(Order, "order-1")[0]
    assert (order.order_id, order.placed_at, first.by) == ("order-1", pendulum.datetime(2030, 5, 1), "till 3")


# Read.


@pytest.mark.parametrize(
    ("state", "key"),
    [
        (Order, "A"),
        (Payment, "A:1"),
        (Shipment, "A:s1"),
        (Reservation, "A"),
        (Refund, "A:r1"),
        (Stock, ("mug", "main")),
    ],
)
def test_what_is_not_there_is_not_found(shop: OrderManagement, state: type[Any], key: Any):
    with pytest.raises(NotFound):
        shop.get(state, key)
    assert shop.history(state, key) == []
    assert shop.find(state).items == ()


def test_an_answer_comes_a_page_at_a_time(shop: OrderManagement):
    shop.handle_many([ReceiveStock(sku=f"sku-{n:02d}", quantity=1) for n in range(25)])

    pages = [shop.find(Stock, limit=10)]
    while pages[-1].next is not None:
        pages.append(shop.find(Stock, limit=10, after=pages[-1].next))

    assert [len(page) for page in pages] == [10, 10, 5]
    assert [one.sku for page in pages for one in page] == [f"sku-{n:02d}" for n in range(25)]


def test_a_page_reads_like_a_list(shop: OrderManagement):
    shop.handle_many([ReceiveStock(sku=sku, quantity=1) for sku in "abc"])

    page = shop.find(Stock)

    assert (len(page), page[0].sku, [one.sku for one in page[1:]], page[-1] in page) == (3, "a", ["b", "c"], True)


def test_several_indexes_are_searched_together(shop: OrderManagement):
    place(shop, "A", channel="web")
    paid_for(shop, "B", channel="web")
    paid_for(shop, "C", channel="till")

    found = shop.find(Order, channel="web", payment_status="authorised", fulfilment_status="unfulfilled")

    assert [order.order_id for order in found] == ["B"]


def test_orders_to_be_worked_on_are_found_by_their_state(shop: OrderManagement):
    """'Paid and not shipped' is a question every shop asks."""
    paid_for(shop, "to-send", pay=card_pays(sale=True))
    sent(shop, "sent")
    arrived(shop, "done")

    found = shop.find(Order, payment_status="paid", fulfilment_status="unfulfilled")

    assert [order.order_id for order in found] == ["to-send"]
    assert [order.order_id for order in shop.find(Order, complete="yes")] == ["done"]


def test_a_history_tells_everything_in_order(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=3))
    shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 3)], pay=OnAccount()), by="ann", command_id="checkout-1")

    told = shop.history(Order, "A")

    assert [one.version for one in told] == list(range(1, len(told) + 1))
    assert {(one.kind, one.id, one.by, one.command_id) for one in told} == {("order", "A", "ann", "checkout-1")}
    assert [type(one.event).__name__ for one in told][:3] == ["OrderPlaced", "UnitsMoved", "OrderConfirmed"]
    assert len({one.hash for one in told}) == len(told)


def test_a_feed_tells_everybodys_history_and_skips_nothing(shop: OrderManagement):
    paid_for(shop, "A")
    paid_for(shop, "B")

    whole = shop.feed()
    pages = list[Any]()
    while page := shop.feed(pages[-1].position if pages else 0, limit=3):
        pages.extend(page)

    assert pages == whole
    assert [one.position for one in whole] == list(range(1, len(whole) + 1))
    assert [one for one in whole if (one.kind, one.id) == ("order", "A")] == shop.history(Order, "A")


def test_a_long_history_is_read_to_its_end(shop: OrderManagement):
    shop.handle_many([ReceiveStock(sku="mug", quantity=1) for _ in range(1_100)])

    assert len(shop.history(Stock, ("mug", "main"))) == 1_100


# Work.


def test_settling_does_one_orders_work_and_no_others(shop: OrderManagement, card: FakePayments):
    place(shop, "A")
    place(shop, "B")

    shop.settle("A")

    assert [request.order_id for request in card.requests] == ["A"]
    assert shop.get(Order, "B").payment_status == "pending"


def test_a_worker_does_everybodys_work_and_says_what_it_did(shop: OrderManagement, card: FakePayments):
    place(shop, "A")
    place(shop, "B", pay=card_pays("tok_decline_me"))

    report = shop.run_due()

    assert (report.sent, report.succeeded, report.failed) == (2, 1, 1)
    assert "2 calls: 1 succeeded, 1 failed" in str(report)
    assert shop.run_due().sent == 0


def test_an_order_nobody_knows_is_not_settled(shop: OrderManagement):
    with pytest.raises(NotFound):
        shop.settle("nobody")


# Lifecycles that a host has redrawn.


def checking() -> list[Any]:
    """Between placed and confirmed, somebody checks the order."""
    drawn = ORDER.redrawn(
        remove=[("placed", "confirm")], add=[("placed", "check", "checked"), ("checked", "confirm", "confirmed")]
    )
    return [one.redrawn(drawn) if one is orders else one for one in DEFAULT_CAPABILITIES]


def test_a_step_that_the_host_drew_is_taken_and_the_order_goes_on_from_there():
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, capabilities=checking())
    assert paid_for(shop, "A").status == "placed"

    order = shop.handle(AdvanceOrder(order_id="A", step="check", note="known customer"))

    assert order.status == "confirmed", "it was paid for, so the policy confirms it as soon as it may"
    assert [type(one.event).__name__ for one in shop.history(Order, "A")][-3:] == [
        "OrderAdvanced",
        "OrderConfirmed",
        "ShipmentNoted",
    ]
    laws_hold(shop)


def test_a_removed_arrow_is_refused():
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, capabilities=checking())
    paid_for(shop, "A")

    with pytest.raises(NotAllowed) as no:
        shop.handle(ConfirmOrder(order_id="A"))

    assert "check" in no.value.allowed


@pytest.mark.parametrize("step", ["confirm", "cancel", "fly"])
def test_only_the_hosts_own_steps_can_be_walked_by_name(step: str):
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, capabilities=checking())
    paid_for(shop, "A")

    with pytest.raises(InvalidInput, match="drawn: check"):
        shop.handle(AdvanceOrder(order_id="A", step=step))


def test_a_store_with_a_status_that_is_not_drawn_any_more_is_not_opened():
    storage = MemoryStorage()
    shop = OrderManagement(storage=storage, gateways={"card": FakePayments()}, capabilities=checking())
    place(shop, "A", confirm="by_hand")
    shop.handle(AdvanceOrder(order_id="A", step="check"))

    with pytest.raises(Misconfigured, match=r"the store holds orders that are checked.*moved="):
        OrderManagement(storage=storage)


def test_a_status_that_was_moved_is_read_as_where_it_stands_now():
    storage = MemoryStorage()
    before = OrderManagement(storage=storage, gateways={"card": FakePayments()}, capabilities=checking())
    place(before, "A", confirm="by_hand")
    before.handle(AdvanceOrder(order_id="A", step="check"))
    drawn = ORDER.redrawn(moved={"checked": "placed"})
    capabilities = [one.redrawn(drawn) if one is orders else one for one in DEFAULT_CAPABILITIES]

    shop = OrderManagement(storage=storage, gateways={"card": FakePayments()}, capabilities=capabilities)

    assert shop.handle(ConfirmOrder(order_id="A")).status == "confirmed"
    laws_hold(shop)


# One file, several shops.


def test_two_shops_on_one_file_see_each_others_work(tmp_path: Path):
    card = FakePayments()
    first, second = (
        OrderManagement(storage=SqliteStorage(tmp_path / "shop.db"), gateways={"card": card}) for _ in range(2)
    )
    place(first, "A")

    assert second.settle("A").status == "confirmed"
    assert first.get(Order, "A").payment_status == "authorised"
    for shop in (first, second):
        shop.close()


def test_a_shop_opened_again_goes_on_where_it_was(tmp_path: Path):
    card = FakePayments()
    with OrderManagement(storage=SqliteStorage(tmp_path / "shop.db"), gateways={"card": card}) as shop:
        place(shop, "A")
    with OrderManagement(storage=SqliteStorage(tmp_path / "shop.db"), gateways={"card": card}) as shop:
        assert shop.settle("A").payment_status == "authorised"
        laws_hold(shop)


def test_work_for_an_adapter_that_is_gone_waits_and_news_goes_on():
    storage = MemoryStorage()
    place(OrderManagement(storage=storage, gateways={"card": FakePayments()}), "A")

    shop = OrderManagement(storage=storage)
    report = shop.run_due()
    shop.handle(RecordAuthorisation(payment_id="A:1", order_id="A", transaction_id="t", amount=eur("30.00"), ask=1))

    assert (report.sent, report.waiting) == (0, 1)
    assert shop.find(Intent)[0].reason == "this shop has no adapter 'card' among its gateways"
    assert shop.get(Order, "A").payment_status == "authorised"


# The whole story, told by the design.


def test_the_story_of_the_design_reads_as_it_is_written():
    pay, carrier = FakePayments(), FakeCarrier()
    shop = OrderManagement(
        storage=MemoryStorage(),
        actor="webshop",
        gateways={"card": pay},
        carriers={"parcel": carrier},
        chance=random.Random(1),
    )
    shop.handle(ReceiveStock(sku="mug", location="main", quantity=10))
    shop.handle(PlaceOrder(order_id="A-1", lines=[line("mug", 2, "9.50")], pay=card_pays(), carrier="parcel"))
    assert shop.settle("A-1").payment_status == "authorised"
    assert shop.get(Stock, ("mug", "main")).available == 8

    shop.handle(PackShipment(shipment_id="A-1:s1"))
    shop.settle("A-1")
    shop.handle(HandOverShipment(shipment_id="A-1:s1"))
    assert shop.settle("A-1").paid == eur("19.00")

    shop.handle(PlaceOrder(order_id="A-2", lines=[line("mug", 1)], pay=card_pays()))
    shop.handle(CancelOrder(order_id="A-2"))
    assert shop.settle("A-2").payment_status == "not_due"
    assert pay.captured == 1900
    assert (pay.asked_twice, pay.refusals) == ([], [])
    laws_hold(shop)
