"""How statements travel on a connection of the store's own: by libpq's own calls, several in one round trip.

A cursor of psycopg finds out each time which types the values have, how they are written, and whether the statement
should be prepared by now; that takes more time than the server's work.  Here all of it is known: a statement is
prepared when it is said first, `texts` writes its values, and what is said before and after it goes along.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from ordermgmt.storage.postgres.steps import Ask
from ordermgmt.storage.postgres.texts import formats, types, written

DONE, FAILED, SYNCED = ExecStatus.COMMAND_OK, ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_SYNC


class Wire:
    """A connection, and the statements it knows by name: those of nobody else."""

    __slots__ = ("_known", "_line", "_names")

    def __init__(self, line: PGconn) -> None:
        self._line = line
        self._names = count()
        """No name is given twice: who was interrupted may have had a statement prepared that nobody knows of."""
        self._known: dict[bytes, tuple[bytes, list[Format]]] = {}
        """By its text: the name of a statement, and how its values are written."""

    def asked(self, ask: Ask) -> PQGen[list[Any]]:
        """The rows that are answered, as steps for the connection's own `wait`.

        What follows a statement that fails is not done.  Where a step is interrupted, `wait` takes the statement back
        and does the other steps all the same, or it closes the connection.
        """
        values = written(ask.values)
        known = self._known.get(ask.text)
        line = self._line
        line.enter_pipeline_mode()
        place = 0
        if ask.before:
            line.send_query_params(ask.before, None)
            place += 1
        name, form = known or (b"ordermgmt_%d" % next(self._names), formats(ask.values))
        if known is None:
            line.send_prepare(name, _numbered(ask.text), types(ask.values))
            place += 1
        line.send_query_prepared(name, values, form, Format.BINARY)
        if ask.after:
            line.send_query_params(ask.after, None)
        line.pipeline_sync()
        yield from generators.send(line)
        told = yield from self._told()
        line.exit_pipeline_mode()
        if known is None and told[place - 1].status == DONE:
            self._known[ask.text] = (name, form)
        for one in told:
            if one.status == FAILED:
                raise error_from_result(one)
        transformer = Transformer()
        transformer.set_pgresult(told[place])
        return transformer.load_rows(0, told[place].ntuples, tuple)

    def _told(self) -> PQGen[list[PGresult]]:
        """What the server says to each statement."""
        told: list[PGresult] = []
        while True:
            try:
                answers = yield from generators.fetch_many(self._line)
            except psycopg.OperationalError:
                # The connection is gone.  What the server has said before tells why.
                for one in told:
                    if one.status == FAILED:
                        raise error_from_result(one) from None
                raise
            if not answers:
                raise psycopg.OperationalError("the connection ended without an answer")
            if answers[-1].status == SYNCED:
                return told
            told.append(answers[-1])


def _numbered(text: bytes) -> bytes:
    """The places of values as the server writes them: $1, $2, …"""
    numbers = count(1)
    return re.sub(rb"%s", lambda _: b"$%d" % next(numbers), text)
