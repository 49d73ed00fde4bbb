"""What becomes of money we owe a customer: one execution on one payment."""

from statemachine import Event, State, StateMachine

from ..engine.lifecycle import Lifecycle


class RefundChart(StateMachine):
    """One refund, from the wish to the provider's last word.

    `cancel` out of `approved` is possible only while the effect was never sent; there is none out of `pending`, where
    the provider may already have paid. `succeed` out of `failed` and `fail` out of `succeeded` are the provider
    contradicting itself (a bank returns the money days later; the latest provider time wins), so neither is final:
    `closed` is, by decision. Another try is another refund.
    """

    requested = State(initial=True)
    approved = State()
    pending = State()
    succeeded = State()
    failed = State()
    declined = State(final=True)
    cancelled = State(final=True)
    closed = State(final=True)

    approve = requested.to(approved)
    decline = requested.to(declined)
    cancel = cancelled.from_(requested, approved)
    # The trigger is `send`. A StateMachine has a method of that name, so only this line may not use it as an attribute.
    send_ = Event(approved.to(pending), id="send")
    succeed = succeeded.from_(pending, failed)
    fail = failed.from_(pending, succeeded)
    close = closed.from_(succeeded, failed)


REFUND = Lifecycle.of(RefundChart)
