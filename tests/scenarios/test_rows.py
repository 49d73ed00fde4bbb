"""Every row of the groups about orders and money, and what became of it: nothing is left out in silence.

A row passes under the preset of its system, or deviates by a law of ours, or is about something that is no part of
orders and money.  Groups of part A: C charge status (2), D order discounts (5), V calculator and proration (6, 7),
M order actions and payments (9); of part B: S allocation, tax and rounding (1, 2).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PASSES = {
    "saleor": "C1 C2 C4 C6 C7 D1 D2 D4 D6 D7 D9 D11 D12",
    "vendure": "V1 V2 V4 V6 V7 V9 V11 V12 V14 V16 V17 V19 V21 V22 V24 V26 V29 V31 V32 V34 V36",
    "medusa": "M1 M4 M7 M9 M11 M12 M14 M21 M22 M24 M27 M29 M32 M36",
    "solidus": "S1 S4 S6 S7 S9 S22",
    "sylius": "S11 S12 S14 S16 S24 S26 S27 S29",
    "oscar": "S19 S21",
}
"""Preset → the rows that come out the same under it."""

DEVIATES = {
    "C9": "nobody is left overcharged: what is paid too much is given back in the same commit (the money follows)",
    "V27": "parts with weight 0 get nothing of a discount; what is left over is told, not clamped away",
    "M6": "over a limit is refused and named, not answered as if it were done: captured + in flight ≤ authorised",
    "M34": "a cancelled order owes nothing: shares are frozen per unit and fall away with it",
    "S2": "parts are equal to the cent, and the odd cent is the first's: largest remainder, ties in the lines' order",
    "S17": "units share a discount by cum(k) - cum(k-1): the same parts, the odd cent in the middle",
}
"""Row → the law by which ours makes another number.  Each has a test that says so beside it."""

OUTSIDE = {
    "M2": "returns",
    "M16": "kits",
    "M17": "kits",
    "M19": "returns",
    "M26": "claims and replacements",
    "M31": "choosing locations (sourcing)",
    "M37": "returns",
}
"""Row → what it is about instead."""

TESTED = sorted({row for rows in PASSES.values() for row in rows.split()} | DEVIATES.keys())
TESTS = "\n".join(
    path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_rows.py"
)


@pytest.mark.parametrize("row", TESTED)
def test_every_row_has_a_test_that_names_it(row: str) -> None:
    assert re.search(rf"(?i)(?<![a-z0-9]){row}(?![0-9a-z])", TESTS)


def test_every_row_is_told_once() -> None:
    told = [*(row for rows in PASSES.values() for row in rows.split()), *DEVIATES, *OUTSIDE]
    assert len(told) == len(set(told))
    by_group = {group: sum(row.startswith(group) for row in told) for group in "CDVMS"}
    assert by_group == {"C": 6, "D": 8, "V": 22, "M": 23, "S": 18}
