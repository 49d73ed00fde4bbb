"""Later commands as entities: what is to be decided in a commit of its own, when its time has come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pendulum import DateTime
from statemachine import State, StateMachine

from ..errors import Refused
from ..values import error, frozen
from .capability import Capability, Rule, Seen, evolved, require
from .codec import Frozen
from .instants import to_text
from .lifecycle import Lifecycle
from .messages import Command, Event, News, Replies, check_name

KIND = "later"


class LaterChart(StateMachine):
    """A reminder waits until it is done or taken back, and may be set anew under the same name."""

    waiting = State(initial=True)
    done = State()
    withdrawn = State()
    gone = State(final=True)

    run = waiting.to(done)
    withdraw = waiting.to(withdrawn)
    renew = waiting.to(waiting) | done.to(waiting) | withdrawn.to(waiting)
    forget = done.to(gone) | withdrawn.to(gone)


LATER = Lifecycle.of(LaterChart)


@frozen(kw_only=True)
class Reminder:
    """A later command: what, when, and under which name it can be replaced."""

    name: str
    group: str
    command: Frozen | None
    due: DateTime
    status: str
    turn: int = 1
    """Counts the settings under this name, so that an old one is never run for a new one."""


@frozen(kw_only=True)
class LaterSet(Event):
    """A command is to be decided later."""

    name: str
    group: str
    command: Frozen | None
    due: DateTime
    turn: int

    def arrow(self) -> str | None:
        return "renew" if self.turn > 1 else None


@frozen(kw_only=True)
class LaterWithdrawn(Event):
    """It is not to be decided after all."""

    trigger: ClassVar[str | None] = "withdraw"


@frozen(kw_only=True)
class LaterRun(Event):
    """Its time had come, and it was decided."""

    trigger: ClassVar[str | None] = "run"


@frozen(kw_only=True)
class SetLater(Command[Reminder]):
    """Set, replace or (without a command) take back a later command.  Made by the engine from a `Later`."""

    name: str
    group: str
    command: Frozen | None
    due: DateTime


@frozen(kw_only=True)
class RunLater(News[Reminder]):
    """Its time has come.  A refusal of what was to be decided leaves a discrepancy."""

    name: str
    turn: int
    command: Command[Any]


@error
class NotYet(Refused):
    """The later command's time has not come."""

    name: str

    @property
    def message(self) -> str:
        return f"the later command {self.name!r} is not due yet"


def _set(command: SetLater, state: Reminder | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if command.command is not None:
        turn = state.turn + 1 if state else 1
        yield LaterSet(name=command.name, group=command.group, command=command.command, due=command.due, turn=turn)
    elif state is not None and state.status == "waiting":
        yield LaterWithdrawn()


def _run(command: RunLater, state: Reminder | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    reminder = require(state, KIND, command.name)
    if reminder.status != "waiting" or reminder.turn != command.turn:
        return  # done by another worker, replaced, or taken back
    if reminder.due > at:
        raise NotYet(command.name)
    yield LaterRun()


def _follow(command: RunLater, events: tuple[Event, ...]) -> Replies:
    return (command.command,) if events else ()


def _by_name(command: Any) -> str:
    return str(command.name)


def _due(reminder: Reminder) -> str | None:
    """When it is due; nothing where it was done or taken back."""
    return to_text(reminder.due) if reminder.status == "waiting" else None


LATERS = Capability(
    kind=KIND,
    state=Reminder,
    lifecycle=LATER,
    rules={SetLater: Rule(_set, _by_name), RunLater: Rule(_run, _by_name, then=_follow)},
    evolve={
        LaterSet: lambda state, e: Reminder(
            name=e.name, group=e.group, command=e.command, due=e.due, turn=e.turn, status=e.status or "waiting"
        ),
        LaterWithdrawn: evolved,
        LaterRun: evolved,
    },
    indexes={
        "status": lambda reminder: reminder.status,
        "due": _due,
        "group_due": lambda reminder: None if (due := _due(reminder)) is None else f"{reminder.group}|{due}",
        "group": lambda reminder: reminder.group or None,
    },
    identify=check_name,
    refusals=(NotYet,),
    last=True,
)
