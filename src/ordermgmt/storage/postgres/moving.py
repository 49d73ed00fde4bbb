"""What a PostgreSQL store is filled with when it is moved as a whole: see `moving.Movable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ordermgmt.engine.transaction import Key
from ordermgmt.storage.moving import Batch
from ordermgmt.storage.postgres.steps import Connection
from ordermgmt.storage.postgres.texts import Statements


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
