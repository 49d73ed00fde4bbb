"""An adapter that blocks, in the form an asyncio host writes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pendulum import DateTime


class Awaited:
    """The same adapter for asyncio.  Whatever else it has is what the one inside has."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return repr(self.inner)

    async def execute(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.inner.execute(request, key=key, deadline=deadline)

    async def lookup(self, request: Any, *, key: str, deadline: timedelta) -> Any:
        return self.inner.lookup(request, key=key, deadline=deadline)


class AwaitedGateway(Awaited):
    """The same payment adapter for asyncio."""

    async def list(self, since: DateTime, until: DateTime, cursor: str | None) -> Any:
        return self.inner.list(since, until, cursor)
