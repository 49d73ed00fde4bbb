"""One pass over a batch, in memory: each command, and all that follows from it, on the rows that are loaded.

Each command has a savepoint of its own.  Nothing here loads or saves: a row that turns out to be missing is noted, and
`handling.attempt` decides the whole batch again once it has been loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_type_hints

import attrs
from pendulum import DateTime

from ..errors import (
    CommandIdReused,
    InvalidInput,
    NewerVersion,
    NotAllowed,
    NotFound,
    Refused,
    StorageFailed,
    TooManyFollowUps,
)
from .approvals import KIND as APPROVAL_KIND
from .approvals import NeedsApproval, UseApproval, approval_id, standing
from .assembly import FOLLOW_UPS_MAX, ROUNDS_MAX, Assembly
from .capability import Capability, Rule, Seen
from .codec import UNREADABLE, Opaque, fingerprint, from_builtins, to_builtins, with_status
from .discrepancies import DiscrepancyOpened
from .effects import EffectPlanned, Intent, idempotency_key
from .instants import from_text, to_text
from .laters import SetLater
from .lifecycle import Lifecycle
from .messages import Command, Disagreement, Effect, Event, Later, News
from .policies import asked_of, refusal_of
from .requests import Job, Result
from .transaction import Key
from .working_set import Decided, Entity, WorkingSet

DISCREPANCIES_MAX = 1000
"""How many disagreements may be open about one entity at one version."""


class NeedsMore(Exception):
    """A row is needed that is not loaded; which one stands in `Deciding.missing`.

    A rule that catches it where it looks does no harm: while anything is missing, what was decided is thrown away.
    """


Asked = tuple[Command[Any], Capability[Any], Rule, Key]
"""A command, who decides it, and what it is about."""


class Deciding:
    """One pass over a batch, on what is loaded."""

    def __init__(self, assembly: Assembly, loaded: Mapping[Key, Entity], now: DateTime) -> None:
        self._assembly = assembly
        self._now = now
        self._now_text = to_text(now)
        self._policies = tuple(assembly.policies)
        self.working = WorkingSet(loaded)
        self.missing: set[Key] = set()
        self.given: set[Key] = set()
        """Whose states are given to callers."""
        # Of the job at hand.
        self._asked: list[Asked] = []
        self._actor = ""
        self._command_id = ""
        self._root: Command[Any] | None = None
        self._looked_up: Mapping[tuple[str, str], Any] = {}
        self._follow_ups = 0
        self._version = 0
        self._approved: set[str] = set()

    def run(self, job: Job) -> Result:
        """Decide one command and all that follows from it."""
        self._actor = job.actor
        self._command_id = job.command_id
        self._root = job.command
        self._looked_up = job.looked_up
        self._asked = []
        self._follow_ups = 0
        if self._policies:  # an approval is for the entity as it stands now
            entity = self.working.entities.get(self._assembly.target(job.command))
            self._version = entity.version if entity is not None else 0
            self._approved = set()
        try:
            if job.command_id and (before := self._decided_before(job)) is not None:
                return before
        except NeedsMore:
            return Result()
        except Exception as error:  # noqa: BLE001 - an id used twice, or a record that is damaged: its caller's own affair
            return Result(error=error)
        self.working.begin()
        try:
            self._tree(job.command)
        except NeedsMore:
            self.working.undo()
            return Result()
        except Refused as refusal:
            self.working.undo()
            if job.command_id and not isinstance(refusal, NewerVersion | NeedsApproval):
                told = fingerprint(job.asked or job.command)
                self._remember(Decided(told, refusal=type(refusal).__name__, facts=_facts(refusal)))
            return Result(error=refusal)
        except Exception as error:  # noqa: BLE001 - a bug in one command reaches its caller only
            self.working.undo()
            return Result(error=error)
        is_changed = self.working.keep()
        entity = self.working.look(self._assembly.target(job.command))
        if job.asked is not None:  # somebody else's than the engine's own work
            self.given.add(entity.key)
        if job.command_id:
            self._remember(Decided(fingerprint(job.asked or job.command), *entity.key, entity.version))
        return Result(state=entity.state, changed=is_changed)

    # Command ids.

    def _decided_before(self, job: Job) -> Result | None:
        place = self.working.look(("command", job.command_id))
        record = place.state
        if record is None:
            return None
        if record is UNREADABLE:
            _refuse_newer(place)
        if record.fingerprint != fingerprint(job.asked or job.command):
            raise CommandIdReused(job.command_id)
        if record.refusal:
            return Result(error=self._refusal(record))
        key = (record.kind, record.id)
        entity = self.working.entities.get(key)
        if entity is None:
            self.missing.add(key)
            raise NeedsMore
        self.given.add(key)
        return Result(state=entity.state)

    def _remember(self, decided: Decided) -> None:
        place = self.working.change(("command", self._command_id))
        place.state = decided
        place.version = 1
        place.at = self._now_text

    def _refusal(self, record: Decided) -> Refused:
        cls = self._assembly.refusals.get(record.refusal)
        # A field that it has gained since then takes its default.
        if cls is None or any(a.name not in record.facts and a.default is attrs.NOTHING for a in _fields(cls)):
            return Refused(f"refused before: {record.refusal} {record.facts}")
        hints = get_type_hints(cls)
        kept = [a.name for a in _fields(cls) if a.name in record.facts]
        return cls(**{name: from_builtins(record.facts[name], hints[name]) for name in kept})

    # Deciding.

    def _tree(self, root: Command[Any]) -> None:
        """A command and all that follows from it, round by round: all of it or, if any is refused, nothing."""
        wave: list[Command[Any]] = [root]
        trials: list[Command[Any]] = []
        rounds = 0
        while wave:
            rounds += 1
            self._follow_ups += len(wave)
            if rounds > ROUNDS_MAX or self._follow_ups > FOLLOW_UPS_MAX:
                raise TooManyFollowUps(
                    f"{type(root).__name__} led to {self._follow_ups} follow-ups in {rounds} rounds; "
                    f"the last were {sorted({type(command).__name__ for command in wave})}"
                )
            following: list[Command[Any]] = []
            for asked in self._ready(wave):
                if not isinstance(asked[0], News):
                    self._decide(asked, following, news=False)
                    continue
                replies: list[Command[Any]] = []
                self._decide(asked, replies, news=True)
                # What follows from news is never a reason to refuse it: it is tried apart.
                for reply in replies:
                    (following if isinstance(reply, News) else trials).append(reply)
            wave = following
        if trials:
            self._try(trials)

    def _try(self, trials: Iterable[Command[Any]]) -> None:
        """The follow-ups of news, each behind a savepoint of its own: accepted, or a discrepancy in its place."""
        needs_more = False
        for command in trials:
            self.working.begin()
            try:
                self._tree(command)
            except NeedsMore:
                self.working.undo()
                needs_more = True  # go on, so that one load brings what all of them need
            except (Refused, InvalidInput) as refusal:
                self.working.undo()
                try:
                    self._disagree(self._assembly.target(command), type(command).__name__, str(refusal))
                except NeedsMore:
                    needs_more = True
            except BaseException:
                self.working.undo()
                raise
            else:
                self.working.keep()
        if needs_more:
            raise NeedsMore

    def _ready(self, wave: Sequence[Command[Any]]) -> list[Asked]:
        """Who decides each command of a round.  What each is about, and what that leads on to (`Rule.reads`), must be
        loaded before any is decided; `Rule.keys` are asked for when one of them is missing.
        """
        entities = self.working.entities
        rule_for = self._assembly.rule_for
        complete = True
        ready: list[Asked] = []
        for command in wave:
            capability, rule = rule_for(command)
            key = (capability.kind, rule.target(command))
            ready.append((command, capability, rule, key))
            entity = entities.get(key)
            if entity is None:
                complete = False
            elif complete and rule.reads is not None and entity.state.__class__ is not Opaque:
                for read in rule.reads(command, entity.state):
                    if read not in entities:
                        complete = False
                        break
        self._asked += ready
        if not complete:
            self._note_missing()
            raise NeedsMore
        return ready

    def _note_missing(self) -> None:
        """Where one row turns out to be missing, all are noted that this job has declared so far and that are not
        loaded, so that one load brings them.
        """
        entities = self.working.entities
        for asked in self._asked:
            self.missing.update(key for key in _declared(asked, entities) if key not in entities)

    def _decide(self, asked: Asked, following: list[Command[Any]], *, news: bool) -> None:
        """One command: its events, recorded and folded in; what follows at once is added to `following`."""
        command, capability, rule, key = asked
        entity = self.working.entities[key]
        state = entity.state
        if state.__class__ is Opaque:
            _refuse_newer(entity)
        # Never backwards for an entity, whatever the clock does.
        at, when = self._now, self._now_text
        if entity.at > when:
            at, when = from_text(entity.at), entity.at
        lifecycle = capability.lifecycle
        status = "" if lifecycle is None else _status_of(state, lifecycle)
        seen = Seen(self._state_of, self._looked_up, lifecycle, status, self._actor)
        if self._policies and not news:
            for policy in self._policies:
                if (refusal := asked_of(policy, command, state, seen, at)) is not None:
                    if not isinstance(refusal, NeedsApproval):
                        raise refusal_of(policy, refusal)
                    following += self._let_through(refusal)
        events = tuple(rule.decide(command, state, seen, at))
        cause = command.__class__.__name__
        if events:
            entity = self.working.change(key)
            entity.at = when
            reactions = self._assembly.reactions
            evolve = capability.evolve
            for event in events:
                if lifecycle is not None:
                    event = self._with_status(event, entity, lifecycle, cause, news=news)  # noqa: PLW2901 - the same, completed
                kind = event.__class__
                entity.state = evolve[kind](entity.state, event)
                entity.version += 1
                entity.told += ((event, when, self._actor, cause, self._command_id),)
                for reaction in reactions.get(kind, ()):
                    self._follow_up(reaction.then(event, entity.state), entity, at, cause, following, news=news)
        if rule.then is not None:
            self._follow_up(rule.then(command, events), entity, at, cause, following, news=news)

    def _let_through(self, needs: NeedsApproval) -> Iterable[Command[Any]]:
        """The command that marks an approval as used; raises the policy's refusal where nobody has approved.

        What is approved is the command that somebody gave, with all that follows from it.
        """
        root = cast("Command[Any]", self._root)
        id = approval_id(self._assembly.target(root), self._version, root, self._others(root))
        if id in self._approved:
            return ()
        approval = self.working.entities.get((APPROVAL_KIND, id))
        if approval is None:
            self.missing.add((APPROVAL_KIND, id))
            raise NeedsMore
        if stands := standing(approval.state, self._actor, self._now):
            raise NeedsApproval(needs.reason, type(root).__name__, id, stands)
        self._approved.add(id)
        return (UseApproval(approval_id=id),)

    def _others(self, root: Command[Any]) -> dict[Key, int]:
        """The versions of what a command decides on besides its own entity, as they were when it was asked."""
        rule = self._assembly.rule_for(root)[1]
        own = self._assembly.target(root)
        keys = set(rule.keys(root)) if rule.keys is not None else set[Key]()
        if rule.reads is not None:
            keys.update(rule.reads(root, self.working.before(own).state))
        by_kind = self._assembly.by_kind
        of_its_own = {key for key in keys if key != own and key[0] in by_kind and not by_kind[key[0]].last}
        if missing := of_its_own - self.working.entities.keys():
            self.missing |= missing
            raise NeedsMore
        return {key: self.working.before(key).version for key in of_its_own}

    def _state_of(self, key: Key) -> Any:
        entities = self.working.entities
        if key not in entities and any(key in _declared(asked, entities) for asked in self._asked):
            self._note_missing()
            raise NeedsMore
        entity = self.working.look(key)
        if isinstance(entity.state, Opaque):
            _refuse_newer(entity)
        return entity.state

    def _with_status(self, event: Event, entity: Entity, lifecycle: Lifecycle, cause: str, *, news: bool) -> Event:
        """The event with the status its arrow leads to.  Without an arrow a command is refused; news stays."""
        state = entity.state
        current = _status_of(state, lifecycle)
        arrow = event.arrow()
        if arrow is not None:
            status = lifecycle.after(current, arrow)
            if status is not None:
                return with_status(event, status)
            if not news:
                raise NotAllowed(lifecycle.name, entity.key[1], current, arrow, lifecycle.allowed(current))
            reason = f"{lifecycle.name} is {current}: no arrow '{arrow}' from there; kept without it"
            self._disagree(entity.key, cause, reason)
        if state is None or state.status != current:
            event = with_status(event, current)
        return event

    def _follow_up(
        self,
        replies: Iterable[Any],
        entity: Entity,
        at: DateTime,
        cause: str,
        following: list[Command[Any]],
        *,
        news: bool,
    ) -> None:
        """What follows from an event: effects become intents here and now; commands, and the `SetLater` that records a
        `Later`, are added to `following`, to be decided in the next round.
        """
        reply: Any
        for reply in replies:
            if isinstance(reply, Command):  # by far the most
                following.append(reply)  # pyright: ignore[reportUnknownArgumentType]  # of what, does not matter here
            elif isinstance(reply, Later):
                waiting = None if reply.command is None else self._assembly.codec.freeze(reply.command)
                following.append(SetLater(name=reply.name, group=reply.group, command=waiting, due=reply.at))
            elif isinstance(reply, Disagreement):
                self._disagree(entity.key, cause, reply.reason)
            else:
                try:
                    self._plan(reply, at, cause)
                except NotFound as refusal:
                    if not news:
                        raise
                    self._disagree(entity.key, cause, str(refusal))

    def _plan(self, effect: Effect, at: DateTime, cause: str) -> None:
        family, name = effect.port
        if name not in self._assembly.ports.get(family, ()):
            raise NotFound(family.rstrip("s"), name)
        effect_id = effect.effect_id
        kind = type(effect).__name__
        intent = Intent(
            effect_id=effect_id,
            kind=kind,
            port=(family, name),
            lane=effect.lane,
            group=effect.group,
            request=self._assembly.codec.freeze(effect),
            key=idempotency_key(self._assembly.secret, effect_id, kind),
            installation=self._assembly.installation,
            status="ready",
            due=at,
            planned_at=at,
        )
        self._create("effect", effect_id, EffectPlanned(status="ready", intent=intent), cause, to_text(at))

    def _disagree(self, about: Key, command: str, reason: str) -> None:
        entity = self.working.entities.get(about)
        version = entity.version if entity is not None else 0
        id = self._free(f"{about[0]}.{about[1]}.{version:06d}", command, reason)
        if id is None:
            return
        opened = DiscrepancyOpened(status="open", discrepancy_id=id, about=about, command=command, reason=reason)
        self._create("discrepancy", id, opened, command, self._now_text)

    def _create(self, kind: str, id: str, event: Event, cause: str, when: str) -> None:
        """An entity of the engine's own, new by its id; the store refuses it if that is wrong."""
        entity = Entity((kind, id), None, None, 1, when)
        entity.state = self._assembly.by_kind[kind].evolve[type(event)](None, event)
        entity.told = ((event, when, self._actor, cause, self._command_id),)
        self.working.add(entity)

    def _free(self, base: str, command: str, reason: str) -> str | None:
        """The first of ``base.00``, ``base.01``, … that nobody has; None where the same is open already.

        Another commit may have opened one at the same version, for what is disagreed about need not change: so each
        is looked at before it is taken.
        """
        for n in range(DISCREPANCIES_MAX):
            key = ("discrepancy", f"{base}.{n:02d}")
            taken = self.working.entities.get(key)
            if taken is None:
                self.missing.add(key)
                raise NeedsMore
            if taken.state is None:
                return key[1]
            if taken.state.status == "open" and (taken.state.command, taken.state.reason) == (command, reason):
                return None
        raise TooManyFollowUps(f"more than {DISCREPANCIES_MAX} discrepancies about {base}")


