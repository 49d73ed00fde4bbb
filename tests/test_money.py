"""Money: what it refuses, what it reads and writes, and how it is rounded and split, row by row."""

import copy
import pickle
import time
from decimal import Decimal, localcontext
from typing import Any

import iso4217
import msgspec
import pytest

from ordermgmt import money
from ordermgmt.currencies import ACTIVE, EXPONENTS, WITHDRAWN
from ordermgmt.errors import InvalidInput
from ordermgmt.money import (
    AMOUNT_MINOR_MAX,
    QUANTITY_MAX,
    UNIT_PRICE_MICROS_MAX,
    WEIGHT_MAX,
    AmountTooLarge,
    CurrencyMismatch,
    InvalidAmount,
    InvalidQuantity,
    InvalidWeights,
    Money,
    Rounding,
    UnitPrice,
    UnknownCurrency,
    UnknownRounding,
    allocate,
    check_quantity,
    cumulative,
    exponent,
    round_ratio,
    share,
)


def eur(amount: str) -> Money:
    return Money(amount, "EUR")


NOT_AMOUNTS: list[Any] = [
    True,
    False,
    9.5,
    0.0,
    float("nan"),
    float("inf"),
    None,
    b"9.50",
    ["9.50"],
    (1, 2),
    {"amount": 1},
    object(),
    complex(1),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    Decimal("-0"),
    Decimal("-0.00"),
    Decimal("1E+3"),
    Decimal("1E+1000000"),
    Decimal("1E-1000000"),
    Decimal("9" * 1_000_000),
    "",
    " ",
    "-",
    ".",
    "-.",
    "-0",
    "-0.00",
    "+9.50",
    "--9.50",
    ".50",
    "9.",
    "9,50",
    "1,000.00",
    "1_000",
    "1 000",
    " 9.50",
    "9.50 ",
    "9.50\n",
    "\t9.50",
    "9.50\x00",
    "9.5.0",
    "1e3",
    "1E+1000000",
    "0x10",
    "NaN",
    "sNaN",
    "Infinity",
    "-inf",
    "nine",
    "\uff19.\uff15\uff10",  # full-width digits, which Decimal takes
    "\u0669",  # Arabic-Indic digit, which Decimal takes
    "9²",
    "\u22129.50",  # a typographic minus
    "9.50\u200b",
    "\ud800",
    "9" * 31,
    "9" * 10_000_000,
    "-" * 1_000_000,
    "1." + "0" * 1_000_000,
    Money("9.50", "EUR"),
]


@pytest.mark.parametrize("hostile", NOT_AMOUNTS, ids=lambda value: f"{type(value).__name__}:{str(value)[:20]!a}")
@pytest.mark.parametrize("kind", [Money, UnitPrice])
def test_what_is_not_written_as_an_amount_is_refused_at_once(kind: Any, hostile: Any) -> None:
    begun = time.perf_counter()
    with pytest.raises(InvalidAmount) as refused:
        kind(hostile, "EUR")
    assert time.perf_counter() - begun < 1
    message = str(refused.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize(
    "hostile",
    [10**13 + 1, -(10**13) - 1, 10**5_000, "9" * 30, "-10000000000000.01", Decimal("9" * 30)],
    ids=lambda value: f"{type(value).__name__}:{len(str(value)[:20]) if not isinstance(value, int) else 'int'}",
)
def test_an_amount_over_the_limit_is_refused_at_once(hostile: Any) -> None:
    begun = time.perf_counter()
    with pytest.raises(AmountTooLarge, match="over the limit"):
        Money(hostile, "EUR")
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("9.50", "EUR", 950),
        ("9.5", "EUR", 950),
        ("-9.50", "EUR", -950),
        ("-0.05", "EUR", -5),
        ("0", "EUR", 0),
        ("007", "EUR", 700),
        (9, "EUR", 900),
        (-9, "EUR", -900),
        (Decimal("9.5"), "EUR", 950),
        (Decimal("0.00"), "EUR", 0),
        ("950", "JPY", 950),
        ("9.505", "KWD", 9505),
        ("9.5055", "CLF", 95055),
        ("10000000000000.00", "EUR", AMOUNT_MINOR_MAX),
        ("-1000000000000000", "JPY", -AMOUNT_MINOR_MAX),
    ],
)
def test_major_units_are_read_into_minor_units(amount: str | int | Decimal, currency: str, minor: int) -> None:
    assert Money(amount, currency) == Money.of_minor(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "decimals"),
    [("9.505", "EUR", 2), ("9.500", "EUR", 2), (Decimal("9.505"), "EUR", 2), ("9.5", "JPY", 0), ("9.5055", "KWD", 3)],
)
def test_an_amount_has_no_more_decimals_than_its_currency(amount: Any, currency: str, decimals: int) -> None:
    with pytest.raises(InvalidAmount, match=f"{currency} has at most {decimals}: round it first"):
        Money(amount, currency)


