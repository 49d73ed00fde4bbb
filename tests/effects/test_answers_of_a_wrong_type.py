"""An adapter that answers an outcome with a field of a wrong type: nobody knows what it means, and the worker lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import (
    Declined,
    GatewayCapabilities,
    Intent,
    Line,
    Money,
    OrderManagement,
    Outcome,
    PayNow,
    Pending,
    PlaceOrder,
    ReceiveStock,
    RetryLater,
    Succeeded,
    Tender,
    Unknown,
)
from ordermgmt.storage import MemoryStorage

WRONG: list[Any] = [
    RetryLater(5),  # type: ignore[arg-type]  # seconds, as somebody may think
    Pending("x", again_after=5),  # type: ignore[arg-type]
    Pending("x", again_after=timedelta.max),
    Pending(5),  # type: ignore[arg-type]
    Unknown(None),  # type: ignore[arg-type]
    Declined(402),  # type: ignore[arg-type]
    Declined("declined", 402),  # type: ignore[arg-type]
    Succeeded((), 17),  # type: ignore[arg-type]
]


class Sloppy:
    """An adapter that always answers the same."""

    capabilities = GatewayCapabilities()

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Outcome:
        answer: Outcome = self.answer
        return answer

    lookup = execute  # it declares none, so nobody asks


def asked(answer: Any) -> Intent:
    """What becomes of an authorisation that is answered so."""
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": Sloppy(answer)})
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    line = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A-1", lines=[line], pay=PayNow([Tender("card", token="tok")])))
    shop.run_due()
    (intent,) = shop.find(Intent)
    return intent


@pytest.mark.parametrize("answer", WRONG, ids=repr)
def test_an_answer_with_a_field_of_a_wrong_type_is_unknown_and_named(answer: Any) -> None:
    intent = asked(answer)
    assert intent.status == "unknown"
    assert intent.reason == f"the adapter answered {type(answer).__name__} with a field of a wrong type"


def test_a_page_of_a_servers_words_is_not_kept_as_a_cause() -> None:
    intent = asked(Unknown("<html>" + "x" * 1_000_000))
    assert intent.reason.startswith("<html>xxx")
    assert len(intent.reason) <= 501
