"""What every store refuses before it looks or writes, so that all of them refuse the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from ordermgmt.engine.messages import shorten
from ordermgmt.engine.transaction import Query, Write
from ordermgmt.errors import InvalidInput, Misconfigured

POSITION_MAX = 2**63 - 1
"""The highest number every store can keep; a higher one given as a place is as good as this one."""

INDEXED_BYTES_MAX = 2_400
"""How long an id and the value of an index it is found by may be together, in UTF-8: what every store can index."""
SHORT = INDEXED_BYTES_MAX // 8
"""No character takes more than four bytes, so two texts of so many characters are never too long together."""

TIMEOUT_MIN = timedelta(milliseconds=1)
TIMEOUT_MAX = timedelta(days=20)
"""PostgreSQL counts milliseconds in 31 bits."""


def seconds_of(name: str, timeout: timedelta) -> float:
    """A time-out in seconds.  Raises `Misconfigured` for one that means for ever, or never."""
    if not isinstance(timeout, timedelta) or not TIMEOUT_MIN <= timeout <= TIMEOUT_MAX:
        raise Misconfigured(
            f"{name}={shorten(timeout)}: give a timedelta of a millisecond to {TIMEOUT_MAX.days} days, such as "
            "timedelta(seconds=30); without a time-out a store may hang"
        )
    return timeout.total_seconds()


def check_texts(texts: Iterable[str]) -> None:
    """Raise `InvalidInput` for a text that some store could not keep as it is: one with NUL or a lone surrogate."""
    # One look at all of it together: a commit carries about a hundred texts, and nearly always all are fine.
    together = "".join(texts)
    if "\0" in together:
        raise InvalidInput(f"a text holds the character NUL, which no store keeps; remove it: {_around(together, 0)!r}")
    if together.isascii():
        return
    try:
        together.encode()
    except UnicodeEncodeError as error:
        place = _around(together, error.start)
        raise InvalidInput(f"a text holds half a surrogate pair, which is no character: {place!r}") from None


def _around(text: str, place: int) -> str:
    place = place or text.find("\0")
    return text[max(place - 20, 0) : place + 20]


def check_writes(writes: Sequence[Write]) -> None:
    """Raise `InvalidInput` for a batch that no engine should hand over, before anything is written."""
    texts: list[str] = []
    for write in writes:
        row = write.row
        if row.version <= write.expected or write.expected < 0:
            raise InvalidInput(f"{row.key} would go from version {write.expected} to {row.version}; versions only rise")
        texts += (*row.key, row.head, row.at)
        version = write.expected
        for entry in write.entries:
            version += 1
            if entry.version != version or entry.key != row.key:
                raise InvalidInput(
                    f"{row.key} has an event {entry.key} {entry.version} where version {version} belongs"
                )
            texts += (entry.hash, entry.at, entry.actor, entry.cause, entry.command_id)
        if write.entries and version != row.version:
            raise InvalidInput(f"{row.key} is to be version {row.version}, but its events end with {version}")
        texts += write.index
        texts += write.index.values()
        is_long = len(row.key[1]) > SHORT
        for text in write.index.values():
            is_long = is_long or len(text) > SHORT
        if is_long:
            _check_indexed(write)
        for value in write.personal:
            texts += (value.ref, value.subject)
    if len({write.row.key for write in writes}) != len(writes):
        raise InvalidInput("an entity is written twice in one commit; write its last state once, with all its events")
    check_texts(texts)


def _check_indexed(write: Write) -> None:
    id = write.row.key[1]
    for name, value in {"": "", **write.index}.items():
        size = _bytes(id) + _bytes(value)
        if size > INDEXED_BYTES_MAX:
            found_by = f" and its {name!r}, by which it is found," if name else ""
            raise InvalidInput(
                f"the id of a {write.row.key[0]}{found_by} would take {size} bytes, and no more than "
                f"{INDEXED_BYTES_MAX} can be kept; shorten it ({shorten(id)})"
            )


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))  # halves of characters are refused in words of their own


def check_query(query: Query) -> None:
    """Raise `InvalidInput` for a query with texts no store could have kept."""
    texts = [query.kind, *query.equal, *(query.upto or ()), *(query.after or ())]
    for values in query.equal.values():
        texts += values
    check_texts(texts)


def clamped(number: int) -> int:
    """A place or a limit as any store takes it: nothing is before 0 or behind `POSITION_MAX`."""
    return min(max(number, 0), POSITION_MAX)
