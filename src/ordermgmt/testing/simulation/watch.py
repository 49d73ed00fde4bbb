"""The laws, looked at after every step: what was committed since the last look is judged, at a cost of what changed.

`verify` judges every order that was touched.  Beside it the whole history is folded as it grows, so that the saved
states, the hash chains and the sums over all orders are checked the moment they change, and not at the end only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import define

from ... import verify
from ...changes.model import OrderChange
from ...engine.assembly import ENGINES_OWN
from ...engine.codec import chain
from ...engine.effects import EffectDeferred, EffectSucceeded, Intent
from ...engine.inbox import MessageContradicted
from ...engine.messages import Event, counted
from ...engine.transaction import Entry, Key
from ...management import OrderManagement
from ...orders.amended import OrderAmended
from ...orders.messages import CreditGranted, MoneyAsked, OrderConfirmed, UnitsCancelled, UnitsMoved
from ...orders.model import Order
from ...payments.messages import CaptureAsked, FactNotCounted
from ...payments.model import Payment
from ...refunds.messages import RefundRequested
from ...refunds.model import Refund
from ...settings import DEFAULT_CAPABILITIES
from ...shipments.messages import (
    LabelBought,
    LabelDeclined,
    LabelVoided,
    ShipmentUndeliverable,
    TrackingDeclined,
)
from ...shipments.model import Shipment
from ...stock.messages import (
    StockIssued,
    StockReceived,
    StockReleased,
    StockReserved,
    StockSetAside,
    stock_id,
)
from ...stock.model import Reservation, Stock
from ...verify.entry import Entered
from ...verify.histories import followed

_STOCK_FOLLOWS = {
    ("reserve", "open"): "StockReserved",
    ("release", "reserved"): "StockReleased",
    ("cancel", "reserved"): "StockReleased",
    ("cancel", "picked"): "StockSetAside",
    ("cancel", "packed"): "StockSetAside",
    ("hand_over", "packed"): "StockIssued",
}
"""What pieces on the shelf do when units walk."""


_TRACELESS = (
    EffectDeferred,
    FactNotCounted,
    LabelBought,
    LabelDeclined,
    LabelVoided,
    MessageContradicted,
    MoneyAsked,
    TrackingDeclined,
    UnitsCancelled,
)
_TELLING = {event for one in (*DEFAULT_CAPABILITIES, *ENGINES_OWN) for event in one.evolve} - {*_TRACELESS}
"""Events after which something is otherwise: those above only say why others follow, or may tell what was known."""


@define
class _Told:
    """What an entity's history comes to so far."""

    version: int = 0
    hash: str = ""
    at: str = ""
    state: Any = None


