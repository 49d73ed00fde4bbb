"""The reference, written by the code itself: what a shop knows, and what can be asked of it.

``python -m ordermgmt.reference`` prints the entities of the default shop, and ``--write`` renews the pages of this
project's own documentation.  A host documents its own shop, with what it redrew and added, the same way::

    from ordermgmt.reference import entities

    print(entities(shop.assembly))
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

import ordermgmt
import ordermgmt.storage
import ordermgmt.testing

from .describing import (
    annotation,
    derived_lines,
    described,
    field_docs,
    field_lines,
    paragraph,
    parameters_of,
    prose,
    source_of,
    strings_below,
    summary,
    type_of,
)
from .drawing import markdown, mermaid, unit_arrows_mermaid
from .engine.adapters import Listed, Telling
from .engine.assembly import Assembly
from .engine.capability import Capability
from .engine.messages import Command, Effect, Event, News
from .errors import OrderManagementError, Refused
from .management import OrderManagement
from .operations import Effects
from .orders.lifecycle import BUCKETS, UNIT_ARROWS
from .settings import DEFAULT_CAPABILITIES

MADE = "<!-- Made from the code by `python -m ordermgmt.reference --write`; a test fails when they disagree. -->"

ABOUT_ENTITIES = """\
Everything that lives in a shop, in the order in which its rows are locked. *Key* is what `shop.get` is given,
*indexes* are what `shop.find` takes, *refusals* are what its rules may raise besides `NotAllowed`, `NotFound` and
`AlreadyExists`. What is *derived* is worked out from the fields when it is read. *Commands* are given by hosts and may
be refused; *news* is given by hosts and never is; what is done *by the flow* follows from others. Each event is
followed by the reactions to it, in order.
"""

ABOUT_NAMES = """\
Everything that `from ordermgmt import …` offers, by the folder it comes from, and then what `ordermgmt.storage` and
`ordermgmt.testing` offer. Fields of commands, events and effects stand under [entities](entities.md), those of all
other classes under [values and ports](values.md). Events are imported from their folder's words, such as
`from ordermgmt.orders.messages import OrderConfirmed`.
"""

ABOUT_VALUES = """\
What commands are made of, what calls answer, and what hosts implement. Of each public class that has fields and is
neither an entity nor a message: what it is made of, and what it *also* holds or works out; of each port: its methods.
`Pay` is `PayNow`, `OnAccount` or `PaidElsewhere`; an `Adjustment` is a `Discount` or a `Surcharge`.
"""

FOLDERS = {
    "management": "The front door",
    "operations": "Effects, as people and schedulers see them",
    "orders": "Orders",
    "stock": "Stock",
    "payments": "Payments",
    "shipments": "Shipments",
    "refunds": "Refunds",
    "money": "Money",
    "errors": "Errors",
    "engine": "Engine: what capabilities, adapters and hosts' own rules are made of",
}
"""The folders and files that show public names, in the order of the page; others follow under their own names."""

IN = {"async_management": "management", "settings": "management"}
"""Files that are a part of another one, as their reader sees it."""

FRONT: dict[str, tuple[str, type[Any]]] = {
    "management": ("What a shop can do. `AsyncOrderManagement` has the same names, awaited.", OrderManagement),
    "operations": ("What stands at `shop.effects`. `AsyncEffects` has the same names, awaited.", Effects),
}
"""The classes whose methods are listed."""


def entities(assembly: Assembly) -> str:
    """A Markdown page of everything this shop knows: its entities, and how they live."""
    capabilities = assembly.capabilities
    parts = [
        MADE,
        "# Entities",
        ABOUT_ENTITIES,
        _table(
            ("entity", "class", "is"),
            (
                (f"[{c.kind}](#{c.kind})", f"`{c.state.__name__}`", summary(c.state))
                for c in sorted(capabilities, key=lambda c: assembly.lock_order((c.kind, "")))
            ),
        ),
        *(_entity(assembly, c) for c in sorted(capabilities, key=lambda c: assembly.lock_order((c.kind, "")))),
        _units(),
    ]
    return _page(parts)


def api() -> str:
    """A Markdown page of every public name, by folder."""
    parts = [
        MADE,
        "# Public names",
        ABOUT_NAMES,
    ]
    for folder, names in _by_folder().items():
        parts.append(_heading(folder))
        if folder in FRONT:
            about, cls = FRONT[folder]
            parts += [about, _methods(cls)]
        parts.append(_names(ordermgmt, names))
    stores = sorted([*ordermgmt.storage.__all__, *ordermgmt.storage.WITH_POSTGRES])
    for module, names in ((ordermgmt.storage, stores), (ordermgmt.testing, ordermgmt.testing.__all__)):
        parts += [f"## `{module.__name__}`", inspect.getdoc(module) or "", _names(module, names)]
    return _page(parts)


def values() -> str:
    """A Markdown page of how the public classes with fields are made, and of the methods of every port, by folder."""
    parts = [MADE, "# Values and ports", ABOUT_VALUES]
    for folder, names in _by_folder().items():
        things = [getattr(ordermgmt, name) for name in names]
        told = [_value(thing) for thing in things if _sort_of(thing) == "class" and attrs.has(thing)]
        told += [_port(thing) for thing in things if _sort_of(thing) == "port"]
        if told:
            parts += [_heading(folder), "\n".join(told)]
    parts += ["## What an adapter may have besides", "\n".join([_port(Telling), _port(Listed)])]
    return _page(parts)


def _by_folder() -> Mapping[str, Sequence[str]]:
    """The public names, by the folder or file they come from."""
    by_folder: dict[str, list[str]] = {folder: [] for folder in FOLDERS}
    for name in ordermgmt.__all__:
        folder = _home(name).__name__.split(".")[1]
        by_folder.setdefault(IN.get(folder, folder), []).append(name)
    return by_folder


def _heading(folder: str) -> str:
    return f"## {FOLDERS.get(folder, folder.capitalize())}"


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


# One entity.


def _entity(assembly: Assembly, capability: Capability[Any]) -> str:
    state = capability.state
    parts = [
        f"## {capability.kind}",
        paragraph(state),
        "\n".join(
            [
                f"- Class: `{state.__name__}`",
                f"- Key: {_key(capability)}",
                f"- Indexes: {_listed(capability.indexes)}",
                f"- Refusals: {_listed(refusal.__name__ for refusal in capability.refusals)}",
            ]
        ),
    ]
    if capability.lifecycle is not None:
        drawing, table = mermaid(capability.lifecycle), markdown(capability.lifecycle)
        parts += ["### Lifecycle", f"```mermaid\n{drawing}```", table.strip()]
    parts += ["### Fields", "\n".join(f"- {line}" for line in field_lines(state))]
    if derived := list(derived_lines(state)):
        parts += ["### Derived", "\n".join(f"- {line}" for line in derived)]
    parts += _commands(capability)
    if capability.evolve:
        parts += ["### Events", _events(assembly, capability.evolve)]
    if capability.effects:
        parts += ["### Effects", "\n".join(map(_effect, capability.effects))]
    return "\n\n".join(parts)


def _key(capability: Capability[Any]) -> str:
    if capability.kind in _OTHER_KEYS:
        return _OTHER_KEYS[capability.kind]
    own_words = summary(capability.identify) if not _ours(capability.identify) else ""
    return own_words or f"`{attrs.fields(capability.state)[0].name}`"


_OTHER_KEYS = {
    "stock": "`(sku, location)`",
    "reference": '`(channel, external)`, and `(channel, external, "line")` for a line',
    "sending": '`"all"`: there is one in a store',
}
"""Keys that are not the first field of their state."""


def _commands(capability: Capability[Any]) -> Iterator[str]:
    given: list[str] = []
    flow: list[str] = []
    news: list[str] = []
    for command in capability.rules:
        kept = flow if not _public(command) else news if issubclass(command, News) else given
        kept.append(_message(command, f" → `{capability.state.__name__}`"))
    for title, kept in (("Commands", given), ("News", news), ("By the flow", flow)):
        if kept:
            yield f"### {title}"
            yield "\n".join(kept)


def _message(message: type[Any], after: str, note: str = "") -> str:
    """One message: its name, what it says, and its fields."""
    told = " ".join(part for part in (f"- **`{message.__name__}`**{after}:", paragraph(message), note) if part)
    return "\n".join([told, *(f"  - {field}" for field in field_lines(message))])


def _events(assembly: Assembly, events: Mapping[type[Event], Any]) -> str:
    lines: list[str] = []
    for event in events:
        then = [f"`{r.name}` ({_folder(r.then)})" for r in assembly.reactions.get(event, ())]
        follows = f" Then {', '.join(then)}." if then else ""
        lines.append(_message(event, _walks(event), follows.strip()))
    return "\n".join(lines)


def _walks(event: type[Event]) -> str:
    if event.arrow is not Event.arrow:
        return " (its arrow depends on what happened)"
    return f" (walks `{event.trigger}`)" if event.trigger else ""


def _effect(effect: type[Effect]) -> str:
    """An effect, asked for its port and lane with its fields' names in place of values."""
    example: Any = object.__new__(effect)
    for field in attrs.fields(effect):
        object.__setattr__(example, field.name, f"{{{field.name}}}")
    family, name = example.port
    return _message(effect, "", f"Port `{family}[{name}]`, lane `{example.lane}`, settled with `{example.group}`.")


