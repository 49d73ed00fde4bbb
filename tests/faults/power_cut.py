"""Power cuts: a shop's SQLite file as the disk may hold it when the current goes, rebuilt from a log of every write.

    python -m tests.faults.power_cut --mode delete --images 20000 --seed 1

A shop works on a file through a VFS (of the `apsw` package) that writes down each write, truncation, sync, creation and
deletion, and each answer that a caller was given.  For a point in that log an image is made as a disk may hold it: what
was synced is there; of everything since, each write is there, lost, or torn between sectors, in any combination; a file
that was made or deleted, and whose folder was not synced since, is there or not.  The image is opened as a shop opens
its file after a crash, by another SQLite (Python's own), and must hold every answer that was given before that point.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import types
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from attrs import define, field, frozen

from ordermgmt import (
    DEFAULT_CAPABILITIES,
    CancelOrder,
    Line,
    Money,
    OnAccount,
    OrderManagement,
    OrderManagementError,
    PlaceOrder,
    ReceiveStock,
    verify,
)
from ordermgmt.engine.assembly import Assembly
from ordermgmt.engine.transaction import Query
from ordermgmt.storage import SqliteStorage
from ordermgmt.storage.sqlite import connections
from tests.faults.shop import folder

SECTOR = 512
STEPS = 24
"""How many commands the recorded shop answers."""
LAWS = 3
"""Of how many images one is checked against all laws; the others for what was answered, and for sound pages."""
VFS = "recorder"
ASSEMBLY = Assembly(DEFAULT_CAPABILITIES)


@frozen
class Op:
    """One thing that happened to a file, or an answer that was given."""

    what: str
    """write, truncate, sync, create, delete or answer."""
    file: str = ""
    at: int = 0
    """Where a write begins, or how long a truncated file is."""
    data: bytes = b""
    synced: bool = False
    """Of a deletion: whether the folder is synced with it."""


Log = list[Op]


class _File(apsw.VFSFile):
    def __init__(self, log: Log, name: Any, flags: Any) -> None:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._log, self._name = log, path.name
        if not path.exists():
            log.append(Op("create", self._name))
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's names
        self._log.append(Op("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - as above
        self._log.append(Op("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - as above
        self._log.append(Op("sync", self._name))
        super().xSync(flags)


class _Recorder(apsw.VFS):
    def __init__(self, log: Log) -> None:
        self._log = log
        super().__init__(VFS, "")

    def xOpen(self, name: Any, flags: Any) -> _File:  # noqa: N802 - as above
        return _File(self._log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - as above
        self._log.append(Op("delete", Path(filename).name, synced=bool(syncdir)))
        super().xDelete(filename, syncdir)


class _Cursor:
    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None


class _Connection:
    """As much of `sqlite3.Connection` as the store uses, on apsw."""

    def __init__(self, path: str, pragmas: Sequence[str], *_: Any, **__: Any) -> None:
        self._inner = apsw.Connection(path, vfs=VFS)
        self._pragmas = dict(one.split(" = ") for one in pragmas)

    def execute(self, text: str, values: Sequence[Any] = ()) -> _Cursor:
        name = text.removeprefix("PRAGMA ").partition(" ")[0]
        if text.startswith("PRAGMA ") and name in self._pragmas and "=" in text:
            text = f"PRAGMA {name} = {self._pragmas[name]}"
        before = self._inner.total_changes()
        rows = self._inner.execute(text, tuple(values)).fetchall()
        return _Cursor(rows, self._inner.total_changes() - before)

    def executemany(self, text: str, values: Any) -> _Cursor:
        before = self._inner.total_changes()
        self._inner.executemany(text, [tuple(row) for row in values]).fetchall()
        return _Cursor([], self._inner.total_changes() - before)

    @property
    def in_transaction(self) -> bool:
        return bool(self._inner.in_transaction)

    def close(self) -> None:
        self._inner.close()


@contextmanager
def _through_the_recorder(log: Log, version: tuple[int, int, int], pragmas: Sequence[str]) -> Generator[None]:
    """The store opens its connections through the recorder, and believes that SQLite has this version."""
    recorder = _Recorder(log)
    names = ("Error", "OperationalError", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
    fake: Any = types.SimpleNamespace(**{name: getattr(sqlite3, name) for name in names})
    fake.Connection = _Connection
    fake.sqlite_version_info = version
    fake.sqlite_version = ".".join(map(str, version))
    fake.connect = lambda path, **_: _Connection(path, pragmas)
    module: Any = connections
    module.sqlite3 = fake
    try:
        yield
    finally:
        module.sqlite3 = sqlite3
        recorder.unregister()


VERSIONS = {"delete": (3, 40, 1), "wal": (3, 54, 0)}
"""SQLite as the store may find it, for each of the two ways in which it then works."""


def record(mode: str, pragmas: Sequence[str] = ()) -> Log:
    """A shop's life, written down.  `pragmas` replace what the store sets: a disk that is trusted too much."""
    log: Log = []
    with (
        tempfile.TemporaryDirectory(dir=folder()) as place,
        _through_the_recorder(log, VERSIONS[mode], pragmas),
        OrderManagement(storage=SqliteStorage(Path(place) / "shop.db")) as shop,
    ):
        for command in _commands():
            shop.handle(command)
            log.append(Op("answer"))
    return log


