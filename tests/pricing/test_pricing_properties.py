"""Laws of prices: what holds for every order, every preset, every discount and every tax."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from attrs import evolve
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ordermgmt import Money, UnitPrice
from ordermgmt.money import allocate, share
from ordermgmt.pricing import PRESETS, Discount, Goods, Priced, RoundingPolicy, Surcharge, Tax, price
from ordermgmt.pricing.proration import pour, prorate, settle
from ordermgmt.pricing.terms import ROUNDINGS, TAX_AT

minors = st.integers(0, 5_000)
rates = st.sampled_from(["0", "5", "7.5", "9.975", "10", "19", "20", "33.3333", "1000"])
taxes = st.lists(st.builds(Tax, st.sampled_from("AB"), rates, compound=st.booleans()), max_size=3).map(tuple)
policies = st.sampled_from(sorted(PRESETS.values(), key=str)) | st.builds(
    RoundingPolicy,
    tax_at=st.sampled_from(TAX_AT),
    tax=st.sampled_from(ROUNDINGS),
    rounds_net=st.booleans(),
    price=st.sampled_from(ROUNDINGS),
    discount=st.sampled_from(ROUNDINGS),
    spread_by=st.sampled_from(["price", "gross"]),
)
all_prices = st.sampled_from(["inclusive", "exclusive"])


def eur(minor: int) -> Money:
    return Money.of_minor(minor, "EUR")


@st.composite
def discounts(draw: st.DrawFn, *, of_an_order: bool = False, grouped: bool = True) -> Discount:
    terms: dict[str, Any] = {}
    match draw(st.sampled_from(["amount", "percent", "down_to"])):
        case "percent":
            terms["percent"] = draw(st.sampled_from(["0", "0.5", "10", "33.3333", "100"]))
        case way:
            terms[way] = eur(draw(minors))
    if draw(st.booleans()):
        terms["most"] = eur(draw(minors))
    on = draw(st.sampled_from(["lines", "shipping", "everything"])) if of_an_order else "lines"
    if on == "lines" and grouped:
        terms["each"] = draw(st.booleans()) and "percent" not in terms
        terms["groups_of"] = draw(st.sampled_from([0, 0, 2, 3]))
    return Discount(draw(st.sampled_from(["x", "y"])), on=on, **terms)


@st.composite
def lines(draw: st.DrawFn, *, grouped: bool = True) -> Goods:
    return Goods(
        unit_price=draw(
            st.sampled_from(["0", "0.01", "0.99", "3.333333", "10", "19.99"]).map(lambda p: UnitPrice(p, "EUR"))
        ),
        quantity=draw(st.integers(1, 7)),
        taxes=draw(taxes),
        discounts=draw(st.lists(discounts(grouped=grouped), max_size=2)),
        minimum_price=draw(st.none() | st.integers(0, 1_200).map(eur)),
    )


charges = st.builds(
    Surcharge, st.just("fee"), st.integers(-900, 900).map(eur), taxes=taxes, prices=st.sampled_from(["", "inclusive"])
)

shipping = st.builds(Surcharge, st.just("shipping"), minors.map(eur), taxes=taxes)


@st.composite
def orders(draw: st.DrawFn, *, grouped: bool = True) -> tuple[list[Goods], dict[str, Any]]:
    return draw(st.lists(lines(grouped=grouped), max_size=5)), {
        "currency": "EUR",
        "adjustments": draw(st.lists(discounts(of_an_order=True, grouped=grouped) | charges, max_size=3)),
        "shipping": draw(
            st.none() | minors.map(eur) | st.builds(Surcharge, st.just("shipping"), minors.map(eur), taxes=taxes)
        ),
        "prices": draw(all_prices),
        "rounding": draw(policies),
    }


def parts(result: Priced) -> list[Any]:
    return [*(line.parts for line in result.lines), *(charge.parts for charge in result.charges)]


@given(orders())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_every_cent_of_the_total_is_in_a_line_a_tax_or_an_adjustment(order: Any) -> None:
    result = price(order[0], **order[1])
    explained = result.explain()
    assert explained.total == result.total
    assert sum(part.minor for part in parts(result)) == result.total.minor
    assert result.net + result.tax == result.total
    assert Money.sum((tax for _, tax in result.taxes.values()), "EUR") == result.tax
    for part in parts(result):
        given = sum(one.minor for one in part.discounts)
        assert part.minor == part.goods - given + (0 if part.inclusive else part.tax)
        assert all(one.minor > 0 for one in part.discounts)
    assert str(explained)


@given(orders())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_the_shares_of_all_units_are_the_line(order: Any) -> None:
    for line in price(order[0], **order[1]).lines:
        units = range(1, line.quantity + 1)
        assert sum(share(line.parts.minor, k, line.quantity) for k in units) == line.parts.minor
        of_units = [line.parts.of_units(k, k, line.quantity) for k in units]
        assert sum(amount for amount, _ in of_units) == line.parts.minor
        assert sum(tax.minor for _, taxed in of_units for tax in taxed) == line.parts.tax


@given(orders())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_line_is_below_its_lowest_price_or_below_nothing(order: Any) -> None:
    for sold, line in zip(order[0], price(order[0], **order[1]).lines, strict=True):
        lowest = sold.minimum_price.times(sold.quantity, "up").minor if sold.minimum_price is not None else 0
        assert line.parts.discounted >= min(lowest, line.parts.goods)
        assert line.parts.discounted >= 0


@given(orders())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_what_a_discount_gives_and_what_it_does_not_make_what_it_is(order: Any) -> None:
    goods = [evolve(line, discounts=()) for line in order[0]]
    amounts = [one for one in order[1]["adjustments"] if isinstance(one, Discount) and one.amount and not one.groups_of]
    for discount in amounts:
        whole = evolve(discount, each=False, most=None)
        result = price(goods, **order[1] | {"adjustments": [whole]})
        missing = sum(one.minor for one in result.not_given)
        assert whole.amount is not None
        assert result.discounted.minor + missing == whole.amount.minor


@given(orders(grouped=False), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None, derandomize=True)
@example(
    (
        [
            Goods(unit_price=eur(100), taxes=[Tax("A", 20)]),
            Goods(unit_price=eur(300), taxes=[Tax("A", 7)]),
            Goods(unit_price=eur(100), taxes=[Tax("A", 1000)]),
        ],
        {"currency": "EUR", "adjustments": [Discount("x", amount=eur(2))], "prices": "exclusive"},
    ),
    None,
)
def test_lines_in_another_order_cost_the_same_each(order: Any, random: Any) -> None:
    goods, terms = order
    places = list(range(len(goods)))
    if random is None:
        places.reverse()
    else:
        random.shuffle(places)
    before, after = price(goods, **terms), price([goods[n] for n in places], **terms)
    assert (before.total, before.tax, before.discounted) == (after.total, after.tax, after.discounted)
    assert sorted(str(line.parts) for line in before.lines) == sorted(str(line.parts) for line in after.lines)


@given(orders())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_line_of_nothing_changes_nothing(order: Any) -> None:
    goods, terms = order
    assume(not any(one.groups_of for one in terms["adjustments"] if isinstance(one, Discount)))
    free = Goods(unit_price=eur(0), taxes=[Tax("A", 20)])
    assert price([*goods, free], **terms).total == price(goods, **terms).total


@given(lines(), policies, all_prices)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_tax_is_within_a_cent_of_exact_for_each_rounding(line: Goods, policy: RoundingPolicy, prices: str) -> None:
    result = price([line], currency="EUR", rounding=policy, prices=prices)
    part = result.lines[0].parts
    factor = Fraction(1)
    for tax in line.taxes or ():
        factor += (factor if tax.compound else 1) * Fraction(tax.ppm, 10**6)
    exact = part.discounted * (factor - 1) / (factor if part.inclusive else 1)
    roundings = line.quantity if policy.tax_at == "unit" else 1
    assert abs(part.tax - exact) < roundings + (factor - 1) * (policy.tax_at == "unit")


@given(orders())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_pricing_is_pure(order: Any) -> None:
    assert price(order[0], **order[1]) == price(order[0], **order[1])


weights = st.lists(st.integers(0, 50), min_size=1, max_size=8)


@given(st.integers(-500, 500), weights)
@settings(deadline=None, derandomize=True)
def test_a_part_is_what_money_allocates(minor: int, weights: list[int]) -> None:
    assume(any(weights))
    assert tuple(prorate(minor, weights)) == allocate(minor, weights)


@given(st.integers(0, 500), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=8))
@settings(deadline=None, derandomize=True)
@example(1200, [(1000, 1000), (2000, 100), (5000, 0), (3000, 400)])
def test_what_is_poured_fills_no_room_over_and_leaves_none_empty(minor: int, vessels: list[tuple[int, int]]) -> None:
    weights, rooms = [w for w, _ in vessels], [r for _, r in vessels]
    poured = pour(minor, weights, rooms)
    assert all(0 <= part <= room for part, room in zip(poured, rooms, strict=True))
    assert sum(poured) == min(minor, sum(room for weight, room in vessels if weight))
    # Those with room left have their part by weight, within a cent of each other.
    left = [Fraction(part, w) for part, (w, room) in zip(poured, vessels, strict=True) if w and part < room]
    widths = [Fraction(1, w) for part, (w, room) in zip(poured, vessels, strict=True) if w and part < room]
    assert all(abs(a - b) <= max(widths) * 2 for a, b in pairwise(left))


@given(st.lists(st.integers(-9_999, 9_999), min_size=1, max_size=8), st.integers(1, 50), st.sampled_from([0, 1]))
@settings(deadline=None, derandomize=True)
def test_settled_parts_are_exact_ones_rounded_down_or_up(exact: list[int], denominator: int, up: int) -> None:
    total = sum(exact) // denominator
    total += up * (sum(exact) % denominator > 0)
    settled = settle(total, exact, denominator)
    assert sum(settled) == total
    assert all(one // denominator <= part <= -(-one // denominator) for part, one in zip(settled, exact, strict=True))


@given(lines(), discounts(), all_prices)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_discount_on_the_only_line_is_the_same_as_on_the_order(line: Goods, discount: Discount, prices: str) -> None:
    bare = evolve(line, discounts=())
    on_line = price([evolve(bare, discounts=[discount])], currency="EUR", prices=prices)
    on_order = price([bare], currency="EUR", prices=prices, adjustments=[discount])
    assert on_line == on_order
