"""Laws of money: what holds for every amount, weight, quantity and currency."""

import decimal
import time
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ordermgmt.currencies import EXPONENTS
from ordermgmt.errors import InvalidInput
from ordermgmt.money import (
    AMOUNT_MINOR_MAX,
    QUANTITY_MAX,
    UNIT_PRICE_MICROS_MAX,
    WEIGHT_MAX,
    Money,
    Rounding,
    UnitPrice,
    allocate,
    cumulative,
    exponent,
    round_ratio,
    share,
)

# Small numbers find the ties, large ones the limits.
minors = st.integers(-1000, 1000) | st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
quantities = st.integers(1, 12) | st.integers(1, QUANTITY_MAX)
weights = st.lists(st.integers(0, 5) | st.integers(0, WEIGHT_MAX), min_size=1, max_size=20)
currencies = st.sampled_from(sorted(EXPONENTS))
roundings: st.SearchStrategy[Rounding] = st.sampled_from(get_args(Rounding))
amounts = st.builds(Money.of_minor, minors, currencies)
prices = st.integers(-UNIT_PRICE_MICROS_MAX, UNIT_PRICE_MICROS_MAX) | st.integers(-100_000, 100_000)

DECIMAL_ROUNDINGS: dict[Rounding, str] = {
    "half_up": decimal.ROUND_HALF_UP,
    "half_even": decimal.ROUND_HALF_EVEN,
    "half_down": decimal.ROUND_HALF_DOWN,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "floor": decimal.ROUND_FLOOR,
}


def unit_price(micros: int, currency: str) -> UnitPrice:
    return UnitPrice(Decimal(micros).scaleb(-6), currency)


@given(minors, weights)
@example(299, [4300, 1400, 2300])
@example(93, [10, 20, 10, 30, 50, 20, 10, 40])
@example(-1000, [1, 1, 1])
def test_parts_sum_exactly(minor: int, weights: Sequence[int]) -> None:
    assert sum(allocate(minor, weights)) == minor


@given(minors, weights)
def test_each_part_is_within_one_minor_unit_of_exact(minor: int, weights: Sequence[int]) -> None:
    total = sum(weights)
    assume(total > 0)
    for part, weight in zip(allocate(minor, weights), weights, strict=True):
        assert abs(part - Fraction(minor * weight, total)) < 1


@given(minors, weights)
def test_a_weight_of_zero_gets_zero_unless_all_are_zero(minor: int, weights: Sequence[int]) -> None:
    assume(any(weights))
    assert all(part == 0 for part, weight in zip(allocate(minor, weights), weights, strict=True) if weight == 0)


@given(minors, st.integers(1, 20), st.integers(1, WEIGHT_MAX))
def test_all_zero_weights_split_like_any_equal_weights(minor: int, parts: int, weight: int) -> None:
    assert allocate(minor, [0] * parts) == allocate(minor, [weight] * parts)


@given(minors, weights)
def test_a_negative_amount_is_split_as_the_mirror(minor: int, weights: Sequence[int]) -> None:
    assert allocate(-minor, weights) == tuple(-part for part in allocate(minor, weights))


@given(minors, weights)
def test_of_two_equal_weights_the_earlier_gets_no_less(minor: int, weights: Sequence[int]) -> None:
    parts = [abs(part) for part in allocate(minor, weights)]
    last: dict[int, int] = {}
    for part, weight in zip(parts, weights, strict=True):
        assert last.get(weight, part) >= part
        last[weight] = part


@given(minors, weights)
def test_a_larger_weight_gets_no_less(minor: int, weights: Sequence[int]) -> None:
    by_weight = sorted(zip(weights, map(abs, allocate(minor, weights)), strict=True))
    assert all(less[1] <= more[1] for less, more in pairwise(by_weight) if less[0] < more[0])


@given(minors, st.integers(1, 40))
@example(1000, 3)
@example(-1000, 3)
def test_shares_sum_exactly(minor: int, quantity: int) -> None:
    assert sum(share(minor, k, quantity) for k in range(1, quantity + 1)) == minor


@given(minors, quantities, st.data())
def test_a_share_is_within_one_minor_unit_of_exact_and_has_the_sign_of_the_whole(
    minor: int, quantity: int, data: st.DataObject
) -> None:
    part = share(minor, data.draw(st.integers(1, quantity)), quantity)
    assert abs(part - Fraction(minor, quantity)) <= 1
    assert part * minor >= 0


@given(minors, quantities, st.data())
def test_the_first_shares_sum_to_the_cumulative_amount_rounded_once(
    minor: int, quantity: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, quantity))
    assert cumulative(minor, k, quantity) == round_ratio(minor * k, quantity, "half_up")
    assert cumulative(minor, quantity, quantity) == minor
    first = data.draw(st.integers(0, min(k, 30)))
    assert cumulative(minor, first, quantity) == sum(share(minor, n, quantity) for n in range(1, first + 1))


