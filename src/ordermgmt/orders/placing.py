"""When an order may be placed: what is entered at frozen amounts, and how it is agreed to be paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field
from pendulum import DateTime

from ..engine.capability import Seen, as_type
from ..engine.messages import Event, Key
from ..errors import AlreadyExists, InvalidInput, NotFound, Refused
from ..money import CurrencyMismatch, Money
from ..pricing.model import Priced
from ..pricing.terms import Surcharge
from ..stock.messages import stock_key
from ..values import error, unchecked
from .addresses import personal_address
from .entry import OnAccount, OrderEntry, PaidElsewhere, PayNow, PlaceOrder, line_ids
from .messages import OrderEntered, OrderPlaced
from .model import Charge, Order, OrderLine, TenderTerms, Terms
from .port import Item
from .prices import charges_of, check_total, is_plain, priced
from .references import check_lines, rows_of_references
from .rules import confirmed_by_policy, expiry_name, payment_id


@error
class UnknownSku(Refused):
    """The shop's items do not list it."""

    skus: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"unknown SKU: {', '.join(self.skus)}; list it in the shop's items"


@error
class PaymentMismatch(Refused):
    """What is to be paid is not what the order costs."""

    total: Money
    offered: Money
    missing: bool = field(default=False, kw_only=True)
    """True where the order was placed before, and `total` is what it lacks."""

    @property
    def message(self) -> str:
        what = f"the order {'lacks' if self.missing else 'costs'} {self.total}"
        return f"{what}, but {self.offered} is to be paid; the tenders must pay it exactly"


# Placing.


