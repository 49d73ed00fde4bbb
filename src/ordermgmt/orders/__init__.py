"""Orders: the promise to a customer, its units and its money."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ..engine.capability import Capability, Rule
from ..pricing.port import UnknownTaxClass
from . import amending, drafts, goods, holds
from .addresses import BadAddress
from .asking import asks, parts
from .entry import PlaceOrder
from .flow import REACTIONS
from .lifecycle import ORDER, UNIT_ARROWS
from .messages import (
    AdvanceOrder,
    CancelOrder,
    CancelUnits,
    CloseOrder,
    ConfirmOrder,
    ExpireOrder,
    GrantCredit,
    MoveUnits,
    NotePayment,
    NoteShipment,
    OrderPlaced,
    RejectOrder,
)
from .model import Order
from .placing import PaymentMismatch, UnknownSku, evolve_placed, place, rows_of_placing
from .references import references
from .rules import (
    EVOLVE,
    AlreadyShipped,
    NotComplete,
    NotEnoughUnits,
    NotPlaced,
    OverDue,
    advance,
    cancel,
    cancel_units,
    close,
    confirm,
    expire,
    grant_credit,
    move_units,
    note_payment,
    note_shipment,
    reject,
    rows_of_moves,
    rows_of_order,
)
from .statuses import indexed

_by_id: Callable[[Any], str] = attrgetter("order_id")


orders = Capability(
    kind="order",
    state=Order,
    lifecycle=ORDER,
    rules={
        PlaceOrder: Rule(
            place,
            _by_id,
            keys=rows_of_placing,
            lookups=drafts.lookups_of_entry,
            named=drafts.named,
        ),
        ConfirmOrder: Rule(confirm, _by_id),
        CancelOrder: Rule(cancel, _by_id, reads=rows_of_order),
        RejectOrder: Rule(reject, _by_id, reads=rows_of_order),
        ExpireOrder: Rule(expire, _by_id, reads=rows_of_order),
        CloseOrder: Rule(close, _by_id),
        AdvanceOrder: Rule(advance, _by_id),
        CancelUnits: Rule(cancel_units, _by_id, reads=rows_of_order),
        MoveUnits: Rule(move_units, _by_id, reads=rows_of_moves),
        GrantCredit: Rule(grant_credit, _by_id, reads=rows_of_order),
        NotePayment: Rule(note_payment, _by_id),
        NoteShipment: Rule(note_shipment, _by_id),
        **holds.RULES,
        **drafts.RULES,
        **amending.RULES,
        **goods.RULES,
    },
    evolve={OrderPlaced: evolve_placed, **EVOLVE, **holds.EVOLVE, **drafts.EVOLVE, **amending.EVOLVE, **goods.EVOLVE},
    reactions=REACTIONS,
    indexes={
        "status": lambda order: order.status,
        "payment_status": lambda order: order.payment_status,
        "fulfilment_status": lambda order: order.fulfilment_status,
        "return_status": lambda order: order.return_status,
        "complete": lambda order: "yes" if order.complete else "no",
        "exception": lambda order: "yes" if order.exception else None,
        "on_hold": lambda order: "yes" if order.holds else None,
        "channel": lambda order: order.channel,
        "customer": lambda order: order.customer or None,
        "reference": lambda order: order.reference or None,
        "external": lambda order: order.external or None,
    },
    index_all=indexed,
    asks={"order": asks},
    parts=parts,
    refusals=(
        UnknownSku,
        PaymentMismatch,
        AlreadyShipped,
        NotEnoughUnits,
        NotComplete,
        OverDue,
        NotPlaced,
        BadAddress,
        UnknownTaxClass,
        *holds.REFUSALS,
        *drafts.REFUSALS,
        *amending.REFUSALS,
        *goods.REFUSALS,
    ),
)

__all__ = ["UNIT_ARROWS", "orders", "references"]
