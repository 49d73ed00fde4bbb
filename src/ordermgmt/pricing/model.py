"""What a price came to: the parts of each line and charge in minor units, and what was not given."""

from __future__ import annotations

from collections.abc import Iterator

from ..money import Money, UnitPrice, cumulative
from ..values import frozen
from .explanation import Entry, Explanation
from .terms import Discount, RoundingPolicy, Tax, percentage


@frozen
class Given:
    """What one discount takes off one line or charge, in minor units."""

    name: str
    minor: int
    ppm: int = 0
    """Where it is a percentage that was given in full: which; 0 for an amount, and for what a cap or a lowest price has
    made one."""


@frozen
class TaxPart:
    """What one tax comes to on one line or charge, in minor units."""

    name: str
    ppm: int
    minor: int
    compound: bool = False


@frozen(kw_only=True)
class Parts:
    """What the amount of a line or a charge is made of; every part is frozen at placement.

    ``minor == goods - discounts`` with tax in it where `inclusive`, else plus the taxes.
    """

    goods: int
    """Price × quantity, as prices are told."""
    inclusive: bool
    """Whether `goods` and `discounts` have the tax in them."""
    discounts: tuple[Given, ...] = ()
    taxes: tuple[TaxPart, ...] = ()
    tax_class: str = ""
    """The class its taxes were found by, if they were."""

    @property
    def discounted(self) -> int:
        """What is left of the goods' price after discounts, as prices are told."""
        return self.goods - sum([given.minor for given in self.discounts])

    @property
    def tax(self) -> int:
        """All taxes together."""
        return sum([tax.minor for tax in self.taxes])

    @property
    def minor(self) -> int:
        """What is to be paid, with tax."""
        return self.discounted if self.inclusive else self.discounted + self.tax

    @property
    def net(self) -> int:
        """What is to be paid, without tax."""
        return self.discounted - self.tax if self.inclusive else self.discounted

    def of_units(self, first: int, last: int, quantity: int) -> tuple[int, tuple[TaxPart, ...]]:
        """(amount with tax, its taxes) that units `first` to `last` of `quantity` carry, counted from 1.

        All units together carry exactly the line: for a credit note over what is given back.
        """

        def carried(minor: int) -> int:
            return cumulative(minor, last, quantity) - cumulative(minor, first - 1, quantity)

        taxes = tuple(TaxPart(tax.name, tax.ppm, carried(tax.minor), tax.compound) for tax in self.taxes)
        return carried(self.minor), taxes

    def part(self, first: int, last: int, quantity: int) -> Parts:
        """What units `first` to `last` of `quantity` carry, counted from 1, is made of.

        All units together carry exactly the line.  What is shared are the amount, its discounts and its taxes; the
        price is the rest, so that they add up.
        """
        minor, taxes = self.of_units(first, last, quantity)

        def carried(minor: int) -> int:
            return cumulative(minor, last, quantity) - cumulative(minor, first - 1, quantity)

        discounts = tuple(Given(one.name, carried(one.minor), one.ppm) for one in self.discounts)
        taken = sum(one.minor for one in discounts)
        added = 0 if self.inclusive else sum(tax.minor for tax in taxes)
        return Parts(
            goods=minor + taken - added,
            inclusive=self.inclusive,
            discounts=discounts,
            taxes=taxes,
            tax_class=self.tax_class,
        )

    def entries(self, about: str, what: str) -> Iterator[Entry]:
        """Every part as a reason for its cents; they add up to `minor`."""
        yield Entry(about, "price", what, self.goods)
        for given in self.discounts:
            yield Entry(about, "discount", given.name, -given.minor)
        for tax in self.taxes:
            yield Entry(about, "tax", f"{tax.name} {percentage(tax.ppm)}", tax.minor, included=self.inclusive)


@frozen
class NotGiven:
    """The part of a discount that could not be given, in minor units."""

    name: str
    minor: int
    lines: tuple[str, ...] = ()
    """The lines that stand at their lowest price; ``shipping`` for the shipping charge."""


@frozen(kw_only=True)
class PriceTerms:
    """By which rules an order was priced."""

    inclusive: bool
    rounding: RoundingPolicy
    not_given: tuple[NotGiven, ...] = ()


@frozen(kw_only=True)
class PricedLine:
    """One line, priced."""

    line_id: str
    quantity: int
    unit_price: UnitPrice
    parts: Parts


@frozen(kw_only=True)
class PricedCharge:
    """One charge, priced."""

    name: str
    parts: Parts


@frozen(kw_only=True)
class Priced:
    """What lines, charges, discounts and taxes come to; see `price`."""

    currency: str
    terms: PriceTerms
    lines: tuple[PricedLine, ...]
    charges: tuple[PricedCharge, ...] = ()
    """Shipping first, then surcharges in their order."""

    @property
    def total(self) -> Money:
        """What is to be paid, with tax."""
        return Money.of_minor(sum(part.minor for part in self._parts), self.currency)

    @property
    def net(self) -> Money:
        """What is to be paid, without tax."""
        return Money.of_minor(sum(part.net for part in self._parts), self.currency)

    @property
    def tax(self) -> Money:
        """All taxes of all lines and charges."""
        return Money.of_minor(sum(part.tax for part in self._parts), self.currency)

    @property
    def discounted(self) -> Money:
        """All discounts, as prices are told."""
        return Money.of_minor(sum(part.goods - part.discounted for part in self._parts), self.currency)

    @property
    def taxes(self) -> dict[tuple[str, int], tuple[Money, Money]]:
        """By (name, parts per million): the net amount it was taken of, and the tax."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for part in self._parts:
            net = part.net
            for tax in part.taxes:
                base, minor = found.get((tax.name, tax.ppm), (0, 0))
                found[tax.name, tax.ppm] = (base + net, minor + tax.minor)
        return {
            key: (Money.of_minor(base, self.currency), Money.of_minor(minor, self.currency))
            for key, (base, minor) in found.items()
        }

    @property
    def not_given(self) -> tuple[NotGiven, ...]:
        """Discounts that a lowest price has stopped, and how much of them."""
        return self.terms.not_given

    def explain(self) -> Explanation:
        """Where every cent of the total comes from; `print` shows it as a table."""
        entries: list[Entry] = []
        for line in self.lines:
            entries += line.parts.entries(f"line {line.line_id}", f"{line.quantity} × {line.unit_price}")
        for charge in self.charges:
            entries += charge.parts.entries(charge.name, "")
        not_given = tuple((one.name, one.minor, one.lines) for one in self.not_given)
        return Explanation(currency=self.currency, entries=tuple(entries), not_given=not_given)

    @property
    def _parts(self) -> list[Parts]:
        return [*(line.parts for line in self.lines), *(charge.parts for charge in self.charges)]


def tax_of(part: TaxPart) -> Tax:
    """The tax that a part was reckoned by, to reckon with it again."""
    whole, decimals = divmod(part.ppm, 10_000)
    return Tax(part.name, f"{whole}.{decimals:04d}", compound=part.compound)


def discount_of(given: Given, currency: str) -> Discount:
    """The discount that was given, to give it again: the percentage, or the amount."""
    if not given.ppm:
        return Discount(given.name, amount=Money.of_minor(given.minor, currency))
    whole, decimals = divmod(given.ppm, 10_000)
    return Discount(given.name, percent=f"{whole}.{decimals:04d}")
