"""Returns: what comes back, and what becomes of it.  Its lifecycle is drawn; its rules are a later release's."""
