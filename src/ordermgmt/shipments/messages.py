"""Words about parcels: planned, packed, labelled, handed over, tracked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar

from attrs import field
from attrs.validators import optional
from pendulum import DateTime

from ..engine.instants import check_instant
from ..engine.messages import (
    PERSONAL,
    Command,
    Effect,
    Event,
    Key,
    News,
    Personal,
    check_id,
    check_text,
    checked_choice,
    checked_id,
    checked_note,
    checked_text,
    is_listed,
)
from ..errors import InvalidInput
from ..money import check_quantity
from ..orders.model import LINES_MAX, Address
from ..values import frozen
from .model import IN_TRANSIT, Content, Label, Scan, Shipment

URL_MAX = 2_000


def shipment_key(shipment_id: str) -> Key:
    """The key of a shipment."""
    return ("shipment", shipment_id)


def _content(given: Any) -> Content:
    match given:
        case Content():
            content = given
        case (order_id, line_id, quantity):
            content = Content(order_id, line_id, quantity)
        case _:
            raise InvalidInput(f"contents must hold Content(order_id, line_id, quantity) (got {type(given).__name__})")
    check_id(content.order_id, "order_id")
    check_id(content.line_id, "line_id")
    check_quantity(content.quantity)
    return content


def _contents(contents: Iterable[Any]) -> tuple[Content, ...]:
    if not is_listed(contents):
        raise InvalidInput("contents must be a list of Content(order_id, line_id, quantity)")
    several = tuple(map(_content, islice(contents, LINES_MAX + 1)))
    if not several:
        raise InvalidInput("a parcel needs contents")
    if len(several) > LINES_MAX:
        raise InvalidInput(f"a parcel has at most {LINES_MAX} contents (got more)")
    if len({(c.order_id, c.line_id) for c in several}) != len(several):
        raise InvalidInput("a line stands twice in the contents; add the quantities up")
    return several


def _parcels(ids: Iterable[str]) -> tuple[str, ...]:
    if not is_listed(ids):
        raise InvalidInput("beside must be a list of shipment ids")
    several = tuple(islice(ids, LINES_MAX + 1))
    if len(several) > LINES_MAX:
        raise InvalidInput(f"at most {LINES_MAX} parcels can lie beside one (got more)")
    for id in several:
        check_id(id, "a shipment id in beside")
    return several


def _checked_label(_instance: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, Label):
        raise InvalidInput(f"{attribute.name} must be a Label (got {type(value).__name__})")
    check_text(value.tracking_number, "tracking_number")
    check_text(value.tracking_url, "tracking_url", longest=URL_MAX, empty=True)
    check_text(value.reference, "reference", empty=True)


def _checked_address(_instance: object, attribute: Any, value: Any) -> None:
    match value:
        case Address() | Personal(subject=str(), ref=str(), value=Address() | None):
            pass
        case _:
            raise InvalidInput(f"{attribute.name} must be an Address (got {type(value).__name__})")


def _occurred(at: datetime | None) -> DateTime | None:
    return None if at is None else check_instant(at, "occurred_at")


# Commands.


@frozen(kw_only=True)
class PlanShipment(Command[Shipment]):
    """Plan a parcel: reserved units of one or several orders that will go out together.

    Refused with `OverPlanned`, and with `NotFound` for a carrier that the shop does not have, though it has others.
    """

    shipment_id: str | None = field(default=None, validator=optional(checked_id))
    contents: tuple[Content, ...] = field(converter=_contents)
    carrier: str = field(default="", validator=checked_note)
    location: str = field(default="main", validator=checked_id)
    ship_to: Address | Personal[Address] | None = field(
        default=None, validator=optional(_checked_address), metadata=PERSONAL
    )
    """By default the address of the first order in it."""
    consignment_id: str = field(default="", validator=checked_note)
    beside: tuple[str, ...] = field(default=(), converter=_parcels)
    """Parcels whose units it leaves to them: it is what is reserved for none yet.  Told by the flow."""


@frozen(kw_only=True)
class ShipmentCommand(Command[Shipment]):
    """What is asked of one parcel."""

    shipment_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class PickShipment(ShipmentCommand):
    """Its units are taken from the shelf."""


@frozen(kw_only=True)
class PackShipment(ShipmentCommand):
    """Its units are in the box (picked first, if they were not); with a carrier, a label is bought."""


@frozen(kw_only=True)
class AskLabel(ShipmentCommand):
    """Buy a label for a packed parcel that has none: after the carrier declined, or a new carrier was set."""


@frozen(kw_only=True)
class HandOverShipment(ShipmentCommand):
    """The parcel leaves the house: stock is issued, and the shares it carries are captured.

    Refused with `LabelMissing` while its carrier has not sold a label.
    """

    occurred_at: DateTime | None = field(default=None, converter=_occurred)


@frozen(kw_only=True)
class CancelShipment(ShipmentCommand):
    """The parcel will not go out; its units stand reserved again, and a label is voided."""


@frozen(kw_only=True)
class TrimShipment(ShipmentCommand):
    """Units of an order are not wanted any more: take out what the order no longer has.  Made by the flow."""

    order_id: str
    shipments: tuple[str, ...]
    """All parcels of the order."""


@frozen(kw_only=True)
class ReaddressShipment(ShipmentCommand):
    """Its order goes somewhere else.  Made by the flow; refused with `Labelled` once a label was asked for."""

    order_id: str
    ship_to: Personal[Address] | None


@frozen(kw_only=True)
class CheckShipments(ShipmentCommand):
    """Refuse a plan that promises more than the order has reserved.  Made by the flow."""

    order_id: str
    shipments: tuple[str, ...]


# News.


@frozen(kw_only=True)
class ShipmentNews(News[Shipment]):
    """What a carrier reports of one parcel."""

    shipment_id: str = field(validator=checked_id)


@frozen(kw_only=True)
class RecordDelivery(ShipmentNews):
    """The parcel has arrived."""

    occurred_at: DateTime | None = field(default=None, converter=_occurred)


@frozen(kw_only=True)
class RecordUndeliverable(ShipmentNews):
    """The parcel will not arrive: it was lost, refused, or went back to the sender."""

    occurred_at: DateTime | None = field(default=None, converter=_occurred)
    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RecordScan(ShipmentNews):
    """The parcel was seen on its way."""

    occurred_at: DateTime | None = field(default=None, converter=_occurred)
    kind: str = field(default=IN_TRANSIT, validator=checked_choice(IN_TRANSIT))
    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RecordLabel(ShipmentNews):
    """The carrier has sold a label."""

    label: Label = field(validator=_checked_label)


@frozen(kw_only=True)
class RecordNoLabel(ShipmentNews):
    """The carrier has said no to a label."""

    code: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RecordNoTracking(ShipmentNews):
    """The carrier will not say where the parcel is."""

    code: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class RecordLabelVoided(ShipmentNews):
    """The carrier has taken a label back, or refused to."""

    tracking_number: str = field(validator=checked_text)
    refused: str = field(default="", validator=checked_note)


# Events.


@frozen(kw_only=True)
class ShipmentPlanned(Event):
    """A parcel is to go out."""

    shipment_id: str
    contents: tuple[Content, ...]
    carrier: str
    location: str
    ship_to: Personal[Address] | None
    consignment_id: str


@frozen(kw_only=True)
class ShipmentStep(Event):
    """A step of the parcel through the house."""

    walks: tuple[str, ...]
    """The unit arrows its contents walk with it; a step taken together with the next one walks none itself."""


@frozen(kw_only=True)
class ShipmentPicked(ShipmentStep):
    """Its units are off the shelf."""

    trigger: ClassVar[str | None] = "pick"


@frozen(kw_only=True)
class ShipmentPacked(ShipmentStep):
    """Its units are in the box."""

    trigger: ClassVar[str | None] = "pack"


@frozen(kw_only=True)
class ShipmentHandedOver(ShipmentStep):
    """It has left the house."""

    trigger: ClassVar[str | None] = "hand_over"
    occurred_at: DateTime


@frozen(kw_only=True)
class ShipmentDelivered(Event):
    """The parcel has arrived."""

    trigger: ClassVar[str | None] = "deliver"
    occurred_at: DateTime
    stage: str = ""
    """The status it came out of, in which its units stand."""


@frozen(kw_only=True)
class ShipmentUndeliverable(Event):
    """It will not arrive."""

    trigger: ClassVar[str | None] = "fail"
    occurred_at: DateTime
    note: str
    stage: str = ""
    """The status it came out of, in which its units stand."""


@frozen(kw_only=True)
class ShipmentCancelled(Event):
    """It will not go out."""

    trigger: ClassVar[str | None] = "cancel"
    contents: tuple[Content, ...]
    """What was still in it and goes back to the shelf."""
    stage: str
    """The status it was cancelled in."""


@frozen(kw_only=True)
class ShipmentTrimmed(Event):
    """Units that are not wanted any more were taken out."""

    removed: tuple[Content, ...]


@frozen(kw_only=True)
class ShipmentReaddressed(Event):
    """It goes somewhere else."""

    ship_to: Personal[Address] | None


@frozen(kw_only=True)
class LabelAsked(Event):
    """A label is to be bought."""

    number: int


@frozen(kw_only=True)
class LabelBought(Event):
    """It has a label."""

    label: Label


@frozen(kw_only=True)
class LabelDeclined(Event):
    """The carrier sold no label."""

    code: str


@frozen(kw_only=True)
class TrackingDeclined(Event):
    """The carrier does not tell where it is."""

    code: str


@frozen(kw_only=True)
class LabelVoidAsked(Event):
    """A label is not needed any more."""

    label: Label
    number: int


@frozen(kw_only=True)
class LabelVoided(Event):
    """The carrier has taken a label back, or refused to."""

    tracking_number: str
    refused: str


@frozen(kw_only=True)
class ScanRecorded(Event):
    """The carrier saw it."""

    scan: Scan


# Effects.


@frozen(kw_only=True)
class CarrierEffect(Effect):
    """A request to a carrier about one parcel."""

    shipment_id: str
    order_id: str
    """The first order in it, for `settle`."""
    carrier: str
    number: int

    @property
    def port(self) -> tuple[str, str]:
        return ("carriers", self.carrier)

    @property
    def lane(self) -> str:
        return f"shipment/{self.shipment_id}"

    @property
    def group(self) -> str:
        return self.order_id


@frozen(kw_only=True)
class BuyLabel(CarrierEffect):
    """Buy a label.  Succeeds with a `Label`."""

    contents: tuple[Content, ...]
    ship_to: Personal[Address] | None

    @property
    def effect_id(self) -> str:
        return f"shipment.{self.shipment_id}.{self.number:06d}.label"


@frozen(kw_only=True)
class VoidLabel(CarrierEffect):
    """Give a label back.  Succeeds with anything."""

    label: Label

    @property
    def effect_id(self) -> str:
        return f"shipment.{self.shipment_id}.{self.number:06d}.void"


@frozen(kw_only=True)
class Track(CarrierEffect):
    """Ask where a parcel is.  Answers with a tuple of `Scan`: `Succeeded` once it came to an end, else `Pending`."""

    only_asks: ClassVar[bool] = True

    tracking_number: str

    @property
    def effect_id(self) -> str:
        return f"track.{self.shipment_id}.{self.number:06d}"

    @property
    def lane(self) -> str:
        # A lane of its own: asking where it is takes days and must not hold up anything else.
        return f"track/{self.shipment_id}"
