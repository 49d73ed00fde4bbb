"""What a connection of a PostgreSQL store must be like, how ours are set, and what the server's errors mean."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ordermgmt.engine.transaction import Key
from ordermgmt.errors import (
    Conflict,
    InvalidInput,
    Misconfigured,
    OrderManagementError,
    StorageBusy,
    StorageFailed,
)
from ordermgmt.storage.postgres.schema import migration_steps, version_steps
from ordermgmt.storage.postgres.steps import Ask, Line, Steps
from ordermgmt.storage.postgres.texts import Statements

T = TypeVar("T")

SERVER_MIN = 140000
"""PostgreSQL 14, the oldest that is still maintained."""
RECONNECT_SECONDS = 0.1
ATTEMPTS_MAX = 5
"""How many connections in a row may turn out to be dead before the caller hears of it."""
SILENCE_MIN, SILENCE_MAX = 6.0, 3600.0
"""Bounds of how many seconds without a sign of the server's machine mean that it is gone."""
CONNECT_MAX = 10
"""How many seconds a host has at most to answer before the next one is tried."""
CLOSED = "this store is closed; open a new one"


def failure(error: psycopg.Error, keys: Sequence[Key] = ()) -> OrderManagementError:
    """The same, as an error of ours; `keys` is what was being decided on."""
    match error.sqlstate:
        case "40001" | "40P01" | "25P03":
            # Sent back by the server, or asleep in a transaction for so long that it was ended: decide again.
            return Conflict(tuple(keys))
        case "55P03" | "57014" | "53300":
            return StorageBusy(f"the database was busy for longer than we wait ({_first_line(error)}); try again")
        case "54000":
            return InvalidInput(f"a text is too long for an index of the database ({_first_line(error)}); shorten it")
        case "25006":
            return Misconfigured(
                "the server takes no writes any more, as a standby or by its settings; point the store at the primary"
            )
        case "42501" | "3F000" | "42P01" | "42883":
            return Misconfigured(
                f"the database does not let this user do it, or the store's tables are gone ({_first_line(error)}); "
                "connect as the schema's owner, or GRANT it"
            )
        case _:
            return StorageFailed(f"PostgreSQL could not do it ({_first_line(error)}); nothing was saved")


def _first_line(error: psycopg.Error) -> str:
    # The first line only: what follows may quote values, and values may be about persons.
    return str(error).strip().partition("\n")[0] or type(error).__name__


def not_lent(error: psycopg.Error) -> OrderManagementError:
    """Why a pool of the host's lent no connection."""
    if type(error).__name__ in {"PoolTimeout", "TooManyRequests"}:  # psycopg_pool's own, which need not be installed
        return StorageBusy(f"your pool had no connection free ({_first_line(error)}); try again, or allow more there")
    return failure(error)


def has_died(connection: Line, error: BaseException) -> bool:
    """Whether the connection had died with the server it was opened to, so that another one may do."""
    return connection.closed and isinstance(error, psycopg.OperationalError)


def was_lost(error: psycopg.Error) -> bool:
    """Whether a connection that had been made was lost again, with the server most likely, which may come back."""
    # psycopg tells with `pgconn` which one could not be made.
    return error.pgconn is None and (error.sqlstate is None or error.sqlstate.startswith("57P"))


_SETTINGS = (
    b"SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('transaction_read_only'),"
    b" current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),"
    b" current_setting('server_encoding'), current_setting('client_encoding') = 'UTF8'"
)


def judging() -> Steps[None]:
    """Raise `Misconfigured` for a server that could lose what it acknowledged, or that cannot be a store at all."""
    ((version, standby, read_only, synchronous, fsync, full_pages, encoding, in_utf8),) = yield Ask(_SETTINGS, [])
    if not in_utf8:
        # First, for it changes every text of this answer too.
        raise Misconfigured(
            "the connection's client_encoding is not UTF8, and texts would be changed on their way; set "
            "client_encoding=UTF8 where your connections are made, or for this user or database"
        )
    if version < SERVER_MIN:
        raise Misconfigured(f"the server is PostgreSQL {version // 10000}; 14 or newer is needed: upgrade it")
    if standby:
        raise Misconfigured("the server is a standby and takes no writes; point the store at the primary")
    if read_only == "on":
        raise Misconfigured(
            "the transaction is read-only: nothing could be saved; begin one that may write, and where "
            "default_transaction_read_only=on is set for this user or database, set it to off"
        )
    if synchronous == "off":
        raise Misconfigured(
            "synchronous_commit=off loses acknowledged commits when the server crashes; set it to on (or local, "
            "remote_write, remote_apply) for this user or database, and leave it out of the connection's options"
        )
    if fsync == "off":
        raise Misconfigured("fsync=off can lose the whole database in a power cut; set fsync=on and restart the server")
    if full_pages == "off":
        raise Misconfigured("full_page_writes=off can tear pages in a power cut; set full_page_writes=on and reload")
    if encoding != "UTF8":
        raise Misconfigured(
            f"the database's encoding is {encoding}, which cannot keep every text; make one with ENCODING 'UTF8' "
            "TEMPLATE template0"
        )


