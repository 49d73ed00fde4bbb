"""Instants: pendulum in UTC for people and arithmetic, fixed-width RFC 3339 text for storing and comparing.

Text of one width compares like the instants themselves, so stores need no date type.
"""

from __future__ import annotations

from datetime import UTC as FIXED_UTC
from datetime import datetime, timedelta
from functools import lru_cache

from pendulum import UTC, DateTime

from ..errors import InvalidInput

LATEST = "9999-12-31T23:59:59.999999Z"


def to_text(at: DateTime) -> str:
    """RFC 3339, always six decimals: ``2026-01-31T09:30:00.000000Z``.  The instant is in UTC, as all of ours are."""
    # One command tells one instant many times over.
    last = _last[0]
    if last[0] is at:
        return last[1]
    text = _told(at)
    _last[0] = (at, text)
    return text


_last: list[tuple[DateTime | None, str]] = [(None, "")]
"""The instant told last, and its text: replaced as one, so that threads can share it."""

REMEMBERED = 2048
"""How many instants are remembered with their texts: those of the last some hundred commands and their states."""


@lru_cache(REMEMBERED)
def _told(at: DateTime) -> str:
    # isoformat asks the time zone, which is Python code here and costs more than all the rest.
    return (
        f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{at.hour:02d}:{at.minute:02d}:{at.second:02d}.{at.microsecond:06d}Z"
    )


@lru_cache(REMEMBERED)
def from_text(text: str) -> DateTime:
    """The instant that `to_text` wrote."""
    # pendulum.parse and instance cost 9–11 µs each; this costs two.
    return in_utc(datetime.fromisoformat(text))


def in_utc(at: datetime) -> DateTime:
    """The same instant as a pendulum `DateTime` in UTC."""
    if at.utcoffset() != timedelta(0):
        at = at.astimezone(FIXED_UTC)
    return DateTime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=UTC)


def later(at: DateTime, span: timedelta) -> DateTime:
    """The instant so much later: in UTC what ``at + span`` is, at a tenth of what pendulum's own sum costs."""
    # A sum of datetimes is of the class of the first one.
    then: DateTime = datetime.__add__(at, span)  # pyright: ignore[reportAssignmentType]  # it takes it for a datetime
    return then


def check_instant(at: object, name: str) -> DateTime:
    """An instant from the host: any aware datetime; a naive one is refused, for nobody knows what it means."""
    if not isinstance(at, datetime):
        raise InvalidInput(f"{name} must be a datetime with a time zone (got {type(at).__name__})")
    if type(at) is DateTime and at.tzinfo is UTC:  # as all of ours are
        return at
    if at.tzinfo is None or at.utcoffset() is None:
        raise InvalidInput(f"{name} must have a time zone; use pendulum.now('UTC') or datetime.now(timezone.utc)")
    try:
        return in_utc(at)
    except (OverflowError, ValueError) as problem:
        raise InvalidInput(f"{name} lies outside the years 1 to 9999 in UTC") from problem
