"""How a fault is planted: through the seams a host has too, and taken out again when the run is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import attrs
from attrs import define, field, frozen

from ordermgmt import DEFAULT_CAPABILITIES, Capability, OrderManagement
from ordermgmt.engine import assembly
from ordermgmt.engine.transaction import Query, Storage, Transaction, Write
from ordermgmt.storage import MemoryStorage


@define
class Garden:
    """Where faults are planted: names patched, capabilities changed, the store wrapped."""

    capabilities: list[Capability[Any]] = field(factory=lambda: list(DEFAULT_CAPABILITIES))
    own: list[Capability[Any]] = field(factory=lambda: list(assembly.ENGINES_OWN))
    storage: Callable[[], Storage] = MemoryStorage
    exclusive: bool | None = None
    _undo: list[tuple[Any, str, Any]] = field(factory=list)

    def patch(self, owner: Any, name: str, value: Any) -> Any:
        """Replace a name; answers what stood there."""
        before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        self._undo.append((owner, name, before))
        setattr(owner, name, value)
        return before

    def change(self, kind: str, **fields: Any) -> None:
        """Change fields of a capability, the engine's own included."""
        for capabilities in (self.capabilities, self.own):
            for n, capability in enumerate(capabilities):
                if capability.kind == kind:
                    capabilities[n] = attrs.evolve(capability, **fields)

    def of(self, kind: str) -> Capability[Any]:
        return next(one for one in (*self.capabilities, *self.own) if one.kind == kind)

    def decide(self, kind: str, command: type, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace how a command is decided."""
        rules = dict(self.of(kind).rules)
        rules[command] = attrs.evolve(rules[command], decide=wrap(rules[command].decide))
        self.change(kind, rules=rules)

    def evolve(self, kind: str, event: type, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace how an event is folded in."""
        table = dict(self.of(kind).evolve)
        table[event] = wrap(table[event])
        self.change(kind, evolve=table)

    def forget(self, kind: str, reaction: str) -> None:
        """Leave a reaction out."""
        before = self.of(kind).reactions
        kept = tuple(one for one in before if one.name != reaction)
        assert len(kept) < len(before), reaction
        self.change(kind, reactions=kept)

    def react(self, kind: str, reaction: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace what follows from an event."""
        before = self.of(kind).reactions
        assert reaction in {one.name for one in before}, reaction
        self.change(
            kind,
            reactions=tuple(attrs.evolve(one, then=wrap(one.then)) if one.name == reaction else one for one in before),
        )

    def store(self, broken: type[Broken]) -> None:
        """Put a broken store in."""
        self.storage = lambda: cast("Storage", broken(MemoryStorage()))

    def arguments(self) -> dict[str, Any]:
        """What `simulate` is called with."""
        self.patch(assembly, "ENGINES_OWN", tuple(self.own))
        return {
            "shop_factory": partial(OrderManagement, capabilities=tuple(self.capabilities)),
            "storage": self.storage,
            "exclusive": self.exclusive,
        }

    def clear(self) -> None:
        for owner, name, before in reversed(self._undo):
            setattr(owner, name, before)


@frozen
class Mutant:
    """One fault: what it is, in which part, and how it is planted."""

    name: str
    area: str
    plant: Callable[[Garden], None]
    hint: int = -1
    """A seed at which it was killed before; it is tried first."""


@contextmanager
def planted(mutant: Mutant | None) -> Generator[Mapping[str, Any], None, None]:
    """The arguments for a run with the fault in place, or without any."""
    garden = Garden()
    try:
        if mutant is not None:
            mutant.plant(garden)
        yield garden.arguments()
    finally:
        garden.clear()


class Broken:
    """A store that passes everything on; a mutant breaks one of its promises."""

    def __init__(self, inner: MemoryStorage) -> None:
        self.inner = inner
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @contextmanager
    def transaction(self) -> Generator[Transaction, None, None]:
        with self.inner.transaction() as transaction:
            yield _Through(self, transaction)

    def commit(self, transaction: Transaction, writes: Sequence[Write]) -> None:
        transaction.commit(writes)

    def find(self, query: Query) -> Any:
        return self.inner.find(query)

    def feed(self, *, after: int = 0, limit: int = 1000) -> Any:
        return self.inner.feed(after=after, limit=limit)


class _Through:
    def __init__(self, store: Broken, transaction: Transaction) -> None:
        self._store, self._transaction = store, transaction

    def load(self, keys: Collection[Any], *, skip_locked: bool = False) -> Any:
        return self._transaction.load(keys, skip_locked=skip_locked)

    def commit(self, writes: Sequence[Write]) -> None:
        self._store.count += 1
        self._store.commit(self._transaction, writes)


CATALOGUE: list[Mutant] = []
"""Every fault that was entered."""


def mutant(area: str) -> Callable[[Callable[[Garden], None]], Callable[[Garden], None]]:
    """Enter a fault under the words of its function's name."""

    def enter(plant: Callable[[Garden], None]) -> Callable[[Garden], None]:
        CATALOGUE.append(Mutant(plant.__name__.replace("_", " "), area, plant))
        return plant

    return enter


def nothing(*_args: Any, **_kwargs: Any) -> Iterable[Any]:
    return ()


def dropping(*types: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same answers without those of a type."""
    return lambda inner: lambda *args: [one for one in inner(*args) if not isinstance(one, types)]
