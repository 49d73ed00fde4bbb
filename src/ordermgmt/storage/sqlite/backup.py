"""A copy of a SQLite file in use, made with its online backup API: a few pages, and then everybody else's turn."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ordermgmt.storage.sqlite.connections import Connections, failure

PAGES = 64
"""How many are copied in one go: a quarter of a megabyte, which holds a commit up for a moment."""
PAUSE = 0.001
RESTARTS_MAX = 5
"""SQLite begins again where another process has written meanwhile.  After that often, it is done in one piece."""


class _InOnePiece(Exception):
    """Others write all the time."""


def copy_in_pieces(connections: Connections, to: Path, progress: Callable[[int], object] | None) -> None:
    """Copy the file.

    What this process commits meanwhile goes through the connection that copies, and so into the copy as well.
    """
    try:
        with closing(sqlite3.connect(to)) as target:
            try:
                _copy(connections, target, PAGES, progress)
            except _InOnePiece:
                _copy(connections, target, -1, progress)
    except sqlite3.Error as error:
        raise failure(error) from error


def _copy(
    connections: Connections, target: sqlite3.Connection, pages: int, progress: Callable[[int], object] | None
) -> None:
    least: list[int] = []
    restarts = 0

    def pause(_: int, remaining: int, total: int) -> None:
        nonlocal restarts
        if least and remaining > least[0]:
            restarts += 1
            if restarts > RESTARTS_MAX:
                raise _InOnePiece
        least[:] = [remaining]
        if progress is not None:
            progress(total - remaining)
        if remaining:
            connections.turn.release()
            try:
                time.sleep(PAUSE)
            finally:
                connections.turn.acquire()

    connections.check_open()
    with connections.turn:
        source = connections.writer()
        try:
            source.backup(target, pages=pages, progress=pause, sleep=PAUSE)
        finally:
            connections.release(source)
