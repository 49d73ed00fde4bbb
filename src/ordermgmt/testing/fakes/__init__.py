"""A payment provider and a carrier to play with: scriptable, deterministic, and they count what they were asked.

They stand for the outside world.  They do what their capabilities state, no better and no worse, so that asking
twice shows; and they refuse what a real provider would refuse, so that asking for too much shows as well.
`server` puts the payment provider behind HTTP, and `http_payments` has an adapter that speaks to it.
"""

from .carrier import FakeCarrier
from .payments import Account, FakePayments
from .script import ProviderBroke, ProviderTimeout

__all__ = ["Account", "FakeCarrier", "FakePayments", "ProviderBroke", "ProviderTimeout"]
