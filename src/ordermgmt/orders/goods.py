"""Setting goods aside after the placing: for orders that were placed without, and units that stand open again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from pendulum import DateTime

from ..engine.capability import Evolve, Rule, Seen, evolved, require
from ..engine.messages import Command, Event
from ..errors import Refused
from ..stock.model import Claim
from ..values import error, frozen
from .messages import OrderCommand
from .model import Order
from .rules import rows_of_order


@error
class NothingToSetAside(Refused):
    """No goods of the order wait to be set aside."""

    order_id: str
    status: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is {self.status}, and no stocked unit of it stands open; there is nothing to do"


@frozen(kw_only=True)
class SetGoodsAside(OrderCommand):
    """Set aside everything that stands open: of an order placed with ``goods="later"``, released by hand, or to be
    sent once more.  All of it, or nothing: refused with `OutOfStock`, or `NothingToSetAside`.
    """


@frozen(kw_only=True)
class GoodsAskedFor(Event):
    """What stands open is to be set aside."""

    claims: tuple[Claim, ...]


def _set_aside(command: SetGoodsAside, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(state, "order", command.order_id)
    claims = tuple(
        Claim(line.line_id, line.sku, line.location, n)
        for line in order.lines.values()
        if line.kind == "stocked" and (n := line.count("open"))
    )
    if not claims or seen.ended or order.is_draft:
        raise NothingToSetAside(order.order_id, order.status)
    yield GoodsAskedFor(claims=claims)


_by_id: Callable[[Any], str] = attrgetter("order_id")


RULES: Mapping[type[Command[Any]], Rule] = {SetGoodsAside: Rule(_set_aside, _by_id, reads=rows_of_order)}
EVOLVE: Mapping[type[Event], Evolve] = {GoodsAskedFor: evolved}
REFUSALS = (NothingToSetAside,)
