"""What the contract for stores writes, and how it reads that back: rows as an engine would hand them over."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row, Storage, Write
from ordermgmt.errors import Conflict

T = TypeVar("T")

AT = "2026-01-02T03:04:05.678901Z"


def written(
    id: str,
    expected: int = 0,
    *,
    kind: str = "order",
    events: int = 1,
    doc: bytes | None = None,
    index: Mapping[str, str] | None = None,
    unindex: Mapping[str, str] | None = None,
    personal: Sequence[PersonalValue] = (),
) -> Write:
    """What an engine would hand over for an entity that takes this many events on top of `expected`."""
    key = (kind, id)
    version = expected + events
    return Write(
        row=Row(key, version, b'{"version":%d}' % version if doc is None else doc, f"hash-{version}", AT),
        expected=expected,
        entries=tuple(
            Entry(key, number, b'{"event":%d}' % number, f"hash-{number}", AT, "clerk", "PlaceOrder", "")
            for number in range(expected + 1, version + 1)
        ),
        index=index or {},
        unindex=unindex or {},
        personal=tuple(personal),
    )


def save(storage: Storage, *writes: Write) -> None:
    """Commit these in a transaction of their own."""
    with storage.transaction() as transaction:
        transaction.commit(writes)


def ids(found: Sequence[Found]) -> list[str]:
    """The ids of these answers, in order."""
    return [answer.row.key[1] for answer in found]


def all_pages(storage: Storage, query: Query) -> list[Found]:
    """Every answer, asked for page by page."""
    answers: list[Found] = []
    after = query.after
    while True:
        page = storage.find(
            Query(kind=query.kind, equal=query.equal, upto=query.upto, after=after, limit=query.limit),
        )
        answers += page
        if len(page) < query.limit:
            return answers
        after = page[-1].place


def whole_feed(storage: Storage, *, after: int = 0, limit: int = 7) -> list[Entry]:
    """Every event from here on, followed page by page."""
    entries: list[Entry] = []
    while page := storage.feed(after=after, limit=limit):
        entries += page
        after = page[-1].position
    return entries


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Do it in this many threads at once; the first error of any is raised."""
    start = threading.Barrier(count)

    def begin(number: int) -> T:
        start.wait(timeout=30)
        return work(number)

    # Threads take turns as often as Python can make them, so that what can meet does.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(count) as pool:
            return [future.result() for future in [pool.submit(begin, number) for number in range(count)]]
    finally:
        sys.setswitchinterval(before)


def increment(storage: Storage, key: Key) -> None:
    """Add one event to an entity, deciding again as often as somebody else was faster."""
    while True:
        try:
            with storage.transaction() as transaction:
                row = transaction.load([key]).get(key)
                transaction.commit([written(key[1], row.version if row else 0, kind=key[0])])
        except Conflict:
            continue
        return