NOT_CURRENCIES: list[Any] = [
    "",
    "eur",
    "EURO",
    "EU",
    "XXX",
    "XAU",
    "XTS",
    "\uff25\uff35\uff32",
    " EUR",
    "EUR\n",
    None,
    978,
    b"EUR",
    [],
    {},
]


@pytest.mark.parametrize("currency", NOT_CURRENCIES)
@pytest.mark.parametrize(
    "make",
    [
        exponent,
        lambda currency: Money("1", currency),
        lambda currency: Money.of_minor(100, currency),
        Money.zero,
        lambda currency: Money.sum([], currency),
        lambda currency: UnitPrice("1", currency),
    ],
)
def test_an_unknown_currency_is_refused(make: Any, currency: Any) -> None:
    with pytest.raises(UnknownCurrency, match="ISO 4217"):
        make(currency)


def test_a_currency_that_is_a_subclass_of_str_is_refused_because_it_would_be_stored_as_something_else() -> None:
    class Code(str):
        __slots__ = ()

    with pytest.raises(UnknownCurrency):
        Money("1", Code("EUR"))


def test_every_active_iso_4217_currency_is_known_with_its_decimals() -> None:
    listed = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None}
    assert {code: EXPONENTS[code] for code in ACTIVE} == listed


def test_a_withdrawn_currency_can_still_be_read() -> None:
    assert not ACTIVE & WITHDRAWN
    assert Money("9.50", "BGN").format() == "9.50 BGN"


@pytest.mark.parametrize("minor", [True, 9.5, "950", Decimal(950), None])
def test_minor_units_are_ints(minor: Any) -> None:
    with pytest.raises(InvalidAmount, match="give an int"):
        Money.of_minor(minor, "EUR")


@pytest.mark.parametrize("minor", [AMOUNT_MINOR_MAX + 1, -AMOUNT_MINOR_MAX - 1, 10**4_000])
def test_minor_units_have_a_limit(minor: int) -> None:
    with pytest.raises(AmountTooLarge):
        Money.of_minor(minor, "EUR")


def test_every_error_is_an_invalid_input() -> None:
    for error in (
        InvalidAmount,
        UnknownCurrency,
        CurrencyMismatch,
        AmountTooLarge,
        InvalidQuantity,
        InvalidWeights,
        UnknownRounding,
    ):
        assert issubclass(error, InvalidInput)
        assert issubclass(error, ValueError)


def test_money_adds_up() -> None:
    assert eur("9.50") + eur("0.50") == eur("10.00")
    assert eur("9.50") - eur("10.00") == eur("-0.50")
    assert -eur("9.50") == eur("-9.50")
    assert abs(eur("-9.50")) == eur("9.50")
    assert eur("9.50") * 3 == 3 * eur("9.50") == eur("28.50")
    assert Money.sum([eur("1"), eur("2"), eur("-0.50")], "EUR") == eur("2.50")
    assert Money.sum((), "EUR") == Money.zero("EUR")


def test_only_zero_is_false() -> None:
    assert not Money.zero("EUR")
    assert eur("0.01")
    assert eur("-0.01")


def test_money_orders_within_a_currency() -> None:
    assert eur("1") < eur("2") <= eur("2")
    assert eur("2") > eur("1") >= eur("1")
    assert not eur("1") < eur("1")
    assert max(eur("1"), eur("3"), eur("2")) == eur("3")


