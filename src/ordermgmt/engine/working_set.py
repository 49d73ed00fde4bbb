"""The entities of a batch while it is being decided: changed in place, with savepoints to go back to.

A command, and every follow-up of news, is decided behind a savepoint of its own: accepted, its changes are kept;
refused, they are undone as if it had never been asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import field

from ..errors import Misconfigured
from ..values import frozen
from .assembly import Assembly
from .codec import UNREADABLE, from_json
from .messages import Event
from .recent import Index
from .transaction import Key, Row

Told = tuple[Event, str, str, str, str]
"""An event as it goes into the history: with when, by whom, by which type of command and under which id it was told."""


@frozen
class Decided:
    """What is remembered under a command id."""

    fingerprint: str
    kind: str = ""
    id: str = ""
    version: int = 0
    refusal: str = ""
    facts: dict[str, Any] = field(factory=dict[str, Any])


def _answered(row: Row) -> Any:
    """What is remembered there; `UNREADABLE` where the bytes are damaged."""
    try:
        return from_json(row.doc, Decided)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UNREADABLE


class Entity:
    """One row: the state it was loaded with, the state it has now, and what happened in between."""

    __slots__ = ("at", "index", "key", "row", "saved", "state", "told", "version")

    def __init__(
        self, key: Key, row: Row | None, state: Any, version: int, at: str, index: Index | None = None
    ) -> None:
        self.key = key
        self.row = row
        self.saved = state
        self.index = index
        """The index values it was saved with, where they are remembered."""
        self.state = state
        self.version = version
        self.at = at
        """When its last event was told, as it is stored: text order is time order, so it need not be parsed."""
        self.told: tuple[Told, ...] = ()

    @classmethod
    def of(cls, assembly: Assembly, key: Key, row: Row | None) -> Entity:
        """The entity in this row, or the place where one may come to be."""
        if row is None:
            return cls(key, None, None, 0, "")
        if key[0] not in assembly.by_kind:  # the record of a command id
            return cls(key, row, _answered(row), row.version, row.at)
        doc = row.doc
        recent = assembly.recent
        if (known := recent.of(key, doc)) is not None:
            state, index = known
            return cls(key, row, state, row.version, row.at, index)
        state = assembly.codec.look(doc)
        recent.keep(key, doc, state)
        return cls(key, row, state, row.version, row.at)

    def copy(self) -> Entity:
        """The same, to be changed while this one is kept to go back to."""
        twin = Entity.__new__(Entity)
        twin.key = self.key
        twin.row = self.row
        twin.saved = self.saved
        twin.index = self.index
        twin.state = self.state
        twin.version = self.version
        twin.at = self.at
        twin.told = self.told
        return twin


class WorkingSet:
    """All entities that are loaded, by key."""

    __slots__ = ("_savepoints", "entities")

    def __init__(self, loaded: Mapping[Key, Entity]) -> None:
        self.entities = dict(loaded)
        # Each holds what the entities were before they were changed behind it; None for one that came to be.
        self._savepoints: list[dict[Key, Entity | None]] = [{}]

    def look(self, key: Key) -> Entity:
        """An entity that must be loaded, to be looked at."""
        entity = self.entities.get(key)
        if entity is None:
            raise Misconfigured(f"{key[0]} {key[1]} is looked at but not declared in the rule's keys or reads")
        return entity

    def before(self, key: Key) -> Entity:
        """An entity as it was when the command at hand was begun, whatever became of it since."""
        for before in self._savepoints[1:]:
            if (entity := before.get(key)) is not None:
                return entity
        return self.look(key)

    def change(self, key: Key) -> Entity:
        """An entity to be changed in place."""
        before = self._savepoints[-1]
        entity = self.entities[key]
        if key not in before:
            before[key] = entity
            entity = self.entities[key] = entity.copy()
        return entity

    def add(self, entity: Entity) -> None:
        """An entity that comes to be."""
        self._savepoints[-1].setdefault(entity.key, self.entities.get(entity.key))
        self.entities[entity.key] = entity

    def begin(self) -> None:
        """From here on, changes can be undone."""
        self._savepoints.append({})

    def keep(self) -> bool:
        """What was changed since `begin` is accepted.  Answers whether anything was."""
        before = self._savepoints.pop()
        if len(self._savepoints) > 1:  # what lies below can be undone, and with it what was kept above
            below = self._savepoints[-1]
            for key, entity in before.items():
                below.setdefault(key, entity)
        return bool(before)

    def undo(self) -> None:
        """What was changed since `begin` never happened."""
        for key, entity in self._savepoints.pop().items():
            if entity is None:
                del self.entities[key]
            else:
                self.entities[key] = entity
