"""A capability: one kind of thing that lives, and everything the business says about it.

It is a value, put together from plain functions in visible tables.  `decide` answers a command with events,
`evolve` folds an event into the state, `reactions` say what follows.  All of them are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import attrs
from attrs import field
from pendulum import DateTime

from ..errors import NotFound, Refused
from ..values import frozen, in_the_making
from .codec import Upcaster
from .lifecycle import Lifecycle
from .messages import Command, Effect, Event, Replies, check_id
from .transaction import Key

State = TypeVar("State")
Wanted = TypeVar("Wanted")


class Seen:
    """What a decision may look at besides its own entity.

    The other entities it declared, as they stand now; what ports looked up before; who asks; and which arrows are
    drawn from where its own entity stands.
    """

    __slots__ = ("_lifecycle", "_looked_up", "_state_of", "_status", "by")

    def __init__(
        self,
        state_of: Callable[[Key], Any],
        looked_up: Mapping[tuple[str, str], Any],
        lifecycle: Lifecycle | None = None,
        status: str = "",
        by: str = "",
    ) -> None:
        self.by = by
        """Who asks."""
        self._state_of = state_of
        self._looked_up = looked_up
        self._lifecycle = lifecycle
        self._status = status

    @classmethod
    def anew(cls, status: str, seen: Seen) -> Seen:
        """The same, seen from the status an event of this decision leads to."""
        return cls(seen._state_of, seen._looked_up, seen._lifecycle, status, seen.by)

    def get(self, state: type[Wanted], kind: str, id: str) -> Wanted | None:
        """The entity, or None if there is none.  Asking for one that was not declared is a bug and raises."""
        found = self._state_of((kind, id))
        if found is not None and not isinstance(found, state):
            raise TypeError(f"{kind} {id} is no {state.__name__}")
        return found

    def looked_up(self, port: str, key: str) -> Any:
        """What a port answered before the decision; None where it was not asked or has no answer."""
        return self._looked_up.get((port, key))

    def draws(self, trigger: str) -> bool:
        """Whether an arrow of this name is drawn from where the entity stands."""
        return self.after(trigger) is not None

    def after(self, trigger: str) -> str | None:
        """Where the arrow leads, or None."""
        return self._lifecycle.after(self._status, trigger) if self._lifecycle is not None else None

    @property
    def ended(self) -> bool:
        """Whether no arrow leads on from where the entity stands."""
        return self._lifecycle is not None and self._status in self._lifecycle.final

    @property
    def own_steps(self) -> frozenset[str]:
        """The triggers the host drew that no event of ours carries."""
        return self._lifecycle.own_triggers if self._lifecycle is not None else frozenset()


Decide = Callable[[Any, Any, Seen, DateTime], Iterable[Event]]
Evolve = Callable[[Any, Any], Any]
Keys = Callable[[Any], Iterable[Key]]
Answers = Callable[[Any, Any], Iterable[Any]]
"""(effect, outcome) → the news it is for the business."""
Asks = Callable[[Any, "Lifecycle | None"], Iterable[Command[Any]]]
"""(state, its lifecycle) → the commands one may ask of it."""
Policy = Callable[[Command[Any], Any, Seen, DateTime], Refused | None]


@frozen
class Reaction:
    """When this event happens, then that follows."""

    on: type[Event]
    then: Callable[[Any, Any], Replies]

    @property
    def name(self) -> str:
        """What it is called in listings and discrepancies."""
        return self.then.__name__


@frozen
class Rule:
    """How one type of command is decided, and which rows it must see."""

    decide: Callable[[Any, Any, Seen, DateTime], Iterable[Event]]
    target: Callable[[Any], str]
    """The id of the entity it is about."""
    keys: Keys | None = None
    """Further rows known from the command alone: what it will read, and what its follow-ups will touch."""
    reads: Callable[[Any, Any], Iterable[Key]] | None = None
    """Rows reached through ids that the state holds.  They are what `seen` shows besides `keys`."""
    lookups: Keys = field(default=lambda command: ())
    """What ports are asked before the decision: (port, key) pairs."""
    then: Callable[[Any, tuple[Event, ...]], Replies] | None = None
    """What follows from the command itself, given the events it made."""
    named: Callable[[Any, Callable[[], str]], Any] = field(default=lambda command, new_id: command)
    """The command with ids given to what the caller left unnamed."""


@frozen
class Hearing:
    """How a provider's notice about something of ours, rather than about an effect, is understood."""

    index: str
    """The declared index that holds the provider's reference."""
    belongs: Callable[[Any, str], bool]
    """(state, adapter's name) → whether this adapter may speak about it."""
    told: Callable[[Any, tuple[Any, ...]], Iterable[Any]]
    """(state, what the notice holds) → the news it is."""


