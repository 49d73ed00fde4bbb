"""What becomes of a change somebody wants to make to an order."""

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle


class ChangeChart(StateMachine):
    """One change of one order, from the first draft to an answer.

    A draft may be edited; once it was requested it stands as it is, and somebody answers. `cancel` is whoever wanted
    it, `decline` whoever was asked, `expire` the deadline: each leaves the order as it is. `confirmed` is not final,
    because the last change may be taken back where nothing has moved since. There is no arrow that waits for the
    order: whatever happens to it, a change that is open can be cancelled.
    """

    drafted = State(initial=True)
    requested = State()
    confirmed = State()
    declined = State(final=True)
    cancelled = State(final=True)
    expired = State(final=True)
    reverted = State(final=True)

    edit = drafted.to(drafted)
    request = drafted.to(requested)
    confirm = requested.to(confirmed)
    decline = requested.to(declined)
    cancel = cancelled.from_(drafted, requested)
    expire = expired.from_(drafted, requested)
    revert = confirmed.to(reverted)


CHANGE = Lifecycle.of(ChangeChart)
