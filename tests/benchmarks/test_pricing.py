"""Prices cost the same per line however many there are, and little beside the rest.  Ratios within one run."""

from __future__ import annotations

import pytest

from .pricing import KINDS, cost_of_placing, cost_of_pricing
from .timing import yardstick


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_costs_about_the_same_to_price_however_many_there_are(kind: str) -> None:
    hundred, thousand = cost_of_pricing(kind, 100, 2), cost_of_pricing(kind, 1_000, 1)
    assert thousand < 3 * hundred, f"{thousand:.1f} µs a line of 1,000, {hundred:.1f} of 100"


def test_a_line_with_tax_and_discounts_is_priced_in_a_few_microseconds() -> None:
    # Told in yardsticks of about 6 µs, so that a slow machine does not fail it.
    cost, stick = cost_of_pricing("tax, line and order discount", 100, 3), yardstick()
    assert cost < 6 * stick, f"{cost:.1f} µs a line, where the yardstick is {stick:.1f}"


def test_placing_a_priced_order_costs_about_the_same_per_line_however_many_there_are() -> None:
    hundred = cost_of_placing(100, 3, with_prices=True) / 100
    thousand = cost_of_placing(1_000, 1, with_prices=True) / 1_000
    assert thousand < 3 * hundred, f"{thousand:.1f} µs a line at 1,000 lines, {hundred:.1f} at 100"
