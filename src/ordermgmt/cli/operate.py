"""Operating a shop from the command line: migrate, verify, effects, backup, export and import, for both databases."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..engine.assembly import Assembly
from ..engine.effects import Declined, Intent, Succeeded
from ..engine.instants import to_text
from ..engine.transaction import UNFINISHED
from ..errors import InvalidInput, Misconfigured
from ..management import OrderManagement
from ..payments.model import Fact
from ..settings import DEFAULT_CAPABILITIES, check_whole
from ..shipments.model import Label
from ..storage.moving import Moved, check_export, export_store, import_store
from ..verify import Books, Report, check_all
from . import stores
from .terminal import Paper, table

COMMANDS = ("migrate", "verify", "effects", "backup", "restore", "export", "import-store")
DB = "the shop's SQLite file, or postgresql://user@host/database"
HEAD_MAX = 1_000
"""As much of a file's first line as tells whether it is an export."""
LISTED = ("parked", "unknown", "pending", "sending", "ready")


class Adding(Protocol):
    """What argparse's sub-parsers are."""

    def add_parser(self, name: str, **more: Any) -> argparse.ArgumentParser: ...


def add(commands: Adding) -> None:
    """What can be asked."""
    one = with_db(commands.add_parser("migrate", help="make the tables, or bring them up to date"))

    one = with_db(
        commands.add_parser("verify", help="check a shop against the laws; exit code 1 where one does not hold"),
        required=False,
    )
    one.add_argument("--app", metavar="MODULE:FACTORY", help="your application's own shop, with its capabilities")

    _add_effects(commands)

    one = with_db(commands.add_parser("backup", help="copy a shop in use into a new SQLite file"))
    one.add_argument("to", type=Path, metavar="NEW.db")
    one = commands.add_parser("restore", help="put a backup, or an export, in the place of a new shop")
    one.add_argument("file", type=Path, metavar="FILE")
    with_db(one)

    one = with_db(commands.add_parser("export", help="everything in a shop, as lines of JSON"))
    one.add_argument("to", type=Path, metavar="NEW.jsonl")
    one = commands.add_parser(
        "import-store", help="fill an empty shop from an export; goes on where it was interrupted"
    )
    one.add_argument("file", type=Path, metavar="FILE.jsonl")
    with_db(one)


def _add_effects(commands: Adding) -> None:
    effects = commands.add_parser("effects", help="effects: list, run, retry, resolve")
    asked = effects.add_subparsers(dest="effect", required=True, metavar="WHAT")
    for name, told in (
        ("list", "what is stuck, and what is due"),
        ("run", "do what is due: ask providers, settle what they answer"),
        ("retry", "try a parked effect again, with the same key"),
        ("resolve", "say what became of a stuck effect, as you found it at the provider"),
    ):
        of = asked.add_parser(name, help=told)
        of.add_argument("--app", metavar="MODULE:FACTORY", required=True, help="answers your OrderManagement")
        if name in ("retry", "resolve"):
            of.add_argument("id", metavar="EFFECT")
            of.add_argument("--by", metavar="WHO", help="who decides this")
        if name == "retry":
            of.add_argument("--note", default="", metavar="TEXT")
        if name == "resolve":
            of.add_argument("--evidence", required=True, metavar="TEXT", help="where you found that out")
            became = of.add_mutually_exclusive_group(required=True)
            became.add_argument("--declined", metavar="CODE", help="nothing was executed, and nothing will be")
            became.add_argument(
                "--fact", action="append", metavar="KIND:TRANSACTION:MINOR:CURRENCY", help="what the provider did"
            )
            became.add_argument("--label", metavar="TRACKING[:REFERENCE]", help="the label that was bought")
            became.add_argument("--done", action="store_true", help="it is done, and there is nothing to tell of it")


def with_db(one: argparse.ArgumentParser, told: str = DB, *, required: bool = True) -> argparse.ArgumentParser:
    """Let a command be told where the shop is."""
    one.add_argument("--db", metavar="FILE|URL", required=required, help=told)
    one.add_argument("--schema", default=stores.SCHEMA, metavar="NAME", help="the schema of a PostgreSQL store")
    return one


def run(asked: argparse.Namespace, paper: Paper) -> int:
    """Do it; answers the exit code."""
    doing: dict[str, Callable[[argparse.Namespace, Paper], int]] = {
        "migrate": _migrate,
        "verify": _verify,
        "effects": _effects,
        "backup": _backup,
        "restore": _restore,
        "export": _export,
        "import-store": _import,
    }
    return doing[asked.what](asked, paper)


def _migrate(asked: argparse.Namespace, paper: Paper) -> int:
    before = stores.version_of(asked.db, asked.schema)
    with stores.opened(asked.db, asked.schema, make=True):
        after = stores.version_of(asked.db, asked.schema)
    told = "is up to date" if before == after else f"was {before or 'empty'}, and is up to date now"
    paper.line(f"{stores.shown(asked.db)} {told}: schema version {after}")
    return 0


def _verify(asked: argparse.Namespace, paper: Paper) -> int:
    if asked.db is None:
        stores.check_one(asked.db, asked.app)
    with ExitStack() as open_now:
        # With both, the host's own rules judge another file: a backup, say.
        shop = open_now.enter_context(stores.the_hosts(asked.app)) if asked.app else None
        assembly = Assembly(DEFAULT_CAPABILITIES) if shop is None else shop.assembly
        if asked.db is None and shop is not None:
            store = shop.storage
        else:
            store = open_now.enter_context(stores.opened(str(asked.db), asked.schema))
        check_whole(store.read([UNFINISHED]))
        totals = {one.kind: sum(store.statuses(one.kind).values()) for one in assembly.capabilities}
        with stores.Progress("verifying", totals) as progress:
            report: Report = check_all(Books(assembly, store), progress)
    paper.line(str(report))
    return 0 if report.ok else 1


