"""What the units of an amended line carry: stretches of frozen shares, from the first unit to the last.

A line that was never amended is one stretch.  Amending cuts the line where units were cancelled (at its front) and
where units have left the house (at its back), and changes what stands between.  A cut changes no share: a stretch
remembers of which amount it is a part, so every unit that is not touched keeps its share to the cent.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.capability import changed
from ..money import UnitPrice, cumulative
from ..pricing.model import Parts
from ..values import frozen


@frozen
class Stretch:
    """Units `first` + 1 to `first` + `units` of an amount of `minor` that is shared by `of` units."""

    units: int
    minor: int
    of: int
    first: int = 0
    price: UnitPrice | None = None
    """What one of them was sold at."""
    parts: Parts | None = None
    """What the whole amount is made of; None where it is nothing but a price."""

    @property
    def made_of(self) -> Parts | None:
        """What these units' part of the amount is made of."""
        return None if self.parts is None else self.parts.part(self.first + 1, self.first + self.units, self.of)

    def share(self, units: int) -> int:
        """What its first units carry together."""
        if units == self.of:
            return self.minor
        before = cumulative(self.minor, self.first, self.of) if self.first else 0
        return cumulative(self.minor, self.first + units, self.of) - before


def whole(units: int, minor: int, price: UnitPrice | None = None, parts: Parts | None = None) -> tuple[Stretch, ...]:
    """One stretch that shares an amount; nothing where there are no units."""
    return (Stretch(units, minor, units, 0, price, parts),) if units else ()


def share(stretches: Iterable[Stretch], units: int) -> int:
    """What the first units of these stretches carry together."""
    carried = 0
    for one in stretches:
        if units <= one.units:
            return carried + one.share(units)
        carried += one.share(one.units)
        units -= one.units
    return carried


def amount(stretches: Iterable[Stretch]) -> int:
    """What all of them carry."""
    return sum(one.share(one.units) for one in stretches)


def cut(stretches: Iterable[Stretch], units: int) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...]]:
    """The first units, and the others; no unit's share changes."""
    front: list[Stretch] = []
    back: list[Stretch] = []
    for one in stretches:
        here = min(units, one.units)
        units -= here
        if here:
            front.append(one if here == one.units else changed(one, units=here))
        if here < one.units:
            back.append(changed(one, units=one.units - here, first=one.first + here) if here else one)
    return tuple(front), tuple(back)


def joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same shares in as few stretches as there are."""
    found: list[Stretch] = []
    for one in stretches:
        last = found[-1] if found else None
        # The next units of the same amount: all else about them is equal.
        if last is not None and changed(last, units=one.units, first=last.first + last.units) == one:
            found[-1] = changed(last, units=last.units + one.units)
        else:
            found.append(one)
    return tuple(found)
