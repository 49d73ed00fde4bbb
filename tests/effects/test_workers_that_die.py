"""A request that ends its worker every time does not end workers for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordermgmt import (
    GatewayCapabilities,
    Intent,
    InvalidInput,
    Line,
    ManualClock,
    Money,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Succeeded,
    Tender,
)
from ordermgmt.engine.effects import ATTEMPTS_MAX
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments


class Deadly(FakePayments):
    """Ends the process that asks it."""

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        raise SystemExit

    def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        raise SystemExit


def test_an_effect_that_ends_every_worker_is_parked_after_as_many_attempts_as_any() -> None:
    clock = ManualClock()
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": Deadly(clock=clock)}, clock=clock)
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    line = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A", lines=[line], pay=PayNow([Tender("card", token="tok_visa")])))
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(SystemExit):
            shop.run_due()
        clock.advance(minutes=5)

    assert shop.run_due().parked == 1

    (parked,) = shop.effects.parked()
    assert "did not live to tell" in parked.reason


def test_asking_where_a_pending_payment_stands_uses_no_attempt_up() -> None:
    clock = ManualClock()
    card = FakePayments(clock=clock)
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": card}, clock=clock)
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    card.answer_later_next()
    line = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A", lines=[line], pay=PayNow([Tender("card", token="tok_visa")])))
    shop.run_due()
    assert shop.find(Intent, status="pending")[0].attempts == 0


class Mute(FakePayments):
    """Succeeds without saying at what."""

    capabilities = GatewayCapabilities()

    def __init__(self, result: Any, *, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.result = result

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return Succeeded(result=self.result)


@pytest.mark.parametrize("result", [None, (), ("authorised",), 3, object()])
def test_a_success_that_tells_no_fact_is_an_unknown_outcome(result: object) -> None:
    clock = ManualClock()
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": Mute(result, clock=clock)}, clock=clock)
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    line = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A", lines=[line], pay=PayNow([Tender("card", token="tok_visa")])))
    shop.run_due()
    assert shop.find(Intent)[0].status == "unknown"
    assert shop.get(Order, "A").payment_status == "pending"


def test_a_person_who_resolves_an_effect_must_say_what_happened() -> None:
    clock = ManualClock()
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": Mute(None, clock=clock)}, clock=clock)
    shop.handle(ReceiveStock(sku="mug", quantity=1))
    line = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A", lines=[line], pay=PayNow([Tender("card", token="tok_visa")])))
    shop.run_due()
    (stuck,) = shop.find(Intent)
    with pytest.raises(InvalidInput, match="give its facts"):
        shop.effects.resolve(stuck.effect_id, Succeeded(), evidence="it is on the dashboard")
    assert shop.find(Intent)[0] == stuck
