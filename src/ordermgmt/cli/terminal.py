"""Plain text for a terminal: colour only where somebody looks, and nothing that needs it to be understood."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TextIO

from ..values import frozen

WIDTH = 92

_CODES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "blue": "34", "red": "31"}


@frozen
class Paper:
    """Where a command prints."""

    out: TextIO
    coloured: bool

    @classmethod
    def of(cls, out: TextIO) -> Paper:
        """Coloured on a terminal, unless NO_COLOR is set (https://no-color.org)."""
        return cls(out, out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def line(self, text: str = "") -> None:
        """One line, without blanks at its end."""
        print(text.rstrip(), file=self.out)

    def ink(self, text: str, style: str) -> str:
        """The text in a style, where there is colour."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.coloured and text else text

    def title(self, left: str, right: str = "") -> None:
        """A heading with a rule under it."""
        gap = " " * max(WIDTH - len(left) - len(right), 2)
        self.line(f"{self.ink(left, 'bold')}{gap}{self.ink(right, 'dim')}" if right else self.ink(left, "bold"))
        self.line(self.ink("─" * WIDTH, "dim"))


def table(rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Rows in columns of the width they need; `right` names columns of numbers."""
    rows = [list(row) for row in rows]
    flush = set(right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(
            cell.rjust(width) if n in flush else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most this width, broken at blanks."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip() if lines[-1] else word
    return lines