def _units() -> str:
    drawn = ((arrow.name, ", ".join(arrow.sources) or "–", arrow.target) for arrow in UNIT_ARROWS.values())
    return "\n\n".join(
        [
            "## Units of an order line",
            f"A unit stands in exactly one bucket: {', '.join(BUCKETS)}. `MoveUnits` walks them along these arrows.",
            f"```mermaid\n{unit_arrows_mermaid(UNIT_ARROWS)}```",
            _table(("arrow", "from", "to"), drawn),
        ]
    )


# Values and ports.


def _value(cls: type[Any]) -> str:
    """A class: what it says, what it is made of, and what it holds or works out besides."""
    docs, fields = field_docs(cls), attrs.fields_dict(cls)
    parameters = inspect.signature(cls).parameters
    lines: list[str] = []
    for name, parameter in parameters.items():
        field = fields.get(name)
        told = annotation(parameter.annotation)
        if told in ("Any", "typing.Any") and field is not None:
            told = type_of(field)  # it takes more than that, and makes it this
        default = "" if parameter.default is parameter.empty else f" = {_shown(parameter.default)}"
        lines.append(described(f"{name}: {told}{default}", docs.get(name, "")))
    lines += [
        f"*also* {described(f'{field.name}: {type_of(field)}', docs.get(field.name, ''))}"
        for field in fields.values()
        if field.name not in parameters and not field.name.startswith("_")
    ]
    lines += [f"*also* {line}" for line in derived_lines(cls)]
    return "\n".join([f"- **`{cls.__name__}`**: {prose(cls)}", *(f"  - {line}" for line in lines)])


