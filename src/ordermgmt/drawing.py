"""Drawings of lifecycles and unit arrows, made from the tables that decide, so that they cannot be out of date."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from .engine.lifecycle import Lifecycle


class NamedArrow(Protocol):
    """An arrow that several places share, like those of the units of an order."""

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> Sequence[str]: ...
    @property
    def target(self) -> str: ...


def mermaid(lifecycle: Lifecycle) -> str:
    """A Mermaid state diagram of `lifecycle`, in the order of its chart."""
    drawn = [(arrow.source, arrow.trigger, arrow.target) for arrow in lifecycle.arrows]
    ends = [status for status in lifecycle.statuses if status in lifecycle.final]
    by_status = sorted(drawn, key=lambda arrow: lifecycle.statuses.index(arrow[0]))
    return _diagram([f"[*] --> {lifecycle.initial}", *_joined(by_status), *(f"{status} --> [*]" for status in ends)])


def unit_arrows_mermaid(arrows: Mapping[str, NamedArrow]) -> str:
    """A Mermaid state diagram of the ways units may go (`orders.lifecycle.UNIT_ARROWS`).

    An arrow without sources makes new units; a place that no arrow leaves ends their way.
    """
    drawn = [(source, arrow.name, arrow.target) for arrow in arrows.values() for source in arrow.sources or ("[*]",)]
    left = {source for source, _, _ in drawn}
    ends = dict.fromkeys(target for _, _, target in drawn if target not in left)
    return _diagram([*_joined(drawn), *(f"{place} --> [*]" for place in ends)])


def markdown(lifecycle: Lifecycle) -> str:
    """A Markdown table of `lifecycle`: one row for each trigger and the status it leads to."""
    rows: dict[tuple[str, str], list[str]] = {}
    for source, trigger, target in lifecycle.arrows:
        rows.setdefault((trigger, target), []).append(source)
    lines = [f"| {', '.join(sources)} | {trigger} | {target} |" for (trigger, target), sources in rows.items()]
    return "\n".join(["| from | trigger | to |", "|---|---|---|", *lines]) + "\n"


def _joined(arrows: Iterable[tuple[str, str, str]]) -> list[str]:
    """One line between two places, however many triggers lead that way: parallel lines are drawn over each other."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, trigger, target in arrows:
        labels.setdefault((source, target), []).append(trigger)
    return [f"{source} --> {target} : {' / '.join(triggers)}" for (source, target), triggers in labels.items()]


def _diagram(lines: Iterable[str]) -> str:
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)]) + "\n"
