"""A lifecycle: the steps a thing that lives may take, as a table that is read and never run.

python-statemachine *declares, validates and draws*; the table compiled from its chart *decides*. Restoring a live
machine and sending it one event costs a few hundred microseconds, looking up `(status, trigger)` a fraction of one.
The table is also easier to trust: it is immutable, it has no thread of its own, and a step that is not in it cannot
happen.

So a chart may say nothing the table cannot hold. Actions, guards, validators, eventless arrows and nested states are
refused where the chart is read, because they would work in the drawing and silently not in the table. A test walks
the live machine and the table side by side and demands that they agree.

A host changes a lifecycle as a value, by `redrawn`. The original is never touched: a subclass that draws from the
states of its parent would mutate the parent (python-statemachine shares the state objects), so inheritance is refused
as well.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from attrs import Factory, evolve, field
from statemachine import Event, State, StateMachine
from statemachine.exceptions import InvalidDefinition
from statemachine.factory import StateMachineMetaclass
from statemachine.transition_list import TransitionList

from ..errors import Misconfigured
from ..values import error, frozen


@error
class InvalidLifecycle(Misconfigured):
    """A chart that cannot become a lifecycle, or a redrawing that is none: raised at import, where it is written."""

    lifecycle: str
    problem: str

    def __str__(self) -> str:
        return f"the lifecycle {self.lifecycle!r} cannot be drawn so: {self.problem}"


class Arrow(NamedTuple):
    """One arrow of a drawing. It is a tuple, so that a host may write `("placed", "confirm", "confirmed")` for it."""

    source: str
    trigger: str
    target: str


def _frozen_mapping(moved: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(moved))


def _table(lifecycle: "Lifecycle") -> Mapping[tuple[str, str], str]:
    return {(source, trigger): target for source, trigger, target in lifecycle.arrows}


def _triggers(lifecycle: "Lifecycle") -> tuple[str, ...]:
    return tuple(dict.fromkeys(arrow.trigger for arrow in lifecycle.arrows))


def _allowed(lifecycle: "Lifecycle") -> Mapping[str, tuple[str, ...]]:
    return {
        status: tuple(arrow.trigger for arrow in lifecycle.arrows if arrow.source == status)
        for status in lifecycle.statuses
    }


def _standing(lifecycle: "Lifecycle") -> Mapping[str, str]:
    return {**lifecycle.moved, **{status: status for status in lifecycle.statuses}}


@frozen
class Lifecycle:
    """The statuses of one kind of thing, and the arrows between them.

    Built by `Lifecycle.of(chart)` or by `redrawn`, which validate it; never by hand.
    """

    name: str
    """What lives: "order", "payment", … as refusals and drawings name it."""
    statuses: tuple[str, ...]
    initial: str
    final: frozenset[str]
    arrows: tuple[Arrow, ...]
    """Every arrow, by trigger and then by status, both in the order the chart declares them."""
    built_in: frozenset[str]
    """The triggers of the chart this lifecycle was first read from: those our own events carry."""
    moved: Mapping[str, str] = field(factory=dict[str, str], converter=_frozen_mapping, hash=False)
    """Where a stored status that no longer exists stands today. Every target is a status of this lifecycle."""
    triggers: tuple[str, ...] = field(init=False, eq=False, repr=False, default=Factory(_triggers, takes_self=True))
    # Plain dicts, because `after` is on the path of every event; nobody but this class sees them.
    _table: Mapping[tuple[str, str], str] = field(
        init=False, eq=False, repr=False, default=Factory(_table, takes_self=True)
    )
    _allowed: Mapping[str, tuple[str, ...]] = field(
        init=False, eq=False, repr=False, default=Factory(_allowed, takes_self=True)
    )
    standing: Mapping[str, str] = field(init=False, eq=False, repr=False, default=Factory(_standing, takes_self=True))
    """Stored status → what it is called today."""

    @classmethod
    def of(cls, chart: type[StateMachine]) -> "Lifecycle":
        """Read `chart` once. Raises `InvalidLifecycle` where the chart says more than a table can hold."""
        return _read(chart, _name_of(chart))

    @property
    def table(self) -> Mapping[tuple[str, str], str]:
        """`{(status, trigger): status}`: the whole decision."""
        return MappingProxyType(self._table)

    def after(self, status: str, trigger: str) -> str | None:
        """The status `trigger` leads to from `status`, or None where no arrow is drawn: refusing is for the engine."""
        return self._table.get((status, trigger))

    def allowed(self, status: str) -> tuple[str, ...]:
        """The triggers drawn from `status`, in the order of the drawing; none from a final or unknown one."""
        return self._allowed.get(status, ())

    def current(self, status: str) -> str | None:
        """Today's name of a stored status, or None if it no longer exists and nobody said where it went."""
        return self.standing.get(status)

    @property
    def own_triggers(self) -> frozenset[str]:
        """Triggers a host drew and none of our events carries: the steps `AdvanceOrder` may walk."""
        return frozenset(self.triggers) - self.built_in

    def redrawn(
        self,
        *,
        remove: Iterable[str | tuple[str, str] | tuple[str, str, str]] = (),
        add: Iterable[tuple[str, str, str]] = (),
        moved: Mapping[str, str] | None = None,
        final: Iterable[str] = (),
    ) -> "Lifecycle":
        """A new lifecycle with other arrows; this one stays as it is. Raises `InvalidLifecycle`, naming the culprit.

        `remove` takes arrows, as `(source, trigger)` or whole, and statuses by name; a status goes with all its
        arrows. `add` takes arrows, which may name new statuses. `final` names new statuses that end the life. `moved`
        says where entities stored in a status that is gone stand now. Every removed status must be in it; statuses
        this lifecycle never had may be (an earlier redrawing of the host's had them, and its database still does).
        """
        removed, added = list(remove), [Arrow(*arrow) for arrow in add]
        gone = {step for step in removed if isinstance(step, str)}
        cut = [step for step in removed if not isinstance(step, str)]
        self._refuse_gone(gone, added)

        kept = [arrow for arrow in self._without(cut) if arrow.source not in gone and arrow.target not in gone]
        named = [status for arrow in added for status in (arrow.source, arrow.target)]
        statuses = tuple(dict.fromkeys(status for status in [*self.statuses, *named] if status not in gone))
        moves = self._moves(statuses, gone, dict(moved or {}))
        ends = frozenset(final)
        self._refuse_if(sorted(ends.difference(statuses)), "{} cannot be final: no arrow leads there")

        drawn = evolve(
            self,
            statuses=statuses,
            initial=moves.get(self.initial, self.initial),
            final=(self.final | ends) - gone,
            arrows=_in_order(statuses, [*kept, *added]),
            moved=moves,
        )
        # Judged by python-statemachine as it is built, and then read like a chart that somebody wrote by hand.
        _read(drawn.chart(), self.name)
        return drawn

    def chart(self) -> type[StateMachine]:
        """A fresh python-statemachine class of this drawing: to validate it, draw it, or walk it beside the table.

        Drive an instance by `StateMachine.send(machine, trigger)`: a trigger called `send` hides the machine's method.
        """
        _refuse_names(self.name, self.statuses, self.triggers)
        states = {status: State(initial=status == self.initial, final=status in self.final) for status in self.statuses}
        events: dict[str, Event] = {}
        for trigger in self.triggers:
            drawn = [states[source].to(states[target]) for source, verb, target in self.arrows if verb == trigger]
            events[trigger] = Event(TransitionList(arrow for arrows in drawn for arrow in arrows), id=trigger)
        title = "".join(word.title() for word in self.name.split("_")) + "Chart"
        try:
            return _new_chart(title, {"__module__": __name__, **states, **events})
        except InvalidDefinition as invalid:
            raise InvalidLifecycle(self.name, str(invalid)) from invalid

    def _refuse_if(self, culprits: Collection[object], problem: str) -> None:
        if culprits:
            raise InvalidLifecycle(self.name, problem.format(", ".join(repr(culprit) for culprit in culprits)))

    def _refuse_gone(self, gone: set[str], added: list[Arrow]) -> None:
        self._refuse_if(sorted(gone.difference(self.statuses)), "{} cannot be removed: there is no such status")
        again = gone.intersection(status for arrow in added for status in (arrow.source, arrow.target))
        self._refuse_if(sorted(again), "{} is removed and drawn again at once")

    def _without(self, cut: list[tuple[str, str] | tuple[str, str, str]]) -> list[Arrow]:
        kept = list(self.arrows)
        for step in cut:
            found = [arrow for arrow in kept if arrow[: len(step)] == tuple(step)]
            self._refuse_if([] if found else [tuple(step)], "{} cannot be removed: there is no such arrow")
            kept = [arrow for arrow in kept if arrow not in found]
        return kept

    def _moves(self, statuses: tuple[str, ...], gone: set[str], moved: dict[str, str]) -> dict[str, str]:
        self._refuse_if(sorted(gone.difference(moved)), "{} is removed: say in `moved` where stored ones stand now")
        self._refuse_if([old for old in moved if old in statuses], "{} is moved, but it is still a status")
        # A status moved by an earlier redrawing follows its target onwards; one that is drawn again needs no move.
        earlier = {old: moved.get(new, new) for old, new in self.moved.items() if old not in statuses}
        moves = {**earlier, **moved}
        nowhere = [new for new in moves.values() if new not in statuses]
        self._refuse_if(nowhere, "{} cannot be moved to: there is no such status")
        return moves


