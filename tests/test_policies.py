"""Rules of a host's own: asked about every command, never about news, and remembered like any other refusal."""

from typing import Any

import pytest
from attrs import define, field, make_class

from ordermgmt import (
    CancelOrder,
    ConfirmOrder,
    GrantCredit,
    Line,
    Misconfigured,
    Money,
    NamedPolicy,
    OnAccount,
    Order,
    OrderManagement,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Refused,
    RejectOrder,
    Seen,
    Tender,
)
from ordermgmt.orders.messages import NotePayment
from ordermgmt.storage import MemoryStorage
from ordermgmt.testing import FakePayments


@define
class TooGenerous(Refused):
    """A credit above what anybody may grant."""

    order_id: str
    amount: Money

    @property
    def message(self) -> str:
        return f"{self.amount} on {self.order_id} is too much"


class Closed(Refused):
    """The shop is closed."""


def no_large_credits(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
    if isinstance(command, GrantCredit) and command.amount.minor > 100:
        return TooGenerous(command.order_id, command.amount)
    return None


def shop_with(*policies: NamedPolicy) -> OrderManagement:
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()}, policies=policies)
    shop.handle(ReceiveStock(sku="mug", quantity=9))
    return shop


def place(shop: OrderManagement, pay: PayNow | OnAccount) -> Order:
    mug = Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR"))
    return shop.handle(PlaceOrder(order_id="A-1", lines=[mug], pay=pay, confirm="by_hand"))


CREDIT = GrantCredit(order_id="A-1", amount=Money("5.00", "EUR"))


def test_a_refusal_of_a_hosts_rule_is_raised_again_under_its_command_id() -> None:
    shop = shop_with(NamedPolicy("small credits", no_large_credits, refusals=(TooGenerous,)))
    place(shop, OnAccount())
    for _ in range(2):
        with pytest.raises(TooGenerous) as no:
            shop.handle(CREDIT, command_id="c-1")
        assert (no.value.order_id, no.value.amount) == ("A-1", Money("5.00", "EUR"))


def test_a_refusal_that_nobody_named_says_on_repeat_what_it_was() -> None:
    shop = shop_with(NamedPolicy("small credits", no_large_credits))
    place(shop, OnAccount())
    with pytest.raises(TooGenerous):
        shop.handle(CREDIT, command_id="c-1")
    with pytest.raises(Refused, match="TooGenerous"):
        shop.handle(CREDIT, command_id="c-1")


def tomorrows(limit: Any) -> Any:
    """The same refusal as a later version of the host has it, with a further field."""
    return make_class("TooGenerous", {"order_id": field(type=str), "limit": limit}, bases=(Refused,))


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (field(type=int, default=100), "TooGenerous(order_id='A-1', limit=100"),
        (field(type=int), 'Refused("refused before: TooGenerous'),
    ],
)
def test_a_refusal_that_has_got_another_field_since_is_raised_again_all_the_same(limit: Any, told: str) -> None:
    shop = shop_with(NamedPolicy("small credits", no_large_credits, refusals=(TooGenerous,)))
    place(shop, OnAccount())
    with pytest.raises(TooGenerous):
        shop.handle(CREDIT, command_id="c-1")

    policy = NamedPolicy("small credits", no_large_credits, refusals=(tomorrows(limit),))
    later = OrderManagement(storage=shop.storage, gateways={"card": FakePayments()}, policies=[policy])
    with pytest.raises(Refused) as no:
        later.handle(CREDIT, command_id="c-1")

    assert repr(no.value).startswith(told)


def test_a_refusal_without_fields_may_be_given_its_sentence() -> None:
    assert str(Closed("come back at nine")) == "come back at nine"
    assert str(Closed()) == "The shop is closed."


def test_a_rule_is_asked_about_what_follows_from_a_command() -> None:
    asked = list[str]()

    def note(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        asked.append(type(command).__name__)
        return None

    shop = shop_with(NamedPolicy("note", note))
    place(shop, OnAccount())
    assert {"PlaceOrder", "CommitReservation", "ReserveStock", "MoveUnits"} <= set(asked)


def test_a_rule_is_not_asked_about_news() -> None:
    asked = list[type[Any]]()

    def note(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        asked.append(type(command))
        return None

    shop = shop_with(NamedPolicy("note", note))
    place(shop, PayNow([Tender("card", token="tok_visa")]))
    assert shop.settle("A-1").payment_status == "authorised"
    assert PlaceOrder in asked
    assert NotePayment not in asked


def test_what_a_rule_refuses_changes_nothing() -> None:
    def closed(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        return Closed() if isinstance(command, ConfirmOrder) else None

    shop = shop_with(NamedPolicy("closed", closed))
    before = place(shop, OnAccount())
    feed = shop.feed()
    with pytest.raises(Closed):
        shop.handle(ConfirmOrder(order_id="A-1"))
    assert shop.get(Order, "A-1") == before
    assert shop.feed() == feed
    assert shop.handle(RejectOrder(order_id="A-1")).status == "rejected"


def test_a_rule_can_decide_by_who_asks() -> None:
    def only_a_manager(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        return Closed() if isinstance(command, RejectOrder) and seen.by != "manager" else None

    shop = shop_with(NamedPolicy("only a manager rejects", only_a_manager))
    place(shop, OnAccount())
    with pytest.raises(Closed):
        shop.handle(RejectOrder(order_id="A-1"), by="clerk")
    assert shop.get(Order, "A-1").status != "rejected"


def test_a_rule_that_is_satisfied_with_who_asks_lets_the_command_pass() -> None:
    def only_a_manager(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        return Closed() if isinstance(command, CancelOrder) and seen.by != "manager" else None

    shop = shop_with(NamedPolicy("only a manager cancels", only_a_manager))
    place(shop, OnAccount())
    assert shop.handle(CancelOrder(order_id="A-1"), by="manager").status == "cancelled"


def a_rule_with_a_bug(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
    raise LookupError("no such table")


@pytest.mark.parametrize("rule", [a_rule_with_a_bug, lambda command, state: None])
def test_a_rule_that_fails_is_named(rule: Any) -> None:
    shop = OrderManagement(storage=MemoryStorage(), policies=[NamedPolicy("opening hours", rule)])

    with pytest.raises((LookupError, TypeError)) as failed:
        shop.handle(ReceiveStock(sku="mug", quantity=9))

    assert failed.value.__notes__ == ["raised by the policy 'opening hours', asked about ReceiveStock"]


def test_a_bare_function_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(Misconfigured, match=r"NamedPolicy\('a name', your_function\)"):
        shop_with(no_large_credits)  # type: ignore[arg-type]  # as an untyped host may


def test_a_rule_may_raise_its_refusal_too() -> None:
    def closed(command: Any, state: Any, seen: Seen, at: Any) -> Refused | None:
        raise Closed

    shop = OrderManagement(storage=MemoryStorage(), policies=[NamedPolicy("opening hours", closed)])
    with pytest.raises(Closed):
        shop.handle(ReceiveStock(sku="mug", quantity=9))
