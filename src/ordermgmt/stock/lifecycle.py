"""What becomes of the goods set aside for one order."""

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle


class ReservationChart(StateMachine):
    """One order's claim on stock, from the basket to the last unit handed over.

    `commit` out of `held` converts what the basket already holds, and never takes it again. `commit` out of
    `consumed` is the way back: a parcel recalled before its first scan, units added, or units shipped once more. So
    `consumed` is not final; it is closed when the order ends. `release` out of `committed` is for an order that ends
    with nothing handed over. How many units are claimed stands in the order's unit vector: the status moves with the
    last one.
    """

    held = State(initial=True)
    committed = State()
    consumed = State()
    released = State(final=True)
    expired = State(final=True)
    closed = State(final=True)

    commit = committed.from_(held, consumed)
    expire = held.to(expired)
    release = released.from_(held, committed)
    consume = committed.to(consumed)
    close = consumed.to(closed)


RESERVATION = Lifecycle.of(ReservationChart)
