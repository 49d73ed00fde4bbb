"""What random runs once found, as fixed stories: each was a bug, and must not come back."""

from __future__ import annotations

from ordermgmt import (
    CancelOrder,
    CancelShipment,
    Content,
    Discrepancy,
    GrantCredit,
    HandOverShipment,
    Label,
    Line,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PackShipment,
    PayNow,
    PlaceOrder,
    PlanShipment,
    ReceiveStock,
    RecordDelivery,
    RecordLabel,
    Shipment,
    Tender,
    verify,
)
from ordermgmt.shipments.messages import RecordNoLabel
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


def test_news_that_disagrees_about_a_thing_somebody_disagreed_about_before_is_taken() -> None:
    # The second discrepancy wanted the id of the first, and the store answered Conflict for ever.
    bench = Bench()
    bench.place("A", carrier="parcel")
    bench.shop.settle("A")
    bench.shop.handle(PackShipment(shipment_id="A:s1"))
    bench.shop.handle(RecordNoLabel(shipment_id="A:s1", code="no_such_street"))
    bench.shop.handle(RecordDelivery(shipment_id="A:s1"))
    assert len(bench.shop.find(Discrepancy, about="shipment/A:s1")) == 2


def test_news_whose_effect_no_adapter_can_do_is_kept_with_a_discrepancy() -> None:
    bench = Bench()
    bench.place("A")  # the host delivers itself: there is no carrier that could take a label back
    bench.shop.settle("A")
    bench.shop.handle(CancelOrder(order_id="A"))
    bench.shop.handle(RecordLabel(shipment_id="A:s1", label=Label(tracking_number="stray-1")))
    (told,) = bench.shop.find(Discrepancy, about="shipment/A:s1")
    assert "no carrier" in told.reason


def test_a_label_told_once_more_is_not_bought_once_more() -> None:
    bench = Bench()
    bench.place("A", carrier="parcel")
    bench.shop.settle("A")
    bench.shop.handle(PackShipment(shipment_id="A:s1"))
    bench.shop.settle("A")
    (number,) = bench.carrier.labels
    bench.shop.handle(RecordLabel(shipment_id="A:s1", label=Label(tracking_number=number, reference="by webhook")))
    assert bench.shop.get(Shipment, "A:s1").voided == 0


def test_a_label_that_was_given_back_is_not_given_back_twice() -> None:
    bench = Bench()
    bench.place("A", carrier="parcel")
    bench.shop.settle("A")
    bench.shop.handle(PackShipment(shipment_id="A:s1"))
    bench.shop.settle("A")
    label = bench.shop.get(Shipment, "A:s1").label
    assert label is not None
    bench.shop.handle(CancelShipment(shipment_id="A:s1"))
    bench.shop.handle(RecordLabel(shipment_id="A:s1", label=label))
    bench.shop.settle("A")
    assert bench.carrier.voided == [label.tracking_number]


def test_a_scan_of_a_parcel_that_never_left_moves_no_units_of_another_one() -> None:
    bench = Bench()
    bench.place("A", quantity=2)
    bench.shop.settle("A")
    bench.shop.handle(CancelShipment(shipment_id="A:s1"))
    bench.shop.handle(PlanShipment(shipment_id="A:s2", contents=[Content("A", "1", 2)]))
    bench.shop.handle(HandOverShipment(shipment_id="A:s2"))
    bench.shop.handle(RecordDelivery(shipment_id="A:s1"))
    assert bench.shop.get(Order, "A").fulfilment_status == "shipped"
