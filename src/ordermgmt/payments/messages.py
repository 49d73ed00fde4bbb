"""Words about payments: what we ask for, what the provider tells, and what is sent to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from attrs import field
from pendulum import DateTime

from ..engine.instants import check_instant
from ..engine.messages import Command, Effect, Event, Key, News, checked_id, checked_note, checked_text, shorten
from ..errors import InvalidInput
from ..money import Money
from ..values import frozen
from .model import AUTHORISED, CAPTURED, CHARGED_BACK, EXPIRED, REFUNDED, SOLD, VOIDED, Fact, Payment

CARD_DIGITS = range(13, 20)
ASKS_MAX = 999_999
"""Asks are numbered with six digits in the ids of their effects."""


def _luhn(digits: str) -> bool:
    doubled = (int(d) * 2 if n % 2 else int(d) for n, d in enumerate(reversed(digits)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def checked_token(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: a provider's token, never a card number (PCI DSS 3.3: we must not hold one)."""
    checked_text(_instance, attribute, value)
    digits = str(value).replace(" ", "").replace("-", "")
    if digits.isascii() and digits.isdigit() and len(digits) in CARD_DIGITS and _luhn(digits):
        raise InvalidInput(f"{attribute.name} looks like a card number; pass the token your provider gave for it")


def checked_positive(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: an amount above zero."""
    if not isinstance(value, Money):
        raise InvalidInput(f"{attribute.name} must be Money (got {type(value).__name__})")
    if value.minor <= 0:
        raise InvalidInput(f"{attribute.name} must be above zero (got {value})")


def _occurred(at: datetime | None) -> DateTime | None:
    return None if at is None else check_instant(at, "occurred_at")


def _checked_ask(_instance: object, attribute: Any, value: Any) -> None:
    if value.__class__ is not int or not 0 <= value <= ASKS_MAX:
        raise InvalidInput(f"{attribute.name} must be the number of an ask, or 0 (got {shorten(value)})")


def payment_key(payment_id: str) -> Key:
    """The key of a payment."""
    return ("payment", payment_id)


# Commands.


@frozen(kw_only=True)
class RequestPayment(Command[Payment]):
    """Ask a gateway to authorise an amount (and, for a sale, to capture it at once)."""

    payment_id: str = field(validator=checked_id)
    order_id: str = field(validator=checked_id)
    gateway: str = field(validator=checked_text)
    token: str = field(validator=checked_token, repr=False)
    amount: Money = field(validator=checked_positive)
    sale: bool = False


@frozen(kw_only=True)
class NotePaidElsewhere(Command[Payment]):
    """Money that was taken without us: cash, a marketplace, a bank transfer."""

    payment_id: str = field(validator=checked_id)
    order_id: str = field(validator=checked_id)
    method: str = field(validator=checked_text)
    amount: Money = field(validator=checked_positive)
    reference: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class CapturePayment(Command[Payment]):
    """Ask the gateway for money that was authorised."""

    payment_id: str = field(validator=checked_id)
    amount: Money = field(validator=checked_positive)


@frozen(kw_only=True)
class VoidPayment(Command[Payment]):
    """Ask the gateway to give up all that is authorised and not captured."""

    payment_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class WithdrawPayment(Command[Payment]):
    """The money is not wanted any more: take the authorisation back if it was never sent, else await its answer."""

    payment_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class RefundPayment(Command[Payment]):
    """Ask the gateway to give captured money back, for one refund."""

    payment_id: str = field(validator=checked_id)
    refund_id: str = field(validator=checked_id)
    amount: Money = field(validator=checked_positive)


# News.


@frozen(kw_only=True)
class RecordFact(News[Payment]):
    """What the provider did.  It is recorded whatever our rules say; the same deed counts once."""

    fact_kind: ClassVar[str] = ""

    payment_id: str = field(validator=checked_id)
    order_id: str = field(validator=checked_id)
    transaction_id: str = field(validator=checked_text)
    """The provider's name for this one deed."""
    amount: Money = field(validator=checked_positive)
    occurred_at: DateTime | None = field(default=None, converter=_occurred)
    ask: int = field(default=0, validator=_checked_ask)
    """Which of our asks it answers; 0 for none."""


@frozen(kw_only=True)
class RecordAuthorisation(RecordFact):
    """The provider has set money aside for us."""

    fact_kind: ClassVar[str] = AUTHORISED


@frozen(kw_only=True)
class RecordSale(RecordFact):
    """The provider has authorised and captured in one step."""

    fact_kind: ClassVar[str] = SOLD


@frozen(kw_only=True)
class RecordCapture(RecordFact):
    """The provider has taken money."""

    fact_kind: ClassVar[str] = CAPTURED


@frozen(kw_only=True)
class RecordVoid(RecordFact):
    """The provider has given an authorisation up."""

    fact_kind: ClassVar[str] = VOIDED


@frozen(kw_only=True)
class RecordExpiry(RecordFact):
    """An authorisation has run out."""

    fact_kind: ClassVar[str] = EXPIRED


@frozen(kw_only=True)
class RecordRefund(RecordFact):
    """The provider has given money back."""

    fact_kind: ClassVar[str] = REFUNDED


@frozen(kw_only=True)
class RecordChargeback(RecordFact):
    """The customer's bank has taken money back."""

    fact_kind: ClassVar[str] = CHARGED_BACK


@frozen(kw_only=True)
class RecordDecline(News[Payment]):
    """The provider's definite no to one of our asks."""

    payment_id: str = field(validator=checked_id)
    order_id: str = field(validator=checked_id)
    ask: int = field(validator=_checked_ask)
    code: str = field(default="", validator=checked_note)


RECORDS = {record.fact_kind: record for record in RecordFact.__subclasses__()}
"""Fact kind → the news it comes as."""


# Events.


@frozen(kw_only=True)
class PaymentRequested(Event):
    """An order is to be paid this way."""

    payment_id: str
    order_id: str
    gateway: str
    method: str
    token: str = field(repr=False)
    minor: int
    currency: str
    sale: bool
    ask: int
    """The number of the authorisation asked; 0 where nothing is asked."""


@frozen(kw_only=True)
class CaptureAsked(Event):
    """The gateway is to capture."""

    ask: int
    minor: int


@frozen(kw_only=True)
class VoidAsked(Event):
    """The gateway is to give up what is open."""

    ask: int
    minor: int


@frozen(kw_only=True)
class RefundAsked(Event):
    """Money is to be given back."""

    ask: int
    minor: int
    refund_id: str


@frozen(kw_only=True)
class FactRecorded(Event):
    """The provider did something, and we know."""

    fact: Fact
    ask: int
    walks: str | None
    """The arrow to the status the facts now make."""

    def arrow(self) -> str | None:
        return self.walks


@frozen(kw_only=True)
class FactNotCounted(Event):
    """The provider reports something that cannot be: kept as evidence, counted nowhere."""

    fact: Fact
    reason: str


@frozen(kw_only=True)
class AskAnswered(Event):
    """An ask is answered by a fact that was known already."""

    ask: int


@frozen(kw_only=True)
class AskDeclined(Event):
    """The provider said no."""

    ask: int
    verb: str
    minor: int
    about: str
    code: str
    walks: str | None

    def arrow(self) -> str | None:
        return self.walks


@frozen(kw_only=True)
class PaymentWithdrawn(Event):
    """The authorisation was never sent, and will not be."""

    trigger: ClassVar[str | None] = "void"
    ask: int


# Effects.


def effect_id(payment_id: str, ask: int) -> str:
    """The id of the effect that carries an ask."""
    return f"payment.{payment_id}.{ask:06d}"


@frozen(kw_only=True)
class PaymentEffect(Effect):
    """A request to a gateway.  Effects of one payment are sent one at a time."""

    payment_id: str
    order_id: str
    gateway: str
    amount: Money
    ask: int

    @property
    def port(self) -> tuple[str, str]:
        return ("gateways", self.gateway)

    @property
    def effect_id(self) -> str:
        return effect_id(self.payment_id, self.ask)

    @property
    def lane(self) -> str:
        return f"payment/{self.payment_id}"

    @property
    def group(self) -> str:
        return self.order_id


@frozen(kw_only=True)
class Authorise(PaymentEffect):
    """Set money aside; with `sale`, take it at once.  Succeeds with a tuple of `Fact`."""

    token: str = field(repr=False)
    sale: bool = False


@frozen(kw_only=True)
class Capture(PaymentEffect):
    """Take money that was set aside.  Succeeds with a tuple of `Fact`."""

    authorisation: str
    """The provider's transaction id of the authorisation."""


@frozen(kw_only=True)
class Void(PaymentEffect):
    """Give up what is set aside and not taken.  Succeeds with a tuple of `Fact`."""

    authorisation: str
