"""Where a shop's data is, as the command line is told: a SQLite file, or the address of a PostgreSQL database."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Self

from ..async_management import AsyncOrderManagement
from ..errors import Misconfigured, MissingExtra, OrderManagementError
from ..management import OrderManagement
from ..storage import SqliteStorage
from ..storage.sqlite.schema import schema_version

if TYPE_CHECKING:
    from ..storage import PostgresStorage

SCHEMA = "ordermgmt"
"""The schema of a PostgreSQL store, where none is named."""
BAR = 30
"""How wide a bar is, in characters."""
Store = Any
"""A `SqliteStorage` or a `PostgresStorage`."""


def is_url(where: str) -> bool:
    """Whether it is an address and no file."""
    return where.startswith(("postgresql://", "postgres://"))


def shown(where: str) -> str:
    """An address without its password, wherever that stands in it."""
    if "://" not in where:
        return where
    where = re.sub(r"(?i)([?&](?:ssl)?password=)[^&]*", r"\1…", where)
    scheme, _, rest = where.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{place}"


@contextmanager
def opened(where: str, schema: str, *, make: bool = False) -> Generator[Store]:
    """The store, for the time of a block.  Looking makes nothing: without `make` there must be a shop already."""
    store = _postgres(where, schema, make=make) if is_url(where) else _sqlite(where, make=make)
    try:
        yield store
    finally:
        store.close()


def _sqlite(where: str, *, make: bool) -> SqliteStorage:
    if "://" in where:
        raise Misconfigured(f"{shown(where)} is no file; name a SQLite file, or postgresql://user@host/database")
    path = Path(where)
    if not make and not path.is_file():
        raise Misconfigured(f"there is no database file {path}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise Misconfigured(f"{path} cannot be a database file: name a file in a folder that is there")
    if not make:
        refuse_others(path)
    return SqliteStorage(path)


APP = "your application's own shop instead: a function that answers your OrderManagement"


@contextmanager
def the_hosts(app: str) -> Generator[OrderManagement]:
    """The host's own shop, with its adapters: ``module:factory``, a function without arguments."""
    module, _, name = app.partition(":")
    if not module or module.startswith("."):
        raise Misconfigured(f"{app} does not say which module; write module:function, the module from its top")
    try:
        factory = getattr(_theirs(app, lambda: import_module(module)), name)
    except (ImportError, AttributeError) as error:
        raise Misconfigured(
            f"there is no {app} ({error}); name a function that answers your OrderManagement as module:function, in a "
            "module that Python finds from here"
        ) from error
    if iscoroutinefunction(factory):
        raise Misconfigured(f"{app} is async; name a plain function that answers your OrderManagement")
    shop = _theirs(app, factory) if callable(factory) else factory
    if isinstance(shop, AsyncOrderManagement):
        raise Misconfigured(
            f"{app} answers an AsyncOrderManagement; name a function that answers an OrderManagement on the same data"
        )
    if not isinstance(shop, OrderManagement):
        raise Misconfigured(f"{app} answers {type(shop).__name__}, and should answer an OrderManagement")
    with shop:
        yield shop


def _theirs(app: str, run: Callable[[], Any]) -> Any:
    """What the host's own code answers.  Where it fails, that is no crash of ours and no breach: it is told."""
    try:
        return run()
    except (OrderManagementError, ImportError):
        raise
    except Exception as error:
        steps = [
            step for step in extract_tb(error.__traceback__) if Path(step.filename).is_file()
        ]  # none that is frozen
        where = f" ({steps[-1].filename}, line {steps[-1].lineno})" if len(steps) > 1 else ""
        raise Misconfigured(
            f"{app} failed with {type(error).__name__}: {error}{where}; it is imported, and called without arguments"
        ) from error


