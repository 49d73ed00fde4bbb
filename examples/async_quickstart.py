"""The quickstart on asyncio: the gateway is awaited, the carrier blocks, and no line of the business is written twice.

Run it: ``python examples/async_quickstart.py``.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from ordermgmt import (
    AsyncOrderManagement,
    CannotTell,
    GatewayCapabilities,
    HandOverShipment,
    Line,
    Money,
    NotThere,
    OnAccount,
    Outcome,
    OutOfStock,
    PackShipment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Stock,
    Tender,
)
from ordermgmt.payments.messages import PaymentEffect
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments


class AwaitedPayments:
    """A gateway as an asyncio host writes it: its HTTP client is awaited.  Here a fake stands for the provider."""

    capabilities = GatewayCapabilities(idempotency="key", lookup=True)

    def __init__(self) -> None:
        self.provider = FakePayments()

    async def execute(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome:
        await asyncio.sleep(0.01)  # the way to the provider and back
        return self.provider.execute(request, key=key, deadline=deadline)

    async def lookup(self, request: PaymentEffect, *, key: str, deadline: timedelta) -> Outcome | NotThere | CannotTell:
        await asyncio.sleep(0.01)
        return self.provider.lookup(request, key=key, deadline=deadline)


async def main() -> None:
    payments = AwaitedPayments()
    shop = AsyncOrderManagement(
        storage=SqliteStorage("shop.db"),  # blocks, so it works in a thread of its own
        actor="webshop",
        gateways={"card": payments},
        carriers={"parcel": FakeCarrier()},
    )
    async with shop:
        await shop.handle(ReceiveStock(sku="mug", location="main", quantity=10))

        # Two customers at once.
        orders = ["A-1", "A-2"]
        await asyncio.gather(*(shop.handle(two_mugs(order_id)) for order_id in orders))
        for order in await asyncio.gather(*map(shop.settle, orders)):
            assert order.payment_status == "authorised"
        assert (await shop.get(Stock, ("mug", "main"))).available == 6

        # Out of the house: the carrier sells a label, and what was authorised is captured.
        await shop.handle(PackShipment(shipment_id="A-1:s1"))
        await shop.settle("A-1")
        await shop.handle(HandOverShipment(shipment_id="A-1:s1"))
        order = await shop.settle("A-1")
        assert (order.payment_status, order.fulfilment_status) == ("paid", "shipped")
        print(f"A-1 is {order.payment_status} and {order.fulfilment_status}")

        try:
            nine = Line(sku="mug", quantity=9, unit_price=Money("9.50", "EUR"))
            await shop.handle(PlaceOrder(order_id="A-3", lines=[nine], pay=OnAccount(days=30)))
        except OutOfStock as no:
            print(f"A-3 was refused: {no}")

    assert payments.provider.asked_twice == []
    print(f"the provider was asked {len(payments.provider.requests)} times and captured {payments.provider.captured}")


def two_mugs(order_id: str) -> PlaceOrder:
    return PlaceOrder(
        order_id=order_id,
        lines=[Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))],
        pay=PayNow([Tender("card", token="tok_visa")]),
        carrier="parcel",
    )


if __name__ == "__main__":
    Path("shop.db").unlink(missing_ok=True)
    asyncio.run(main())