def _in_order(statuses: tuple[str, ...], arrows: list[Arrow]) -> tuple[Arrow, ...]:
    """By trigger, then by status: the order in which a chart is read, so that a drawing read again is the same one."""
    triggers = list(dict.fromkeys(arrow.trigger for arrow in arrows))
    return tuple(sorted(arrows, key=lambda arrow: (triggers.index(arrow.trigger), statuses.index(arrow.source))))


_SETTINGS = (
    "allow_event_without_transition",
    "atomic_configuration_update",
    "catch_errors_as_events",
    "enable_self_transition_entries",
    "start_configuration_values",
    "validate_disconnected_states",
    "validate_final_reachability",
    "validate_trap_states",
)
"""What a StateMachine lets a subclass switch. With other settings it is not the machine the table is compared with."""

_WORD = re.compile(r"[a-z][a-z0-9_]*")
"""Dots and spaces mean something inside python-statemachine ("a.b" answers to "a", "a b" is two triggers)."""

_TAKEN = frozenset(
    [*dir(StateMachine), "model", "state_field", "history_values", "initial_state", "final_states", "states_map"]
)
"""Names a machine needs for itself. A trigger alone may be called `send`: `StateMachine.send(machine, …)` is left."""

_TRIGGER_ALTHOUGH_TAKEN = frozenset({"send"})


