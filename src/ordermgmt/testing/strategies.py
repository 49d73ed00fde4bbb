"""Hypothesis strategies for what an order system is told: amounts, SKUs, lines, orders, facts, next commands and news.

Small values come first, so that what fails shrinks to a story one can read.  Import this module by its name:
`ordermgmt.testing` itself needs no hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ..engine.messages import Command, News
from ..management import OrderManagement
from ..money import Money, UnitPrice
from ..orders.entry import Line, OnAccount, PaidElsewhere, PayNow, PlaceOrder, Tender
from ..orders.model import Order
from ..orders.prices import cost
from ..payments.model import FACT_KINDS, Fact
from ..pricing.terms import Discount, Surcharge, Tax
from .next_steps import askable, reportable

TOKEN = "tok_visa"  # noqa: S105 - a token to play with
DECLINED = "tok_decline"


def money(currency: str = "EUR", *, minimum: int = 0, maximum: int = 100_000) -> SearchStrategy[Money]:
    """Amounts in whole minor units, small ones first."""
    return st.integers(minimum, maximum).map(lambda minor: Money.of_minor(minor, currency))


def skus(names: Sequence[str] = ("cup", "hat", "pen")) -> SearchStrategy[str]:
    """SKUs of a small shop, so that orders meet on the same stock."""
    return st.sampled_from(list(names))


def unit_prices(currency: str = "EUR") -> SearchStrategy[UnitPrice]:
    """Prices that round: whole cents, thirds, and nothing at all."""
    return st.sampled_from(["10.00", "3.333333", "0.01", "0"]).map(lambda text: UnitPrice(text, currency))


def taxes() -> SearchStrategy[tuple[Tax, ...] | None]:
    """None, one, or two of which one is on the other; rates that round."""
    both = (Tax("VAT", 19), Tax("local", "0.875", compound=True))
    return st.sampled_from([None, (), both[:1], both])


def discounts(currency: str = "EUR", *, of_an_order: bool = False) -> SearchStrategy[tuple[Discount, ...]]:
    """None or one: a percentage that rounds, or an amount that may be more than there is."""
    on = "everything" if of_an_order else "lines"
    amount = Discount("welcome", amount=Money.of_minor(700, currency), on=on)
    return st.sampled_from([(), (Discount("a third off", percent="33.3333", on=on),), (amount,)])


def lines(
    sku: SearchStrategy[str] | None = None, *, quantity_max: int = 4, currency: str = "EUR"
) -> SearchStrategy[list[Line]]:
    """One to three lines; the same SKU may stand on several."""
    line = st.builds(
        Line,
        sku=skus() if sku is None else sku,
        quantity=st.integers(1, quantity_max),
        unit_price=unit_prices(currency),
    )
    return st.lists(line, min_size=1, max_size=3)


@st.composite
def orders(
    draw: st.DrawFn,
    *,
    order_id: str | None = None,
    sku: SearchStrategy[str] | None = None,
    gateways: Sequence[str] = ("card",),
    carriers: Sequence[str] = ("",),
    currency: str = "EUR",
    priced: bool = True,
) -> PlaceOrder:
    """Orders that are paid exactly: by one tender or two, on account or elsewhere.

    Every second one is nothing but prices; the others have taxes, discounts and charges, unless `priced` is False.
    """
    entry = PlaceOrder(
        order_id=order_id,
        lines=draw(lines(sku, currency=currency)),
        shipping=Money.of_minor(draw(st.sampled_from([0, 490])), currency),
        pay=OnAccount(days=30),
        carrier=draw(st.sampled_from(list(carriers))),
        confirm=draw(st.sampled_from(["when_authorised", "at_once", "by_hand"])),
    )
    how = draw(st.sampled_from(["card", "sale", "two tenders", "declined", "on account", "elsewhere"]))
    gateway = draw(st.sampled_from(list(gateways)))
    if priced and draw(st.booleans()):
        entry = draw(_with_taxes_and_discounts(entry, currency))
    total = cost(entry).minor
    pay: Any = PayNow([Tender(gateway, token=DECLINED if how == "declined" else TOKEN, sale=how == "sale")])
    if how == "on account":
        pay = entry.pay
    elif how == "elsewhere" and total:
        pay = PaidElsewhere(method="cash", amount=Money.of_minor(total, currency))
    elif how == "two tenders" and total > 1:
        first = Money.of_minor(draw(st.integers(1, total - 1)), currency)
        rest = Tender(gateway, token=TOKEN)
        pay = PayNow([Tender(gateway, token=TOKEN, amount=first, sale=draw(st.booleans())), rest])
    return attrs.evolve(entry, pay=pay)


@st.composite
def _with_taxes_and_discounts(draw: st.DrawFn, entry: PlaceOrder, currency: str) -> PlaceOrder:
    """The same order with more to its prices."""
    lowest = st.sampled_from([None, None, UnitPrice("2.00", currency)])
    wanted = [
        attrs.evolve(line, taxes=draw(taxes()), discounts=draw(discounts(currency)), minimum_price=draw(lowest))
        for line in entry.lines
    ]
    shipping = entry.shipping if isinstance(entry.shipping, Money) else Money.zero(currency)
    fee = Surcharge("fee", Money.of_minor(150, currency), taxes=draw(taxes()))
    return attrs.evolve(
        entry,
        lines=wanted,
        shipping=Surcharge("shipping", shipping, taxes=draw(taxes())),
        adjustments=(*draw(discounts(currency, of_an_order=True)), *draw(st.sampled_from([(), (fee,)]))),
        prices=draw(st.sampled_from(["inclusive", "exclusive"])),
        rounding=draw(st.sampled_from(["standard", "vendure", "unit", "invoice"])),
    )


def commands(shop: OrderManagement, *, limit: int = 20) -> SearchStrategy[Command[Any]]:
    """What may be asked next of one of the shop's first orders: mostly what is allowed now, so that runs reach ends."""
    return _one_of([one for order in shop.find(Order, limit=limit) for one in askable(shop, order.order_id)])


def news(shop: OrderManagement, *, limit: int = 20) -> SearchStrategy[News[Any]]:
    """News about one of the shop's first orders, true or not: repeated, contradicting, too early and too late."""
    return _one_of([one for order in shop.find(Order, limit=limit) for one in reportable(shop, order.order_id)])


def _one_of(messages: Sequence[Any]) -> SearchStrategy[Any]:
    return st.sampled_from(messages) if messages else st.nothing()


def facts(currency: str = "EUR", *, kinds: Sequence[str] = FACT_KINDS, maximum: int = 1000) -> SearchStrategy[Fact]:
    """What a provider may report of one payment; few transaction ids, so that they repeat and contradict."""
    return st.builds(
        Fact,
        kind=st.sampled_from(list(kinds)),
        transaction_id=st.integers(1, 6).map(lambda n: f"txn-{n}"),
        minor=st.integers(1, maximum),
        currency=st.just(currency),
    )


__all__ = [
    "commands",
    "discounts",
    "facts",
    "lines",
    "money",
    "news",
    "orders",
    "skus",
    "taxes",
    "unit_prices",
]
