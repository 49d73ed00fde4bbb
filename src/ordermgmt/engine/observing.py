"""What a shop tells about its own work, for metrics, traces and logs: values with ids and durations, no content.

Ids are those of orders, payments, effects and commands, and the types of things.  Names, addresses, tokens, amounts,
texts of refusals and of exceptions are never in them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Protocol

from ..values import frozen
from .assembly import Assembly
from .requests import Job, Result
from .transaction import Key

logger = logging.getLogger("ordermgmt")


@frozen(kw_only=True)
class Observed:
    """What observers are told: one of `CommandHandled`, `Conflicted`, `Committed`, `EffectAttempted`."""


@frozen(kw_only=True)
class CommandHandled(Observed):
    """A command was decided, and what it changed is durable; or it was refused, or failed, and changed nothing."""

    command: str
    """The type of the command."""
    kind: str
    id: str
    """What it is about."""
    command_id: str
    error: str
    """The type of the refusal or error; empty where it was accepted."""
    changed: bool
    batch: int
    """How many commands shared the commit."""
    seconds: float
    """How long the whole batch took, waiting for locks and deciding again included."""


@frozen(kw_only=True)
class Conflicted(Observed):
    """Somebody else was faster; the batch is decided again."""

    keys: tuple[Key, ...]
    attempt: int
    """Which attempt it was, from 1."""


@frozen(kw_only=True)
class Committed(Observed):
    """A batch was saved: durably, or for the host's transaction to commit."""

    commands: int
    rows: int
    events: int
    seconds: float
    """How long the store took to save."""


@frozen(kw_only=True)
class EffectAttempted(Observed):
    """An adapter was asked."""

    effect_id: str
    effect: str
    """The type of the effect."""
    port: tuple[str, str]
    lookup: bool
    """True where it was asked what became of an earlier attempt."""
    outcome: str
    """The type of the answer: Succeeded, Declined, Pending, Unknown, RetryLater, NotThere, CannotTell."""
    attempt: int
    seconds: float


class Observer(Protocol):
    """A function that is told what a shop did, in the thread or task that did it, when it is done.

    What it raises is logged and goes no further.
    """

    def __call__(self, observed: Observed, /) -> None:
        """Take note of it; quickly, for somebody waits."""
        ...


@frozen
class Watch:
    """The observers of one shop, and its log."""

    observers: tuple[Observer, ...] = ()

    @property
    def active(self) -> bool:
        """Whether anybody listens; where not, nothing is measured."""
        return bool(self.observers) or logger.isEnabledFor(logging.DEBUG)

    def tell(self, observed: Observed) -> None:
        """Tell everybody."""
        _log(observed)
        for observer in self.observers:
            try:
                observer(observed)
            except Exception as problem:  # noqa: BLE001 - an observer must not undo what it looks at
                # By its type alone: the text of an exception may hold what must not be logged.
                logger.error("an observer failed with %s", type(problem).__name__)  # noqa: TRY400 - see above

    def handled(
        self,
        assembly: Assembly,
        jobs: Sequence[Job],
        results: Sequence[Result],
        saved: Sequence[Committed],
        begun: float,
    ) -> None:
        """A batch is decided and saved."""
        for one in saved:
            self.tell(one)
        seconds = time.perf_counter() - begun
        for job, result in zip(jobs, results, strict=True):
            kind, ident = assembly.target(job.command)
            self.tell(
                CommandHandled(
                    command=type(job.command).__name__,
                    kind=kind,
                    id=ident,
                    command_id=job.command_id,
                    error="" if result.error is None else type(result.error).__name__,
                    changed=result.changed,
                    batch=len(jobs),
                    seconds=seconds,
                )
            )


NOBODY = Watch()


def _log(observed: Observed) -> None:
    match observed:
        case CommandHandled(error=""):
            logger.debug("%s %s %s", observed.command, observed.kind, observed.id)
        case CommandHandled():
            logger.info("%s %s %s: %s", observed.command, observed.kind, observed.id, observed.error)
        case Conflicted():
            logger.info(
                "conflict in attempt %d: %s", observed.attempt, " ".join("/".join(key) for key in observed.keys)
            )
        case Committed():
            logger.debug("committed %d commands: %d rows, %d events", observed.commands, observed.rows, observed.events)
        case EffectAttempted():
            what = "lookup of" if observed.lookup else "sent"
            logger.info(
                "%s %s %s to %s, attempt %d: %s",
                what,
                observed.effect,
                observed.effect_id,
                "/".join(observed.port),
                observed.attempt,
                observed.outcome,
            )
        case _:  # pragma: no cover - there are no others
            raise AssertionError(observed)
