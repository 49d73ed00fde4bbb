"""Whatever a caller passes: an error of ours, and nothing has changed.  Every public command is found and tried."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import attrs
import pendulum
import pytest
from pendulum import DateTime

import ordermgmt
from ordermgmt import (
    AddNote,
    Address,
    AdvanceOrder,
    Amendment,
    AmendOrder,
    Approval,
    Approve,
    AskLabel,
    CancelEffect,
    CancelOrder,
    CancelOrderChange,
    CancelShipment,
    CancelUnits,
    CapturePayment,
    CloseOrder,
    Command,
    ConfirmOrder,
    ConfirmOrderChange,
    Content,
    DeclineApproval,
    DeclineOrderChange,
    Discount,
    Discrepancy,
    DraftOrder,
    DraftOrderChange,
    EditDraft,
    EditOrderChange,
    ExpireOrder,
    ExpireOrderChange,
    GatewayCapabilities,
    GrantCredit,
    HandOverShipment,
    HoldOrder,
    Intent,
    InvalidInput,
    Item,
    Label,
    Line,
    LineChange,
    ManualClock,
    Money,
    Move,
    MoveUnits,
    NamedPolicy,
    NeedsApproval,
    News,
    OnAccount,
    Order,
    OrderManagement,
    OrderManagementError,
    PackShipment,
    PaidElsewhere,
    Payment,
    PayNow,
    Personal,
    PickShipment,
    PlaceDraft,
    PlaceOrder,
    PlanShipment,
    PutAwayStock,
    QuoteOrder,
    ReceiveStock,
    RecordAuthorisation,
    RecordCapture,
    RecordChargeback,
    RecordDecline,
    RecordDelivery,
    RecordExpiry,
    RecordLabel,
    RecordLabelVoided,
    RecordNoLabel,
    RecordNoTracking,
    RecordRefund,
    RecordRefundFailed,
    RecordRefundSent,
    RecordRefundSucceeded,
    RecordSale,
    RecordScan,
    RecordUndeliverable,
    RecordVoid,
    RejectOrder,
    ReleaseHold,
    RequestOrderChange,
    RequestRefund,
    ResolveDiscrepancy,
    RetryEffect,
    RevertAmendment,
    RevertOrderChange,
    RoundingPolicy,
    SetGoodsAside,
    Shipment,
    Stock,
    Surcharge,
    Tax,
    Tender,
    UnitPrice,
    VoidPayment,
    WithdrawApproval,
    WithdrawQuote,
    orders,
)
from ordermgmt.orders.lifecycle import ORDER
from ordermgmt.storage import MemoryStorage
from ordermgmt.storage.memory import _Index as Index
from ordermgmt.testing import FakeCarrier, FakePayments
from tests.stories import ANN, card_pays, eur, laws_hold, line, paid_for, place, sent

COMMANDS = sorted(
    (
        value
        for name in ordermgmt.__all__
        if isinstance(value := getattr(ordermgmt, name), type)
        and issubclass(value, Command)
        and value not in (Command, News)
    ),
    key=lambda command: command.__name__,
)


def two_people(command: Any, state: Any, seen: Any, at: Any) -> NeedsApproval | None:
    wanted = isinstance(command, HoldOrder) and command.reason == "two people"
    return NeedsApproval("a grave reason") if wanted else None


def furnished() -> OrderManagement:
    """A shop in which every example below is accepted."""
    clock = ManualClock()
    card, mute, parcels = FakePayments(clock=clock), FakePayments(clock=clock), FakeCarrier(clock=clock)
    # This one can neither be asked nor told twice, so that an unknown outcome is parked.
    mute.capabilities = GatewayCapabilities()
    checked = attrs.evolve(
        orders,
        lifecycle=ORDER.redrawn(add=[("placed", "check", "checked"), ("checked", "confirm", "confirmed")]),
    )
    capabilities = [checked if one is orders else one for one in ordermgmt.DEFAULT_CAPABILITIES]
    shop = OrderManagement(
        storage=MemoryStorage(),
        gateways={"card": card, "mute": mute},
        carriers={"parcel": parcels},
        clock=clock,
        capabilities=capabilities,
        policies=[NamedPolicy("two people", two_people)],
    )
    shop.handle(ReceiveStock(sku="mug", quantity=100))
    place(shop, "hand", confirm="by_hand")
    shop.settle("hand")
    paid_for(shop, "paid", line("mug", 3), line("pen", 2), carrier="parcel", ship_to=ANN)
    sent(shop, "done")
    shop.handle(RecordDelivery(shipment_id="done:s1"))
    sent(shop, "road", carrier="parcel", ship_to=ANN)
    # A label that the carrier would not sell: the parcel is packed without.
    paid_for(shop, "boxed", carrier="parcel")
    parcels.decline_next("BuyLabel")
    shop.handle(PackShipment(shipment_id="boxed:s1"))
    shop.settle("boxed")
    # A refund that the provider would not pay.
    paid_for(shop, "back", pay=card_pays(sale=True))
    card.decline_next("SendRefund")
    shop.handle(CancelOrder(order_id="back"))
    shop.settle("back")
    # One that it paid, and one that nobody has asked it for yet.
    for order_id in ("given", "owed"):
        paid_for(shop, order_id, pay=card_pays(sale=True))
        shop.handle(CancelOrder(order_id=order_id))
    shop.settle("given")
    # Held stock.
    paid_for(shop, "held")
    shop.handle(PickShipment(shipment_id="held:s1"))
    shop.handle(CancelOrder(order_id="held"))
    shop.settle("held")
    # A parked effect.
    mute.fail_next()
    paid_for(shop, "mute", pay=PayNow([Tender("mute", token="tok")]))
    clock.advance(hours=1)
    shop.settle("mute")
    # Changes: one drafted, one requested, one confirmed; and an order that was amended directly.
    fewer = Amendment(lines=[LineChange(line_id="1", quantity=2)])
    for order_id in ("drafting", "asking", "changed", "amended"):
        paid_for(shop, order_id)
    for change_id, order_id in (("draft", "drafting"), ("asked", "asking"), ("done", "changed")):
        shop.handle(DraftOrderChange(change_id=change_id, order_id=order_id, amendment=fewer))
    shop.handle(RequestOrderChange(change_id="asked"))
    shop.handle(ConfirmOrderChange(change_id="done"))
    shop.handle(AmendOrder(order_id="amended", amendment=fewer))
    paid_for(shop, "plain")
    place(shop, "new")
    place(shop, "free", pay=OnAccount())
    place(shop, "later", goods="later")
    place(shop, "waits", pay=OnAccount())
    shop.handle(HoldOrder(order_id="waits", reason="address"))
    shop.handle(DraftOrder(order_id="draft", lines=[line("mug", 3)]))
    shop.handle(DraftOrder(order_id="quoted", lines=[line("mug", 3)]))
    shop.handle(QuoteOrder(order_id="quoted", valid_for=dt.timedelta(days=7)))
    shop.request_approval(HoldOrder(order_id="draft", reason="two people"), by="ann")
    return shop


TABLES = ("_rows", "_history", "_feed", "_personal", "_ids", "_indexes")


def copied(table: Any) -> Any:
    """A table with copies of the lists and tables in it; what those hold is frozen."""
    if isinstance(table, list):
        return list(table)
    if isinstance(table, dict):
        twin = table.copy()  # of the same kind, with the same default
        twin.update((key, copied(one)) for key, one in table.items() if isinstance(one, list | Index))
        return twin
    return Index(*map(copied, table))


def kept(shop: OrderManagement) -> dict[str, Any]:
    """Everything in the store, history, feed, effects, indexes and personal data included.

    Taken from the store's own tables, because it is compared ten thousand times here.
    """
    return {name: copied(getattr(shop.storage, name)) for name in TABLES}


def put_back(shop: OrderManagement, before: dict[str, Any]) -> None:
    """The store as it was."""
    for name, table in before.items():
        setattr(shop.storage, name, copied(table))


@attrs.frozen
class Shared:
    shop: OrderManagement
    before: dict[str, Any]


@pytest.fixture(scope="module")
def shared() -> Shared:
    """A shop that no test changes."""
    shop = furnished()
    return Shared(shop, kept(shop))


@pytest.fixture
def shop(shared: Shared) -> Iterator[OrderManagement]:
    """The same shop, put back afterwards."""
    yield shared.shop
    put_back(shared.shop, shared.before)


def fact(**more: Any) -> dict[str, Any]:
    return {"payment_id": "paid:1", "order_id": "paid", "transaction_id": "txn", "amount": eur("1.00")} | more


ENTRY: dict[str, Any] = {
    "ship_to": ANN,
    "bill_to": ANN,
    "customer": "ann",
    "channel": "web",
    "location": "main",
    "carrier": "parcel",
    "reference": "PO 7",
    "external": "web-1001",
}
SWAP = Amendment(add=[line("mug", 1)], lines=[LineChange(line_id="1", quantity=2)], charges={"gift wrap": eur("2.00")})

EXAMPLES: Mapping[type[Command[Any]], dict[str, Any]] = {
    AddNote: {"order_id": "paid", "text": "called twice", "line_id": "1"},
    AdvanceOrder: {"order_id": "hand", "step": "check", "note": "looks good"},
    AmendOrder: {"order_id": "paid", "amendment": SWAP, "ship_to": ANN, "pay": card_pays(), "reason": "asked for"},
    Approve: {"approval_id": "", "note": "fine"},
    AskLabel: {"shipment_id": "boxed:s1"},
    CancelEffect: {"effect_id": "payment.new:1.000001", "reason": "no"},
    CancelOrder: {"order_id": "paid", "reason": "no"},
    CancelOrderChange: {"change_id": "draft", "reason": "no"},
    CancelShipment: {"shipment_id": "paid:s1"},
    CancelUnits: {"order_id": "paid", "units": {"1": 1}, "reason": "no"},
    CapturePayment: {"payment_id": "paid:1", "amount": eur("1.00")},
    CloseOrder: {"order_id": "done"},
    ConfirmOrder: {"order_id": "hand"},
    DeclineApproval: {"approval_id": "", "note": "no"},
    DraftOrder: {"order_id": "fresh", "lines": [line("mug", 2)], "shipping": eur("4.90"), **ENTRY},
    EditDraft: {"order_id": "draft", "lines": [line("mug", 2)], "shipping": eur("4.90"), **ENTRY},
    ConfirmOrderChange: {"change_id": "asked", "pay": OnAccount()},
    DeclineOrderChange: {"change_id": "asked", "reason": "no"},
    DraftOrderChange: {
        "change_id": "fresh",
        "order_id": "paid",
        "amendment": SWAP,
        "ship_to": ANN,
        "valid_for": dt.timedelta(days=1),
        "reason": "asked for",
    },
    EditOrderChange: {"change_id": "draft", "amendment": SWAP, "ship_to": ANN, "reason": "asked for"},
    ExpireOrder: {"order_id": "new"},
    ExpireOrderChange: {"change_id": "draft"},
    GrantCredit: {"order_id": "paid", "amount": eur("1.00"), "reason": "late"},
    HandOverShipment: {"shipment_id": "plain:s1", "occurred_at": None},
    HoldOrder: {"order_id": "paid", "reason": "address", "note": "no such street"},
    MoveUnits: {"order_id": "hand", "moves": [Move("1", "pick", 1)], "reason": "", "partly": True},
    PackShipment: {"shipment_id": "paid:s1"},
    PickShipment: {"shipment_id": "paid:s1"},
    PlaceDraft: {
        "order_id": "draft",
        "pay": card_pays(),
        "confirm": "by_hand",
        "pay_within": dt.timedelta(days=1),
    },
    PlaceOrder: {
        "order_id": "fresh",
        "lines": [line("mug", 2)],
        "pay": card_pays(),
        "shipping": eur("4.90"),
        **ENTRY,
        "confirm": "by_hand",
        "pay_within": dt.timedelta(days=1),
        "placed_at": pendulum.datetime(2025, 12, 31),
        "requested_at": pendulum.datetime(2026, 2, 1),
        "goods": "later",
    },
    PlanShipment: {
        "shipment_id": "more",
        "contents": [Content("hand", "1", 1)],
        "carrier": "parcel",
        "location": "main",
        "ship_to": ANN,
        "consignment_id": "c1",
    },
    PutAwayStock: {"sku": "mug", "location": "main", "quantity": 1},
    QuoteOrder: {"order_id": "draft", "valid_for": dt.timedelta(days=1)},
    ReceiveStock: {"sku": "mug", "location": "main", "quantity": 1, "reference": "delivery 9"},
    RecordAuthorisation: fact(occurred_at=pendulum.datetime(2026, 1, 1), ask=0),
    RecordCapture: fact(),
    RecordChargeback: fact(),
    RecordDecline: {"payment_id": "new:1", "order_id": "new", "ask": 1, "code": "no funds"},
    RecordDelivery: {"shipment_id": "road:s1", "occurred_at": pendulum.datetime(2026, 1, 1)},
    RecordExpiry: fact(),
    RecordLabel: {"shipment_id": "boxed:s1", "label": Label(tracking_number="T1")},
    RecordLabelVoided: {"shipment_id": "road:s1", "tracking_number": "T1", "refused": "too late"},
    RecordNoLabel: {"shipment_id": "boxed:s1", "code": "no"},
    RecordNoTracking: {"shipment_id": "road:s1", "code": "no"},
    RecordRefund: fact(payment_id="done:1", order_id="done"),
    RecordRefundFailed: {"refund_id": "given:r1", "order_id": "given", "code": "no"},
    RecordRefundSent: {"refund_id": "owed:r1", "order_id": "owed"},
    RecordRefundSucceeded: {"refund_id": "back:r1", "order_id": "back", "reference": "r"},
    RecordSale: fact(),
    RecordScan: {"shipment_id": "road:s1", "occurred_at": None, "kind": "in_transit", "note": "Liège"},
    RecordUndeliverable: {"shipment_id": "road:s1", "occurred_at": None, "note": "lost"},
    RecordVoid: fact(),
    RejectOrder: {"order_id": "new", "reason": "no"},
    ReleaseHold: {"order_id": "waits", "reason": "address", "note": "found it"},
    RequestOrderChange: {"change_id": "draft"},
    RequestRefund: {
        "refund_id": "r9",
        "order_id": "back",
        "payment_id": "back:1",
        "amount": eur("1.00"),
        "reason": "x",
    },
    ResolveDiscrepancy: {"discrepancy_id": "", "note": "seen"},
    RevertAmendment: {"order_id": "amended", "change_id": "", "pay": OnAccount(), "reason": "no"},
    RevertOrderChange: {"change_id": "done", "pay": OnAccount(), "reason": "no"},
    RetryEffect: {"effect_id": "payment.mute:1.000001", "note": "try"},
    SetGoodsAside: {"order_id": "later"},
    VoidPayment: {"payment_id": "paid:1"},
    WithdrawApproval: {"approval_id": "", "note": "not needed"},
    WithdrawQuote: {"order_id": "quoted", "reason": "wrong price"},
}


class Weird:
    """Cannot be shown, compared, or turned into text."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Text(str):
    """A host's own kind of text."""

    __slots__ = ()


JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    10**9 + 1,
    10**30,
    10**5000,
    -(10**5000),
    0.0,
    1.5,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    "",
    " ",
    " padded ",
    "x" * 100,
    "x" * 600,
    "x" * 100_000,
    "a\0b",
    "\ud800",
    "a\nb",
    "a\u202eb",
    "naïve 漢字 🫖",
    "no-such-thing",
    "a/b",
    "'; DROP TABLE entity; --",
    b"bytes",
    [],
    {},
    (),
    set[str](),
    [[]],
    [None],
    [1],
    ["ab"],
    [("1", 2, 3)],
    [("1", 0)],
    {"1": 0},
    {"1": -1},
    {"1": True},
    {"1": 1.0},
    {"1": math.nan},
    {"1": 10**30},
    {1: 1},
    {"no-such-line": 1},
    {"\0": 1},
    [("1", 2), ("1", 2)],
    range(10**12),
    itertools.repeat(None),
    object(),
    Weird(),
    object,
    len,
    Text("mug"),
    Decimal("NaN"),
    Decimal(1),
    eur("0.00"),
    eur("-1.00"),
    Money("1.00", "USD"),
    Money("1", "JPY"),
    Money.of_minor(10**15, "EUR"),
    UnitPrice("0.000001", "EUR"),
    UnitPrice("-1", "EUR"),
    dt.datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
    dt.datetime.max,  # noqa: DTZ901 - as above
    dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-12))),
    pendulum.datetime(9999, 12, 31),
    dt.date(2026, 1, 1),
    dt.timedelta(0),
    dt.timedelta(-1),
    dt.timedelta.max,
    dt.timedelta.min,
    ANN,
    Label(tracking_number="T"),
    Personal("ann", "ref", None),
    Personal(Weird(), 7, None),  # type: ignore[arg-type]  # a reference that is none
    OnAccount(days=0),
    PaidElsewhere(method="cash", amount=eur("0.01")),
    [line("mug", 1), line("mug", 10**9, "999999.00")],
    [line("mug", 1, line_id="x"), line("mug", 1, line_id="x")],
    [line("mug", 1), Line(sku="mug", quantity=1, unit_price=Money("1.00", "USD"))],
    itertools.repeat(line("mug", 1)),
    [Content("hand", "1", 1), Content("hand", "1", 1)],
    [Content("hand", "1", 99)],
    [Content("hand", "9", 1)],
    [Content("no", "1", 1)],
    [("hand", "1", 0)],
    itertools.repeat(Content("hand", "1", 1)),
    [Move("1", "pick", 99)],
    [Move("9", "pick", 1)],
    [Move("1", "recall", 1)],
    [Move("1", "pick", 2), Move("1", "pick", 2)],
    itertools.repeat(Move("1", "pick", 1)),
    Amendment(lines=[LineChange(line_id="9", quantity=1)]),
    Amendment(add=[line("mug", 10**9, "999999.00")]),
    Amendment(charges={"shipping": Money("1.00", "USD")}),
    [Tender("nobody", token="t")],
    [Tender("card", token="t"), Tender("card", token="t")],
    CancelOrder(order_id="paid"),
)


