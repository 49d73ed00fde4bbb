"""An order: what was promised, where each unit stands, and what of the money has come.

A unit stands in exactly one bucket.  Amounts are frozen per line; the share of a unit is computed from the
line's amount and quantity, so any way of splitting an order adds up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import field
from pendulum import DateTime

from ..engine.capability import changed
from ..engine.messages import Personal, checked_note, checked_text
from ..money import Money, UnitPrice, cumulative
from ..payments.model import Amounts
from ..pricing.explanation import Entry, Explanation
from ..pricing.model import Parts, PriceTerms
from ..values import frozen
from .lifecycle import BUCKETS, UNIT_ARROWS
from .stretches import Stretch, share, whole

LINES_MAX = 10_000
DRAFT = "draft"
"""How the terms are called while nothing is agreed about paying."""

GONE_OUT = ("shipped", "delivered", "returning", "returned", "undeliverable")
"""Buckets of units that have left the house."""
NOT_CONFIRMED = frozenset(("draft", "placed", "cancelled", "rejected", "expired", "closed"))
"""Statuses before an order is accepted, or after its end; a host's own status is neither."""
RESTING = frozenset(("delivered", "returned", "cancelled"))
_OUT = frozenset(GONE_OUT)
ARRIVED = ("delivered", "returning", "returned")
IN_THE_HOUSE = ("open", "backordered", "reserved", "picked", "packed")
"""Buckets from which units can be cancelled, in the order they are."""


@frozen(kw_only=True)
class Address:
    """Where a parcel goes.  Plain text, as a label prints it; the country is an ISO 3166 code."""

    name: str = field(validator=checked_text)
    street: str = field(validator=checked_text)
    city: str = field(validator=checked_text)
    postal_code: str = field(default="", validator=checked_note)
    country: str = field(validator=checked_text)
    region: str = field(default="", validator=checked_note)
    company: str = field(default="", validator=checked_note)
    phone: str = field(default="", validator=checked_note)
    email: str = field(default="", validator=checked_note)


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
        return sum([units.get(bucket, 0) for bucket in buckets])


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
    token: str
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
    """A reason for which the order waits."""

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
    """True where a later command expires it unless it is confirmed."""
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
    """By which rules it was priced, and what was not given; None where it is nothing but prices."""
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
    """What of it an amendment has agreed to be paid later, on account, in minor units."""

    @property
    def is_draft(self) -> bool:
        """Whether nothing is promised yet."""
        return self.terms.kind == DRAFT

    @property
    def subject(self) -> str:
        """Under which name personal data is kept: the customer's, or for a guest the order's own."""
        return self.customer or f"order:{self.order_id}"

    # Money.

    @property
    def money(self) -> Amounts:
        """The sum over the payments."""
        tallies = [tally.amounts for tally in self.payments.values()]
        return tallies[0] if len(tallies) == 1 else sum(tallies, Amounts())

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
            entries=tuple(_entries(self)),
            not_given=tuple((one.name, one.minor, one.lines) for one in not_given),
            name="due",
        )

    @property
    def _total(self) -> int:
        return sum(line.minor for line in self.lines.values()) + sum(charge.minor for charge in self.charges)

    # Units.

    def count(self, *buckets: str) -> int:
        """How many units of all lines stand in these buckets."""
        return sum(line.count(*buckets) for line in self.lines.values())

    @property
    def payment_status(self) -> str:
        """Derived from the money; see `payment_status`."""
        return payment_status(due(self), self.money)

    @property
    def fulfilment_status(self) -> str:
        """Derived from the units; see `fulfilment_status`."""
        return fulfilment_status(self.totals)

    @property
    def return_status(self) -> str:
        """Derived from the units; see `return_status`."""
        return return_status(self.totals)

    @property
    def totals(self) -> dict[str, int]:
        """Units per bucket over all lines."""
        totals = reckon(self).totals
        return {bucket: totals[bucket] for bucket in BUCKETS if bucket in totals}

    @property
    def complete(self) -> bool:
        """Confirmed, every unit delivered, returned or cancelled, paid exactly, and nothing in flight."""
        return is_complete(self, reckon(self))

    @property
    def exception(self) -> bool:
        """True while units are undeliverable and nobody has decided what becomes of them."""
        return self.count("undeliverable") > 0


