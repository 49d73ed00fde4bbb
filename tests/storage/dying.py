"""Connections that the server ends in the middle of opening a store."""

from __future__ import annotations

from collections.abc import Generator
from itertools import count
from typing import Any

import pytest

from ordermgmt.storage.postgres import async_connections, async_store, connections, store
from ordermgmt.storage.postgres.steps import Ask

END_THIS = b"SELECT pg_terminate_backend(pg_backend_pid())"
WHERE = {"judging": (connections, async_connections), "preparing": (store, async_store)}


def dies_once(monkeypatch: pytest.MonkeyPatch, when: str, *, times: int = 1) -> None:
    """The first connections are ended by the server in these steps, ``"judging"`` or ``"preparing"``."""
    done = count(1)
    for module in WHERE[when]:
        real = getattr(module, when)

        def dying(*arguments: Any, real: Any = real) -> Generator[Any, Any, Any]:
            if next(done) <= times:
                yield Ask(END_THIS, [])
            return (yield from real(*arguments))

        monkeypatch.setattr(module, when, dying)
