"""A shop under random use, as a Hypothesis state machine that a host makes its own.

    class OurShop(OrderMachine):
        def make_shop(self, **parts):
            return OrderManagement(storage=MemoryStorage(), policies=[no_refund_over_500], **parts)

        @invariant()
        def nobody_is_refunded_too_much(self): ...

    TestOurShop = OurShop.TestCase

After every step the orders that changed are verified.  When a run ends, the providers answer and everything must end:
no cancelled order holds stock or money, and the books are the provider's.  A failing run shrinks to a short story.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, precondition, rule

from ..engine.messages import Command, News
from ..engine.ports import ManualClock, ManualIds
from ..errors import InvalidInput, Refused
from ..management import OrderManagement
from ..money import Money
from ..orders.holds import HoldOrder, ReleaseHold
from ..orders.messages import CancelOrder, CancelUnits, ConfirmOrder, GrantCredit, Move, MoveUnits
from ..orders.model import Order
from ..shipments.messages import CancelShipment, HandOverShipment, PackShipment
from ..shipments.model import STAGES, Shipment
from ..stock.messages import ReceiveStock
from ..stock.model import Stock
from ..storage.memory import MemoryStorage
from ..verify import Breach, check_all, check_order
from .ends import calm_down, check_ended
from .fakes import FakeCarrier, FakePayments
from .next_steps import reportable, true_news
from .strategies import orders, skus

FAULTS = ("decline", "fail", "lose", "put_off", "answer_later")
PLACES = st.integers(0, 30)
"""Which of several: counted round."""


class OrderMachine(RuleBasedStateMachine):
    """Orders placed, paid, shipped and cancelled while providers fail; subclass it with your shop, rules and laws."""

    placed: Any = Bundle("placed")
    lies = False
    """True: news may be untrue, as a broken or hostile provider's is; then books need not agree."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.card = FakePayments(clock=self.clock)
        self.parcel = FakeCarrier(clock=self.clock)
        self.shop = self.make_shop(
            gateways={"card": self.card},
            carriers={"parcel": self.parcel},
            clock=self.clock,
            ids=ManualIds(),
            secret=b"machine",
        )
        self.numbers = 0
        self.received = dict[str, int]()
        self.position = 0
        self.lawful = True

    def make_shop(self, **parts: Any) -> OrderManagement:
        """The shop under test: a host gives its own storage, capabilities, policies and reactions."""
        return OrderManagement(storage=MemoryStorage(), **parts)

    def tell(self, command: Command[Any]) -> bool:
        """Ask the shop; True if it agreed.  It may refuse a command, but never news."""
        try:
            self.shop.handle(command)
        except (Refused, InvalidInput) as no:
            if isinstance(command, News):
                raise Breach("news", type(command).__name__, "", f"was refused: {no}") from no
            return False
        return True

    # What people do.

    @rule(sku=skus(), quantity=st.integers(1, 9))
    def receive_stock(self, sku: str, quantity: int) -> None:
        """Goods arrive."""
        self.tell(ReceiveStock(sku=sku, quantity=quantity))
        self.received[sku] = self.received.get(sku, 0) + quantity

    @rule(target=placed, data=st.data())  # pyright: ignore[reportUntypedFunctionDecorator]  # a target hides its type
    def place_an_order(self, data: st.DataObject) -> str | MultipleResults[str]:
        """A customer orders."""
        order_id = f"O{self.numbers + 1}"
        in_stock = sorted(self.received)
        command = data.draw(
            orders(order_id=order_id, sku=st.sampled_from(in_stock) if in_stock else None, carriers=("", "parcel"))
        )
        if not self.tell(command):
            return multiple()
        self.numbers += 1
        return order_id

    @rule(order_id=placed)
    def confirm_by_hand(self, order_id: str) -> None:
        """Somebody accepts it."""
        self.tell(ConfirmOrder(order_id=order_id))

    @rule(order_id=placed)
    def cancel_the_order(self, order_id: str) -> None:
        """The customer changes their mind."""
        self.tell(CancelOrder(order_id=order_id))

    @rule(order_id=placed, place=PLACES)
    def cancel_a_unit(self, order_id: str, place: int) -> None:
        """The customer wants one less."""
        lines = list(self.shop.get(Order, order_id).lines)
        self.tell(CancelUnits(order_id=order_id, units={lines[place % len(lines)]: 1}))

    @rule(order_id=placed, release=st.booleans())
    def make_it_wait(self, order_id: str, release: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """Somebody has doubts, or has none any more."""
        doubt = ReleaseHold if release else HoldOrder
        self.tell(doubt(order_id=order_id, reason="doubts"))

    @rule(order_id=placed, minor=st.integers(1, 500))
    def grant_a_credit(self, order_id: str, minor: int) -> None:
        """The customer complains."""
        currency = self.shop.get(Order, order_id).currency
        self.tell(GrantCredit(order_id=order_id, amount=Money.of_minor(minor, currency)))

    @rule(order_id=placed, place=PLACES)
    def pack_a_parcel(self, order_id: str, place: int) -> None:
        """It goes into a box."""
        if shipment := self._parcel(order_id, place):
            self.tell(PackShipment(shipment_id=shipment))

    @rule(order_id=placed, place=PLACES)
    def hand_a_parcel_over(self, order_id: str, place: int) -> None:
        """It leaves the house."""
        if shipment := self._parcel(order_id, place):
            self.tell(HandOverShipment(shipment_id=shipment))

    @rule(order_id=placed, place=PLACES)
    def cancel_a_parcel(self, order_id: str, place: int) -> None:
        """It does not leave after all."""
        if shipment := self._parcel(order_id, place):
            self.tell(CancelShipment(shipment_id=shipment))

    @rule(order_id=placed)
    def give_lost_units_up(self, order_id: str) -> None:
        """What did not arrive is not sent again."""
        lost = [(line.line_id, line.count("undeliverable")) for line in self.shop.get(Order, order_id).lines.values()]
        if moves := tuple(Move(line_id, "give_up", n) for line_id, n in lost if n):
            self.tell(MoveUnits(order_id=order_id, moves=moves))

    def _parcel(self, order_id: str, place: int) -> str:
        inside = [s for s in self.shop.get(Order, order_id).shipments if self.shop.get(Shipment, s).status in STAGES]
        return inside[place % len(inside)] if inside else ""

    # What the world does.

    @rule(order_id=placed)
    def settle(self, order_id: str) -> None:
        """The order's due work is done."""
        self.shop.settle(order_id)

    @rule(order_id=placed, fault=st.sampled_from(FAULTS))
    def settle_while_the_provider(self, order_id: str, fault: str) -> None:
        """The order's due work is done, and the first request to the provider goes wrong."""
        getattr(self.card, f"{fault}_next")()
        self.shop.settle(order_id)

    @rule(order_id=placed, fault=st.sampled_from(FAULTS[:3]))
    def settle_while_the_carrier(self, order_id: str, fault: str) -> None:
        """The order's due work is done, and the first request to the carrier goes wrong."""
        getattr(self.parcel, f"{fault}_next")()
        self.shop.settle(order_id)

    @rule()
    def do_all_due_work(self) -> None:
        """A worker comes by."""
        self.shop.run_due()

    @rule(hours=st.sampled_from([1, 7]))
    def wait(self, hours: int) -> None:
        """Time passes."""
        self.clock.advance(hours=hours)

    @rule(order_id=placed, place=PLACES)
    def hear_from_the_provider(self, order_id: str, place: int) -> None:
        """A webhook tells what the provider has done: once more, or before its answer."""
        if told := true_news(self.shop, self.card, order_id):
            self.tell(told[place % len(told)])

    @precondition(lambda self: self.parcel.labels)
    @rule(place=PLACES, arrives=st.booleans())
    def the_carrier_reports(self, place: int, arrives: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """A parcel arrives, or does not."""
        numbers = sorted(self.parcel.labels)
        report = self.parcel.deliver if arrives else self.parcel.lose
        report(numbers[place % len(numbers)])

    @precondition(lambda self: self.lies)
    @rule(order_id=placed, place=st.integers(0, 200))
    def hear_anything(self, order_id: str, place: int) -> None:
        """News that need not be true."""
        if told := reportable(self.shop, order_id):
            self.tell(told[place % len(told)])

    # What must hold.

    @invariant()
    def what_changed_is_lawful(self) -> None:
        """The laws, for every order of which something happened."""
        self.lawful = False  # until all of them are seen to hold
        changed = set[str]()
        while page := self.shop.feed(self.position):
            self.position = page[-1].position
            changed |= {found.group() for entry in page if (found := re.search(r"O\d+", entry.id))}
        for order_id in sorted(changed):
            check_order(self.shop, order_id)
        for sku, received in self.received.items():
            stock = self.shop.get(Stock, (sku, "main"))
            if stock.on_hand > received or stock.reserved + stock.held > stock.on_hand:
                raise Breach("S1", "stock", sku, f"{received} were received: {stock}")
        if self.card.asked_twice:
            raise Breach("E2", "effect", self.card.asked_twice[0], "was executed more than once")
        if self.card.refusals and not self.lies:
            raise Breach("M10", "provider", "card", f"we asked for what is not allowed: {self.card.refusals[0]}")
        self.lawful = True

    def teardown(self) -> None:
        """The calm phase: everything is answered, and must end."""
        if not self.lawful:
            return  # one breach is told; what follows from it is not
        parked = {intent.group for intent in calm_down(self.shop, self.clock)}
        self.what_changed_is_lawful()
        check_all(self.shop).require()
        if self.lies:
            return
        for n in range(1, self.numbers + 1):
            if f"O{n}" not in parked:
                check_ended(self.shop, {"card": self.card}, f"O{n}")


__all__ = ["FAULTS", "OrderMachine"]
