"""The statements a SQLite store uses: constant texts, with a placeholder for every value."""

from __future__ import annotations

from functools import cache

from ordermgmt.engine.transaction import Query
from ordermgmt.storage.checks import clamped

INSERT_ENTITY = "INSERT INTO entity (kind, id, version, doc, head, at) VALUES (?, ?, ?, ?, ?, ?)"
UPDATE_ENTITY = """
    UPDATE entity SET version = ?, doc = ?, head = ?, at = ? WHERE kind = ? AND id = ? AND version = ?"""
INSERT_HISTORY = """
    INSERT INTO history (kind, id, version, doc, hash, at, actor, cause, command_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
DELETE_INDEX = "DELETE FROM idx WHERE kind = ? AND name = ? AND value = ? AND id = ?"
INSERT_INDEX = "INSERT INTO idx (kind, name, value, id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
PUT_PERSONAL = """
    INSERT INTO personal (ref, subject, doc) VALUES (?, ?, ?)
    ON CONFLICT (ref) DO UPDATE SET subject = excluded.subject, doc = excluded.doc"""
HISTORY = """
    SELECT kind, id, version, doc, hash, at, actor, cause, command_id, position FROM history
    WHERE kind = ? AND id = ? AND version > ? ORDER BY version LIMIT ?"""
FEED = """
    SELECT kind, id, version, doc, hash, at, actor, cause, command_id, position FROM history
    WHERE position > ? ORDER BY position LIMIT ?"""
ERASE = "DELETE FROM personal WHERE subject = ?"
STATUSES = "SELECT value, count(*) FROM idx WHERE kind = ? AND name = 'status' GROUP BY value"
KINDS = "SELECT DISTINCT kind FROM entity ORDER BY kind"
INDEXED = "SELECT kind, name, value, id FROM idx ORDER BY kind, name, value, id LIMIT ?"
INDEXED_AFTER = """
    SELECT kind, name, value, id FROM idx WHERE (kind, name, value, id) > (?, ?, ?, ?)
    ORDER BY kind, name, value, id LIMIT ?"""
PERSONS = "SELECT ref, subject, doc FROM personal WHERE ref > ? ORDER BY ref LIMIT ?"
ABSORB_HISTORY = """
    INSERT INTO history (kind, id, version, doc, hash, at, actor, cause, command_id, position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
ABSORB_ENTITY = """
    INSERT INTO entity (kind, id, version, doc, head, at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, doc = excluded.doc, head = excluded.head,
        at = excluded.at"""
DISMISS = "DELETE FROM entity WHERE kind = ? AND id = ? AND head = ''"
ALL_OF_KIND = "SELECT '', id, version, doc, head, at FROM entity WHERE kind = ? ORDER BY id LIMIT ?"
ALL_OF_KIND_AFTER = "SELECT '', id, version, doc, head, at FROM entity WHERE kind = ? AND id > ? ORDER BY id LIMIT ?"


@cache
def rows(count: int) -> str:
    """The rows of this many keys."""
    # A join, because SQLite scans the whole table for `(kind, id) IN (VALUES …)`.
    return (
        "WITH k (kind, id) AS (VALUES " + ", ".join(["(?, ?)"] * count) + ")"  # noqa: S608 - only placeholders are put in
        " SELECT e.kind, e.id, e.version, e.doc, e.head, e.at"
        " FROM k CROSS JOIN entity AS e ON e.kind = k.kind AND e.id = k.id"
    )


@cache
def personal(count: int) -> str:
    """The values under this many references."""
    return "SELECT ref, doc FROM personal WHERE ref IN (" + _marks(count) + ")"  # noqa: S608 - only placeholders are put in


def find(query: Query) -> tuple[str, list[str | int]]:
    """The text and the values that answer a query, as (value, id, version, doc, head, at)."""
    # A status is shared by many; anything else tells entities apart better.
    names = sorted(query.equal, key=lambda name: (len(query.equal[name]), name == "status"))
    named: list[list[str | int]] = [[query.kind, name, *query.equal[name]] for name in names]
    after: list[str] = []
    values: list[str | int]
    if query.upto is not None:
        after += query.after or ()
        values = [query.kind, *query.upto, *after]
    else:
        after += query.after[1:] if query.after else ()
        values = [*(named.pop(0) if named else [query.kind]), *after]
    for filtering in named:
        values += filtering
    values.append(clamped(query.limit))
    if names or query.upto:
        values.append(query.kind)
    counts = tuple(len(query.equal[name]) for name in names)
    return _find(counts, by_value=query.upto is not None, further=bool(after)), values


@cache
def _find(counts: tuple[int, ...], *, by_value: bool, further: bool) -> str:
    """The text for a shape of query: how many values each name has, the leading one first."""
    if not by_value and not counts:
        return ALL_OF_KIND_AFTER if further else ALL_OF_KIND
    named = ["i.name = ? AND i.value IN (" + _marks(count) + ")" for count in counts]
    if by_value:
        text = "SELECT i.value AS value, i.id AS id FROM idx AS i WHERE i.kind = ? AND i.name = ? AND i.value <= ?"
        if further:
            text += " AND (i.value, i.id) > (?, ?)"
    else:
        text = "SELECT '' AS value, i.id AS id FROM idx AS i WHERE i.kind = ? AND " + named.pop(0)  # noqa: S608
        if further:
            text += " AND i.id > ?"
    for other in named:
        text += " AND EXISTS (SELECT 1 FROM idx AS o WHERE o.kind = ? AND "
        text += other.replace("i.", "o.") + " AND o.id = i.id)"
    text += " ORDER BY i.value, i.id LIMIT ?" if by_value else " ORDER BY i.id LIMIT ?"
    # Only what is on the page is fetched with its document.
    return (
        "SELECT h.value, h.id, e.version, e.doc, e.head, e.at FROM (" + text + ") AS h"  # noqa: S608
        " CROSS JOIN entity AS e ON e.kind = ? AND e.id = h.id ORDER BY h.value, h.id"
    )


def _marks(count: int) -> str:
    return ", ".join("?" * count)
