"""Where states and histories are kept: in memory, or in a SQLite file."""

from ordermgmt.storage.memory import MemoryStorage

__all__ = ["MemoryStorage"]
