"""Prices as a merchant tells them: what a discount, a tax and a rounding do, one claim at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from ordermgmt import CurrencyMismatch, InvalidInput, Money, UnitPrice
from ordermgmt.money import AMOUNT_MINOR_MAX, AmountTooLarge, InvalidAmount
from ordermgmt.pricing import (
    PRESETS,
    Destination,
    Discount,
    Goods,
    NotGiven,
    Parts,
    Priced,
    RoundingPolicy,
    Surcharge,
    Tax,
    TaxTable,
    price,
)
from ordermgmt.pricing.model import tax_of

VAT = (Tax("VAT", 19),)


def eur(amount: str) -> Money:
    return Money(amount, "EUR")


def goods(unit_price: str, quantity: int = 1, **more: Any) -> Goods:
    return Goods(unit_price=UnitPrice(unit_price, "EUR"), quantity=quantity, **more)


def priced(*lines: Goods, adjustments: Any = (), **more: Any) -> Priced:
    return price(lines, currency="EUR", adjustments=adjustments, **more)


# Where tax is rounded.


@pytest.mark.parametrize(
    ("tax_at", "tax"),
    [
        ("unit", 6),  # 0.10 at 19 % is 0.019: 2 cents on each of three
        ("line", 6),  # 0.30: 5.7 cents
        ("order", 11),  # 0.60: 11.4 cents
    ],
)
def test_tax_is_rounded_for_each_unit_each_line_or_once(tax_at: str, tax: int) -> None:
    lines = [goods("0.10", 3, taxes=VAT)] * (2 if tax_at == "order" else 1)
    assert priced(*lines, prices="exclusive", rounding=RoundingPolicy(tax_at=tax_at)).tax.minor == tax


def test_units_and_lines_round_differently() -> None:
    line = goods("0.10", 10, taxes=VAT)
    assert [priced(line, prices="exclusive", rounding=name).tax.minor for name in ("unit", "standard")] == [20, 19]


def test_a_discounted_unit_is_taxed_as_it_is_sold() -> None:
    # 10 cents off 3 × 1.00: units of 0.97, 0.97 and 0.96, each with its own tax of 9.7, 9.7 and 9.6 cents.
    line = goods("1.00", 3, taxes=[Tax("VAT", 10)], discounts=[Discount("off", amount=eur("0.10"))])
    assert priced(line, prices="exclusive", rounding="unit").tax.minor == 30
    assert priced(line, prices="exclusive").tax.minor == 29


def test_an_invoice_spreads_its_tax_over_the_lines_that_have_it() -> None:
    result = priced(*[goods("0.10", taxes=VAT)] * 3, prices="exclusive", rounding="invoice")
    assert [line.parts.tax for line in result.lines] == [2, 2, 2]
    assert priced(*[goods("0.07", taxes=VAT)] * 3, prices="exclusive", rounding="invoice").tax.minor == 4


def test_shipping_with_the_same_taxes_is_rounded_with_the_lines_on_an_invoice() -> None:
    # 0.07 twice at 19 %: 1.33 cents each are 1 and 1, together 2.66 are 3; equal taxes need not be the same object.
    shipping = Surcharge("shipping", eur("0.07"), taxes=[Tax("VAT", "19.0")])
    taxes = [Tax("VAT", "19.0")]
    result = priced(goods("0.07", taxes=taxes), shipping=shipping, prices="exclusive", rounding="invoice")
    assert result.tax.minor == 3


def test_what_is_rounded_in_a_price_with_tax_is_the_tax_or_the_net() -> None:
    half = goods("15.63", taxes=[Tax("VAT", 20)])  # 260.5 cents of tax
    assert [priced(half, rounding=RoundingPolicy(rounds_net=net)).net.minor for net in (False, True)] == [1302, 1303]


# Several taxes.


def test_taxes_stand_beside_each_other() -> None:
    result = priced(goods("100", taxes=[Tax("GST", 5), Tax("QST", "9.975")]), prices="exclusive")
    assert [tax.minor for tax in result.lines[0].parts.taxes] == [500, 998]
    assert result.tax.minor == 1498  # 14.975 rounded once


def test_a_compound_tax_is_on_the_taxes_before_it_too() -> None:
    taxes = [Tax("GST", 5), Tax("QST", "9.5", compound=True)]
    result = priced(goods("100", taxes=taxes), prices="exclusive")
    assert [tax.minor for tax in result.lines[0].parts.taxes] == [500, 998]  # 9.5 % of 105
    assert priced(goods("114.98", taxes=taxes), prices="inclusive").net == eur("100")


def test_a_rate_of_zero_is_told_and_costs_nothing() -> None:
    result = priced(goods("10", taxes=[Tax("VAT", 0)]), prices="exclusive")
    assert result.taxes == {("VAT", 0): (eur("10"), eur("0"))}
    assert priced(goods("10")).taxes == {}


def test_a_tax_is_read_back_from_what_was_reckoned_by_it() -> None:
    taxes = (Tax("GST", "5"), Tax("QST", "9.975", compound=True))
    parts = priced(goods("100", taxes=taxes)).lines[0].parts
    assert [tax_of(part).ppm for part in parts.taxes] == [tax.ppm for tax in taxes]
    assert [tax_of(part).compound for part in parts.taxes] == [False, True]


# Discounts.


def test_a_percentage_is_capped() -> None:
    off = Discount("off", percent=50, most=eur("7.50"))
    assert priced(goods("10", 3), adjustments=[off]).total == eur("22.50")


def test_a_discount_for_each_unit() -> None:
    assert priced(goods("10", 3, discounts=[Discount("off", amount=eur("2"), each=True)])).total == eur("24")


def test_a_fixed_price_for_each_unit_leaves_cheaper_lines_alone() -> None:
    nine_each = Discount("nine", down_to=eur("9"), each=True)
    assert priced(goods("10", 3), goods("8", 2), adjustments=[nine_each]).total == eur("43")


def test_a_discount_never_takes_more_than_there_is() -> None:
    result = priced(goods("10"), adjustments=[Discount("gift", amount=eur("15"))])
    assert (result.total, result.not_given) == (eur("0"), (NotGiven("gift", 500),))


def test_a_lowest_price_finer_than_a_cent_is_kept_by_the_whole_line() -> None:
    line = goods("1", 3, minimum_price=UnitPrice("0.335", "EUR"), discounts=[Discount("off", percent=90)])
    assert priced(line).total == eur("1.01")


def test_a_lowest_price_above_the_price_gives_no_discount_and_raises_nothing() -> None:
    result = priced(goods("1", minimum_price=eur("2")), adjustments=[Discount("off", percent=10)])
    assert (result.total, result.not_given) == (eur("1"), (NotGiven("off", 10, ("1",)),))


def test_surcharges_are_never_discounted() -> None:
    everything = Discount("off", percent=50, on="everything")
    result = priced(goods("10"), adjustments=[Surcharge("fee", eur("3")), everything], shipping=eur("4"))
    assert [(one.name, one.parts.minor) for one in result.charges] == [("shipping", 200), ("fee", 300)]
    assert result.total == eur("10")


def test_a_discount_on_shipping_that_is_not_charged_is_not_given() -> None:
    result = priced(
        goods("10"), adjustments=[Discount("free", amount=eur("4"), on="shipping"), Surcharge("fee", eur("3"))]
    )
    assert (result.total, result.not_given) == (eur("13"), (NotGiven("free", 400),))


# Units.


def test_units_carry_their_part_of_every_tax() -> None:
    parts = priced(goods("10", 3, taxes=VAT), prices="exclusive").lines[0].parts
    one, two, three = (parts.of_units(k, k, 3) for k in (1, 2, 3))
    assert [amount for amount, _ in (one, two, three)] == [1190, 1190, 1190]
    assert [taxes[0].minor for _, taxes in (one, two, three)] == [190, 190, 190]
    assert parts.of_units(1, 3, 3)[0] == parts.minor


# What is told.


def test_an_explanation_reads_as_a_table() -> None:
    lines = [
        goods("10", 2, taxes=VAT, discounts=[Discount("summer", percent=10)]),
        goods("5", minimum_price=eur("4.50")),
    ]
    shipping = Surcharge("shipping", eur("4.90"), taxes=VAT)
    less = Discount("welcome", amount=eur("23"))
    result = priced(*lines, adjustments=[less], shipping=shipping, prices="exclusive")
    assert str(result.explain()).splitlines() == [
        "line 1    2 × 10.00 EUR   20.00",
        "          summer          -2.00",
        "          welcome        -18.00",
        "          VAT 19 %         0.00",
        "line 2    1 × 5.00 EUR     5.00",
        "          welcome         -0.50",
        "shipping                   4.90",
        "          VAT 19 %         0.93",
        "───────────────────────────────────",
        "total                     10.33 EUR",
        "not given of welcome: 4.50 EUR: 2 at the lowest price",
    ]


def test_a_tax_in_the_price_is_told_in_brackets_and_not_added() -> None:
    explanation = priced(goods("11.90", taxes=VAT)).explain()
    assert str(explanation).splitlines()[1] == "          VAT 19 %     (1.90)"
    assert explanation.total == eur("11.90")


# Rates.

GST = Tax("GST", 5)
TABLE = TaxTable({"standard": {"DE": VAT, "CA": [GST], "CA-QC": [GST, Tax("QST", "9.975")], "": []}})


@pytest.mark.parametrize(
    ("to", "names"),
    [
        (Destination("DE"), ["VAT"]),
        (Destination("DE", "BE", "10115"), ["VAT"]),
        (Destination("CA", "ON"), ["GST"]),
        (Destination("CA", "QC"), ["GST", "QST"]),
        (Destination("US"), []),
        (Destination(), []),
    ],
)
def test_the_most_particular_place_of_a_table_counts(to: Destination, names: list[str]) -> None:
    assert [tax.name for tax in TABLE.rates(to)["standard"]] == names


def test_a_class_that_a_table_does_not_list_for_a_place_is_absent() -> None:
    assert TaxTable({"wine": {"FR": VAT}}).rates(Destination("DE")) == {}


# Refusals.

NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")


@pytest.mark.parametrize("percent", [-1, "-0.1", "1001", True, 1.5, NAN, INFINITE, "19%", "1e1", "9.99999", None, ""])
def test_a_rate_that_is_no_percentage_is_refused(percent: Any) -> None:
    with pytest.raises(InvalidInput):
        Tax("VAT", percent)


@pytest.mark.parametrize("percent", [-1, "100.1", True, 0.5, NAN, INFINITE, "half"])
def test_a_discount_that_is_no_percentage_is_refused(percent: Any) -> None:
    with pytest.raises(InvalidInput):
        Discount("off", percent=percent)


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"amount": eur("1"), "percent": 10},
        {"amount": eur("-1")},
        {"amount": 1},
        {"amount": "1.00"},
        {"percent": 10, "most": eur("-1")},
        {"percent": 10, "on": "tax"},
        {"percent": 10, "groups_of": -1},
        {"percent": 10, "groups_of": True},
        {"percent": 10, "on": "shipping", "only": ["1"]},
        {"percent": 10, "only": "1"},
        {"percent": 10, "only": [1]},
    ],
)
def test_a_discount_that_says_two_things_or_none_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Discount("off", **terms)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: goods("-1"),
        lambda: goods("1", 0),
        lambda: goods("1", True),
        lambda: goods("1", 10**9 + 1),
        lambda: Goods(unit_price=1.0),
        lambda: goods("1", taxes=[19]),
        lambda: goods("1", taxes=VAT[0]),
        lambda: goods("1", taxes=[VAT[0]] * 11),
        lambda: goods("1", discounts=[Surcharge("fee", eur("1"))]),
        lambda: goods("1", discounts=[Discount("off", percent=10, on="everything")]),
        lambda: goods("1", minimum_price=eur("-1")),
        lambda: goods("1", minimum_price="1"),
        lambda: Surcharge("fee", eur("1"), prices="both"),
        lambda: Surcharge("fee", 1),  # type: ignore[arg-type]  # on purpose
        lambda: RoundingPolicy(tax_at="cent"),
        lambda: RoundingPolicy(tax="banker"),
        lambda: priced(goods("1"), rounding="nobody"),
        lambda: priced(goods("1"), prices="gross"),
        lambda: priced(goods("1"), adjustments=[Tax("VAT", 19)]),
        lambda: priced(goods("1"), adjustments=[Discount("off", percent=1)] * 51),
        lambda: priced(goods("1"), adjustments=[Discount("off", percent=1, only=["2"])]),
        lambda: TaxTable({"standard": {"DE": "19"}}),  # type: ignore[dict-item]  # on purpose
        lambda: TaxTable({"standard": [Tax("VAT", 19)]}),  # type: ignore[dict-item]  # on purpose
        lambda: TaxTable([]),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_what_cannot_be_priced_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        wrong()


DOLLAR = Money("1", "USD")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: price([goods("1")], currency="USD"),
        lambda: goods("1", minimum_price=DOLLAR),
        lambda: priced(goods("1"), shipping=DOLLAR),
        lambda: priced(goods("1"), adjustments=[Surcharge("fee", DOLLAR)]),
        lambda: priced(goods("1"), adjustments=[Discount("off", amount=DOLLAR)]),
        lambda: priced(goods("1"), adjustments=[Discount("off", percent=1, most=DOLLAR)]),
        lambda: priced(goods("1", discounts=[Discount("off", down_to=DOLLAR)])),
    ],
)
def test_another_currency_is_refused(wrong: Any) -> None:
    with pytest.raises(CurrencyMismatch):
        wrong()


def test_a_total_over_the_limit_is_refused() -> None:
    most = goods("10000000000", 1000)
    assert priced(most).total.minor == AMOUNT_MINOR_MAX
    with pytest.raises(AmountTooLarge):
        priced(most, goods("0.01"))
    with pytest.raises(AmountTooLarge):
        priced(evolve(most, taxes=VAT), prices="exclusive")


def test_an_amount_with_an_exponent_is_refused_at_once() -> None:
    with pytest.raises(InvalidAmount):
        Tax("VAT", Decimal("1E+1000000"))


def test_ten_thousand_lines_at_their_lowest_prices_are_spread_in_one_pass() -> None:
    # Each line is full a little later than the one before: to spread again and again would take minutes.
    lines = [goods("100", minimum_price=UnitPrice(f"{99 - n / 200:.6f}", "EUR")) for n in range(10_000)]
    result = priced(*lines, adjustments=[Discount("off", percent=40)])
    assert result.total + result.discounted == eur("1000000")


def test_the_presets_are_values_to_read() -> None:
    assert PRESETS["vendure"] == RoundingPolicy(rounds_net=True, discount="half_down", spread_by="gross")


def test_parts_tell_gross_and_net_either_way() -> None:
    taxed: dict[str, Any] = {
        "goods": 1000,
        "taxes": priced(goods("10", taxes=VAT), prices="exclusive").lines[0].parts.taxes,
    }
    assert [(p.minor, p.net) for p in (Parts(inclusive=False, **taxed), Parts(inclusive=True, **taxed))] == [
        (1190, 1000),
        (1000, 810),
    ]


def test_a_discount_on_an_empty_list_of_lines_is_not_on_all_of_them() -> None:
    nothing: list[str] = []
    with pytest.raises(InvalidInput, match="only is empty"):
        Discount("sale", percent=10, only=nothing)
    with pytest.raises(InvalidInput, match="only is empty"):
        Discount("sale", percent=10, only=(line_id for line_id in nothing))


def test_a_discount_without_a_list_of_lines_is_on_all_and_can_be_copied() -> None:
    assert evolve(Discount("sale", percent=10), percent=20) == Discount("sale", percent=20)
