"""The laws of order changes: an open one is known to its order, and an amended line carries what its stretches do."""

from __future__ import annotations

from typing import Any

from ..changes.model import OrderChange
from ..engine.messages import counted
from ..orders.model import Order
from ..orders.settlement import ENDED
from ..orders.stretches import amount
from .reading import Findings, View


def change_laws(view: View, change: OrderChange) -> Findings:
    """C4: while a change is open its order knows of it; when it has ended the order is free."""
    order = view.state("order", change.order_id)
    if order is None:
        yield "C4", f"its order {change.order_id} does not exist"
    elif isinstance(order, Order) and change.open and order.status in ENDED:
        yield "C4", f"it is {change.status}, but its order is {order.status}"
    elif isinstance(order, Order) and change.open != (order.change == change.change_id):
        knows = f"order {order.order_id} knows of {order.change or 'none'}"
        yield "C4", f"it is {change.status}, but {knows}"
    last = order.last_amendment if isinstance(order, Order) else None
    if last is not None and last.change_id == change.change_id and change.status != "confirmed":
        yield "C4", f"it is {change.status}, but order {change.order_id} stands as it says"


def amendment_laws(view: View, order: Order) -> Findings:
    """C4 from the order's side, and M7: the shares of an amended line add up to it."""
    if order.change:
        change: Any = view.state("change", order.change)
        if change is None or (isinstance(change, OrderChange) and not change.open):
            yield (
                "C4",
                f"it waits for change {order.change}, which is {'not there' if change is None else change.status}",
            )
    for line in order.lines.values():
        units = sum(stretch.units for stretch in line.stretches)
        if line.stretches and (units, amount(line.stretches)) != (line.quantity, line.minor):
            carried = f"{amount(line.stretches)} over {counted(units, 'unit')}"
            yield "M7", f"line {line.line_id}: its stretches carry {carried}, it {line.minor} over {line.quantity}"
        for stretch in line.stretches:
            if stretch.units < 1 or stretch.first < 0 or stretch.first + stretch.units > stretch.of:
                yield "M7", f"line {line.line_id}: there is no such stretch of {counted(stretch.of, 'unit')}: {stretch}"
