"""The engine's memory, and what stores promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from pendulum import datetime

from ordermgmt.engine import codec, deciding, saving, working
from ordermgmt.engine.transaction import Write
from ordermgmt.engine.working_set import Entity
from ordermgmt.errors import Conflict
from tests.mutants.planting import Broken, Garden, mutant

# The engine's memory.


@mutant("engine")
def a_command_id_is_ignored(garden: Garden) -> None:
    garden.patch(deciding.Deciding, "_decided_before", lambda self, job: None)


@mutant("engine")
def the_id_of_a_refused_command_is_forgotten(garden: Garden) -> None:
    def remember(self: Any, decided: Any) -> None:
        if not decided.refusal:
            before(self, decided)

    before = garden.patch(deciding.Deciding, "_remember", remember)


@mutant("engine")
def time_runs_backwards(garden: Garden) -> None:
    def of(assembly: Any, key: Any, row: Any) -> Any:
        entity = before.__func__(Entity, assembly, key, row)
        if entity.at is not None:
            entity.at = datetime(2000, 1, 1)
        return entity

    before = garden.patch(Entity, "of", staticmethod(of))


@mutant("engine")
def the_hash_chain_is_broken(garden: Garden) -> None:
    chain = codec.chain
    garden.patch(saving, "chain", lambda head, parts, doc: chain("", parts, doc))


@mutant("engine")
def a_refused_command_leaves_its_traces(garden: Garden) -> None:
    from ordermgmt.engine.working_set import WorkingSet

    garden.patch(WorkingSet, "undo", lambda self: self.keep())


@mutant("engine")
def a_later_command_is_lost(garden: Garden) -> None:
    garden.patch(working.Worker, "_laters", lambda self, now, group, report: working._nothing())


@mutant("engine")
def the_inbox_is_never_read(garden: Garden) -> None:
    garden.patch(working.Worker, "_notices", lambda self, now, report: working._nothing())


# Storage.


@mutant("storage")
def a_commit_in_two_halves(garden: Garden) -> None:
    class Halved(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            half = len(writes) // 2 if len(writes) > 4 and self.count % 7 == 0 else len(writes)
            transaction.commit(writes[:half])

    garden.store(Halved)


@mutant("storage")
def a_lost_write(garden: Garden) -> None:
    class Forgetful(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([] if self.count % 40 == 0 else writes)

    garden.store(Forgetful)


@mutant("storage")
def versions_are_not_checked(garden: Garden) -> None:
    class Careless(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            rows = self.inner.read([write.row.key for write in writes])
            transaction.commit(
                [attrs.evolve(w, expected=rows[w.row.key].version if w.row.key in rows else 0) for w in writes]
            )

    garden.store(Careless)


@mutant("storage")
def a_conflict_is_swallowed(garden: Garden) -> None:
    class Silent(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            try:
                transaction.commit(writes)
            except Conflict:
                return

    garden.store(Silent)


@mutant("storage")
def an_event_of_many_is_dropped(garden: Garden) -> None:
    class Short(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, entries=w.entries[:1]) for w in writes])

    garden.store(Short)


@mutant("storage")
def the_feed_swaps_two_events(garden: Garden) -> None:
    class Swapping(Broken):
        def feed(self, *, after: int = 0, limit: int = 1000) -> Any:
            page = list(super().feed(after=after, limit=limit))
            return [page[1], page[0], *page[2:]] if len(page) > 3 and after % 5 == 0 else page

    garden.store(Swapping)


@mutant("storage")
def an_index_is_stale(garden: Garden) -> None:
    class Stale(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, index={**w.index} if w.expected == 0 else {}) for w in writes])

    garden.store(Stale)


@mutant("storage")
def an_index_keeps_old_values(garden: Garden) -> None:
    class Hoarding(Broken):
        def commit(self, transaction: Any, writes: Sequence[Write]) -> None:
            transaction.commit([attrs.evolve(w, unindex={}) for w in writes])

    garden.store(Hoarding)


@mutant("storage")
def a_search_misses_the_last_of_a_page(garden: Garden) -> None:
    class Blind(Broken):
        def find(self, query: Any) -> Any:
            return list(super().find(query))[: max(query.limit - 1, 0)][:3]

    garden.store(Blind)
