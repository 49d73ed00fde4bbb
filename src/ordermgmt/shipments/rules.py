"""When a parcel may be planned, packed and handed over, and what a carrier's news means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pendulum import DateTime

from ..engine.capability import Evolve, Seen, as_type, changed, evolved, require
from ..engine.messages import Event, Key, Personal, counted
from ..errors import AlreadyExists, InvalidInput, NotFound, Refused
from ..orders.messages import order_key
from ..orders.model import Address, Order
from ..orders.placing import check_carrier
from ..orders.rules import payment_id
from ..values import error
from .messages import (
    AskLabel,
    CancelShipment,
    CheckShipments,
    HandOverShipment,
    LabelAsked,
    LabelBought,
    LabelDeclined,
    LabelVoidAsked,
    LabelVoided,
    PackShipment,
    PickShipment,
    PlanShipment,
    ReaddressShipment,
    RecordDelivery,
    RecordLabel,
    RecordLabelVoided,
    RecordNoLabel,
    RecordNoTracking,
    RecordScan,
    RecordUndeliverable,
    ScanRecorded,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentHandedOver,
    ShipmentPacked,
    ShipmentPicked,
    ShipmentPlanned,
    ShipmentReaddressed,
    ShipmentTrimmed,
    ShipmentUndeliverable,
    TrackingDeclined,
    TrimShipment,
    shipment_key,
)
from .model import STAGES, Content, Scan, Shipment

SCANS_MAX = 200


@error
class LabelMissing(Refused):
    """The carrier has not sold a label yet."""

    shipment_id: str
    carrier: str
    packed: bool = True
    """Whether it is packed, which is when a label is asked for."""

    @property
    def message(self) -> str:
        what = f"shipment {self.shipment_id} has no label of {self.carrier} yet"
        if not self.packed:
            return f"{what}; pack it (PackShipment), which asks for one, and do the order's due work (settle)"
        return f"{what}; do the order's due work (settle), or ask anew (AskLabel)"


@error
class LabelNotNeeded(Refused):
    """There is a label, or no carrier to sell one, or the parcel is not packed."""

    shipment_id: str

    @property
    def message(self) -> str:
        return (
            f"shipment {self.shipment_id} has a label already, or no carrier, or is not packed; "
            f"packing it (PackShipment) asks for one"
        )


@error
class Labelled(Refused):
    """A label to the old address was asked for."""

    shipment_id: str

    @property
    def message(self) -> str:
        return (
            f"a label of parcel {self.shipment_id} was asked for, to the old address; "
            "cancel the parcel first (CancelShipment)"
        )


@error
class OverPlanned(Refused):
    """Parcels would hold more units than the order has reserved."""

    order_id: str
    line_id: str
    planned: int
    reserved: int

    @property
    def message(self) -> str:
        return (
            f"order {self.order_id}, line {self.line_id}: {counted(self.planned, 'unit')} would be planned into "
            f"parcels, but only {counted(self.reserved, 'is', 'are')} reserved; "
            "plan fewer, or cancel a parcel they are in (CancelShipment)"
        )


# Planning.


def plan(command: PlanShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment_id = as_type(command.shipment_id, str)
    if state is not None:
        raise AlreadyExists("shipment", shipment_id)
    order: Order | None = None
    for content in command.contents:
        if order is None or order.order_id != content.order_id:
            order = require(seen.get(Order, "order", content.order_id), "order", content.order_id)
        if content.line_id not in order.lines:
            raise NotFound("line", f"{content.order_id}/{content.line_id}")
        if order.status in ("cancelled", "rejected", "expired", "closed"):
            raise InvalidInput(f"order {order.order_id} is {order.status}; nothing of it can be shipped")
    check_carrier(command.carrier, seen)
    contents = _unplanned(command, seen) if command.beside else command.contents
    if not contents:
        return
    yield ShipmentPlanned(
        shipment_id=shipment_id,
        contents=contents,
        carrier=command.carrier,
        location=command.location,
        ship_to=_address(command, shipment_id, seen),
        consignment_id=command.consignment_id,
    )


def _unplanned(command: PlanShipment, seen: Seen) -> tuple[Content, ...]:
    """What of the contents lies in none of the parcels beside it."""
    order = as_type(seen.get(Order, "order", command.contents[0].order_id), Order)
    there = {line: n for line, bucket, n, _ in _planned(order, command.beside, seen) if bucket == "reserved"}
    left = ((content, content.quantity - there.get(content.line_id, 0)) for content in command.contents)
    return tuple(Content(content.order_id, content.line_id, n) for content, n in left if n > 0)


def _address(command: PlanShipment, shipment_id: str, seen: Seen) -> Personal[Address] | None:
    first = as_type(seen.get(Order, "order", command.contents[0].order_id), Order)
    match command.ship_to:
        case Address() as address:
            return Personal(first.customer or f"order:{first.order_id}", f"shipment:{shipment_id}:ship_to:1", address)
        case Personal() as personal:
            return personal
        case _:
            return first.ship_to


def check(command: CheckShipments, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    order = require(seen.get(Order, "order", command.order_id), "order", command.order_id)
    for line_id, bucket, planned, standing in _planned(order, command.shipments, seen):
        if bucket == "reserved" and planned > standing:
            raise OverPlanned(order.order_id, line_id, planned, standing)
    return ()


def _planned(order: Order, shipments: Iterable[str], seen: Seen) -> Iterable[tuple[str, str, int, int]]:
    """(line, bucket, units planned in parcels of that stage, units standing there)."""
    planned: dict[tuple[str, str], int] = {}
    for shipment_id in shipments:
        shipment = seen.get(Shipment, "shipment", shipment_id)
        bucket = STAGES.get(shipment.status) if shipment is not None else None
        if shipment is None or bucket is None:
            continue
        for content in shipment.contents:
            if content.order_id == order.order_id:
                place = (content.line_id, bucket)
                planned[place] = planned.get(place, 0) + content.quantity
    for (line_id, bucket), n in planned.items():
        yield line_id, bucket, n, order.lines[line_id].units.get(bucket, 0)


def trim(command: TrimShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    order = require(seen.get(Order, "order", command.order_id), "order", command.order_id)
    stage = STAGES.get(shipment.status)
    here = {content.line_id: content.quantity for content in shipment.contents if content.order_id == order.order_id}
    removed: list[Content] = []
    for line_id, bucket, planned, standing in _planned(order, command.shipments, seen):
        if bucket == stage and line_id in here and planned > standing:
            removed.append(Content(order.order_id, line_id, min(here[line_id], planned - standing)))
    if not removed:
        return
    trimmed = ShipmentTrimmed(removed=tuple(removed))
    yield trimmed
    if not evolve_trimmed(shipment, trimmed).contents:
        yield ShipmentCancelled(contents=(), stage=shipment.status)
        yield from _void(shipment)


def readdress(command: ReaddressShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    own = shipment.ship_to is not None and shipment.ship_to.ref.startswith(f"shipment:{shipment.shipment_id}:")
    if shipment.status not in STAGES or shipment.order_id != command.order_id or own:
        return  # it is gone, or goes to an address that was said for this parcel alone
    if shipment.label is not None or (shipment.status == "packed" and shipment.labels > shipment.voided):
        raise Labelled(shipment.shipment_id)
    yield ShipmentReaddressed(ship_to=command.ship_to)


def rows_of_plan(command: PlanShipment) -> Iterable[Key]:
    return [*{order_key(content.order_id) for content in command.contents}, *map(shipment_key, command.beside)]


def rows_of_siblings(command: TrimShipment | CheckShipments) -> Iterable[Key]:
    return [order_key(command.order_id), *map(shipment_key, command.shipments)]


def rows_of_contents(command: Any, state: Shipment | None) -> Iterable[Key]:
    """The orders whose units move with the parcel, and what else stands on them."""
    if state is None:
        return []
    orders = state.orders
    return [(kind, order) for kind in ("order", "reservation") for order in orders]


def parcel_id(order_id: str, n: int) -> str:
    """The id of an order's n-th parcel, where the flow plans it."""
    return f"{order_id}:s{n}"