# Units.


def walk(units: dict[str, int], source: str, arrow: str, quantity: int) -> None:
    """Move units that stand in `source` along an arrow, in place: this runs for every line of every move."""
    left = units.get(source, 0) - quantity
    if left < 0:
        raise ValueError(f"{quantity} units cannot {arrow}: {-left} of them do not stand in {source}")
    if left:
        units[source] = left
    else:
        del units[source]
    target = UNIT_ARROWS[arrow].target
    units[target] = units.get(target, 0) + quantity


# Shares.


def given_back(line: OrderLine) -> int:
    """What units of this line that are not wanted any more have given back: the first shares of the line."""
    return _share_of(line, line.units.get("cancelled", 0))


def earned_by(line: OrderLine) -> int:
    """What units of this line that have left the house have earned: the last shares of the line.

    Units given back take shares from the front and units handed over from the back.  So they never take the
    same one, and together they make the whole line.
    """
    return line.minor - _share_of(line, line.quantity - line.count(*GONE_OUT))


def _share_of(line: OrderLine, first: int) -> int:
    """What the first units of a line come to together."""
    if not first:
        return 0
    if line.stretches:
        return share(line.stretches, first)
    return line.minor if first == line.quantity else cumulative(line.minor, first, line.quantity)


@frozen
class Reckoning:
    """What an order's lines come to, reckoned in one pass."""

    totals: dict[str, int]
    """Bucket → units over all lines; empty buckets are absent."""
    owed: int
    """See `due`."""
    earned: int
    """See `earned`."""


def reckon(order: Order) -> Reckoning:
    """Units and money of all lines.  Everything derived from an order starts here."""
    totals: dict[str, int] = {}
    standing = out = wanted = 0
    for line in order.lines.values():
        units = line.units
        if len(units) == 1 and line.quantity in units.values():  # all units in one bucket, as they mostly are
            (bucket,) = units
            totals[bucket] = totals.get(bucket, 0) + line.quantity
            if bucket != "cancelled":
                wanted += 1
                standing += line.minor
                if bucket in _OUT:
                    out += line.minor
            continue
        for bucket, n in units.items():
            totals[bucket] = totals.get(bucket, 0) + n
        wanted += 1
        standing += line.minor - given_back(line)
        out += earned_by(line)
    charges = sum(charge.minor for charge in order.charges) if wanted else 0
    # A credit that is more than what is left lapses with the units it was granted on: nobody owes less than nothing.
    owed = max(standing + charges - order.credits, 0)
    gone = not _OUT.isdisjoint(totals)
    return Reckoning(totals, owed, min(out + charges, max(owed, 0)) if gone else 0)


def due(order: Order) -> int:
    """What the customer owes: shares of units not cancelled, plus charges, less credits granted (minor units).

    Charges fall away with the last unit.
    """
    return reckon(order).owed


def _entries(order: Order) -> Iterator[Entry]:
    """The reasons of what is due; they add up to `due`."""
    owed = 0
    for line in order.lines.values():
        about = f"line {line.line_id}"
        for one in line.shares:
            what = f"{one.units} × {line.sku} at {one.price or line.unit_price}"
            if (parts := one.made_of) is None:
                yield Entry(about, "price", what, one.share(one.units))
            else:
                yield from parts.entries(about, what)
        back = given_back(line)
        if cancelled := line.count("cancelled"):
            yield Entry(about, "cancelled", f"{cancelled} cancelled", -back)
        owed += line.minor - back
    wanted = any(line.count("cancelled") != line.quantity for line in order.lines.values())
    for charge in order.charges:
        if charge.parts is None:
            yield Entry(charge.name, "price", "", charge.minor)
        else:
            yield from charge.parts.entries(charge.name, "")
        if not wanted:
            yield Entry(charge.name, "charge", "falls away with the last unit", -charge.minor)
        owed += charge.minor if wanted else 0
    if order.credits:
        yield Entry("credit", "credit", "granted", -order.credits)
    if lapsed := due(order) - (owed - order.credits):
        yield Entry("credit", "credit", "lapsed: more than what is left", lapsed)


