"""The course of a transaction on PostgreSQL, and of a look into the feed: what is done, whoever does it."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from itertools import chain
from typing import Any

import psycopg

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Conflict, OutcomeUnknown, StorageFailed
from ordermgmt.storage.checks import check_texts, check_writes, clamped
from ordermgmt.storage.postgres import questions, texts
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.sessions import ATTEMPTS_MAX, failure, has_died
from ordermgmt.storage.postgres.steps import Another, Ask, Elsewhere, Line, Pause, Steps, undo
from ordermgmt.storage.postgres.texts import BEGIN, Statements, Texts, Values

POLL_SECONDS = 0.002
_ASLEEP = "25P03"
"""The server had ended the transaction before it was asked to save."""
_FASTER = {"22012", "23505"}
"""Errors of a save that found other versions (see `Statements.save_or_fail`), or a key that was there already."""


class Course:
    """A transaction on this connection: what it has loaded, and how it is saved.

    It begins with its first load and is committed with its save, each in one round trip.
    """

    __slots__ = ("_begun", "_connection", "_over", "_patience", "_pid", "_texts", "_versions", "_xid")

    def __init__(self, connection: Line, statements: Statements, patience: float) -> None:
        self._connection = connection
        self._texts = statements
        self._patience = patience
        self._begun = False
        self._over = False
        self._pid = os.getpid()
        self._versions: dict[Key, int] = {}
        self._xid = 0

    @property
    def is_ours(self) -> bool:
        """False in a forked child: the transaction is its parent's."""
        return os.getpid() == self._pid

    def end(self) -> None:
        """Nothing may follow."""
        self._over = True

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Steps[Mapping[Key, Row]]:
        self._check_open()
        check_texts(chain.from_iterable(keys))
        if not keys:
            return {}
        try:
            return (yield from self._load(keys, patient=not skip_locked))
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _load(self, keys: Collection[Key], *, patient: bool = True) -> Steps[Mapping[Key, Row]]:
        wanted, kinds, idents = texts.keys(keys)
        values: Values = [kinds, idents, patient]
        transaction, *found = (yield Ask(self._texts.take, values)) if self._begun else (yield from self._begin(values))
        self._xid = transaction[1]
        rows = texts.rows(wanted, found)
        # A row that is there stays as it is until we end: it is ours.  One that is absent may be made by somebody else
        # before we make it, and then `save` says no.
        if patient:
            self._versions.update(dict.fromkeys(wanted, 0))
        self._versions.update((key, row.version) for key, row in rows.items())
        return rows

    def _begin(self, values: Values) -> Steps[list[Any]]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                found: list[Any] = yield Ask(self._texts.take, values, before=BEGIN)
            except psycopg.Error as error:
                # An idle connection dies with the server it was opened to; the next one is a fresh one.
                if attempt == ATTEMPTS_MAX or not has_died(self._connection, error):
                    raise
                self._connection = yield Another()
            else:
                self._begun = True
                return found
        raise AssertionError  # pragma: no cover - the last time it was raised

    def commit(self, writes: Sequence[Write]) -> Steps[None]:
        self._check_open()
        check_writes(writes)
        self._over = True
        if not writes:
            return
        try:
            yield from self._check_versions(writes)
        except psycopg.Error as error:
            raise self._failure(error) from error
        try:
            yield from self.save(writes, after=b"COMMIT")
        except psycopg.Error as error:
            if self._connection.closed and error.sqlstate != _ASLEEP:
                yield from self._learn(writes, error)
            elif error.sqlstate in _FASTER:
                raise (yield from self._conflict(writes)) from error
            else:
                raise self._failure(error) from error

    def _check_versions(self, writes: Sequence[Write]) -> Steps[None]:
        versions = self._versions
        # What is to be new need not be looked at, for the save says so if it is there; but a load is the beginning.
        looked = [write for write in writes if write.expected] if self._begun else writes
        unseen = [write.row.key for write in looked if write.row.key not in versions]
        if unseen:
            yield from self._load(unseen)
        if texts.stale(writes, versions):
            raise (yield from self._conflict(writes))

    def save(self, writes: Sequence[Write], after: bytes = b"") -> Steps[None]:
        """Write it, and say what comes after if all of it was written."""
        yield Ask(self._texts.save_or_fail, texts.saved(writes), after=after)

    def _conflict(self, writes: Sequence[Write]) -> Steps[Conflict]:
        """Who was faster; looked up after this transaction is undone, for the error names every stale row."""
        try:
            yield from undo(self._connection)
            rows = yield from _answered(questions.read(self._texts, [write.row.key for write in writes]))
        except psycopg.Error:
            return Conflict(tuple(write.row.key for write in writes))
        versions = {write.row.key: 0 for write in writes} | {key: row.version for key, row in rows.items()}
        return Conflict(texts.stale(writes, versions) or tuple(versions))

    def _failure(self, error: psycopg.Error) -> Exception:
        if self._connection.closed:
            # The server went away before it was asked to commit: nothing was saved, and deciding again is safe.
            return Conflict(tuple(self._versions))
        return failure(error, tuple(self._versions))

    # A reply that was lost.

    def _learn(self, writes: Sequence[Write], lost: psycopg.Error) -> Steps[None]:
        """The connection broke while the server was asked to commit.  Find out whether it did.

        Returns if all of it was saved.  Raises `Conflict` if nothing was, so that it is decided again, and
        `OutcomeUnknown` where the server cannot be asked.
        """
        try:
            saved = yield Elsewhere(self._find_out(writes))
        except (psycopg.Error, StorageFailed) as error:
            raise OutcomeUnknown(
                "the connection broke during the commit, and the server could not be asked what became of it; repeat "
                "the command under its command id"
            ) from error
        if not saved:
            raise Conflict(tuple(write.row.key for write in writes)) from lost

    def _find_out(self, writes: Sequence[Write]) -> Steps[bool]:
        # The server may still be at it, when only the connection broke.
        deadline = time.monotonic() + self._patience
        while (yield from self._is_under_way()):
            if time.monotonic() >= deadline:
                raise StorageFailed("the server is still at it")
            yield Pause(POLL_SECONDS)
        # A row of it is locked and not only looked at: where commits wait for a standby, such a transaction does too.
        # Otherwise it would be answered for whoever was ended while waiting, though no other machine has it.
        kind, ident = writes[-1].row.key
        yield Ask(self._texts.take, [Texts([kind]), Texts([ident]), True], before=BEGIN, after=b"COMMIT")
        # Not by the transaction's number: after a failover it may be another's.  An event's hash is nobody else's, and
        # all of a commit is there or nothing.
        for write in writes:
            if write.entries:
                last = write.entries[-1]
                found = yield Ask(self._texts.evidence, [*last.key, last.version])
                return bool(found == [(last.hash,)])
        rows = yield from _answered(questions.read(self._texts, [write.row.key for write in writes]))
        return all(rows.get(write.row.key) == write.row for write in writes)

    def _is_under_way(self) -> Steps[bool]:
        try:
            found = yield Ask(b"SELECT pg_xact_status(%s::text::xid8)", [str(self._xid)])
        except psycopg.errors.InvalidParameterValue:
            return False  # no number of that server's yet: it was a standby, and has never heard of this transaction
        return bool(found[0][0] == "in progress")

    def _check_open(self) -> None:
        if self._over or not self.is_ours:
            raise StorageFailed("this transaction is over; open a new one")


def _answered(question: Question[Mapping[Key, Row]]) -> Steps[Mapping[Key, Row]]:
    return question.read((yield Ask(question.text, question.values)))


def feed(
    statements: Statements, after: int, limit: int, patience: float
) -> Generator[Question[Any] | Pause, Any, list[Entry]]:
    """A page of the feed, in questions each of which may be asked on any connection."""
    after = clamped(after)
    asked = questions.feed(statements, after, limit)
    found = yield asked
    whole = texts.unbroken(found, after)
    if whole or not found:
        return texts.entries(found[:whole])
    # The very next number is missing.  Its owner is saving at this moment, or has failed.
    highest = found[-1][-1]
    deadline = time.monotonic() + patience
    savers = questions.saving(statements)
    saving = yield savers
    while saving:
        if time.monotonic() >= deadline:
            return []
        yield Pause(POLL_SECONDS)
        saving &= yield savers
    found = yield asked
    return texts.entries(found[: texts.unbroken(found, after, settled=highest)])