def test_equal_money_is_one_key() -> None:
    assert {eur("9.50"): 1}[Money.of_minor(950, "EUR")] == 1
    assert eur("9.50") != Money("9.50", "USD")
    bare: object = 950
    assert eur("9.50") != bare


TWO_CURRENCIES: list[Any] = [
    lambda one, other: one + other,
    lambda one, other: one - other,
    lambda one, other: one < other,
    lambda one, other: one <= other,
    lambda one, other: one > other,
    lambda one, other: one >= other,
    lambda one, other: Money.sum([one, other], "EUR"),
]


@pytest.mark.parametrize("operation", TWO_CURRENCIES)
def test_two_currencies_do_not_mix(operation: Any) -> None:
    with pytest.raises(CurrencyMismatch, match="convert one of them"):
        operation(eur("1"), Money("1", "USD"))


@pytest.mark.parametrize("operation", TWO_CURRENCIES[:-1])
@pytest.mark.parametrize("other", [0, 1, 1.0, Decimal(1), "1", None, True])
def test_money_and_a_bare_number_do_not_mix(operation: Any, other: Any) -> None:
    with pytest.raises(TypeError):
        operation(eur("1"), other)
    with pytest.raises(TypeError):
        operation(other, eur("1"))


@pytest.mark.parametrize("times", [1.5, True, Decimal("1.5"), "2", None, Money("1", "EUR")])
def test_money_is_multiplied_by_whole_numbers_only(times: Any) -> None:
    with pytest.raises(TypeError):
        _ = eur("1") * times


def test_only_money_is_summed() -> None:
    not_money: Any = [eur("1"), 1]
    with pytest.raises(InvalidAmount, match="give Money only"):
        Money.sum(not_money, "EUR")


def test_a_result_over_the_limit_is_refused() -> None:
    most = Money.of_minor(AMOUNT_MINOR_MAX, "EUR")
    cent = eur("0.01")
    for operation in (
        lambda: most + cent,
        lambda: -most - cent,
        lambda: most * 2,
        lambda: cent * 10**5_000,
        lambda: Money.sum([most, cent], "EUR"),
    ):
        with pytest.raises(AmountTooLarge):
            operation()


def test_a_sum_may_pass_over_the_limit_on_its_way() -> None:
    most = Money.of_minor(AMOUNT_MINOR_MAX, "EUR")
    assert Money.sum([most, most, -most], "EUR") == most


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (950, "EUR", "9.50 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (950, "JPY", "950 JPY"),
        (-9505, "KWD", "-9.505 KWD"),
        (1, "CLF", "0.0001 CLF"),
        (123456789, "EUR", "1234567.89 EUR"),
    ],
)
def test_money_is_written_the_same_everywhere_and_read_back(minor: int, currency: str, text: str) -> None:
    amount = Money.of_minor(minor, currency)
    assert str(amount) == amount.format() == f"{amount}" == text
    assert Money.parse(text) == amount


def test_repr_can_be_pasted() -> None:
    assert repr(eur("9.50")) == "Money('9.50', 'EUR')"
    assert repr(UnitPrice("0.0025", "EUR")) == "UnitPrice('0.0025', 'EUR')"


@pytest.mark.parametrize(
    "text", ["", "9.50", "9.50EUR", "9.50  EUR", " 9.50 EUR", "9.50 EUR ", "EUR 9.50", None, 9, b"9 EUR"]
)
def test_text_that_is_not_an_amount_and_a_currency_is_refused(text: Any) -> None:
    for kind in (Money, UnitPrice):
        with pytest.raises((InvalidAmount, UnknownCurrency)):
            kind.parse(text)


def test_the_amount_is_exact_whatever_decimal_context_the_host_has_set() -> None:
    with localcontext() as context:
        context.prec = 2
        assert str(Money.of_minor(123456789, "EUR").amount) == "1234567.89"
        assert str(UnitPrice("1234567.891", "EUR").exact(3)) == "3703703.673000"


def test_money_is_frozen() -> None:
    with pytest.raises(AttributeError):
        eur("1").minor = 5  # type: ignore[misc]


def test_money_copies_and_pickles() -> None:
    for value in (eur("9.50"), UnitPrice("0.0025", "EUR")):
        assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


