"""A PostgreSQL store moved as a whole, on one connection: see `moving.Movable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ordermgmt.engine.transaction import Key, PersonalValue
from ordermgmt.storage.checks import clamped
from ordermgmt.storage.moving import Batch, IndexValue
from ordermgmt.storage.postgres_connections import Connection
from ordermgmt.storage.postgres_texts import Statements, Values


def kinds(ask: Any, texts: Statements) -> Sequence[str]:
    """The kinds there are."""
    return [kind for (kind,) in ask(texts.kinds, [])]


def indexed(ask: Any, texts: Statements, after: IndexValue | None, limit: int) -> Sequence[IndexValue]:
    """A page of all index values."""
    values: Values = [clamped(limit)] if after is None else [*after, clamped(limit)]
    found: list[IndexValue] = ask(texts.indexed if after is None else texts.indexed_after, values)
    return found


def persons(ask: Any, texts: Statements, after: str, limit: int) -> Sequence[PersonalValue]:
    """A page of all personal values."""
    return [PersonalValue(*value) for value in ask(texts.persons, [after, clamped(limit)])]


def absorb(connection: Connection, texts: Statements, batch: Batch) -> None:
    """Write a piece of another store, in one transaction."""
    pieces: list[list[Sequence[Any]]] = [
        [(*entry.key, *entry[1:]) for entry in batch.entries],
        [(*row.key, *row[1:]) for row in batch.rows],
        list(batch.index),
        list(batch.personal),
    ]
    with connection.transaction(), connection.cursor() as cursor:
        for text, piece in zip(texts.absorb, pieces, strict=True):
            if piece:
                cursor.executemany(text, piece)
        cursor.execute(texts.go_on)


def dismiss(connection: Connection, texts: Statements, key: Key) -> None:
    """Remove a row without a history."""
    connection.execute(texts.dismiss, key)
