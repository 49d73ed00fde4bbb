"""Importing orders that exist elsewhere, from rows: what is good is placed, and every refused row is told with its why.

    from ordermgmt.importing import import_orders

    report = import_orders(shop, Path("orders.csv"), channel="old-shop", currency="EUR")

A row brings the channel's own id of its order (`reference`), which is taken once.  So the same file can be imported
again, after a crash or with corrected rows: what is there already is counted, and left as it is.
"""

from .model import ERRORS, STOCK, ImportReport, RefusedRow, TooManyTogether, Unreadable
from .running import import_orders

__all__ = ["ERRORS", "STOCK", "ImportReport", "RefusedRow", "TooManyTogether", "Unreadable", "import_orders"]
