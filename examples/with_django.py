"""A host on Django: its own rows and the order in one `transaction.atomic()`, the provider asked after the commit.

Run it with ``pip install 'django>=5.2,<5.3'`` and ``python examples/with_django.py``; it makes `django.db` in this
folder.  In a project, the settings below are yours already, and `shop` stands in a module of its own.
"""

# Django is not typed, so a type checker knows neither `objects` nor `atomic`.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from pathlib import Path

import django
from django.conf import settings

DATABASE = Path("django.db")
DATABASE.unlink(missing_ok=True)
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "OPTIONS": {
                # A commit survives a power cut: the library does not join a connection of which that is not true.
                "init_command": "PRAGMA synchronous = EXTRA",
                # Whoever writes waits for its turn at the beginning, and not half-way through.
                "transaction_mode": "IMMEDIATE",
            },
        }
    }
)
django.setup()

from django.db import connection, models, transaction  # noqa: E402 - Django wants to be set up first

from ordermgmt import (  # noqa: E402 - as above
    Line,
    Money,
    Order,
    OrderManagement,
    OutOfStock,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Stock,
    Tender,
)
from ordermgmt.storage import SqliteStorage  # noqa: E402 - as above
from ordermgmt.testing import FakePayments  # noqa: E402 - as above

# The library's own connection, on the same database: it makes the tables, and does due work.
shop = OrderManagement(storage=SqliteStorage(DATABASE), gateways={"card": FakePayments()})


class Basket(models.Model):  # type: ignore[misc]  # Django is not typed
    """Something of the host's that must be closed with the order, or not at all."""

    name = models.CharField(max_length=40, primary_key=True)
    order_id = models.CharField(max_length=40, default="")

    class Meta:
        """Where it lives."""

        app_label = "host"


def check_out(name: str, quantity: int) -> None:
    """A view's work: all of it, or nothing; and the payment as soon as it is committed."""
    with transaction.atomic():
        Basket.objects.filter(name=name).update(order_id=f"order-{name}")
        line = Line(sku="mug", quantity=quantity, unit_price=Money("9.50", "EUR"))
        command = PlaceOrder(order_id=f"order-{name}", lines=[line], pay=PayNow([Tender("card", token="tok_visa")]))
        order = shop.within(connection).handle(command)
        transaction.on_commit(lambda: print(order.order_id, "is", shop.settle(order.order_id).payment_status))


def main() -> None:
    shop.handle(ReceiveStock(sku="mug", quantity=10))
    with connection.schema_editor() as editor:
        editor.create_model(Basket)
    Basket.objects.bulk_create([Basket(name="ann"), Basket(name="bob")])

    check_out("ann", 2)
    try:
        check_out("bob", 100)
    except OutOfStock as refusal:
        print("refused:", refusal)

    baskets = dict(Basket.objects.order_by("name").values_list("name", "order_id"))
    print("baskets:", baskets)
    print("mugs left:", shop.get(Stock, ("mug", "main")).available)
    assert baskets == {"ann": "order-ann", "bob": ""}
    assert shop.get(Order, "order-ann").payment_status == "authorised"
    shop.close()
    connection.close()


if __name__ == "__main__":
    main()
