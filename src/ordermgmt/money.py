"""Money in whole minor units, unit prices with up to six decimals, and how both are rounded and split.

Every rounding has a name, nothing is clamped, and no float comes near an amount. Amounts from outside are matched
against a strict pattern *before* `Decimal` or `int` sees them: `Decimal` takes ``1_000`` and full-width digits, and
``int(Decimal("1E+1000000"))`` runs for half a minute.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal, Self, assert_never, final, get_args

import attrs

from .currencies import EXPONENTS
from .errors import InvalidInput

AMOUNT_MINOR_MAX: Final = 10**15
"""The largest amount either side of zero, in minor units."""

UNIT_PRICE_MICROS_MAX: Final = 10**18 - 1
"""The largest unit price, in millionths of the major unit: just under 10**12 major units, and 18 digits in JSON."""

QUANTITY_MAX: Final = 10**9
"""The largest quantity of anything."""

WEIGHT_MAX: Final = 10**30
"""The largest weight to allocate by: above any unit price in micros times any quantity."""

Rounding = Literal["half_up", "half_even", "half_down", "up", "down", "floor"]
"""How an exact ratio becomes a whole number.

The three ``half_*`` modes go to the nearest; of two equally near, ``half_up`` takes the one away from zero,
``half_down`` the one towards zero, ``half_even`` the even one. ``up`` goes away from zero, ``down`` towards zero,
``floor`` towards minus infinity. All but ``floor`` treat a refund as the mirror of the charge.
"""

_PRICE_DECIMALS: Final = 6
_ROUNDINGS: Final = frozenset[str](get_args(Rounding))

# Thirty digits are more than any limit here allows, and few enough that no conversion is slow.
_AMOUNT: Final = re.compile(r"(-?[0-9]{1,30})(?:\.([0-9]{1,30}))?")

_POWERS_OF_TEN: Final[tuple[int, ...]] = tuple(10**power for power in range(_PRICE_DECIMALS + 1))


class InvalidAmount(InvalidInput):
    """An amount that is not written as one."""


class UnknownCurrency(InvalidInput):
    """A currency that is not an ISO 4217 code with a minor unit."""


class CurrencyMismatch(InvalidInput):
    """Two currencies where there must be one."""


class AmountTooLarge(InvalidInput):
    """An amount, price or weight over its limit."""


class InvalidQuantity(InvalidInput):
    """A quantity that is no whole number within its limits."""


class InvalidWeights(InvalidInput):
    """Weights that nothing can be divided by."""


class UnknownRounding(InvalidInput):
    """A rounding mode we do not have."""


def exponent(currency: str) -> int:
    """How many decimals `currency` has: 2 for EUR, 0 for JPY, 3 for KWD.

    Raises `UnknownCurrency` if it is not an upper-case ISO 4217 code with a minor unit.
    """
    if currency.__class__ is str:  # a str subclass would be stored, and written, as something else
        decimals = EXPONENTS.get(currency)
        if decimals is not None:
            return decimals
    raise UnknownCurrency(
        f"{_shown(currency)} is not a currency we know; give an upper-case ISO 4217 code as a plain str, such as 'EUR'"
    )


def check_quantity(n: int, name: str = "quantity") -> int:
    """Return `n` if it is a whole number from 1 to 10**9, else raise `InvalidQuantity`. `name` is what to call it."""
    if n.__class__ is not int or not 1 <= n <= QUANTITY_MAX:
        raise InvalidQuantity(f"{name} is {_shown(n)}; give an int from 1 to {QUANTITY_MAX}")
    return n


def round_ratio(numerator: int, denominator: int, rounding: Rounding = "half_up") -> int:
    """`numerator` / `denominator` as a whole number, rounded once by the named mode, in integers only.

    Raises `UnknownRounding`, or `InvalidAmount` unless both are ints and the denominator is positive.
    """
    if rounding not in _ROUNDINGS:
        raise UnknownRounding(f"{_shown(rounding)} is not a rounding mode; give one of {', '.join(get_args(Rounding))}")
    if numerator.__class__ is not int or denominator.__class__ is not int or denominator <= 0:
        raise InvalidAmount(
            f"cannot round {_shown(numerator)} / {_shown(denominator)}; give two ints, the second of them positive"
        )
    if rounding == "floor":
        return numerator // denominator
    towards_zero, rest = divmod(abs(numerator), denominator)
    magnitude = towards_zero
    if rest and _goes_up(towards_zero, 2 * rest - denominator, rest, rounding):
        magnitude += 1
    return -magnitude if numerator < 0 else magnitude


def _goes_up(
    towards_zero: int, past_half: int, rest: int, rounding: Literal["half_up", "half_even", "half_down", "up", "down"]
) -> bool:
    match rounding:
        case "half_up":
            return past_half >= 0
        case "half_down":
            return past_half > 0
        case "half_even":
            return past_half > 0 or (past_half == 0 and towards_zero % 2 == 1)
        case "up":
            return rest > 0
        case "down":
            return False
        case _:  # pragma: no cover
            assert_never(rounding)


def cumulative(minor: int, k: int, quantity: int) -> int:
    """What the first `k` of `quantity` units carry of an amount of `minor` units, half a unit rounded away from zero.

    ``cumulative(minor, quantity, quantity) == minor``, and it never runs backwards as `k` grows. Raises `InvalidAmount`
    for an amount that is no int, `InvalidQuantity` unless 0 <= k <= quantity and quantity is from 1 to 10**9.
    """
    if minor.__class__ is not int:
        raise InvalidAmount(f"cannot share {_shown(minor)}; give an int of minor units")
    check_quantity(quantity)
    if k.__class__ is not int or not 0 <= k <= quantity:
        raise InvalidQuantity(f"k is {_shown(k)}; give an int from 0 to the quantity, {quantity}")
    magnitude = (2 * abs(minor) * k + quantity) // (2 * quantity)
    return -magnitude if minor < 0 else magnitude


def share(minor: int, k: int, quantity: int) -> int:
    """What unit `k` (counted from 1) of `quantity` carries of an amount of `minor` units.

    The shares of all units sum exactly to `minor`; each is within one minor unit of exact, and none has the other sign.
    They depend on nothing but the three numbers, so units given back one by one or together come to the same.
    Raises as `cumulative`, and `InvalidQuantity` for k = 0.
    """
    if k.__class__ is not int or k < 1:
        raise InvalidQuantity(f"k is {_shown(k)}; units are counted from 1 to the quantity")
    return cumulative(minor, k, quantity) - cumulative(minor, k - 1, quantity)


def allocate(minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `minor` units in proportion to `weights` by the largest remainder; the parts sum exactly.

    Each part is within one minor unit of exact. Of equal remainders the earlier part gets the unit. A weight of 0 gets
    0, unless all are 0: then all weigh the same. A negative amount is split as the mirror of the positive one.
    Raises `InvalidAmount`, `InvalidWeights` (none, negative, no ints) or `AmountTooLarge`.
    """
    if minor.__class__ is not int:
        raise InvalidAmount(f"cannot allocate {_shown(minor)}; give an int of minor units")
    _check_amount(minor)
    _check_weights(weights)
    total = sum(weights)
    if total == 0:
        weights = [1] * len(weights)
        total = len(weights)
    magnitude = abs(minor)
    parts = [magnitude * weight // total for weight in weights]
    left_over = magnitude - sum(parts)
    if left_over:
        # Fewer units are left over than there are parts with a remainder, so none falls to a weight of 0.
        # `sorted` is stable under `reverse`: the earlier of two equal remainders comes first.
        remainders = [magnitude * weight % total for weight in weights]
        for part in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left_over]:
            parts[part] += 1
    return tuple(-part for part in parts) if minor < 0 else tuple(parts)


