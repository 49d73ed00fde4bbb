"""What due work asks of its driver, and what it reports.

It does no I/O itself; it yields one of these and is sent the answer, as in `requests`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import define, field
from pendulum import DateTime

from ..values import frozen
from .adapters import Adapter
from .effects import Intent
from .messages import Command, Effect, counted
from .transaction import Key, Query


@frozen
class Look:
    """Answered with what the query finds."""

    query: Query


@frozen
class Read:
    """Answered with the rows under these keys."""

    keys: tuple[Key, ...]


@frozen
class Handle:
    """Decide these in one commit.  Answered with their results."""

    commands: tuple[Command[Any], ...]
    by: str | None = None
    """Who asks, where it is a person; else the shop's own actor."""


@frozen
class Reveal:
    """Answered with the personal values under these references."""

    refs: tuple[str, ...]


@frozen
class Call:
    """Ask an adapter, outside of any transaction.

    Nothing is sent once the claim has run out (`intent.due`): by then others believe that it was sent long ago.
    """

    intent: Intent
    request: Effect
    adapter: Adapter
    lookup: bool
    deadline: timedelta


@frozen
class Calls:
    """Answered with what each adapter said, in the same order; an exception counts as `Unknown`."""

    calls: tuple[Call, ...]


@frozen
class Listen:
    """Ask an adapter for a page of its books.  Answered with a `Listing`; exceptions reach the caller."""

    adapter: Any
    since: DateTime
    until: DateTime
    cursor: str | None


@frozen
class Time:
    """Answered with the present instant."""


@frozen
class Chance:
    """Answered with a number from 0 to 1."""


WorkRequest = Look | Read | Handle | Reveal | Calls | Listen | Time | Chance


@define
class Report:
    """What due work did."""

    sent: int = 0
    """Calls of adapters, lookups included."""
    succeeded: int = 0
    failed: int = 0
    """Definite refusals by a provider."""
    waiting: int = 0
    """Calls after which the effect waits for a later attempt or answer."""
    parked: int = 0
    laters: int = 0
    """Later commands decided."""
    notices: int = 0
    """Providers' notices applied."""
    suspended: bool = False
    """True while nothing is sent: a backup was restored, and providers are to be reconciled first."""
    foreign: int = 0
    """Due effects of another installation, left alone."""
    troubles: list[Exception] = field(factory=list[Exception], repr=False, eq=False)
    """What could not be recorded, because what it concerns is damaged.  It stops nobody else; the first one is raised
    when all that can be done is done."""

    def __str__(self) -> str:
        told = (
            f"{counted(self.sent, 'call')}: {self.succeeded} succeeded, {self.failed} failed, "
            f"{self.waiting} to be asked again, {self.parked} parked; "
            f"{counted(self.laters, 'later command')}, {counted(self.notices, 'notice')}"
        )
        if self.suspended:
            told += "; sending is suspended until all providers are reconciled"
        if self.foreign:
            told += f"; {counted(self.foreign, 'effect')} of another installation left alone"
        return told