def test_msgspec_reads_back_what_it_wrote() -> None:
    assert msgspec.to_builtins(eur("9.50")) == {"minor": 950, "currency": "EUR"}
    assert msgspec.json.decode(msgspec.json.encode(eur("9.50")), type=Money) == eur("9.50")
    price = UnitPrice("0.0025", "EUR")
    assert msgspec.to_builtins(price) == {"micros": 2500, "currency": "EUR"}
    assert msgspec.json.decode(msgspec.json.encode(price), type=UnitPrice) == price


@pytest.mark.parametrize(
    "document",
    [
        '{"minor": 1000000000000001, "currency": "EUR"}',
        '{"minor": 1, "currency": "eur"}',
        '{"minor": true, "currency": "EUR"}',
        '{"minor": 1.5, "currency": "EUR"}',
        '{"minor": "1", "currency": "EUR"}',
        '{"minor": 1}',
    ],
)
def test_decoded_money_keeps_the_same_limits(document: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(document, type=Money)


@pytest.mark.parametrize(
    ("minor", "weights", "parts"),
    [
        # SCENARIOS part A, group 7 (Vendure)
        pytest.param(299, [4300, 1400, 2300], (161, 52, 86), id="V24"),
        pytest.param(93, [10, 20, 10, 30, 50, 20, 10, 40], (5, 10, 5, 15, 24, 10, 5, 19), id="V26"),
        pytest.param(40, [10, 0], (40, 0), id="V27"),
        pytest.param(-300, [4000, 2000, 2000], (-150, -75, -75), id="V29"),
        # SCENARIOS part B, group 1
        pytest.param(1500, [50, 50, 50], (500, 500, 500), id="B1"),
        # Solidus gives the odd cent to the last line, 3.33 3.33 3.34; of equal remainders we give it to the earlier.
        pytest.param(1000, [1, 1, 1], (334, 333, 333), id="B2"),
        pytest.param(1500, [20, 30, 100], (200, 300, 1000), id="B4"),
        pytest.param(1500, [20, 0, 0], (1500, 0, 0), id="B4-only-the-first-is-eligible"),
        pytest.param(1000, [1, 1, 1], (334, 333, 333), id="B9"),
        pytest.param(-1000, [1, 1, 1], (-334, -333, -333), id="B9-mirrored"),
        pytest.param(2000, [20, 20, 20], (667, 667, 666), id="B16"),
        # Ours
        pytest.param(10, [0, 0, 0], (4, 3, 3), id="all-zero-weights-weigh-the-same"),
        pytest.param(1, [0, 0], (1, 0), id="all-zero-weights-tie-to-the-earlier"),
        pytest.param(0, [1, 2], (0, 0), id="nothing"),
        pytest.param(7, [5], (7,), id="one-part"),
        pytest.param(1, [0, 1, 1], (0, 1, 0), id="zero-weight-gets-no-odd-cent"),
        pytest.param(1, [1, 2, 1], (0, 1, 0), id="largest-remainder-first"),
        pytest.param(AMOUNT_MINOR_MAX, [WEIGHT_MAX, WEIGHT_MAX], (5 * 10**14, 5 * 10**14), id="at-the-limits"),
    ],
)
def test_an_amount_is_split_by_largest_remainder(minor: int, weights: list[int], parts: tuple[int, ...]) -> None:
    assert allocate(minor, weights) == parts
    assert Money.of_minor(minor, "EUR").allocate(weights) == tuple(Money.of_minor(part, "EUR") for part in parts)


NOT_WEIGHTS: list[Any] = [
    [],
    (),
    "",
    [-1, 2],
    [1.0],
    [True],
    [Decimal(1)],
    [None],
    ["1"],
    "12",
    {1, 2},
    {1: 2},
    None,
    3,
    iter([1]),
]


@pytest.mark.parametrize("weights", NOT_WEIGHTS, ids=lambda weights: type(weights).__name__)
def test_what_cannot_weigh_is_refused(weights: Any) -> None:
    with pytest.raises(InvalidWeights):
        allocate(100, weights)


def test_a_weight_has_a_limit() -> None:
    with pytest.raises(AmountTooLarge, match="weight"):
        allocate(100, [WEIGHT_MAX + 1])


@pytest.mark.parametrize("minor", [1.0, True, Decimal(1), "1", None])
def test_only_ints_are_split_and_shared(minor: Any) -> None:
    with pytest.raises(InvalidAmount):
        allocate(minor, [1])
    with pytest.raises(InvalidAmount):
        cumulative(minor, 1, 1)


def test_an_amount_over_the_limit_is_not_split() -> None:
    with pytest.raises(AmountTooLarge):
        allocate(AMOUNT_MINOR_MAX + 1, [1])


@pytest.mark.parametrize(
    ("minor", "quantity", "shares"),
    [
        (1000, 3, [333, 334, 333]),
        (-1000, 3, [-333, -334, -333]),
        # SCENARIOS part B 1, row 17: Oscar says 1.33 1.33 1.34. The middle unit crosses 2.67, so ours gets the cent.
        (400, 3, [133, 134, 133]),
        (1, 2, [1, 0]),
        (-1, 2, [-1, 0]),
        (0, 2, [0, 0]),
        (2, 4, [1, 0, 1, 0]),
        (7, 1, [7]),
    ],
)
def test_each_unit_has_its_share(minor: int, quantity: int, shares: list[int]) -> None:
    assert [share(minor, k, quantity) for k in range(1, quantity + 1)] == shares


@pytest.mark.parametrize(
    ("k", "quantity"), [(0, 3), (4, 3), (-1, 3), (True, 3), (1.0, 3), (1, 0), (1, True), (1, QUANTITY_MAX + 1)]
)
def test_there_is_no_share_for_a_unit_that_is_not_there(k: Any, quantity: Any) -> None:
    with pytest.raises(InvalidQuantity):
        share(100, k, quantity)


def test_no_units_carry_nothing() -> None:
    assert cumulative(100, 0, 3) == 0


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        #             -2.5 -1.5 -1.1 -0.5  0.5  1.1  1.5  2.5  3.0
        ("half_up", [-3, -2, -1, -1, 1, 1, 2, 3, 3]),
        ("half_even", [-2, -2, -1, 0, 0, 1, 2, 2, 3]),
        ("half_down", [-2, -1, -1, 0, 0, 1, 1, 2, 3]),
        ("up", [-3, -2, -2, -1, 1, 2, 2, 3, 3]),
        ("down", [-2, -1, -1, 0, 0, 1, 1, 2, 3]),
        ("floor", [-3, -2, -2, -1, 0, 1, 1, 2, 3]),
    ],
)
def test_each_rounding_mode(rounding: Rounding, expected: list[int]) -> None:
    assert [round_ratio(tenths, 10, rounding) for tenths in (-25, -15, -11, -5, 5, 11, 15, 25, 30)] == expected


