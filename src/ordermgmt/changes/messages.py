"""Words about order changes: what is wanted, who answers, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.messages import PERSONAL, Command, Event, Personal, checked_id, checked_note, checked_type
from ..errors import InvalidInput
from ..orders.amendment import Amendment, Revision
from ..orders.entry import OnAccount, PaidElsewhere, Pay, PayNow, checked_span
from ..orders.model import Address, Terms
from ..orders.settlement import Settlement
from ..values import frozen
from .model import OrderChange

VALID_FOR = timedelta(days=7)


def expiry_name(change_id: str) -> str:
    """The name of the later command that lets a change expire."""
    return f"change.{change_id}"


# Asked.


@frozen(kw_only=True)
class DraftOrderChange(Command[OrderChange]):
    """Draft a change of an order: lines, quantities, prices, charges, the address.  One may be open at a time.

    Nothing happens to the order before it is confirmed; the change's `settlement` tells what it would come to.
    Refused with `ChangeOpen`, and with what would refuse it as things stand: `BelowMoved`, `NothingLeft`.  Stock and
    payment are looked at when it is confirmed.
    """

    change_id: str | None = field(default=None, validator=optional(checked_id))
    order_id: str = field(validator=checked_id)
    amendment: Amendment = field(factory=Amendment, validator=checked_type(Amendment))
    ship_to: Address | None = field(default=None, validator=optional(checked_type(Address)), metadata=PERSONAL)
    valid_for: timedelta = field(default=VALID_FOR, validator=checked_span)
    """How long it may wait for an answer."""
    reason: str = field(default="", validator=checked_note)

    def __attrs_post_init__(self) -> None:
        _check_wanted(self.amendment, self.ship_to)


def _check_wanted(amendment: Amendment, ship_to: Address | None) -> None:
    if not amendment and ship_to is None:
        raise InvalidInput("a change without lines, charges or an address changes nothing; say what is wanted")


@frozen(kw_only=True)
class ChangeCommand(Command[OrderChange]):
    """What is asked of one order change."""

    change_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class EditOrderChange(ChangeCommand):
    """Replace what a drafted change says.  Not once it was requested."""

    amendment: Amendment = field(factory=Amendment, validator=checked_type(Amendment))
    ship_to: Address | None = field(default=None, validator=optional(checked_type(Address)), metadata=PERSONAL)
    reason: str = field(default="", validator=checked_note)

    def __attrs_post_init__(self) -> None:
        _check_wanted(self.amendment, self.ship_to)


@frozen(kw_only=True)
class RequestOrderChange(ChangeCommand):
    """Put a change to whoever has to agree; from now on it cannot be edited."""


@frozen(kw_only=True)
class ConfirmOrderChange(ChangeCommand):
    """Agree to a change: the order is amended, in one commit with stock and money.  It is checked again, against the
    order as it is now.

    A draft may be confirmed at once, where nobody else has to agree.  Refused with whatever refuses the amendment:
    `BelowMoved`, `OutOfStock`, `NothingLeft`, or `PaymentNeeded` without `pay`; and with `ChangeOver` once its time is
    over, whether or not a worker has come by to let it expire.
    """

    pay: Pay | None = field(default=None, validator=optional(checked_type(PayNow, OnAccount, PaidElsewhere)))
    """How what is missing is paid; by default by the order's own tender."""


@frozen(kw_only=True)
class DeclineOrderChange(ChangeCommand):
    """Turn a change down; the order stays as it is."""

    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class CancelOrderChange(ChangeCommand):
    """Give a change up; the order stays as it is."""

    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class ExpireOrderChange(ChangeCommand):
    """End a change that nobody answered in time.  Does nothing where it has ended."""


@frozen(kw_only=True)
class DropOrderChange(ChangeCommand):
    """Its order has ended.  Does nothing where the change has ended, too.  Made by the flow."""

    reason: str


@frozen(kw_only=True)
class RevertOrderChange(ChangeCommand):
    """Take a confirmed change back, goods and money, where it was the order's last and no unit has moved since.

    Refused with `NothingToRevert` or `MovedSince`.
    """

    pay: Pay | None = field(default=None, validator=optional(checked_type(PayNow, OnAccount, PaidElsewhere)))
    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class NoteReverted(ChangeCommand):
    """Its order has taken its amendment back.  Does nothing where the change knows.  Made by the flow."""

    reason: str


# Told.


@frozen(kw_only=True)
class ChangeDrafted(Event):
    """Somebody wants an order to be different."""

    change_id: str
    order_id: str
    wanted: Revision
    ship_to: Personal[Address] | None
    reason: str
    settlement: Settlement
    expires_at: DateTime


@frozen(kw_only=True)
class ChangeEdited(Event):
    """It says something else now."""

    trigger: ClassVar[str | None] = "edit"
    wanted: Revision
    ship_to: Personal[Address] | None
    reason: str
    settlement: Settlement


@frozen(kw_only=True)
class ChangeRequested(Event):
    """Somebody is asked to agree."""

    trigger: ClassVar[str | None] = "request"


@frozen(kw_only=True)
class ChangeConfirmed(Event):
    """It is agreed, and the order is as it says from now on."""

    trigger: ClassVar[str | None] = "confirm"
    settlement: Settlement
    terms: Terms | None
    """How what is missing is paid; None where nothing is."""


@frozen(kw_only=True)
class ChangeDeclined(Event):
    """It is not agreed."""

    trigger: ClassVar[str | None] = "decline"
    reason: str


@frozen(kw_only=True)
class ChangeCancelled(Event):
    """It is not wanted any more."""

    trigger: ClassVar[str | None] = "cancel"
    reason: str


@frozen(kw_only=True)
class ChangeExpired(Event):
    """Nobody answered in time."""

    trigger: ClassVar[str | None] = "expire"


@frozen(kw_only=True)
class ChangeReverted(Event):
    """It was taken back; the order is as it was before."""

    trigger: ClassVar[str | None] = "revert"
    settlement: Settlement
    terms: Terms | None
    reason: str


@frozen(kw_only=True)
class ChangeUndone(Event):
    """Its amendment was taken back at the order itself (`RevertAmendment`); the order is as it was before."""

    trigger: ClassVar[str | None] = "revert"
    reason: str
