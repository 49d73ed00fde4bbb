"""The reading half of every PostgreSQL store: its methods, whatever connection they are asked on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from ordermgmt.engine.transaction import Entry, Found, Key, PersonalValue, Query, Row
from ordermgmt.storage.moving import IndexValue
from ordermgmt.storage.postgres import questions
from ordermgmt.storage.postgres.questions import Question
from ordermgmt.storage.postgres.texts import Statements

Answer = TypeVar("Answer")


class Reading:
    """What a store answers; whoever inherits it says how a question gets to the server."""

    _texts: Statements

    def _ask(self, question: Question[Answer]) -> Answer:
        raise NotImplementedError

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return self._ask(questions.read(self._texts, keys))

    def find(self, query: Query) -> Sequence[Found]:
        """Find by indexes, a page at a time.

        Without `upto` it takes as long as the rarest name has ids; with it, its index is walked from the low end and
        all names filter.  So let an index end (be unset) when nobody waits for the entity any more.
        """
        question = questions.find(self._texts, query)
        return self._ask(question) if question else []

    def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return self._ask(questions.history(self._texts, key, after, limit))

    def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        return self._ask(questions.personal(self._texts, refs))

    def statuses(self, kind: str) -> Mapping[str, int]:
        return self._ask(questions.statuses(self._texts, kind))

    # To be moved as a whole; see `moving.Movable`.

    def kinds(self) -> Sequence[str]:
        return self._ask(questions.kinds(self._texts))

    def indexed(self, *, after: IndexValue | None = None, limit: int = 1000) -> Sequence[IndexValue]:
        return self._ask(questions.indexed(self._texts, after, limit))

    def persons(self, *, after: str = "", limit: int = 1000) -> Sequence[PersonalValue]:
        return self._ask(questions.persons(self._texts, after, limit))


class AsyncReading:
    """`Reading`, awaited: what the storage port asks for."""

    _texts: Statements

    async def _ask(self, question: Question[Answer]) -> Answer:
        raise NotImplementedError

    async def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return await self._ask(questions.read(self._texts, keys))

    async def find(self, query: Query) -> Sequence[Found]:
        """See `Reading.find`."""
        question = questions.find(self._texts, query)
        return await self._ask(question) if question else []

    async def history(self, key: Key, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return await self._ask(questions.history(self._texts, key, after, limit))

    async def personal(self, refs: Collection[str]) -> Mapping[str, bytes]:
        return await self._ask(questions.personal(self._texts, refs))

    async def statuses(self, kind: str) -> Mapping[str, int]:
        return await self._ask(questions.statuses(self._texts, kind))
