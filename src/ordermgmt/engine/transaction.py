"""The storage port: rows of bytes in, rows of bytes out, all or nothing.

A store knows no order and no payment.  It keeps, for every entity, one row (its latest state) and its
history (one row per event); the engine encodes and decodes.  That keeps a storage adapter small enough to
be proven by a conformance suite.

Everything a command changes arrives in one `commit`.  Either all of it is there afterwards, for everybody
and durably, or none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from attrs import field

from ..values import frozen

Key = tuple[str, str]
"""Kind and id of an entity: ``("order", "A-1")``."""

UNFINISHED: Key = ("import", "unfinished")
"""A row that is there while a store is being filled from an export; no shop opens on it."""


class Row(NamedTuple):
    """The latest state of one entity, as stored."""

    key: Key
    version: int
    """How many events led here; 1 or more."""
    doc: bytes
    """The state in its envelope, JSON, UTF-8."""
    head: str
    """The hash of the last event: the end of this entity's chain.  Empty where there is no history."""
    at: str
    """When the last event was recorded: RFC 3339, UTC, fixed width, so that text order is time order."""


class Entry(NamedTuple):
    """One event in an entity's history, as stored."""

    key: Key
    version: int
    doc: bytes
    """The event in its envelope, JSON, UTF-8."""
    hash: str
    """sha256 over the previous hash and everything else of this entry but its position."""
    at: str
    actor: str
    """Who asked."""
    cause: str
    """The type of the command that made it."""
    command_id: str
    """The host's id for the command, or empty."""
    position: int = 0
    """Where it stands in the feed; the store gives it, starting with 1, without gaps for a follower."""


class PersonalValue(NamedTuple):
    """A value about a person, kept beside the history so that it can be erased."""

    ref: str
    subject: str
    doc: bytes


@frozen
class Write:
    """What one entity becomes in a commit."""

    row: Row
    expected: int
    """The version it was decided on; 0: there must be none yet.  Anything else there is a `Conflict`."""
    entries: tuple[Entry, ...]
    """Its new events, in order; versions expected+1 … row.version."""
    index: Mapping[str, str]
    """The declared index values it is to have: name → value."""
    unindex: Mapping[str, str]
    """The index values it had that change or go."""
    personal: tuple[PersonalValue, ...] = ()


@frozen(kw_only=True)
class Query:
    """Find entities of one kind by their declared indexes, a page at a time.

    Answers come in order of (value of the `upto` index if one is named, id), compared by code point.
    """

    kind: str
    equal: Mapping[str, Sequence[str]] = field(factory=dict[str, Sequence[str]])
    """index name → the values it may have; all names must match."""
    upto: tuple[str, str] | None = None
    """(index name, highest value, included): orders by that index."""
    after: tuple[str, str] | None = None
    """The (value, id) of the last one of the page before; value is '' without `upto`."""
    limit: int = 100


class Found(NamedTuple):
    """One answer to a `Query`: the row, and its place for the next page."""

    place: tuple[str, str]
    row: Row


class Transaction(Protocol):
    """An open transaction.  Leaving its `with` block without `commit` undoes it."""

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]:
        """Take and lock these rows, in the order given.  A key with no row is absent from the answer.

        With `skip_locked`, rows that somebody else holds are left out instead of waited for.
        """
        ...

    def commit(self, writes: Sequence[Write]) -> None:
        """Save it all, durably, or nothing.  Raises `Conflict` naming every row that is not at its
        expected version.  Nothing may follow in this transaction.
        """
        ...


@runtime_checkable
class Storage(Protocol):
    """A store with blocking calls.  Any number of threads may call it."""

    volatile: bool
    """True where a restart forgets everything."""
    exclusive: bool
    """True where an open transaction keeps all others out, so that rows may be taken in any order."""

    def transaction(self) -> AbstractContextManager[Transaction]: ...

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        """The latest committed rows, without locks."""
        ...

    def find(self, query: Query) -> Sequence[Found]: ...

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """The events of one entity with a version above `after`, oldest first."""
        ...

    def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """The events of all entities with a position above `after`, in commit order, none ever skipped."""
        ...

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        """The values kept under these references; an erased one is absent."""
        ...

    def erase(self, subject: str) -> int:
        """Forget every value about a person; answers how many there were."""
        ...

    def statuses(self, kind: str) -> Mapping[str, int]:
        """How many entities of a kind stand in each status: the values of their `status` index."""
        ...

    def close(self) -> None: ...


class AsyncTransaction(Protocol):
    """An open transaction, awaited.  The same promises as `Transaction`."""

    async def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Mapping[Key, Row]: ...

    async def commit(self, writes: Sequence[Write]) -> None: ...


@runtime_checkable
class AsyncStorage(Protocol):
    """A store with awaited calls.  The same promises as `Storage`."""

    volatile: bool
    exclusive: bool
    awaits: bool
    """Always True: tells the two apart."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncTransaction]: ...

    async def read(self, keys: Collection[Key]) -> Mapping[Key, Row]: ...

    async def find(self, query: Query) -> Sequence[Found]: ...

    async def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]: ...

    async def feed(self, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]: ...

    async def personal(self, refs: Collection[str]) -> Mapping[str, bytes]: ...

    async def erase(self, subject: str) -> int: ...

    async def statuses(self, kind: str) -> Mapping[str, int]: ...

    async def close(self) -> None: ...


def joins(storage: object) -> bool:
    """Whether `transaction` is a savepoint in a transaction of the host's, who commits it.

    Such a store says so by ``joins = True``.  Nothing is durable there when `commit` returns, a `Conflict` is for the
    host, who begins again, and due work is refused.
    """
    return bool(getattr(storage, "joins", False))
