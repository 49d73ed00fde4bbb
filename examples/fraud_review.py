"""A host that redraws the life of its orders: whatever looks risky is reviewed by a person before it is confirmed.

Shown here: a lifecycle redrawn as a value, steps of the host's own (`AdvanceOrder`), a rule of the host's own (a
policy), a reaction, and a port of the host's own (mail) that is asked exactly once, like payments and carriers.

Run it: ``python examples/fraud_review.py``.
"""

from collections.abc import Iterable
from datetime import timedelta

from attrs import define, frozen
from pendulum import DateTime

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    AdvanceOrder,
    Capabilities,
    Command,
    Effect,
    Line,
    Money,
    NamedPolicy,
    NotThere,
    Order,
    OrderManagement,
    Outcome,
    PackShipment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Refused,
    RejectOrder,
    Seen,
    Succeeded,
    Tender,
    on,
    orders,
)
from ordermgmt.drawing import mermaid
from ordermgmt.orders.lifecycle import ORDER
from ordermgmt.orders.messages import OrderAdvanced, OrderPlaced
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments

RISKY_ABOVE = Money("200.00", "EUR")


# The drawing.  Every order is screened; what passes may be confirmed as before, by the same policy.

SCREENED = ORDER.redrawn(
    remove=[("placed", "confirm")],
    add=[
        ("placed", "hold_back", "fraud_review"),
        ("placed", "wave_through", "cleared"),
        ("fraud_review", "clear", "cleared"),
        ("fraud_review", "reject", "rejected"),
        ("fraud_review", "cancel", "cancelled"),
        ("cleared", "confirm", "confirmed"),
        ("cleared", "cancel", "cancelled"),
    ],
)


# What follows what.


def screen(event: OrderPlaced, order: Order) -> Iterable[AdvanceOrder]:
    step = "hold_back" if order.total > RISKY_ABOVE else "wave_through"
    yield AdvanceOrder(order_id=order.order_id, step=step)


@frozen(kw_only=True)
class SendMail(Effect):
    """Tell somebody something by mail."""

    order_id: str
    to: str
    subject: str

    @property
    def port(self) -> tuple[str, str]:
        return ("ports", "mail")

    @property
    def effect_id(self) -> str:
        return f"mail.{self.order_id}.{self.to}"

    @property
    def lane(self) -> str:
        return f"mail/{self.order_id}"

    @property
    def group(self) -> str:
        return self.order_id


def call_a_reviewer(event: OrderAdvanced, order: Order) -> Iterable[SendMail]:
    if event.step == "hold_back":
        yield SendMail(order_id=order.order_id, to="fraud@shop.example", subject=f"{order.order_id}: {order.total}")


# The host's own rule.


@define
class NoteMissing(Refused):
    """Whoever clears an order says what was checked."""

    order_id: str

    @property
    def message(self) -> str:
        return f"order {self.order_id} is not cleared without a note; say what was checked"


def say_what_was_checked(command: Command[object], state: object, seen: Seen, at: DateTime) -> Refused | None:
    if isinstance(command, AdvanceOrder) and command.step == "clear" and not command.note:
        return NoteMissing(command.order_id)
    return None


# The host's own port.


class Mail:
    """A mail server that keeps a copy of everything under its message id, and so can be asked and told twice."""

    capabilities = Capabilities(idempotency="key", lookup=True)

    def __init__(self) -> None:
        self.sent: dict[str, SendMail] = {}

    def execute(self, request: SendMail, *, key: str, deadline: timedelta) -> Outcome:
        self.sent[key] = request
        return Succeeded(reference=key)

    def lookup(self, request: SendMail, *, key: str, deadline: timedelta) -> Outcome | NotThere:
        return Succeeded(reference=key) if key in self.sent else NotThere()


mail = Mail()
screened_orders = orders.redrawn(SCREENED).performing(SendMail)
shop = OrderManagement(
    storage=MemoryStorage(),
    actor="webshop",
    gateways={"card": FakePayments()},
    ports={"mail": mail},
    capabilities=[screened_orders if capability is orders else capability for capability in DEFAULT_CAPABILITIES],
    reactions=[*on(OrderPlaced, screen), *on(OrderAdvanced, call_a_reviewer)],
    policies=[NamedPolicy("clearing needs a note", say_what_was_checked, refusals=(NoteMissing,))],
)


def buy(order_id: str, quantity: int) -> Order:
    shop.handle(
        PlaceOrder(
            order_id=order_id,
            lines=[Line(sku="lamp", quantity=quantity, unit_price=Money("49.00", "EUR"))],
            pay=PayNow([Tender("card", token="tok_visa")]),
        )
    )
    return shop.settle(order_id)


def main() -> None:
    print(mermaid(SCREENED))
    shop.handle(ReceiveStock(sku="lamp", quantity=100))

    # A small order does not notice anything.
    assert buy("S-1", 1).status == "confirmed"

    # Two large ones wait for a person, with their goods set aside and their money authorised.
    for order_id in ("L-1", "L-2"):
        order = buy(order_id, 10)
        assert (order.status, order.payment_status) == ("fraud_review", "authorised")
    waiting = shop.find(Order, status="fraud_review")
    print("waiting for review:", ", ".join(order.order_id for order in waiting))
    assert [request.subject for request in mail.sent.values()] == ["L-1: 490.00 EUR", "L-2: 490.00 EUR"]

    # One is cleared, but not without saying why.
    try:
        shop.handle(AdvanceOrder(order_id="L-1", step="clear"), by="ruth")
    except NoteMissing as no:
        print("refused:", no)
    order = shop.handle(AdvanceOrder(order_id="L-1", step="clear", note="called the customer"), by="ruth")
    assert order.status == "confirmed"  # the money is there, so it goes straight on
    shop.handle(PackShipment(shipment_id="L-1:s1"))

    # The other is turned down: goods go back, and the authorisation is given up.
    shop.handle(RejectOrder(order_id="L-2", reason="stolen card"), by="ruth")
    order = shop.settle("L-2")
    assert (order.status, order.payment_status) == ("rejected", "not_due")

    for order_id in ("L-1", "L-2"):
        path = [told for told in shop.history(Order, order_id) if told.event.status]
        print(f"{order_id}: " + ", ".join(f"{told.event.status} (by {told.by})" for told in path))


if __name__ == "__main__":
    main()
