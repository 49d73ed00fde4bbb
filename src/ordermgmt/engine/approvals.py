"""Two people: a command that a policy lets through only once somebody else has approved it.

A policy answers `NeedsApproval`.  The requester asks for an approval, somebody else gives it, and the same command is
asked again.  An approval is for that exact command, and for everything the command decides on as it stands: its own
entity and those its rule declares (`Rule.keys`, `Rule.reads`), such as the order that a change is about.  Once a
version of any of them moves, or another field is asked for, there is none.  Left out are rows that everybody shares
(`Capability.last`: stock): a sale to somebody else changes nothing about what was approved, and whether there are
goods is looked at again when the command is decided.  It is used once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from operator import attrgetter
from typing import Any, ClassVar

import attrs
from attrs import field
from pendulum import DateTime
from statemachine import State, StateMachine

from ..errors import InvalidInput, Refused
from ..values import error, frozen
from .capability import Capability, Rule, Seen, as_type, evolved, on, require, story
from .codec import fingerprint, to_json
from .lifecycle import Lifecycle
from .messages import Command, Event, Later, Replies, check_name, checked_name, checked_note, shorten
from .transaction import Key

KIND = "approval"
VALID_FOR_MAX = timedelta(days=365)


class ApprovalChart(StateMachine):
    """Asked for, given or declined by somebody else, and used once.

    One that expired, was withdrawn or was used can be asked for anew; what was declined stays so for that command,
    until something about the entity has changed.
    """

    requested = State(initial=True)
    approved = State()
    used = State()
    expired = State()
    withdrawn = State()
    declined = State(final=True)

    approve = requested.to(approved)
    decline = requested.to(declined)
    withdraw = withdrawn.from_(requested, approved)
    expire = expired.from_(requested, approved)
    use = approved.to(used)
    renew = requested.from_(used, expired, withdrawn)


APPROVAL = Lifecycle.of(ApprovalChart)


# Refusals.


_ASK = "ask for it with shop.request_approval(command), and let somebody else approve it"
_ADVICE = {
    "requested": "let somebody else approve it (Approve)",
    "declined": "it can be asked for again when something about what it is for has changed",
}
"""What helps, by how the approval stands; where none of these, asking does."""


@error
class NeedsApproval(Refused):
    """A second person must approve the command first.  A policy gives the reason; the rest is filled in."""

    reason: str
    command: str = ""
    approval_id: str = ""
    """What to ask for: `shop.request_approval(command)`."""
    stands: str = "not asked for"
    """How its approval stands."""

    @property
    def message(self) -> str:
        return (
            f"{self.command or 'this command'} needs a second person ({self.reason}), "
            f"and its approval is {self.stands}; {_ADVICE.get(self.stands, _ASK)}"
        )


@error
class ApprovalNotNeeded(Refused):
    """The command needs no approval; just give it."""

    command: str

    @property
    def message(self) -> str:
        return f"{self.command} needs no approval as things stand; ask it"


@error
class SamePerson(Refused):
    """Nobody may approve what they asked for themselves."""

    approval_id: str
    person: str

    @property
    def message(self) -> str:
        return f"{self.person} has asked for approval {self.approval_id}; somebody else must approve it"


@error
class ApprovalOver(Refused):
    """The approval's time is over."""

    approval_id: str
    expired_at: DateTime

    @property
    def message(self) -> str:
        return f"approval {self.approval_id} was for use until {self.expired_at}; ask for it anew"


# The state, commands and events.


@frozen(kw_only=True)
class Approval:
    """One command that needs a second person, and what that person said."""

    approval_id: str
    about: tuple[str, str]
    """Kind and id of the entity the command is about, and …"""
    version: int
    """… the version it stood at; an approval for another version, of it or of what else is decided on, is worth
    nothing."""
    command: str
    content: str
    """The command's fields as JSON, without what is personal: what is to be approved."""
    reason: str
    """Why the policy wants a second person."""
    requested_by: str
    note: str
    expires_at: DateTime
    status: str
    decided_by: str = ""
    decision_note: str = ""


