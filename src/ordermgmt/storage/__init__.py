"""Where states and histories are kept: in memory, in a SQLite file, or in PostgreSQL."""

from typing import TYPE_CHECKING

from ordermgmt.errors import NewerSchema
from ordermgmt.storage.memory import MemoryStorage
from ordermgmt.storage.sqlite.store import SqliteStorage

if TYPE_CHECKING:
    from ordermgmt.storage.postgres.async_store import AsyncPostgresStorage as AsyncPostgresStorage
    from ordermgmt.storage.postgres.store import PostgresStorage as PostgresStorage

__all__ = ["MemoryStorage", "NewerSchema", "SqliteStorage"]
# Imported by name only: `import *` takes all that is listed above, and must not need an extra.
WITH_POSTGRES = ("AsyncPostgresStorage", "PostgresStorage")


def __getattr__(name: str) -> object:
    # Their driver is an extra, and takes as long to import as the rest of the library; so only who asks for it pays.
    if name == "PostgresStorage":
        from ordermgmt.storage.postgres.store import PostgresStorage  # noqa: PLC0415 - see above

        return PostgresStorage
    if name == "AsyncPostgresStorage":
        from ordermgmt.storage.postgres.async_store import AsyncPostgresStorage  # noqa: PLC0415 - see above

        return AsyncPostgresStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *WITH_POSTGRES])
