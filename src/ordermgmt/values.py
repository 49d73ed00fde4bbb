"""Frozen values: `attrs.frozen`, with comparing, hashing and showing written once for all classes.

attrs writes and compiles these methods anew for every class, which took about half of the time of importing this
library.  What they do is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import attrs

Fields = ParamSpec("Fields")
Value = TypeVar("Value")

if TYPE_CHECKING:
    from attrs import frozen as frozen  # noqa: PLC0414 - shown to type checkers as what it does
else:

    def frozen(cls: Any = None, **options: Any) -> Any:
        """As `attrs.frozen`; a class that has methods of its own for this, or asks attrs for some, keeps them."""

        def wrap(made: Any) -> Any:
            own = made.__dict__
            if not options.keys() & {"eq", "order", "hash", "unsafe_hash", "cache_hash"} and "__eq__" not in own:
                made.__eq__, made.__hash__ = _equal, _hashed
            if options.get("repr", True) and "__repr__" not in own:
                made.__repr__ = _shown
            return attrs.frozen(made, **options)  # which leaves alone what is there

        return wrap if cls is None else wrap(cls)


def _equal(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    cls: Any = self.__class__
    values_of = _compared(cls)
    return values_of(self) == values_of(other)


def _hashed(self: Any) -> int:
    cls: Any = self.__class__
    return hash(_told_apart(cls)(self))


def _shown(self: Any) -> str:
    cls: Any = self.__class__
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in _told(cls))
    return f"{cls.__qualname__.rpartition('>.')[2]}({fields})"


@cache
def _compared(cls: Any) -> Callable[[Any], Any]:
    return _values(a.name for a in attrs.fields(cls) if a.eq)


@cache
def _told_apart(cls: Any) -> Callable[[Any], Any]:
    return _values(a.name for a in attrs.fields(cls) if (a.eq if a.hash is None else a.hash))


@cache
def _told(cls: Any) -> tuple[str, ...]:
    return tuple(a.name for a in attrs.fields(cls) if a.repr)


def _values(names: Any) -> Callable[[Any], Any]:
    """What reads these fields, all at once."""
    some = tuple(names)
    return attrgetter(*some) if some else lambda _value: ()


def unchecked(cls: Callable[Fields, Value]) -> Callable[Fields, Value]:
    """What makes values of this frozen class without asking its converters and validators: a quarter of the time.

    For what a flow says of a state that is kept.  Its parts were checked when they came in, and are of the types that
    converters would have made of them.
    """
    known: dict[str, Any] = {"new": object.__new__, "cls": cls}
    parameters: list[str] = []
    lines: list[str] = []
    made: Any = cls
    for a in sorted(attrs.fields(made), key=lambda a: a.kw_only):
        if not a.init or isinstance(a.default, attrs.Factory):  # type: ignore[arg-type]  # a class, typed as a function
            raise TypeError(f"{made.__name__}.{a.name} is made by the constructor; nothing else can make it")
        if a.kw_only and "*" not in parameters:
            parameters.append("*")
        parameters.append(a.name if a.default is attrs.NOTHING else f"{a.name}=default_{a.name}")
        lines.append(f"    set_{a.name}(made, {a.name})")
        known |= {f"default_{a.name}": a.default, f"set_{a.name}": getattr(made, a.name).__set__}
    source = "\n".join([f"def make({', '.join(parameters)}):", "    made = new(cls)", *lines, "    return made"])
    exec(source, known)  # noqa: S102 - nothing from outside is in it: the names of a class's own fields
    make: Callable[Fields, Value] = known["make"]
    return make
