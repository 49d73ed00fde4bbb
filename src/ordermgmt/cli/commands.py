"""What can be asked on the command line, and how a refusal is told: one sentence on stderr, exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from ..errors import OrderManagementError
from . import importing, operate, stores
from .demo import demo
from .diagram import DRAWABLE, FORMATS, diagram
from .northwind_replay import replay_northwind
from .replay import replay
from .terminal import Paper
from .track import track

REPLAYS = {"online-retail": replay, "northwind": replay_northwind}


class Unusable(Exception):
    """What was asked cannot be done; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask; answers the exit code: 0 done, 1 breaches were found, 2 not possible."""
    asked = _parser().parse_args(arguments)
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal that has no rules and no dots gets question marks
    code = 0
    try:
        code = _run(asked)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); the interpreter must not fail again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (Unusable, OrderManagementError, OSError) as problem:
        print(f"ordermgmt: {problem}", file=sys.stderr)
        return 2
    return code


def _run(asked: argparse.Namespace) -> int:
    paper = Paper.of(sys.stdout)
    match asked.what:
        case "demo":
            demo(paper, asked.db, asked.schema)
        case "track":
            track(paper, asked.order, asked.db, asked.schema, asked.app)
        case "diagram":
            diagram(paper, asked.capability, asked.format)
        case "replay":
            REPLAYS[asked.source](paper, _existing(asked.file), asked.db, asked.schema, asked.limit)
        case importing.COMMAND:
            _existing(asked.file)
            return importing.run(asked, paper)
        case what if what in operate.COMMANDS:
            return operate.run(asked, paper)
        case _:
            raise AssertionError(asked.what)
    return 0


def _existing(path: Path) -> Path:
    """A file that is there: looking must not make one."""
    if not path.is_file():
        raise Unusable(f"there is no file {path}")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ordermgmt", description="The whole life of an order, to look at in a terminal."
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")

    one = commands.add_parser("demo", help="three orders from entry to their end, told as timelines")
    operate.with_db(one, "keep the shop in this new SQLite file, or postgresql://user@host/database", required=False)

    one = commands.add_parser("track", help="the timeline of one order, and where it stands")
    one.add_argument("order", metavar="ORDER", help="the order's id")
    operate.with_db(one, required=False)
    one.add_argument("--app", metavar="MODULE:FACTORY", help=stores.APP)

    one = commands.add_parser("diagram", help="lifecycles, drawn from the code")
    one.add_argument("capability", nargs="?", choices=DRAWABLE, metavar="CAPABILITY", help=", ".join(DRAWABLE))
    one.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="a drawing, or a page with its table")

    one = commands.add_parser("replay", help="real orders lived through once more, from entry to delivery")
    one.add_argument("source", choices=list(REPLAYS), help="the UCI Online Retail file as CSV, or Northwind as SQLite")
    one.add_argument("file", type=Path, metavar="FILE", help="FILE.csv[.gz], or FILE.db")
    operate.with_db(one, "the SQLite file to replay into, or postgresql://user@host/database")
    one.add_argument("--limit", type=_positive, metavar="N", help="only the first N sales invoices, or orders")

    importing.add(commands)
    operate.add(commands)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)
