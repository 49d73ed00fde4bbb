"""What is to be different about an order, and what that makes of its lines, its claims and its money.

Pure arithmetic.  Units that were picked, packed or have left the house stay as they are, and so does the share of
money that each of them carries; everything else may be changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, cast

from attrs import field

from ..engine.capability import changed
from ..engine.messages import check_id, check_text, counted, is_listed, shorten
from ..errors import InvalidInput, NotFound, Refused
from ..money import CurrencyMismatch, Money, UnitPrice, check_quantity
from ..values import error, frozen
from .entry import Line
from .lifecycle import GONE_OUT, UNIT_ARROWS
from .messages import Moved
from .model import LINES_MAX, Charge, LineBefore, Order, OrderLine
from .port import Item
from .prices import added_line, charge_instead, costing, repriced
from .stretches import Stretch, amount, cut, joined

MOVED = ("picked", "packed", *GONE_OUT)
"""Where units stand that an amendment cannot take back."""
FREE = ("open", "backordered", "reserved")
"""Where units stand that it can."""
STRETCHES_MAX = 200
CHARGES_MAX = 100


# What is asked.


def _price(price: Any) -> Any:
    return UnitPrice.of(price) if isinstance(price, Money | UnitPrice) else price


@frozen(kw_only=True)
class LineChange:
    """What is to be different about a line: how many the customer is to get in all (0 removes it), and the price.

    A new price is for the units that have not left the house.  They keep their discounts: a percentage is taken of the
    new price, and an amount stays what it was, or what they cost if that is less.  Units that are added carry the
    line's price, without its discounts.
    """

    line_id: str
    quantity: int | None = None
    unit_price: UnitPrice | None = field(default=None, converter=_price)

    def __attrs_post_init__(self) -> None:
        check_id(self.line_id, "line_id")
        if self.quantity is not None and (self.quantity.__class__ is not int or self.quantity != 0):
            check_quantity(self.quantity)
        if self.unit_price is not None:
            if not isinstance(self.unit_price, UnitPrice):
                raise InvalidInput(f"unit_price must be Money or UnitPrice (got {shorten(self.unit_price)})")
            if self.unit_price.micros < 0:
                raise InvalidInput(f"unit_price must not be below zero (got {self.unit_price}); use a credit instead")
        if self.quantity is None and self.unit_price is None:
            raise InvalidInput(f"line {self.line_id}: say a quantity, a unit_price or both")
        if self.quantity == 0 and self.unit_price is not None:
            raise InvalidInput(f"line {self.line_id}: a line that is removed has no new price")


def _several(values: Any, wanted: type[Any], name: str) -> tuple[Any, ...]:
    if not is_listed(values):
        raise InvalidInput(f"{name} must be a list of {wanted.__name__} (got {shorten(values)})")
    several = tuple(islice(values, LINES_MAX + 1))
    if len(several) > LINES_MAX:
        raise InvalidInput(f"{name} must hold at most {LINES_MAX} {wanted.__name__}")
    for value in several:
        if not isinstance(value, wanted):
            raise InvalidInput(f"{name} must hold {wanted.__name__} only (got {shorten(value)})")
    return several


def _added(lines: Iterable[Line]) -> tuple[Line, ...]:
    return _several(lines, Line, "add")


def _changes(lines: Iterable[LineChange]) -> tuple[LineChange, ...]:
    return _several(lines, LineChange, "lines")


def _charges(charges: Any) -> tuple[tuple[str, Money], ...]:
    if not isinstance(charges, Mapping | tuple | list):
        raise InvalidInput(f"charges must be {{name: Money}} (got {shorten(charges)})")
    pairs = cast("Iterable[Any]", charges.items() if isinstance(charges, Mapping) else charges)
    several = tuple(islice(pairs, CHARGES_MAX + 1))
    if len(several) > CHARGES_MAX:
        raise InvalidInput(f"charges must be at most {CHARGES_MAX} {{name: Money}} (got more)")
    return tuple(_charge(pair) for pair in several)


def _charge(pair: Any) -> tuple[str, Money]:
    match pair:
        case (name, Money() as money):
            if money.minor < 0:
                raise InvalidInput(f"charge {shorten(name)} must not be below zero (got {money}); use a credit instead")
            return check_text(name, "the name of a charge"), money
        case _:
            raise InvalidInput(f"charges must be {{name: Money}} (got {shorten(pair)} among them)")


@frozen(kw_only=True)
class Amendment:
    """What is to be different about an order: lines added and changed, and charges by their name.

    0 removes a charge, and is refused where the order has none of that name (`NoSuchCharge`).
    """

    add: tuple[Line, ...] = field(default=(), converter=_added)
    lines: tuple[LineChange, ...] = field(default=(), converter=_changes)
    charges: tuple[tuple[str, Money], ...] = field(default=(), converter=_charges)

    def __attrs_post_init__(self) -> None:
        for what, ids in (
            ("line_id", [change.line_id for change in self.lines]),
            ("new line_id", [line.line_id for line in self.add if line.line_id]),
            ("charge", [name for name, _ in self.charges]),
        ):
            if len(set(ids)) != len(ids):
                raise InvalidInput(f"a {what} stands twice in the amendment; say it once")
        if len({one.currency for one in self.prices}) > 1:
            raise CurrencyMismatch("an amendment has one currency, that of its order")

    @property
    def prices(self) -> list[Money | UnitPrice]:
        """Every price in it."""
        changed_prices = [change.unit_price for change in self.lines if change.unit_price is not None]
        return [*(line.unit_price for line in self.add), *changed_prices, *(money for _, money in self.charges)]

    def __bool__(self) -> bool:
        return bool(self.add or self.lines or self.charges)


@frozen(kw_only=True)
class Revision:
    """An amendment with everything frozen that it needs of the catalogue: what an order change keeps."""

    add: tuple[OrderLine, ...] = ()
    """Lines as they will be; a line without an id is given the next number."""
    lines: tuple[LineChange, ...] = ()
    charges: tuple[Charge, ...] = ()


def revision(amendment: Amendment, order: Order, items: Mapping[str, Item]) -> Revision:
    """Freeze it.  `items` is what the catalogue says of the SKUs that are added."""
    for price in amendment.prices:
        if price.currency != order.currency:
            raise CurrencyMismatch(f"order {order.order_id} is in {order.currency}, the amendment in {price.currency}")
    return Revision(
        add=tuple(_added_line(line, order, items[line.sku]) for line in amendment.add),
        lines=amendment.lines,
        charges=tuple(charge_instead(order, name, money) for name, money in amendment.charges),
    )


def _added_line(line: Line, order: Order, item: Item) -> OrderLine:
    parts = added_line(order, line, item.tax_class)
    return OrderLine(
        line_id=line.line_id,
        sku=line.sku,
        kind=item.kind,
        quantity=line.quantity,
        unit_price=line.unit_price,
        minor=line.unit_price.times(line.quantity).minor if parts is None else parts.minor,
        location=order.location,
        units={"open": line.quantity},
        parts=parts,
        external=line.external,
        reference=line.reference,
        requested_at=line.requested_at,
    )


# Refusals.


@error
class BelowMoved(Refused):
    """Fewer units are wanted than were already picked, packed or sent."""

    order_id: str
    line_id: str
    wanted: int
    moved: int
    standing: tuple[tuple[str, int], ...]
    """(bucket, units) of those that moved."""

    @property
    def message(self) -> str:
        told = ", ".join(f"{n} {bucket}" for bucket, n in self.standing)
        return (
            f"order {self.order_id}, line {self.line_id}: cannot be made {self.wanted}, "
            f"{counted(self.moved, 'unit has', 'units have')} moved already ({told}); "
            "leave those, or put them back first"
        )


@error
class NothingToReprice(Refused):
    """No unit of the line is in the house any more."""

    order_id: str
    line_id: str

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}, line {self.line_id}: no unit is left in the house whose price could be changed; "
            "grant a credit (GrantCredit) to give some back"
        )


@error
class NothingLeft(Refused):
    """Nothing would be left of the order."""

    order_id: str

    @property
    def message(self) -> str:
        return f"nothing would be left of order {self.order_id}; cancel it instead (CancelOrder)"


@error
class NoSuchCharge(Refused):
    """A charge is to be removed that the order does not have."""

    order_id: str
    name: str
    there: tuple[str, ...]

    @property
    def message(self) -> str:
        there = ", ".join(map(repr, self.there)) or "none"
        return f"order {self.order_id} has no charge {self.name!r} to remove; name one that it has ({there})"


@error
class TooMuchChanged(Refused):
    """The order would be larger than an order can be."""

    order_id: str
    what: str
    limit: int

    @property
    def message(self) -> str:
        return f"order {self.order_id} would have more than {self.limit} {self.what}; place another order"


@error
class MovedSince(Refused):
    """Units have moved since the amendment, so it cannot be taken back."""

    order_id: str
    line_id: str
    amendment: int

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}, line {self.line_id}: units have moved since amendment {self.amendment}; "
            "amend the order once more instead"
        )


# What becomes of a line.


@frozen
class Cast:
    """What one line becomes: units let go of, units added, and what those in the house carry then."""

    line_id: str
    let_go: tuple[Moved, ...]
    add: int
    unit_price: UnitPrice
    shares: tuple[Stretch, ...]
    """All shares of the line, first to last."""
    before: LineBefore


def change_of_line(order: Order, change: LineChange) -> Cast:
    """What a line change makes of its line."""
    line = order.lines.get(change.line_id)
    if line is None:
        raise NotFound("line", f"{order.order_id}/{change.line_id}")
    stands = line.quantity - line.count("cancelled")
    wanted = stands if change.quantity is None else change.quantity
    moved = line.count(*MOVED)
    if wanted < moved:
        standing = tuple((bucket, n) for bucket in MOVED if (n := line.count(bucket)))
        raise BelowMoved(order.order_id, line.line_id, wanted, moved, standing)
    let_go, add = max(stands - wanted, 0), max(wanted - stands, 0)
    price = change.unit_price
    staying = line.count(*FREE, "picked", "packed") - let_go
    if price is not None and not staying + add:
        raise NothingToReprice(order.order_id, line.line_id)
    if price is not None:
        shares = repriced(order, line, price, _in_the_house(line, let_go), add)
    else:
        price = line.unit_price
        shares = (*_in_the_house(line, let_go), *costing(order, line, price, add))
    return _cast(order, line, let_go, add, price, shares)


def _cast(order: Order, line: OrderLine, let_go: int, add: int, price: UnitPrice, shares: tuple[Stretch, ...]) -> Cast:
    """The line with this many units less or more, and these shares for what then stands in the house."""
    cancelled = line.count("cancelled") + let_go
    front, rest = cut(line.shares, cancelled)
    _, back = cut(rest, line.quantity - cancelled - line.count(*GONE_OUT))
    stretches = joined((*front, *shares, *back))
    if len(stretches) > STRETCHES_MAX:
        raise TooMuchChanged(order.order_id, f"prices on line {line.line_id}", STRETCHES_MAX)
    check_quantity(line.quantity + add)
    return Cast(
        line_id=line.line_id,
        let_go=tuple(_let_go(line, let_go)),
        add=add,
        unit_price=price,
        shares=stretches,
        before=LineBefore(
            line_id=line.line_id,
            units=line.count(*FREE, "picked", "packed"),
            shares=_in_the_house(line, 0),
            unit_price=line.unit_price,
            gone=cancelled,
            moved=line.count(*MOVED),
            out=line.count(*GONE_OUT),
        ),
    )


def _in_the_house(line: OrderLine, let_go: int) -> tuple[Stretch, ...]:
    """What the units in the house carry, without the first so many of them."""
    gone = line.count("cancelled") + let_go
    _, rest = cut(line.shares, gone)
    inside, _ = cut(rest, line.quantity - gone - line.count(*GONE_OUT))
    return inside


def _let_go(line: OrderLine, n: int) -> Iterable[Moved]:
    for bucket in UNIT_ARROWS["cancel"].sources:
        here = min(n, line.count(bucket)) if bucket in FREE else 0
        if here:
            yield Moved(line.line_id, "cancel", bucket, here)
            n -= here


def back_to(order: Order, before: LineBefore, amendment: int) -> Cast:
    """What reverting an amendment makes of a line; refused where any of its units has moved since."""
    line = order.lines[before.line_id]
    stands = line.count("cancelled"), line.count(*MOVED), line.count(*GONE_OUT)
    if stands != (before.gone, before.moved, before.out):
        raise MovedSince(order.order_id, line.line_id, amendment)
    inside = line.count(*FREE, "picked", "packed")
    let_go, add = max(inside - before.units, 0), max(before.units - inside, 0)
    return _cast(order, line, let_go, add, before.unit_price, before.shares)


def recast(line: OrderLine, cast: Cast) -> OrderLine:
    """The line as it is afterwards."""
    units = dict(line.units)
    for step in cast.let_go:
        units[step.source] -= step.quantity
        units["cancelled"] = units.get("cancelled", 0) + step.quantity
    if cast.add:
        units["open"] = units.get("open", 0) + cast.add
    first = cast.shares[0]
    at_one = first.units == first.of and len(cast.shares) == 1
    return changed(
        line,
        quantity=line.quantity + cast.add,
        units={bucket: n for bucket, n in units.items() if n},
        unit_price=cast.unit_price,
        minor=amount(cast.shares),
        stretches=() if at_one else cast.shares,
        parts=first.parts if at_one else line.parts,
    )


def next_line_ids(order: Order, lines: Iterable[OrderLine]) -> tuple[OrderLine, ...]:
    """The lines with ids: those they were given, or the next numbers."""
    taken = set(order.lines)
    numbered: list[OrderLine] = []
    for line in lines:
        line_id = line.line_id
        if not line_id:
            n = len(taken) + 1
            while str(n) in taken:
                n += 1
            line_id = str(n)
        elif line_id in taken:
            raise InvalidInput(f"order {order.order_id} has a line {line_id} already; give the new one another id")
        taken.add(line_id)
        numbered.append(changed(line, line_id=line_id))
    if len(taken) > LINES_MAX:
        raise TooMuchChanged(order.order_id, "lines", LINES_MAX)
    return tuple(numbered)


def charges_after(order: Order, new: Iterable[Charge]) -> tuple[Charge, ...]:
    """The order's charges with these instead of all of the same name; 0 removes them.

    Names are the host's words and need not differ: two gift wraps that nobody speaks of stay two.
    """
    wanted = {charge.name: charge for charge in new}
    named = set(wanted)
    there = tuple(dict.fromkeys(charge.name for charge in order.charges))
    for charge in wanted.values():
        if not charge.minor and charge.name not in there:
            raise NoSuchCharge(order.order_id, charge.name, there)
    kept = [
        charge if charge.name not in named else wanted.pop(charge.name)
        for charge in order.charges
        if charge.name not in named or charge.name in wanted
    ]
    return tuple(charge for charge in (*kept, *wanted.values()) if charge.minor)
