"""PostgreSQL: many processes and machines, blocking and awaited.  See `store` and `async_store`."""