class Watch:
    """Follows the feed of a shop and raises what it finds through `breach`."""

    def __init__(
        self,
        shop: OrderManagement,
        breach: Callable[[str, str], None],
        tell: Callable[[str], None],
        done: Callable[[Intent], None],
        changed: Callable[[Order], None],
    ) -> None:
        self._shop = shop
        self._tell = tell
        self._done = done
        self._changed = changed
        self._breach = breach
        self._told = dict[Key, _Told]()
        self._position = 0
        self._entered = dict[str, Entered]()
        self._digest = hashlib.sha256()
        self._credits: Counter[str] = Counter()
        """By order: what was granted, in minor units."""
        self._given_up: Counter[str] = Counter()
        """By order: units that were cancelled one by one, and have not left their place yet."""
        self._refunds = list[tuple[str, str]]()
        """(refund, order) that were asked for since the last look."""
        self._claims = dict[str, Counter[str]]()
        self._claimed: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._gone: Counter[str] = Counter()
        self._out = dict[str, Counter[str]]()
        self._walked: Counter[tuple[str, str]] = Counter()
        self._moved: Counter[tuple[str, str]] = Counter()
        self.lost = set[str]()
        """Orders of which a parcel did not arrive."""
        self.events = 0

    @property
    def digest(self) -> str:
        """One hash over the history so far, in its order."""
        return self._digest.hexdigest()

    def states(self, kind: str) -> list[Any]:
        """Every entity of a kind, as its history tells."""
        return [told.state for key, told in self._told.items() if key[0] == kind]

    def state(self, kind: str, id: str) -> Any:
        """One of them, or None."""
        told = self._told.get((kind, id))
        return told.state if told is not None else None

    def look(self) -> None:
        """Judge what was committed since the last look."""
        touched = dict[Key, None]()
        while page := self._shop.storage.feed(after=self._position, limit=1000):
            for entry in page:
                self._hear(entry)
                touched[entry.key] = None
        if not touched:
            return
        self._compare(list(touched))
        self._check_refunds()
        self._check_given_up()
        orders = dict[str, None]()
        for key in touched:
            state = self._told[key].state
            self._tally(key, state)
            orders.update(dict.fromkeys(_orders_of(key, state)))
        for order_id in orders:
            if ("order", order_id) in self._told:
                self._changed(self._told["order", order_id].state)
                try:
                    verify.check_order(self._shop, order_id)
                except verify.Breach as breach:
                    self._breach(breach.law, f"{breach.kind} {breach.id}: {breach.explanation}")
        self._sum_up({key[1] for key in touched if key[0] == "stock"} | self._rows(touched))

    def _hear(self, entry: Entry) -> None:
        told = self._told.setdefault(entry.key, _Told())
        name = " ".join(entry.key)
        if entry.position <= self._position:
            self._breach("J1", f"{name}: position {entry.position} comes behind {self._position} in the feed")
        self._position = entry.position
        if entry.version != told.version + 1:
            self._breach("J1", f"{name}: event {entry.version} follows on {told.version}")
        parts = (*entry.key, entry.version, entry.at, entry.actor, entry.cause, entry.command_id)
        if chain(told.hash, parts, entry.doc) != entry.hash:
            self._breach("J4", f"{name}: the hash of event {entry.version} does not fit")
        if entry.at < told.at:
            self._breach("J5", f"{name}: event {entry.version} is of {entry.at}, the one before of {told.at}")
        if not entry.actor or not entry.cause:
            self._breach("J6", f"{name}: event {entry.version} tells no actor or no command")
        assembly = self._shop.assembly
        event = assembly.codec.decode(entry.doc)
        if entry.key[0] == "order":
            witness = self._entered.setdefault(entry.key[1], Entered())
            for law, explanation in witness.see(told.state, event):
                self._breach(law, f"{name}: {explanation}")
        capability, before = assembly.by_kind[entry.key[0]], told.state
        told.state = capability.evolve[type(event)](told.state, event)
        for law, explanation in followed(capability, told.state, event):
            self._breach(law, f"{name}: {explanation}")
        if told.state == before and type(event) in _TELLING:
            self._breach("J2", f"{name}: {type(event).__name__} has left no trace")
        told.version, told.hash, told.at = entry.version, entry.hash, entry.at
        self._weigh(entry.key, event, told.state, entry.cause)
        self._tell(f"{name}: {type(event).__name__}")
        self._digest.update(entry.hash.encode())
        self.events += 1

    def _weigh(self, key: Key, event: Event, state: Any, cause: str) -> None:
        """What units and money did, and what stock did about it: two countings that must agree."""
        match event:
            case ShipmentUndeliverable():
                self.lost.update(state.orders)
            case EffectSucceeded():
                self._done(state)
            case CaptureAsked():
                if holds := self.state("order", state.order_id).holds:
                    self._breach("H2", f"{key[1]}: money is taken while its order waits for {', '.join(holds)}")
            case CreditGranted():
                self._credits[key[1]] += event.minor
            case UnitsCancelled():
                self._given_up[key[1]] += sum(quantity for _, quantity in event.units)
            case RefundRequested():
                self._refunds.append((key[1], event.order_id))
            case StockReceived():
                self._received[key[1]] += event.quantity
            case StockReserved() | StockReleased() | StockSetAside() | StockIssued():
                self._moved[key[1], type(event).__name__] += event.quantity
            case UnitsMoved() | OrderAmended():
                for move in event.moves if isinstance(event, UnitsMoved) else event.let_go:
                    line = state.lines[move.line_id]
                    if move.arrow == "cancel" and self._given_up[key[1]]:
                        self._given_up[key[1]] -= move.quantity
                    follows = _STOCK_FOLLOWS.get((move.arrow, move.source), "")
                    if follows and line.kind == "stocked":
                        self._walked[stock_id(line.sku, line.location), follows] += move.quantity
            case OrderConfirmed() if cause != "ConfirmOrder" and state.confirm == "when_authorised":
                money = state.money
                if state.terms.kind == "now" and money.open + money.paid + state.on_account < state.due.minor:
                    self._breach("C1", f"order {key[1]} is confirmed with {money.open} authorised of {state.due}")
            case _:
                pass

    def _check_refunds(self) -> None:
        """M3: no more is given back than was paid too much, or less would be kept than is owed."""
        for refund_id, order_id in self._refunds:
            order = self.state("order", order_id)
            if order.money.refundable < order.due.minor:
                self._breach("M3", f"refund {refund_id} leaves {order.money.refundable} of {order.due} that are owed")
        self._refunds.clear()

    def _check_given_up(self) -> None:
        """S3: units that were cancelled one by one leave their place with that, and credits are kept in mind."""
        for order_id, left in self._given_up.items():
            if left:
                self._breach("S3", f"order {order_id}: {counted(left, 'unit')} cancelled, still where it stood")
        for order_id, granted in self._credits.items():
            if self.state("order", order_id).credits != granted:
                self._breach("M6", f"order {order_id}: {granted} were granted in credits, and are forgotten")

    def _compare(self, keys: list[Key]) -> None:
        """J2: the saved row is what its history folds to."""
        rows = self._shop.storage.read(keys)
        for key in keys:
            told, row = self._told[key], rows.get(key)
            if row is None or row.version != told.version or row.head != told.hash or row.at != told.at:
                self._breach("J2", f"{' '.join(key)}: its row is not where its history ends (version {told.version})")
            elif self._shop.assembly.codec.decode(row.doc) != told.state:
                self._breach("J2", f"{' '.join(key)}: its history does not fold to its saved state")

    def _tally(self, key: Key, state: Any) -> None:
        if isinstance(state, Reservation):
            claims: Counter[str] = Counter()
            for claim in state.claims.values():
                claims[stock_id(claim.sku, claim.location)] += claim.quantity
            self._claimed.subtract(self._claims.get(key[1], Counter()))
            self._claimed.update(claims)
            self._claims[key[1]] = claims
        elif isinstance(state, Shipment) and state.handed_over_at is not None and key[1] not in self._out:
            out: Counter[str] = Counter()
            for content in state.contents:
                line = self.state("order", content.order_id).lines[content.line_id]
                out[stock_id(line.sku, line.location)] += content.quantity
            self._out[key[1]] = out
            self._gone.update(out)

    def _rows(self, touched: dict[Key, None]) -> set[str]:
        rows = set[str]()
        for kind, id in touched:
            if kind == "reservation":
                rows |= set(self._claims.get(id, ()))
        return rows

    def _sum_up(self, rows: set[str]) -> None:
        """S1, S2: over all orders, what is promised is what is claimed, and what is there is what did not go out."""
        for row in sorted(rows):
            stock = self.state("stock", row)
            if not isinstance(stock, Stock):
                continue
            if stock.reserved != self._claimed[row]:
                self._breach("S2", f"stock {row}: {stock.reserved} are promised, the orders claim {self._claimed[row]}")
            for what in ("StockReserved", "StockReleased", "StockSetAside", "StockIssued"):
                units, pieces = self._walked[row, what], self._moved[row, what]
                if units != pieces:
                    self._breach(
                        "S1",
                        f"stock {row}: {counted(pieces, 'piece')} saw {what}, where {counted(units, 'unit')} walked",
                    )
            if stock.on_hand != self._received[row] - self._gone[row]:
                self._breach(
                    "S1", f"stock {row}: {stock.on_hand} on hand, {self._received[row]} came, {self._gone[row]} went"
                )


def _orders_of(key: Key, state: Any) -> tuple[str, ...]:
    match state:
        case Order() | Reservation() | Payment() | Refund() | OrderChange():
            return (state.order_id,)
        case Shipment():
            return state.orders
        case Intent():
            return (state.group,)
        case _:
            return ()
