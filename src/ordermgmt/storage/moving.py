"""A whole store as lines of JSON, and back into any other: nothing is lost, and that is proven.

    export_store(source, file)      every event in the order of the feed, every state, index and personal value
    import_store(target, file)      into an empty store; interrupted and begun again, it goes on where it was

Stored bytes are taken as they are, whatever capabilities wrote them and whatever release.  The last line tells how many
there are and their fingerprint; the target is read back, and must have the same.  Positions in the feed stay, so that
whoever follows it goes on where they were.  A file holds personal data: keep it as you keep the database.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TextIO

from ordermgmt.engine.messages import counted
from ordermgmt.engine.transaction import UNFINISHED, Entry, Key, PersonalValue, Query, Row, Storage
from ordermgmt.errors import Misconfigured, StorageFailed
from ordermgmt.values import frozen

__all__ = ["Moved", "Movable", "check_export", "export_store", "fingerprint", "import_store"]

FORMAT = 1
PAGE = 500
IndexValue = tuple[str, str, str, str]
"""kind, name, value and id, in which order they are told."""


@frozen
class Batch:
    """A piece of a store, as it is moved."""

    entries: Sequence[Entry] = ()
    """With the positions they have."""
    rows: Sequence[Row] = ()
    index: Sequence[IndexValue] = ()
    personal: Sequence[PersonalValue] = ()


class Movable(Storage, Protocol):
    """What a store has beside the storage port so that it can be moved as a whole."""

    def kinds(self) -> Sequence[str]:
        """The kinds of which there are rows, sorted."""
        ...

    def indexed(self, *, after: IndexValue | None = None, limit: int = 1000) -> Sequence[IndexValue]:
        """Index values, in order."""
        ...

    def persons(self, *, after: str = "", limit: int = 1000) -> Sequence[PersonalValue]:
        """Personal values by reference, in order."""
        ...

    def absorb(self, batch: Batch) -> None:
        """Save a piece of another store, durably and all of it or nothing.  A row that is there is replaced."""
        ...

    def dismiss(self, key: Key) -> None:
        """Remove a row that has no history."""
        ...


@frozen
class Moved:
    """What was exported or imported."""

    events: int
    rows: int
    index_values: int
    personal_values: int
    fingerprint: str
    """sha256 over all of it."""

    def __str__(self) -> str:
        return (
            f"{counted(self.events, 'event')}, {counted(self.rows, 'row')}, "
            f"{counted(self.index_values, 'index value')}, {counted(self.personal_values, 'personal value')}; "
            f"sha256 {self.fingerprint}"
        )


Progress = Callable[[str, int], None]
"""Told what is moved and how many of it are, now and then."""


def export_store(source: Storage, out: TextIO, progress: Progress | None = None) -> Moved:
    """Write everything in a store that nobody writes to meanwhile: a backup, a snapshot, or one that is at rest."""
    store = _movable(source)
    if store.read([UNFINISHED]):
        raise Misconfigured("the store is being filled from an export itself; end that first, with `import-store`")
    out.write(_json({"ordermgmt": FORMAT}) + "\n")
    count = _Count()
    for line in _lines(store, progress):
        count.take(line)
        out.write(line + "\n")
    moved = count.moved()
    out.write(_json({"end": _told(moved)}) + "\n")
    out.flush()
    return moved


def fingerprint(source: Storage, progress: Progress | None = None) -> Moved:
    """What an export would tell, without writing it: two stores that hold the same have the same."""
    count = _Count()
    for line in _lines(_movable(source), progress):
        count.take(line)
    return count.moved()


def import_store(target: Storage, lines: Iterable[str], progress: Progress | None = None) -> Moved:
    """Fill an empty store from an export, and compare what it holds then with what was exported.

    Raises `Misconfigured` where the file is no export or the store is not empty, `StorageFailed` where the file is
    damaged or incomplete.  What was imported before an interruption is not imported again.
    """
    store = _movable(target)
    rest = _read(lines)
    check_export(next(rest, ""))
    done = _begun(store)
    count = _Count()
    ended: dict[str, Any] = {}
    while not ended and (some := list(islice(rest, PAGE))):
        batch = _Filled()
        for line in some:
            told = _parsed(line)
            if "end" in told:
                ended = told["end"]
                break
            count.take(line)
            if count.lines > done:
                batch.take(told)
        if count.lines > done:
            mark = Row(UNFINISHED, 1, _json({"lines": count.lines}).encode(), "", "")
            store.absorb(batch.batch(mark))
        if progress is not None:
            progress("lines imported", count.lines)
    if ended != _told(count.moved()):
        raise StorageFailed("the export is incomplete or was changed: its last line does not tell what it holds")
    moved = fingerprint(store, progress)
    if _told(moved) != ended:
        raise StorageFailed(f"the store holds {moved} after the import, and the export {count.moved()}")
    store.dismiss(UNFINISHED)
    return moved


def check_export(first_line: str) -> None:
    """Raise `Misconfigured` for what is not the first line of an export of this release."""
    try:
        form = _parsed(first_line).get("ordermgmt")
    except StorageFailed:
        form = None
    if form != FORMAT:
        raise Misconfigured(
            f"this is no export of this release (its first line would be {_json({'ordermgmt': FORMAT})}); name the "
            "file that `export` has written, or upgrade ordermgmt"
        )


def _begun(store: Movable) -> int:
    """How many lines were imported before; raises `Misconfigured` where the store holds something else."""
    mark = store.read([UNFINISHED]).get(UNFINISHED)
    if mark is not None:
        lines: int = json.loads(mark.doc)["lines"]
        return lines
    if store.kinds() or store.feed(limit=1):
        raise Misconfigured("the store is not empty; import into a new one")
    return 0


def _movable(store: Storage) -> Movable:
    if not hasattr(store, "absorb"):
        raise Misconfigured(f"{type(store).__name__} cannot be moved as a whole: it has no methods of Movable")
    return store  # type: ignore[return-value]  # what it has was looked at


# Lines.


def _lines(store: Movable, progress: Progress | None) -> Iterator[str]:
    """Everything, in an order that depends on nothing else."""
    events = seen = 0
    for entry in _told_of("events", progress, _entries(store)):
        events += 1
        key, version, doc, *texts, position = entry
        yield _json({"e": [position, *key, version, _text(doc), *texts]})
    for kind in store.kinds():
        if kind != UNFINISHED[0]:
            for row in _told_of(kind, progress, _rows(store, kind)):
                seen += row.version if row.head else 0
                yield _json({"r": [*row.key, row.version, _text(row.doc), row.head, row.at]})
    if events != seen:
        raise StorageFailed(
            f"the feed tells {counted(events, 'event')}, and the states come of {seen}: somebody writes to the "
            "store, or something is missing there, and `verify` tells what"
        )
    for value in _told_of("index values", progress, _index(store)):
        yield _json({"i": value})
    for one in _told_of("personal values", progress, _persons(store)):
        yield _json({"p": [one.ref, one.subject, _text(one.doc)]})


def _entries(store: Movable) -> Iterator[Entry]:
    after = 0
    while page := store.feed(after=after, limit=PAGE):
        yield from page
        after = page[-1].position


def _rows(store: Movable, kind: str) -> Iterator[Row]:
    after: tuple[str, str] | None = None
    while page := store.find(Query(kind=kind, after=after, limit=PAGE)):
        yield from (one.row for one in page)
        after = page[-1].place


def _index(store: Movable) -> Iterator[IndexValue]:
    after: IndexValue | None = None
    while page := store.indexed(after=after, limit=PAGE):
        yield from page
        after = page[-1]


def _persons(store: Movable) -> Iterator[PersonalValue]:
    after = ""
    while page := store.persons(after=after, limit=PAGE):
        yield from page
        after = page[-1].ref


def _told_of(what: str, progress: Progress | None, things: Iterator[Any]) -> Iterator[Any]:
    count = 0
    for count, thing in enumerate(things, 1):
        yield thing
        if progress is not None and count % PAGE == 0:
            progress(what, count)
    if progress is not None:
        progress(what, count)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


DAMAGED = "a line of the export is damaged or cut off; take another copy of it"
STRANGE = "a line of the export is not one of ours; take another copy of it"
_NUMBERS = range(2**63)
"""What a store can keep."""


def _read(lines: Iterable[str]) -> Iterator[str]:
    try:
        for line in lines:
            yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise StorageFailed(DAMAGED) from error


def _parsed(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
        if "\\u" in line:
            _json(told).encode()  # half a pair is no text
    except (ValueError, RecursionError) as error:
        raise StorageFailed(DAMAGED) from error
    if not isinstance(told, dict):
        raise StorageFailed(STRANGE)
    return told  # pyright: ignore[reportUnknownVariableType]  # JSON has string keys


def _text(doc: bytes) -> str | list[str]:
    """Stored bytes as text; what is no text, for it was damaged, as base64, and so as it is."""
    try:
        return doc.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(doc).decode()]


def _bytes(text: str | Sequence[str]) -> bytes:
    try:
        return text.encode() if isinstance(text, str) else base64.b64decode(text[0], validate=True)
    except ValueError as error:
        raise StorageFailed(DAMAGED) from error


class _Filled:
    """A batch, line by line."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._rows: list[Row] = []
        self._index: list[IndexValue] = []
        self._personal: list[PersonalValue] = []

    def take(self, told: dict[str, Any]) -> None:
        match told:
            case {
                "e": [
                    int(position),
                    str(kind),
                    str(ident),
                    int(version),
                    (str() | [str()]) as doc,
                    str(),
                    str(),
                    str(),
                    str(),
                    str(),
                ]
            } if position in _NUMBERS and version in _NUMBERS:
                texts = told["e"][5:]
                self._entries.append(Entry._make(((kind, ident), version, _bytes(doc), *texts, position)))
            case {"r": [str(kind), str(ident), int(version), (str() | [str()]) as doc, str(head), str(at)]} if (
                version in _NUMBERS
            ):
                self._rows.append(Row((kind, ident), version, _bytes(doc), head, at))
            case {"i": [str(kind), str(name), str(value), str(ident)]}:
                self._index.append((kind, name, value, ident))
            case {"p": [str(ref), str(subject), (str() | [str()]) as doc]}:
                self._personal.append(PersonalValue(ref, subject, _bytes(doc)))
            case _:
                raise StorageFailed(STRANGE)

    def batch(self, mark: Row) -> Batch:
        """With how far it is, saved in the same commit."""
        return Batch(self._entries, [*self._rows, mark], self._index, self._personal)


class _Count:
    """What went by."""

    def __init__(self) -> None:
        self.lines = 0
        self._of = dict.fromkeys("erip", 0)
        self._hash = hashlib.sha256()

    def take(self, line: str) -> None:
        self.lines += 1
        kind = line[2:3]
        self._of[kind] = self._of.get(kind, 0) + 1
        self._hash.update(line.encode("utf-8", "surrogatepass") + b"\n")

    def moved(self) -> Moved:
        of = self._of
        return Moved(of["e"], of["r"], of["i"], of["p"], self._hash.hexdigest())


def _told(moved: Moved) -> dict[str, Any]:
    return {
        "events": moved.events,
        "rows": moved.rows,
        "index": moved.index_values,
        "personal": moved.personal_values,
        "sha256": moved.fingerprint,
    }