def hostile() -> Iterator[Any]:
    yield from JUNK


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is of the annotated type, as a careful reader of the signature would have it."""
    options = get_args(hint) if type(None) in get_args(hint) or len(get_args(hint)) > 1 else (hint,)
    if hint in (int, float):
        return type(value) is hint
    for option in options:
        if option is DateTime and isinstance(value, dt.datetime):
            return value.tzinfo is not None
        plain = getattr(option, "__origin__", option)
        if isinstance(plain, type) and isinstance(value, plain):
            return True
    return False


def structured(hint: Any) -> bool:
    return "tuple" in str(hint)


def example(shop: OrderManagement, cls: type[Any]) -> dict[str, Any]:
    """The fields of an example that this shop accepts."""
    fields = dict(EXAMPLES[cls])
    if cls in (Approve, DeclineApproval, WithdrawApproval):
        fields["approval_id"] = shop.find(Approval)[0].approval_id
    if cls is ResolveDiscrepancy:
        fields["discrepancy_id"] = shop.find(Discrepancy, status="open")[0].discrepancy_id
    return fields


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_every_public_command_has_an_example_that_is_accepted(shop: OrderManagement, cls: type[Command[Any]]):
    before = kept(shop)

    shop.handle(cls(**example(shop, cls)))

    assert kept(shop) != before
    laws_hold(shop)


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_a_hostile_value_is_refused_with_an_error_of_ours_and_changes_nothing(
    shop: OrderManagement, cls: type[Command[Any]]
):
    before = kept(shop)
    told = list[str]()
    hints = get_type_hints(cls)
    for attribute in attrs.fields(cls):
        for junk in hostile():
            try:
                shop.handle(cls(**example(shop, cls) | {attribute.name: junk}))
            except OrderManagementError as problem:
                told.append(str(problem))
                assert kept(shop) == before, f"{attribute.name}={junk!r:.80} was refused, but something changed"
            else:
                hint = hints[attribute.name]
                assert structured(hint) or fits(hint, junk), f"{attribute.name}={junk!r:.80} was accepted"
                laws_hold(shop)
                put_back(shop, before)
    assert all(0 < len(text) < 1_000 for text in told)


# Values that commands are made of.


def priced(taxes: Any = (), **more: Any) -> PlaceOrder:
    """An order with a price to reckon."""
    return PlaceOrder(order_id="x", lines=[line("mug", 1, taxes=taxes)], pay=card_pays(), **more)


VALUES: Mapping[type[Any], tuple[dict[str, Any], Callable[[Any], Command[Any]]]] = {
    Tax: ({"name": "VAT", "percent": "19", "compound": False}, lambda value: priced(taxes=[value])),
    Discount: (
        {"name": "summer", "percent": 10, "most": eur("5.00"), "on": "lines", "only": ["1"], "groups_of": 1},
        lambda value: priced(adjustments=[value]),
    ),
    Surcharge: (
        {"name": "wrapping", "amount": eur("1.00"), "taxes": [Tax("VAT", 19)], "tax_class": "", "prices": "inclusive"},
        lambda value: priced(adjustments=[value]),
    ),
    RoundingPolicy: ({"tax_at": "unit", "tax": "down", "rounds_net": True}, lambda value: priced(rounding=value)),
    Line: (
        {"sku": "mug", "quantity": 1, "unit_price": eur("1.00"), "line_id": "a", "external": "item-7"},
        lambda value: PlaceOrder(order_id="x", lines=[value], pay=card_pays()),
    ),
    Tender: (
        {"gateway": "card", "token": "tok", "amount": eur("1.00"), "sale": False},
        lambda value: PlaceOrder(order_id="x", lines=[line("mug", 1, "1.00")], pay=PayNow([value])),
    ),
    PayNow: (
        {"tenders": [Tender("card", token="tok")]},
        lambda value: PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=value),
    ),
    OnAccount: (
        {"days": 30, "reference": "PO"},
        lambda value: PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=value),
    ),
    PaidElsewhere: (
        {"method": "cash", "amount": eur("1.00"), "reference": "till 1"},
        lambda value: PlaceOrder(order_id="x", lines=[line("mug", 1, "1.00")], pay=value),
    ),
    Address: (
        attrs.asdict(ANN),
        lambda value: PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=card_pays(), ship_to=value),
    ),
    Content: (
        {"order_id": "hand", "line_id": "1", "quantity": 1},
        lambda value: PlanShipment(shipment_id="x", contents=[value]),
    ),
    Move: (
        {"line_id": "1", "arrow": "pick", "quantity": 1, "source": "reserved"},
        lambda value: MoveUnits(order_id="hand", moves=[value]),
    ),
    Label: (
        {"tracking_number": "T1", "tracking_url": "https://example.org/T1", "reference": "r"},
        lambda value: RecordLabel(shipment_id="boxed:s1", label=value),
    ),
}


@pytest.mark.parametrize("cls", VALUES, ids=lambda cls: cls.__name__)
def test_a_hostile_value_inside_a_value_is_refused_as_well(shop: OrderManagement, cls: type[Any]):
    fields, command = VALUES[cls]
    before = kept(shop)
    shop.preview(command(cls(**fields)))
    hints = get_type_hints(cls)
    for attribute in (one for one in attrs.fields(cls) if one.init):
        for junk in hostile():
            try:
                shop.handle(command(cls(**fields | {attribute.name: junk})))
            except OrderManagementError:
                assert kept(shop) == before, f"{attribute.name}={junk!r:.80} was refused, but something changed"
            else:
                hint = hints[attribute.name]
                price = UnitPrice in (hint, *get_args(hint)) and isinstance(junk, Money)
                assert structured(hint) or price or fits(hint, junk), f"{attribute.name}={junk!r:.80} was accepted"
                laws_hold(shop)
                put_back(shop, before)


@pytest.mark.parametrize(
    "junk", [value for value in hostile() if not isinstance(value, str)], ids=lambda v: type(v).__name__
)
def test_an_item_is_of_a_known_kind(junk: Any):
    with pytest.raises(InvalidInput):
        Item(kind=junk)


# Wrong states and unknown things, with whole commands.

REFUSED = [
    CancelOrder(order_id="nobody"),
    CancelOrder(order_id="done"),
    CancelOrder(order_id="held"),
    AddNote(order_id="paid", text="x", line_id="9"),
    Approve(approval_id="nobody"),
    HoldOrder(order_id="paid", reason="two people"),
    CancelUnits(order_id="draft", units={"1": 1}),
    DraftOrder(order_id="paid", lines=[line("mug", 1)]),
    EditDraft(order_id="paid", lines=[line("mug", 1)]),
    EditDraft(order_id="quoted", lines=[line("mug", 1)]),
    EditDraft(order_id="nobody", lines=[line("mug", 1)]),
    GrantCredit(order_id="draft", amount=eur("1.00")),
    MoveUnits(order_id="draft", moves=[Move("1", "reserve", 1)]),
    PlaceDraft(order_id="paid", pay=OnAccount()),
    PlaceDraft(order_id="quoted", pay=PaidElsewhere(method="cash", amount=eur("29.99"))),
    QuoteOrder(order_id="paid", valid_for=dt.timedelta(days=1)),
    WithdrawQuote(order_id="draft"),
    HoldOrder(order_id="waits", reason="address"),
    HoldOrder(order_id="held", reason="address"),
    HandOverShipment(shipment_id="waits:s1"),
    ReleaseHold(order_id="waits", reason="credit"),
    ConfirmOrder(order_id="paid"),
    RejectOrder(order_id="paid"),
    CloseOrder(order_id="paid"),
    AdvanceOrder(order_id="hand", step="confirm"),
    AdvanceOrder(order_id="paid", step="check"),
    CancelUnits(order_id="done", units={"1": 1}),
    CancelUnits(order_id="paid", units={"1": 4}),
    MoveUnits(order_id="paid", moves=[Move("1", "hand_over", 1)]),
    MoveUnits(order_id="paid", moves=[Move("1", "reserve", 1)]),
    MoveUnits(order_id="done", moves=[Move("1", "reship", 1)]),
    GrantCredit(order_id="paid", amount=Money("1.00", "USD")),
    GrantCredit(order_id="paid", amount=eur("50.01")),
    CapturePayment(payment_id="paid:1", amount=eur("50.01")),
    CapturePayment(payment_id="paid:1", amount=Money("1.00", "USD")),
    CapturePayment(payment_id="new:1", amount=eur("0.01")),
    VoidPayment(payment_id="new:1"),
    VoidPayment(payment_id="done:1"),
    VoidPayment(payment_id="nobody"),
    RequestRefund(order_id="done", payment_id="done:1", amount=eur("0.01")),
    RequestRefund(order_id="back", payment_id="done:1", amount=eur("0.01")),
    RequestRefund(order_id="back", payment_id="back:1", amount=Money("0.01", "USD")),
    RequestRefund(order_id="back", payment_id="back:1", amount=eur("30.01")),
    RequestRefund(refund_id="back:r1", order_id="back", payment_id="back:1", amount=eur("0.01")),
    PackShipment(shipment_id="road:s1"),
    PickShipment(shipment_id="done:s1"),
    HandOverShipment(shipment_id="paid:s1"),
    HandOverShipment(shipment_id="held:s1"),
    CancelShipment(shipment_id="road:s1"),
    AskLabel(shipment_id="paid:s1"),
    AskLabel(shipment_id="road:s1"),
    PlanShipment(shipment_id="x", contents=[("held", "1", 1)]),
    PlanShipment(shipment_id="x", contents=[("paid", "1", 1)]),
    PlanShipment(shipment_id="paid:s1", contents=[("hand", "1", 1)]),
    PutAwayStock(sku="mug", quantity=4),
    PutAwayStock(sku="nothing", quantity=1),
    RetryEffect(effect_id="payment.paid:1.000001"),
    CancelEffect(effect_id="payment.paid:1.000001"),
    CancelEffect(effect_id="payment.mute:1.000001"),
    ResolveDiscrepancy(discrepancy_id="nobody", note="x"),
    RecordDelivery(shipment_id="nobody"),
    RecordCapture(payment_id="nobody", order_id="paid", transaction_id="t", amount=eur("1.00")),
    PlaceOrder(order_id="paid", lines=[line("mug", 1)], pay=card_pays()),
    PlaceOrder(order_id="x", lines=[line("mug", 10**6)], pay=card_pays()),
    PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=PayNow([Tender("nobody", token="t")])),
    PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=PaidElsewhere(method="cash", amount=eur("9.99"))),
    PlaceOrder(order_id="x", lines=[line("mug", 1)], pay=card_pays(), placed_at=pendulum.datetime(2030, 1, 1)),
]


@pytest.mark.parametrize("command", REFUSED, ids=lambda c: f"{type(c).__name__}-{getattr(c, 'order_id', '')}")
def test_a_refused_command_changes_no_state_no_history_no_feed_and_no_effect(command: Command[Any], shared: Shared):
    with pytest.raises(OrderManagementError):
        shared.shop.handle(command)

    assert kept(shared.shop) == shared.before


# The front door.

CANCEL = CancelOrder(order_id="paid")
STATES = (Order, Stock, Payment, Shipment, Intent, Discrepancy)


def test_handle_takes_commands_only(shared: Shared):
    for junk in hostile():
        if junk != CANCEL:
            for call in (shared.shop.handle, shared.shop.preview):
                with pytest.raises(OrderManagementError):
                    call(junk)
            with pytest.raises(OrderManagementError):
                shared.shop.handle_many([junk])
    with pytest.raises(OrderManagementError):
        shared.shop.handle(CancelOrder)  # type: ignore[arg-type]  # the class, not a command
    assert kept(shared.shop) == shared.before


def test_a_bad_command_in_a_batch_stops_the_call_before_anything_is_decided(shared: Shared):
    with pytest.raises(InvalidInput):
        shared.shop.handle_many([CANCEL, "nonsense"])  # type: ignore[list-item]  # not a command
    assert kept(shared.shop) == shared.before


@pytest.mark.parametrize("batch", [None, 7, object, itertools.repeat(CANCEL), [(CANCEL,)], [(CANCEL, "a", "b")]])
def test_a_batch_is_a_list_of_commands(shared: Shared, batch: Any):
    with pytest.raises(InvalidInput):
        shared.shop.handle_many(batch)
    assert kept(shared.shop) == shared.before


@pytest.mark.parametrize("name", ["by", "command_id"])
def test_actor_and_command_id_are_text(shared: Shared, name: str):
    for junk in hostile():
        if junk is None or (isinstance(junk, str) and 0 < len(junk.strip()) <= 500 and junk.strip() == junk):
            continue
        with pytest.raises(InvalidInput):
            shared.shop.handle(CANCEL, **{name: junk})
    assert kept(shared.shop) == shared.before


NOT_TEXT: list[Any] = [value for value in JUNK if not isinstance(value, str)]
NO_TYPES: list[Any] = [value for value in JUNK if not isinstance(value, type)]
NO_INTS: list[Any] = [value for value in JUNK if type(value) is not int]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_found_under_a_key_that_is_nonsense(shared: Shared, state: type[Any]):
    for junk in hostile():
        with pytest.raises(OrderManagementError):
            shared.shop.get(state, junk)
    for junk in NOT_TEXT:
        if not isinstance(junk, tuple):
            with pytest.raises(InvalidInput):
                shared.shop.history(state, junk)


def test_only_kinds_of_entities_are_read(shared: Shared):
    for junk in (*NO_TYPES, object, CancelOrder):
        for read in (shared.shop.find, lambda kind: shared.shop.get(kind, "paid")):
            with pytest.raises(InvalidInput):
                read(junk)
        with pytest.raises(InvalidInput):
            shared.shop.history(junk, "paid")


def test_only_orders_are_settled(shared: Shared):
    for junk in hostile():
        with pytest.raises(OrderManagementError):
            shared.shop.settle(junk)
    assert kept(shared.shop) == shared.before


def test_an_index_is_searched_by_text(shared: Shared):
    for junk in NOT_TEXT:
        with pytest.raises(InvalidInput):
            shared.shop.find(Order, status=junk)


def test_a_person_is_erased_by_name(shared: Shared):
    for junk in NOT_TEXT:
        with pytest.raises(InvalidInput):
            shared.shop.erase(junk)
    assert kept(shared.shop) == shared.before


def test_a_feed_is_read_from_a_position_on(shared: Shared):
    for junk in (*NO_INTS, -1, -(10**5000)):
        with pytest.raises(InvalidInput):
            shared.shop.feed(junk)
    assert shared.shop.feed(10**30) == []


@pytest.mark.parametrize("limit", [*NO_INTS, 0, -1, 1_001, 10**5000], ids=lambda value: type(value).__name__)
def test_a_page_has_from_one_to_a_thousand_answers(shared: Shared, limit: Any):
    with pytest.raises(InvalidInput):
        shared.shop.feed(limit=limit)
    with pytest.raises(InvalidInput):
        shared.shop.find(Order, limit=limit)


def test_the_next_page_begins_where_the_last_one_ended(shared: Shared):
    for junk in NO_TYPES:
        if junk is not None:
            with pytest.raises(InvalidInput):
                shared.shop.find(Order, after=junk)


def test_only_personal_values_are_revealed(shared: Shared):
    for junk in NO_TYPES:
        if junk is not None and not isinstance(junk, Personal):
            with pytest.raises(InvalidInput):
                shared.shop.reveal(junk, Address)
    for junk in NOT_TEXT:
        with pytest.raises(InvalidInput):
            shared.shop.reveal(Personal("ann", junk), Address)


def test_a_name_that_not_every_store_could_index_is_refused_by_all(shared: Shared):
    """500 letters are text, and what is found by them in Latin letters; of three bytes each they are too many."""
    shop = shared.shop
    assert shop.handle(ReceiveStock(sku="x" * 500, quantity=1)).sku == "x" * 500
    before = len(shop.feed())
    with pytest.raises(InvalidInput, match="shorten it"):
        shop.handle(ReceiveStock(sku="\u6c34" * 500, quantity=1))
    assert len(shop.feed()) == before


def test_an_index_may_have_the_name_of_a_parameter(shared: Shared):
    with pytest.raises(InvalidInput, match="indexes: status"):
        shared.shop.find(Order, state="placed")


def test_only_declared_indexes_are_searched(shared: Shared):
    with pytest.raises(InvalidInput, match="indexes: status"):
        shared.shop.find(Order, colour="red")


@pytest.mark.parametrize(
    "made",
    [
        lambda: MoveUnits(order_id="A", moves=itertools.repeat(Move("1", "pick", 1))),
        lambda: PayNow(itertools.repeat(Tender("card", token="t", amount=eur("1.00")))),
    ],
    ids=["moves", "tenders"],
)
def test_a_list_that_is_too_long_is_refused_and_never_cut(made: Callable[[], Any]):
    with pytest.raises(InvalidInput, match="at most"):
        made()
