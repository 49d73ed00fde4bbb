"""A shop's file, checked against the laws: what it holds must add up, and its history must prove it."""

from __future__ import annotations

import sys
from pathlib import Path

from ..verify import Report, verify_file
from .track import refuse_others


def verify(db: Path) -> Report:
    """Check everything in a file, telling on stderr how far it is.  Raises `Misconfigured` where it holds no shop."""
    refuse_others(db)
    report = verify_file(db, _progress)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    return report


def _progress(kind: str, checked: int) -> None:
    """How far it is: one line that is redrawn for a person, a line now and then for a log."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[Kverifying {kind}: {checked:,}")
        sys.stderr.flush()
    elif checked % 100_000 == 0:
        sys.stderr.write(f"verifying {kind}: {checked:,}\n")