@frozen(kw_only=True)
class Capability(Generic[State]):
    """Everything about one kind of entity.  Hosts write their own the same way."""

    kind: str
    """The name in keys, history and drawings: ``"order"``."""
    state: type[State]
    """The frozen class that holds what it is now.  Has a `status` field if there is a lifecycle."""
    lifecycle: Lifecycle | None = None
    rules: Mapping[type[Command[Any]], Rule]
    evolve: Mapping[type[Event], Evolve]
    """How each event changes the state: (state or None, event) → state.  Total: it never refuses."""
    effects: tuple[type[Effect], ...] = ()
    answers: Mapping[type[Effect], Answers] = field(factory=dict[type[Effect], Answers])
    """What an effect's outcome means for the business: (effect, outcome) → news."""
    reactions: tuple[Reaction, ...] = ()
    indexes: Mapping[str, Callable[[State], str | None]] = field(factory=dict[str, Callable[[Any], "str | None"]])
    """Declared search fields: pure functions of the state, as text; None is not indexed."""
    index_all: Callable[[State], Mapping[str, str | None]] | None = None
    """All of `indexes` in one go, where that is cheaper; the law is that both agree."""
    hears: Mapping[str, Hearing] = field(factory=dict[str, Hearing])
    """Family of adapters → how their notices about this kind of entity are understood."""
    values: tuple[type[Any], ...] = ()
    """What adapters of its effects answer with, as far as it must be stored: facts, scans."""
    asks: Mapping[str, Asks] = field(factory=dict[str, Asks])
    """Kind → the commands that can be given about such a thing, with sample arguments: what `shop.allowed` tries."""
    parts: Callable[[State], Iterable[Key]] = field(default=lambda state: ())
    """The entities that belong to one and are asked for themselves: an order's parcels and payments."""
    identify: Callable[[Any], str] = field(default=lambda key: check_id(key, "id"))
    """The id in the store for the key a caller uses: ``("mug", "main")`` → ``"main/mug"``."""
    refusals: tuple[type[Refused], ...] = ()
    """The refusals its rules make, so that a remembered one can be raised again."""
    upcasters: Mapping[tuple[str, int], Upcaster] = field(factory=dict[tuple[str, int], Upcaster])
    """(stored type, its old version) → a function on plain dicts to the next version."""
    hints: Mapping[type[Command[Any]], Keys] = field(factory=dict[type[Command[Any]], Keys])
    """Rows that a command (its own, or a lower capability's) will probably lead to, so that they come with the first
    load.  A wrong guess costs one needless read; a missing one costs another load."""
    last: bool = False
    """True for rows that are locked after all others: hot ones, and effects."""
    v: int = 1
    """The version of the state's stored form."""

    def redrawn(self, lifecycle: Lifecycle) -> Capability[State]:
        """The same capability with another lifecycle."""
        return attrs.evolve(self, lifecycle=lifecycle)

    def reacting(self, *more: Reaction) -> Capability[State]:
        """The same capability with further reactions after its own."""
        return attrs.evolve(self, reactions=(*self.reactions, *more))

    def performing(self, *effects: type[Effect]) -> Capability[State]:
        """The same capability with further effects: what reactions of a host's own may ask of its ports."""
        return attrs.evolve(self, effects=(*self.effects, *effects))

    def index(self, state: State) -> Mapping[str, str | None]:
        """The value of every declared index."""
        if self.index_all is not None:
            return self.index_all(state)
        return {name: of(state) for name, of in self.indexes.items()}

    def fold(self, events: Iterable[Event], state: State | None = None) -> State | None:
        """The state these events lead to.  Law: folding an entity's history gives its saved state."""
        for event in events:
            state = self.evolve[type(event)](state, event)
        return state


def changed(state: State, **changes: Any) -> State:
    """A copy of a frozen state with some fields changed.

    Like `attrs.evolve`, without running `__init__`, its validators and converters again: a fifth of the cost, for
    values that come from our own rules.
    """
    cls: type[Any] = type(state)
    form = _FORMS.get(cls)
    if form is None:
        form = _FORMS[cls] = _form_of(cls)
    copy_of, fields = form
    copy: Any = copy_of(state)
    for name, value in changes.items():
        if name not in fields:
            raise TypeError(f"{cls.__name__} has no field {name}")
        setattr(copy, name, value)
    copy.__class__ = cls
    copied: State = copy
    return copied


def evolved(state: State, event: Event, **changes: Any) -> State:
    """A copy of a state at the status the event led to, if it led to another, and with some other fields changed."""
    if event.status is not None:
        changes["status"] = event.status
    return changed(state, **changes)


Form = tuple[Callable[[Any], Any], frozenset[str]]


def _form_of(cls: type[Any]) -> Form:
    """How one of a class is copied to be changed, and the names of its fields.

    The copy is written out field by field, as attrs writes `__init__`: a loop over the fields takes twice the time.
    """
    fields = [a.name for a in attrs.fields(cls)]
    known: dict[str, Any] = {"new": object.__new__, "unfinished": in_the_making(cls)}
    lines = [f"    copy.{name} = state.{name}" for name in fields]
    source = "\n".join(["def copy_of(state):", "    copy = new(unfinished)", *lines, "    return copy"])
    exec(source, known)  # noqa: S102 - nothing from outside is in it: the names of a class's own fields
    return known["copy_of"], frozenset(fields)


_FORMS: dict[type[Any], Form] = {}


def require(state: State | None, kind: str, id: str) -> State:
    """The state of a thing that must exist, or `NotFound`."""
    if state is None:
        raise NotFound(kind, id)
    return state


def on(event: type[Event], *then: Callable[[Any, Any], Replies]) -> tuple[Reaction, ...]:
    """When `event` happens, then these follow, in this order."""
    return tuple(Reaction(event, reaction) for reaction in then)


def story(*parts: Sequence[Reaction]) -> tuple[Reaction, ...]:
    """Several `on(…)` as one list."""
    return tuple(reaction for part in parts for reaction in part)


def as_type(value: object, wanted: type[Wanted]) -> Wanted:
    """Tells the type checker what the engine knows."""
    return cast("Wanted", value)
