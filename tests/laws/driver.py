"""A shop that lives through anything: random commands, faults, time and late news, with the laws checked after each.

A world is made from a seed and is the same every time.  What happened is kept as a story, so that a failure reads.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    Address,
    CancelOrder,
    Capability,
    Command,
    Intent,
    InvalidInput,
    Line,
    ManualClock,
    ManualIds,
    Money,
    News,
    OnAccount,
    Order,
    OrderManagement,
    PaidElsewhere,
    Payment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Refused,
    Reservation,
    RetryEffect,
    Shipment,
    Stock,
    Tender,
    Track,
    UnitPrice,
    verify,
)
from ordermgmt.engine.transaction import Storage
from ordermgmt.orders.following import balance
from ordermgmt.orders.lifecycle import IN_THE_HOUSE
from ordermgmt.orders.port import Item, ListedItems
from ordermgmt.orders.reckoning import earned
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakeCarrier, FakePayments
from ordermgmt.testing.next_steps import askable, charge_back, expire_authorisation, reportable, true_news

SKUS = ("cup", "hat", "pen")
DIGITAL = "ebook"
ITEMS = ListedItems({**{sku: Item(kind="stocked") for sku in SKUS}, DIGITAL: Item(kind="digital")})
ORDER_IN_ID = re.compile(r"O\d+")
FORWARD = ("ConfirmOrder", "PlanShipment", "PackShipment", "HandOverShipment", "CommitReservation", "AdvanceOrder")
TOLD = int(os.environ.get("LAWS_TOLD", "40"))
IN_FLIGHT = ("sending", "unknown", "pending")


class Interrupted(FakePayments):
    """A provider during whose calls other things happen in the shop."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.meanwhile = deque[Callable[[], None]]()

    def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        if self.meanwhile:
            self.meanwhile.popleft()()
        answer = super().execute(request, key=key, deadline=deadline)
        if self.meanwhile:
            self.meanwhile.popleft()()
        return answer


