"""The connection of a host: what SQLAlchemy, Django or a driver hands over, and the driver's connection behind it.

Neither SQLAlchemy nor Django is imported; what is given is known by what it can do.
"""

from __future__ import annotations

from typing import Any

from ordermgmt.errors import Misconfigured

NO_TRANSACTION = (
    "no transaction is open on the host's connection, so what is saved there would be committed by itself; begin one "
    "first ({how}), or use a shop on the library's own connection"
)


def driver_connection(given: Any) -> Any:
    """The driver's own connection, in the transaction that the host has begun or that its framework begins by itself.

    `given` is that connection; SQLAlchemy's `Connection`, `Session` or `scoped_session`; Django's `connection`; or a
    function that answers one of them, asked at each use.  Raises `Misconfigured` where no transaction can be joined.
    """
    host = _asked(given)
    if hasattr(host, "in_atomic_block"):
        if not host.in_atomic_block:
            raise Misconfigured(NO_TRANSACTION.format(how="with transaction.atomic():"))
        return host.connection
    if hasattr(host, "run_sync"):
        raise Misconfigured(
            f"{type(host).__name__} speaks through another thread or loop, which cannot be joined; use a blocking "
            "Session, or psycopg's AsyncConnection with AsyncOrderManagement"
        )
    if hasattr(host, "get_bind"):  # a Session begins by itself
        host = host.connection()
    if hasattr(host, "exec_driver_sql"):
        if not host.in_transaction():
            host.begin()  # as its first statement would
        return host.connection.dbapi_connection
    return host


def _asked(given: Any) -> Any:
    """What a function answers.  A `scoped_session` can be called as well, and is none."""
    is_function = callable(given) and not hasattr(given, "connection") and not hasattr(given, "cursor")
    return given() if is_function else given
