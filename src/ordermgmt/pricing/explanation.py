"""Where every cent of an amount comes from, as entries that add up and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ..money import Money
from ..values import frozen


@frozen
class Entry:
    """One reason for some cents."""

    about: str
    """What it is about: ``line 1``, ``shipping``, a surcharge's name, or the order."""
    kind: str
    """price, discount, tax, cancelled, charge or credit."""
    what: str
    """In words: how many of what at which price, a discount's name, a tax and its rate."""
    minor: int
    """In minor units; a discount is below zero."""
    included: bool = False
    """True for a tax that is in the price already: told, and not added."""


@frozen(kw_only=True)
class Explanation:
    """The entries that make an amount, and the discounts that could not be given in full.  `str` is a table."""

    currency: str
    entries: tuple[Entry, ...]
    not_given: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    """(discount, minor units, the lines at their lowest price)."""
    name: str = "total"
    """What the sum is: the order's total, or what is due of it."""

    @property
    def minor(self) -> int:
        """The sum of the entries in minor units, without those that are included in others."""
        return sum(entry.minor for entry in self.entries if not entry.included)

    @property
    def total(self) -> Money:
        """The sum of the entries."""
        return Money.of_minor(self.minor, self.currency)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows = [(about, entry.what, self._told(entry), entry.included) for about, entry in self._headed()]
        rows.append((self.name, "", self.total.format(), False))
        # The currency stands at the total only; its width is kept free above it.
        blank = " " * (len(self.currency) + 1)
        left = max(len(about) for about, *_ in rows)
        middle = max(len(what) + 2 * included for _, what, _, included in rows)
        right = max(len(told) + (len(blank) if n < len(rows) - 1 else 0) for n, (*_, told, _) in enumerate(rows))
        for n, (about, what, told, included) in enumerate(rows):
            if n == len(rows) - 1:
                yield "─" * (left + middle + right + 4)
                blank = ""
            indented = f"  {what}" if included else what
            yield f"{about:<{left}}  {indented:<{middle}}  {told + blank:>{right}}".rstrip()
        for name, minor, lines in self.not_given:
            at = f": {', '.join(lines)} at the lowest price" if lines else ""
            yield f"not given of {name}: {Money.of_minor(minor, self.currency)}{at}"

    def _headed(self) -> Iterator[tuple[str, Entry]]:
        """Each entry with what it is about, told once: a price begins another thing, even one of the same name."""
        last = ""
        for entry in self.entries:
            yield (entry.about if entry.about != last or entry.kind == "price" else ""), entry
            last = entry.about

    def _told(self, entry: Entry) -> str:
        amount = Money.of_minor(entry.minor, self.currency).format().rpartition(" ")[0]
        return f"({amount})" if entry.included else amount