def probably_behind_it(command: Any) -> Iterable[Key]:
    """What stands behind a parcel, read from an id that the flow gave it."""
    order_id, flows_own, _ = command.shipment_id.rpartition(":s")
    if not flows_own:
        return ()
    return (order_key(order_id), ("reservation", order_id), ("payment", payment_id(order_id, 1)))


def probably_planned_next(command: Any) -> Iterable[Key]:
    """The parcel that is planned once the order is confirmed."""
    return (shipment_key(parcel_id(command.order_id, 1)),)


# In the house.


def pick(command: PickShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "shipment", command.shipment_id)
    yield ShipmentPicked(walks=("pick",))


def pack(command: PackShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    yield from _packed(shipment, ())
    if shipment.carrier and shipment.label is None:
        yield LabelAsked(number=shipment.labels + 1)


def _packed(shipment: Shipment, then: tuple[str, ...]) -> Iterable[Event]:
    """Walk to packed from wherever it stands; what is walked in one go moves the units once."""
    if shipment.status == "planned":
        yield ShipmentPicked(walks=())
        yield ShipmentPacked(walks=() if then else ("pick", "pack"))
    else:
        yield ShipmentPacked(walks=() if then else ("pack",))


def hand_over(command: HandOverShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    inside = shipment.status in STAGES
    if inside and shipment.carrier and shipment.label is None:
        raise LabelMissing(shipment.shipment_id, shipment.carrier, packed=shipment.status == "packed")
    if command.occurred_at is not None and command.occurred_at > at:
        raise InvalidInput(f"occurred_at lies in the future ({command.occurred_at}); leave it out for now")
    walks: tuple[str, ...] = ("hand_over",)
    if shipment.status in ("planned", "picked"):
        yield from _packed(shipment, walks)
        walks = ("pick", "pack", "hand_over") if shipment.status == "planned" else ("pack", "hand_over")
    yield ShipmentHandedOver(walks=walks, occurred_at=command.occurred_at or at)


def cancel(command: CancelShipment, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    yield ShipmentCancelled(contents=shipment.contents, stage=shipment.status)
    yield from _void(shipment)


def ask_label(command: AskLabel, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    if not shipment.carrier or shipment.label is not None or shipment.status != "packed":
        raise LabelNotNeeded(shipment.shipment_id)
    yield LabelAsked(number=shipment.labels + 1)


def _void(shipment: Shipment) -> Iterable[Event]:
    if shipment.label is not None:
        yield LabelVoidAsked(label=shipment.label, number=shipment.labels + 1)


# A carrier's news.


def deliver(command: RecordDelivery, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    if shipment.status != "delivered":
        yield ShipmentDelivered(occurred_at=command.occurred_at or at, stage=shipment.status)


def fail(command: RecordUndeliverable, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    if shipment.status != "undeliverable":
        yield ShipmentUndeliverable(occurred_at=command.occurred_at or at, note=command.note, stage=shipment.status)


def scan(command: RecordScan, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    seen_scan = Scan(kind=command.kind, occurred_at=command.occurred_at or at, note=command.note)
    if seen_scan not in shipment.scans and len(shipment.scans) < SCANS_MAX:
        yield ScanRecorded(scan=seen_scan)


def record_label(command: RecordLabel, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    shipment = require(state, "shipment", command.shipment_id)
    number = command.label.tracking_number
    if number in shipment.given_back or (shipment.label is not None and shipment.label.tracking_number == number):
        return  # told before: one tracking number is one label
    yield LabelBought(label=command.label)
    if shipment.status in ("cancelled", "closed") or shipment.label is not None:
        # Bought while the parcel was given up, or twice: it is not needed.  The label it has may be on its way already.
        yield LabelVoidAsked(label=command.label, number=shipment.labels + 1)


def record_no_label(command: RecordNoLabel, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "shipment", command.shipment_id)
    yield LabelDeclined(code=command.code)


def record_no_tracking(command: RecordNoTracking, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "shipment", command.shipment_id)
    yield TrackingDeclined(code=command.code)


def record_voided(command: RecordLabelVoided, state: Shipment | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, "shipment", command.shipment_id)
    yield LabelVoided(tracking_number=command.tracking_number, refused=command.refused)


# Evolve.


def evolve_planned(state: Shipment | None, event: ShipmentPlanned) -> Shipment:
    return Shipment(
        shipment_id=event.shipment_id,
        order_id=event.contents[0].order_id,
        status=event.status or "planned",
        contents=event.contents,
        carrier=event.carrier,
        location=event.location,
        ship_to=event.ship_to,
        consignment_id=event.consignment_id,
    )


def evolve_trimmed(state: Shipment | None, event: ShipmentTrimmed) -> Shipment:
    shipment = as_type(state, Shipment)
    out = {(c.order_id, c.line_id): c.quantity for c in event.removed}
    kept = (changed(c, quantity=c.quantity - out.get((c.order_id, c.line_id), 0)) for c in shipment.contents)
    return evolved(shipment, event, contents=tuple(c for c in kept if c.quantity))


def evolve_handed_over(state: Shipment | None, event: ShipmentHandedOver) -> Shipment:
    return evolved(as_type(state, Shipment), event, handed_over_at=event.occurred_at)


def evolve_delivered(state: Shipment | None, event: ShipmentDelivered) -> Shipment:
    return evolved(as_type(state, Shipment), event, delivered_at=event.occurred_at)


def evolve_label_asked(state: Shipment | None, event: LabelAsked) -> Shipment:
    return evolved(as_type(state, Shipment), event, labels=event.number)


def evolve_void_asked(state: Shipment | None, event: LabelVoidAsked) -> Shipment:
    shipment = as_type(state, Shipment)
    label = None if shipment.label == event.label else shipment.label
    given_back = (*shipment.given_back, event.label.tracking_number)
    return evolved(shipment, event, labels=event.number, voided=shipment.voided + 1, label=label, given_back=given_back)


def evolve_label(state: Shipment | None, event: LabelBought) -> Shipment:
    shipment = as_type(state, Shipment)
    return evolved(shipment, event, label=shipment.label or event.label)


def evolve_scanned(state: Shipment | None, event: ScanRecorded) -> Shipment:
    shipment = as_type(state, Shipment)
    return evolved(shipment, event, scans=(*shipment.scans, event.scan))


EVOLVE: Mapping[type[Event], Evolve] = {
    ShipmentPlanned: evolve_planned,
    ShipmentPicked: evolved,
    ShipmentPacked: evolved,
    ShipmentHandedOver: evolve_handed_over,
    ShipmentDelivered: evolve_delivered,
    ShipmentUndeliverable: evolved,
    ShipmentCancelled: evolved,
    ShipmentTrimmed: evolve_trimmed,
    ShipmentReaddressed: lambda state, event: evolved(as_type(state, Shipment), event, ship_to=event.ship_to),
    LabelAsked: evolve_label_asked,
    LabelBought: evolve_label,
    LabelDeclined: evolved,
    LabelVoidAsked: evolve_void_asked,
    LabelVoided: evolved,
    ScanRecorded: evolve_scanned,
    TrackingDeclined: evolved,
}