def _status_of(state: Any, lifecycle: Lifecycle) -> str:
    """Where an entity stands in today's drawing."""
    if state is None:
        return lifecycle.initial
    stored: str = state.status
    return lifecycle.standing.get(stored, stored)


def _declared(asked: Asked, entities: Mapping[Key, Entity]) -> set[Key]:
    """Every row that a command's rule says it looks at or will touch, as far as that is known by now."""
    command, _, rule, key = asked
    keys = {key}
    if rule.keys is not None:
        keys.update(rule.keys(command))
    entity = entities.get(key)
    if rule.reads is not None and entity is not None and not isinstance(entity.state, Opaque):
        keys.update(rule.reads(command, entity.state))
    return keys


def _refuse_newer(entity: Entity) -> None:
    if entity.state is UNREADABLE:
        raise StorageFailed(
            f"{entity.key[0]} {entity.key[1]!r} is damaged and cannot be read; see what verify says of it"
        )
    raise NewerVersion(*entity.key, f"{entity.state.type} v{entity.state.v}")


def _facts(refusal: Refused) -> dict[str, Any]:
    """A refusal's fields, to be remembered."""
    return {a.name: to_builtins(getattr(refusal, a.name)) for a in _fields(type(refusal))}


def _fields(cls: Any) -> tuple[attrs.Attribute[Any], ...]:
    """The attrs fields of a class that may have none."""
    return tuple(attrs.fields(cls)) if attrs.has(cls) else ()
