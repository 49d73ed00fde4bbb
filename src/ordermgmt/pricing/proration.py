"""An amount spread over several: in proportion, exactly to the cent, and never over what each can bear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import le
from typing import Any

Tie = Callable[[int], Any]
"""What decides between equal remainders, instead of the place in the list."""

_FINE = 1 << 120
"""Room for each unit of weight is compared at this scale: finer than any two ratios of amounts here can differ."""


def prorate(minor: int, weights: Sequence[int], tie: Tie | None = None) -> list[int]:
    """Split `minor` in proportion to `weights` by the largest remainder, as `ordermgmt.money.allocate` does.

    Of equal remainders the one that comes first by `tie` gets the unit, else the earlier one; so with a `tie` that
    looks at what the parts are, their order changes nothing.  Weights are of 0 or more, and not all 0.
    """
    total = sum(weights)
    magnitude = abs(minor)
    parts = [magnitude * weight // total for weight in weights]
    if left := magnitude - sum(parts):
        remainders = [magnitude * weight % total for weight in weights]
        for n in _largest(remainders, left, tie):
            parts[n] += 1
    return [-part for part in parts] if minor < 0 else parts


def settle(minor: int, exact: Sequence[int], denominator: int, tie: Tie | None = None) -> list[int]:
    """Whole parts of exact ones, ``exact[n] / denominator`` of either sign, that sum to `minor`.

    `minor` is the exact sum, rounded in any way; each part is its exact one, rounded down or up.
    """
    parts = [one // denominator for one in exact]
    if left := minor - sum(parts):
        for n in _largest([one % denominator for one in exact], left, tie):
            parts[n] += 1
    return parts


def _largest(remainders: Sequence[int], n: int, tie: Tie | None) -> list[int]:
    """The places of the `n` largest; `tie` is asked only where several are equally large and not all are taken."""
    if tie is None:
        return sorted(range(len(remainders)), key=remainders.__getitem__, reverse=True)[:n]
    least = sorted(remainders, reverse=True)[n - 1]
    taken = [place for place, one in enumerate(remainders) if one > least]
    equal = [place for place, one in enumerate(remainders) if one == least]
    if len(equal) > n - len(taken):
        equal.sort(key=tie)
    return taken + equal[: n - len(taken)]


def pour(minor: int, weights: Sequence[int], rooms: Sequence[int], tie: Tie | None = None) -> list[int]:
    """Spread up to `minor` by `weights`, to none more than its room; what one cannot take, the others do.

    The parts sum to `minor`, or to all the room of those with weight, if that is less.
    """
    if minor <= 0 or not any(weights):
        return [0] * len(weights)
    spread = prorate(minor, weights, tie)
    if all(map(le, spread, rooms)):
        return spread  # as nearly always
    parts = [0] * len(weights)
    able = [n for n, (weight, room) in enumerate(zip(weights, rooms, strict=True)) if weight > 0 and room > 0]
    full = _full(minor, weights, rooms, able)
    for n in full:
        parts[n] = rooms[n]
        minor -= rooms[n]
    rest = [n for n in able if not parts[n]]
    if rest:
        among = None if tie is None else [tie(n) for n in rest].__getitem__
        for n, part in zip(rest, prorate(minor, [weights[n] for n in rest], among), strict=True):
            parts[n] = part
    return parts


def _full(minor: int, weights: Sequence[int], rooms: Sequence[int], able: Sequence[int]) -> list[int]:
    """Those that would be given more than they can take.  One pass from the tightest on: a sort at worst."""
    weight = sum(weights[n] for n in able)
    full: list[int] = []
    for n in sorted(able, key=lambda n: rooms[n] * _FINE // weights[n]):
        if rooms[n] * weight > minor * weights[n]:
            break
        full.append(n)
        minor -= rooms[n]
        weight -= weights[n]
    return full
