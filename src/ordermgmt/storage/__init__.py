"""Where states and histories are kept: in memory, or in a SQLite file."""

from ordermgmt.storage.memory import MemoryStorage
from ordermgmt.storage.sqlite import NewerSchema, SqliteStorage

__all__ = ["MemoryStorage", "NewerSchema", "SqliteStorage"]
