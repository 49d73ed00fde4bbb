"""The laws of an order system, checked against a store: what a shop holds must add up, and its history must prove it.

    check_order(shop, "A-1")           one order and all that belongs to it, in a few reads: after every command
    check_entity(shop, "stock", "…")   one entity, its whole history included
    check_all(shop)                    everything, page by page, in steady memory

Only the storage port is used (`read`, `find`, `history`, `feed`), so any store can be verified.  `shop` is anything
with an `assembly` and a blocking `storage`: an `OrderManagement`, or a `Books` put together from the two.

A law that does not hold is a `Breach`.  It names the law as our specification does:

    S1–S3  stock: conserved, never over-promised, every claim behind units of an open line
    Q1–Q3  units: in one bucket each, in parcels they left by, with one live label a parcel
    M2–M8  money: facts within limits or told of, asked within limits, book = fold of facts, one currency, whole cents
    J1–J7  history: versions complete, state = fold, hashes chained, time and actors recorded, command ids kept
    C1, C4 lifecycles: only drawn arrows; what has ended holds nothing
    E1–E9  effects: nothing stuck, the frozen request unchanged, one in flight a lane, never sent where cancelled
    index, personal, readable: what is stored beside the state agrees with it

On a store that others write to meanwhile, a finding is looked at again before it is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..engine.assembly import Assembly
from ..errors import NotFound
from .histories import entity
from .reading import Books, Breach, Verifiable, View, lasting
from .states import ENDED, order_and_all
from .stores import KEPT_MAX, Progress, Report, everything

# The ways in.


def check_order(shop: Verifiable, order_id: str) -> None:
    """Check an order with its claims, payments, parcels, refunds and effects, as they stand.  Raises `Breach`.

    It costs a few reads, whatever the store holds; history is left to `check_entity`.
    """
    for breach in lasting(lambda: order_and_all(View(shop), order_id)):
        raise breach


def check_entity(shop: Verifiable, kind: str, id: str, *, arrows: bool = True) -> None:
    """Check one entity by its id in the store, with its whole history.  Raises `Breach`, or `NotFound`.

    `arrows=False` is for a store whose lifecycles were redrawn since: history keeps the arrows of its time.
    """
    for breach in lasting(lambda: entity(View(shop), (kind, id), arrows=arrows)):
        raise breach


def check_all(shop: Verifiable, progress: Progress | None = None, *, arrows: bool = True) -> Report:
    """Check everything there is.  Answers a report; `report.require()` raises what it found."""
    report = Report()
    for breach in everything(shop, report, progress, arrows=arrows):
        report.found += 1
        if len(report.breaches) < KEPT_MAX:
            report.breaches.append(breach)
    return report


def breaches(shop: Verifiable, *, arrows: bool = True) -> Iterator[Breach]:
    """Every breach there is, one by one, as they are found."""
    return everything(shop, Report(), None, arrows=arrows)


def verify_file(path: str | Path, progress: Progress | None = None) -> Report:
    """Check a SQLite file that a shop with the capabilities of this release wrote.  Raises `NotFound` without one.

    A shop with capabilities of its own is checked through itself: ``check_all(shop)``.
    """
    from ..settings import DEFAULT_CAPABILITIES  # noqa: PLC0415 - only here the front door is needed
    from ..storage.sqlite.store import SqliteStorage  # noqa: PLC0415 - as above

    if not Path(path).is_file():
        raise NotFound("file", str(path))
    storage = SqliteStorage(path)
    try:
        return check_all(Books(Assembly(DEFAULT_CAPABILITIES), storage), progress)
    finally:
        storage.close()


__all__ = [
    "ENDED",
    "Books",
    "Breach",
    "Progress",
    "Report",
    "Verifiable",
    "breaches",
    "check_all",
    "check_entity",
    "check_order",
    "verify_file",
]