class World:
    """One shop, its provider, its carrier, and what happens to them."""

    def __init__(
        self,
        seed: int,
        *,
        storage: Storage | None = None,
        capabilities: Sequence[Capability[Any]] = DEFAULT_CAPABILITIES,
        lies: bool = False,
        orders_max: int = 25,
        fickle: bool = False,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.lies = lies
        self.fickle = fickle
        self.orders_max = orders_max
        self.clock = ManualClock()
        self.card, self.wallet = Interrupted(self.clock), Interrupted(self.clock)
        self.gateways = {"card": self.card, "wallet": self.wallet}
        self.carrier = FakeCarrier(clock=self.clock)
        self.shop = OrderManagement(
            storage=storage if storage is not None else MemoryStorage(),
            actor="shop",
            gateways=self.gateways,
            carriers={"parcel": self.carrier},
            items=ITEMS,
            clock=self.clock,
            ids=ManualIds(),
            capabilities=capabilities,
            chance=random.Random(seed),
            secret=b"laws",
        )
        self.received = Counter[str]()
        self.orders = list[str]()
        self.upset = set[str]()
        """Payments of which the provider took something back by itself."""
        self.parked = set[str]()
        """Orders of which an effect waits for a person."""
        self.hits = Counter[str]()
        self.story = list[str]()
        self.fed = 0
        self.checked = 0
        self.counted = dict[str, tuple[Counter[str], Counter[str]]]()

    # What happens.

    def run(self, steps: int) -> World:
        """Live through some steps, then a calm phase in which everything must end."""
        with self.telling():
            for sku in SKUS:
                self.receive(sku)
            for _ in range(steps):
                self.step()
            self.calm()
            self.check_ends()
        return self

    @contextmanager
    def telling(self) -> Generator[None, None, None]:
        try:
            yield
        except BaseException as problem:
            told = "\n".join(f"  {line}" for line in self.story[-TOLD:])
            problem.add_note(f"World(seed={self.seed}, lies={self.lies}) after {len(self.story)} steps:\n{told}")
            raise

    def step(self) -> None:
        """One thing happens."""
        shipping = self.seed % 2 == 1 and not self.fickle  # the others mostly change their minds
        full = len(self.orders) >= self.orders_max
        happenings: dict[Callable[[], object], int] = {
            self.place: 0 if full else 20,
            self.ask: 40,
            self.fulfil: 60 if shipping else 8,
            self.cancel: 2 if shipping else 6,
            self.cancel_after_a_capture: 0 if full or shipping else 250 if self.fickle else 20,
            self.cancel_in_flight: 0 if full or shipping else 170 if self.fickle else 20,
            self.settle: 14,
            self.settle_with_a_fault: 14,
            self.be_interrupted: 8,
            self.do_due_work: 5,
            self.wait: 4,
            self.hear_the_truth: 10,
            self.provider_acts: 3,
            self.carrier_reports: 25 if shipping else 5,
            self.receive: 8 if shipping else 3,
            self.hear_anything: 25 if self.lies else 0,
        }
        happening = self.rng.choices(list(happenings), weights=list(happenings.values()))[0]
        happening()
        self.check()

    def receive(self, sku: str = "") -> None:
        sku = sku or self.rng.choice(SKUS)
        quantity = self.rng.choice((1, 5, 20)) * (10 if self.fickle else 1)
        self.tell(ReceiveStock(sku=sku, quantity=quantity))
        self.received[sku] += quantity

    def place(self, *, sale: bool | None = None) -> bool:
        lines = [
            Line(
                sku=self.rng.choice((*SKUS, DIGITAL)),
                quantity=self.rng.choice((1, 1, 2, 3)),
                unit_price=UnitPrice(self.rng.choice(("0.01", "3.333333", "10.00", "0")), "EUR"),
            )
            for _ in range(self.rng.choice((1, 1, 2)))
        ]
        shipping = Money.of_minor(self.rng.choice((0, 0, 490)), "EUR")
        total = sum(line.unit_price.times(line.quantity).minor for line in lines) + shipping.minor
        order_id = f"O{len(self.orders) + 1}"
        command = PlaceOrder(
            order_id=order_id,
            lines=lines,
            shipping=shipping,
            pay=self.payment_of(total, sale=sale),
            carrier=self.rng.choice(("", "parcel")),
            confirm=self.rng.choice(("when_authorised", "when_authorised", "at_once", "by_hand")),
            pay_within=self.rng.choice((None, timedelta(hours=3))),
            ship_to=Address(name="Ann", street="Long Lane 1", city="York", country="GB"),
        )
        if not self.tell(command):
            return False
        self.orders.append(order_id)
        return True

    def payment_of(self, total: int, *, sale: bool | None) -> Any:
        """By one tender or two; by invoice or in cash only where nobody wants a provider to be asked."""
        how = self.rng.randrange(12)
        if sale is None and how == 0:
            return OnAccount(days=30)
        if sale is None and how == 1 and total:
            return PaidElsewhere(method="cash", amount=Money.of_minor(total, "EUR"))
        if how <= 4 and total > 1:
            first = Money.of_minor(self.rng.randrange(1, total), "EUR")
            second = self.rng.choice(("card", "wallet"))
            return PayNow([self.tender("card", sale=sale, amount=first), self.tender(second, sale=sale)])
        return PayNow([self.tender("card", sale=sale)])

    def tender(self, gateway: str, *, sale: bool | None, amount: Money | None = None) -> Tender:
        token = self.rng.choice(("tok_visa",) * 12 + ("tok_decline",))
        return Tender(gateway, token=token, amount=amount, sale=self.rng.random() < 0.45 if sale is None else sale)

    def ask(self) -> None:
        """One of the things that make sense now: first of which sort, then which of them."""
        if not self.orders:
            return
        by_type = dict[str, list[Command[Any]]]()
        for command in askable(self.shop, self.any_order()):
            by_type.setdefault(type(command).__name__, []).append(command)
        for often in ("CancelOrder", "GrantCredit", "RejectOrder"):
            if self.rng.random() < 0.7:
                by_type.pop(often, None)
        if by_type:
            self.tell(self.rng.choice(by_type[self.rng.choice(sorted(by_type))]))

    def fulfil(self) -> None:
        """The next step towards the customer."""
        if not self.orders:
            return
        order_id = self.any_order()
        forward = [one for one in askable(self.shop, order_id) if type(one).__name__ in FORWARD]
        if forward:
            if not self.tell(forward[-1]):
                self.shop.settle(order_id)
        else:
            self.shop.settle(order_id)

    def cancel(self) -> None:
        if self.orders:
            self.tell(CancelOrder(order_id=self.any_order(), reason="changed my mind"))

    def cancel_after_a_capture(self) -> None:
        """The money has come already; now the customer does not want the goods."""
        if self.place(sale=True):
            self.shop.settle(self.orders[-1])
            if self.rng.random() < 0.3:
                self.ask()
            if self.rng.random() < 0.2:
                self.settle_with_a_fault()
            self.tell(CancelOrder(order_id=self.orders[-1], reason="too late"))

    def cancel_in_flight(self) -> None:
        """The provider was asked for the money and nobody knows its answer; now the order is cancelled."""
        if self.place(sale=self.rng.random() < 0.4):
            if self.rng.random() < 0.3:
                self.be_interrupted()
            else:
                for gateway in self.gateways.values():
                    getattr(gateway, self.rng.choice(("fail_next", "lose_next", "answer_later_next")))("Authorise")
                self.shop.settle(self.orders[-1])
                self.tell(CancelOrder(order_id=self.orders[-1], reason="changed my mind"))

    def settle(self) -> None:
        if self.orders:
            order_id = self.any_order()
            self.story.append(f"settle {order_id}")
            self.shop.settle(order_id)

    def settle_with_a_fault(self) -> None:
        if not self.orders:
            return
        who, what = self.rng.choice(
            [(g, w) for g in self.gateways for w in ("decline", "fail", "lose", "put_off", "answer_later")]
            + [("parcel", w) for w in ("decline", "fail", "lose")]
        )
        faulty: Any = self.gateways.get(who, self.carrier)
        kind = self.rng.choice(("", "", "Authorise")) if who != "parcel" else ""
        faulty._intake.script.steps.clear()  # a fault that found nothing to hit is not kept for later
        getattr(faulty, f"{what}_next")(kind)
        self.hits[f"fault: {what}"] += 1
        self.story.append(f"{who} will {what} the next {kind or 'request'}")
        self.settle()

    def be_interrupted(self) -> None:
        """While the provider is being asked, something else happens: a cancel overtakes the answer."""
        if not self.orders:
            return
        order_id = self.orders[-1] if self.rng.random() < 0.8 else self.any_order()
        gateway = self.rng.choice((self.card, self.card, self.wallet))

        def meanwhile() -> None:
            self.story.append("… and while the provider is being asked:")
            if self.rng.random() < 0.7:
                self.tell(CancelOrder(order_id=order_id, reason="overtook"))
            else:
                self.ask()

        gateway.meanwhile.clear()
        gateway.meanwhile.append(meanwhile if self.rng.random() < 0.5 else lambda: None)
        gateway.meanwhile.append(meanwhile)
        self.story.append(f"settle {order_id}, to be interrupted")
        self.shop.settle(order_id)
        gateway.meanwhile.clear()

    def do_due_work(self) -> None:
        self.story.append("do all due work")
        self.shop.run_due()

    def wait(self) -> None:
        hours = self.rng.choice((0.01, 1, 7))
        self.story.append(f"{hours} hours pass")
        self.clock.advance(hours=hours)

    def hear_the_truth(self) -> None:
        """A webhook: what the provider has done, once more, or before its answer."""
        if self.orders:
            order_id = self.any_order()
            news = [one for gateway in self.gateways.values() for one in true_news(self.shop, gateway, order_id)]
            if news:
                self.tell(self.rng.choice(news))

    def provider_acts(self) -> None:
        for payment in self.shop.find(Payment):
            if payment.gateway and self.rng.random() < 0.3:
                act = self.rng.choice((expire_authorisation, charge_back))
                news = act(self.shop, self.gateways[payment.gateway], payment.payment_id)
                if news is not None:
                    self.upset.add(payment.order_id)
                    self.tell(news)
                    return

    def carrier_reports(self) -> None:
        if self.carrier.labels:
            number = self.rng.choice(sorted(self.carrier.labels))
            what = self.rng.choice(("scan", "deliver", "deliver", "lose"))
            self.story.append(f"the carrier will report: {what} {number}")
            getattr(self.carrier, what)(number)
            self.clock.advance(hours=7)
            self.shop.run_due()

    def hear_anything(self) -> None:
        if self.orders:
            news = reportable(self.shop, self.any_order())
            if news:
                self.tell(self.rng.choice(news))

    def any_order(self) -> str:
        return self.rng.choice(self.orders[-4:])

    # Telling the shop.

    def tell(self, command: Command[Any]) -> bool:
        """Handle a command: refused, it has changed nothing; news is never refused; a preview tells what it does."""
        self.story.append(str(command))
        name = type(command).__name__
        news = isinstance(command, News)
        before = self.position()
        captured, in_flight = self.situation(command)
        foreseen = self.foresee(command) if self.rng.random() < 0.25 else None
        try:
            entity = self.shop.handle(command)
        except (Refused, InvalidInput) as no:
            assert not news, f"news was refused: {command}"
            assert not self.shop.feed(before), f"{name} was refused, but changed something"
            same = foreseen is None or foreseen == (type(no), str(no))
            assert same, f"preview of {name} told otherwise: {foreseen}"
            self.story[-1] += f" → {type(no).__name__}"
            self.hits[f"refused: {name}"] += 1
            return False
        if foreseen is not None:
            told = [(one.kind, one.id, one.event) for one in self.shop.feed(before)]
            assert foreseen == (entity, sorted(told, key=repr)), f"preview of {name} told otherwise"
        self.hits[name] += 1
        self.hits["cancels after a capture"] += captured
        self.hits["cancels with an authorisation in flight"] += in_flight
        return True

    def foresee(self, command: Command[Any]) -> Any:
        try:
            preview = self.shop.preview(command)
        except (Refused, InvalidInput) as no:
            return type(no), str(no)
        return preview.entity, sorted(preview.events, key=repr)

    def situation(self, command: Command[Any]) -> tuple[bool, bool]:
        """Whether this cancels after a capture; whether with an authorisation in flight."""
        if not isinstance(command, CancelOrder):
            return False, False
        order = self.shop.get(Order, command.order_id)
        intents = self.shop.find(Intent, group=order.order_id)
        in_flight = any(intent.kind == "Authorise" and intent.status in IN_FLIGHT for intent in intents)
        return order.money.captured > 0, in_flight

    def position(self) -> int:
        while page := self.shop.feed(self.fed):
            self.fed = page[-1].position
        return self.fed

    # What must hold.

    def check(self) -> None:
        """After every step."""
        for order_id in self.touched():
            verify.check_order(self.shop, order_id)
            self.count(order_id)
        gone, reserved = Counter[str](), Counter[str]()
        for out, claimed in self.counted.values():
            gone.update(out)
            reserved.update(claimed)
        for sku in SKUS:
            stock = self.shop.get(Stock, (sku, "main"))
            assert stock.on_hand + gone[sku] == self.received[sku], f"{sku}: {stock}, {gone[sku]} went out"
            assert stock.reserved == reserved[sku], f"{sku}: {stock}, {reserved[sku]} set aside"
        for gateway in self.gateways.values():
            assert not gateway.asked_twice
            assert self.lies or not gateway.refusals, gateway.refusals
        assert not [label for label, n in Counter(self.carrier.voided).items() if n > 1] or self.lies

    def touched(self) -> list[str]:
        """The orders of which anything has happened since the last look."""
        ids = set[str]()
        while page := self.shop.feed(self.checked):
            self.checked = page[-1].position
            ids |= {match.group() for entry in page if (match := ORDER_IN_ID.search(entry.id))}
        return sorted(ids)

    def count(self, order_id: str) -> None:
        """What of each SKU this order has carried away, and has set aside."""
        order = self.shop.get(Order, order_id)
        gone, reserved = Counter[str](), Counter[str]()
        for line in order.lines.values():
            reserved[line.sku] += line.count("reserved", "picked", "packed")
        for shipment_id in order.shipments:
            shipment = self.shop.get(Shipment, shipment_id)
            if shipment.handed_over_at is not None:
                for content in shipment.contents:
                    gone[order.lines[content.line_id].sku] += content.quantity
        self.counted[order_id] = (gone, reserved)

    def calm(self) -> None:
        """No more faults: everything is answered, and everything ends."""
        self.story.append("— calm —")
        for gateway in self.gateways.values():
            gateway._intake.script.steps.clear()
        self.carrier._intake.script.steps.clear()
        tried = set[str]()
        for _ in range(40):
            self.clock.advance(hours=2)
            self.shop.run_due()
            for intent in self.shop.find(Intent, status="parked", limit=1000):
                if intent.effect_id not in tried:
                    tried.add(intent.effect_id)
                    self.tell(RetryEffect(effect_id=intent.effect_id, note="once more"))
            if not self.waiting():
                break
        left = [intent for intent in self.waiting() if intent.status != "parked"]
        assert not left, f"still not ended: {left}"
        for intent in self.waiting():
            self.hits["parked for good"] += 1
            self.upset.add(intent.group)
            self.parked.add(intent.group)
        self.check()

    def waiting(self) -> list[Intent]:
        """Effects that have not ended; asking a carrier where parcels are may go on."""
        found = list[Intent]()
        for status in ("ready", "sending", "pending", "unknown", "parked"):
            found += [one for one in self.shop.find(Intent, status=status, limit=1000) if one.kind != Track.__name__]
        return found

    def check_ends(self) -> None:
        """After the calm phase."""
        verify.check_all(self.shop).require()
        if self.lies:
            return
        for order_id in self.orders:
            order = self.shop.get(Order, order_id)
            for payment_id in order.payments:
                self.check_books(order, self.shop.get(Payment, payment_id))
            self.check_end(order)

    def check_books(self, order: Order, payment: Payment) -> None:
        """The book is the provider's."""
        amounts = payment.amounts
        if not payment.gateway or order.order_id in self.parked:
            return
        assert not payment.asks, f"{payment.payment_id} still waits for {payment.asks}"
        account = self.gateways[payment.gateway].accounts.get(payment.payment_id)
        ours = (
            amounts.authorised,
            amounts.captured,
            amounts.voided + amounts.expired,
            amounts.refunded + amounts.charged_back,
        )
        theirs = (
            (
                account.authorised,
                account.captured,
                account.voided + account.expired,
                account.refunded + account.charged_back,
            )
            if account
            else (0, 0, 0, 0)
        )
        assert ours == theirs, f"{payment.payment_id}: we say {ours}, the provider {theirs}"

    def check_end(self, order: Order) -> None:
        declined = {verb for tally in order.payments.values() for verb in tally.declined}
        assert order.order_id in self.parked or not balance(order), balance(order)
        money = order.money
        kept = money.paid - money.refund_pending  # what was paid elsewhere is given back by hand
        if order.status in verify.ENDED and order.status != "closed":
            self.hits["ended early"] += 1
            if any(line.kind == "stocked" for line in order.lines.values()):
                claims = self.shop.get(Reservation, order.order_id).claims
                assert not claims, f"{order.order_id} is {order.status} and claims {claims}"
            assert not order.count(*IN_THE_HOUSE)
            if order.order_id not in self.upset:
                assert "refund" in declined or kept == 0, f"{order.order_id} is {order.status} and keeps {kept}"
                assert "void" in declined or money.open == 0, f"{order.order_id} is {order.status}, open {money.open}"
            assert order.payment_status != "overpaid" or money.paid > 0, f"{order.order_id} is overpaid by nothing"
        elif order.order_id not in self.upset and not declined:
            assert kept <= max(order.due.minor, 0), f"{order.order_id} keeps {kept}, due {order.due}"
            if order.terms.kind == "now":
                assert kept >= earned(order), f"{order.order_id} keeps {kept}, earned {earned(order)}"


__all__ = ["World"]
