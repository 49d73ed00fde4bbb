"""What shall happen to the next requests at a fake, written down before they come."""

from __future__ import annotations

from collections import deque

from attrs import define, field


class ProviderTimeout(Exception):
    """What a fake raises where a real provider would not answer in time."""


class ProviderBroke(Exception):
    """What a fake raises where a real provider answers with an error of its own, which says nothing about us."""


@define
class Script:
    """Steps for coming requests, each for one type of effect or for any."""

    steps: deque[tuple[str, str]] = field(factory=deque[tuple[str, str]])
    """(what, which): which is a type of effect, or '' for any."""

    def say(self, what: str, which: str) -> None:
        """This shall happen to the next request of this type."""
        self.steps.append((what, which))

    def next(self, request: object, *, named: bool = False) -> str:
        """What happens to this request; '' for what is usual.  `named`: only steps that name its type."""
        kind = type(request).__name__
        for n, (what, which) in enumerate(self.steps):
            if which == kind or (not which and not named):
                del self.steps[n]
                return what
        return ""
