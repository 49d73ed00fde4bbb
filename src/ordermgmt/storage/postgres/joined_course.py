"""The course of a command within the host's transaction on PostgreSQL: behind a savepoint, whoever does the steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from ordermgmt.engine.transaction import Entry, Key, Row, Write
from ordermgmt.errors import Conflict, Misconfigured, NewerSchema, OrderManagementError, StorageFailed
from ordermgmt.storage.checks import check_texts, check_writes, clamped
from ordermgmt.storage.hosts import FAILED_BEFORE, NO_TRANSACTION
from ordermgmt.storage.postgres import texts
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.schema import MIGRATIONS
from ordermgmt.storage.postgres.sessions import failure, judging, stored_version
from ordermgmt.storage.postgres.steps import Ask, Do, Line, Step, Steps
from ordermgmt.storage.postgres.texts import Statements

T = TypeVar("T")
SAVEPOINT = "ordermgmt"


def told(steps: Steps[T], keys: Sequence[Key] = ()) -> Steps[T]:
    """These steps; what the server refuses is raised as an error of ours."""
    try:
        return (yield from steps)
    except psycopg.Error as error:
        raise meaning(error, keys) from error


def meaning(error: psycopg.Error, keys: Sequence[Key] = ()) -> OrderManagementError:
    """What the server refuses, as an error of ours."""
    if error.sqlstate == "23505":  # an id that is taken: somebody else was faster with it
        return Conflict(tuple(keys))
    return failure(error, keys)


def _one(step: Step) -> Steps[Any]:
    return (yield step)


def answered(question: Question[T]) -> Steps[T]:
    """The answer to a question."""
    found = yield from told(_one(Ask(question.text, question.values)))
    return question.read(found)


def feed(statements: Statements, after: int, limit: int) -> Steps[Sequence[Entry]]:
    """As far as no number is missing that may still come: within a transaction nobody can wait for the others."""
    after = clamped(after)
    asked = Ask(statements.feed, [after, clamped(limit)])
    found = yield from told(_one(asked))
    whole = texts.unbroken(found, after)
    if whole or not found:
        return texts.entries(found[:whole])
    # The very next number is missing.  Where nobody is saving, and what was saved can be seen, it has failed.
    highest = found[-1][-1]
    ((settled,),) = yield from told(_one(Ask(statements.settled, [])))
    if not settled:
        return []
    found = yield from told(_one(asked))
    return texts.entries(found[: texts.unbroken(found, after, settled=highest)])


def check_joinable(connection: Any) -> None:
    """Raise where no transaction of the host's can be joined on this connection at present."""
    if psycopg.Pipeline.is_supported() and connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise Misconfigured(
            "the host's connection is in pipeline mode; leave that (`with connection.pipeline():`) first"
        )
    status = connection.info.transaction_status
    if status == TransactionStatus.IDLE and connection.autocommit:
        raise Misconfigured(NO_TRANSACTION.format(how="with connection.transaction():"))
    if status == TransactionStatus.INERROR:
        raise StorageFailed(FAILED_BEFORE)


def examining(statements: Statements) -> Steps[None]:
    """Raise `Misconfigured` for a connection that may lose commits, and for tables that are not as they must be."""
    yield from told(judging())
    newest = MIGRATIONS[-1][0]
    schema = statements.schema
    stored = yield from told(stored_version(schema))
    if stored > newest:
        raise NewerSchema(f"schema {schema} has version {stored}, this release knows {newest}; upgrade ordermgmt")
    if stored < newest:
        raise Misconfigured(
            f"the tables of schema {schema} are at version {stored} and must be at {newest}, and they are not changed "
            "in a transaction of the host's; run `python -m ordermgmt migrate`, or open the database once with "
            "PostgresStorage"
        )


class JoinedCourse:
    """A savepoint in the host's transaction: what was loaded behind it, and how it is saved."""

    __slots__ = ("_connection", "_open", "_over", "_texts", "_versions")

    def __init__(self, connection: Line, statements: Statements) -> None:
        self._connection = connection
        self._texts = statements
        self._open = False
        self._over = True
        self._versions: dict[Key, int] = {}

    def begin(self) -> Steps[None]:
        yield from told(_one(Do(f"SAVEPOINT {SAVEPOINT}".encode())))
        self._open = True
        self._over = False

    def end(self) -> Steps[None]:
        self._over = True
        if not self._open:
            return
        self._open = False
        if self._connection.closed:
            return  # the server has undone everything, and the host learns it at its next statement
        # It also frees the rows that were locked here, and makes the host's transaction usable again after an error.
        yield from told(_one(Do(f"ROLLBACK TO {SAVEPOINT}".encode())))
        yield from told(_one(Do(f"RELEASE {SAVEPOINT}".encode())))

    def load(self, keys: Collection[Key], *, skip_locked: bool = False) -> Steps[Mapping[Key, Row]]:
        self._check_open()
        check_texts(chain.from_iterable(keys))
        if not keys:
            return {}
        wanted, kinds, idents = texts.keys(keys)
        _, *found = yield from told(_one(Ask(self._texts.take, [kinds, idents, not skip_locked])), wanted)
        rows = texts.rows(wanted, found)
        if not skip_locked:
            self._versions.update(dict.fromkeys(wanted, 0))
        self._versions.update((key, row.version) for key, row in rows.items())
        return rows

    def commit(self, writes: Sequence[Write]) -> Steps[None]:
        """Save it into the host's transaction."""
        self._check_open()
        check_writes(writes)
        yield from self.load([write.row.key for write in writes if write.row.key not in self._versions])
        self._over = True
        stale = texts.stale(writes, self._versions)
        if stale:
            raise Conflict(stale)
        keys = [write.row.key for write in writes]
        if writes:
            ((done,),) = yield from told(_one(Ask(self._texts.save, texts.saved(writes))), keys)
            if not done:
                raise Conflict(tuple(keys))
        # From here on it is the host's: who is interrupted now finds no savepoint any more to go back to.
        self._open = False
        yield from told(_one(Do(f"RELEASE {SAVEPOINT}".encode())))

    def _check_open(self) -> None:
        if self._over:
            raise StorageFailed("this transaction is over; open a new one")
