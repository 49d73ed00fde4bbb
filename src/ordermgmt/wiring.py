"""How a shop is put together from the parts its host gives: each is checked, and what is missing gets its default."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from .engine.assembly import Assembly
from .engine.capability import Capability, Reaction
from .engine.messages import check_text, is_listed, shorten
from .engine.observing import Observer, Watch
from .engine.policies import NamedPolicy
from .engine.ports import Clock, Ids, SystemClock, SystemIds, in_utc
from .errors import Misconfigured
from .orders.port import Addresses, AnyItem, Items
from .payments.port import PaymentGateway
from .pricing.port import TaxRates
from .settings import Settings
from .shipments.port import Carrier


def settings_of(
    *,
    capabilities: Sequence[Capability[Any]],
    gateways: Mapping[str, PaymentGateway] | None,
    carriers: Mapping[str, Carrier] | None,
    ports: Mapping[str, Any] | None,
    items: Items | None,
    addresses: Addresses | None,
    taxes: TaxRates | None,
    clock: Clock | None,
    ids: Ids | None,
    actor: str,
    reactions: Sequence[Reaction],
    policies: Sequence[NamedPolicy],
    chance: random.Random | None,
    secret: bytes,
    installation: str,
    deadline: timedelta,
    lease: timedelta,
    observers: Sequence[Observer],
) -> Settings:
    """The parts a shop is given, checked and put together.  Raises `Misconfigured` for the first that cannot be."""
    _check_adapters({"gateways": gateways, "carriers": carriers, "ports": ports})
    _check_lists({"capabilities": capabilities, "reactions": reactions, "policies": policies, "observers": observers})
    _check_spans({"deadline": deadline, "lease": lease})
    for reaction in reactions:
        if not isinstance(reaction, Reaction):
            raise Misconfigured(
                f"reactions takes [*on(OrderPlaced, your_function)] (got {shorten(reaction)} among them)"
            )
    _check_ports({"items": items, "taxes": taxes, "addresses": addresses, "clock": clock, "ids": ids})
    for observer in observers:
        if not callable(observer):
            raise Misconfigured(f"an observer is a function that takes what is observed (got {shorten(observer)})")
    if lease <= deadline:
        raise Misconfigured("the lease must be longer than the deadline: a call must end before it counts as lost")
    time = SystemClock() if clock is None else in_utc(clock)
    assembly = Assembly(
        capabilities,
        reactions=reactions,
        policies=policies,
        ports={"gateways": gateways or {}, "carriers": carriers or {}, "ports": ports or {}},
        secret=secret,
        installation=check_text(installation, "installation", empty=True),
    )
    return Settings(
        assembly=assembly,
        clock=time,
        ids=ids or SystemIds(None if clock is None else time),
        items=items or AnyItem(),
        addresses=addresses,
        taxes=taxes,
        actor=check_text(actor, "actor"),
        chance=chance or random.Random(),
        deadline=deadline,
        lease=lease,
        watch=Watch(tuple(observers)),
    )


def _check_adapters(families: Mapping[str, Mapping[str, Any] | None]) -> None:
    for argument, family in families.items():
        if not isinstance(family, Mapping | None):
            raise Misconfigured(f"{argument} takes adapters by their names: {{'card': …}} (got {shorten(family)})")
        for name, adapter in (family or {}).items():
            check_text(name, "the name of an adapter")
            if isinstance(adapter, type) or not callable(getattr(adapter, "execute", None)):
                raise Misconfigured(
                    f"{argument} takes adapters, objects with a method execute (got {shorten(adapter)})"
                )


def _check_lists(lists: Mapping[str, object]) -> None:
    for argument, given in lists.items():
        if not is_listed(given):
            raise Misconfigured(f"{argument} takes a list (got {shorten(given)})")


def _check_spans(spans: Mapping[str, object]) -> None:
    for argument, span in spans.items():
        if not isinstance(span, timedelta) or span <= timedelta(0):
            raise Misconfigured(f"{argument} takes a timedelta above zero (got {shorten(span)})")


_PORTS = {
    "items": ("items", "ListedItems({sku: Item(…)})"),
    "taxes": ("rates", "TaxTable({tax class: {place: [Tax(…)]}})"),
    "addresses": ("check", "a validator of yours"),
    "clock": ("now", "SystemClock()"),
    "ids": ("new", "SystemIds()"),
}
"""Argument → the method that what is given there must have, and an example of it."""


def _has_method(port: object, name: str) -> bool:
    # A dict has a method `items` as well.
    return not isinstance(port, type | Mapping) and callable(getattr(port, name, None))


def _check_ports(ports: Mapping[str, object]) -> None:
    for argument, port in ports.items():
        method, such_as = _PORTS[argument]
        if port is not None and not _has_method(port, method):
            raise Misconfigured(
                f"{argument} takes an object with a method {method}, as {such_as} (got {shorten(port)})"
            )
