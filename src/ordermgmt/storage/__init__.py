"""Where states and histories are kept: in memory, in a SQLite file, or in PostgreSQL."""

from typing import TYPE_CHECKING

from ordermgmt.storage.memory import MemoryStorage
from ordermgmt.storage.sqlite import NewerSchema, SqliteStorage

if TYPE_CHECKING:
    from ordermgmt.storage.postgres import PostgresStorage

__all__ = ["MemoryStorage", "NewerSchema", "PostgresStorage", "SqliteStorage"]


def __getattr__(name: str) -> object:
    # Its driver is an extra, and takes as long to import as the rest of the library; so only who asks for it pays.
    if name == "PostgresStorage":
        from ordermgmt.storage.postgres import PostgresStorage  # noqa: PLC0415 - see above

        return PostgresStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