def earned(order: Order) -> int:
    """What may be collected by now: shares of units handed over, with the charges from the first one on."""
    return reckon(order).earned


@frozen
class Asking:
    """One thing the order wants of one payment: verb is capture, void, withdraw or refund."""

    payment_id: str
    verb: str
    minor: int = 0


def balance(order: Order, reckoned: Reckoning | None = None) -> tuple[Asking, ...]:
    """What must be asked so that the money follows the goods.  Pure, and silent once everything is asked.

    Asked amounts are pending in the tally from the same commit on, so the same wish is never uttered twice.
    What a provider declined is not asked again by itself.
    """
    if not order.payments:
        return ()
    reckoned = reckoned or reckon(order)
    owed = reckoned.owed
    payments = order.payments if not order.asking else _with_what_is_asked(order)
    money = order.money if not order.asking else sum([tally.amounts for tally in payments.values()], Amounts())
    wishes: list[Asking] = []

    surplus = money.paid - money.refund_pending - max(owed, 0)
    for payment_id, tally in payments.items():
        if surplus > 0 and "refund" not in tally.declined and (n := min(surplus, tally.amounts.refundable)) > 0:
            wishes.append(Asking(payment_id, "refund", n))
            surplus -= n

    # Nobody can have given back more than was taken: where it looks so, a capture was not heard of yet.  To take more
    # for that reason would take it from a customer who owes nothing.
    kept = sum(max(tally.amounts.paid, 0) for tally in payments.values())
    wanted = reckoned.earned - (kept - money.refund_pending + money.capture_pending) if not order.holds else 0
    captures: dict[str, int] = {}
    for payment_id, tally in payments.items():
        if wanted > 0 and "capture" not in tally.declined and (n := min(wanted, tally.amounts.capturable)) > 0:
            captures[payment_id] = n
            wishes.append(Asking(payment_id, "capture", n))
            wanted -= n

    to_come = max(owed, 0) - (money.paid - money.refund_pending + money.capture_pending) - sum(captures.values())
    if to_come <= 0:
        for payment_id, tally in payments.items():
            if "void" not in tally.declined and tally.amounts.capturable - captures.get(payment_id, 0) > 0:
                wishes.append(Asking(payment_id, "void"))
            elif tally.amounts.authorise_pending and not tally.elsewhere:
                wishes.append(Asking(payment_id, "withdraw"))
    return tuple(wishes)


def _with_what_is_asked(order: Order) -> dict[str, Tally]:
    """The payments as they will stand once they have noted what is asked of them in this commit.

    One command may move units twice, an amendment that adds a service performs it: what was asked for the first time
    is not asked for the second.
    """
    asking = order.asking
    return {
        id: changed(tally, amounts=tally.amounts + asking[id]) if id in asking else tally
        for id, tally in order.payments.items()
    }


def asked(order: Order, askings: Iterable[Asking]) -> dict[str, Amounts]:
    """What is asked of each payment and not noted yet, these askings included."""
    asking = dict(order.asking)
    for one in askings:
        before = asking.get(one.payment_id, Amounts())
        match one.verb:
            case "capture":
                more = Amounts(capture_pending=one.minor)
            case "refund":
                more = Amounts(refund_pending=one.minor)
            case "void":
                more = Amounts(void_pending=(order.payments[one.payment_id].amounts + before).capturable)
            case _:
                continue
        asking[one.payment_id] = before + more
    return asking


