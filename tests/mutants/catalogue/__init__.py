"""Faults as they are made: each a few lines, planted where such a bug would stand.

The simulator and the laws must find every one of them within a hundred seeds.
"""

from __future__ import annotations

from tests.mutants.catalogue import adapters, effects, goods, memory, money, orders
from tests.mutants.planting import CATALOGUE

__all__ = ["CATALOGUE", "adapters", "effects", "goods", "memory", "money", "orders"]