def _commands() -> Iterator[Any]:
    yield ReceiveStock(sku="mug", quantity=1000)
    for n in range(STEPS - 1):
        if n % 4 == 3:
            yield CancelOrder(order_id=f"A-{n - 1}")
            continue
        # Of different sizes, so that pages fill, split and are freed.
        lines = [Line(sku="mug", quantity=1, unit_price=Money("9.50", "EUR")) for _ in range(1 + n % 3 * 4)]
        yield PlaceOrder(order_id=f"A-{n}", lines=lines, pay=OnAccount(days=30), customer="c" * (n * 40 % 200))


def _answers(count: int) -> dict[str, str]:
    """After so many answers: each order that must be there, and as what at least."""
    there: dict[str, str] = {}
    for n, command in enumerate(_commands()):
        if n == count:
            break
        if isinstance(command, PlaceOrder) and command.order_id:
            there[command.order_id] = "confirmed"
        elif isinstance(command, CancelOrder):
            there[command.order_id] = "cancelled"
    return there


# The disk.


@define
class _OnDisk:
    """One file: what is certainly there, and what was written since."""

    durable: bytearray = field(factory=bytearray)
    since: list[Op] = field(factory=list[Op])
    named: bool = False
    """Whether its name is certainly in the folder."""

    def settle(self) -> None:
        for op in self.since:
            _apply(self.durable, op)
        self.since = []

    def left(self, chance: random.Random) -> bytes:
        """What a power cut may leave."""
        content = bytearray(self.durable)
        fate = chance.random()
        for op in self.since:
            if fate < 0.2:  # all of it, or none of it, now and then: the extremes are cases too
                _apply(content, op)
            elif fate < 0.4:
                break
            elif op.what == "write":
                _write_some(content, op, chance)
            elif chance.random() < 0.5:
                _apply(content, op)
        return bytes(content)


def _apply(content: bytearray, op: Op) -> None:
    if op.what == "truncate":
        del content[op.at :]
        return
    content.extend(bytes(max(0, op.at + len(op.data) - len(content))))
    content[op.at : op.at + len(op.data)] = op.data