@final
@attrs.frozen(init=False, repr=False)
class Money:
    """An amount of one currency, in whole minor units.

    ``Money("9.50", "EUR")`` is written in major units; ``Money.of_minor(950, "EUR")`` is the same. Adding, subtracting
    and ordering need the same currency and raise `CurrencyMismatch` otherwise; against anything but Money they are a
    `TypeError`. Every result is within 10**15 minor units of zero, or `AmountTooLarge` is raised.
    """

    minor: int
    currency: str

    def __init__(self, amount: str | int | Decimal, currency: str) -> None:
        """`amount` in major units: plain ASCII digits, with no more decimals than the currency has.

        Raises `InvalidAmount` (a bool, a float, NaN, an exponent, minus zero, a space…), `UnknownCurrency` or
        `AmountTooLarge`.
        """
        minor = scaled(amount, exponent(currency), currency)
        _check_amount(minor)
        _set_minor(self, minor)
        _set_currency(self, currency)

    def __attrs_post_init__(self) -> None:
        # msgspec decodes past __init__ and calls this; so stored or received money keeps the same limits.
        if self.currency not in EXPONENTS or not -AMOUNT_MINOR_MAX <= self.minor <= AMOUNT_MINOR_MAX:
            exponent(self.currency)
            _check_amount(self.minor)

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> "Money":
        """`minor` units of `currency`: cents, pence, whole yen. Raises as the constructor does."""
        if minor.__class__ is not int:
            raise InvalidAmount(f"{_shown(minor)} is not a whole number of minor units; give an int")
        if currency.__class__ is not str or currency not in EXPONENTS:
            exponent(currency)  # says what is wrong; asked only then, for rules and flows make money all the time
        return _money(minor, currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in `currency`. Raises `UnknownCurrency`."""
        return cls.of_minor(0, currency)

    @classmethod
    def parse(cls, text: str) -> "Money":
        """Read what `format` writes: ``Money.parse("9.50 EUR")``. Raises as the constructor does."""
        return cls(*_split(text))

    @classmethod
    def sum(cls, amounts: Iterable["Money"], currency: str) -> "Money":
        """The sum of `amounts`, all in `currency`; zero if there are none.

        Raises `CurrencyMismatch`, `UnknownCurrency`, `AmountTooLarge`, or `InvalidAmount` for what is not Money.
        """
        exponent(currency)
        total = 0
        for amount in amounts:
            if amount.__class__ is not Money:
                raise InvalidAmount(f"cannot sum {_shown(amount)}; give Money only")
            if amount.currency != currency:
                raise _mismatch("sum", amount.currency, currency)
            total += amount.minor
        return _money(total, currency)

    @property
    def amount(self) -> Decimal:
        """The amount in major units, with the decimals of the currency, exact under any decimal context."""
        return Decimal(_written(self.minor, exponent(self.currency)))

    def format(self) -> str:
        """Major units and currency, the same in every locale: ``"9.50 EUR"``."""
        return f"{_written(self.minor, exponent(self.currency))} {self.currency}"

    def allocate(self, weights: Sequence[int]) -> tuple["Money", ...]:
        """Split by `weights`; the parts sum exactly. See the function `allocate` for the rules and the errors."""
        return tuple(_money(part, self.currency) for part in allocate(self.minor, weights))

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"Money({_written(self.minor, exponent(self.currency))!r}, {self.currency!r})"

    def __bool__(self) -> bool:
        return self.minor != 0

    def __add__(self, other: "Money") -> "Money":
        if other.__class__ is not Money:
            return NotImplemented
        if self.currency != other.currency:
            raise _mismatch("add", self.currency, other.currency)
        return _money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if other.__class__ is not Money:
            return NotImplemented
        if self.currency != other.currency:
            raise _mismatch("subtract", self.currency, other.currency)
        return _money(self.minor - other.minor, self.currency)

    def __mul__(self, times: int) -> "Money":
        if times.__class__ is not int:  # a bool or a float is a slip; a rate needs a named rounding: see `round_ratio`
            return NotImplemented
        return _money(self.minor * times, self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> "Money":
        return _money(-self.minor, self.currency)

    def __abs__(self) -> "Money":
        return _money(abs(self.minor), self.currency)

    def __lt__(self, other: "Money") -> bool:
        if other.__class__ is not Money:
            return NotImplemented
        return self.minor < self._comparable(other)

    def __le__(self, other: "Money") -> bool:
        if other.__class__ is not Money:
            return NotImplemented
        return self.minor <= self._comparable(other)

    def __gt__(self, other: "Money") -> bool:
        if other.__class__ is not Money:
            return NotImplemented
        return self.minor > self._comparable(other)

    def __ge__(self, other: "Money") -> bool:
        if other.__class__ is not Money:
            return NotImplemented
        return self.minor >= self._comparable(other)

    def _comparable(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise _mismatch("compare", self.currency, other.currency)
        return other.minor


# A frozen object is filled through its slots: a quarter less time than through `object.__setattr__` (measured).
_new = object.__new__
_set_minor = vars(Money)["minor"].__set__
_set_currency = vars(Money)["currency"].__set__


def _money(minor: int, currency: str) -> Money:
    """Money of a known currency, within the limit."""
    if not -AMOUNT_MINOR_MAX <= minor <= AMOUNT_MINOR_MAX:
        raise _too_large(minor)
    money = _new(Money)
    _set_minor(money, minor)
    _set_currency(money, currency)
    return money


@final
@attrs.frozen(init=False, repr=False)
class UnitPrice:
    """The price of one unit, in millionths of the major unit: ``UnitPrice("0.0025", "EUR")``.

    It may be finer than the currency; it becomes Money only by `times`, which rounds once. Under 10**12 major units.
    """

    micros: int
    currency: str

    def __init__(self, amount: str | int | Decimal, currency: str) -> None:
        """`amount` in major units with up to six decimals, as strict as `Money`, whatever the currency has.

        Raises `InvalidAmount`, `UnknownCurrency`, `AmountTooLarge`.
        """
        exponent(currency)
        micros = scaled(amount, _PRICE_DECIMALS, "a unit price")
        _check_price(micros)
        object.__setattr__(self, "micros", micros)
        object.__setattr__(self, "currency", currency)

    def __attrs_post_init__(self) -> None:
        # As for Money: msgspec decodes past __init__ and calls this.  It stands on every line of every order.
        if self.currency not in EXPONENTS or not -UNIT_PRICE_MICROS_MAX <= self.micros <= UNIT_PRICE_MICROS_MAX:
            exponent(self.currency)
            _check_price(self.micros)

    @classmethod
    def of(cls, price: "Money | UnitPrice") -> "UnitPrice":
        """`price` as a unit price, so that a host may give either. Raises `InvalidAmount`, `AmountTooLarge`."""
        if isinstance(price, UnitPrice):
            return price
        if isinstance(price, Money):
            # Not by way of its text: hosts price every line so.
            micros = price.minor * _POWERS_OF_TEN[_PRICE_DECIMALS - EXPONENTS[price.currency]]
            _check_price(micros)
            made = _new(cls)
            _set_micros(made, micros)
            _set_price_currency(made, price.currency)
            return made
        raise InvalidAmount(f"{_shown(price)} is not a price; give Money or a UnitPrice")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `format` writes: ``UnitPrice.parse("0.0025 EUR")``. Raises as the constructor does."""
        return cls(*_split(text))

    @property
    def amount(self) -> Decimal:
        """The price in major units, with six decimals, exact under any decimal context."""
        return Decimal(_written(self.micros, _PRICE_DECIMALS))

    def exact(self, quantity: int) -> Decimal:
        """Price times `quantity` in major units, not rounded. Raises `InvalidQuantity` outside 0 to 10**9."""
        return Decimal(_written(self._micros_of(quantity), _PRICE_DECIMALS))

    def times(self, quantity: int, rounding: Rounding = "half_up") -> Money:
        """Price times `quantity` as Money, rounded once by the named mode.

        Raises `InvalidQuantity` outside 0 to 10**9, `UnknownRounding`, `AmountTooLarge`.
        """
        micros_per_minor = _POWERS_OF_TEN[_PRICE_DECIMALS - EXPONENTS[self.currency]]
        return _money(round_ratio(self._micros_of(quantity), micros_per_minor, rounding), self.currency)

    def format(self) -> str:
        """Price and currency, with at least the decimals of the currency: ``"9.50 EUR"``, ``"0.0025 EUR"``."""
        return f"{self._trimmed()} {self.currency}"

    def _micros_of(self, quantity: int) -> int:
        if quantity.__class__ is not int or not 0 <= quantity <= QUANTITY_MAX:  # none of something costs nothing
            check_quantity(quantity)
        return self.micros * quantity

    def _trimmed(self) -> str:
        decimals = _PRICE_DECIMALS
        micros = self.micros
        while decimals > exponent(self.currency) and micros % 10 == 0:
            micros //= 10
            decimals -= 1
        return _written(micros, decimals)

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"UnitPrice({self._trimmed()!r}, {self.currency!r})"


_set_micros = vars(UnitPrice)["micros"].__set__
_set_price_currency = vars(UnitPrice)["currency"].__set__


def scaled(amount: str | int | Decimal, decimals: int, whose: str) -> int:
    """`amount` times 10**`decimals` (at most 6), exactly, or `InvalidAmount`. Its message names `whose` they are."""
    if isinstance(amount, str):
        return _read(amount, decimals, whose)
    if type(amount) is int:
        return amount * _POWERS_OF_TEN[decimals]
    if isinstance(amount, Decimal):
        # Takes time linear in its digits; what would need an exponent is written with one, and refused.
        return _read(str(amount), decimals, whose)
    raise InvalidAmount(
        f"{_shown(amount)} is not an amount; give a str, an int or a Decimal in major units, such as '9.50'"
    )


def _read(text: str, decimals: int, whose: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidAmount(f"{_shown(text)} is not an amount; write plain digits, at most 30, such as '9.50' or '-3'")
    whole, fraction = match.groups("")
    if len(fraction) > decimals:
        raise InvalidAmount(f"{_shown(text)} has too many decimals; {whose} has at most {decimals}: round it first")
    scaled = int(whole + fraction.ljust(decimals, "0"))
    if scaled == 0 and text.startswith("-"):
        raise InvalidAmount(f"{_shown(text)} is minus zero; write it without the sign")
    return scaled


def _written(scaled: int, decimals: int) -> str:
    if decimals == 0:
        return str(scaled)
    digits = str(abs(scaled)).rjust(decimals + 1, "0")
    sign = "-" if scaled < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def _split(text: str) -> tuple[str, str]:
    if not isinstance(text, str):
        raise InvalidAmount(f"{_shown(text)} is not an amount with its currency; write '9.50 EUR'")
    amount, space, currency = text.partition(" ")
    if not space:
        raise InvalidAmount(f"{_shown(text)} has no currency; write '9.50 EUR', with one space between")
    return amount, currency


def _check_amount(minor: int) -> None:
    if not -AMOUNT_MINOR_MAX <= minor <= AMOUNT_MINOR_MAX:
        raise _too_large(minor)


def _check_price(micros: int) -> None:
    if not -UNIT_PRICE_MICROS_MAX <= micros <= UNIT_PRICE_MICROS_MAX:
        raise AmountTooLarge(
            f"a unit price of {_shown(micros)} millionths is over the limit of {UNIT_PRICE_MICROS_MAX}"
            " either side of zero; price a smaller unit"
        )


def _check_weights(weights: Sequence[int]) -> None:
    if not isinstance(weights, Sequence):  # a set has no order, and an iterator can be read only once
        raise InvalidWeights(f"cannot allocate by {_shown(weights)}; give a list of ints of 0 or more")
    if not weights:
        raise InvalidWeights("cannot allocate by no weights at all; give at least one")
    for weight in weights:
        if weight.__class__ is not int or weight < 0:
            raise InvalidWeights(f"cannot allocate by the weight {_shown(weight)}; give ints of 0 or more")
        if weight > WEIGHT_MAX:
            raise AmountTooLarge(f"the weight {_shown(weight)} is over the limit of 10**30; divide all weights alike")


def _too_large(minor: int) -> AmountTooLarge:
    return AmountTooLarge(
        f"{_shown(minor)} minor units are over the limit of {AMOUNT_MINOR_MAX} either side of zero; split the amount"
    )


def _mismatch(verb: str, one: str, other: str) -> CurrencyMismatch:
    return CurrencyMismatch(f"cannot {verb} {one} and {other}; convert one of them first, at a rate you name")


def _shown(value: object) -> str:
    """`value` for a message: short, ASCII and quick to make, however hostile it is."""
    if isinstance(value, int) and not -(10**40) < value < 10**40:
        return f"an int of {value.bit_length()} bits"  # writing it out takes quadratic time, or raises
    if isinstance(value, str) and len(value) > 40:
        return f"{value[:40]!a}..."
    if value is None or isinstance(value, str | int | float | Decimal | Money | UnitPrice):
        return ascii(value)[:60]
    return f"a {type(value).__name__}"