def place(command: PlaceOrder, state: Order | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    """The order as it is promised; and confirmed, where nothing must be waited for."""
    if state is not None:
        raise AlreadyExists("order", state.order_id)
    if command.placed_at is not None and command.placed_at > at:
        raise InvalidInput(f"placed_at lies in the future ({command.placed_at}); leave it out for now")
    content = entered(command, seen)
    placed = OrderPlaced(
        **content,
        terms=agreed(command.pay, total_of(content)),
        confirm=command.confirm,
        placed_at=command.placed_at or at,
        expires_at=at + command.pay_within if command.pay_within is not None else None,
        goods=command.goods,
    )
    yield placed
    yield from confirmed_at_once(None, placed, seen)


_order_line = unchecked(OrderLine)


def entered(command: OrderEntry, seen: Seen, version: int = 1) -> dict[str, Any]:
    """What is wanted, at amounts that are frozen from now on: the fields of `OrderEntered`, but for its terms.

    `version` counts how often the entry was told, so that personal data told later has a place of its own.
    """
    order_id = as_type(command.order_id, str)
    items = {line.sku: seen.looked_up("items", line.sku) for line in command.lines}
    if unknown := tuple(sku for sku, item in items.items() if item is None):
        raise UnknownSku(unknown)
    check_carrier(command.carrier, seen)
    ids = line_ids(command.lines)
    check_lines(command.channel, order_id, zip(ids, command.lines, strict=True))
    classes = [items[line.sku].tax_class for line in command.lines]
    plain = is_plain(command, classes)
    result = None if plain else priced(command, ids, classes, seen.looked_up("taxes", "") or {})
    lines = _lines(command, ids, items, result)
    charges = _shipping(command.shipping) if result is None else charges_of(result)
    check_total(lines, charges)
    return {
        "order_id": order_id,
        "channel": command.channel,
        "customer": command.customer,
        "currency": command.lines[0].unit_price.currency,
        "lines": lines,
        "charges": charges,
        "ship_by": command.carrier,
        "location": command.location,
        "ship_to": personal_address(command, "ship_to", seen, version),
        "bill_to": personal_address(command, "bill_to", seen, version),
        "reference": command.reference,
        "external": command.external,
        "requested_at": command.requested_at,
        "pricing": result.terms if result is not None else None,
    }


def _lines(
    command: OrderEntry, ids: Sequence[str], items: Mapping[str, Item], result: Priced | None
) -> tuple[OrderLine, ...]:
    """The lines at their amounts; `result` is None where they have nothing but a price."""
    parts = [None] * len(ids) if result is None else [line.parts for line in result.lines]
    return tuple(
        [
            _order_line(
                line_id=line_id,
                sku=line.sku,
                kind=items[line.sku].kind,
                quantity=line.quantity,
                unit_price=line.unit_price,
                minor=line.unit_price.times(line.quantity).minor if part is None else part.minor,
                location=command.location,
                units={"open": line.quantity},
                external=line.external,
                reference=line.reference,
                requested_at=line.requested_at,
                parts=part,
            )
            for line_id, line, part in zip(ids, command.lines, parts, strict=True)
        ]
    )


def _shipping(shipping: Money | Surcharge | None) -> tuple[Charge, ...]:
    """Shipping that is nothing but an amount."""
    return (Charge(name="shipping", minor=shipping.minor),) if isinstance(shipping, Money) and shipping else ()


def lookups_of_carrier(command: Any) -> Iterable[Key]:
    """Whether the shop has the carrier that a command names."""
    return [("carriers", command.carrier)] if command.carrier else []


def check_carrier(carrier: str, seen: Seen) -> None:
    """Raises `NotFound` for a carrier that the shop does not have, though it has others."""
    if seen.looked_up("carriers", carrier) is False:
        raise NotFound("carrier", carrier)


def confirmed_at_once(order: Order | None, placed: OrderPlaced, seen: Seen) -> Iterable[Event]:
    """An order of which nothing must be set aside may be confirmed with its placing."""
    if not any(line.kind == "stocked" for line in placed.lines):
        yield from confirmed_by_policy(evolve_placed(order, placed), Seen.anew(seen.after("place") or "placed", seen))


def total_of(content: Mapping[str, Any]) -> Money:
    """What the whole of it costs."""
    minor = sum([one.minor for one in (*content["lines"], *content["charges"])])
    return Money.of_minor(minor, content["currency"])


def agreed(pay: Any, total: Money) -> Terms:
    """What was agreed about paying; refused where the parts do not make the whole."""
    match pay:
        case OnAccount(days=days, reference=reference):
            return Terms(kind="account", days=days, reference=reference)
        case PaidElsewhere(method=method, amount=amount, reference=reference):
            if amount != total:
                raise PaymentMismatch(total, amount)
            return Terms(kind="elsewhere", method=method, minor=amount.minor, reference=reference)
        case PayNow(tenders=tenders):
            return Terms(kind="now", tenders=split(tenders, total))
        case _:
            raise InvalidInput("pay must be PayNow, OnAccount or PaidElsewhere")


def split(tenders: Iterable[Any], total: Money, *, missing: bool = False) -> tuple[TenderTerms, ...]:
    """What each tender pays of a total, or of what is `missing` of an order that was placed before."""
    amounts = [tender.amount for tender in tenders]
    for amount in amounts:
        if amount is not None and amount.currency != total.currency:
            raise CurrencyMismatch(f"the order is in {total.currency}, a tender of pay in {amount.currency}")
    given = Money.sum([amount for amount in amounts if amount is not None], total.currency)
    if not total.minor and not given.minor:
        return ()  # nothing to pay, nothing to ask
    rest = total.minor - given.minor
    open_ended = None in amounts
    if rest < 0 or (rest > 0) != open_ended:
        raise PaymentMismatch(total, given, missing=missing)
    return tuple(
        [
            TenderTerms(
                gateway=tender.gateway,
                token=tender.token,
                minor=rest if tender.amount is None else tender.amount.minor,
                sale=tender.sale,
            )
            for tender in tenders
        ]
    )


def rows_of_placing(command: PlaceOrder) -> Iterable[Key]:
    """What placing touches: goods, payments, the channel's ids, and the reminder to expire it."""
    order_id = command.order_id or ""
    yield ("reservation", order_id)
    for line in command.lines:
        yield stock_key(line.sku, command.location)
    if isinstance(command.pay, PayNow):
        for n in range(1, len(command.pay.tenders) + 1):
            yield ("payment", payment_id(order_id, n))
    elif isinstance(command.pay, PaidElsewhere):
        yield ("payment", payment_id(order_id, 1))
    if command.pay_within is not None:
        yield ("later", expiry_name(order_id))
    yield from rows_of_references(command)


# Evolve.


def evolve_placed(state: Order | None, event: OrderPlaced) -> Order:
    """What was promised."""
    status = event.status or "placed"
    return evolve_entered(state, event, status, confirm=event.confirm, expires=event.expires_at is not None)


def evolve_entered(
    state: Order | None, event: OrderEntered, status: str, *, confirm: str = "by_hand", expires: bool = False
) -> Order:
    """What a customer wants, in place of what was wanted before; what lies on the order stays."""
    return Order(
        order_id=event.order_id,
        status=status,
        channel=event.channel,
        customer=event.customer,
        currency=event.currency,
        lines={line.line_id: line for line in event.lines},
        charges=event.charges,
        terms=event.terms,
        confirm=confirm,
        expires=expires,
        ship_by=event.ship_by,
        location=event.location,
        ship_to=event.ship_to,
        reference=event.reference,
        placed_at=event.placed_at,
        bill_to=event.bill_to,
        external=event.external,
        requested_at=event.requested_at,
        pricing=event.pricing,
        holds=state.holds if state is not None else {},
        notes=state.notes if state is not None else (),
        drafted=state.drafted if state is not None else 0,
        quoted_until=state.quoted_until if state is not None else None,
    )
