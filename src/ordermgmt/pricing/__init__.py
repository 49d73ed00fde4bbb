"""Prices: taxes, discounts, surcharges and where cents are rounded.  Pure functions and values; no engine, no store."""

from __future__ import annotations

from .explanation import Entry, Explanation
from .model import Given, NotGiven, Parts, Priced, PricedCharge, PricedLine, PriceTerms, TaxPart
from .port import Destination, TaxRates, TaxTable, UnknownTaxClass
from .reckoning import Goods, price
from .terms import PRESETS, Adjustment, Discount, RoundingPolicy, Surcharge, Tax

__all__ = [
    "PRESETS",
    "Adjustment",
    "Destination",
    "Discount",
    "Entry",
    "Explanation",
    "Given",
    "Goods",
    "NotGiven",
    "Parts",
    "PriceTerms",
    "Priced",
    "PricedCharge",
    "PricedLine",
    "RoundingPolicy",
    "Surcharge",
    "Tax",
    "TaxPart",
    "TaxRates",
    "TaxTable",
    "UnknownTaxClass",
    "price",
]
