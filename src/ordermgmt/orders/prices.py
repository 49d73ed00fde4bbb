"""How an order's lines and charges get their amounts: from prices alone, or with taxes, discounts and surcharges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..engine.messages import Key
from ..errors import InvalidInput
from ..money import AMOUNT_MINOR_MAX, AmountTooLarge, Money, UnitPrice
from ..pricing.model import Given, Parts, Priced, discount_of, tax_of
from ..pricing.port import Destination, UnknownTaxClass, taxes_on
from ..pricing.reckoning import Goods, reckon
from ..pricing.terms import PRESETS, Surcharge, Tax
from .entry import line_ids
from .model import Charge, Order, OrderLine
from .stretches import Stretch, whole


def lookups_of_prices(command: Any) -> Iterable[Key]:
    """What the tax rates are asked before the decision: those of the order's destination, all classes at once."""
    return [("taxes", "")]


def destination_of(command: Any) -> Destination:
    """Where the order goes, as far as taxes care."""
    to = command.ship_to
    return Destination() if to is None else Destination(to.country, to.region, to.postal_code)


def is_plain(command: Any, classes: Iterable[str]) -> bool:
    """Whether an order is nothing but prices: no taxes, discounts or surcharges, and so nothing to explain."""
    return not (
        command.adjustments
        or command.prices == "exclusive"
        or command.rounding.price != "half_up"
        or isinstance(command.shipping, Surcharge)
        or any(classes)
        or any(line.taxes is not None or line.discounts or line.tax_class for line in command.lines)
    )


def priced(command: Any, ids: Sequence[str], classes: Sequence[str], rates: Mapping[str, tuple[Tax, ...]]) -> Priced:
    """An order's prices.  `classes` are the items' tax classes, for lines that tell neither taxes nor a class."""
    unknown = set[str]()
    known = dict[str, "tuple[Tax, ...] | None"]()

    def resolved(one: Any, of_item: str) -> tuple[Tax, ...]:
        if one.taxes is not None:
            return tuple(one.taxes)
        tax_class = one.tax_class or of_item
        if not tax_class:
            return ()
        if tax_class not in known:
            known[tax_class] = taxes_on(rates, tax_class)
        taxes = known[tax_class]
        if taxes is None:
            unknown.add(tax_class)
            return ()
        return taxes

    def with_taxes(one: Any) -> Any:
        if not isinstance(one, Surcharge) or one.taxes is not None or not one.tax_class:
            return one
        return Surcharge(one.name, one.amount, taxes=resolved(one, ""), prices=one.prices)

    taxes = [resolved(line, of_item) for line, of_item in zip(command.lines, classes, strict=True)]
    shipping = with_taxes(command.shipping)
    adjustments = tuple(with_taxes(one) for one in command.adjustments)
    if unknown:
        raise UnknownTaxClass(tuple(sorted(unknown)), str(destination_of(command)))
    result = reckon(
        command.lines,
        ids,
        taxes,
        currency=command.lines[0].unit_price.currency,
        adjustments=adjustments,
        shipping=shipping,
        prices=command.prices,
        rounding=command.rounding,
        classes=[
            "" if line.taxes is not None else line.tax_class or of_item
            for line, of_item in zip(command.lines, classes, strict=True)
        ],
    )
    if result.total.minor < 0:
        raise InvalidInput(f"the order costs {result.total}; allowances must not exceed what it costs")
    return result


def cost(command: Any) -> Money:
    """What an order will cost whose lines and charges tell their own taxes."""
    shipping = command.shipping
    if is_plain(command, ()):
        amounts = [line.unit_price.times(line.quantity) for line in command.lines]
        return Money.sum([*amounts, *([shipping] if shipping is not None else [])], amounts[0].currency)
    return priced(command, line_ids(command.lines), [""] * len(command.lines), {}).total


def charges_of(result: Priced) -> tuple[Charge, ...]:
    """The charges of a priced order; those that cost nothing and take no tax are left out."""
    return tuple(
        Charge(name=one.name, minor=one.parts.minor, parts=one.parts)
        for one in result.charges
        if one.parts.goods or one.parts.minor
    )