def check_one(db: str | None, app: str | None) -> None:
    """Raises `Misconfigured` unless a command was told exactly one place to look at."""
    if (db is None) == (app is None):
        raise Misconfigured("say where the shop is: --db FILE|URL, or --app MODULE:FACTORY for one of your own")


def refuse_others(db: Path) -> None:
    """Opening a store makes what is missing in it, and looking must not do that to another program's file."""
    if not _file_version(db):
        raise Misconfigured(f"{db} holds no shop; name the file that the shop's SqliteStorage uses")


def made(where: str, schema: str) -> Store:
    """The store there, made if there is none; for whoever closes it."""
    return _postgres(where, schema, make=True) if is_url(where) else _sqlite(where, make=True)


def _postgres(where: str, schema: str, *, make: bool) -> PostgresStorage:
    from ..storage import PostgresStorage  # noqa: PLC0415 - its driver is an extra

    if not make and version_of(where, schema) == 0:
        raise Misconfigured(f"{shown(where)} has no shop in its schema {schema}; name the one that the shop uses")
    return PostgresStorage(where, schema=schema)


def version_of(where: str, schema: str) -> int:
    """The version of the tables there; 0 where there are none."""
    if is_url(where):
        return _server_version(where, schema)
    if not Path(where).is_file():
        return 0
    return _file_version(Path(where))


def _file_version(db: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return schema_version(file)
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{db} cannot be read as a database ({error})") from error


def _server_version(where: str, schema: str) -> int:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as problem:
        raise MissingExtra("PostgreSQL needs psycopg 3: pip install 'ordermgmt[postgres]'") from problem

    from ..storage.postgres import schema as postgres_schema  # noqa: PLC0415 - as above

    name = postgres_schema.checked_name(schema)
    try:
        with psycopg.connect(where, autocommit=True) as server:
            return postgres_schema.schema_version(
                lambda text, values: server.execute(text.encode(), list(values) or None).fetchall(), name
            )
    except psycopg.Error as error:
        raise Misconfigured(f"{shown(where)} cannot be asked ({str(error).strip().partition(chr(10))[0]})") from error


@contextmanager
def at_rest(where: str, schema: str) -> Generator[Store]:
    """The store as it is at this moment, whoever writes meanwhile: a snapshot on a server, a copy of a file."""
    if is_url(where):
        with opened(where, schema):
            pass
        import psycopg  # noqa: PLC0415 - an extra

        from ..storage.postgres.joined import PostgresSnapshot  # noqa: PLC0415 - as above

        with psycopg.connect(where, client_encoding="UTF8") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield PostgresSnapshot(connection, schema=schema)
        return
    with (
        opened(where, schema) as store,
        TemporaryDirectory(prefix="ordermgmt-", dir=Path(where).absolute().parent) as at,
    ):
        copy = Path(at) / "copy.db"
        store.backup(copy)
        copied = SqliteStorage(copy)
        try:
            yield copied
        finally:
            copied.close()


class Progress:
    """How far it is: a bar that is redrawn for a person, a line now and then for a log."""

    def __init__(self, doing: str, totals: Mapping[str, int] | None = None) -> None:
        """`totals` is how many there will be of each kind, where that is known."""
        self._doing = doing
        self._totals = totals or {}
        self._person = sys.stderr.isatty()

    def __call__(self, what: str, count: int) -> None:
        """So many are done."""
        if self._person:
            sys.stderr.write(f"\r\033[K{self.line(what, count)}")
            sys.stderr.flush()
        elif count and count % 100_000 == 0:
            sys.stderr.write(f"{self._doing} {what}: {count:,}\n")

    def line(self, what: str, count: int) -> str:
        """What a person sees."""
        total = self._totals.get(what, 0)
        if not total:
            return f"{self._doing} {what}: {count:,}"
        # Others may add to it meanwhile.
        done = min(count, total) * BAR // total
        return f"{self._doing} {what} [{'#' * done}{'.' * (BAR - done)}] {count:,} of {total:,}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._person:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
