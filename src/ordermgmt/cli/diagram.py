"""The lifecycles, drawn from the tables that decide: for a page, a wiki, a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from ..drawing import NamedArrow, markdown, mermaid, unit_arrows_mermaid
from ..engine.assembly import Assembly
from ..engine.lifecycle import Lifecycle
from ..orders.lifecycle import UNIT_ARROWS
from ..returns.lifecycle import RETURN
from ..settings import DEFAULT_CAPABILITIES
from .terminal import Paper

FORMATS = ("mermaid", "md")

LIFECYCLES: Mapping[str, Lifecycle] = {
    capability.kind: capability.lifecycle
    for capability in Assembly(DEFAULT_CAPABILITIES).capabilities
    if capability.lifecycle is not None
} | {"return": RETURN}
"""By the kind of what lives.  Returns are drawn before they can be asked for."""
UNITS = "units"
DRAWABLE = (*LIFECYCLES, UNITS)


def diagram(paper: Paper, name: str | None, form: str) -> None:
    """One of them, or all.  Mermaid is a drawing by itself; md is a section with the drawing and its table."""
    drawn = [_section(one) if form == "md" else _drawing(one) for one in ((name,) if name else DRAWABLE)]
    paper.line("\n".join(drawn).rstrip("\n"))


def _drawing(name: str) -> str:
    """With its name on top, as Mermaid reads a title."""
    body = unit_arrows_mermaid(UNIT_ARROWS) if name == UNITS else mermaid(LIFECYCLES[name])
    return f"---\ntitle: {name}\n---\n{body}"


def _section(name: str) -> str:
    if name == UNITS:
        body, rows = unit_arrows_mermaid(UNIT_ARROWS), _arrows(UNIT_ARROWS)
    else:
        body, rows = mermaid(LIFECYCLES[name]), markdown(LIFECYCLES[name])
    return f"## {name}\n\n```mermaid\n{body}```\n\n{rows}"


def _arrows(arrows: Mapping[str, NamedArrow]) -> str:
    rows = [f"| {', '.join(arrow.sources) or '–'} | {arrow.name} | {arrow.target} |" for arrow in arrows.values()]
    return "\n".join(["| from | arrow | to |", "|---|---|---|", *rows]) + "\n"
