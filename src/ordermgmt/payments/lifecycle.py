"""What becomes of one payment: the picture of a function of its facts."""

from statemachine import State, StateMachine

from ..engine.lifecycle import Lifecycle


class PaymentChart(StateMachine):
    """One try to get money, from the first request to the last fact.

    The status is computed from the set of facts, in whatever order they arrive; the trigger is the verb of the status
    it becomes. So this chart refuses nothing and draws what facts can do. The arrows out of `declined`, `expired` and
    `voided` are late facts: the provider did take the money after all. `capture_part` out of `captured` is an
    authorisation that is reported after its capture, or raised. Because of late facts none of these is final:
    `closed` is, by decision. Refunded and disputed are amounts beside the status; another try is another payment.
    """

    pending = State(initial=True)
    action_required = State()
    declined = State()
    authorised = State()
    partly_captured = State()
    captured = State()
    voided = State()
    expired = State()
    closed = State(final=True)

    require_action = pending.to(action_required)
    decline = declined.from_(pending, action_required)
    authorise = authorised.from_(pending, action_required, declined, expired, voided)
    capture_part = partly_captured.from_(authorised, captured)
    capture = captured.from_(pending, action_required, declined, expired, voided, authorised, partly_captured)
    void = voided.from_(pending, action_required, declined, expired, authorised)
    expire = expired.from_(pending, action_required, declined, authorised)
    close = closed.from_(declined, voided, expired, captured)


PAYMENT = Lifecycle.of(PaymentChart)