def test_fifteen_percent_of_99_90_is_14_99() -> None:
    assert round_ratio(9990 * 15, 100) == 1499  # SCENARIOS part B 1, row 6


@pytest.mark.parametrize(
    ("numerator", "denominator"), [(1, 0), (1, -2), (1.0, 2), (1, 2.0), (True, 2), (1, True), ("1", 2)]
)
def test_what_is_no_ratio_is_refused(numerator: Any, denominator: Any) -> None:
    with pytest.raises(InvalidAmount):
        round_ratio(numerator, denominator)


@pytest.mark.parametrize("rounding", ["HALF_UP", "ROUND_HALF_UP", "ceiling", "", None])
def test_an_unknown_rounding_mode_is_refused(rounding: Any) -> None:
    with pytest.raises(UnknownRounding, match="half_even"):
        round_ratio(1, 2, rounding)
    with pytest.raises(UnknownRounding):
        UnitPrice("1", "EUR").times(1, rounding)


@pytest.mark.parametrize(
    ("price", "currency", "quantity", "rounding", "expected"),
    [
        ("9.50", "EUR", 2, "half_up", "19.00"),
        ("0.0025", "EUR", 1000, "half_up", "2.50"),
        ("0.0025", "EUR", 2, "half_up", "0.01"),
        ("0.0025", "EUR", 2, "half_even", "0.00"),
        ("0.0025", "EUR", 2, "down", "0.00"),
        ("0.000001", "EUR", 1, "up", "0.01"),
        ("-0.0025", "EUR", 2, "half_up", "-0.01"),
        ("-0.0025", "EUR", 2, "floor", "-0.01"),
        ("1.5", "JPY", 1, "half_up", "2"),
        ("0.00005", "CLF", 1, "half_up", "0.0001"),
        ("9.50", "EUR", 0, "half_up", "0.00"),
    ],
)
def test_price_times_quantity_is_rounded_once(
    price: str, currency: str, quantity: int, rounding: Rounding, expected: str
) -> None:
    assert UnitPrice(price, currency).times(quantity, rounding) == Money(expected, currency)


