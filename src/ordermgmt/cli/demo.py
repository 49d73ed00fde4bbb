"""A shop to look at: three orders, from entry to their end, in one SQLite file.

The clock is moved by hand, so that a week passes in a moment; everything else is as in a real shop.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pendulum

from ..engine.discrepancies import Discrepancy
from ..engine.messages import counted
from ..engine.ports import ManualClock
from ..errors import Misconfigured
from ..management import OrderManagement
from ..money import Money
from ..orders.entry import Line, PayNow, PlaceOrder, Tender
from ..orders.messages import CancelOrder, GrantCredit
from ..orders.model import Address
from ..shipments.messages import HandOverShipment, PackShipment
from ..stock.messages import ReceiveStock
from ..stock.model import Stock
from ..testing import FakeCarrier, FakePayments
from .stores import SCHEMA, is_url, made, shown, version_of
from .terminal import Paper, table
from .track import print_order

MUG, TEAPOT = "mug", "teapot"
RECEIVED = {MUG: 12, TEAPOT: 4}

ANN = Address(name="Ann Keller", street="Torstr. 1", city="Berlin", postal_code="10119", country="DE")
BEN = Address(name="Ben Okoro", street="12 Mill Lane", city="Leeds", postal_code="LS1 4AB", country="GB")
CLEO = Address(name="Cleo Marin", street="4 rue des Lilas", city="Lyon", postal_code="69003", country="FR")


def demo(paper: Paper, db: str | None, schema: str) -> None:
    """Play it and tell it.  Without a place to keep it, the shop is gone afterwards."""
    if db is not None:
        if Path(db).exists():
            raise Misconfigured(f"{db} exists already; name a new file to keep the demo's shop in")
        if is_url(db) and version_of(db, schema):
            raise Misconfigured(f"there is a shop in the schema {schema} already; name a new one (--schema)")
        _play_and_tell(paper, db, schema)
        of = f" --schema {schema}" if schema != SCHEMA else ""
        paper.line(f"The shop is kept: python -m ordermgmt track A-1 --db {shown(db)}{of}")
        return
    with TemporaryDirectory(prefix="ordermgmt-demo-") as folder:
        _play_and_tell(paper, str(Path(folder) / "shop.db"), schema)
    paper.line("The shop is gone; `demo --db FILE` keeps it, `track A-1 --db FILE` then looks into it.")


def _play_and_tell(paper: Paper, db: str, schema: str) -> None:
    began = time.perf_counter()
    clock = ManualClock(pendulum.datetime(2026, 3, 2, 8, 30))
    payments, post = FakePayments(clock=clock), FakeCarrier(clock=clock, prefix="POST")
    shop = OrderManagement(
        storage=made(db, schema), actor="shop", clock=clock, gateways={"card": payments}, carriers={"post": post}
    )
    with shop:
        _play(shop, clock, post)
        _tell(paper, shop, payments, time.perf_counter() - began)


# What happens.


def _play(shop: OrderManagement, clock: ManualClock, post: FakeCarrier) -> None:
    for sku, quantity in RECEIVED.items():
        shop.handle(ReceiveStock(sku=sku, quantity=quantity, reference="delivery 17"), by="warehouse")

    _order(shop, clock, "A-1", ANN, "Ann", mugs=2, teapots=1)
    clock.advance(minutes=48)
    _order(shop, clock, "A-2", BEN, "Ben", mugs=3)
    clock.advance(minutes=22)
    shop.handle(CancelOrder(order_id="A-2", reason="ordered the wrong colour"), by="Ben")
    clock.advance(minutes=1)
    shop.settle("A-2")
    clock.advance(minutes=35)
    _order(shop, clock, "A-3", CLEO, "Cleo", mugs=4)

    clock.set(pendulum.datetime(2026, 3, 2, 14, 10))
    for order_id in ("A-1", "A-3"):
        _send(shop, clock, order_id)

    clock.set(pendulum.datetime(2026, 3, 3, 5, 40))
    for tracking_number in post.labels:
        post.scan(tracking_number, "sorting centre")
    shop.run_due()
    clock.set(pendulum.datetime(2026, 3, 4, 11, 52))
    for tracking_number in post.labels:
        post.deliver(tracking_number)
    shop.run_due()

    clock.set(pendulum.datetime(2026, 3, 5, 9, 5))
    shop.handle(GrantCredit(order_id="A-3", amount=Money("6.00", "EUR"), reason="a chipped handle"), by="support")
    clock.advance(minutes=1)
    shop.settle("A-3")


def _order(
    shop: OrderManagement, clock: ManualClock, order_id: str, to: Address, who: str, *, mugs: int, teapots: int = 0
) -> None:
    lines = [Line(sku=MUG, quantity=mugs, unit_price=Money("9.50", "EUR"))]
    if teapots:
        lines.append(Line(sku=TEAPOT, quantity=teapots, unit_price=Money("34.00", "EUR")))
    clock.advance(minutes=5)
    shop.handle(
        PlaceOrder(
            order_id=order_id,
            lines=lines,
            shipping=Money("4.90", "EUR"),
            pay=PayNow([Tender("card", token="tok_visa")]),  # noqa: S106 - a provider's test token
            ship_to=to,
            carrier="post",
        ),
        by=who,
    )
    # The provider answers a moment later; a worker's `run_due` would do this for everybody.
    clock.advance(minutes=1)
    shop.settle(order_id)


def _send(shop: OrderManagement, clock: ManualClock, order_id: str) -> None:
    """Pack it, buy its label, hand it over."""
    parcel = f"{order_id}:s1"
    shop.handle(PackShipment(shipment_id=parcel), by="warehouse")
    clock.advance(minutes=1)
    shop.settle(order_id)
    clock.advance(minutes=50)
    shop.handle(HandOverShipment(shipment_id=parcel), by="warehouse")
    clock.advance(minutes=1)
    shop.settle(order_id)


# How it is told.


def _tell(paper: Paper, shop: OrderManagement, payments: FakePayments, seconds: float) -> None:
    paper.line()
    paper.line("A week of a small shop that sells mugs: three orders, told from what was recorded of them.")
    paper.line("What is decided together is saved together; what is asked of others is sent after that, once.")
    paper.line()
    print_order(paper, shop, "A-1", "from entry to delivery")
    paper.line()
    print_order(paper, shop, "A-2", "cancelled while the money was only set aside")
    paper.line()
    print_order(paper, shop, "A-3", "delivered, and some of the money given back")
    paper.line()
    _tell_stock(paper, shop)
    paper.line()
    events, last = 0, 0
    while page := shop.feed(last):
        events, last = events + len(page), page[-1].position
    kept = Money.of_minor(sum(account.kept for account in payments.accounts.values()), "EUR")
    paper.line(
        f"3 orders, {counted(events, 'event')}. {counted(len(payments.requests), 'request')} to the card provider, "
        f"{len(payments.asked_twice)} executed twice; it holds {kept} for us."
    )
    discrepancies = len(shop.find(Discrepancy, status="open"))
    paper.line(
        f"{counted(discrepancies, 'discrepancy', 'discrepancies')}. Played, and saved in SQLite, in {seconds:.2f} s."
    )


def _tell_stock(paper: Paper, shop: OrderManagement) -> None:
    paper.title("Stock", "what is on the shelf, and what of it is promised")
    rows: list[tuple[str, ...]] = [("", "received", "sent out", "on hand", "reserved", "available")]
    for sku, received in RECEIVED.items():
        stock = shop.get(Stock, (sku, "main"))
        numbers = (received, received - stock.on_hand, stock.on_hand, stock.reserved, stock.available)
        rows.append((sku, *map(str, numbers)))
    for line in table(rows, right=range(1, 6)):
        paper.line(f"  {line}")
