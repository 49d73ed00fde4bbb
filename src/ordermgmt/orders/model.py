"""An order: what was promised, where each unit stands, and what of the money has come.

A unit stands in exactly one bucket.  Amounts are frozen per line; the share of a unit is computed from the
line's amount and quantity (`reckoning`), so any way of splitting an order adds up to the whole.
"""

from __future__ import annotations

from attrs import field
from pendulum import DateTime

from ..engine.messages import Personal, checked_note, checked_text
from ..money import Money, UnitPrice
from ..payments.model import NOTHING, Amounts
from ..pricing.explanation import Explanation
from ..pricing.model import Parts, PriceTerms
from ..values import frozen
from .explaining import entries_of
from .lifecycle import BUCKETS
from .reckoning import due, reckon
from .statuses import fulfilment_status, is_complete, payment_status, return_status
from .stretches import Stretch, whole

LINES_MAX = 10_000
DRAFT = "draft"
"""What the terms are called while nothing is agreed about paying."""


@frozen(kw_only=True)
class Address:
    """Where a parcel goes.  Plain text, as a label prints it; the country is an ISO 3166 code.

    It is about a person: neither its `repr` nor a refusal shows what is in it.
    """

    name: str = field(validator=checked_text, repr=False)
    street: str = field(validator=checked_text, repr=False)
    city: str = field(validator=checked_text, repr=False)
    postal_code: str = field(default="", validator=checked_note, repr=False)
    country: str = field(validator=checked_text, repr=False)
    region: str = field(default="", validator=checked_note, repr=False)
    company: str = field(default="", validator=checked_note, repr=False)
    phone: str = field(default="", validator=checked_note, repr=False)
    email: str = field(default="", validator=checked_note, repr=False)

    def __repr__(self) -> str:
        return "Address(<personal>)"


@frozen(kw_only=True)
class OrderLine:
    """One line: what was promised, at which amount, and where its units stand."""

    line_id: str
    sku: str
    kind: str
    """stocked, digital or service: frozen from the items port at placement."""
    quantity: int
    unit_price: UnitPrice
    minor: int
    """The line's whole amount in minor units, frozen at placement."""
    location: str
    units: dict[str, int]
    """Bucket → units standing there; empty buckets are absent."""
    external: str = ""
    """The channel's own id of the line."""
    reference: str = ""
    """The buyer's own number of the line."""
    requested_at: DateTime | None = None
    """When the buyer wants to have it, if that is not when they want the rest."""
    stretches: tuple[Stretch, ...] = ()
    """What its units carry, once it was amended; empty while all of them share `minor`."""
    parts: Parts | None = None
    """What its amount is made of: taxes and discounts; None where it is nothing but a price.  Of an amended line its
    `stretches` tell that, and these are the parts it had before."""

    @property
    def shares(self) -> tuple[Stretch, ...]:
        """What its units carry, from the first share to the last."""
        return self.stretches or whole(self.quantity, self.minor, self.unit_price, self.parts)

    def count(self, *buckets: str) -> int:
        """How many units stand in these buckets."""
        units = self.units
        there = 0
        for bucket in buckets:
            if bucket in units:
                there += units[bucket]
        return there


@frozen(kw_only=True)
class Charge:
    """An amount beside the lines, such as shipping."""

    name: str
    minor: int
    """With its taxes."""
    parts: Parts | None = None
    """What it is made of; None where it is nothing but an amount."""


@frozen(kw_only=True)
class TenderTerms:
    """One payment as it was agreed."""

    gateway: str
    token: str = field(repr=False)
    minor: int
    sale: bool


@frozen(kw_only=True)
class Terms:
    """How the order is paid, as it was agreed: now (tenders), on account (days), or elsewhere (method)."""

    kind: str
    tenders: tuple[TenderTerms, ...] = ()
    days: int = 0
    method: str = ""
    minor: int = 0
    reference: str = ""


@frozen(kw_only=True)
class Tally:
    """What the order knows of one payment: its amounts, and what its provider said no to."""

    amounts: Amounts
    declined: tuple[str, ...] = ()
    elsewhere: bool = False


@frozen(kw_only=True)
class Hold:
    """A reason why the order waits."""

    reason: str
    note: str
    by: str
    at: DateTime


@frozen(kw_only=True)
class Note:
    """What somebody wrote down about the order; reveal the text with ``shop.reveal(note.text, str)``."""

    text: Personal[str]
    line_id: str
    """The line it is about, or empty."""
    by: str
    at: DateTime


@frozen(kw_only=True)
class LineBefore:
    """What a line was before it was amended, and where its units stood afterwards."""

    line_id: str
    units: int
    """How many stood in the house; 0 for a line that was added."""
    shares: tuple[Stretch, ...]
    """What those carried."""
    unit_price: UnitPrice
    gone: int
    """How many were cancelled afterwards, and …"""
    moved: int
    """… how many were picked, packed or out of the house, …"""
    out: int = 0
    """… and how many of these were out of the house."""


@frozen(kw_only=True)
class Amended:
    """The last amendment of an order: what it takes to revert it."""

    number: int
    change_id: str
    """The order change it came from; empty for one that was asked for directly."""
    lines: tuple[LineBefore, ...]
    charges: tuple[Charge, ...] | None
    """The charges before, where they were changed."""
    ship_to: Personal[Address] | None
    readdressed: bool
    """True where the address was changed."""


