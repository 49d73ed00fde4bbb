"""How commands are decided: load, decide everything that follows, save once.

One generator serves blocking and asyncio hosts.  It never does I/O: it yields what it needs (`requests`) and
is sent the answers.

A batch is decided in memory from the rows that are loaded, each command on an overlay of its own.  Deciding is
pure, so where a row turns out to be missing the whole batch is simply decided again after one more load; with
keys declared well there is one load in all.  Rows are taken in one total order: when one is needed that comes
before a row already taken, the attempt gives up and is started again with the union (`Again`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, get_type_hints

import attrs
from attrs import define, frozen
from pendulum import DateTime

from ..errors import CommandIdReused, Misconfigured, NewerVersion, NotAllowed, NotFound, Refused, TooManyFollowUps
from .assembly import FOLLOW_UPS_MAX, ROUNDS_MAX, Assembly
from .capability import Capability, Seen
from .codec import Opaque, chain, fingerprint, from_builtins, from_json, to_builtins, to_json
from .discrepancies import DiscrepancyOpened
from .effects import EffectPlanned, Intent, idempotency_key
from .instants import from_text, to_text
from .laters import SetLater
from .lifecycle import Lifecycle
from .messages import Command, Disagreement, Effect, Event, Later, News
from .requests import Again, Job, Load, Now, Request, Result, Save
from .transaction import Entry, Key, PersonalValue, Row, Write


def attempt(
    assembly: Assembly, jobs: Sequence[Job], known: frozenset[Key], *, ordered: bool = True
) -> Generator[Request, Any, list[Result] | Again]:
    """Decide these jobs and save what they change.

    `known` are keys an earlier attempt found to be needed.  `ordered` is False where the store lets nobody else
    take rows meanwhile, so that they may be taken in any order.
    """
    first = set(known)
    for job in jobs:
        first |= assembly.keys(job.command)
        if job.command_id:
            first.add(("command", job.command_id))
    loaded = dict[Key, Entity]()
    wanted = first
    now: DateTime | None = None
    while True:
        keys = tuple(sorted(wanted, key=assembly.lock_order))
        rows: Mapping[Key, Row] = yield Load(keys)
        for key in keys:
            loaded[key] = Entity.of(assembly, key, rows.get(key))
        if now is None:
            now = yield Now()
        deciding = Deciding(assembly, loaded, now)
        results = [deciding.run(job) for job in jobs]
        if not deciding.missing:
            break
        wanted = deciding.missing
        if ordered and min(map(assembly.lock_order, wanted)) < max(map(assembly.lock_order, loaded)):
            return Again(frozenset(loaded) | frozenset(wanted))
    writes = deciding.writes()
    if writes:
        yield Save(writes)
    return results


class Entity:
    """One row while commands are being decided: its state, and what happened to it so far."""

    __slots__ = ("at", "capability", "key", "recorded", "row", "saved", "state", "version")

    def __init__(
        self,
        capability: Capability[Any] | None,
        key: Key,
        row: Row | None,
        state: Any,
        version: int,
        at: DateTime | None,
    ) -> None:
        self.capability = capability
        self.key = key
        self.row = row
        self.saved = state
        self.state = state
        self.version = version
        self.at = at
        self.recorded: tuple[Recorded, ...] = ()

    @classmethod
    def of(cls, assembly: Assembly, key: Key, row: Row | None) -> Entity:
        """The entity in this row, or the place where one may come to be."""
        capability = assembly.by_kind.get(key[0])
        if row is None:
            return cls(capability, key, None, None, 0, None)
        if capability is None:  # a command id's record
            return cls(None, key, row, from_json(row.doc, Decided), row.version, None)
        return cls(capability, key, row, assembly.codec.decode(row.doc), row.version, from_text(row.at))

    def copy(self) -> Entity:
        """The same, to be changed on an overlay."""
        twin = Entity(self.capability, self.key, self.row, self.state, self.version, self.at)
        twin.saved = self.saved
        twin.recorded = self.recorded
        return twin


@frozen
class Recorded:
    """An event as it goes into the history."""

    event: Event
    at: DateTime
    actor: str
    cause: str
    command_id: str


@frozen
class Decided:
    """What is remembered under a command id."""

    fingerprint: str
    kind: str = ""
    id: str = ""
    version: int = 0
    refusal: str = ""
    facts: dict[str, Any] = attrs.field(factory=dict[str, Any])


class NeedsMore(Exception):
    """A row is needed that is not loaded; which one stands in `Deciding.missing`."""


class Overlay:
    """The entities as one command sees and changes them.  Nothing reaches the parent before `merge`."""

    __slots__ = ("_own", "_parent")

    def __init__(self, parent: Overlay | dict[Key, Entity]) -> None:
        self._parent = parent
        self._own = dict[Key, Entity]()

    def get(self, key: Key) -> Entity | None:
        """The entity to look at; None if it is not loaded."""
        return self._own.get(key) or self._parent.get(key)

    def change(self, key: Key) -> Entity:
        """The entity to change."""
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = _loaded(self._parent.get(key), key).copy()
        return own

    def add(self, entity: Entity) -> None:
        """An entity that comes to be."""
        self._own[entity.key] = entity

    def take(self, entities: Mapping[Key, Entity]) -> None:
        """Entities accepted from an overlay above."""
        self._own.update(entities)

    def merge(self) -> None:
        """All of it is accepted."""
        if isinstance(self._parent, Overlay):
            self._parent.take(self._own)
        else:
            self._parent.update(self._own)


@define
class _Telling:
    """Who asked, for the history."""

    actor: str
    command_id: str
    looked_up: Mapping[tuple[str, str], Any]
    follow_ups: int = 0


class Deciding:
    """One pass over a batch, on what is loaded."""

    def __init__(self, assembly: Assembly, loaded: Mapping[Key, Entity], now: DateTime) -> None:
        self._assembly = assembly
        self._entities = dict(loaded)
        self._now = now
        self.missing = set[Key]()

    def run(self, job: Job) -> Result:
        """Decide one command and all that follows from it."""
        try:
            if job.command_id and (before := self._decided_before(job)) is not None:
                return before
        except NeedsMore:
            return Result()
        except CommandIdReused as error:
            return Result(error=error)
        overlay = Overlay(self._entities)
        telling = _Telling(job.actor, job.command_id, job.looked_up)
        try:
            self._tree(job.command, overlay, telling)
        except NeedsMore:
            return Result()
        except Refused as refusal:
            if job.command_id and not isinstance(refusal, NewerVersion):
                self._remember(
                    job, Decided(fingerprint(job.command), refusal=type(refusal).__name__, facts=_facts(refusal))
                )
            return Result(error=refusal)
        except Exception as error:  # noqa: BLE001 - a bug in one command reaches its caller only
            return Result(error=error)
        overlay.merge()
        entity = self._entities[self._assembly.target(job.command)]
        if job.command_id:
            self._remember(job, Decided(fingerprint(job.command), *entity.key, entity.version))
        return Result(state=entity.state)

    # Command ids.

    def _decided_before(self, job: Job) -> Result | None:
        record = self._entities[("command", job.command_id)].state
        if record is None:
            return None
        if record.fingerprint != fingerprint(job.command):
            raise CommandIdReused(job.command_id)
        if record.refusal:
            return Result(error=self._refusal(record))
        entity = self._entities.get((record.kind, record.id))
        if entity is None:
            self.missing.add((record.kind, record.id))
            raise NeedsMore
        return Result(state=entity.state)

    def _remember(self, job: Job, decided: Decided) -> None:
        place = self._entities[("command", job.command_id)].copy()
        place.state = decided
        place.version = 1
        place.at = self._now
        self._entities[place.key] = place

    def _refusal(self, record: Decided) -> Refused:
        cls = self._assembly.refusals.get(record.refusal)
        if cls is None:
            return Refused(f"refused before: {record.refusal} {record.facts}")
        hints = get_type_hints(cls)
        return cls(**{a.name: from_builtins(record.facts[a.name], hints[a.name]) for a in _fields(cls)})

    # Deciding.

    def _tree(self, root: Command[Any], overlay: Overlay, telling: _Telling) -> None:
        """A command and all that follows from it, round by round: all of it or, if any is refused, nothing."""
        wave: list[Command[Any]] = [root]
        trials = list[Command[Any]]()
        rounds = 0
        while wave:
            rounds += 1
            telling.follow_ups += len(wave)
            if rounds > ROUNDS_MAX or telling.follow_ups > FOLLOW_UPS_MAX:
                raise TooManyFollowUps(
                    f"{type(root).__name__} led to {telling.follow_ups} follow-ups in {rounds} rounds; "
                    f"the last were {sorted({type(command).__name__ for command in wave})}"
                )
            self._need(wave, overlay)
            following = list[Command[Any]]()
            for command in wave:
                # What follows from news is never a reason to refuse it: it is tried apart.
                plain = trials if isinstance(command, News) else following
                for reply in self._decide(command, overlay, telling):
                    (following if isinstance(reply, News) else plain).append(reply)
            wave = following
        self._try(trials, overlay, telling)

    def _try(self, trials: Iterable[Command[Any]], overlay: Overlay, telling: _Telling) -> None:
        """The follow-ups of news, each on an overlay of its own: accepted, or a discrepancy in its place."""
        needs_more = False
        for command in trials:
            own = Overlay(overlay)
            try:
                self._tree(command, own, telling)
            except NeedsMore:
                needs_more = True  # go on, so that one load brings what all of them need
            except Refused as refusal:
                about = self._assembly.target(command)
                self._disagree(about, type(command).__name__, str(refusal), overlay, telling)
            else:
                own.merge()
        if needs_more:
            raise NeedsMore

    def _need(self, wave: Sequence[Command[Any]], overlay: Overlay) -> None:
        """Every row this round looks at must be loaded: the missing ones of all its commands, in one go."""
        short = False
        for command in wave:
            capability, rule = self._assembly.rule_for(command)
            target = (capability.kind, rule.target(command))
            keys: Iterable[Key] = (target, *rule.keys(command))
            entity = overlay.get(target)
            if entity is not None and not isinstance(entity.state, Opaque):
                keys = (*keys, *rule.reads(command, entity.state))
            for key in keys:
                if overlay.get(key) is None:
                    self.missing.add(key)
                    short = True
        if short:
            raise NeedsMore

    def _decide(self, command: Command[Any], overlay: Overlay, telling: _Telling) -> list[Command[Any]]:
        """One command: its events, recorded and folded in; answers what follows at once."""
        capability, rule = self._assembly.rule_for(command)
        key = (capability.kind, rule.target(command))
        entity = _loaded(overlay.get(key), key)
        _refuse_newer(entity)
        at = self._now if entity.at is None or entity.at < self._now else entity.at
        lifecycle = capability.lifecycle
        status = _status_of(entity, lifecycle) if lifecycle is not None else ""
        seen = Seen(lambda wanted: _state_of(overlay, wanted), telling.looked_up, lifecycle, status)
        news = isinstance(command, News)
        if not news:
            for policy in self._assembly.policies:
                if (refusal := policy.rule(command, entity.state, seen, at)) is not None:
                    raise refusal
        events = tuple(rule.decide(command, entity.state, seen, at))
        following = list[Command[Any]]()
        if events:
            entity = overlay.change(key)
            for event in events:
                state, told = self._record(event, entity, at, command, news, overlay, telling)
                for reaction in self._assembly.reactions.get(type(event), ()):
                    self._sort(reaction.then(told, state), entity, at, command, overlay, telling, following)
        self._sort(rule.then(command, events), entity, at, command, overlay, telling, following)
        return following

    def _record(
        self,
        event: Event,
        entity: Entity,
        at: DateTime,
        command: Command[Any],
        news: bool,
        overlay: Overlay,
        telling: _Telling,
    ) -> tuple[Any, Event]:
        """Fold one event in.  It tells the status it led to, so that folding asks no chart."""
        capability = self._assembly.by_kind[entity.key[0]]
        lifecycle = capability.lifecycle
        if lifecycle is not None:
            arrow = event.arrow()
            stored = None if entity.state is None else entity.state.status
            current = _status_of(entity, lifecycle)
            if arrow is not None:
                status = lifecycle.after(current, arrow)
                if status is not None:
                    event = self._assembly.codec.with_status(event, status)
                elif news:
                    reason = f"{lifecycle.name} is {current}: no arrow '{arrow}' from there; kept without it"
                    self._disagree(entity.key, type(command).__name__, reason, overlay, telling)
                else:
                    raise NotAllowed(lifecycle.name, entity.key[1], current, arrow, lifecycle.allowed(current))
            if event.status is None and (stored is None or stored != current):
                event = self._assembly.codec.with_status(event, current)
        entity.state = capability.evolve[type(event)](entity.state, event)
        entity.version += 1
        entity.at = at
        entity.recorded = (
            *entity.recorded,
            Recorded(event, at, telling.actor, type(command).__name__, telling.command_id),
        )
        return entity.state, event

    def _sort(
        self,
        replies: Iterable[Any],
        entity: Entity,
        at: DateTime,
        command: Command[Any],
        overlay: Overlay,
        telling: _Telling,
        following: list[Command[Any]],
    ) -> None:
        """Effects are planned here; commands are decided next; a later is a command that is decided next to wait."""
        for reply in replies:
            if isinstance(reply, Command):
                following.append(reply)
            elif isinstance(reply, Later):
                waiting = None if reply.command is None else self._assembly.codec.freeze(reply.command)
                following.append(SetLater(name=reply.name, group=reply.group, command=waiting, due=reply.at))
            elif isinstance(reply, Disagreement):
                self._disagree(entity.key, type(command).__name__, reply.reason, overlay, telling)
            else:
                self._plan(reply, at, command, overlay, telling)

    def _plan(self, effect: Effect, at: DateTime, command: Command[Any], overlay: Overlay, telling: _Telling) -> None:
        family, name = effect.port
        if name not in self._assembly.ports.get(family, {}):
            raise NotFound(family.rstrip("s"), name)
        effect_id = effect.effect_id
        kind = type(effect).__name__
        intent = Intent(
            effect_id=effect_id,
            kind=kind,
            port=effect.port,
            lane=effect.lane,
            group=effect.group,
            request=self._assembly.codec.freeze(effect),
            key=idempotency_key(self._assembly.secret, effect_id, kind),
            status="ready",
            due=at,
            planned_at=at,
        )
        self._create("effect", effect_id, EffectPlanned(intent=intent), type(command).__name__, at, overlay, telling)

    def _disagree(self, about: Key, command: str, reason: str, overlay: Overlay, telling: _Telling) -> None:
        entity = overlay.get(about)
        version = entity.version if entity is not None else 0
        id = self._free(overlay, "discrepancy", f"{about[0]}.{about[1]}.{version:06d}")
        opened = DiscrepancyOpened(discrepancy_id=id, about=about, command=command, reason=reason)
        self._create("discrepancy", id, opened, command, self._now, overlay, telling)

    def _create(
        self, kind: str, id: str, event: Event, cause: str, at: DateTime, overlay: Overlay, telling: _Telling
    ) -> None:
        """An entity of the engine's own, new by its id; the store refuses it if that is wrong."""
        capability = self._assembly.by_kind[kind]
        entity = Entity(capability, (kind, id), None, None, 0, None)
        event = self._assembly.codec.with_status(event, capability.lifecycle.initial)
        entity.state = capability.evolve[type(event)](None, event)
        entity.version = 1
        entity.at = at
        entity.recorded = (Recorded(event, at, telling.actor, cause, telling.command_id),)
        overlay.add(entity)

    @staticmethod
    def _free(overlay: Overlay, kind: str, base: str) -> str:
        """The first of ``base.00``, ``base.01``, … that is not taken in this attempt."""
        for n in range(100):
            if overlay.get((kind, id := f"{base}.{n:02d}")) is None:
                return id
        raise TooManyFollowUps(f"more than 100 of {kind} {base} in one step")

    # Saving.

    def writes(self) -> tuple[Write, ...]:
        """Everything that changed, in lock order."""
        changed = [
            e for e in self._entities.values() if e.recorded or (e.capability is None and e.state is not e.saved)
        ]
        changed.sort(key=lambda entity: self._assembly.lock_order(entity.key))
        return tuple(self._write(entity) for entity in changed)

    def _write(self, entity: Entity) -> Write:
        expected = entity.row.version if entity.row is not None else 0
        at = to_text(entity.at) if entity.at is not None else ""
        if entity.capability is None:
            row = Row(entity.key, 1, to_json(entity.state), "", at)
            return Write(row, expected, (), {"at": at}, {})
        codec = self._assembly.codec
        head = entity.row.head if entity.row is not None else ""
        entries, personal = list[Entry](), list[PersonalValue]()
        for version, told in enumerate(entity.recorded, expected + 1):
            doc = codec.encode(told.event)
            when = to_text(told.at)
            head = chain(head, (*entity.key, version, when, told.actor, told.cause, told.command_id), doc)
            entries.append(Entry(entity.key, version, doc, head, when, told.actor, told.cause, told.command_id))
            for value in codec.personal(told.event):
                if value.value is not None:
                    personal.append(PersonalValue(value.ref, value.subject, to_json(value.value)))
        index, unindex = _index_changes(entity, entity.capability)
        row = Row(entity.key, entity.version, codec.encode(entity.state), head, at)
        return Write(row, expected, tuple(entries), index, unindex, tuple(personal))


