"""A shop that is put together wrongly, or asked for what cannot be: told in a sentence, and nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pendulum
import pytest

from ordermgmt import (
    Address,
    AnyItem,
    AsyncOrderManagement,
    CheckedAddress,
    Content,
    DraftOrder,
    InvalidInput,
    Item,
    ListedItems,
    ManualClock,
    Misconfigured,
    NotFound,
    OnAccount,
    Order,
    OrderManagement,
    PackShipment,
    PlaceOrder,
    PlanShipment,
    ReceiveStock,
    Tax,
)
from ordermgmt.storage import MemoryStorage, SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import laws_hold, line

SHOPS = [OrderManagement, AsyncOrderManagement]
ANN = Address(name="Ann", street="Quay 1", city="Cork", country="IE")


class Answering:
    """A port of the host's that answers the same to every question."""

    def __init__(self, answer: Any) -> None:
        self.items = self.rates = self.check = lambda asked: answer


def place(**ports: Any) -> tuple[OrderManagement, Callable[[], Order]]:
    shop = OrderManagement(storage=MemoryStorage(), **ports)
    shop.handle(ReceiveStock(sku="mug", quantity=5))
    command = PlaceOrder(order_id="A", lines=[line("mug", 1)], pay=OnAccount(), ship_to=ANN)
    return shop, lambda: shop.handle(command)


STANDARD = ListedItems({"mug": Item(tax_class="standard")})


@pytest.mark.parametrize(
    ("ports", "told"),
    [
        ({"items": Answering(None)}, r"items.items\(skus\) must answer"),
        ({"items": Answering({"mug": 1})}, r"items.items\(skus\) must answer"),
        ({"addresses": Answering("fine")}, r"addresses.check\(address\) must answer"),
        ({"items": STANDARD, "taxes": Answering(5)}, r"taxes.rates\(to\) must answer"),
        ({"items": STANDARD, "taxes": Answering({"standard": Tax("VAT", 19)})}, "no list of taxes for standard"),
        ({"items": STANDARD, "taxes": Answering({"standard": ["19"]})}, "no list of taxes for standard"),
        ({"items": STANDARD, "taxes": Answering({"standard": None})}, "no list of taxes for standard"),
    ],
)
def test_a_port_that_answers_something_else_is_named_and_nothing_changes(ports: dict[str, Any], told: str) -> None:
    shop, placing = place(**ports)
    with pytest.raises(Misconfigured, match=told):
        placing()
    assert len(shop.find(Order)) == 0


def test_tax_rates_may_answer_lists() -> None:
    _, placing = place(items=STANDARD, taxes=Answering({"standard": [Tax("VAT", 19)]}))
    assert placing().lines["1"].parts is not None


@pytest.mark.parametrize("items", [None, ["mug"], {"mug": 1}])
def test_a_catalogue_holds_items(items: Any) -> None:
    with pytest.raises(Misconfigured, match="ListedItems takes"):
        ListedItems(items)


@pytest.mark.parametrize("problems", ["no such street", 7, [7]])
def test_what_is_wrong_with_an_address_is_told_in_sentences(problems: Any) -> None:
    with pytest.raises(InvalidInput, match="a list of sentences"):
        CheckedAddress(problems=problems)


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("storage", [None, "shop.db", MemoryStorage])
def test_a_shop_takes_a_store(shop: Any, storage: Any) -> None:
    with pytest.raises(Misconfigured, match="storage takes a store"):
        shop(storage=storage)


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("argument", ["gateways", "carriers", "ports"])
@pytest.mark.parametrize("adapters", [FakePayments(), [FakePayments()], "card"], ids=["one", "list", "text"])
def test_adapters_are_given_by_their_names(shop: Any, argument: str, adapters: Any) -> None:
    with pytest.raises(Misconfigured, match=f"{argument} takes adapters by their names"):
        shop(storage=MemoryStorage(), **{argument: adapters})


def dhl(order_id: str = "B") -> PlaceOrder:
    return PlaceOrder(order_id=order_id, lines=[line("mug", 1)], pay=OnAccount(), carrier="dhl")


def plan_with_dhl(shop: OrderManagement) -> None:
    shop.handle(attrs.evolve(dhl(), carrier=""))
    shop.handle(PlanShipment(contents=[Content("B", "1", 1)], carrier="dhl"))


ASKED: list[Callable[[OrderManagement], object]] = [
    lambda shop: shop.handle(dhl()),
    lambda shop: shop.handle(DraftOrder(order_id="B", lines=[line("mug", 1)], carrier="dhl")),
    plan_with_dhl,
]


@pytest.mark.parametrize("ask", ASKED, ids=["placing", "drafting", "planning"])
def test_a_carrier_that_is_not_there_is_to_be_given_to_the_shop(ask: Callable[[OrderManagement], object]) -> None:
    shop, _ = place(carriers={"post": FakeCarrier()})
    with pytest.raises(NotFound) as no:
        ask(shop)
    assert str(no.value) == "there is no carrier 'dhl'; check the name, or give the shop one: carriers={'dhl': …}"


