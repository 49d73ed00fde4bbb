"""What an order's lines come to: shares of units that left or were given up, what is owed and what is earned.

Pure arithmetic over the frozen amounts; everything derived from an order starts here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..engine.messages import counted
from ..money import cumulative
from ..values import frozen
from .lifecycle import GONE_OUT, UNIT_ARROWS
from .stretches import share

if TYPE_CHECKING:
    from .model import Charge, Order, OrderLine

_OUT = frozenset(GONE_OUT)
_TARGETS = {name: arrow.target for name, arrow in UNIT_ARROWS.items()}


# Units.


def walk(units: dict[str, int], source: str, arrow: str, quantity: int) -> None:
    """Move units that stand in `source` along an arrow, in place: this runs for every line of every move."""
    left = units.get(source, 0) - quantity
    if left < 0:
        raise ValueError(f"{counted(quantity, 'unit')} cannot {arrow}: only {left + quantity} there in {source}")
    if left:
        units[source] = left
    else:
        del units[source]
    target = _TARGETS[arrow]
    units[target] = units.get(target, 0) + quantity


# Shares.


def given_back(line: OrderLine) -> int:
    """What units of this line that are not wanted any more have given back: the first shares of the line."""
    return _share_of(line, line.units.get("cancelled", 0))


def earned_by(line: OrderLine) -> int:
    """What units of this line that have left the house have earned: the last shares of the line.

    Units given back take shares from the front and units handed over from the back.  So they never take the
    same one, and together they make the whole line.
    """
    return line.minor - _share_of(line, line.quantity - line.count(*GONE_OUT))


def _share_of(line: OrderLine, first: int) -> int:
    """What the first units of a line come to together."""
    if not first:
        return 0
    if line.stretches:
        return share(line.stretches, first)
    return line.minor if first == line.quantity else cumulative(line.minor, first, line.quantity)


@frozen
class Reckoning:
    """What an order's lines come to, reckoned in one pass."""

    totals: dict[str, int]
    """Bucket → units over all lines; empty buckets are absent."""
    owed: int
    """See `due`."""
    earned: int
    """See `earned`."""


def reckon(order: Order) -> Reckoning:
    """Units and money of all lines.  Everything derived from an order starts here."""
    # The rule, the balance of the money and the indexes all ask for the same lines within one command.
    last = _last[0]
    if last is not None and last[0] is order.lines and last[1] is order.charges and last[2] == order.credits:
        return last[3]
    reckoned = _reckoned(order)
    _last[0] = (order.lines, order.charges, order.credits, reckoned)
    return reckoned


_last: list[tuple[dict[str, OrderLine], tuple[Charge, ...], int, Reckoning] | None] = [None]
"""What was reckoned last, and of what: replaced as one, so that threads can share it."""


def _reckoned(order: Order) -> Reckoning:
    totals: dict[str, int] = {}
    standing = out = 0
    wanted = False
    for line in order.lines.values():
        units = line.units
        if len(units) == 1 and line.quantity in units.values():  # all units in one bucket, as they mostly are
            (bucket,) = units
            totals[bucket] = totals.get(bucket, 0) + line.quantity
            if bucket != "cancelled":
                wanted = True
                standing += line.minor
                if bucket in _OUT:
                    out += line.minor
            continue
        for bucket, n in units.items():
            totals[bucket] = totals.get(bucket, 0) + n
        wanted = True
        standing += line.minor - given_back(line)
        out += earned_by(line)
    charges = sum([charge.minor for charge in order.charges]) if wanted and order.charges else 0
    # A credit that is more than what is left lapses with the units it was granted on: nobody owes less than nothing.
    owed = max(standing + charges - order.credits, 0)
    gone = not _OUT.isdisjoint(totals)
    return Reckoning(totals, owed, min(out + charges, owed) if gone else 0)


def due(order: Order) -> int:
    """What the customer owes: shares of units not cancelled, plus charges, less credits granted (minor units).

    Charges fall away with the last unit.
    """
    return reckon(order).owed


def earned(order: Order) -> int:
    """What may be collected by now: shares of units handed over, with the charges from the first one on."""
    return reckon(order).earned


def all_units(lines: Iterable[OrderLine], *buckets: str) -> tuple[tuple[str, int], ...]:
    """(line id, units) of every line that has some in these buckets."""
    return tuple((line.line_id, n) for line in lines if (n := line.count(*buckets)))
