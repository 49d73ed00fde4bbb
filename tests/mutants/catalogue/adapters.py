"""Adapters that do not keep what they declare."""

from __future__ import annotations

from typing import Any

import attrs

from ordermgmt.engine import drivers
from ordermgmt.engine.adapters import NotThere
from ordermgmt.engine.effects import (
    Declined,
    Unknown,
)
from ordermgmt.money import Money
from ordermgmt.testing.simulation import providers
from tests.mutants.planting import Garden, mutant


@mutant("adapters")
def a_gateway_ignores_keys(garden: Garden) -> None:
    garden.patch(providers.Provider, "_remembers", lambda self, before: False)


@mutant("adapters")
def an_adapter_makes_its_own_key_for_every_call(garden: Garden) -> None:
    def execute(self: Any, request: Any, *, key: str, deadline: Any) -> Any:
        self.calls = getattr(self, "calls", 0) + 1
        return before(self, request, key=f"{key}-{self.calls}", deadline=deadline)

    before = garden.patch(providers.Provider, "execute", execute)


@mutant("adapters")
def a_lookup_that_always_finds_nothing(garden: Garden) -> None:
    garden.patch(providers.Provider, "lookup", lambda self, request, *, key, deadline: NotThere())


@mutant("adapters")
def a_timeout_is_answered_as_a_decline(garden: Garden) -> None:
    def call(one: Any, clock: Any) -> Any:
        answer = before(one, clock)
        return Declined("timeout") if isinstance(answer, Unknown) and not one.lookup else answer

    before = garden.patch(drivers, "call", call)


@mutant("adapters")
def an_adapter_retries_by_itself_under_another_key(garden: Garden) -> None:
    def execute(self: Any, request: Any, *, key: str, deadline: Any) -> Any:
        try:
            return before(self, request, key=key, deadline=deadline)
        except providers.NoAnswer:
            return before(self, request, key=f"{key}-again", deadline=deadline)

    before = garden.patch(providers.Provider, "execute", execute)


@mutant("adapters")
def an_adapter_sends_half_the_amount(garden: Garden) -> None:
    def perform(self: Any, request: Any) -> Any:
        half = Money.of_minor(max(request.amount.minor // 2, 1), request.amount.currency)
        return before(self, attrs.evolve(request, amount=half))

    before = garden.patch(providers.Gateway, "_perform", perform)


@mutant("adapters")
def a_list_that_leaves_the_last_page_out(garden: Garden) -> None:
    def short(self: Any, since: Any, until: Any, cursor: Any) -> Any:
        page = before(self, since, until, cursor)
        return attrs.evolve(page, notices=page.notices[1:])

    before = garden.patch(providers.Provider, "list", short)
