"""What a decided batch writes: rows, history with its hash chain, index changes, personal values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..values import unchecked
from .assembly import Assembly
from .capability import Capability
from .codec import chain, to_json
from .recent import Index
from .transaction import Entry, PersonalValue, Row, Write
from .working_set import Entity

_written = unchecked(Write)


def writes(assembly: Assembly, entities: Iterable[Entity]) -> tuple[Write, ...]:
    """Everything that changed, in lock order."""
    changed = [entity for entity in entities if entity.told or entity.state is not entity.saved]
    lock_order = assembly.lock_order
    changed.sort(key=lambda entity: lock_order(entity.key))
    return tuple([_write(assembly, entity) for entity in changed])


def _write(assembly: Assembly, entity: Entity) -> Write:
    key, row = entity.key, entity.row
    expected, head = (row.version, row.head) if row is not None else (0, "")
    capability = assembly.by_kind.get(key[0])
    if capability is None:  # the record of a command id: no history, found by its age
        saved = Row(key, 1, to_json(entity.state), "", entity.at)
        return Write(saved, expected, (), {"at": entity.at}, {}, ())
    codec = assembly.codec
    entries: list[Entry] = []
    personal: list[PersonalValue] = []
    version = expected
    for event, when, actor, cause, command_id in entity.told:
        version += 1
        doc = codec.encode(event)
        head = chain(head, (*key, version, when, actor, cause, command_id), doc)
        entries.append(Entry(key, version, doc, head, when, actor, cause, command_id))
        if brought := codec.personal(event):
            personal += [
                PersonalValue(value.ref, value.subject, to_json(value.value))
                for value in brought
                if value.value is not None
            ]
    state = entity.state
    doc = codec.encode(state)
    index = capability.index(state)
    if not personal:  # what is remembered knows of people what the row says of them: where it is kept
        assembly.recent.keep(key, doc, state, index)
    gained, lost = _index_changes(entity, capability, index)
    saved = Row(key, entity.version, doc, head, entity.at)
    return _written(saved, expected, tuple(entries), gained, lost, tuple(personal))


def _index_changes(entity: Entity, capability: Capability[Any], new: Index) -> tuple[dict[str, str], dict[str, str]]:
    """What the declared indexes gain and lose."""
    if entity.saved is None:
        return {name: value for name, value in new.items() if value is not None}, {}
    old = entity.index if entity.index is not None else capability.index(entity.saved)
    if new == old:  # as mostly for rows that are only counted up and down
        return {}, {}
    gained: dict[str, str] = {}
    lost: dict[str, str] = {}
    for name, value in new.items():
        was = old[name]
        if value != was:
            if value is not None:
                gained[name] = value
            if was is not None:
                lost[name] = was
    return gained, lost
