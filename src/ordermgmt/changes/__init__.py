"""Order changes: what somebody wants to be different about an order, who agrees, and until when."""

from __future__ import annotations

from typing import Any

import attrs

from ..engine.capability import Capability, Rule
from ..orders.amending import lookups_of_amending
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
    RequestOrderChange,
    RevertOrderChange,
)
from .model import OrderChange
from .rules import (
    EVOLVE,
    cancel,
    confirm,
    decline,
    draft,
    drop,
    edit,
    expire,
    request,
    revert,
    rows_of_change,
    rows_of_draft,
)


def _by_id(command: Any) -> str:
    return str(command.change_id)


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
    },
    evolve=EVOLVE,
    reactions=REACTIONS,
    indexes={"status": lambda change: change.status, "order": lambda change: change.order_id},
)

__all__ = ["changes"]