@frozen(kw_only=True)
class Order:
    """The promise to a customer.  Its status holds header decisions only; the rest is derived."""

    order_id: str
    status: str
    channel: str
    customer: str
    currency: str
    lines: dict[str, OrderLine]
    """By line id, in the order they were given."""
    charges: tuple[Charge, ...]
    terms: Terms
    confirm: str
    """When it is confirmed: at_once, when_authorised or by_hand."""
    ship_by: str
    """The carrier's name, or empty where the host delivers itself."""
    location: str
    ship_to: Personal[Address] | None
    reference: str
    placed_at: DateTime
    expires: bool = False
    """True where a later command will expire it unless it is confirmed first."""
    payments: dict[str, Tally] = field(factory=dict[str, Tally])
    """By payment id: equal to the payments themselves, moved in the same commit."""
    shipments: tuple[str, ...] = ()
    credits: int = 0
    """What was granted on top of the frozen amounts: goodwill, in minor units."""
    refunds: int = 0
    """How many refunds were asked for; numbers their ids."""
    asking: dict[str, Amounts] = field(factory=dict[str, Amounts])
    """By payment id: what is asked in this commit and the payment has not noted yet; empty between commits."""
    accepted: bool = False
    """True once it was confirmed, wherever it stands now."""
    holds: dict[str, Hold] = field(factory=dict[str, Hold])
    """By reason: why it waits.  While there are any nothing is picked, handed over, performed or captured anew."""
    notes: tuple[Note, ...] = ()
    bill_to: Personal[Address] | None = None
    """Where the invoice goes, if that is not where the parcel goes."""
    external: str = ""
    """The channel's own id of the order."""
    requested_at: DateTime | None = None
    """When the buyer wants to have the goods."""
    pricing: PriceTerms | None = None
    """The rules it was priced by, and the discounts not given in full; None where there was nothing but prices."""
    drafted: int = 0
    """How many times it was drafted or edited before it was placed."""
    quoted_until: DateTime | None = None
    """Until when its price stands, or stood if it was placed since; None where it was never quoted."""
    change: str = ""
    """The order change that is open; empty where there is none."""
    amended: int = 0
    """How many times it was amended."""
    last_amendment: Amended | None = None
    """The one that can be reverted; None once it was."""
    on_account: int = 0
    """How much of it is to be paid later, on account, as an amendment has agreed; in minor units."""

    @property
    def is_draft(self) -> bool:
        """Whether nothing is promised yet."""
        return self.terms.kind == DRAFT

    @property
    def subject(self) -> str:
        """The name that personal data is kept under: the customer's, or for a guest the order's own."""
        return self.customer or f"order:{self.order_id}"

    # Money.

    @property
    def money(self) -> Amounts:
        """The sum over the payments."""
        if len(self.payments) == 1:  # as it mostly is
            (tally,) = self.payments.values()
            return tally.amounts
        return sum([tally.amounts for tally in self.payments.values()], NOTHING)

    @property
    def total(self) -> Money:
        """All lines and charges as placed."""
        return Money.of_minor(self._total, self.currency)

    @property
    def due(self) -> Money:
        """What the customer owes for units not cancelled and charges standing, less credits granted."""
        return Money.of_minor(due(self), self.currency)

    @property
    def paid(self) -> Money:
        """What the customer has paid and not got back."""
        return Money.of_minor(self.money.paid, self.currency)

    def explain(self) -> Explanation:
        """Where every cent of what is due comes from: prices, discounts, taxes, charges, and what was given back.

        `print` shows it as a table.
        """
        not_given = self.pricing.not_given if self.pricing is not None else ()
        return Explanation(
            currency=self.currency,
            entries=tuple(entries_of(self)),
            not_given=tuple((one.name, one.minor, one.lines) for one in not_given),
            name="due",
        )

    @property
    def _total(self) -> int:
        return sum(line.minor for line in self.lines.values()) + sum(charge.minor for charge in self.charges)

    # Units.

    def count(self, *buckets: str) -> int:
        """How many units of all lines stand in these buckets."""
        return sum([line.count(*buckets) for line in self.lines.values()])

    @property
    def payment_status(self) -> str:
        """not_due, unpaid, pending, partly_authorised, authorised, partly_paid, paid, overpaid, partly_refunded or
        refunded.
        """
        return payment_status(due(self), self.money)

    @property
    def fulfilment_status(self) -> str:
        """nothing_to_fulfil, unfulfilled, in_progress, partly_shipped, shipped, partly_delivered or delivered."""
        return fulfilment_status(self.totals)

    @property
    def return_status(self) -> str:
        """none, return_in_progress, partly_returned or returned."""
        return return_status(self.totals)

    @property
    def totals(self) -> dict[str, int]:
        """Units per bucket over all lines."""
        totals = reckon(self).totals
        return {bucket: totals[bucket] for bucket in BUCKETS if bucket in totals}

    @property
    def complete(self) -> bool:
        """Every unit delivered, returned or cancelled, paid exactly, and nothing in flight, while its life goes on.

        It is confirmed then, or in a status that the host has drawn.
        """
        return is_complete(self, reckon(self), self.money)

    @property
    def exception(self) -> bool:
        """True while units are undeliverable and nobody has decided what becomes of them."""
        return self.count("undeliverable") > 0
