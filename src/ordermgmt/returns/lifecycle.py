"""What becomes of goods a customer wants to send back."""

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle


class ReturnChart(StateMachine):
    """One return (RMA), from the wish to what became of the goods.

    `receive` leads out of `requested` too: parcels arrive before anybody has answered, and goods on the dock cannot
    be refused. `close` leads out of `received` too, for shops that do not inspect. Once goods are here there is no
    cancelling; what is refused after inspection is sent back and the return closed.
    """

    requested = State(initial=True)
    authorised = State()
    received = State()
    inspected = State()
    declined = State(final=True)
    cancelled = State(final=True)
    expired = State(final=True)
    closed = State(final=True)

    authorise = requested.to(authorised)
    decline = requested.to(declined)
    cancel = cancelled.from_(requested, authorised)
    expire = authorised.to(expired)
    receive = received.from_(requested, authorised)
    inspect = received.to(inspected)
    close = closed.from_(received, inspected)


RETURN = Lifecycle.of(ReturnChart)
