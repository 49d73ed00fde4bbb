"""The quickstart of README.md as a script: stock, one order, its money, and an order that is refused.

Run it: ``python examples/quickstart.py``.  It keeps its shop in ``shop.db``, in the folder you run it
in, anew each time.
"""

from pathlib import Path

from ordermgmt import (
    Line,
    Money,
    OnAccount,
    Order,
    OrderManagement,
    OutOfStock,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Stock,
    Tender,
)
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakeCarrier, FakePayments

Path("shop.db").unlink(missing_ok=True)

shop = OrderManagement(
    storage=SqliteStorage("shop.db"),
    actor="webshop",
    gateways={"card": FakePayments()},
    carriers={"parcel": FakeCarrier()},
)

# Everything is a command.  It changes everything it should, or nothing.
shop.handle(ReceiveStock(sku="mug", location="main", quantity=10))
shop.handle(
    PlaceOrder(
        order_id="A-1",
        lines=[Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))],
        pay=PayNow([Tender("card", token="tok_visa")]),
    )
)
print(f"placed:  {shop.get(Order, 'A-1').payment_status}")

# The gateway is called after the commit, and again with the same key if it breaks.
order = shop.settle("A-1")  # this order's due work now; a worker does everybody's: shop.run_due()
assert order.payment_status == "authorised"
assert shop.get(Stock, ("mug", "main")).available == 8
print(f"settled: {order.status}, {order.payment_status}, {order.fulfilment_status}")

# A rule that says no raises, with the facts attached.
try:
    shop.handle(
        PlaceOrder(
            order_id="A-2",
            lines=[Line(sku="mug", quantity=9, unit_price=Money("9.50", "EUR"))],
            pay=OnAccount(days=30),
        )
    )
except OutOfStock as no:
    assert (no.shortages[0].wanted, no.shortages[0].available) == (9, 8)
    print(f"refused: {no}")

print()
print("What happened to A-1:")
for told in shop.history(Order, "A-1"):
    print(f"  {told.version}. {type(told.event).__name__} ({told.cause} by {told.by})")

shop.close()
