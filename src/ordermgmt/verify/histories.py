"""The laws of a history: complete, chained, folding to the saved state; and what only a history can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

import msgspec
from attrs import define

from ..engine.capability import Capability
from ..engine.codec import Opaque, chain
from ..engine.effects import EffectPlanned, Intent
from ..engine.messages import Event, counted
from ..engine.transaction import Entry, Key, Row
from ..errors import NotFound, StorageFailed
from ..orders.messages import UnitsMoved
from ..orders.model import Order
from ..payments.messages import CaptureAsked, RefundAsked, VoidAsked
from ..payments.model import Payment
from ..shipments.messages import LabelBought, LabelVoidAsked
from ..shipments.model import Shipment
from ..stock.messages import (
    StockEvent,
    StockIssued,
    StockPutAway,
    StockReceived,
    StockReleased,
    StockReserved,
    StockSetAside,
)
from ..stock.model import Stock
from .entry import Entered
from .reading import PAGE, Breach, Findings, View
from .states import laws_of

# One entity, with its history.


def entity(view: View, key: Key, *, arrows: bool) -> Iterator[Breach]:
    """One entity: its state as it stands, and its history from the first event on."""
    row = view.row(key)
    if row is None:
        raise NotFound(*key)
    yield from _laws(view, key)
    yield from _history(view, row, arrows=arrows)


def _laws(view: View, key: Key) -> Iterator[Breach]:
    try:
        yield from laws_of(view, *key, view.state(*key))
    except StorageFailed:
        raise
    except Exception as problem:  # noqa: BLE001 - a damaged state may hold what no law expects; its name must be told
        yield Breach("readable", *key, f"its state cannot be judged ({type(problem).__name__})")


@define
class _Story:
    """A history as it is read: where the chain, the fold and the witnesses stand."""

    hash: str = ""
    at: str = ""
    version: int = 0
    position: int = 0
    state: Any = None
    readable: bool = True
    """False once an event is of a newer release: then only the chain is checked."""


def _history(view: View, row: Row, *, arrows: bool) -> Iterator[Breach]:
    """J1–J6, C1 and what only history tells.  Only events up to the row as it was read, so nothing moves meanwhile."""
    capability = view.assembly.by_kind[row.key[0]]
    story = _Story()
    witnesses = [make() for state, make in _WITNESSES if issubclass(capability.state, state)]
    while story.version < row.version:
        page = view.storage.history(row.key, after=story.version, limit=min(PAGE, row.version - story.version))
        if not page:
            yield Breach("J1", *row.key, f"its history ends with {story.version} of {counted(row.version, 'event')}")
            return
        for entry in page:
            for law, explanation in _next(view, capability, story, entry, witnesses, arrows=arrows):
                yield Breach(law, *row.key, f"event {entry.version}: {explanation}")
            if entry.version != story.version:
                return  # a gap: nothing behind it can be judged
    if story.hash != row.head:
        yield Breach("J4", *row.key, "its chain does not end with the hash of its state")
    if story.at != row.at:
        yield Breach("J5", *row.key, f"its last event is of {story.at}, its state of {row.at}")
    state = view.state(*row.key)
    if story.readable and not isinstance(state, Breach) and not _as_written(view, row, state, story.state):
        yield Breach("J2", *row.key, "what is stored is not what its history led to; it was changed")
    if story.readable and not isinstance(state, Opaque | Breach):
        if story.state != state:
            yield Breach("J2", *row.key, "its history does not fold to its saved state")
        for witness in witnesses:
            for law, explanation in witness.end(state, view):
                yield Breach(law, *row.key, explanation)


def _as_written(view: View, row: Row, state: Any, folded: Any) -> bool:
    """Whether a state's bytes are what this release, or an honest other one, would store.

    No hash covers them, and reading forgives much: a field whose name was damaged counts as left out.  So everything
    that is stored must be told by the state that the history folds to.
    """
    expected = view.assembly.codec.encode(folded)
    if row.doc == expected:
        return True
    if isinstance(state, Opaque):
        # Another release has another content in its envelope; a damaged envelope has the same.
        return row.doc.partition(b'"data":')[2] != expected.partition(b'"data":')[2]
    try:
        stored = msgspec.json.decode(row.doc)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    written = msgspec.json.decode(expected)
    return stored["v"] != written["v"] or _told_by(stored, written)


def _told_by(stored: Any, written: Any) -> bool:
    """Whether all that is stored would be written; an older state may lack fields that have a default."""
    if isinstance(stored, dict) and isinstance(written, dict):
        ours, theirs = cast("dict[str, Any]", stored), cast("dict[str, Any]", written)
        return all(name in theirs and _told_by(value, theirs[name]) for name, value in ours.items())
    if isinstance(stored, list) and isinstance(written, list):
        pairs = cast("list[object]", stored), cast("list[object]", written)
        return len(pairs[0]) == len(pairs[1]) and all(map(_told_by, *pairs))
    return bool(stored == written)


def _next(
    view: View,
    capability: Capability[Any],
    story: _Story,
    entry: Entry,
    witnesses: Iterable[Witness],
    *,
    arrows: bool,
) -> Findings:
    if entry.version != story.version + 1:
        yield "J1", f"follows on {story.version}"
        return
    parts = (*entry.key, entry.version, entry.at, entry.actor, entry.cause, entry.command_id)
    if chain(story.hash, parts, entry.doc) != entry.hash:
        yield "J4", "its hash is not that of what is stored; it was changed"
    if entry.at < story.at:
        yield "J5", f"of {entry.at}, before the {story.at} of the one before"
    if entry.position <= story.position:
        yield "J1", f"stands at {entry.position} of the feed, before the one before it at {story.position}"
    if not entry.actor or not entry.cause:
        yield "J6", "tells neither who asked nor by which command" if not entry.actor else "tells no command"
    story.version, story.hash, story.at, story.position = entry.version, entry.hash, entry.at, entry.position
    yield from _personal(view, entry)
    if not story.readable:
        return
    try:
        event = view.assembly.codec.decode(entry.doc)
        if isinstance(event, Opaque) or type(event) not in capability.evolve:
            story.readable = False
            return
        before = story.state
        story.state = capability.evolve[type(event)](before, event)
    except Exception as problem:  # noqa: BLE001 - whatever a changed event does to its fold, it is found here
        story.readable = False
        yield "J2", f"cannot be read and folded ({type(problem).__name__})"
        return
    yield from followed(capability, story.state, event)
    if arrows:
        yield from _drawn(capability, before, event)
    for witness in witnesses:
        yield from witness.see(before, event)


def followed(capability: Capability[Any], after: Any, event: Event) -> Findings:
    """C1: a state stands where its last arrow led."""
    if capability.lifecycle is not None and event.status is not None and after.status != event.status:
        yield "C1", f"{type(event).__name__} led to {event.status}, but it is folded to {after.status}"


def _drawn(capability: Capability[Any], before: Any, event: Event) -> Findings:
    """C1: a status changes along an arrow of the drawing only."""
    lifecycle = capability.lifecycle
    if lifecycle is None or event.status is None:
        return
    stood = lifecycle.initial if before is None else before.status
    current = lifecycle.current(stood) or stood
    arrow = event.arrow()
    led_to = lifecycle.after(current, arrow) if arrow is not None else None
    if event.status not in (led_to, current):
        yield "C1", f"{type(event).__name__} led from {stood} to {event.status}, which is not drawn"


def _personal(view: View, entry: Entry) -> Findings:
    """What is about a person lies beside the history: a reference has a subject and a ref, and nothing else."""
    if b'"ref":' not in entry.doc:
        return
    try:
        document = msgspec.json.decode(entry.doc)
    except msgspec.MsgspecError:
        return  # told of where it is folded
    refs = list[str]()
    for reference in _references(document):
        if set(reference) != {"subject", "ref"}:
            yield "personal", f"holds {', '.join(sorted(set(reference) - {'subject', 'ref'}))} beside a reference"
        if isinstance(reference["ref"], str):
            refs.append(reference["ref"])
    for ref, doc in view.storage.personal(refs).items() if refs else ():
        if doc in entry.doc:
            yield "personal", f"holds what is kept under {ref}"
        try:
            msgspec.json.decode(doc)
        except msgspec.MsgspecError:
            yield "readable", f"what is kept under {ref} cannot be read"


def _references(document: Any) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            values = cast("dict[str, Any]", one)
            if {"ref", "subject"} <= set(values):
                yield values
            else:
                waiting.extend(values.values())
        elif isinstance(one, list):
            waiting.extend(cast("list[object]", one))


# What only a history tells.


class Witness(Protocol):
    """Sees every event of one entity, and judges."""

    def see(self, before: Any, event: Event, /) -> Findings: ...

    def end(self, state: Any, view: View, /) -> Findings: ...


class _Ledger:
    """S1: what is on the shelf is what came in less what went out."""

    _MOVES: Mapping[type[StockEvent], tuple[int, int, int]] = {
        StockReceived: (1, 0, 0),
        StockReserved: (0, 1, 0),
        StockReleased: (0, -1, 0),
        StockSetAside: (0, -1, 1),
        StockPutAway: (0, 0, -1),
        StockIssued: (-1, -1, 0),
    }

    def __init__(self) -> None:
        self._totals: list[int] | None = [0, 0, 0]

    def see(self, _before: Any, event: Event, /) -> Findings:
        moves = self._MOVES.get(type(event)) if isinstance(event, StockEvent) else None
        if moves is None or self._totals is None:
            self._totals = None  # a movement of the host's own: its fold is the only judge
        elif isinstance(event, StockEvent):
            self._totals = [total + n * event.quantity for total, n in zip(self._totals, moves, strict=True)]
            if min(self._totals) < 0 or self._totals[1] + self._totals[2] > self._totals[0]:
                yield "S2", f"left {self._totals[0]} on hand, {self._totals[1]} reserved, {self._totals[2]} held"
        yield from ()

    def end(self, state: Any, _view: View, /) -> Findings:
        counted = [state.on_hand, state.reserved, state.held]
        if self._totals is not None and counted != self._totals:
            yield "S1", f"its movements make {self._totals}, it counts {counted} (on hand, reserved, held)"


class _Asks:
    """M4: nothing was ever asked beyond what the facts of that moment allowed."""

    def see(self, before: Any, event: Event, /) -> Findings:
        if not isinstance(before, Payment):
            return
        match event:
            case CaptureAsked(minor=minor) | VoidAsked(minor=minor) if minor > before.amounts.capturable:
                yield "M4", f"{type(event).__name__} of {minor}, with {before.amounts.capturable} open"
            case RefundAsked(minor=minor) if minor > before.amounts.refundable:
                yield "M4", f"{type(event).__name__} of {minor}, with {before.amounts.refundable} left"
            case _:
                pass

    def end(self, _state: Any, _view: View, /) -> Findings:
        yield from ()


class _Request:
    """E5: what is asked, by which key and in which lane, never changes after it was planned."""

    def __init__(self) -> None:
        self._planned: Intent | None = None

    def see(self, _before: Any, event: Event, /) -> Findings:
        if isinstance(event, EffectPlanned):
            self._planned = event.intent
        yield from ()

    def end(self, state: Any, _view: View, /) -> Findings:
        planned = self._planned
        if planned is None:
            yield "E4", "it was never planned"
        elif planned.request.digest != state.request.digest:
            yield "E5", "its frozen request is not the one that was planned"
        elif (planned.key == state.key) != (planned.generation == state.generation):
            yield "E3", f"its key is of generation {planned.generation}, it stands at {state.generation}"
        elif (planned.lane, planned.group, planned.port) != (state.lane, state.group, state.port):
            yield "E7", "its lane, group or port is not the one that was planned"


class _Out:
    """Q2 by history: what left the house left in parcels, unit for unit."""

    def __init__(self) -> None:
        self._out = dict[str, int]()

    def see(self, _before: Any, event: Event, /) -> Findings:
        if isinstance(event, UnitsMoved):
            for move in event.moves:
                n = {"hand_over": move.quantity, "recall": -move.quantity}.get(move.arrow, 0)
                self._out[move.line_id] = self._out.get(move.line_id, 0) + n
        yield from ()

    def end(self, state: Any, view: View, /) -> Findings:
        if not isinstance(state, Order) or not state.shipments:
            return
        carried = dict[str, int]()
        for shipment_id in state.shipments:
            shipment = view.state("shipment", shipment_id)
            if isinstance(shipment, Shipment) and shipment.handed_over_at is not None:
                for content in shipment.contents:
                    if content.order_id == state.order_id:
                        carried[content.line_id] = carried.get(content.line_id, 0) + content.quantity
        for line_id, n in self._out.items():
            if n != (parcelled := carried.get(line_id, 0)):
                handed = counted(n, "unit was", "units were")
                yield "Q2", f"line {line_id}: {handed} handed over, {parcelled} went in parcels"


class _Labels:
    """Q3: at most one live label a parcel."""

    def __init__(self) -> None:
        self._live = set[str]()

    def see(self, _before: Any, event: Event, /) -> Findings:
        match event:
            case LabelBought(label=label):
                self._live.add(label.tracking_number)
            case LabelVoidAsked(label=label):
                self._live.discard(label.tracking_number)
            case _:
                pass
        yield from ()

    def end(self, state: Any, _view: View, /) -> Findings:
        live = {state.label.tracking_number} if state.label is not None else set[str]()
        if live != self._live:
            yield "Q3", f"its live labels are {sorted(self._live)}, it knows of {sorted(live)}"


_WITNESSES: tuple[tuple[type[Any], Callable[[], Witness]], ...] = (
    (Stock, _Ledger),
    (Payment, _Asks),
    (Intent, _Request),
    (Order, _Out),
    (Order, Entered),
    (Shipment, _Labels),
)
