"""Recovery: after a backup was restored, nothing is sent until every provider's books were compared with ours.

What was executed after the backup was made is unknown to the restored store.  Sending again would do it twice; the
comparison (`reconcile`) imports what the provider did, and then work goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from attrs import field
from pendulum import DateTime
from statemachine import State, StateMachine

from ..errors import Refused
from ..values import error, frozen
from .capability import Capability, Rule, Seen, as_type, changed, require
from .lifecycle import Lifecycle
from .messages import Command, Event, checked_note

KIND = "sending"
THE_ONE = "all"
"""There is one of its kind in a store."""


class SendingChart(StateMachine):
    """Sending is active, or suspended until every provider is reconciled."""

    active = State(initial=True)
    suspended = State()
    retired = State(final=True)

    suspend = active.to(suspended) | suspended.to(suspended)
    resume = suspended.to(active)
    retire = active.to(retired)


SENDING = Lifecycle.of(SendingChart)


@frozen(kw_only=True)
class Sending:
    """Whether this store sends anything."""

    status: str
    since: DateTime | None = None
    """From when on the providers' books must be compared: when the backup was made."""
    missing: tuple[str, ...] = ()
    """The adapters not yet reconciled: ``"gateways/card"``."""


@frozen(kw_only=True)
class SendingSuspended(Event):
    """A backup was restored."""

    trigger: ClassVar[str | None] = "suspend"
    since: DateTime
    missing: tuple[str, ...]
    reason: str


@frozen(kw_only=True)
class ProviderReconciled(Event):
    """One provider's books were compared with ours."""

    port: str
    until: DateTime


@frozen(kw_only=True)
class SendingResumed(Event):
    """All providers were reconciled."""

    trigger: ClassVar[str | None] = "resume"


@frozen(kw_only=True)
class BeginRecovery(Command[Sending]):
    """Send nothing until these adapters were reconciled from `since` on."""

    since: DateTime
    ports: tuple[str, ...]
    reason: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class NoteReconciled(Command[Sending]):
    """A provider's books were compared.  Made by `shop.effects.reconcile`."""

    port: str
    since: DateTime
    until: DateTime


@frozen(kw_only=True)
class EndRecovery(Command[Sending]):
    """Send again.  Refused with `NotReconciled` while an adapter was not compared."""


@error
class NotReconciled(Refused):
    """Providers' books were not yet compared with ours."""

    missing: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"reconcile {', '.join(self.missing)} first: what they did since the backup is not known here"


def _begin(command: BeginRecovery, state: Sending | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    yield SendingSuspended(since=command.since, missing=command.ports, reason=command.reason)


def _note(command: NoteReconciled, state: Sending | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and state.since is not None and command.port in state.missing and command.since <= state.since:
        yield ProviderReconciled(port=command.port, until=command.until)


def _end(command: EndRecovery, state: Sending | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    sending = require(state, KIND, THE_ONE)
    if sending.missing:
        raise NotReconciled(sending.missing)
    yield SendingResumed()


def _suspended(state: Sending | None, event: SendingSuspended) -> Sending:
    return Sending(status=event.status or "suspended", since=event.since, missing=event.missing)


def _reconciled(state: Sending | None, event: ProviderReconciled) -> Sending:
    sending = as_type(state, Sending)
    return changed(sending, missing=tuple(port for port in sending.missing if port != event.port))


def _resumed(state: Sending | None, event: SendingResumed) -> Sending:
    return changed(as_type(state, Sending), status=event.status or "active", since=None)


def _the_one(command: Any) -> str:
    return THE_ONE


SENDINGS = Capability(
    kind=KIND,
    state=Sending,
    lifecycle=SENDING,
    rules={
        BeginRecovery: Rule(_begin, _the_one),
        NoteReconciled: Rule(_note, _the_one),
        EndRecovery: Rule(_end, _the_one),
    },
    evolve={SendingSuspended: _suspended, ProviderReconciled: _reconciled, SendingResumed: _resumed},
    indexes={"status": lambda sending: sending.status},
    identify=str,
    refusals=(NotReconciled,),
    last=True,
)
