"""One payment: a set of facts the provider told us, and what we have asked and not yet heard of.

Everything else is computed from those two.  So facts may arrive in any order, and any number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field
from pendulum import DateTime

from ..values import frozen, unchecked

AUTHORISED = "authorised"
CAPTURED = "captured"
SOLD = "sold"
"""Authorised and captured in one step."""
VOIDED = "voided"
EXPIRED = "expired"
REFUNDED = "refunded"
CHARGED_BACK = "charged_back"
FACT_KINDS = (AUTHORISED, CAPTURED, SOLD, VOIDED, EXPIRED, REFUNDED, CHARGED_BACK)


@frozen(kw_only=True)
class Fact:
    """What a provider reports that it did.  `transaction_id` is the provider's, and names this one deed."""

    kind: str
    """authorised, captured, sold (both in one step), voided, expired, refunded or charged_back."""
    transaction_id: str
    minor: int
    """The amount in minor units of `currency`."""
    currency: str
    occurred_at: DateTime | None = None
    """The provider's time."""


@frozen(kw_only=True)
class Ask:
    """Something asked of the provider that is not answered yet."""

    verb: str
    """authorise, capture, void or refund."""
    minor: int
    about: str = ""
    """The refund it is for, if it is one."""


@frozen
class Amounts:
    """The ten amounts of a payment, running totals in minor units; pending ones are asked and unanswered."""

    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    expired: int = 0
    charged_back: int = 0
    authorise_pending: int = 0
    capture_pending: int = 0
    refund_pending: int = 0
    void_pending: int = 0

    @property
    def open(self) -> int:
        """Authorised and neither captured nor given up.  Below 0 where the provider took more than was authorised."""
        return self.authorised - self.captured - self.voided - self.expired

    @property
    def capturable(self) -> int:
        """What may still be asked for."""
        return self.open - self.capture_pending - self.void_pending

    @property
    def paid(self) -> int:
        """What the customer has paid and not got back."""
        return self.captured - self.refunded - self.charged_back

    @property
    def refundable(self) -> int:
        """What may still be given back."""
        return self.paid - self.refund_pending

    @property
    def pending(self) -> bool:
        """True while anything is asked and unanswered."""
        return bool(self.authorise_pending or self.capture_pending or self.refund_pending or self.void_pending)

    def __add__(self, other: Amounts) -> Amounts:
        return _amounts(
            self.authorised + other.authorised,
            self.captured + other.captured,
            self.refunded + other.refunded,
            self.voided + other.voided,
            self.expired + other.expired,
            self.charged_back + other.charged_back,
            self.authorise_pending + other.authorise_pending,
            self.capture_pending + other.capture_pending,
            self.refund_pending + other.refund_pending,
            self.void_pending + other.void_pending,
        )


_amounts = unchecked(Amounts)
NOTHING = Amounts()
"""No money at all, asked or moved."""


@frozen(kw_only=True)
class Payment:
    """One way an order is paid: one token at one gateway, or money that was taken elsewhere."""

    payment_id: str
    order_id: str
    gateway: str
    """The gateway's name in the shop; empty for money that was taken elsewhere."""
    method: str = ""
    """How money was taken elsewhere: ``"cash"``."""
    currency: str
    minor: int
    """What it is to pay, in minor units."""
    status: str
    facts: dict[str, Fact] = field(factory=dict[str, Fact])
    """By the provider's transaction id."""
    asks: dict[str, Ask] = field(factory=dict[str, Ask])
    """What is unanswered, by number."""
    asked: int = 0
    """How many asks there ever were: the number of the last one."""
    declined: tuple[str, ...] = ()
    """The verbs the provider said no to; they are not asked again by themselves."""
    withdrawn: bool = False
    """True where the authorisation was taken back before it was sent."""
    amounts: Amounts = NOTHING
    """Folded from facts and asks, and stored beside them for readers."""

    @property
    def authorisation(self) -> str:
        """The provider's transaction id of the authorisation, for captures and voids."""
        for fact in self.facts.values():
            if fact.kind in (AUTHORISED, SOLD):
                return fact.transaction_id
        return ""


def fold(facts: Iterable[Fact], asks: Iterable[Ask]) -> Amounts:
    """The ten amounts.  Sums over sets: order and repetition cannot matter."""
    totals: dict[str, int] = {}
    for fact in facts:
        for amount in _MOVES[fact.kind]:
            totals[amount] = totals.get(amount, 0) + fact.minor
    for ask in asks:
        amount = _PENDING[ask.verb]
        totals[amount] = totals.get(amount, 0) + ask.minor
    return _amounts(**totals)


_MOVES: Mapping[str, tuple[str, ...]] = {
    AUTHORISED: ("authorised",),
    CAPTURED: ("captured",),
    SOLD: ("authorised", "captured"),
    VOIDED: ("voided",),
    EXPIRED: ("expired",),
    REFUNDED: ("refunded",),
    CHARGED_BACK: ("charged_back",),
}
"""Which amounts a fact adds to."""
_PENDING: Mapping[str, str] = {
    "authorise": "authorise_pending",
    "capture": "capture_pending",
    "refund": "refund_pending",
    "void": "void_pending",
}
"""Which amount an ask adds to."""


def status_of(amounts: Amounts, declined: Iterable[str], *, withdrawn: bool = False) -> str:
    """The status is a pure function of the facts: first match."""
    if amounts.captured > 0:
        return "partly_captured" if amounts.open > 0 else "captured"
    if amounts.open > 0:
        return "authorised"
    if amounts.voided > 0 or withdrawn:
        return "voided"
    if amounts.expired > 0:
        return "expired"
    return "declined" if "authorise" in declined else "pending"


VERB: Mapping[str, str] = {
    "partly_captured": "capture_part",
    "captured": "capture",
    "authorised": "authorise",
    "voided": "void",
    "expired": "expire",
    "declined": "decline",
}
"""The arrow that leads to a status."""
