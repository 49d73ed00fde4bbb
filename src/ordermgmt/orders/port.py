"""What a host tells about its items, and about addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from attrs import field, frozen
from attrs.validators import optional

from ..engine.messages import checked_choice, checked_note, checked_type
from .model import Address

KINDS = ("stocked", "digital", "service")


@frozen(kw_only=True)
class Item:
    """What an order needs to know of a SKU; frozen on the line at placement."""

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


class AnyItem:
    """The default catalogue: every SKU exists and is stocked."""

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """Every one of them, as a stocked item."""
        return dict.fromkeys(skus, _STOCKED)


class ListedItems:
    """A catalogue in memory: only what is listed can be ordered."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self._items = dict(items)

    def items(self, skus: Collection[str]) -> Mapping[str, Item]:
        """Those of them that are listed."""
        return {sku: self._items[sku] for sku in skus if sku in self._items}


@frozen(kw_only=True)
class CheckedAddress:
    """What a validator says: the problems it found, or the address as it should be written."""

    problems: tuple[str, ...] = ()
    """What keeps parcels from arriving, in words for the customer; the order is refused (`BadAddress`)."""
    address: Address | None = field(default=None, validator=optional(checked_type(Address)))
    """A corrected form, kept in its place; None where it is right as it is."""


class Addresses(Protocol):
    """The host's validator of addresses; asked before an order is drafted or placed."""

    def check(self, address: Address) -> CheckedAddress:
        """What is wrong with it, or how it should be written."""
        ...


_STOCKED = Item()