def _write_some(content: bytearray, op: Op, chance: random.Random) -> None:
    """The write is there, lost or torn: each sector that it touches is written or not."""
    fate = chance.random()
    if fate < 0.3:
        return
    begin = op.at
    while begin < op.at + len(op.data):
        end = min((begin // SECTOR + 1) * SECTOR, op.at + len(op.data))
        if fate < 0.6 or chance.random() < 0.5:
            _apply(content, Op("write", op.file, begin, op.data[begin - op.at : end - op.at]))
        begin = end


class Disk:
    """The disk along the log."""

    def __init__(self) -> None:
        self.files: dict[str, _OnDisk] = {}
        self.deleted: dict[str, _OnDisk] = {}
        """Gone, but perhaps not from the disk yet."""
        self.answers = 0

    def do(self, op: Op) -> None:
        """One step further."""
        match op.what:
            case "answer":
                self.answers += 1
            case "create":
                self.files[op.file] = _OnDisk()
            case "delete":
                gone = self.files.pop(op.file, None)
                if gone is not None and not op.synced:
                    self.deleted[op.file] = gone
                if op.synced:
                    self._folder_synced()
            case "sync":
                one = self.files[op.file]
                one.settle()
                if not one.named:  # with the first sync of a new file SQLite syncs its folder
                    one.named = True
                    self._folder_synced()
            case _:
                if not op.file.endswith("-shm"):
                    self.files.setdefault(op.file, _OnDisk()).since.append(op)

    def _folder_synced(self) -> None:
        self.deleted.clear()
        for one in self.files.values():
            one.named = True

    def cut(self, place: Path, chance: random.Random) -> None:
        """The files as the power cut leaves them."""
        for name, one in [*self.deleted.items(), *self.files.items()]:
            is_certain = one.named and self.files.get(name) is one
            if name.endswith("-shm") or (not is_certain and chance.random() < 0.5):
                continue
            (place / name).write_bytes(one.left(chance))


# The judgement.


def judge(place: Path, answered: int, *, laws: bool = True) -> str:
    """What is wrong with an image: an answer that is lost, or a law that is broken; empty where nothing is."""
    path = place / "shop.db"
    if not path.exists():
        return "the file is gone" if answered else ""
    try:
        storage = SqliteStorage(path)
    except OrderManagementError as problem:
        return f"it does not open: {problem}"
    try:
        if found := storage.integrity():
            return f"SQLite finds: {found[0]}"
        orders = [ASSEMBLY.codec.decode(one.row.doc) for one in storage.find(Query(kind="order", limit=1000))]
        there = {order.order_id: order.status for order in orders}
        for order_id, status in _answers(answered).items():
            if there.get(order_id) not in (status, "cancelled"):
                return f"{order_id} was answered as {status}, and is {there.get(order_id, 'gone')}"
        report = verify.check_all(verify.Books(ASSEMBLY, storage)) if laws else verify.Report()
        return "" if report.ok else str(report.breaches[0])
    except OrderManagementError as problem:
        return f"it cannot be read: {problem}"
    finally:
        storage.close()


def images(
    log: Sequence[Op], wanted: int, seed: int, tell: Callable[[int], object] | None = None
) -> Iterator[tuple[int, int, str]]:
    """(point, answers given before it, what is wrong) of so many images, spread over the whole log."""
    points = [n for n, op in enumerate(log, 1) if op.what != "answer"]
    # An answer changes nothing on the disk, so the point behind it is one as well: it is then that a loss would show.
    points += [n for n, op in enumerate(log, 1) if op.what == "answer"] * 2
    chosen = sorted((points * (wanted // len(points) + 1))[:wanted] if wanted >= len(points) else points)
    disk, done = Disk(), 0
    for count, point in enumerate(chosen, 1):
        while done < point:
            disk.do(log[done])
            done += 1
        with tempfile.TemporaryDirectory(dir=folder()) as place:
            disk.cut(Path(place), random.Random(seed * 1_000_003 + count))
            yield point, disk.answers, judge(Path(place), disk.answers, laws=count % LAWS == 0)
        if tell is not None and count % 500 == 0:
            tell(count)


def main() -> int:
    """The long form; answers 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--mode", choices=[*VERSIONS], default="delete")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--pragma", action="append", default=[], help='in place of the store\'s own: "synchronous = OFF"'
    )
    asked = parser.parse_args()
    log = record(asked.mode, asked.pragma)
    found = list(images(log, asked.images, asked.seed, lambda n: print(f"{n} images", file=sys.stderr)))
    wrong = [(point, answers, what) for point, answers, what in found if what]
    told = {
        "mode": asked.mode,
        "seed": asked.seed,
        "writes": sum(op.what == "write" for op in log),
        "syncs": sum(op.what == "sync" for op in log),
        "answers": sum(op.what == "answer" for op in log),
        "images": len(found),
        "points": len({point for point, _, _ in found}),
        "wrong": wrong[:5],
        "wrong_images": len(wrong),
    }
    print(json.dumps(told))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