def _shown(default: Any) -> str:
    return "…" if default is attrs.NOTHING or callable(default) else repr(default)


def _port(cls: type[Any]) -> str:
    """A port: what it says, and its methods."""
    return "\n".join([f"- **`{cls.__name__}`**: {prose(cls)}", *(f"  - {line}" for line in derived_lines(cls))])


# Names.


def _names(module: ModuleType, names: Iterable[str]) -> str:
    rows = ((f"`{name}`", _sort_of(getattr(module, name)), _told(module, name)) for name in names)
    return _table(("name", "is a", "what it says"), rows)


def _methods(cls: type[Any]) -> str:
    rows: list[tuple[str, str]] = []
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            rows.append((f"`{name}`", summary(member)))
        else:
            rows.append((f"`{name}({parameters_of(member)})`", summary(member)))
    return _table(("call", "does"), rows)


def _sort_of(thing: object) -> str:
    """What kind of thing a public name is, in the words of the vocabulary."""
    if isinstance(thing, Capability):
        return "capability"
    if not inspect.isclass(thing):
        return "function" if callable(thing) and inspect.isfunction(thing) else "value"
    if getattr(thing, "_is_protocol", False):
        return "port"
    for base, word in (
        (News, "news"),
        (Command, "command"),
        (Event, "event"),
        (Effect, "effect"),
        (Refused, "refusal"),
        (OrderManagementError, "error"),
    ):
        if issubclass(thing, base):
            return word
    return "entity" if thing in _STATES else "class"


_STATES = {capability.state for capability in Assembly(DEFAULT_CAPABILITIES).capabilities}


def _told(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    if isinstance(thing, Capability):
        return f"The capability of {thing.kind}s: its rules, reactions and lifecycle."
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return summary(thing)
    return strings_below(source_of(_home(name))).get(name, "")


def _home(name: str) -> ModuleType:
    """The module a public name comes from."""
    thing = getattr(ordermgmt, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return sys.modules[thing.__module__]
    return next(
        module
        for path, module in sorted(sys.modules.items())
        if path.startswith("ordermgmt.") and name in _assigned(module)
    )


@cache
def _assigned(module: ModuleType) -> frozenset[str]:
    """The names a module makes itself, and does not import."""
    targets: list[ast.expr] = []
    for statement in ast.parse(source_of(module)).body:
        match statement:
            case ast.Assign(targets=several):
                targets += several
            case ast.AnnAssign(target=one):
                targets.append(one)
            case _:
                pass
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


def _public(thing: type[Any]) -> bool:
    """Whether hosts are meant to use it: it is exported, or it is theirs."""
    return thing.__name__ in ordermgmt.__all__ or not _ours(thing)


def _ours(thing: Any) -> bool:
    return str(thing.__module__).startswith("ordermgmt.") or thing is str


def _folder(thing: Any) -> str:
    words = str(thing.__module__).split(".")
    return words[1] if words[0] == "ordermgmt" and len(words) > 1 else words[0]


# Text.


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|---" * len(head) + "|", *map(line, rows)])


def pages() -> dict[str, str]:
    """The generated pages of this project's documentation, by file name."""
    return {"entities.md": entities(Assembly(DEFAULT_CAPABILITIES)), "api.md": api(), "values.md": values()}


def main(arguments: Sequence[str]) -> int:
    """Print the page of entities, or write all generated pages into a clone's `docs/reference`."""
    if list(arguments) not in ([], ["--write"]):
        sys.stderr.write("usage: python -m ordermgmt.reference [--write]\n")
        return 2
    if not arguments:
        sys.stdout.write(entities(Assembly(DEFAULT_CAPABILITIES)))
        return 0
    folder = Path(__file__).resolve().parents[2] / "docs" / "reference"
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is no folder: --write is for a clone of the project\n")
        return 1
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stderr.write(f"wrote {folder / name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