def preparing(statements: Statements) -> Steps[str]:
    """Bring the schema up to date; answers the installation."""
    yield from _asked(migration_steps(statements.schema))
    found = yield Ask(statements.installation, [])
    return str(found[0][0])


def stored_version(schema: str) -> Steps[int]:
    """The version of the tables in this schema; 0 where there are none of ours."""
    return _asked(version_steps(schema))


def _asked(steps: Generator[tuple[str, Sequence[Any]], Any, T]) -> Steps[T]:
    answer: Any = None
    try:
        while True:
            text, values = steps.send(answer)
            answer = yield Ask(text.encode(), list(values))
    except StopIteration as end:
        told: T = end.value
        return told


def address(conninfo: str, busy_seconds: float) -> str:
    """A connection string, if it is one, with what our own connections are opened with.

    A machine that vanishes says nothing: without time-outs the system waits for it a quarter of an hour and longer, and
    a second host that is named would never be asked.  What the host has set is left as it is.
    """
    if not conninfo.strip() or "\0" in conninfo:
        raise Misconfigured(
            'the connection string is empty, or holds a NUL; give one like "postgresql://user@host:5432/shop", or '
            '"postgresql://" for what the PG… variables say'
        )
    try:
        told = conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise Misconfigured(
            f"this is no connection string ({_first_line(error)}); give one like "
            '"postgresql://user@host:5432/shop" or "host=… dbname=shop user=…"'
        ) from None
    patience = min(max(busy_seconds, SILENCE_MIN), SILENCE_MAX)
    third = int(patience / 3)
    ours = {
        "fallback_application_name": "ordermgmt",
        "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", min(third, CONNECT_MAX)),
        "keepalives_idle": third,
        "keepalives_interval": third // 2,
        "keepalives_count": 4,
        "tcp_user_timeout": int(patience * 1000),
    }
    return make_conninfo("", **(ours | told | {"client_encoding": "UTF8"}))


def session(busy_seconds: float, statement_seconds: float, idle_seconds: float) -> bytes:
    """What a connection of our own is told first."""
    settings = (
        f"SET lock_timeout = {int(busy_seconds * 1000)}",
        f"SET statement_timeout = {int(statement_seconds * 1000)}",
        f"SET idle_in_transaction_session_timeout = {int(idle_seconds * 1000)}",
        # Only our own statements run here, and all of them look a few keys up: one plan each, and no reading of
        # whole tables because a table was small when the plan was made.
        "SET plan_cache_mode = force_generic_plan",
        "SET enable_seqscan = off",
        "SET enable_hashjoin = off",
        "SET enable_mergejoin = off",
        # A plan made for any limit looks dear, as a page of the feed does; compiling it would take longer than it runs.
        "SET jit = off",
    )
    return "; ".join(settings).encode()


def all_lent(connections_max: int, busy_seconds: float) -> StorageBusy:
    """What is raised where no connection came free in time."""
    return StorageBusy(
        f"no connection came free in {busy_seconds:g} s; try again, or allow more (connections_max={connections_max})"
    )


def all_ended(busy_seconds: float) -> StorageBusy:
    """What is raised where a pool of the host's lends none that is alive."""
    return StorageBusy(
        f"the server had ended every connection that your pool lent within {busy_seconds:g} s; nothing was saved; try "
        "again"
    )


def unreachable(error: psycopg.Error, busy_seconds: float) -> StorageBusy:
    """What is raised where a server that was there once lets nobody in."""
    return StorageBusy(
        f"the server could not be reached for {busy_seconds:g} s ({_first_line(error)}); nothing was saved; try again, "
        "and where it has too many connections, allow more there, or fewer here (connections_max)"
    )


def check_count(connections_max: int) -> None:
    """Raise `Misconfigured` for a number of connections that is none."""
    if isinstance(connections_max, bool) or not isinstance(connections_max, int) or connections_max < 1:
        raise Misconfigured(f"connections_max={connections_max!r}: at least one connection is needed")
