"""Where parcels and invoices go: what the host's validator says of an address, and how it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..engine.capability import Seen, as_type
from ..engine.messages import Key, Personal, shorten
from ..errors import Misconfigured, Refused
from ..values import error
from .model import Address
from .port import CheckedAddress

ADDRESSES = ("ship_to", "bill_to")
"""The fields of a command that hold one."""


@error
class BadAddress(Refused):
    """The host's validator knows that nothing arrives there."""

    which: str
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"{self.which}: {'; '.join(self.problems)}; ask for the address again"


def lookups_of_addresses(command: Any) -> Iterable[Key]:
    """What the validator is asked before the decision."""
    return [("addresses", which) for which in ADDRESSES if getattr(command, which, None) is not None]


def personal_address(command: Any, which: str, seen: Seen, version: int) -> Personal[Address] | None:
    """The address as it is kept: as the validator corrected it, under the customer's name or the order's own."""
    address = getattr(command, which)
    if address is None:
        return None
    order_id = as_type(command.order_id, str)
    kept = checked_address(address, which, seen)
    return Personal(command.customer or f"order:{order_id}", f"order:{order_id}:{which}:{version}", kept)


def checked_address(address: Address, which: str, seen: Seen) -> Address:
    """The address as the validator corrected it; raises `BadAddress` where it found that nothing arrives there."""
    checked = seen.looked_up("addresses", which)
    if checked is None:
        return address
    if not isinstance(answer := checked, CheckedAddress):
        raise Misconfigured(f"addresses.check(address) must answer a CheckedAddress (got {shorten(checked)})")
    if answer.problems:
        raise BadAddress(which, answer.problems)
    return answer.address or address
