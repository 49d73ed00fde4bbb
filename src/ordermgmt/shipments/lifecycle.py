"""What becomes of one parcel: one box, one label, one tracking number."""

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle


class ShipmentChart(StateMachine):
    """A parcel, from the pick list to the last scan.

    In the warehouse every step has its way back (`unpick`, `unpack`), because people do put things back. `recall`
    takes a parcel off the ramp again, only before the carrier's first scan. On the road the carrier contradicts
    itself: `deliver` out of `undeliverable`, `fail` out of `delivered` (it is marked delivered and missing) and
    `correct` are its second thoughts, so neither is final: `closed` is, by decision. The label is no status, but
    data.
    """

    planned = State(initial=True)
    picked = State()
    packed = State()
    shipped = State()
    delivered = State()
    undeliverable = State()
    cancelled = State(final=True)
    closed = State(final=True)

    pick = planned.to(picked)
    unpick = picked.to(planned)
    pack = picked.to(packed)
    unpack = packed.to(picked)
    cancel = cancelled.from_(planned, picked, packed)
    hand_over = packed.to(shipped)
    recall = shipped.to(packed)
    deliver = delivered.from_(shipped, undeliverable)
    fail = undeliverable.from_(shipped, delivered)
    correct = shipped.from_(delivered, undeliverable)
    close = closed.from_(delivered, undeliverable)


SHIPMENT = Lifecycle.of(ShipmentChart)
