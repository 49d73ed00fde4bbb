"""Order changes: what somebody wants to be different about an order, who agrees, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import attrs

from ..engine.capability import Capability, Rule
from ..engine.lifecycle import Lifecycle
from ..engine.messages import Command
from ..orders.amending import lookups_of_amending
from ..orders.asking import one_more
from ..orders.model import Order
from .flow import REACTIONS
from .lifecycle import CHANGE
from .messages import (
    CancelOrderChange,
    ConfirmOrderChange,
    DeclineOrderChange,
    DraftOrderChange,
    DropOrderChange,
    EditOrderChange,
    ExpireOrderChange,
    NoteReverted,
    RequestOrderChange,
    RevertOrderChange,
)
from .model import OrderChange
from .rules import (
    EVOLVE,
    ChangeOver,
    cancel,
    confirm,
    decline,
    draft,
    drop,
    edit,
    expire,
    note_reverted,
    request,
    revert,
    rows_of_change,
    rows_of_draft,
)

_by_id: Callable[[Any], str] = attrgetter("change_id")


def _of_an_order(order: Order, lifecycle: Lifecycle | None) -> Iterable[Command[Any]]:
    yield DraftOrderChange(change_id=f"{order.order_id}:change", order_id=order.order_id, amendment=one_more(order))


def _of_a_change(change: OrderChange, lifecycle: Lifecycle | None) -> Iterable[Command[Any]]:
    commands = (RequestOrderChange, ConfirmOrderChange, DeclineOrderChange, CancelOrderChange, RevertOrderChange)
    for command in commands:
        yield command(change_id=change.change_id)


changes = Capability(
    kind="change",
    state=OrderChange,
    lifecycle=CHANGE,
    rules={
        DraftOrderChange: Rule(
            draft,
            _by_id,
            keys=rows_of_draft,
            lookups=lookups_of_amending,
            named=lambda command, new_id: command if command.change_id else attrs.evolve(command, change_id=new_id()),
        ),
        EditOrderChange: Rule(edit, _by_id, reads=rows_of_change, lookups=lookups_of_amending),
        RequestOrderChange: Rule(request, _by_id),
        ConfirmOrderChange: Rule(confirm, _by_id, reads=rows_of_change),
        DeclineOrderChange: Rule(decline, _by_id, reads=rows_of_change),
        CancelOrderChange: Rule(cancel, _by_id, reads=rows_of_change),
        ExpireOrderChange: Rule(expire, _by_id, reads=rows_of_change),
        DropOrderChange: Rule(drop, _by_id),
        RevertOrderChange: Rule(revert, _by_id, reads=rows_of_change),
        NoteReverted: Rule(note_reverted, _by_id),
    },
    evolve=EVOLVE,
    reactions=REACTIONS,
    indexes={"status": lambda change: change.status, "order": lambda change: change.order_id},
    asks={"order": _of_an_order, "change": _of_a_change},
    refusals=(ChangeOver,),
)

__all__ = ["changes"]