def _read(chart: type[StateMachine], name: str) -> Lifecycle:
    _refuse_kind(chart, name)
    _refuse_states(chart, name)
    _refuse_callbacks(chart, name)
    arrows = list(_arrows(chart, name))
    statuses = tuple(state.id for state in chart.states)
    _refuse_names(name, statuses, dict.fromkeys(arrow.trigger for arrow in arrows))
    _refuse_ambiguity(name, arrows)
    return Lifecycle(
        name=name,
        statuses=statuses,
        initial=next(state.id for state in chart.states if state.initial),
        final=frozenset(state.id for state in chart.states if state.final),
        arrows=_in_order(statuses, arrows),
        built_in=frozenset(arrow.trigger for arrow in arrows),
    )


def _refuse_kind(chart: type[StateMachine], name: str) -> None:
    if not issubclass(chart, StateMachine):
        raise InvalidLifecycle(
            name, "the chart is no StateMachine (a StateChart swallows unknown events and the errors of guards)"
        )
    parents = [parent.__name__ for parent in chart.__mro__[1:] if len(getattr(parent, "states", ()))]
    if parents:
        raise InvalidLifecycle(
            name, f"the chart inherits the states of {parents[0]}, which it would change: use `redrawn` instead"
        )
    if not len(chart.states):
        raise InvalidLifecycle(name, "the chart has no states")
    switched = [setting for setting in _SETTINGS if getattr(chart, setting) != getattr(StateMachine, setting)]
    if switched:
        raise InvalidLifecycle(name, f"the chart sets {switched[0]}: it must leave StateMachine's settings alone")
    if getattr(chart, "listeners", None):
        raise InvalidLifecycle(name, "the chart has listeners: a chart draws and does nothing")


def _refuse_states(chart: type[StateMachine], name: str) -> None:
    for state in chart.states:
        if state.states or state.history or state.parallel or state.is_history:
            raise InvalidLifecycle(name, f"{state.id!r} is a nested, parallel or history state: a lifecycle is flat")
        if state.value != state.id:
            raise InvalidLifecycle(name, f"{state.id!r} has the value {state.value!r}: a status is stored by its name")
    # python-statemachine asks for a way to a final state only where there is one.
    if not any(state.final for state in chart.states):
        raise InvalidLifecycle(name, "it has no final status: whatever lives must be able to end")


