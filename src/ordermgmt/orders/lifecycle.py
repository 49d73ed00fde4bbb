"""What becomes of an order's header, and where its units may stand.

The header holds decisions only. How far an order has got is read from its units and its money, so nothing is ever
reopened.
"""

from collections.abc import Mapping
from types import MappingProxyType

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle
from ..values import frozen


class OrderChart(StateMachine):
    """The promise to a customer, from quote to end.

    `cancel` leads out of `confirmed` too, but only while nothing has left the house: afterwards units are cancelled
    one by one and the header stays. There is no arrow for shipping, paying or returning, since one order can be half
    of each. `closed` is not "completed" but "nothing more can happen": completed is derived, and goods may still come
    back.
    """

    draft = State(initial=True)
    placed = State()
    confirmed = State()
    closed = State(final=True)
    cancelled = State(final=True)
    rejected = State(final=True)
    expired = State(final=True)

    place = draft.to(placed)
    expire = expired.from_(draft, placed)
    cancel = cancelled.from_(draft, placed, confirmed)
    confirm = placed.to(confirmed)
    reject = placed.to(rejected)
    close = confirmed.to(closed)


ORDER = Lifecycle.of(OrderChart)


@frozen
class UnitArrow:
    """One way units of a line may go: from any of the `sources` to the `target`. Without sources they are new."""

    name: str
    sources: tuple[str, ...]
    target: str


BUCKETS = (
    "open",
    "backordered",
    "reserved",
    "picked",
    "packed",
    "shipped",
    "delivered",
    "returning",
    "returned",
    "undeliverable",
    "cancelled",
)
"""Where a unit can stand; it stands in exactly one."""


def _drawn(*arrows: UnitArrow) -> Mapping[str, UnitArrow]:
    return MappingProxyType({arrow.name: arrow for arrow in arrows})


UNIT_ARROWS = _drawn(
    # Promised, and taken from the shelf's free stock.
    UnitArrow("add", (), "open"),
    UnitArrow("reserve", ("open",), "reserved"),
    UnitArrow("backorder", ("open",), "backordered"),
    UnitArrow("fill", ("backordered",), "reserved"),
    UnitArrow("release", ("reserved",), "open"),
    UnitArrow("displace", ("reserved",), "backordered"),  # a count or a pick came up short, or somebody goes first
    # In the warehouse: every step has its way back, because people put things back.
    UnitArrow("pick", ("reserved",), "picked"),
    UnitArrow("unpick", ("picked",), "reserved"),
    UnitArrow("pack", ("picked",), "packed"),
    UnitArrow("unpack", ("packed",), "picked"),
    UnitArrow("hand_over", ("packed",), "shipped"),
    UnitArrow("recall", ("shipped",), "packed"),  # only before the carrier's first scan
    # Without our shelf: the supplier ships, or there is nothing to ship.
    UnitArrow("drop_ship", ("open",), "shipped"),
    UnitArrow("perform", ("open",), "delivered"),
    # On the road, as the carrier tells it, which may contradict itself.
    UnitArrow("deliver", ("shipped", "undeliverable"), "delivered"),
    UnitArrow("correct", ("delivered", "undeliverable"), "shipped"),
    UnitArrow("fail", ("shipped", "delivered"), "undeliverable"),  # lost, refused, "delivered" but missing
    UnitArrow("reship", ("undeliverable",), "open"),
    UnitArrow("give_up", ("undeliverable",), "cancelled"),
    # Back again. Goods that nobody announced, or that no scan ever showed as delivered, are received all the same.
    UnitArrow("ask_return", ("delivered",), "returning"),
    UnitArrow("keep", ("returning",), "delivered"),
    UnitArrow("receive_return", ("returning", "delivered", "shipped"), "returned"),
    UnitArrow("send_back", ("returned",), "shipped"),
    # Not wanted any more. What is already off the shelf is held until somebody has put it away.
    UnitArrow("cancel", ("open", "backordered", "reserved", "picked", "packed"), "cancelled"),
)
"""Every way a unit may go, by name. What a way does to the stock is the stock's business."""

GONE_OUT = ("shipped", "delivered", "returning", "returned", "undeliverable")
"""Buckets of units that have left the house."""
ARRIVED = ("delivered", "returning", "returned")
IN_THE_HOUSE = ("open", "backordered", "reserved", "picked", "packed")
"""Buckets from which units can be cancelled, in the order they are."""
