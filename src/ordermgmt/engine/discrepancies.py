"""Discrepancies: where the world and our rules disagree.  Nothing is dropped; a person decides.

One is opened when news finds no arrow from the present status, or when something that had to follow from
news was refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, ClassVar

from attrs import field
from pendulum import DateTime
from statemachine import State, StateMachine

from ..values import frozen
from .capability import Capability, Rule, Seen, as_type, changed, require
from .lifecycle import Lifecycle
from .messages import Command, Event, News, check_name, checked_name, checked_note

KIND = "discrepancy"


class DiscrepancyChart(StateMachine):
    """Open until somebody says how it was resolved."""

    open = State(initial=True)
    resolved = State(final=True)
    resolve = open.to(resolved)


DISCREPANCY = Lifecycle.of(DiscrepancyChart)


@frozen(kw_only=True)
class Discrepancy:
    """One disagreement: what it is about, what was to happen, and why it did not."""

    discrepancy_id: str
    about: tuple[str, str]
    """Kind and id of the entity: ``("payment", "A-1:1")``."""
    command: str
    """The type of the command: the news that found no arrow, or the follow-up that was refused."""
    reason: str
    status: str
    note: str = ""


@frozen(kw_only=True)
class DiscrepancyOpened(Event):
    """The world and our rules disagree."""

    discrepancy_id: str
    about: tuple[str, str]
    command: str
    reason: str


@frozen(kw_only=True)
class DiscrepancyResolved(Event):
    """Somebody looked at it and said how it was resolved."""

    trigger: ClassVar[str | None] = "resolve"
    note: str


@frozen(kw_only=True)
class OpenDiscrepancy(News[Discrepancy]):
    """Note a disagreement that a comparison found.  The same one is noted once."""

    about: tuple[str, str]
    reason: str


@frozen(kw_only=True)
class ResolveDiscrepancy(Command[Discrepancy]):
    """Say how it was resolved."""

    discrepancy_id: str = field(validator=checked_name)
    note: str = field(validator=checked_note)


def _open(command: OpenDiscrepancy, state: Discrepancy | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is None:
        yield DiscrepancyOpened(
            discrepancy_id=_found_id(command), about=command.about, command="reconcile", reason=command.reason
        )


def _found_id(command: OpenDiscrepancy) -> str:
    digest = hashlib.sha256("|".join((*command.about, command.reason)).encode()).hexdigest()
    return f"{command.about[0]}.{command.about[1]}.{digest[:12]}"


def _resolve(command: ResolveDiscrepancy, state: Discrepancy | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.discrepancy_id)
    yield DiscrepancyResolved(note=command.note)


def _resolved(state: Discrepancy | None, event: DiscrepancyResolved) -> Discrepancy:
    return changed(as_type(state, Discrepancy), status=event.status or "resolved", note=event.note)


_by_id: Callable[[Any], str] = attrgetter("discrepancy_id")


DISCREPANCIES = Capability(
    kind=KIND,
    state=Discrepancy,
    lifecycle=DISCREPANCY,
    rules={OpenDiscrepancy: Rule(_open, _found_id), ResolveDiscrepancy: Rule(_resolve, _by_id)},
    evolve={
        DiscrepancyOpened: lambda state, e: Discrepancy(
            discrepancy_id=e.discrepancy_id,
            about=e.about,
            command=e.command,
            reason=e.reason,
            status=e.status or "open",
        ),
        DiscrepancyResolved: _resolved,
    },
    indexes={
        "status": lambda discrepancy: discrepancy.status,
        "about": lambda discrepancy: "/".join(discrepancy.about),
    },
    identify=check_name,
    last=True,
)
