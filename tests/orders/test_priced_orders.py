"""Orders with taxes, discounts and charges: frozen when they are placed, and given back to the cent."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ordermgmt import (
    AmendOrder,
    AsyncOrderManagement,
    CancelOrder,
    CancelUnits,
    CurrencyMismatch,
    Discount,
    DraftOrder,
    GrantCredit,
    InvalidInput,
    Item,
    ListedItems,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PaymentMismatch,
    PlaceDraft,
    PlaceOrder,
    ReceiveStock,
    Surcharge,
    Tax,
    TaxTable,
    Tender,
    UnknownTaxClass,
)
from ordermgmt.orders.amendment import Amendment, LineChange
from ordermgmt.orders.messages import OrderPlaced, PayNow
from ordermgmt.orders.reckoning import due
from ordermgmt.pricing import PRESETS, NotGiven, Parts
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from ordermgmt.verify.prices import price_laws
from tests.stories import ANN, arrived, card_pays, eur, laws_hold, line, paid_for, place, sent, snapshot

VAT, REDUCED = Tax("VAT", 20), Tax("VAT", 10)
POST = Surcharge("shipping", eur("5.00"), taxes=[VAT])
"""6.00 with tax, where prices are told without."""


def three_mugs(shop: OrderManagement, **more: Any) -> Order:
    """3 × 10.00 less 10 %, plus 20 %: 32.40; and 6.00 for the post."""
    terms: dict[str, Any] = {"prices": "exclusive", "shipping": POST, "pay": card_pays(sale=True)} | more
    mugs = line("mug", 3, taxes=[VAT], discounts=[Discount("summer", percent=10)])
    return paid_for(shop, "A", mugs, **terms)


# Placing.


def test_an_order_costs_its_prices_less_discounts_plus_taxes_and_charges(shop: OrderManagement):
    order = three_mugs(shop)

    assert (order.lines["1"].minor, [charge.minor for charge in order.charges]) == (3240, [600])
    assert (order.total, order.due, order.paid) == (eur("38.40"), eur("38.40"), eur("38.40"))


def test_an_order_explains_every_cent(shop: OrderManagement):
    order = three_mugs(shop)

    assert order.explain().total == order.due
    assert str(order.explain()).splitlines() == [
        "line 1    3 × mug at 10.00 EUR  30.00",
        "          summer                -3.00",
        "          VAT 20 %               5.40",
        "shipping                         5.00",
        "          VAT 20 %               1.00",
        "─────────────────────────────────────────",
        "due                             38.40 EUR",
    ]


def test_an_order_of_prices_alone_explains_itself_too(shop: OrderManagement):
    order = place(shop, "A", line("mug", 2), shipping=eur("4.90"))

    assert [(one.about, one.minor) for one in order.explain().entries] == [("line 1", 2000), ("shipping", 490)]
    assert order.pricing is None


def test_two_charges_of_one_name_are_explained_as_two(shop: OrderManagement):
    twice = [Surcharge("gift wrap", eur("2.00")), Surcharge("gift wrap", eur("3.00"))]
    told = str(place(shop, "A", line("mug", 1), adjustments=twice).explain()).splitlines()

    assert [one.split() for one in told[1:3]] == [["gift", "wrap", "2.00"], ["gift", "wrap", "3.00"]]


def test_what_a_lowest_price_kept_from_a_discount_is_told(shop: OrderManagement):
    gift = Discount("gift", amount=eur("25.00"))
    order = place(shop, "A", line("mug", 3, minimum_price=eur("8.00")), adjustments=[gift])

    assert order.pricing is not None
    assert (order.total, order.pricing.not_given) == (eur("24.00"), (NotGiven("gift", 1900, ("1",)),))
    assert str(order.explain()).splitlines()[-1] == "not given of gift: 19.00 EUR: 1 at the lowest price"


def test_a_preset_is_named_and_kept_with_the_order(shop: OrderManagement):
    order = place(shop, "A", line("mug", 1, taxes=[VAT]), rounding="vendure")

    assert order.pricing is not None
    assert (order.pricing.rounding, order.pricing.inclusive) == (PRESETS["vendure"], True)


def test_a_tender_must_pay_the_total_with_tax(shop: OrderManagement):
    pay = PayNow([Tender("card", token="tok", amount=eur("10.00"))])

    with pytest.raises(PaymentMismatch) as no:
        place(shop, "A", line("mug", 1, taxes=[VAT]), prices="exclusive", pay=pay)

    assert no.value.total == eur("12.00")


@pytest.mark.parametrize(
    ("terms", "refusal"),
    [
        ({"adjustments": [Surcharge("allowance", eur("-10.01"))]}, InvalidInput),
        ({"adjustments": [Discount("off", amount=Money("1.00", "USD"))]}, CurrencyMismatch),
        ({"adjustments": [Discount("off", percent=1, only=["2"])]}, InvalidInput),
        ({"shipping": Surcharge("shipping", eur("5.00"), tax_class="standard")}, UnknownTaxClass),
        ({"adjustments": [Surcharge("fee", eur("1.00"), tax_class="standard")]}, UnknownTaxClass),
    ],
)
def test_an_order_that_cannot_be_priced_is_refused_as_a_whole(shop: OrderManagement, terms: Any, refusal: Any):
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    before = snapshot(shop)

    with pytest.raises(refusal):
        shop.handle(PlaceOrder(order_id="A", lines=[line("mug", 1)], pay=card_pays(), **terms))

    assert snapshot(shop) == before


def test_shipping_may_not_be_below_zero():
    with pytest.raises(InvalidInput):
        PlaceOrder(lines=[line("mug", 1)], pay=card_pays(), shipping=Surcharge("shipping", eur("-1.00")))


def test_shipping_is_in_the_currency_of_the_order():
    with pytest.raises(CurrencyMismatch):
        PlaceOrder(lines=[line("mug", 1)], pay=card_pays(), shipping=Surcharge("shipping", Money("1.00", "USD")))


def test_an_allowance_is_a_charge_below_zero(shop: OrderManagement):
    order = arrived(shop, "A", line("mug", 2), adjustments=[Surcharge("bottles back", eur("-3.00"))])

    assert (order.total, order.paid, order.complete) == (eur("17.00"), eur("17.00"), True)


def test_a_draft_is_placed_at_the_prices_it_was_drafted_at(shop: OrderManagement):
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    drafted = shop.handle(
        DraftOrder(order_id="A", lines=[line("mug", 1, taxes=[VAT])], prices="exclusive", shipping=POST)
    )
    placed = shop.handle(PlaceDraft(order_id="A", pay=card_pays()))

    assert (drafted.total, placed.total) == (eur("18.00"), eur("18.00"))
    assert str(placed.explain()) == str(drafted.explain())
    assert placed.pricing == drafted.pricing


# Rates.


def a_shop_with_rates(clock: ManualClock, **more: Any) -> OrderManagement:
    items = ListedItems({"mug": Item(tax_class="standard"), "book": Item(tax_class="reduced"), "gift": Item()})
    rates = TaxTable({"standard": {"BE": [Tax("VAT", 21)], "": []}, "reduced": {"BE": [Tax("VAT", 6)]}})
    gateways = {"card": FakePayments(clock=clock)}
    shop = OrderManagement(storage=MemoryStorage(), gateways=gateways, clock=clock, items=items, taxes=rates, **more)
    for sku in ("mug", "book", "gift"):
        shop.handle(ReceiveStock(sku=sku, quantity=9))
    return shop


def order_of(*skus: str, **more: Any) -> PlaceOrder:
    terms: dict[str, Any] = {"pay": card_pays(), "prices": "exclusive", "ship_to": ANN} | more
    terms.setdefault("lines", [line(sku, 1) for sku in skus])
    return PlaceOrder(order_id="A", **terms)


def test_rates_are_found_by_what_is_sold_and_where_it_goes(clock: ManualClock):
    order = a_shop_with_rates(clock).handle(order_of("mug", "book", "gift"))

    assert [one.minor for one in order.lines.values()] == [1210, 1060, 1000]


def test_elsewhere_other_rates_are_found(clock: ManualClock):
    order = a_shop_with_rates(clock).handle(order_of("mug", ship_to=evolve(ANN, country="US")))

    assert order.total == eur("10.00")


def test_a_class_without_a_rate_is_refused_and_never_untaxed(clock: ManualClock):
    with pytest.raises(UnknownTaxClass) as no:
        a_shop_with_rates(clock).handle(order_of("book", ship_to=evolve(ANN, country="US")))

    assert (no.value.classes, no.value.destination) == (("reduced",), "US")


def test_a_line_tells_its_class_or_its_taxes_before_the_item(clock: ManualClock):
    lines = [line("mug", 1, tax_class="reduced"), line("mug", 1, taxes=[])]
    order = a_shop_with_rates(clock).handle(order_of(lines=lines))

    assert [one.minor for one in order.lines.values()] == [1060, 1000]


def test_shipping_has_a_class_too(clock: ManualClock):
    shipping = Surcharge("shipping", eur("10.00"), tax_class="standard")
    order = a_shop_with_rates(clock).handle(order_of("gift", shipping=shipping))

    assert [charge.minor for charge in order.charges] == [1210]


def test_an_awaiting_shop_asks_for_rates_too(clock: ManualClock):
    rates = TaxTable({"standard": {"": [VAT]}})
    shop = AsyncOrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments(clock=clock)}, taxes=rates)

    async def live() -> Order:
        await shop.handle(ReceiveStock(sku="mug", quantity=1))
        mug = line("mug", 1, tax_class="standard")
        return await shop.handle(PlaceOrder(order_id="A", lines=[mug], pay=card_pays(), prices="exclusive"))

    assert asyncio.run(live()).total == eur("12.00")


def test_rates_that_change_afterwards_change_nothing(clock: ManualClock):
    shop = a_shop_with_rates(clock)
    before = shop.handle(order_of("mug"))
    other = OrderManagement(storage=shop.storage, gateways={"card": FakePayments()}, clock=clock)

    assert other.get(Order, "A") == before


# Giving back.


def test_units_cancelled_give_back_their_price_less_discount_plus_tax(shop: OrderManagement):
    three_mugs(shop)
    shop.handle(CancelUnits(order_id="A", units={"1": 1}))
    order = shop.settle("A")

    assert (order.due, order.paid) == (eur("27.60"), eur("27.60"))
    assert [one.minor for one in order.explain().entries if one.kind == "cancelled"] == [-1080]
    assert order.explain().total == order.due


def test_cancelling_the_order_gives_back_everything_and_explains_nothing_is_due(shop: OrderManagement):
    three_mugs(shop)
    shop.handle(CancelOrder(order_id="A"))
    order = shop.settle("A")

    assert (order.due, order.paid, order.payment_status) == (eur("0.00"), eur("0.00"), "refunded")
    assert order.explain().total == eur("0.00")


def test_a_credit_is_told_and_lapses_with_what_it_was_granted_on(shop: OrderManagement):
    three_mugs(shop)
    shop.handle(GrantCredit(order_id="A", amount=eur("10.00")))
    assert shop.settle("A").explain().total == eur("28.40")

    shop.handle(CancelOrder(order_id="A"))

    order = shop.settle("A")
    assert (order.explain().total, order.paid) == (eur("0.00"), eur("0.00"))


def test_an_authorised_order_is_captured_with_its_tax_when_it_is_sent(shop: OrderManagement):
    mugs = line("mug", 3, taxes=[VAT], discounts=[Discount("summer", percent=10)])
    order = sent(shop, "A", mugs, prices="exclusive", shipping=POST)

    assert (order.paid, order.payment_status) == (eur("38.40"), "paid")


@st.composite
def priced_orders(draw: st.DrawFn) -> PlaceOrder:
    taxes = st.sampled_from([(), (VAT,), (REDUCED, Tax("local", "0.875", compound=True))])
    each = Discount("1 each", amount=eur("1"), each=True)
    off = st.sampled_from([(), (Discount("a third", percent="33.3333"),), (each,)])
    prices = st.sampled_from(["9.99", "0.07", "33.33"])
    lines = [
        line(sku, draw(st.integers(1, 4)), draw(prices), taxes=draw(taxes), discounts=draw(off))
        for sku in ("mug", "pen")[: draw(st.integers(1, 2))]
    ]
    ten = Discount("ten", amount=eur("10"), on="everything")
    adjustments = draw(st.sampled_from([(), (ten, Surcharge("fee", eur("2.50"), taxes=[VAT]))]))
    return PlaceOrder(
        order_id="A",
        lines=lines,
        pay=card_pays(sale=True),
        shipping=draw(st.sampled_from([None, POST])),
        adjustments=adjustments,
        prices=draw(st.sampled_from(["inclusive", "exclusive"])),
        rounding=draw(st.sampled_from(sorted(PRESETS))),
    )


@given(priced_orders(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_cancelling_all_units_in_any_order_gives_back_exactly_what_was_paid(placed: PlaceOrder, chance: random.Random):
    clock = ManualClock()
    card = FakePayments(clock=clock)
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": card}, clock=clock)
    for sku in ("mug", "pen"):
        shop.handle(ReceiveStock(sku=sku, quantity=9))
    shop.handle(placed)
    order = shop.settle("A")
    assert order.paid == order.total == order.explain().total
    units = [one.line_id for one in order.lines.values() for _ in range(one.quantity)]
    chance.shuffle(units)
    for line_id in units:
        shop.handle(CancelUnits(order_id="A", units={line_id: 1}))
        order = shop.settle("A")
        assert order.explain().total == order.due == order.paid
    assert order.paid == eur("0.00")
    assert card.accounts["A:1"].kept == 0 if "A:1" in card.accounts else order.total == eur("0.00")
    laws_hold(shop)


# Amending.


def test_a_unit_that_is_added_later_is_taxed_as_its_line_is(shop: OrderManagement):
    place(shop, "A", line("mug", 1, taxes=[VAT]), prices="exclusive")
    shop.settle("A")
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    order = shop.handle(AmendOrder(order_id="A", amendment=Amendment(lines=[LineChange(line_id="1", quantity=2)])))

    assert (order.total, order.explain().total) == (eur("24.00"), eur("24.00"))


def test_a_line_that_is_added_later_is_priced_as_the_order_was(shop: OrderManagement):
    place(shop, "A", line("mug", 1, taxes=[VAT]), prices="exclusive")
    shop.settle("A")
    shop.handle(ReceiveStock(sku="pen", quantity=1))
    pen = line("pen", 1, taxes=[REDUCED], discounts=[Discount("half", percent=50)])
    order = shop.handle(AmendOrder(order_id="A", amendment=Amendment(add=[pen])))

    assert (order.lines["2"].minor, order.total) == (550, eur("17.50"))
    assert order.explain().total == order.due


def test_a_line_that_is_added_later_finds_the_taxes_of_its_class_on_the_order(clock: ManualClock):
    shop = a_shop_with_rates(clock)
    shop.handle(order_of("mug"))
    shop.settle("A")
    order = shop.handle(AmendOrder(order_id="A", amendment=Amendment(add=[line("mug", 1)])))
    assert order.lines["2"].minor == 1210

    with pytest.raises(UnknownTaxClass):
        shop.handle(AmendOrder(order_id="A", amendment=Amendment(add=[line("book", 1)])))


# Stored.


def without(doc: Any, *names: str) -> Any:
    """A document as an older release wrote it."""
    if isinstance(doc, dict):
        return {name: without(value, *names) for name, value in doc.items() if name not in names}
    return [without(one, *names) for one in doc] if isinstance(doc, list) else doc


def test_orders_of_before_there_were_taxes_are_read(shop: OrderManagement):
    place(shop, "A", line("mug", 2), shipping=eur("4.90"))
    codec = shop.assembly.codec
    order = shop.get(Order, "A")
    event = shop.history(Order, "A")[0].event
    assert isinstance(event, OrderPlaced)

    for value in (order, event):
        old = json.dumps(without(json.loads(codec.encode(value)), "parts", "pricing"), separators=(",", ":"))
        assert "parts" not in old
        assert codec.decode(old.encode()) == value


def test_what_was_frozen_is_read_back_as_it_was_written(shop: OrderManagement):
    order = three_mugs(shop)
    codec = shop.assembly.codec

    assert codec.decode(codec.encode(order)) == order
    assert isinstance(order.lines["1"].parts, Parts)
    assert due(order) == sum(one.minor for one in order.explain().entries if not one.included)


# Verified.


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lambda parts: evolve(parts, goods=parts.goods + 1), "price, discounts and taxes make"),
        (lambda parts: evolve(parts, taxes=(evolve(parts.taxes[0], ppm=190_000),)), "their rates make"),
        (lambda parts: evolve(parts, discounts=(evolve(parts.discounts[0], minor=0),)), "takes nothing off"),
    ],
)
def test_a_store_with_a_price_that_does_not_add_up_is_found_out(shop: OrderManagement, what: Any, told: str):
    order = three_mugs(shop)
    mugs = order.lines["1"]
    broken = evolve(order, lines={"1": evolve(mugs, parts=what(mugs.parts))})

    assert list(price_laws(order)) == []
    assert any(law == "M7" and told in finding for law, finding in price_laws(broken))
