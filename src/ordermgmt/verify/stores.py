"""A whole store, page by page: every entity, every index, every promise, the feed and the command ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import Any

import msgspec
from attrs import define, field

from ..engine.capability import Capability
from ..engine.codec import from_json
from ..engine.messages import counted
from ..engine.transaction import Found, Key, Query, Row
from ..engine.working_set import Decided
from ..errors import StorageBusy, StorageFailed
from ..stock.messages import stock_id
from ..stock.model import Reservation, Stock
from .histories import entity
from .reading import LOOKS, PAGE, Breach, Verifiable, View, lasting, pages
from .states import beside

KEPT_MAX = 100
"""How many breaches a report keeps; it counts all of them."""
TOGETHER = 50
"""Entities whose neighbours are read in one go."""
HIGHEST = "\U0010ffff"
"""Behind every text an index may hold."""


@define
class Report:
    """What was checked, and what was found."""

    entities: dict[str, int] = field(factory=dict[str, int])
    """How many of each kind."""
    events: int = 0
    found: int = 0
    """How many breaches there are."""
    breaches: list[Breach] = field(factory=list[Breach])
    """The first of them."""

    @property
    def ok(self) -> bool:
        """True where every law holds."""
        return not self.found

    def require(self) -> Report:
        """This report, or the first breach raised."""
        if self.breaches:
            raise self.breaches[0]
        return self

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in self.entities.items() if n) or "nothing"
        found = "no breach" if self.ok else counted(self.found, "BREACH", "BREACHES")
        entities = counted(sum(self.entities.values()), "entity", "entities")
        lines = [f"{found} in {entities} and {counted(self.events, 'event')} ({kinds})"]
        lines += [f"  {breach}" for breach in self.breaches]
        if self.found > len(self.breaches):
            lines.append(f"  … and {self.found - len(self.breaches)} more")
        return "\n".join(lines)


Progress = Callable[[str, int], None]
"""Told the kind and how many of it are checked, after every page."""


# Everything.


def everything(shop: Verifiable, report: Report, progress: Progress | None, *, arrows: bool) -> Iterator[Breach]:
    """Every entity there is, then what only all of them together show; counted into the report as it goes."""
    claimed = dict[str, int]()
    for capability in shop.assembly.capabilities:
        yield from _all_of(shop, capability, report, progress, claimed, arrows=arrows)
    yield from _promises(shop, claimed)
    yield from _feed(shop, report)
    yield from _command_ids(shop, report)


def _all_of(
    shop: Verifiable,
    capability: Capability[Any],
    report: Report,
    progress: Progress | None,
    claimed: dict[str, int],
    *,
    arrows: bool,
) -> Iterator[Breach]:
    kind = capability.kind
    report.entities[kind] = 0
    expected = dict.fromkeys(capability.indexes, 0)
    for one, view in _read_ahead(shop, pages(shop.storage, Query(kind=kind, limit=PAGE))):
        state = view.state(*one.row.key)
        yield from _one(shop, view, one.row.key, arrows=arrows)
        report.entities[kind] += 1
        report.events += one.row.version
        if isinstance(state, capability.state):
            for name, of in capability.indexes.items():
                expected[name] += of(state) is not None
        if isinstance(state, Reservation):
            _add(claimed, state)
        if progress is not None and report.entities[kind] % PAGE == 0:
            progress(kind, report.entities[kind])
    for name in capability.indexes:
        yield from _index(shop, capability, name, expected[name])
    if progress is not None:
        progress(kind, report.entities[kind])


def _read_ahead(shop: Verifiable, found: Iterator[Found]) -> Iterator[tuple[Found, View]]:
    """Each row with a view that has read it, and what its laws will look at: of many rows at once."""
    while some := list(islice(found, TOGETHER)):
        view = View(shop)
        states = [view.take(one.row) for one in some]
        try:
            view.read(key for state in states for key in beside(state))
        except StorageBusy:
            raise
        except StorageFailed:
            pass  # whoever looks at the row that cannot be read will name it
        for one in some:
            yield one, view


def _one(shop: Verifiable, first: View, key: Key, *, arrows: bool) -> Iterable[Breach]:
    """What is wrong with an entity: looked for in the rows read ahead, and only what is found there in fresh ones."""
    views = chain((first,), iter(lambda: View(shop), None))
    try:
        return lasting(lambda: entity(next(views), key, arrows=arrows))
    except StorageBusy:
        raise
    except StorageFailed as problem:
        return [Breach("readable", *key, f"the store cannot read it: {problem}")]


def _index(shop: Verifiable, capability: Capability[Any], name: str, expected: int) -> Iterator[Breach]:
    """Declared indexes are pure functions of the state: what stands in one is what the state says, and all of it."""
    there = 0
    for one in pages(shop.storage, Query(kind=capability.kind, upto=(name, HIGHEST), limit=PAGE)):
        there += 1
        value, id = one.place
        if _index_value(shop, capability, name, one.row) != value:
            # Looked at again by itself: it may have changed between the index and the row.
            yield from lasting(partial(_unlike, shop, capability, name, (capability.kind, id), value))
    if there != expected:
        for one in pages(shop.storage, Query(kind=capability.kind, limit=PAGE)):
            yield from lasting(partial(_unfound, shop, capability, name, one.row.key))


def _index_value(shop: Verifiable, capability: Capability[Any], name: str, row: Row) -> str | None:
    state = View(shop).take(row)
    return capability.indexes[name](state) if isinstance(state, capability.state) else None


def _unlike(shop: Verifiable, capability: Capability[Any], name: str, key: Key, value: str) -> Iterator[Breach]:
    """Found under a value that its state does not have."""
    row = View(shop).row(key)
    if row is None or _index_value(shop, capability, name, row) != value:
        equal = {name: (value,)}
        if any(one.row.key == key for one in _around(shop, capability.kind, equal, key[1])):
            yield Breach("index", *key, f"stands under {name}={value!r}, where it does not belong")


def _unfound(shop: Verifiable, capability: Capability[Any], name: str, key: Key) -> Iterator[Breach]:
    """Not found under the value that its state has."""
    row = View(shop).row(key)
    value = _index_value(shop, capability, name, row) if row is not None else None
    if value is not None and not any(
        one.row.key == key for one in _around(shop, capability.kind, {name: (value,)}, key[1])
    ):
        yield Breach("index", *key, f"is not found by {name}={value!r}")


def _around(shop: Verifiable, kind: str, equal: Mapping[str, tuple[str, ...]], id: str) -> Iterator[Found]:
    """What is found near an id, up to it."""
    before = ("", id[:-1]) if len(id) > 1 else None
    for one in pages(shop.storage, Query(kind=kind, equal=equal, after=before, limit=PAGE)):
        yield one
        if one.row.key[1] >= id:
            return


def _add(claimed: dict[str, int], reservation: Reservation) -> None:
    for claim in reservation.claims.values():
        row = stock_id(claim.sku, claim.location)
        claimed[row] = claimed.get(row, 0) + claim.quantity


def _promises(shop: Verifiable, claimed: dict[str, int]) -> Iterator[Breach]:
    """S2: what is promised of a stock row is what the orders claim of it.  Memory grows with the rows claimed."""
    if not {"stock", "reservation"} <= set(shop.assembly.by_kind):
        return
    suspects = _disagreeing(shop, claimed)
    for _ in range(LOOKS - 1):
        if not suspects:
            return
        again = dict[str, int]()
        for _, reservation in View(shop).find("reservation"):
            if isinstance(reservation, Reservation):
                _add(again, reservation)
        suspects = {row: n for row, n in _disagreeing(shop, again).items() if row in suspects}
    for row, (reserved, n) in sorted(suspects.items()):
        yield Breach("S2", "stock", row, f"{counted(reserved, 'is', 'are')} promised, but the orders claim {n}")


def _disagreeing(shop: Verifiable, claimed: dict[str, int]) -> dict[str, tuple[int, int]]:
    found = dict[str, tuple[int, int]]()
    met = set[str]()
    for one in pages(shop.storage, Query(kind="stock", limit=PAGE)):
        stock = View(shop).take(one.row)
        row = one.row.key[1]
        if row in claimed:
            met.add(row)
        if isinstance(stock, Stock) and stock.reserved != claimed.get(row, 0):
            found[row] = (stock.reserved, claimed.get(row, 0))
    return found | {row: (0, n) for row, n in claimed.items() if row not in met}


def _feed(shop: Verifiable, report: Report) -> Iterator[Breach]:
    """J1: the feed holds every event once, in its place."""
    position, told = 0, 0
    while page := shop.storage.feed(after=position, limit=PAGE):
        for entry in page:
            if entry.position <= position:
                yield Breach("J1", *entry.key, f"event {entry.version} stands at {entry.position} behind {position}")
                return
            position = entry.position
            told += 1
        newest = {entry.key: entry for entry in page}
        rows = shop.storage.read(list(newest))
        for key, entry in newest.items():
            # Read after the feed, so on a store in use a row can only be ahead of it.
            row = rows.get(key)
            if row is None or row.version < entry.version:
                yield Breach("J1", *key, f"event {entry.version} is told, and its state does not know it")
    if told < report.events:
        yield Breach("J1", "feed", "", f"it tells {counted(told, 'event')}, the entities have {report.events}")


def _command_ids(shop: Verifiable, report: Report) -> Iterator[Breach]:
    """J7: what a command id was answered with is still there."""
    found = pages(shop.storage, Query(kind="command", limit=PAGE))
    while some := list(islice(found, TOGETHER)):
        report.entities["command"] = report.entities.get("command", 0) + len(some)
        records = dict[Key, Decided]()
        for one in some:
            key = one.row.key
            try:
                records[key] = from_json(one.row.doc, Decided)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield Breach("readable", *key, "its record cannot be read")
                continue
            if one.row.version != 1:
                yield Breach("J7", *key, f"its record is of version {one.row.version}, and is written once")
        answers = {key: (record.kind, record.id) for key, record in records.items() if not record.refusal}
        rows = shop.storage.read(list(dict.fromkeys(answers.values())))
        for key, about in answers.items():
            row = rows.get(about)
            if row is None or row.version < records[key].version:
                yield Breach("J7", *key, f"it was answered with {' '.join(about)}, which is not there in that version")
