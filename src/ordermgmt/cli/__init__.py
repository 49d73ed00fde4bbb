"""The command line: a shop to look at, lifecycles drawn, one order tracked, a year of real orders replayed.

The library is what hosts import; this is for looking at what it does.  Nothing here decides anything.
"""

from .commands import main

__all__ = ["main"]