def check_total(lines: Iterable[OrderLine], charges: Iterable[Charge]) -> None:
    """Raises `AmountTooLarge` for an order over the limit."""
    if sum([line.minor for line in lines]) + sum([charge.minor for charge in charges]) > AMOUNT_MINOR_MAX:
        raise AmountTooLarge(f"the order's total exceeds {AMOUNT_MINOR_MAX} minor units; split it")


# After placement.


def repriced(
    order: Order, line: OrderLine, price: UnitPrice, units: Iterable[Stretch], add: int
) -> tuple[Stretch, ...]:
    """What these units of a line, and some that are added, carry at another price.

    Taxes and discounts are those the line was placed with: a percentage is taken of the new price, an amount stays what
    it was on those units, and takes no more than they cost.  Units that are added are not discounted.
    """
    discounted: list[Stretch] = []
    for one in units:
        parts = one.made_of
        if parts is not None and parts.discounts:
            discounted += costing(order, line, price, one.units, parts.discounts)
        else:
            add += one.units
    return (*discounted, *costing(order, line, price, add))


def costing(
    order: Order, line: OrderLine, price: UnitPrice, units: int, given: Iterable[Given] = ()
) -> tuple[Stretch, ...]:
    """What so many units of a line carry together at this price, with the line's own taxes and these discounts."""
    if line.parts is None or not units:
        return whole(units, price.times(units).minor if units else 0, price)
    taxes = tuple(tax_of(tax) for tax in line.parts.taxes)
    discounts = tuple(discount_of(one, order.currency) for one in given if one.minor or one.ppm)
    goods = Goods(unit_price=price, quantity=units, discounts=discounts)
    parts = _priced_as(order, goods, taxes, line.parts.tax_class)
    return whole(units, parts.minor, price, parts)


def added_line(order: Order, line: Any, of_item: str) -> Parts | None:
    """What a line that is added to an order is made of, priced as the order was; None where it is nothing but a price.

    A tax class is known if another line of the order has it: its taxes are those the order was placed with.
    """
    tax_class = line.tax_class or of_item
    taxes = line.taxes
    if taxes is None and tax_class:
        parts = [one.parts for one in order.lines.values() if one.parts is not None]
        same = next((one for one in parts if one.tax_class == tax_class), None)
        if same is None:
            raise UnknownTaxClass((tax_class,), f"among the lines of order {order.order_id}")
        taxes = tuple(tax_of(tax) for tax in same.taxes)
    if not taxes and not line.discounts:
        return None
    goods = Goods(
        unit_price=line.unit_price,
        quantity=line.quantity,
        discounts=line.discounts,
        minimum_price=line.minimum_price,
    )
    return _priced_as(order, goods, taxes or (), tax_class if line.taxes is None else "")


def charge_instead(order: Order, name: str, amount: Money) -> Charge:
    """A charge of this amount, tax included, with the taxes of the one of its name that it takes the place of."""
    of_name = (charge.parts for charge in order.charges if charge.name == name)
    before = next((parts for parts in of_name if parts is not None and parts.taxes), None)
    if before is None or not amount.minor:
        return Charge(name=name, minor=amount.minor)
    taxes = tuple(tax_of(tax) for tax in before.taxes)
    goods = Goods(unit_price=UnitPrice.of(amount))
    return Charge(
        name=name, minor=amount.minor, parts=_priced_as(order, goods, taxes, before.tax_class, prices="inclusive")
    )


def _priced_as(order: Order, goods: Goods, taxes: tuple[Tax, ...], tax_class: str, *, prices: str = "") -> Parts:
    """What something is made of that is priced as the order was."""
    terms = order.pricing
    result = reckon(
        [goods],
        ["1"],
        [taxes],
        currency=order.currency,
        adjustments=(),
        shipping=None,
        prices=prices or ("inclusive" if terms is None or terms.inclusive else "exclusive"),
        rounding=PRESETS["standard"] if terms is None else terms.rounding,
        classes=[tax_class],
    )
    return result.lines[0].parts
