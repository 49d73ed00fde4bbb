"""What is asked of a PostgreSQL store, and how the rows of an answer are read; nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row
from ordermgmt.storage.checks import check_query, check_texts, clamped
from ordermgmt.storage.moving import IndexValue
from ordermgmt.storage.postgres import texts
from ordermgmt.storage.postgres.texts import Statements, Texts, Values

Answer = TypeVar("Answer")


class Question(NamedTuple, Generic[Answer]):
    """One statement, and what its rows tell."""

    text: bytes
    """Empty where nothing need be asked, for no rows are the answer."""
    values: Values
    read: Callable[[list[Any]], Answer]


def read(statements: Statements, keys: Collection[Key]) -> Question[Mapping[Key, Row]]:
    """The latest committed rows."""
    check_texts(chain.from_iterable(keys))
    wanted, kinds, idents = texts.keys(keys)
    return Question(statements.read if wanted else b"", [kinds, idents], partial(texts.rows, wanted))


def find(statements: Statements, query: Query) -> Question[Sequence[Found]] | None:
    """None where an index is to have no value at all, for then nothing is found."""
    check_query(query)
    if not all(query.equal.values()):
        return None
    return Question(*statements.find(query), partial(texts.answers, query.kind))


def history(statements: Statements, key: Key, after: int, limit: int) -> Question[Sequence[Entry]]:
    """The events of one entity."""
    check_texts(key)
    return Question(statements.history, [*key, clamped(after), clamped(limit)], texts.entries)


def personal(statements: Statements, refs: Collection[str]) -> Question[Mapping[str, bytes]]:
    """The values kept under these references."""
    check_texts(refs)
    return Question(statements.personal, [Texts(refs)], dict)


def statuses(statements: Statements, kind: str) -> Question[Mapping[str, int]]:
    """How many entities of a kind stand in each status."""
    check_texts((kind,))
    return Question(statements.statuses, [kind], dict)


def feed(statements: Statements, after: int, limit: int) -> Question[list[Any]]:
    """The rows of the feed as they stand there; see `texts.unbroken`."""
    return Question(statements.feed, [after, clamped(limit)], list)


def visible(statements: Statements, after: int, limit: int) -> Question[list[Entry]]:
    """The events that can be seen, whatever may come before them later."""
    return Question(statements.feed, [clamped(after), clamped(limit)], texts.entries)


def saving(statements: Statements) -> Question[set[Any]]:
    """Who is saving at this moment."""
    return Question(statements.saving, [], set)


def erase(statements: Statements, subject: str) -> Question[int]:
    """Forget every value about a person, and tell how many there were."""
    check_texts((subject,))
    return Question(statements.erase_told, [subject], _count)


# A store that is moved as a whole; see `moving.Movable`.


def kinds(statements: Statements) -> Question[Sequence[str]]:
    """The kinds there are."""
    return Question(statements.kinds, [], _kinds)


def indexed(statements: Statements, after: IndexValue | None, limit: int) -> Question[Sequence[IndexValue]]:
    """A page of all index values."""
    if after is None:
        return Question(statements.indexed, [clamped(limit)], list)
    return Question(statements.indexed_after, [*after, clamped(limit)], list)


def persons(statements: Statements, after: str, limit: int) -> Question[Sequence[PersonalValue]]:
    """A page of all personal values."""
    return Question(statements.persons, [after, clamped(limit)], _persons)


def _count(found: list[Any]) -> int:
    return int(found[0][0])


def _kinds(found: list[Any]) -> list[str]:
    return [kind for (kind,) in found]


def _persons(found: list[Any]) -> list[PersonalValue]:
    return [PersonalValue(*value) for value in found]
