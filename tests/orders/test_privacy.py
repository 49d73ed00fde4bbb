"""What is about a person, or lets somebody take money, stands in no `repr` and in no refusal."""

from __future__ import annotations

from typing import Any

import pytest

from ordermgmt import (
    AddNote,
    Address,
    InvalidInput,
    OrderManagement,
    Payment,
    PayNow,
    PlaceOrder,
    Tender,
)
from ordermgmt.payments.messages import RequestPayment
from tests.stories import ANN, eur, line, paid_for


def test_a_command_shows_neither_addresses_nor_tokens(shop: OrderManagement) -> None:
    command = PlaceOrder(
        order_id="A", lines=[line("mug", 1)], pay=PayNow([Tender("card", token="tok_4711")]), ship_to=ANN, bill_to=ANN
    )
    asking = RequestPayment(payment_id="A:1", order_id="A", gateway="card", token="tok_4711", amount=eur("1.00"))
    order = paid_for(shop, "B", ship_to=ANN)
    for told in (command, asking, order, shop.get(Payment, "B:1"), AddNote(order_id="A", text="Ann Nym is deaf")):
        assert not {word for word in ("tok_", ANN.name, ANN.street, "deaf") if word in repr(told)}
    assert repr(ANN) == "Address(<personal>)"


@pytest.mark.parametrize(
    "make",
    [
        lambda wrong: Tender("card", token=wrong),
        lambda wrong: Address(name=wrong, street="x", city="y", country="GB"),
        lambda wrong: Address(name="x", street=wrong, city="y", country="GB"),
        lambda wrong: Address(name="x", street="x", city="y", country="GB", email=wrong),
        lambda wrong: AddNote(order_id="A", text=wrong),
    ],
)
@pytest.mark.parametrize("wrong", ["s3cret ", "s3cret\x00", ["s3cret"], b"s3cret"])
def test_a_refusal_does_not_repeat_them(make: Any, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        make(wrong)
    assert "s3cret" not in str(told.value)


def test_a_refusal_of_what_is_no_command_does_not_repeat_it(shop: OrderManagement) -> None:
    with pytest.raises(InvalidInput) as told:
        shop.handle(ANN)  # type: ignore[arg-type]  # a mistake
    assert ANN.name not in str(told.value)
