"""Shipments: picking, packing, parcels, and where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import attrs

from ..engine.capability import Capability, Hearing, Rule
from ..engine.lifecycle import Lifecycle
from ..engine.messages import Command
from ..orders.messages import ConfirmOrder
from ..orders.placing import lookups_of_carrier
from ..payments.messages import RecordAuthorisation, RecordSale
from .flow import ANSWERS, REACTIONS, heard
from .lifecycle import SHIPMENT
from .messages import (
    AskLabel,
    BuyLabel,
    CancelShipment,
    CheckShipments,
    HandOverShipment,
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
    Track,
    TrimShipment,
    VoidLabel,
)
from .model import Label, Scan, Shipment
from .rules import (
    EVOLVE,
    Labelled,
    LabelMissing,
    LabelNotNeeded,
    OverPlanned,
    ask_label,
    cancel,
    check,
    deliver,
    fail,
    hand_over,
    pack,
    pick,
    plan,
    probably_behind_it,
    probably_planned_next,
    readdress,
    record_label,
    record_no_label,
    record_no_tracking,
    record_voided,
    rows_of_contents,
    rows_of_plan,
    rows_of_siblings,
    scan,
    trim,
)

_by_id: Callable[[Any], str] = attrgetter("shipment_id")


def _asks(shipment: Shipment, lifecycle: Lifecycle | None) -> Iterable[Command[Any]]:
    for command in (PickShipment, PackShipment, HandOverShipment, AskLabel, CancelShipment):
        yield command(shipment_id=shipment.shipment_id)


shipments = Capability(
    kind="shipment",
    state=Shipment,
    lifecycle=SHIPMENT,
    rules={
        PlanShipment: Rule(
            plan,
            _by_id,
            keys=rows_of_plan,
            lookups=lookups_of_carrier,
            named=lambda command, new_id: (
                command if command.shipment_id else attrs.evolve(command, shipment_id=new_id())
            ),
        ),
        PickShipment: Rule(pick, _by_id, reads=rows_of_contents),
        PackShipment: Rule(pack, _by_id, reads=rows_of_contents),
        HandOverShipment: Rule(hand_over, _by_id, reads=rows_of_contents),
        CancelShipment: Rule(cancel, _by_id, reads=rows_of_contents),
        AskLabel: Rule(ask_label, _by_id),
        TrimShipment: Rule(trim, _by_id, keys=rows_of_siblings),
        ReaddressShipment: Rule(readdress, _by_id),
        CheckShipments: Rule(check, _by_id, keys=rows_of_siblings),
        RecordDelivery: Rule(deliver, _by_id, reads=rows_of_contents),
        RecordUndeliverable: Rule(fail, _by_id, reads=rows_of_contents),
        RecordScan: Rule(scan, _by_id),
        RecordLabel: Rule(record_label, _by_id),
        RecordNoLabel: Rule(record_no_label, _by_id),
        RecordNoTracking: Rule(record_no_tracking, _by_id),
        RecordLabelVoided: Rule(record_voided, _by_id),
    },
    evolve=EVOLVE,
    effects=(BuyLabel, VoidLabel, Track),
    answers=ANSWERS,
    reactions=REACTIONS,
    hints={
        **dict.fromkeys((PickShipment, PackShipment, HandOverShipment, RecordDelivery), probably_behind_it),
        **dict.fromkeys((RecordAuthorisation, RecordSale, ConfirmOrder), probably_planned_next),
    },
    asks={"shipment": _asks},
    hears={"carriers": Hearing("tracking_number", lambda shipment, name: shipment.carrier == name, heard)},
    values=(Scan, Label),
    indexes={
        "status": attrgetter("status"),
        "carrier": lambda shipment: shipment.carrier or None,
        "order": attrgetter("order_id"),
        "tracking_number": lambda shipment: shipment.label.tracking_number if shipment.label else None,
    },
    refusals=(LabelMissing, LabelNotNeeded, Labelled, OverPlanned),
)

__all__ = ["shipments"]