@frozen(kw_only=True)
class RequestApproval(Command[Approval]):
    """Ask for a second person.  Made by `shop.request_approval(command)`."""

    approval_id: str
    about: Key
    version: int
    command: str
    content: str
    reason: str
    note: str
    valid_for: timedelta


@frozen(kw_only=True)
class ApprovalCommand(Command[Approval]):
    """What is asked of one approval."""

    approval_id: str = field(validator=checked_name)


@frozen(kw_only=True)
class Approve(ApprovalCommand):
    """Let the command through.  Refused with `SamePerson` to whoever asked for it."""

    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class DeclineApproval(ApprovalCommand):
    """Do not let the command through."""

    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class WithdrawApproval(ApprovalCommand):
    """Take an approval back: it is not needed any more, or was given by mistake."""

    note: str = field(default="", validator=checked_note)


@frozen(kw_only=True)
class UseApproval(ApprovalCommand):
    """The command was let through.  Made by the engine, in the same commit."""


@frozen(kw_only=True)
class ExpireApproval(ApprovalCommand):
    """Its time is over.  Does nothing where it has moved on.  Made by a reminder."""


@frozen(kw_only=True)
class ApprovalRequested(Event):
    """A second person is asked."""

    approval_id: str
    about: tuple[str, str]
    version: int
    command: str
    content: str
    reason: str
    requested_by: str
    note: str
    expires_at: DateTime
    again: bool

    def arrow(self) -> str | None:
        return "renew" if self.again else None


@frozen(kw_only=True)
class ApprovalGiven(Event):
    """A second person let it through."""

    trigger: ClassVar[str | None] = "approve"
    by: str
    note: str


@frozen(kw_only=True)
class ApprovalDeclined(Event):
    """A second person did not let it through."""

    trigger: ClassVar[str | None] = "decline"
    by: str
    note: str


@frozen(kw_only=True)
class ApprovalWithdrawn(Event):
    """It is not needed any more."""

    trigger: ClassVar[str | None] = "withdraw"
    note: str


@frozen(kw_only=True)
class ApprovalUsed(Event):
    """The command was done under it."""

    trigger: ClassVar[str | None] = "use"


@frozen(kw_only=True)
class ApprovalExpired(Event):
    """Nobody used it in time."""

    trigger: ClassVar[str | None] = "expire"


# What the engine asks.


def approval_id(about: Key, version: int, command: Command[Any], others: Mapping[Key, int]) -> str:
    """The id of the approval of this very command, about this entity and these others, each at its version."""
    told = fingerprint(command)
    if others:
        versions = sorted((*key, version) for key, version in others.items())
        told = hashlib.sha256(to_json([told, versions])).hexdigest()
    return f"{about[0]}.{about[1]}.{version}.{told[:24]}"


def standing(approval: Approval | None, by: str, at: DateTime) -> str:
    """Empty where the command may pass; else how its approval stands, for the refusal."""
    if approval is None:
        return "not asked for"
    if approval.status != "approved":
        return approval.status
    if approval.expires_at <= at:
        return "expired"
    return "given by the one who now asks" if approval.decided_by == by else ""


def content_of(command: Command[Any]) -> str:
    """A command's fields as JSON, without what is personal."""
    fields = attrs.fields(command.__class__)
    told = {a.name: getattr(command, a.name) for a in fields if not a.metadata.get("personal")}
    return to_json({name: value for name, value in told.items() if value is not None}).decode()


def requested(
    needs: NeedsApproval, about: Key, version: int, command: Command[Any], note: str, valid_for: Any
) -> RequestApproval:
    """The request for what a refusal asks for.  Raises `InvalidInput`."""
    if not isinstance(valid_for, timedelta) or not timedelta(0) < valid_for <= VALID_FOR_MAX:
        raise InvalidInput(
            f"valid_for must be timedelta above zero, at most {VALID_FOR_MAX.days} days (got {shorten(valid_for)})"
        )
    return RequestApproval(
        approval_id=needs.approval_id,
        about=about,
        version=version,
        command=type(command).__name__,
        content=content_of(command),
        reason=needs.reason,
        note=note,
        valid_for=valid_for,
    )


