"""SQLite: one file, the store that needs nothing else.  See `store`."""