def test_a_shop_that_only_sells_need_not_know_who_delivers() -> None:
    shop, _ = place()
    assert shop.handle(dhl()).ship_by == "dhl"
    with pytest.raises(NotFound, match="there is no carrier 'dhl'"):
        shop.handle(PackShipment(shipment_id="B:s1"))


@pytest.mark.parametrize("commands", [None, ReceiveStock(sku="mug", quantity=1), "x"])
def test_many_commands_are_several(commands: Any) -> None:
    with pytest.raises(InvalidInput, match="handle_all takes many commands"):
        next(OrderManagement(storage=MemoryStorage()).handle_all(commands))

    async def first() -> Any:
        return await anext(AsyncOrderManagement(storage=MemoryStorage()).handle_all(commands))

    with pytest.raises(InvalidInput, match="handle_all takes many commands"):
        asyncio.run(first())


@pytest.mark.parametrize(
    "page", [{"limit": None}, {"limit": 0}, {"limit": 10**30}, {"limit": True}, {"after": 1}, {"after": ("a",)}]
)
def test_stuck_effects_are_read_in_pages(page: dict[str, Any]) -> None:
    effects = OrderManagement(storage=MemoryStorage()).effects
    with pytest.raises(InvalidInput):
        effects.parked(**page)
    if "limit" in page:
        with pytest.raises(InvalidInput):
            effects.due(**page)


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("argument", ["capabilities", "reactions", "policies", "observers"])
@pytest.mark.parametrize("given", [None, 7, "text"])
def test_what_there_are_several_of_is_given_as_a_list(shop: Any, argument: str, given: Any) -> None:
    with pytest.raises(Misconfigured, match=f"{argument} takes a list"):
        shop(storage=MemoryStorage(), **{argument: given})


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("argument", ["deadline", "lease"])
@pytest.mark.parametrize("span", [None, 30, timedelta(0), timedelta(seconds=-1)])
def test_spans_are_timedeltas_above_zero(shop: Any, argument: str, span: Any) -> None:
    with pytest.raises(Misconfigured, match=f"{argument} takes a timedelta above zero"):
        shop(storage=MemoryStorage(), **{argument: span})


@pytest.mark.parametrize("path", [None, 7, b"shop.db", MemoryStorage()])
def test_a_file_is_given_by_its_path(path: Any) -> None:
    with pytest.raises(Misconfigured, match="takes the path of a file"):
        SqliteStorage(path)


@pytest.mark.parametrize(
    ("gateway", "headers", "body"), [(None, {}, b""), ("card", None, b""), ("card", [], b""), ("card", {}, "text")]
)
def test_a_webhook_comes_with_headers_and_bytes_for_a_named_gateway(gateway: Any, headers: Any, body: Any) -> None:
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()})
    with pytest.raises(InvalidInput):
        shop.receive_webhook(gateway, headers, body)
    assert not shop.feed()


@pytest.mark.parametrize(
    ("argument", "wrong", "told"),
    [
        ("gateways", {"card": FakePayments}, "objects with a method execute"),
        ("gateways", {"card": object()}, "objects with a method execute"),
        ("carriers", {"parcel": None}, "objects with a method execute"),
        ("items", {"mug": Item()}, "ListedItems"),
        ("items", {}, "ListedItems"),
        ("items", AnyItem, "ListedItems"),
        ("taxes", {"standard": {}}, "TaxTable"),
        ("addresses", print, "a method check"),
        ("clock", ManualClock, "a method now"),
        ("clock", pendulum.now, "a method now"),
        ("ids", object(), "a method new"),
        ("reactions", [print], r"\[\*on\("),
        ("reactions", [()], r"\[\*on\("),
    ],
)
def test_a_part_of_another_kind_is_refused_when_the_shop_is_made(argument: str, wrong: Any, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        OrderManagement(storage=MemoryStorage(), **{argument: wrong})


class Telling:
    """A clock of the host's that stands still."""

    def __init__(self, now: Any) -> None:
        self.now = lambda: now


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 10, 25, 7, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        pendulum.datetime(2026, 10, 25, 10, 30, tz="Asia/Tokyo"),
    ],
    ids=lambda now: str(now.tzinfo),
)
def test_a_clock_may_tell_the_time_of_any_zone(now: datetime) -> None:
    shop, placed = place(clock=Telling(now))
    assert placed().placed_at.isoformat() == "2026-10-25T01:30:00+00:00"
    assert {one.at.isoformat() for one in shop.history(Order, "A")} == {"2026-10-25T01:30:00+00:00"}
    assert shop.run_due().sent == 0
    laws_hold(shop)


@pytest.mark.parametrize("now", [datetime(2026, 1, 1), pendulum.naive(2026, 1, 1), "2026-01-01", 1.0, None])  # noqa: DTZ001
def test_a_clock_that_tells_no_zone_is_named_and_nothing_happens(now: Any) -> None:
    shop = OrderManagement(storage=MemoryStorage(), clock=Telling(now))
    with pytest.raises(Misconfigured, match="Telling is of no use: the time must"):
        shop.handle(ReceiveStock(sku="mug", quantity=5))
    assert shop.feed() == []
