"""Refunds: what we owe the customer, and have paid back."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs

from ..engine.capability import Capability, Rule
from ..engine.messages import Key
from ..orders.messages import order_key
from .flow import ANSWERS, REACTIONS
from .lifecycle import REFUND
from .messages import RecordRefundFailed, RecordRefundSent, RecordRefundSucceeded, RequestRefund, SendRefund
from .model import Refund
from .rules import EVOLVE, NothingOwed, fail, request, rows_of_request, sent, succeed

_by_id: Callable[[Any], str] = attrgetter("refund_id")


def _with_order(command: Any) -> tuple[Key, ...]:
    return (order_key(command.order_id),)


refunds = Capability(
    kind="refund",
    state=Refund,
    lifecycle=REFUND,
    rules={
        RequestRefund: Rule(
            request,
            _by_id,
            keys=rows_of_request,
            named=lambda command, new_id: command if command.refund_id else attrs.evolve(command, refund_id=new_id()),
        ),
        RecordRefundSent: Rule(sent, _by_id, keys=_with_order),
        RecordRefundSucceeded: Rule(succeed, _by_id, keys=_with_order),
        RecordRefundFailed: Rule(fail, _by_id, keys=_with_order),
    },
    evolve=EVOLVE,
    effects=(SendRefund,),
    answers=ANSWERS,
    reactions=REACTIONS,
    indexes={"status": attrgetter("status"), "order": attrgetter("order_id")},
    refusals=(NothingOwed,),
)

__all__ = ["refunds"]
