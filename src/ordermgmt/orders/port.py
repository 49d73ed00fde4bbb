"""What a host tells about its items, and about addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, cast

from attrs import field
from attrs.validators import optional

from ..engine.messages import checked_choice, checked_note, checked_type, is_listed, shorten
from ..errors import InvalidInput, Misconfigured
from ..values import frozen
from .model import Address

KINDS = ("stocked", "digital", "service")


@frozen(kw_only=True)
class Item:
    """What an order needs to know about a SKU; frozen on the line at placement."""

    kind: str = field(default="stocked", validator=checked_choice(*KINDS))
    """stocked: reserved and shipped; digital, service: performed when the order is confirmed."""
    weight_grams: int = field(default=0, validator=checked_type(int))
    tax_class: str = field(default="", validator=checked_note)
    """What the shop's tax rates call it; a line may tell another class, or its taxes.  Empty: not taxed."""


class Items(Protocol):
    """The host's catalogue."""

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """What is known of these SKUs; one that is absent cannot be ordered (`UnknownSku`)."""
        ...


def checked_items(items: Any, who: str = "items.items(skus) must answer") -> Mapping[str, Item]:
    """What a host's catalogue answers; raises `Misconfigured` where that is something else."""
    if not isinstance(items, Mapping):
        raise Misconfigured(f"{who} {{sku: Item(…)}} (got {shorten(items)})")
    catalogue = cast("Mapping[str, Item]", items)
    for item in cast("Iterable[object]", items.values()):
        if not isinstance(item, Item | None):
            raise Misconfigured(f"{who} {{sku: Item(…)}}, without those it does not know (got {shorten(item)} in it)")
    return catalogue


class AnyItem:
    """The default catalogue: every SKU exists and is stocked."""

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """Every one of them, as a stocked item."""
        return dict.fromkeys(skus, _STOCKED)


class ListedItems:
    """A catalogue in memory: only what is listed can be ordered."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        """Raises `Misconfigured` for what is no such catalogue."""
        self._items = dict(checked_items(items, "ListedItems takes"))

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """Those of them that are listed."""
        return {sku: self._items[sku] for sku in skus if sku in self._items}


def _problems(problems: Any) -> tuple[str, ...]:
    told = tuple(problems) if is_listed(problems) else None
    if told is None or not all(isinstance(one, str) for one in told):
        raise InvalidInput(f"problems must be a list of sentences (got {shorten(problems)})")
    return told


@frozen(kw_only=True)
class CheckedAddress:
    """What a validator says: the problems it found, or the address as it should be written."""

    problems: tuple[str, ...] = field(default=(), converter=_problems)
    """What keeps parcels from arriving, in words for the customer; the order is refused (`BadAddress`)."""
    address: Address | None = field(default=None, validator=optional(checked_type(Address)))
    """A corrected form, kept in its place; None where it is right as it is."""


class Addresses(Protocol):
    """The host's validator of addresses; asked before an order is drafted or placed."""

    def check(self, address: Address) -> CheckedAddress:
        """What is wrong with it, or how it should be written."""
        ...


_STOCKED = Item()
