"""What random runs once found, as fixed stories: each was a bug, and must not come back."""

from __future__ import annotations

from ordermgmt import (
    CancelOrder,
    GrantCredit,
    Line,
    ManualClock,
    Money,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Tender,
    verify,
)
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakeCarrier, FakePayments


class Bench:
    """A shop with ten cups, a card provider and a carrier."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.card = FakePayments(clock=self.clock)
        self.carrier = FakeCarrier(clock=self.clock)
        self.shop = OrderManagement(
            storage=MemoryStorage(),
            gateways={"card": self.card},
            carriers={"parcel": self.carrier},
            clock=self.clock,
        )
        self.shop.handle(ReceiveStock(sku="cup", quantity=10))

    def place(self, order_id: str, *, quantity: int = 2, sale: bool = False, carrier: str = "") -> None:
        self.shop.handle(
            PlaceOrder(
                order_id=order_id,
                lines=[Line(sku="cup", quantity=quantity, unit_price=Money("10.00", "EUR"))],
                pay=PayNow([Tender("card", token="tok_visa", sale=sale)]),
                carrier=carrier,
            )
        )


def test_an_order_cancelled_after_a_credit_is_not_overpaid_by_nothing() -> None:
    bench = Bench()
    bench.place("A", sale=True)
    bench.shop.settle("A")
    bench.shop.handle(GrantCredit(order_id="A", amount=Money("5.00", "EUR")))
    bench.shop.settle("A")
    bench.shop.handle(CancelOrder(order_id="A"))
    order = bench.shop.settle("A")
    assert bench.card.accounts["A:1"].kept == 0
    assert (order.due, order.payment_status) == (Money("0.00", "EUR"), "refunded")
    verify.check_all(bench.shop).require()
