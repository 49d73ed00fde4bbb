"""An interrupt at the worst moment: as a function begins, before it has done anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from ordermgmt.engine.transaction import Key, Storage


class interrupted_at:  # noqa: N801 - it reads as a function, and is a class for the sake of `__exit__` below
    """What is done within meets Ctrl-C when it comes through this door, and the interrupt is forgotten here."""

    def __init__(self, door: Callable[..., Any]) -> None:
        self._door = door

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._watch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # No generator: from Python 3.12 on its frame and the trace of what was thrown into it keep each other, and with
        # them whoever was interrupted, until garbage is collected.
        sys.settrace(self._before)
        assert kind is not None, f"nobody came through {self._door.__qualname__}"
        return issubclass(kind, KeyboardInterrupt)

    def _watch(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is self._door.__code__:
            sys.settrace(None)
            raise KeyboardInterrupt


def look(storage: Storage, key: Key) -> None:
    """Take a row, and let it go: nobody knows the transaction any more when this is over."""
    with storage.transaction() as transaction:
        transaction.load([key])