def _status_of(entity: Entity, lifecycle: Lifecycle) -> str:
    """Where an entity stands in today's drawing."""
    if entity.state is None:
        return lifecycle.initial
    stored: str = entity.state.status
    return lifecycle.current(stored) or stored


def _index_changes(entity: Entity, capability: Capability[Any]) -> tuple[dict[str, str], dict[str, str]]:
    """What the declared indexes gain and lose."""
    old = capability.index(entity.saved) if entity.saved is not None else {}
    new = capability.index(entity.state)
    gained = {name: value for name, value in new.items() if value is not None and old.get(name) != value}
    lost = {name: value for name, value in old.items() if value is not None and new.get(name) != value}
    return gained, lost


def _state_of(overlay: Overlay, key: Key) -> Any:
    entity = _loaded(overlay.get(key), key)
    _refuse_newer(entity)
    return entity.state


def _loaded(entity: Entity | None, key: Key) -> Entity:
    """The entity, which must be there; otherwise a rule forgot to declare it."""
    if entity is None:
        raise Misconfigured(f"{key[0]} {key[1]} is looked at but not declared in the rule's keys or reads")
    return entity


def _refuse_newer(entity: Entity) -> None:
    if isinstance(entity.state, Opaque):
        raise NewerVersion(*entity.key, f"{entity.state.type} v{entity.state.v}")


def _facts(refusal: Refused) -> dict[str, Any]:
    """A refusal's fields, to be remembered."""
    return {a.name: to_builtins(getattr(refusal, a.name)) for a in _fields(type(refusal))}


def _fields(cls: Any) -> tuple[attrs.Attribute[Any], ...]:
    """The attrs fields of a class that may have none."""
    return tuple(attrs.fields(cls)) if attrs.has(cls) else ()