def noted(order: Order, payment_id: str, tally: Tally) -> dict[str, Amounts]:
    """What is left of what was asked, when a payment tells how it stands."""
    if payment_id not in order.asking:
        return order.asking
    asking = dict(order.asking)
    left, now = asking.pop(payment_id), tally.amounts
    before = order.payments[payment_id].amounts if payment_id in order.payments else Amounts()
    capture = now.capture_pending - before.capture_pending
    refund = now.refund_pending - before.refund_pending
    void = now.void_pending - before.void_pending
    if max(capture, refund, void) > 0:  # it has noted one of its asks; else it tells of something that has happened
        still = Amounts(
            capture_pending=max(left.capture_pending - capture, 0),
            refund_pending=max(left.refund_pending - refund, 0),
            void_pending=max(left.void_pending - void, 0),
        )
        if still.pending:
            asking[payment_id] = still
    return asking


# Derived statuses (LIFECYCLES 3), first match.


def fulfilment_status(totals: Mapping[str, int]) -> str:
    """Where the goods are, from units per bucket."""
    asked = sum(totals.values()) - totals.get("cancelled", 0)
    arrived = sum(totals.get(bucket, 0) for bucket in ARRIVED)
    shipped = arrived + totals.get("shipped", 0)
    working = totals.get("picked", 0) + totals.get("packed", 0)
    if asked == 0:
        return "nothing_to_fulfil"
    if arrived == asked:
        return "delivered"
    if arrived:
        return "partly_delivered"
    if shipped == asked:
        return "shipped"
    if shipped:
        return "partly_shipped"
    return "in_progress" if working else "unfulfilled"


def return_status(totals: Mapping[str, int]) -> str:
    """What came back, from units per bucket."""
    arrived = sum(totals.get(bucket, 0) for bucket in ARRIVED)
    returned = totals.get("returned", 0)
    if arrived > 0 and returned == arrived:
        return "returned"
    if returned:
        return "partly_returned"
    return "return_in_progress" if totals.get("returning", 0) else "none"


def payment_status(owed: int, money: Amounts) -> str:
    """Where the money is, from what is owed and the ten amounts (minor units)."""
    paid = money.paid
    if paid > owed:
        return "overpaid"
    if paid == owed:
        if money.captured == 0:
            return "not_due"
        if paid == 0:
            return "refunded"
        return "partly_refunded" if money.refunded > 0 else "paid"
    if paid > 0:
        return "partly_paid"
    if money.open >= owed:
        return "authorised"
    if money.open > 0:
        return "partly_authorised"
    return "pending" if money.pending else "unpaid"


def is_complete(order: Order, reckoned: Reckoning) -> bool:
    """Confirmed (or in a host's status beyond), every unit at rest, paid exactly, and nothing in flight."""
    if order.status in NOT_CONFIRMED or not RESTING.issuperset(reckoned.totals):
        return False
    money = order.money
    return money.paid == reckoned.owed and not money.pending


def indexed(order: Order) -> dict[str, str | None]:
    """What an order is found by: everything derived, from one reckoning."""
    reckoned = reckon(order)
    totals = reckoned.totals
    return {
        "status": order.status,
        "payment_status": payment_status(reckoned.owed, order.money),
        "fulfilment_status": fulfilment_status(totals),
        "return_status": return_status(totals),
        "complete": "yes" if is_complete(order, reckoned) else "no",
        "exception": "yes" if "undeliverable" in totals else None,
        "on_hold": "yes" if order.holds else None,
        "channel": order.channel,
        "customer": order.customer or None,
        "reference": order.reference or None,
        "external": order.external or None,
    }


def all_units(lines: Iterable[OrderLine], *buckets: str) -> tuple[tuple[str, int], ...]:
    """(line id, units) of every line that has some in these buckets."""
    return tuple((line.line_id, n) for line in lines if (n := line.count(*buckets)))
