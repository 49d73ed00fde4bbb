"""How an order comes in: whose id it has in its channel, who ordered, and where it goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from ordermgmt import (
    Address,
    AsyncOrderManagement,
    BadAddress,
    CancelOrder,
    CheckedAddress,
    DraftOrder,
    EditDraft,
    InvalidInput,
    Line,
    ManualClock,
    OnAccount,
    Order,
    OrderManagement,
    PlaceDraft,
    PlaceOrder,
    QuoteOrder,
    ReceiveStock,
    Reference,
    ReferenceTaken,
    RejectOrder,
)
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.verify import check_all
from tests.stories import ANN, line, place, snapshot

BOB = Address(name="Bob", street="High Street 2", city="York", postal_code="YO1", country="GB")


def ordered(order_id: str, external: str = "", *lines: Line, channel: str = "web") -> PlaceOrder:
    several = lines or (line("mug", 1),)
    return PlaceOrder(order_id=order_id, lines=several, pay=OnAccount(), channel=channel, external=external)


@pytest.fixture
def stocked(shop: OrderManagement) -> OrderManagement:
    shop.handle(ReceiveStock(sku="mug", quantity=100))
    return shop


# References.


def test_an_order_is_found_by_its_channel_s_id(stocked: OrderManagement):
    stocked.handle(ordered("A", "1001"))

    assert [order.order_id for order in stocked.find(Order, channel="web", external="1001")] == ["A"]
    assert stocked.get(Reference, ("web", "1001")).order_id == "A"


def test_an_id_of_a_channel_is_taken_once(stocked: OrderManagement):
    stocked.handle(ordered("A", "1001"))
    before = snapshot(stocked)

    with pytest.raises(ReferenceTaken) as no:
        stocked.handle(ordered("B", "1001"))

    assert (no.value.order_id, no.value.channel, no.value.external) == ("A", "web", "1001")
    assert snapshot(stocked) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("web", "1001"), ("app", "1001")),
        (("web", "1001"), ("web", "1002")),
        (("web", "case"), ("web", "CASE")),
        (("a/b", "c"), ("a", "b/c")),
        (("1.a", "b"), ("1", "a/b")),
        (("web", ""), ("web", "")),
    ],
)
def test_other_ids_and_other_channels_do_not_meet(
    stocked: OrderManagement, one: tuple[str, str], other: tuple[str, str]
):
    stocked.handle(ordered("A", one[1], channel=one[0]))

    assert stocked.handle(ordered("B", other[1], channel=other[0])).order_id == "B"


def test_a_cancelled_order_keeps_its_channel_s_id(stocked: OrderManagement):
    stocked.handle(ordered("A", "1001"))
    stocked.handle(CancelOrder(order_id="A"))

    with pytest.raises(ReferenceTaken):
        stocked.handle(ordered("B", "1001"))


def test_a_line_s_id_is_taken_once_in_a_channel(stocked: OrderManagement):
    stocked.handle(ordered("A", "", line("mug", 1, external="item-7")))

    with pytest.raises(ReferenceTaken) as no:
        stocked.handle(ordered("B", "", line("mug", 1), line("mug", 1, external="item-7")))

    assert (no.value.order_id, no.value.line_id) == ("A", "1")


def test_two_lines_of_one_order_do_not_share_an_id(stocked: OrderManagement):
    with pytest.raises(ReferenceTaken):
        stocked.handle(ordered("A", "", line("mug", 1, external="x"), line("mug", 1, external="x")))


def test_an_order_and_a_line_may_be_called_the_same(stocked: OrderManagement):
    stocked.handle(ordered("A", "7", line("mug", 1, external="7")))

    assert stocked.get(Reference, ("web", "7", "line")).line_id == "1"
    assert stocked.get(Reference, ("web", "7")).line_id == ""


def test_a_draft_takes_its_channel_s_id_and_keeps_it_when_it_is_placed(stocked: OrderManagement):
    stocked.handle(DraftOrder(order_id="Q", lines=[line("mug", 1)], channel="web", external="1001"))
    with pytest.raises(ReferenceTaken):
        stocked.handle(ordered("B", "1001"))

    stocked.handle(EditDraft(order_id="Q", lines=[line("mug", 2)], channel="web", external="1001"))

    assert stocked.handle(PlaceDraft(order_id="Q", pay=OnAccount())).external == "1001"


def test_an_edited_draft_may_exchange_the_ids_of_its_lines(stocked: OrderManagement):
    one, other = line("mug", 1, external="x"), line("mug", 2, external="y")
    stocked.handle(DraftOrder(order_id="Q", lines=[one, other], channel="web"))
    exchanged = [line("mug", 1, external="y"), line("mug", 2, external="x")]
    stocked.handle(EditDraft(order_id="Q", lines=exchanged, channel="web"))

    assert [stocked.get(Reference, ("web", id, "line")).line_id for id in "xy"] == ["2", "1"]


def test_an_edited_draft_does_not_say_an_id_twice(stocked: OrderManagement):
    stocked.handle(DraftOrder(order_id="Q", lines=[line("mug", 1, external="x")], channel="web"))
    twice = [line("mug", 1, external="x"), line("mug", 2, external="x")]

    with pytest.raises(ReferenceTaken) as no:
        stocked.handle(EditDraft(order_id="Q", lines=twice, channel="web"))
    assert (no.value.order_id, no.value.line_id) == ("Q", "1")


def drafted(stocked: OrderManagement) -> None:
    stocked.handle(DraftOrder(order_id="Q", lines=[line("mug", 1, external="x")], channel="web", external="1001"))


def given_up(stocked: OrderManagement, clock: ManualClock) -> None:
    stocked.handle(CancelOrder(order_id="Q"))


def expired(stocked: OrderManagement, clock: ManualClock) -> None:
    stocked.handle(QuoteOrder(order_id="Q", valid_for=timedelta(days=1)))
    clock.advance(days=1)
    stocked.run_due()


def edited(stocked: OrderManagement, clock: ManualClock) -> None:
    stocked.handle(EditDraft(order_id="Q", lines=[line("mug", 1)], channel="web"))


def moved_to_another_channel(stocked: OrderManagement, clock: ManualClock) -> None:
    lines = [line("mug", 1, external="x")]
    stocked.handle(EditDraft(order_id="Q", lines=lines, channel="app", external="1001"))


@pytest.mark.parametrize("end", [given_up, expired, edited, moved_to_another_channel])
def test_what_a_draft_does_not_need_any_more_another_order_may_take(
    stocked: OrderManagement, clock: ManualClock, end: Callable[[OrderManagement, ManualClock], None]
):
    drafted(stocked)
    end(stocked, clock)

    stocked.handle(ordered("B", "1001", line("mug", 1, external="x")))

    assert stocked.get(Reference, ("web", "1001")).order_id == "B"
    assert stocked.get(Reference, ("web", "x", "line")).order_id == "B"
    check_all(stocked).require()


def test_a_rejected_order_keeps_its_channel_s_id(stocked: OrderManagement):
    stocked.handle(attrs.evolve(ordered("A", "1001"), confirm="by_hand"))
    stocked.handle(RejectOrder(order_id="A"))

    with pytest.raises(ReferenceTaken) as no:
        stocked.handle(ordered("B", "1001"))
    assert no.value.order_id == "A"


def test_of_two_orders_in_one_batch_the_second_is_refused(stocked: OrderManagement):
    first, second = stocked.handle_many([ordered("A", "1001"), ordered("B", "1001")])

    assert isinstance(first, Order)
    assert isinstance(second, ReferenceTaken)


def test_a_channel_s_id_is_not_too_long(stocked: OrderManagement):
    with pytest.raises(InvalidInput, match="200"):
        ordered("A", "x" * 201)
    assert stocked.handle(ordered("A", "x" * 200, channel="c" * 500)).order_id == "A"


def test_of_many_who_bring_the_same_id_at_the_same_time_one_is_taken(tmp_path: Path):
    shop = OrderManagement(storage=SqliteStorage(tmp_path / "shop.db"))
    shop.handle(ReceiveStock(sku="mug", quantity=100))
    told = list[Any]()
    ready = threading.Barrier(6)

    def bring(n: int) -> None:
        ready.wait()
        try:
            told.append(shop.handle(ordered(f"A{n}", "1001")))
        except ReferenceTaken as no:
            told.append(no)

    threads = [threading.Thread(target=bring, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (taken,) = [one for one in told if isinstance(one, Order)]
    assert [one.order_id for one in told if isinstance(one, ReferenceTaken)] == [taken.order_id] * 5
    assert len(shop.find(Order)) == 1
    shop.close()


# Who ordered.


@pytest.mark.parametrize(("customer", "subject"), [("ann", "ann"), ("", "order:A")])
def test_addresses_are_forgotten_with_their_person(shop: OrderManagement, customer: str, subject: str):
    order = place(shop, "A", customer=customer, ship_to=ANN, bill_to=BOB)
    assert (shop.reveal(order.ship_to, Address), shop.reveal(order.bill_to, Address)) == (ANN, BOB)

    assert shop.erase(subject) == 2

    assert shop.reveal(order.ship_to, Address) is None
    assert shop.reveal(order.bill_to, Address) is None


def test_a_guest_is_found_by_nobody_s_name(shop: OrderManagement):
    place(shop, "A")
    place(shop, "B", customer="ann")

    assert [order.order_id for order in shop.find(Order, customer="ann")] == ["B"]


def test_orders_are_found_by_their_channel(stocked: OrderManagement):
    stocked.handle(ordered("A", channel="web"))
    stocked.handle(ordered("B", channel="fair"))

    assert [order.order_id for order in stocked.find(Order, channel="fair")] == ["B"]


# The validator of addresses.


class Validator:
    """Knows no street of York, and writes cities in capitals."""

    def __init__(self) -> None:
        self.asked = list[Address]()

    def check(self, address: Address) -> CheckedAddress:
        self.asked.append(address)
        if address.city == "York":
            return CheckedAddress(problems=("no such street",))
        if address.city == "GENT":
            return CheckedAddress()
        return CheckedAddress(address=attrs.evolve(address, city=address.city.upper()))


def validated() -> tuple[OrderManagement, Validator]:
    validator = Validator()
    shop = OrderManagement(storage=MemoryStorage(), addresses=validator)
    shop.handle(ReceiveStock(sku="mug", quantity=100))
    return shop, validator


def entry(kind: type[Any], **addresses: Address) -> Any:
    more: dict[str, Any] = {"pay": OnAccount()} if kind is PlaceOrder else {}
    more |= addresses
    return kind(order_id="A", lines=[line("mug", 1)], **more)


@pytest.mark.parametrize("kind", [PlaceOrder, DraftOrder])
@pytest.mark.parametrize("which", ["ship_to", "bill_to"])
def test_an_order_to_a_bad_address_is_refused_with_the_reason(kind: type[Any], which: str):
    shop, _ = validated()
    before = snapshot(shop)

    with pytest.raises(BadAddress, match="no such street") as no:
        shop.handle(entry(kind, **{which: BOB}))

    assert (no.value.which, no.value.problems) == (which, ("no such street",))
    assert snapshot(shop) == before


def test_a_corrected_address_is_the_one_that_is_kept():
    shop, _ = validated()

    order = shop.handle(entry(PlaceOrder, ship_to=ANN))

    kept = shop.reveal(order.ship_to, Address)
    assert kept == attrs.evolve(ANN, city="BRUXELLES")


def test_an_address_that_is_right_is_kept_as_it_is():
    shop, _ = validated()
    right = attrs.evolve(ANN, city="GENT")

    assert shop.reveal(shop.handle(entry(PlaceOrder, bill_to=right)).bill_to, Address) == right


def test_nobody_is_asked_about_no_address():
    shop, validator = validated()

    shop.handle(entry(PlaceOrder))

    assert validator.asked == []


def test_an_async_shop_asks_it_too():
    validator = Validator()
    shop = AsyncOrderManagement(storage=MemoryStorage(), addresses=validator)

    async def go() -> None:
        with pytest.raises(BadAddress):
            await shop.handle(DraftOrder(order_id="A", lines=[line("mug", 1)], ship_to=BOB))
        await shop.handle(DraftOrder(order_id="A", lines=[line("mug", 1)], ship_to=ANN))

    asyncio.run(go())

    assert validator.asked == [BOB, ANN]
