"""Reading a store for one check: rows through the port, decoded once, and what a broken law is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import msgspec
from attrs import define, evolve

from ..engine.assembly import Assembly
from ..engine.transaction import Found, Key, Query, Row, Storage
from ..errors import OrderManagementError
from ..values import frozen

PAGE = 500
"""Rows, or events, looked at in one read."""
DECODED_BYTES_MAX = 4_000_000
"""How much stored text is remembered together with what it was decoded to."""
LOOKS = 3
"""How often a finding must be seen, on fresh reads, before it is reported."""


@define
class Breach(OrderManagementError):
    """A law that does not hold: which law, of what, and what was found."""

    law: str
    kind: str
    id: str
    explanation: str

    def __str__(self) -> str:
        return f"{self.law}: {self.kind} {self.id}: {self.explanation}"


class Verifiable(Protocol):
    """What can be verified: capabilities as tables, and a blocking store."""

    @property
    def assembly(self) -> Assembly: ...

    @property
    def storage(self) -> Storage: ...


@frozen
class Books:
    """An assembly and a store, for checking without a shop."""

    assembly: Assembly
    storage: Storage


Findings = Iterator[tuple[str, str]]
"""(law, explanation)."""


class _Decoded:
    """What the last rows of a shop were decoded to: the same bytes are the same state, and most rows of an order have
    not changed since it was checked last.  Bounded by the bytes it remembers; a large state is not remembered.
    """

    def __init__(self) -> None:
        self._states = dict[bytes, Any]()
        self._bytes = 0

    def get(self, doc: bytes) -> Any:
        """The state, or None where these bytes were not decoded lately."""
        return self._states.get(doc)

    def keep(self, doc: bytes, state: Any) -> None:
        if len(doc) > DECODED_BYTES_MAX // 64:
            return
        self._bytes += len(doc)
        if self._bytes > DECODED_BYTES_MAX:
            self._states, self._bytes = dict[bytes, Any](), len(doc)
        self._states[doc] = state


_decoded: WeakKeyDictionary[Assembly, _Decoded] = WeakKeyDictionary()
"""By shop, and gone with it."""


class View:
    """A store as it is read for one check: rows are read once and decoded once."""

    def __init__(self, shop: Verifiable) -> None:
        self.assembly = shop.assembly
        self.storage = shop.storage
        decoded = _decoded.get(shop.assembly)
        self._decoded = decoded if decoded is not None else _decoded.setdefault(shop.assembly, _Decoded())
        self._states = dict[Key, Any]()
        self._rows = dict[Key, Row]()

    def read(self, keys: Iterable[Key]) -> None:
        """Read these rows in one go; what was read before stands."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._states]
        rows = self.storage.read(wanted) if wanted else dict[Key, Row]()
        for key in wanted:
            row = rows.get(key)
            self._states[key] = None if row is None else self._decode(row)
            if row is not None:
                self._rows[key] = row

    def take(self, row: Row) -> Any:
        """A row that was found: its state."""
        self._rows[row.key] = row
        self._states[row.key] = state = self._decode(row)
        return state

    def row(self, key: Key) -> Row | None:
        """The row as it was read."""
        if key not in self._states:
            self.read([key])
        return self._rows.get(key)

    def state(self, kind: str, id: str) -> Any:
        """The entity, None where there is none, `Breach` where it cannot be read."""
        if (kind, id) not in self._states:
            self.read([(kind, id)])
        return self._states[kind, id]

    def find(self, kind: str, **equal: str) -> Iterator[tuple[str, Any]]:
        """(id, state) of all with these index values."""
        where = {name: (value,) for name, value in equal.items()}
        for one in pages(self.storage, Query(kind=kind, equal=where, limit=PAGE)):
            yield one.row.key[1], self.take(one.row)

    def exists(self, kind: str, **equal: str) -> bool:
        """Whether there is one with these index values."""
        where = {name: (value,) for name, value in equal.items()}
        return bool(self.storage.find(Query(kind=kind, equal=where, limit=1)))

    def told_of(self, kind: str, id: str) -> bool:
        """Whether a discrepancy about this entity was ever opened."""
        return self.exists("discrepancy", about=f"{kind}/{id}")

    def _decode(self, row: Row) -> Any:
        state = self._decoded.get(row.doc)
        if state is not None:
            return state
        try:
            state = self.assembly.codec.decode(row.doc)
            self._decoded.keep(row.doc, state)
            return state
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as problem:
            return Breach("readable", *row.key, f"its state cannot be read ({type(problem).__name__})")


def pages(storage: Storage, query: Query) -> Iterator[Found]:
    """All answers, a page at a time."""
    while True:
        page = storage.find(query)
        yield from page
        if len(page) < query.limit:
            return
        query = evolve(query, after=page[-1].place)


def lasting(look: Callable[[], Iterable[Breach]]) -> list[Breach]:
    """What is found again and again: a half-seen change of somebody else's is gone at the next look."""
    found = list(look())
    for _ in range(LOOKS - 1):
        if not found:
            break
        found = list(look())
    return found
