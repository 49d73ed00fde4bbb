"""What hosts test with: fakes to play against, and contracts to prove their adapters by.

Importing this package needs neither pytest nor hypothesis.
"""

from .fakes import FakeCarrier, FakePayments, ProviderBroke, ProviderTimeout

__all__ = ["FakeCarrier", "FakePayments", "ProviderBroke", "ProviderTimeout"]
