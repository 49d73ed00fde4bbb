"""Importing orders from the command line: a file into a shop, and every refused row told."""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from ..engine.messages import counted
from ..errors import Misconfigured
from ..importing import ERRORS, STOCK, ImportReport, RefusedRow, import_orders
from ..management import OrderManagement
from . import stores
from .operate import Adding
from .terminal import Paper

COMMAND = "import"
SHOWN_MAX = 20
"""How many refused rows are shown; a report file holds all of them."""


def add(commands: Adding) -> None:
    """What can be asked."""
    one = commands.add_parser(
        COMMAND, help="orders that exist elsewhere: CSV or JSON lines; exit code 1 where rows are bad"
    )
    one.add_argument("file", type=Path, metavar="FILE.csv|FILE.jsonl")
    one.add_argument("--db", metavar="FILE|URL", help="the shop's SQLite file, or postgresql://…")
    one.add_argument("--schema", default="ordermgmt", metavar="NAME", help="the schema of a PostgreSQL store")
    one.add_argument("--app", metavar="MODULE:FACTORY", help=stores.APP)
    one.add_argument("--channel", default="import", metavar="NAME", help="whose orders they are, where a row is silent")
    one.add_argument("--currency", default="", metavar="CODE", help="in which they are told, where a row is silent")
    one.add_argument("--errors", choices=ERRORS, default=ERRORS[0], help="keep the good ones, or all or nothing")
    one.add_argument(
        "--stock", choices=STOCK, default=STOCK[0], help="reserve, leave alone, or book in what is missing"
    )
    one.add_argument("--report", type=Path, metavar="NEW.jsonl", help="write every refused row into this file")


def run(asked: argparse.Namespace, paper: Paper) -> int:
    """Do it; answers the exit code."""
    if asked.report is not None and asked.report.exists():
        # Said before anything is placed: afterwards it would be too late to tell which rows were refused.
        raise Misconfigured(f"{asked.report} exists already; name a new file for the refused rows")
    with stores.Progress("importing") as progress, _shop(asked) as shop:
        report = import_orders(
            shop,
            asked.file,
            channel=asked.channel,
            currency=asked.currency,
            errors=asked.errors,
            stock=asked.stock,
            progress=lambda read, _there, _refused: progress("orders", read),
        )
    if asked.report is not None:
        with asked.report.open("x", encoding="utf-8") as out:
            for row in _in_order(report):
                print(json.dumps(attrs.asdict(row)), file=out)
    _tell(paper, report)
    return 0 if report.ok else 1


@contextmanager
def _shop(asked: argparse.Namespace) -> Generator[OrderManagement]:
    """The host's own, with its items, taxes, policies and lifecycle; or one that has only its store."""
    stores.check_one(asked.db, asked.app)
    if asked.app is not None:
        with stores.the_hosts(asked.app) as shop:
            yield shop
        return
    with stores.opened(asked.db, asked.schema, make=True) as store:
        yield OrderManagement(storage=store, actor="import")


def _in_order(report: ImportReport) -> list[RefusedRow]:
    # Rows that cannot be read are refused before those that a rule refuses; whoever mends the file goes down it once.
    return sorted(report.refused, key=lambda refused: refused.row)


def _tell(paper: Paper, report: ImportReport) -> None:
    for row in _in_order(report)[:SHOWN_MAX]:
        paper.line(str(row))
    if (more := len(report.refused) - SHOWN_MAX) > 0:
        paper.line(f"… and {counted(more, 'more row')}; --report FILE holds all of them")
    booked_in = sum(report.received.values())
    paper.line(
        f"{counted(report.orders, 'order')}: {report.placed:,} placed, {report.already:,} there already, "
        f"{counted(len(report.refused), 'row')} refused"
        + (f"; {counted(booked_in, 'piece')} booked in" if booked_in else "")
    )
