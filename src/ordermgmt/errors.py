"""What can go wrong, as one tree.

    OrderManagementError
    ├── InvalidInput (ValueError)   the call itself is malformed; nothing was looked at
    ├── Refused                     a rule said no; its facts are fields; nothing was changed
    │   ├── NotAllowed              the lifecycle draws no such arrow from here
    │   ├── NotFound (LookupError)  there is no such thing
    │   ├── AlreadyExists           there is one already
    │   ├── NotTogether             others of its batch were refused, and all or nothing was asked for
    │   ├── NewerVersion            written by a newer release than this one
    │   └── …                       each capability's own refusals, in its rules
    ├── CommandIdReused             the same command id with other content
    ├── Conflict                    somebody else was faster, again and again; try again
    ├── StorageFailed               the store could not do it; says why
    │   ├── StorageBusy             the store was locked for longer than we wait
    │   └── NewerSchema             a newer release has changed the store's tables
    ├── OutcomeUnknown              nobody can say whether it was saved; repeat it under its command id
    ├── TooManyFollowUps            reactions did not come to rest; a bug in a flow
    ├── Misconfigured               the shop was put together wrongly
    └── MissingExtra (ImportError)  an optional dependency is not installed

*Refused* and *InvalidInput* are yours to handle; the rest are ours, the store's or the set-up's.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from .values import error


class OrderManagementError(Exception):
    """The root of every error this library raises on purpose."""

    retryable: ClassVar[bool] = False
    """True where the same call may succeed if it is simply made again: in a new transaction, where the host owns it."""


class InvalidInput(OrderManagementError, ValueError):
    """The call is malformed: a wrong type, an impossible amount, an unusable id."""


class Refused(OrderManagementError):
    """A rule said no. The facts are fields, `str()` says what to do, and nothing was changed."""

    @property
    def message(self) -> str:
        """One sentence for a person: what was refused, why, and what to do."""
        if self.args and not attrs.has(type(self)):
            return str(self.args[0])
        return self.__doc__ or type(self).__name__

    def __str__(self) -> str:
        return self.message


@error
class NotAllowed(Refused):
    """The lifecycle draws no such arrow from the present status."""

    lifecycle: str
    id: str
    status: str
    trigger: str
    allowed: tuple[str, ...]

    @property
    def message(self) -> str:
        allowed = ", ".join(self.allowed) or "nothing"
        where = f"{self.lifecycle} {self.id} is {self.status}"
        return f"{where}: '{self.trigger}' is not drawn from there (allowed: {allowed})"


@error
class NotTogether(Refused):
    """It was decided together with others, all or nothing, and some of those were refused."""

    refused: int

    @property
    def message(self) -> str:
        return f"nothing of the batch was done: {self.refused} of its commands were refused; see their errors"


@error
class NotFound(Refused, LookupError):
    """There is no such thing in the store."""

    kind: str
    id: str

    @property
    def message(self) -> str:
        if self.kind in ("gateway", "carrier", "port"):
            advice = f"check the name, or give the shop one: {self.kind}s={{{self.id!r}: …}}"
        else:
            advice = "check the id, or create it first"
        return f"there is no {self.kind} {self.id!r}; {advice}"


@error
class AlreadyExists(Refused):
    """There is one already; ids are given once."""

    kind: str
    id: str

    @property
    def message(self) -> str:
        return f"{self.kind} {self.id!r} exists already; use another id, or a command_id to make retries safe"


@error
class NewerVersion(Refused):
    """Stored by a newer release: it can be read, exported and verified here, not changed."""

    kind: str
    id: str
    stored: str

    @property
    def message(self) -> str:
        return (
            f"{self.kind} {self.id!r} was stored as {self.stored}, which this release does not know; upgrade ordermgmt"
        )


@error
class CommandIdReused(OrderManagementError):
    """The command id was used before, for a command with other content."""

    command_id: str

    def __str__(self) -> str:
        return f"command id {self.command_id!r} was used for another command; give each command its own id"


@error
class Conflict(OrderManagementError):
    """Somebody else changed these rows first. Inside the library it means: decide again."""

    retryable = True
    keys: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        rows = ", ".join(f"{kind} {id}" for kind, id in self.keys) or "some rows"
        return f"{rows} changed meanwhile; try again, and in a transaction of your own from its beginning"


class StorageFailed(OrderManagementError):
    """The store could not do it; the message says why. Nothing of the command was saved."""


class StorageBusy(StorageFailed):
    """The store was locked by others for longer than we were told to wait; try again."""

    retryable = True


class NewerSchema(StorageFailed):
    """The store was written by a newer release, which knows tables that this one does not; upgrade ordermgmt."""


class OutcomeUnknown(OrderManagementError):
    """The commit was interrupted, and nobody can say whether it was saved; the message says why.

    Repeat the call under the same command id: it is answered with what became of it, or done now.  Where it had none,
    look first.
    """


class TooManyFollowUps(OrderManagementError):
    """Reactions did not come to rest within the limit: a flow reacts to itself."""


class Misconfigured(OrderManagementError):
    """The shop was put together wrongly; the message says what to change."""


class MissingExtra(OrderManagementError, ImportError):
    """An optional dependency is missing; the message names the extra to install."""
