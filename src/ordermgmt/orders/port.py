"""What a host tells about its items."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from attrs import field, frozen

from ..engine.messages import checked_choice, checked_type

KINDS = ("stocked", "digital", "service")


@frozen(kw_only=True)
class Item:
    """What an order needs to know of a SKU; frozen on the line at placement."""

    kind: str = field(default="stocked", validator=checked_choice(*KINDS))
    """stocked: reserved and shipped; digital, service: performed when the order is confirmed."""
    weight_grams: int = field(default=0, validator=checked_type(int))


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


_STOCKED = Item()
