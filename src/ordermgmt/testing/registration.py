"""Hypothesis' entry point: `st.from_type(Money)`, `st.builds(…)` and the like know our types by themselves.

Hypothesis calls `register` when it is imported (see ``[project.entry-points.hypothesis]``).  Nothing is built then:
each strategy is made when it is first drawn from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register() -> None:
    """Tell Hypothesis how to make our types."""
    # Here, so that importing this module needs no hypothesis.
    from hypothesis.strategies import register_type_strategy  # noqa: PLC0415

    from ..money import Money, UnitPrice  # noqa: PLC0415
    from ..orders.messages import Line, PlaceOrder  # noqa: PLC0415
    from ..payments.model import Fact  # noqa: PLC0415

    for cls, name in ((Money, "money"), (UnitPrice, "unit_prices"), (PlaceOrder, "orders"), (Fact, "facts")):
        register_type_strategy(cls, _later(name))
    register_type_strategy(Line, lambda _: _later("lines")(Line).map(_first))


def _first(several: list[Any]) -> Any:
    return several[0]


def _later(name: str) -> Callable[[type[Any]], Any]:
    """The strategy of that name, looked up when it is first wanted."""

    def strategy(_cls: type[Any]) -> Any:
        from . import strategies  # noqa: PLC0415

        return getattr(strategies, name)()

    return strategy
