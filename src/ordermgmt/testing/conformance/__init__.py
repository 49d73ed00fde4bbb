"""Contracts an adapter is proven by; import the one you need, they need pytest."""
