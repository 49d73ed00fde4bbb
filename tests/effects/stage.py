"""A shop, its provider and a clock, for stories about effects that go wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ordermgmt import (
    CancelOrder,
    Discrepancy,
    GrantCredit,
    HandOverShipment,
    ManualClock,
    OrderManagement,
    PackShipment,
    Payment,
)
from ordermgmt.engine.effects import Intent
from ordermgmt.engine.ports import ManualIds
from ordermgmt.engine.transaction import Storage
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments
from tests.stories import eur, laws_hold, paid_for, place

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
VERBS = ("Authorise", "Capture", "Void", "SendRefund")
OPEN = ("ready", "sending", "pending", "unknown")


class Crash(BaseException):
    """The process dies here."""


class Card(FakePayments):
    """A provider during whose calls other things may happen."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self.looked: list[str] = []

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if self.before:
            self.before.pop(0)()
        answer = super().execute(request, key=key, deadline=deadline)
        if self.after:
            self.after.pop(0)()
        return answer

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        self.looked.append(key)
        return super().lookup(request, key=key, deadline=deadline)


def die() -> None:
    raise Crash


class Stage:
    """One shop with one provider."""

    def __init__(
        self,
        card: Callable[[ManualClock], FakePayments] = lambda clock: Card(clock=clock),
        *,
        storage: Storage | None = None,
        clock: ManualClock | None = None,
        **more: Any,
    ) -> None:
        self.clock = clock or ManualClock()
        self.card: Any = card(self.clock)
        self.storage = storage or MemoryStorage()
        self.shop = self.another(**more)

    def another(self, storage: Storage | None = None, **more: Any) -> OrderManagement:
        """Another worker of the same shop; or the same shop on another store."""
        settings: dict[str, Any] = {"secret": b"stage", "actor": "shop"} | more
        return OrderManagement(
            storage=storage or self.storage,
            gateways={"card": self.card},
            clock=self.clock,
            ids=ManualIds(),
            chance=random.Random(1),
            **settings,
        )

    # The stories.

    def ask(self, verb: str, order_id: str = "A-1") -> None:
        """Bring an order so far that this effect is due, and nothing else of it."""
        if verb == "Authorise":
            place(self.shop, order_id)
            return
        paid_for(self.shop, order_id)
        if verb == "Void":
            self.shop.handle(CancelOrder(order_id=order_id))
            return
        self.shop.handle(PackShipment(shipment_id=f"{order_id}:s1"))
        self.shop.handle(HandOverShipment(shipment_id=f"{order_id}:s1"))
        if verb == "SendRefund":
            self.shop.settle(order_id)
            self.shop.handle(GrantCredit(order_id=order_id, amount=eur("5.00"), reason="late"))

    def all(self, kind: str = "", shop: OrderManagement | None = None) -> list[Intent]:
        """The effects of this kind, or all."""
        return [one for one in (shop or self.shop).find(Intent, limit=1000) if kind in ("", one.kind)]

    def the(self, kind: str, shop: OrderManagement | None = None) -> Intent:
        """The one effect of this kind."""
        (one,) = self.all(kind, shop)
        return one

    def payment(self, payment_id: str = "A-1:1", shop: OrderManagement | None = None) -> Payment:
        return (shop or self.shop).get(Payment, payment_id)

    def discrepancies(self, shop: OrderManagement | None = None) -> list[str]:
        return [one.reason for one in (shop or self.shop).find(Discrepancy, status="open")]

    def run(self, span: timedelta = timedelta(0), shop: OrderManagement | None = None) -> None:
        """Do what is due now, and whatever falls due in this time, when it does."""
        shop = shop or self.shop
        end = self.clock.now() + span
        shop.run_due()
        while (due := shop.effects.next_due()) is not None and due <= end:
            self.clock.set(max(due, self.clock.now()))
            shop.run_due()
        self.clock.set(end)

    # What must hold.

    def agrees(self) -> None:
        """Nothing was done twice, nothing was asked that is not allowed, and both books say the same."""
        assert self.card.asked_twice == []
        assert self.card.refusals == []
        for payment_id, account in self.card.accounts.items():
            amounts = self.payment(payment_id).amounts
            assert (amounts.authorised, amounts.captured, amounts.voided, amounts.refunded) == (
                account.authorised,
                account.captured,
                account.voided,
                account.refunded,
            )
            assert not amounts.pending
        laws_hold(self.shop)
