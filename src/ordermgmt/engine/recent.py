"""States that were read or saved last, so that the next command need not read their rows again.

A state is known by the bytes it is stored as, never by its key and version alone: whatever else wrote the row, the
bytes differ then, and they are read.  What is given to a caller is forgotten: a caller may do with it what it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .transaction import Key

ROWS_MAX = 512
DOC_MAX = 8_192
"""Longer rows are read each time, so that what is remembered stays within some megabytes."""

Index = Mapping[str, str | None]


class Recent:
    """What is remembered, by key: the bytes, the state, and its index values once they are known.

    Shared by all threads: each entry is put and taken as one.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Key, tuple[bytes, Any, Index | None]] = {}

    def of(self, key: Key, doc: bytes) -> tuple[Any, Index | None] | None:
        """The state stored as these bytes, with its index values; None where it is not remembered."""
        known = self._known.get(key)
        return None if known is None or known[0] != doc else known[1:]

    def keep(self, key: Key, doc: bytes, state: Any, index: Index | None = None) -> None:
        """Remember it in place of what was known under this key."""
        if len(doc) > DOC_MAX:
            return
        if len(self._known) >= ROWS_MAX:
            self._known = {}  # what is still wanted is soon known again
        self._known[key] = (doc, state, index)

    def forget(self, key: Key) -> None:
        """It is somebody else's now."""
        self._known.pop(key, None)
