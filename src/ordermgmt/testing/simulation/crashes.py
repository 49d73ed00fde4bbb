"""Every crash there is: a story is told once to count its boundaries, then once for each of them with a death there.

After the death somebody else takes over: the lease runs out, the command is sent again under its id, due work is done
again.  Then the story goes on, everything must end, every law must hold, and it must end as it does without a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import attrs
from attrs import field

from ...engine.messages import Command
from ...management import OrderManagement
from ...money import Money, UnitPrice
from ...orders.entry import Line, OnAccount, PaidElsewhere, PayNow, PlaceOrder, Tender
from ...orders.messages import CancelOrder, CancelUnits, ConfirmOrder, GrantCredit, Move, MoveUnits, RejectOrder
from ...orders.model import Address
from ...settings import LEASE
from ...shipments.messages import AskLabel, CancelShipment, HandOverShipment, PackShipment, PickShipment, PlanShipment
from ...shipments.model import DELIVERED, UNDELIVERABLE, Content
from ...stock.messages import CommitReservation, PutAwayStock, ReceiveStock
from ...stock.model import Claim
from ...storage import MemoryStorage
from ...values import frozen
from .actors import ask
from .driving import Steps, work
from .faults import CRASH_NAMES, Faults
from .world import ShopFactory, World

Deed = Callable[[World], Steps]


@frozen
class Scenario:
    """A story: what is done, one after the other, and how the network behaves."""

    name: str
    deeds: tuple[Deed, ...]
    faults: Faults = field(factory=Faults.none)
    decided: bool = True
    """False where a crash may rightly change how it ends: a person must say what became of a blind payment."""


def crash_everywhere(scenario: Scenario, shop_factory: ShopFactory = OrderManagement) -> int:
    """Crash at every boundary of the story, singly; answers how many there are.  Raises `SimulationFailed`."""
    boundaries, wanted = _told(scenario, shop_factory, 0)
    for n in range(1, boundaries + 1):
        _, ending = _told(scenario, shop_factory, n)
        if scenario.decided and ending != wanted:
            raise AssertionError(f"{scenario.name}: crashed at boundary {n} it ends {ending}, else {wanted}")
    return boundaries


def _told(scenario: Scenario, shop_factory: ShopFactory, crash_at: int) -> tuple[int, list[tuple[str, ...]]]:
    """The story with a crash at a boundary, or without: how many boundaries it has, and how it ends."""
    world = World(shop_factory, 7, scenario.faults, storage=MemoryStorage(), exclusive=True, cast=False)
    passed = 0
    for deed in scenario.deeds:
        passed, died = _played(world, deed, passed, crash_at)
        if died:
            world.pass_time(LEASE + timedelta(seconds=1))
            world.finish(world.god, deed(world))
    world.end()
    orders = world.watch.states("order")
    return passed, [(o.order_id, o.status, o.payment_status, o.fulfilment_status) for o in orders]


def _played(world: World, deed: Deed, passed: int, crash_at: int) -> tuple[int, bool]:
    god = world.god
    god.doing = deed(world)
    while god.doing is not None:
        world.step_of(god)
        if god.at in CRASH_NAMES:
            passed += 1
            if passed == crash_at:
                world.note(god, CRASH_NAMES[god.at])
                world.kill(god)
                return passed, True
    return passed, False


# Deeds.


def tell(command: Command[Any]) -> Deed:
    """Handle a command, under an id that its words give it."""
    return lambda world: ask(world.god, command, str(abs(hash_of(command))))


def hash_of(command: Command[Any]) -> int:
    """The same number for the same words, in every process."""
    return sum(ord(letter) * (n + 1) for n, letter in enumerate(repr(command)))


def place(order_id: str = "A", *, units: int = 3, pay: Any = None, carrier: str = "parcel", **more: Any) -> Deed:
    """An order of some cups."""
    terms = pay if pay is not None else PayNow([Tender("card", token="tok_visa")])  # noqa: S106 - a test token
    lines = [Line(sku="cup", quantity=units, unit_price=UnitPrice("3.333333", "EUR"))]
    address = Address(name="Ann", street="Long Lane 1", city="York", country="GB")
    shipping = Money("4.90", "EUR")
    return tell(
        PlaceOrder(
            order_id=order_id, lines=lines, pay=terms, carrier=carrier, shipping=shipping, ship_to=address, **more
        )
    )


def by(gateway: str, token: str = "tok_visa", **more: Any) -> Any:  # noqa: S107 - a test token
    """Paid at once through one gateway."""
    return PayNow([Tender(gateway, token=token, **more)])


def due(world: World) -> Steps:
    """All due work."""
    return work(world, world.god, "god", world.worker.due_work())


def settle(order_id: str) -> Deed:
    """The due work of one order."""
    return lambda world: work(world, world.god, "god", world.worker.due_work(order_id))


def hear(world: World) -> Steps:
    """Every webhook that is on its way arrives; it is taken off only when it was acknowledged."""
    while world.webhooks:
        port, notice = world.webhooks[0]
        yield from work(world, world.god, "god", world.operator.receive(port, [notice]))
        world.webhooks.pop(0)


def compare(gateway: str) -> Deed:
    """Books are compared with a gateway."""
    return lambda world: work(
        world,
        world.god,
        "god",
        world.operator.reconcile(("gateways", gateway), world.now - timedelta(hours=3), None),
    )


def wait(**span: float) -> Deed:
    """Time passes."""

    def waiting(world: World) -> Steps:
        world.pass_time(timedelta(**span))
        yield from ()

    return waiting


def report(kind: str) -> Deed:
    """The carrier reports of every parcel on its way."""

    def reporting(world: World) -> Steps:
        for parcels in world.carriers:
            for number in sorted(parcels.tracked):
                parcels.report(number, kind)
        yield from ()

    return reporting


STOCKED = tell(ReceiveStock(sku="cup", quantity=20))
PACKED = tell(PackShipment(shipment_id="A:s1"))
OUT = tell(HandOverShipment(shipment_id="A:s1"))
CANCELLED = tell(CancelOrder(order_id="A", reason="changed my mind"))
PAID = (STOCKED, place(), due)
SHIPPED = (*PAID, PACKED, due, OUT, due)


def _scenarios() -> Iterator[Scenario]:
    yield Scenario("authorised", PAID)
    yield Scenario("sold at once", (STOCKED, place(pay=by("card", sale=True)), due))
    halves = PayNow([Tender("card", token="t", amount=Money("5.00", "EUR")), Tender("voucher", token="t")])  # noqa: S106
    yield Scenario("two tenders", (STOCKED, place(pay=halves), due, PACKED, due, OUT, due))
    yield Scenario("declined", (STOCKED, place(pay=by("card", "tok_decline")), due))
    yield Scenario("cancelled before it was sent", (STOCKED, place(), CANCELLED, due))
    yield Scenario("cancelled when authorised", (*PAID, CANCELLED, due))
    yield Scenario("cancelled when paid", (STOCKED, place(pay=by("card", sale=True)), due, CANCELLED, due))
    yield Scenario(
        "cancelled when packed", (*PAID, PACKED, due, CANCELLED, due, tell(PutAwayStock(sku="cup", quantity=3)))
    )
    yield Scenario("shipped and delivered", (*SHIPPED, report(DELIVERED), hear, due))
    yield Scenario(
        "some units cancelled", (*PAID, tell(CancelUnits(order_id="A", units={"1": 1})), PACKED, due, OUT, due)
    )
    two = (
        tell(CancelShipment(shipment_id="A:s1")),
        tell(PlanShipment(shipment_id="A:s2", contents=(Content("A", "1", 1),), carrier="parcel")),
        tell(PlanShipment(shipment_id="A:s3", contents=(Content("A", "1", 2),), carrier="parcel")),
        tell(PackShipment(shipment_id="A:s2")),
        due,
        tell(HandOverShipment(shipment_id="A:s2")),
        due,
    )
    yield Scenario("two parcels", (*PAID, *two, tell(PackShipment(shipment_id="A:s3")), due))
    yield Scenario(
        "one parcel out, the rest cancelled", (*PAID, *two, tell(CancelUnits(order_id="A", units={"1": 2})), due)
    )
    credit = tell(GrantCredit(order_id="A", amount=Money("2.00", "EUR"), reason="late"))
    yield Scenario("a credit after the capture", (*SHIPPED, credit, due))
    again = (
        report(UNDELIVERABLE),
        hear,
        due,
        tell(MoveUnits(order_id="A", moves=(Move("1", "reship", 3),))),
        tell(CommitReservation(order_id="A", claims=(Claim("1", "cup", "main", 3),))),
        tell(PlanShipment(shipment_id="A:s2", contents=(Content("A", "1", 3),), carrier="parcel")),
        tell(PackShipment(shipment_id="A:s2")),
        due,
        tell(HandOverShipment(shipment_id="A:s2")),
    )
    yield Scenario("lost and sent again", (*SHIPPED, *again, due))
    yield Scenario(
        "picked, packed, given up",
        (*PAID, tell(PickShipment(shipment_id="A:s1")), PACKED, due, tell(CancelShipment(shipment_id="A:s1")), due),
    )
    yield Scenario("a second label", (*PAID, PACKED, tell(AskLabel(shipment_id="A:s1")), due, OUT, due))
    late = place(pay=by("card", "tok_decline"), pay_within=timedelta(hours=1))
    yield Scenario("expired", (STOCKED, late, due, wait(hours=2), due))
    cash = PaidElsewhere(method="cash", amount=Money("14.90", "EUR"))
    yield Scenario("paid elsewhere", (STOCKED, place(pay=cash), due, PACKED, due, OUT, due))
    yield Scenario("on account", (STOCKED, place(pay=OnAccount(days=30)), due, PACKED, due, OUT, due))
    yield Scenario("rejected", (STOCKED, place(confirm="by_hand"), due, tell(RejectOrder(order_id="A")), due))
    yield Scenario(
        "confirmed by hand",
        (STOCKED, place(confirm="by_hand"), due, tell(ConfirmOrder(order_id="A")), PACKED, settle("A"), OUT, due),
    )
    later = attrs.evolve(Faults.none(), pending=1.0)
    yield Scenario("answered later", (STOCKED, place(), due, wait(hours=12), hear, due), faults=later)
    lost = attrs.evolve(Faults.none(), lost_response=0.5)
    for gateway in ("card", "wallet", "bank", "voucher", "invoice"):
        deeds = (STOCKED, place(pay=by(gateway)), due, wait(minutes=20), due, CANCELLED, due, wait(hours=1), hear, due)
        yield Scenario(f"answers lost by {gateway}", deeds, faults=lost)
    blind = (STOCKED, place(pay=by("terminal")), due, PACKED, due, OUT, due)
    yield Scenario("a blind terminal", blind, decided=False)
    yield Scenario("books compared", (STOCKED, place(), compare("card"), due, compare("card"), CANCELLED, due))
    yield Scenario("heard before it was answered", (STOCKED, place(), due, hear, due, CANCELLED, due, hear, due))


SCENARIOS: tuple[Scenario, ...] = tuple(_scenarios())
"""The stories that are told with every crash."""