@given(st.integers(-(10**20), 10**20), st.integers(1, 6), st.integers(0, 9), roundings)
@example(25, 1, 1, "half_even")
@example(-25, 1, 1, "half_up")
def test_rounding_agrees_with_decimal(numerator: int, unit: int, power: int, rounding: Rounding) -> None:
    # A denominator of 2**a * 5**b has a finite decimal, so that decimal can say exactly what the ratio is.
    denominator = 2**unit * 5**power
    with decimal.localcontext() as context:
        context.prec = 80
        context.traps[decimal.Inexact] = True
        exact = Decimal(numerator) / Decimal(denominator)
        context.traps[decimal.Inexact] = False
        expected = int(exact.to_integral_value(DECIMAL_ROUNDINGS[rounding]))
    assert round_ratio(numerator, denominator, rounding) == expected


@given(st.integers(), st.integers(1), roundings)
def test_rounding_is_within_one_of_exact_and_leaves_whole_numbers_alone(
    numerator: int, denominator: int, rounding: Rounding
) -> None:
    away = abs(round_ratio(numerator, denominator, rounding) - Fraction(numerator, denominator))
    assert away <= Fraction(1, 2) if rounding.startswith("half") else away < 1
    assert round_ratio(numerator * denominator, denominator, rounding) == numerator


@given(st.integers(), st.integers(1), roundings.filter(lambda rounding: rounding != "floor"))
def test_a_refund_is_rounded_as_the_mirror_of_the_charge(numerator: int, denominator: int, rounding: Rounding) -> None:
    assert round_ratio(-numerator, denominator, rounding) == -round_ratio(numerator, denominator, rounding)


@given(amounts)
def test_money_is_read_back_as_it_was_written(amount: Money) -> None:
    assert Money.parse(amount.format()) == amount
    assert Money(amount.amount, amount.currency) == amount
    assert Money(str(amount.amount), amount.currency) == amount
    assert msgspec.json.decode(msgspec.json.encode(amount), type=Money) == amount


@given(prices, currencies)
def test_a_unit_price_is_read_back_as_it_was_written(micros: int, currency: str) -> None:
    price = unit_price(micros, currency)
    assert price.micros == micros
    assert UnitPrice.parse(price.format()) == price
    assert msgspec.json.decode(msgspec.json.encode(price), type=UnitPrice) == price


@given(amounts, minors)
def test_taking_away_undoes_adding(amount: Money, minor: int) -> None:
    other = Money.of_minor(minor, amount.currency)
    assume(abs(amount.minor + minor) <= AMOUNT_MINOR_MAX)
    assert amount + other - other == amount
    assert amount + other == other + amount == Money.sum([amount, other], amount.currency)
    assert (amount < other) == (amount.minor < other.minor) == (not amount >= other)
    assert (amount > other) == (amount.minor > other.minor) == (not amount <= other)
    assert (amount == other) == (amount.minor == other.minor)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6), currencies, roundings)
def test_price_times_quantity_is_the_exact_product_rounded_once(
    micros: int, quantity: int, currency: str, rounding: Rounding
) -> None:
    price = unit_price(micros, currency)
    exact = price.exact(quantity)
    assert exact == Fraction(micros * quantity, 10**6)
    smallest = Decimal(1).scaleb(-exponent(currency))
    assert price.times(quantity, rounding).amount == exact.quantize(smallest, rounding=DECIMAL_ROUNDINGS[rounding])


@given(amounts.filter(lambda amount: abs(amount.amount) < 10**12), st.integers(0, 1000))
def test_a_price_that_is_money_needs_no_rounding(amount: Money, quantity: int) -> None:
    assume(abs(amount.minor * quantity) <= AMOUNT_MINOR_MAX)
    assert (
        UnitPrice.of(amount).times(quantity, "down") == UnitPrice.of(amount).times(quantity, "up") == amount * quantity
    )


hostile_text = st.text(max_size=40) | st.text("0123456789.-+eE_ ,\u0663\uff19NaInf\n", max_size=40)
hostile: st.SearchStrategy[Any] = (
    hostile_text
    | st.integers()
    | st.integers(-30, 5000).map(lambda power: 10**power if power >= 0 else -(10**-power))
    | st.decimals()
    | st.floats()
    | st.booleans()
    | st.binary(max_size=20)
    | st.none()
)


@pytest.mark.parametrize("kind", [Money, UnitPrice])
@given(hostile, currencies | hostile_text)
@example(Decimal("1E+1000000"), "EUR")
@example(Decimal("sNaN"), "EUR")
def test_whatever_is_given_is_read_exactly_or_refused_at_once(kind: Any, amount: Any, currency: str) -> None:
    begun = time.perf_counter()
    read, message = None, ""
    try:
        read = kind(amount, currency)
    except InvalidInput as refused:
        message = str(refused)
    assert time.perf_counter() - begun < 1
    if read is None:
        assert message.isascii()
        assert message
    else:
        assert type(amount) in (int, str, Decimal)
        assert read.amount == Decimal(amount)


@given(amounts.filter(lambda amount: abs(amount.amount) < 10**12))
def test_a_price_made_of_money_is_the_one_that_is_written_so(amount: Money) -> None:
    assert UnitPrice.of(amount) == UnitPrice(amount.amount, amount.currency)
