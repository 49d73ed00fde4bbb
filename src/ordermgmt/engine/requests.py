"""What the engine asks of its driver.  It does no I/O itself; it yields one of these and is sent the answer."""

from __future__ import annotations

from typing import Any

from attrs import field

from ..values import frozen
from .messages import Command
from .transaction import Key, Write


@frozen
class Load:
    """Take these rows, in this order.  Answered with the rows that exist, by key."""

    keys: tuple[Key, ...]
    skip_locked: bool = False
    """Whether rows that somebody holds are left out instead of waited for."""


@frozen
class Now:
    """Answered with the present instant."""


@frozen
class Save:
    """Save all of this or nothing.  Answered with None once it is durable."""

    writes: tuple[Write, ...]


@frozen
class Again:
    """The attempt's answer when a row is needed that comes before one already taken: start anew with all of them."""

    keys: frozenset[Key]


Request = Load | Now | Save


@frozen
class Job:
    """One command to decide: who asks, under which id, and what ports were asked for it before."""

    command: Command[Any]
    actor: str
    command_id: str = ""
    looked_up: dict[tuple[str, str], Any] = field(factory=dict[tuple[str, str], Any])
    asked: Command[Any] | None = None
    """The command as the caller gave it, where an id was given to what it left unnamed: a repeat is known by it."""
    together: bool = False
    """Whether nothing of its batch is saved where any of it is refused."""


@frozen
class Result:
    """What became of one job: the entity as it stands now, or the error its caller gets."""

    state: Any = None
    error: Exception | None = None
    changed: bool = False
    """Whether anything was recorded."""
    leaves_due: bool = False
    """Whether the commit left work that is due at once: an effect to send, a later command whose time has come."""

    def unwrap(self) -> Any:
        """The entity; raises the error."""
        if self.error is not None:
            raise self.error
        return self.state