# Effects.


def _effects(asked: argparse.Namespace, paper: Paper) -> int:
    with stores.the_hosts(asked.app) as shop:
        match asked.effect:
            case "list":
                _list(shop, paper)
            case "run":
                paper.line(str(shop.run_due()))
            case "retry":
                _told(shop.effects.retry(asked.id, note=asked.note, by=asked.by), paper)
            case _:
                _told(shop.effects.resolve(asked.id, _outcome(asked), evidence=asked.evidence, by=asked.by), paper)
    return 0


def _list(shop: OrderManagement, paper: Paper) -> None:
    rows: list[tuple[str, ...]] = []
    for status in LISTED:
        place: tuple[str, str] | None = None
        while True:
            page = shop.find(Intent, status=status, limit=500, after=place)
            rows += [
                (status, one.effect_id, one.kind, "/".join(one.port), to_text(one.due), one.reason) for one in page
            ]
            place = page.next
            if place is None:
                break
    for line in table([("status", "effect", "asks", "of", "due", "why"), *rows]) if rows else ["nothing is open"]:
        paper.line(line)


def _told(intent: Intent, paper: Paper) -> None:
    paper.line(f"{intent.effect_id} is {intent.status}")


def _outcome(asked: argparse.Namespace) -> Succeeded | Declined:
    if asked.declined:
        return Declined(asked.declined)
    if asked.label:
        tracking, _, reference = asked.label.partition(":")
        return Succeeded(Label(tracking_number=tracking, reference=reference), reference)
    facts = tuple(_fact(text) for text in asked.fact or ())
    return Succeeded(facts, facts[0].transaction_id if facts else "")


def _fact(text: str) -> Fact:
    kind, _, rest = text.partition(":")
    transaction, _, rest = rest.partition(":")
    minor, _, currency = rest.partition(":")
    if not (transaction and minor.isdecimal() and currency):
        raise InvalidInput(f"{text!r} is no fact; write it as captured:TX-1:1900:EUR (the amount in minor units)")
    return Fact(kind=kind, transaction_id=transaction, minor=int(minor), currency=currency)


# Copies.


def _backup(asked: argparse.Namespace, paper: Paper) -> int:
    if stores.is_url(asked.db):
        raise Misconfigured(
            "a server is backed up with its own tools (pg_dump, pg_basebackup), which know all that is in it; "
            "`export` writes what this shop has there"
        )
    _new(asked.to, "backup")
    with stores.Progress("copying") as progress, stores.opened(asked.db, asked.schema) as store:
        store.backup(asked.to, progress=partial(progress, "pages"))
    paper.line(f"{asked.to} is a copy of {asked.db}; before a shop works on it: shop.effects.recover(since=…)")
    return 0


def _restore(asked: argparse.Namespace, paper: Paper) -> int:
    _existing(asked.file)
    with asked.file.open("rb") as file:
        is_database = file.read(16) == b"SQLite format 3\0"
    if not is_database:
        return _import(asked, paper)
    with stores.at_rest(str(asked.file), asked.schema) as source:
        if stores.is_url(asked.db):
            _through_lines(source, asked, paper)
        elif Path(asked.db).exists():
            raise Misconfigured(f"{asked.db} exists already; move it away first, so that nothing is lost by mistake")
        else:
            source.backup(Path(asked.db))
    paper.line(f"{stores.shown(asked.db)} is restored; before a shop works on it: shop.effects.recover(since=…)")
    return 0


def _through_lines(source: Any, asked: argparse.Namespace, paper: Paper) -> None:
    lines = asked.file.with_name(asked.file.name + ".jsonl.part")
    try:
        _write(source, lines)
        asked.file = lines
        _import(asked, paper)
    finally:
        lines.unlink(missing_ok=True)


def _export(asked: argparse.Namespace, paper: Paper) -> int:
    _new(asked.to, "export")
    # Under another name until it is whole, so that nobody takes half of it for all.
    part = asked.to.with_name(asked.to.name + ".part")
    try:
        with stores.at_rest(asked.db, asked.schema) as store:
            moved = _write(store, part)
        part.replace(asked.to)
    finally:
        part.unlink(missing_ok=True)
    paper.line(f"exported {moved}")
    return 0


def _write(store: Any, to: Path) -> Moved:
    with stores.Progress("exporting") as progress, to.open("w", encoding="utf-8", newline="\n") as out:
        moved = export_store(store, out, progress)
        out.flush()
        os.fsync(out.fileno())
        return moved


def _new(file: Path, what: str) -> None:
    """A file to be made: nothing is written over, and nothing goes to the standard output, where progress is told."""
    if file.name == "-":
        raise Misconfigured(f"name the file for the {what}; it is not written to the standard output")
    if file.exists():
        raise Misconfigured(f"{file} exists already; {what} into a new file")


def _existing(file: Path) -> None:
    if not file.is_file():
        raise Misconfigured(f"there is no file {file}")


def _import(asked: argparse.Namespace, paper: Paper) -> int:
    _existing(asked.file)
    with asked.file.open(encoding="utf-8", errors="replace") as lines:
        check_export(lines.readline(HEAD_MAX))  # before a store is made for it
    with (
        stores.Progress("importing") as progress,
        stores.opened(asked.db, asked.schema, make=True) as store,
        asked.file.open(encoding="utf-8") as lines,
    ):
        moved = import_store(store, lines, progress)
    paper.line(f"imported {moved}")
    return 0
