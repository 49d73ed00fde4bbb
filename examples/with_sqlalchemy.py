"""A host on SQLAlchemy 2: its own rows and the order in one transaction, the provider asked after the commit.

Run it with ``pip install 'sqlalchemy>=2'`` and ``python examples/with_sqlalchemy.py``; it makes `host.db` in this
folder.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from ordermgmt import Line, Money, Order, OrderManagement, OutOfStock, PayNow, PlaceOrder, ReceiveStock, Stock, Tender
from ordermgmt.storage import SqliteStorage
from ordermgmt.testing import FakePayments

DATABASE = Path("host.db")


class Base(DeclarativeBase):
    """The host's tables."""


class Voucher(Base):
    """Something of the host's that must be used up with the order, or not at all."""

    __tablename__ = "voucher"
    code: Mapped[str] = mapped_column(primary_key=True)
    used_by: Mapped[str | None]


def durable(connection: Any, _: Any) -> None:
    """A commit survives a power cut: the library does not join a connection of which that is not true."""
    connection.execute("PRAGMA synchronous = EXTRA")


def order_with(voucher: str, order_id: str, quantity: int) -> PlaceOrder:
    line = Line(sku="mug", quantity=quantity, unit_price=Money("9.50", "EUR"))
    return PlaceOrder(order_id=order_id, lines=[line], pay=PayNow([Tender("card", token="tok_visa")]))


def buy(session: Session, shop: OrderManagement, voucher: str, order_id: str, quantity: int) -> Order:
    """One unit of work of the host's; whoever opened the session commits it."""
    session.get_one(Voucher, voucher).used_by = order_id
    return shop.within(session).handle(order_with(voucher, order_id, quantity))


def main() -> None:
    DATABASE.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{DATABASE}")
    event.listen(engine, "connect", durable)
    Base.metadata.create_all(engine)

    # The library's own connection, on the same database: it makes the tables, and does due work.
    shop = OrderManagement(storage=SqliteStorage(DATABASE), gateways={"card": FakePayments()})
    shop.handle(ReceiveStock(sku="mug", quantity=10))

    with Session(engine) as session, session.begin():
        session.add_all([Voucher(code="SPRING"), Voucher(code="SUMMER")])

    with Session(engine) as session, session.begin():
        buy(session, shop, "SPRING", "A-1", 2)
    print("A-1 is", shop.get(Order, "A-1").payment_status, "- and committed, so the provider may be asked")
    print("A-1 is", shop.settle("A-1").payment_status)

    # What the library refuses undoes the host's own change too, because the host lets the error pass.
    try:
        with Session(engine) as session, session.begin():
            buy(session, shop, "SUMMER", "A-2", 100)
    except OutOfStock as refusal:
        print("refused:", refusal)

    with Session(engine) as session:
        used = {one.code: one.used_by for one in session.scalars(select(Voucher).order_by(Voucher.code))}
    print("vouchers:", used)
    print("mugs left:", shop.get(Stock, ("mug", "main")).available)
    assert used == {"SPRING": "A-1", "SUMMER": None}
    shop.close()
    engine.dispose()


if __name__ == "__main__":
    main()
