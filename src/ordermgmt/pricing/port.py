"""Where tax rates come from: the host's tables or service, behind one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import field

from ..engine.messages import check_text, checked_note, is_listed
from ..errors import InvalidInput, Misconfigured, Refused
from ..values import error, frozen
from .terms import TAXES_MAX, Tax, several


@frozen
class Destination:
    """Where the goods go, as far as taxes care: codes as in ISO 3166; empty where nothing is known."""

    country: str = field(default="", validator=checked_note)
    region: str = field(default="", validator=checked_note)
    postal_code: str = field(default="", validator=checked_note)

    def __str__(self) -> str:
        return "-".join(part for part in (self.country, self.region) if part) or "anywhere"


class TaxRates(Protocol):
    """The host's tax rates.  Asked once an order, before it is decided; the answer is frozen on its lines."""

    def rates(self, to: Destination) -> Mapping[str, tuple[Tax, ...]]:
        """Tax class → the taxes on it there; an empty tuple where it is not taxed.

        A class that is absent cannot be sold there (`UnknownTaxClass`): nothing is untaxed by oversight.
        """
        ...


def taxes_on(rates: object, tax_class: str) -> tuple[Tax, ...] | None:
    """What the host's rates say of a class; None where they say nothing.  Raises `Misconfigured` for no such answer."""
    if not isinstance(rates, Mapping):
        raise Misconfigured(f"taxes.rates(to) must answer {{tax class: (Tax(…), …)}} (got {type(rates).__name__})")
    if tax_class not in rates:
        return None
    try:
        return several(rates[tax_class], Tax, "taxes", TAXES_MAX)
    except InvalidInput as wrong:
        raise Misconfigured(f"taxes.rates(to) answers what is no list of taxes for {tax_class}: {wrong}") from wrong


class TaxTable:
    """Rates from a table: ``{"standard": {"DE": [Tax("VAT", 19)], "CA-QC": […], "": []}}``.

    A place is ``country-region``, a country, or empty for everywhere else; the most particular one counts.
    """

    def __init__(self, table: Mapping[str, Mapping[str, Sequence[Tax]]]) -> None:
        """Raises `InvalidInput` for what is no such table."""
        self._table: dict[str, dict[str, tuple[Tax, ...]]] = {}
        if not isinstance(table, Mapping):
            raise InvalidInput("a TaxTable takes {tax class: {place: [Tax(…)]}}")
        for tax_class, places in table.items():
            check_text(tax_class, "a tax class")
            if not isinstance(places, Mapping):
                raise InvalidInput(f"{tax_class}: give {{place: [Tax(…)]}}, with '' for everywhere else")
            self._table[tax_class] = {
                check_text(place, "a place", empty=True): several(_listed(taxes), Tax, "taxes", TAXES_MAX)
                for place, taxes in places.items()
            }

    def rates(self, to: Destination) -> Mapping[str, tuple[Tax, ...]]:
        """See `TaxRates.rates`."""
        found: dict[str, tuple[Tax, ...]] = {}
        for tax_class, places in self._table.items():
            for place in (f"{to.country}-{to.region}", to.country, ""):
                if place in places:
                    found[tax_class] = places[place]
                    break
        return found


def _listed(taxes: Any) -> Any:
    if not is_listed(taxes):
        raise InvalidInput(f"taxes must be a list of Tax (got {type(taxes).__name__})")
    return taxes


@error
class UnknownTaxClass(Refused):
    """There is no tax rate for it in that place."""

    classes: tuple[str, ...]
    destination: str

    @property
    def message(self) -> str:
        return (
            f"no tax rate for {', '.join(self.classes)} ({self.destination}); give the line its taxes, "
            "or list the class in the shop's taxes, with no taxes where it is free of them"
        )
