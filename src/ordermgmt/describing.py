"""What a class says about itself: its docstrings, its fields with theirs, and what it works out of them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import attrs

from .engine.messages import Event


def summary(thing: Any) -> str:
    """The first sentence of a thing's own docstring."""
    text = paragraph(thing)
    end = next((n for n in range(len(text)) if text[n] == "." and text[n + 1 : n + 2] in ("", " ")), len(text))
    return text[: end + 1]


def paragraph(thing: Any) -> str:
    """The first paragraph of a thing's docstring, in one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].replace("``", "`").split())


def prose(thing: Any) -> str:
    """All paragraphs of a thing's docstring in one line; without its examples."""
    paragraphs = (inspect.getdoc(thing) or "").replace("``", "`").split("\n\n")
    return " ".join(" ".join(told.split()) for told in paragraphs if not told.startswith((" ", ">>>")))


# Fields, and what is worked out of them.


def field_lines(cls: type[Any]) -> Iterator[str]:
    """The fields of a class: name, type, default, and the string below each."""
    docs = field_docs(cls)
    for field in attrs.fields(cls):
        if field.name == "status" and issubclass(cls, Event):
            continue  # every event has it
        yield described(f"{field.name}: {type_of(field)}{_default(field)}", docs.get(field.name, ""))


def derived_lines(cls: type[Any]) -> Iterator[str]:
    """What a class works out of its fields: its public properties and methods."""
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        function: object = getattr(member, "__func__", member)  # that of a class method lies in it
        if isinstance(member, property):
            answers = inspect.signature(member.fget).return_annotation if member.fget else Any
            yield described(f"{name}: {annotation(answers)}", paragraph(member))
        elif inspect.isfunction(function):
            yield described(f"{name}({parameters_of(function)})", paragraph(function))


def annotation(told: Any) -> str:
    """A type as it is written."""
    return told if isinstance(told, str) else inspect.formatannotation(told)


def type_of(field: attrs.Attribute[Any]) -> str:
    """The type of a field as it is written."""
    return field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return ""
    # A factory's default is made anew each time: an empty collection in all of our messages and states.
    return " = …" if isinstance(field.default, attrs.Factory) else f" = {field.default!r}"  # type: ignore[arg-type]


def field_docs(cls: type[Any]) -> Mapping[str, str]:
    """The strings that stand below the fields of a class and of its bases, in one line each."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] not in ("builtins", "typing"):
            docs |= strings_below(textwrap.dedent(source_of(base)))
    return docs


@cache  # reading a class's source parses its whole file
def source_of(thing: Any) -> str:
    """The source of a class or a module."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # made at run time, or in a host's interactive session
        return "class Unseen: ..."


@cache
def strings_below(source: str) -> dict[str, str]:
    """The strings that stand below the names a class or a module assigns, in one line each."""
    tree = ast.parse(source)
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else tree.body
    docs: dict[str, str] = {}
    for above, below in pairwise(body):
        match above, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = " ".join(text.split())
            case _:
                pass
    return docs


def parameters_of(function: Callable[..., Any]) -> str:
    """What a function takes, without types."""
    signature = inspect.signature(function)
    kept = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    return str(inspect.Signature(kept))[1:-1]


def described(code: str, says: str) -> str:
    """Code, and what there is to say of it, if anything."""
    return f"`{code}`: {says}" if says else f"`{code}`"
