"""The engine: how commands are decided, saved and carried out.  It knows no business capability."""