def test_price_times_quantity_is_half_up_unless_said_otherwise() -> None:
    assert UnitPrice("0.0025", "EUR").times(2) == eur("0.01")
    assert UnitPrice("0.0025", "EUR").exact(2) == Decimal("0.005")


@pytest.mark.parametrize("quantity", [-1, True, False, 1.0, 0.0, "1", None, Decimal(1), QUANTITY_MAX + 1])
def test_a_price_is_not_multiplied_by_what_is_no_quantity(quantity: Any) -> None:
    for product in (UnitPrice("1", "EUR").times, UnitPrice("1", "EUR").exact):
        with pytest.raises(InvalidQuantity):
            product(quantity)


def test_a_product_over_the_limit_is_refused() -> None:
    with pytest.raises(AmountTooLarge):
        UnitPrice("1000000", "EUR").times(QUANTITY_MAX)


def test_a_unit_price_has_a_limit() -> None:
    assert UnitPrice("999999999999.999999", "EUR").micros == UNIT_PRICE_MICROS_MAX
    with pytest.raises(AmountTooLarge, match="unit price"):
        UnitPrice("1000000000000", "EUR")
    with pytest.raises(AmountTooLarge, match="unit price"):
        UnitPrice.of(Money("1000000000000", "JPY"))


def test_a_unit_price_has_six_decimals_at_most() -> None:
    with pytest.raises(InvalidAmount, match="a unit price has at most 6"):
        UnitPrice("0.0000001", "EUR")


def test_a_host_may_give_money_as_a_unit_price() -> None:
    price = UnitPrice("9.50", "EUR")
    assert UnitPrice.of(eur("9.50")) == UnitPrice.of(price) == price
    assert price.amount == Decimal("9.50")
    not_a_price: Any
    for not_a_price in ("9.50", 9, None, Decimal("9.50")):
        with pytest.raises(InvalidAmount, match="not a price"):
            UnitPrice.of(not_a_price)


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (UnitPrice("0.0025", "EUR"), "0.0025 EUR"),
        (UnitPrice("9.5", "EUR"), "9.50 EUR"),
        (UnitPrice("-9.501", "EUR"), "-9.501 EUR"),
        (UnitPrice("0", "EUR"), "0.00 EUR"),
        (UnitPrice("950", "JPY"), "950 JPY"),
        (UnitPrice("0.5", "JPY"), "0.5 JPY"),
    ],
)
def test_a_unit_price_is_written_with_the_decimals_it_needs(price: UnitPrice, text: str) -> None:
    assert str(price) == price.format() == text
    assert UnitPrice.parse(text) == price


@pytest.mark.parametrize("quantity", [1, 2, QUANTITY_MAX])
def test_a_quantity_is_given_back(quantity: int) -> None:
    assert check_quantity(quantity) == quantity


@pytest.mark.parametrize("quantity", [0, -1, QUANTITY_MAX + 1, 10**4_000, True, False, 1.0, "1", None, Decimal(1)])
def test_what_is_no_quantity_is_refused_by_name(quantity: Any) -> None:
    with pytest.raises(InvalidQuantity, match=r"picked is .*; give an int from 1 to 1000000000"):
        check_quantity(quantity, "picked")


def test_every_public_name_has_a_docstring() -> None:
    public = [value for name, value in vars(money).items() if not name.startswith("_") and callable(value)]
    own = [value for value in public if getattr(value, "__module__", "") == money.__name__]
    assert own
    assert [value for value in own if not value.__doc__] == []