def _arrows(chart: type[StateMachine], name: str) -> Iterator[Arrow]:
    """Every arrow, in the order the triggers are declared, then the states."""
    events = _events_of(chart)
    for state in chart.states:
        for transition in state.transitions:
            if transition.is_eventless:
                raise InvalidLifecycle(name, f"an arrow from {state.id!r} has no trigger: nothing happens by itself")
            if len(transition.targets) != 1 or transition.targets[0] not in list(chart.states):
                raise InvalidLifecycle(name, f"an arrow from {state.id!r} does not lead to one state of this chart")
            foreign = [str(event) for event in transition.events if event not in events]
            if foreign:
                raise InvalidLifecycle(name, f"{foreign[0]!r} was drawn into this chart's states from outside")
    for event in events:
        if event.delay or event.internal:
            raise InvalidLifecycle(name, f"{str(event)!r} is delayed or internal: a trigger comes from outside, now")
        for state in chart.states:
            for transition in state.transitions:
                if event in transition.events:
                    yield Arrow(state.id, str(event), transition.targets[0].id)


def _refuse_names(name: str, statuses: Iterable[str], triggers: Iterable[str]) -> None:
    statuses, triggers = list(statuses), list(triggers)
    for word in [*statuses, *triggers]:
        if not _WORD.fullmatch(word):
            raise InvalidLifecycle(name, f"{word!r} is no name for a status or a trigger: use a-z, 0-9 and _")
    for word in [*statuses, *(trigger for trigger in triggers if trigger not in _TRIGGER_ALTHOUGH_TAKEN)]:
        if word in _TAKEN:
            raise InvalidLifecycle(name, f"{word!r} means something to python-statemachine: choose another name")
    both = [status for status in statuses if status in triggers]
    if both:
        raise InvalidLifecycle(name, f"{both[0]!r} is a status and a trigger: one of them needs another name")


def _refuse_callbacks(chart: type[StateMachine], name: str) -> None:
    for place, spec in _callbacks(chart):
        if not spec.is_convention:
            raise InvalidLifecycle(name, f"{place} has a callback ({spec}): a chart draws and does nothing")
        # python-statemachine looks these names up on the chart: a method so named would be called.
        if hasattr(chart, str(spec)):
            raise InvalidLifecycle(name, f"{str(spec)!r} would be called by {place}: a chart draws and does nothing")


def _refuse_ambiguity(name: str, arrows: Iterable[Arrow]) -> None:
    seen: set[tuple[str, str]] = set()
    for arrow in arrows:
        if (arrow.source, arrow.trigger) in seen:
            raise InvalidLifecycle(name, f"{arrow.trigger!r} is drawn twice from {arrow.source!r}")
        seen.add((arrow.source, arrow.trigger))


def _name_of(chart: type[StateMachine]) -> str:
    """`ReservationChart` → "reservation"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", chart.__name__.removesuffix("Chart")).lower()


def _events_of(chart: type[StateMachine]) -> list[Event]:
    # `events` is a property of the metaclass; checkers see the property that instances have under the same name.
    events: list[Event] = type.__getattribute__(chart, "events")
    return events


def _callbacks(chart: type[StateMachine]) -> Iterator[tuple[str, Any]]:
    """Everything python-statemachine would call, or look for to call: actions, guards and validators."""
    # Any: the specs are untyped. `is_convention` says that only a name is looked up, `str` is that name.
    for spec in chart.prepare:
        yield "the chart", spec
    for state in chart.states:
        for spec in (*state.enter, *state.exit, *state.invoke):
            yield f"the state {state.id!r}", spec
        for transition in state.transitions:
            before, on, after = transition.before, transition.on, transition.after
            for spec in (*transition.validators, *transition.cond, *before, *on, *after):
                yield f"the arrow {transition.event!r} from {state.id!r}", spec


def _new_chart(title: str, body: dict[str, object]) -> type[StateMachine]:
    # Calling the metaclass is what a class statement does; its own annotations are too narrow for a checker to follow.
    chart: Any = StateMachineMetaclass(title, (StateMachine,), body)
    made: type[StateMachine] = chart
    return made