# Decide.


def _request(command: RequestApproval, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    if state is not None and state.status in ("requested", "approved"):
        return
    if state is not None and state.status == "declined":
        raise NeedsApproval(command.reason, command.command, command.approval_id, "declined")
    yield ApprovalRequested(
        approval_id=command.approval_id,
        about=command.about,
        version=command.version,
        command=command.command,
        content=command.content,
        reason=command.reason,
        requested_by=seen.by,
        note=command.note,
        expires_at=at + command.valid_for,
        again=state is not None,
    )


def _approve(command: Approve, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    approval = require(state, KIND, command.approval_id)
    if approval.requested_by == seen.by:
        raise SamePerson(approval.approval_id, seen.by)
    if approval.expires_at <= at:
        raise ApprovalOver(approval.approval_id, approval.expires_at)
    yield ApprovalGiven(by=seen.by, note=command.note)


def _decline(command: DeclineApproval, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.approval_id)
    yield ApprovalDeclined(by=seen.by, note=command.note)


def _withdraw(command: WithdrawApproval, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.approval_id)
    yield ApprovalWithdrawn(note=command.note)


def _use(command: UseApproval, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    require(state, KIND, command.approval_id)
    yield ApprovalUsed()


def _expire(command: ExpireApproval, state: Approval | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    approval = require(state, KIND, command.approval_id)
    if approval.expires_at <= at and seen.draws("expire"):
        yield ApprovalExpired()


# What follows.


def it_ends_by_itself(event: ApprovalRequested, approval: Approval) -> Replies:
    """Whoever did not decide or use it in time has to ask anew."""
    yield Later(ExpireApproval(approval_id=approval.approval_id), event.expires_at, _reminder(approval))


def it_has_ended(event: Event, approval: Approval) -> Replies:
    """Nothing is left to expire."""
    yield Later(None, approval.expires_at, _reminder(approval))


def _reminder(approval: Approval) -> str:
    return f"approval.{approval.approval_id}"


# Evolve.


def _evolve_requested(state: Approval | None, event: ApprovalRequested) -> Approval:
    return Approval(
        approval_id=event.approval_id,
        about=event.about,
        version=event.version,
        command=event.command,
        content=event.content,
        reason=event.reason,
        requested_by=event.requested_by,
        note=event.note,
        expires_at=event.expires_at,
        status=event.status or "requested",
    )


def _evolve_decided(state: Approval | None, event: ApprovalGiven | ApprovalDeclined) -> Approval:
    approval = as_type(state, Approval)
    return evolved(approval, event, decided_by=event.by, decision_note=event.note)


_by_id: Callable[[Any], str] = attrgetter("approval_id")


APPROVALS = Capability(
    kind=KIND,
    state=Approval,
    lifecycle=APPROVAL,
    rules={
        RequestApproval: Rule(_request, _by_id),
        Approve: Rule(_approve, _by_id),
        DeclineApproval: Rule(_decline, _by_id),
        WithdrawApproval: Rule(_withdraw, _by_id),
        UseApproval: Rule(_use, _by_id),
        ExpireApproval: Rule(_expire, _by_id),
    },
    evolve={
        ApprovalRequested: _evolve_requested,
        ApprovalGiven: _evolve_decided,
        ApprovalDeclined: _evolve_decided,
        ApprovalWithdrawn: evolved,
        ApprovalUsed: evolved,
        ApprovalExpired: evolved,
    },
    reactions=story(
        on(ApprovalRequested, it_ends_by_itself),
        on(ApprovalDeclined, it_has_ended),
        on(ApprovalWithdrawn, it_has_ended),
        on(ApprovalUsed, it_has_ended),
    ),
    values=(ExpireApproval,),  # it waits in a reminder, so it must have a stored form
    indexes={
        "status": lambda approval: approval.status,
        "about": lambda approval: "/".join(approval.about),
        "requested_by": lambda approval: approval.requested_by,
    },
    identify=check_name,
    refusals=(NeedsApproval, SamePerson, ApprovalOver),
    last=True,
)
