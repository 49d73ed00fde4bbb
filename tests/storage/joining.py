"""What the tests of a shop within the host's transaction share: an order to place, and a Django that is set up."""

from __future__ import annotations

import django
from django.conf import settings

from ordermgmt import Line, Money, OnAccount, PlaceOrder

# Django is set up once in a process, whichever test comes first.
if not settings.configured:
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()


def buy(order_id: str, quantity: int = 1, sku: str = "mug") -> PlaceOrder:
    """Order some of it, to be paid later."""
    line = Line(sku=sku, quantity=quantity, unit_price=Money("9.50", "EUR"))
    return PlaceOrder(order_id=order_id, lines=[line], pay=OnAccount(days=30))
