"""What is broken on purpose is found, and named by its law."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import pytest

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    Capability,
    Line,
    Money,
    OnAccount,
    Order,
    OrderManagement,
    Payment,
    PlaceOrder,
    ReceiveStock,
    Reservation,
    Stock,
    verify,
)
from ordermgmt.engine.transaction import Key, Row
from ordermgmt.orders.messages import OrderConfirmed
from ordermgmt.orders.model import Charge
from ordermgmt.storage import MemoryStorage
from tests.laws.driver import World
from tests.laws.test_found import Bench


def broken(bench: Bench, kind: str, id: str, change: Callable[[Any], Any]) -> None:
    """Change a saved state behind the shop's back."""
    storage = bench.shop.storage
    assert isinstance(storage, MemoryStorage)
    codec = bench.shop.assembly.codec
    row = storage.read([(kind, id)])[kind, id]
    doc = codec.encode(change(codec.decode(row.doc)))
    storage._rows[kind, id] = Row(row.key, row.version, doc, row.head, row.at)


def with_units(order: Order, units: dict[str, int]) -> Order:
    return attrs.evolve(order, lines={"1": attrs.evolve(order.lines["1"], units=units)})


def with_captured(payment: Payment) -> Payment:
    return attrs.evolve(payment, amounts=attrs.evolve(payment.amounts, captured=7))


BROKEN: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "Q1": ("order", "A", lambda order: with_units(order, {"reserved": 3})),
    "S3": ("order", "A", lambda order: with_units(order, {"reserved": 1, "open": 1})),
    "C4": ("order", "A", lambda order: attrs.evolve(order, status="cancelled")),
    "M6": ("order", "A", lambda order: attrs.evolve(order, payments={})),
    "M5": ("payment", "A:1", with_captured),
    "S2": ("stock", "main/cup", lambda stock: attrs.evolve(stock, reserved=11)),
    "Q2": ("shipment", "A:s1", lambda one: attrs.evolve(one, contents=(attrs.evolve(one.contents[0], quantity=3),))),
    "M8": ("payment", "A:1", lambda payment: attrs.evolve(payment, currency="USD")),
}


@pytest.mark.parametrize("law", BROKEN)
def test_a_state_that_does_not_add_up_is_found_with_its_order(law: str) -> None:
    bench = Bench()
    bench.place("A")
    bench.shop.settle("A")
    verify.check_order(bench.shop, "A")
    broken(bench, *BROKEN[law])
    report = verify.check_all(bench.shop)
    assert law in {breach.law for breach in report.breaches}
    with pytest.raises(verify.Breach):
        verify.check_order(bench.shop, "A")


def test_a_state_changed_behind_the_history_is_found() -> None:
    bench = Bench()
    bench.place("A")
    broken(bench, "order", "A", lambda order: attrs.evolve(order, reference="forged"))
    with pytest.raises(verify.Breach) as found:
        verify.check_entity(bench.shop, "order", "A")
    assert found.value.law == "J2"


def test_a_promise_no_order_claims_is_found() -> None:
    bench = Bench()
    bench.place("A")
    broken(bench, "stock", "main/cup", lambda stock: attrs.evolve(stock, reserved=stock.reserved + 1))
    laws = {(breach.law, breach.id) for breach in verify.check_all(bench.shop).breaches}
    assert ("S2", "main/cup") in laws
    assert ("S1", "main/cup") in laws


def test_a_changed_event_breaks_the_chain_where_it_was_changed() -> None:
    bench = Bench()
    bench.place("A")
    storage = bench.shop.storage
    assert isinstance(storage, MemoryStorage)
    entries = storage._history["order", "A"]
    entry = entries[1]
    parts = {name: getattr(entry, name) for name in ("key", "version", "doc", "hash", "at", "cause", "command_id")}
    entries[1] = type(entry)(**parts, actor="nobody", position=entry.position)
    with pytest.raises(verify.Breach, match="event 2") as found:
        verify.check_entity(bench.shop, "order", "A")
    assert found.value.law == "J4"


def test_an_entity_missing_from_its_index_is_found() -> None:
    bench = Bench()
    bench.place("A")
    storage = bench.shop.storage
    assert isinstance(storage, MemoryStorage)
    storage._indexes["order", "status"].discard("placed", "A")
    report = verify.check_all(bench.shop)
    assert ("index", "order", "A") in {(breach.law, breach.kind, breach.id) for breach in report.breaches}


@pytest.mark.parametrize("name", ["credits", "gift wrap"])
def test_a_charge_may_have_any_name_and_each_is_checked(name: str) -> None:
    bench = Bench()
    bench.place("A")
    charges = (Charge(name=name, minor=10**18), Charge(name=name, minor=200))
    broken(bench, "order", "A", lambda order: attrs.evolve(order, charges=charges))
    assert "M8" in {breach.law for breach in verify.check_all(bench.shop).breaches}


def test_what_belongs_together_is_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One read for fifty entities and all that their laws look at, so that a store far away is verified in time."""
    world = World(0)
    world.run(150)
    sizes = list[int]()
    read = MemoryStorage.read

    def counted(self: MemoryStorage, keys: Collection[Key]) -> Mapping[Key, Row]:
        sizes.append(len(keys))
        return read(self, keys)

    monkeypatch.setattr(MemoryStorage, "read", counted)
    report = verify.check_all(world.shop).require()
    assert sum(report.entities.values()) > 150
    assert report.entities["order"] > 20
    assert len(sizes) < 12, sizes


def test_a_shop_in_order_has_no_breach() -> None:
    bench = Bench()
    bench.place("A")
    bench.shop.settle("A")
    told = list[tuple[str, int]]()
    report = verify.check_all(bench.shop, progress=lambda kind, n: told.append((kind, n)))
    assert report.ok
    assert ("order", 1) in told
    assert bench.shop.get(Reservation, "A").claims
    assert bench.shop.get(Stock, ("cup", "main")).reserved == 2


def test_a_state_that_does_not_stand_where_its_arrow_led_is_found() -> None:
    def forgetful(capability: Capability[Any]) -> Capability[Any]:
        if OrderConfirmed not in capability.evolve:
            return capability
        return attrs.evolve(capability, evolve={**capability.evolve, OrderConfirmed: lambda state, event: state})

    shop = OrderManagement(storage=MemoryStorage(), capabilities=tuple(map(forgetful, DEFAULT_CAPABILITIES)), actor="t")
    shop.handle(ReceiveStock(sku="cup", quantity=1))
    line = Line(sku="cup", quantity=1, unit_price=Money("9.50", "EUR"))
    shop.handle(PlaceOrder(order_id="A", lines=[line], pay=OnAccount(days=30)))
    assert ("C1", "A") in {(breach.law, breach.id) for breach in verify.check_all(shop).breaches}
