"""An interrupt at the worst moment: as a function begins, before it has done anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ordermgmt.engine.transaction import Key, Storage


@contextmanager
def interrupted_at(door: Callable[..., Any]) -> Generator[None]:
    """What is done within meets Ctrl-C when it comes through this door, and the interrupt is forgotten here."""

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is door.__code__:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    came = False
    sys.settrace(watch)
    try:
        yield
    except KeyboardInterrupt:
        came = True
    finally:
        sys.settrace(before)
    assert came, f"nobody came through {door.__qualname__}"


def look(storage: Storage, key: Key) -> None:
    """Take a row, and let it go: nobody knows the transaction any more when this is over."""
    with storage.transaction() as transaction:
        transaction.load([key])
