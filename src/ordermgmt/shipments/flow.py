"""What follows around a parcel: units walk with it, labels are bought and voided, carriers are asked where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..engine.capability import Answers, on, story
from ..engine.effects import Declined, Outcome, Pending, Succeeded
from ..engine.messages import Disagreement, Effect, News, Replies
from ..orders.amended import OrderAmended
from ..orders.messages import Move, MoveUnits, NoteShipment, OrderConfirmed, ShipmentNoted, UnitsMoved
from ..orders.model import Order
from ..values import unchecked
from .messages import (
    BuyLabel,
    CheckShipments,
    LabelAsked,
    LabelDeclined,
    LabelVoidAsked,
    LabelVoided,
    PlanShipment,
    ReaddressShipment,
    RecordDelivery,
    RecordLabel,
    RecordLabelVoided,
    RecordNoLabel,
    RecordNoTracking,
    RecordScan,
    RecordUndeliverable,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentHandedOver,
    ShipmentPacked,
    ShipmentPicked,
    ShipmentPlanned,
    ShipmentStep,
    ShipmentUndeliverable,
    Track,
    TrackingDeclined,
    TrimShipment,
    VoidLabel,
)
from .model import DELIVERED, UNDELIVERABLE, Content, Label, Scan, Shipment
from .rules import parcel_id

# Made of what orders and parcels are kept with, which was checked when it came in.
_move = unchecked(Move)
_move_units = unchecked(MoveUnits)
_plan_shipment = unchecked(PlanShipment)
_note_shipment = unchecked(NoteShipment)
_check_shipments = unchecked(CheckShipments)

# Happy path.


def plan_the_parcel(event: OrderConfirmed | UnitsMoved, order: Order) -> Replies:
    """One parcel with all that is reserved and in no parcel yet; later, one with what is set aside for it then.

    A host that plans otherwise leaves this out, of both.
    """
    if isinstance(event, OrderConfirmed):
        units = {line.line_id: n for line in order.lines.values() if (n := line.units.get("reserved", 0))}
    elif order.accepted:
        units = dict[str, int]()
        for step in event.moves:
            if step.arrow == "reserve":
                units[step.line_id] = units.get(step.line_id, 0) + step.quantity
    else:
        return  # with its confirming
    if units:
        yield _plan_shipment(
            shipment_id=_next_parcel(order),
            contents=tuple([Content(order.order_id, line_id, n) for line_id, n in units.items()]),
            carrier=order.ship_by,
            location=order.location,
            beside=order.shipments if isinstance(event, OrderConfirmed) else (),
        )


def _next_parcel(order: Order) -> str:
    n = len(order.shipments) + 1
    while (shipment_id := parcel_id(order.order_id, n)) in order.shipments:
        n += 1
    return shipment_id


def the_orders_know_their_parcels(event: ShipmentPlanned, shipment: Shipment) -> Replies:
    for order_id in shipment.orders:
        yield _note_shipment(order_id=order_id, shipment_id=event.shipment_id)


def no_more_than_is_reserved(event: ShipmentNoted, order: Order) -> Replies:
    yield _check_shipments(shipment_id=event.shipment_id, order_id=order.order_id, shipments=order.shipments)


def units_walk_with_the_parcel(event: ShipmentStep, shipment: Shipment) -> Replies:
    if event.walks:
        yield from _moves(shipment.contents, event.walks)


def buy_a_label(event: LabelAsked, shipment: Shipment) -> Replies:
    yield BuyLabel(
        shipment_id=shipment.shipment_id,
        order_id=shipment.order_id,
        carrier=shipment.carrier,
        number=event.number,
        contents=shipment.contents,
        ship_to=shipment.ship_to,
    )


def ask_where_it_is(event: ShipmentHandedOver, shipment: Shipment) -> Replies:
    if shipment.carrier and shipment.label is not None:
        yield Track(
            shipment_id=shipment.shipment_id,
            order_id=shipment.order_id,
            carrier=shipment.carrier,
            number=shipment.labels,
            tracking_number=shipment.label.tracking_number,
        )


def units_arrive(event: ShipmentDelivered, shipment: Shipment) -> Replies:
    if event.status is not None:  # a scan of a parcel that is not on its way moves nothing of another parcel
        yield from _moves(shipment.contents, ("deliver",), source=event.stage, partly=True)


def units_do_not_arrive(event: ShipmentUndeliverable, shipment: Shipment) -> Replies:
    if event.status is not None:
        yield from _moves(shipment.contents, ("fail",), source=event.stage, partly=True)


# Compensation.


def take_out_what_is_cancelled(event: UnitsMoved, order: Order) -> Replies:
    if not _TAKEN_OUT.isdisjoint([step.arrow for step in event.moves]):
        for shipment_id in order.shipments:
            yield TrimShipment(shipment_id=shipment_id, order_id=order.order_id, shipments=order.shipments)


_TAKEN_OUT = frozenset(("cancel", "release"))


def take_out_what_is_let_go(event: OrderAmended, order: Order) -> Replies:
    if event.let_go:
        for shipment_id in order.shipments:
            yield TrimShipment(shipment_id=shipment_id, order_id=order.order_id, shipments=order.shipments)


def parcels_go_to_the_new_address(event: OrderAmended, order: Order) -> Replies:
    if event.readdressed:
        for shipment_id in order.shipments:
            yield ReaddressShipment(shipment_id=shipment_id, order_id=order.order_id, ship_to=event.ship_to)


_BACK = {"packed": ("unpack", "unpick"), "picked": ("unpick",)}


def units_go_back_to_the_shelf(event: ShipmentCancelled, shipment: Shipment) -> Replies:
    yield from _moves(event.contents, _BACK.get(event.stage, ()))


def give_the_label_back(event: LabelVoidAsked, shipment: Shipment) -> Replies:
    yield VoidLabel(
        shipment_id=shipment.shipment_id,
        order_id=shipment.order_id,
        carrier=shipment.carrier,
        number=event.number,
        label=event.label,
    )


def tell_of_no_label(event: LabelDeclined, shipment: Shipment) -> Replies:
    yield Disagreement(f"{shipment.carrier} sold no label ({event.code or 'no reason'}); ask anew with AskLabel")


def tell_of_no_tracking(event: TrackingDeclined, shipment: Shipment) -> Replies:
    if shipment.status == "shipped":  # else it is known already where it ended
        yield Disagreement(
            f"{shipment.carrier} does not tell where it is ({event.code or 'no reason'}); "
            "say it with RecordDelivery or RecordUndeliverable"
        )


def tell_of_label_not_voided(event: LabelVoided, shipment: Shipment) -> Replies:
    if event.refused:
        yield Disagreement(f"{shipment.carrier} did not take label {event.tracking_number} back ({event.refused})")


def _moves(contents: Iterable[Content], arrows: tuple[str, ...], *, source: str = "", partly: bool = False) -> Replies:
    """One `MoveUnits` per order: each line's units walk the arrows one after the other.

    `source` is where they stand, for a line's other units may stand elsewhere where the same arrow starts too.
    """
    by_order: dict[str, list[Move]] = {}
    for content in contents:
        moves = by_order.setdefault(content.order_id, [])
        moves += [_move(content.line_id, arrow, content.quantity, source) for arrow in arrows]
    for order_id, moves in by_order.items():
        if moves:
            yield _move_units(order_id=order_id, moves=tuple(moves), partly=partly)


REACTIONS = story(
    on(OrderConfirmed, plan_the_parcel),
    on(ShipmentPlanned, the_orders_know_their_parcels),
    on(ShipmentNoted, no_more_than_is_reserved),
    on(ShipmentPicked, units_walk_with_the_parcel),
    on(ShipmentPacked, units_walk_with_the_parcel),
    on(ShipmentHandedOver, units_walk_with_the_parcel, ask_where_it_is),
    on(LabelAsked, buy_a_label),
    on(ShipmentDelivered, units_arrive),
    on(ShipmentUndeliverable, units_do_not_arrive),
    on(UnitsMoved, take_out_what_is_cancelled, plan_the_parcel),
    on(OrderAmended, take_out_what_is_let_go, parcels_go_to_the_new_address),
    on(ShipmentCancelled, units_go_back_to_the_shelf),
    on(LabelVoidAsked, give_the_label_back),
    on(LabelDeclined, tell_of_no_label),
    on(LabelVoided, tell_of_label_not_voided),
    on(TrackingDeclined, tell_of_no_tracking),
)


# Hearing.


def label_answered(effect: BuyLabel, outcome: Outcome) -> Iterable[News[Shipment]]:
    match outcome:
        case Succeeded(result=Label() as label) | Succeeded(result=(Label() as label,)):
            yield RecordLabel(shipment_id=effect.shipment_id, label=label)
        case Declined(code=code):
            yield RecordNoLabel(shipment_id=effect.shipment_id, code=code)
        case _:
            return


def void_answered(effect: VoidLabel, outcome: Outcome) -> Iterable[News[Shipment]]:
    number = effect.label.tracking_number
    match outcome:
        case Succeeded():
            yield RecordLabelVoided(shipment_id=effect.shipment_id, tracking_number=number)
        case Declined(code=code):
            yield RecordLabelVoided(shipment_id=effect.shipment_id, tracking_number=number, refused=code or "declined")
        case _:
            return


def track_answered(effect: Track, outcome: Outcome) -> Iterable[News[Shipment]]:
    match outcome:
        case Succeeded(result=scans) | Pending(result=scans):
            yield from _scans(effect.shipment_id, scans or ())
        case Declined(code=code):
            yield RecordNoTracking(shipment_id=effect.shipment_id, code=code)
        case _:
            return


def heard(shipment: Shipment, scans: Iterable[Scan]) -> Iterable[News[Shipment]]:
    """Scans the carrier tells of by itself."""
    yield from _scans(shipment.shipment_id, scans)


def _scans(shipment_id: str, scans: Iterable[Scan]) -> Iterable[News[Shipment]]:
    for one in scans:
        if one.kind == DELIVERED:
            yield RecordDelivery(shipment_id=shipment_id, occurred_at=one.occurred_at)
        elif one.kind == UNDELIVERABLE:
            yield RecordUndeliverable(shipment_id=shipment_id, occurred_at=one.occurred_at, note=one.note)
        else:
            yield RecordScan(shipment_id=shipment_id, occurred_at=one.occurred_at, note=one.note)


ANSWERS: Mapping[type[Effect], Answers] = {BuyLabel: label_answered, VoidLabel: void_answered, Track: track_answered}
