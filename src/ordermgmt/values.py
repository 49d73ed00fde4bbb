"""Values and errors with fields: `attrs.frozen` and `attrs.define`, whose work on a class waits until it is used.

There are some 400 such classes here, and a program uses some dozens of them.  For each, attrs looks through the fields,
and writes and compiles methods; that was two thirds of the time of importing this library.  So a class has its slots at
once, and comparing, hashing and showing, which are written here once for all.  When somebody first makes one, or asks
for its fields or its signature, attrs does the rest.  What it is then is the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import attrs

__all__ = ["error", "frozen", "in_the_making", "unchecked"]

Fields = ParamSpec("Fields")
Value = TypeVar("Value")

if TYPE_CHECKING:
    # Shown to type checkers as what they do.
    from attrs import define as error
    from attrs import frozen
else:

    def frozen(cls: Any = None, **options: Any) -> Any:
        """As `attrs.frozen`; a class that has methods of its own for this, or asks attrs for some, keeps them.

        The methods may not call `super()` without arguments: the class they were written in is not the one with slots.
        """

        def wrap(made: Any) -> Any:
            own = made.__dict__
            if not options.keys() & {"eq", "order", "hash", "unsafe_hash", "cache_hash"} and "__eq__" not in own:
                made.__eq__, made.__hash__ = _equal, _hashed
            if options.get("repr", True) and "__repr__" not in own:
                made.__repr__ = _shown
            if options.keys() <= {"kw_only"} and own.keys().isdisjoint(_MADE_LATER):
                return _with_slots(made, lambda: attrs.frozen(made, **options), **_REFUSING)
            return attrs.frozen(made, **options)  # which leaves alone what is there

        return wrap if cls is None else wrap(cls)

    def error(made: Any) -> Any:
        """As `attrs.define`, for errors with fields: see `frozen`."""
        if "__repr__" not in vars(made):
            made.__repr__ = _shown
        return _with_slots(made, lambda: attrs.define(made))


@attrs.frozen
class _Empty:
    """Shows what attrs gives a class."""


_REFUSING = {name: vars(_Empty)[name] for name in ("__setattr__", "__delattr__")}
"""What keeps a frozen value as it is, whatever its fields."""
_MADE_LATER = {
    "__attrs_attrs__",
    "__attrs_props__",
    "__getstate__",
    "__init__",
    "__match_args__",
    "__replace__",
    "__setstate__",
} & vars(_Empty).keys()
"""What depends on the fields, as far as this release of attrs makes it."""


def _with_slots(unfinished: type[Any], finish: Callable[[], type[Any]], **methods: Any) -> type[Any]:
    """The class with slots for its fields; the rest of what attrs makes of it is stood in for."""
    hints: dict[str, Any] = inspect.get_annotations(unfinished)
    fields = [name for name, hint in hints.items() if not str(hint).startswith(("ClassVar", "typing.ClassVar"))]
    taken = {name for base in unfinished.__mro__[1:] for name in getattr(base, "__slots__", ())}
    slots = [name for name in fields if name not in taken]
    body: dict[str, Any] = dict(vars(unfinished))
    if "__weakref__" in body:  # a class without slots has its own only where no class before it has one
        slots.append("__weakref__")
    for name in (*fields, "__dict__", "__weakref__"):
        body.pop(name, None)
    body |= methods
    body |= {name: _Later(finish) for name in _MADE_LATER}
    body |= {"__slots__": tuple(slots), "__qualname__": unfinished.__qualname__}
    meta: Any = type(unfinished)  # whose signature the checkers know for `type` alone
    made: type[Any] = meta(unfinished.__name__, unfinished.__bases__, body)
    return made


class _Later:
    """Stands in a class for what attrs will make of its fields, and has it made when it is asked for.

    Threads that meet here make the same twice.
    """

    __slots__ = ("_cls", "_finish", "_name")

    def __init__(self, finish: Callable[[], type[Any]]) -> None:
        self._finish = finish

    def __set_name__(self, cls: type[Any], name: str) -> None:
        self._cls = cls
        self._name = name

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        if vars(self._cls)[self._name] is self:
            finished = vars(self._finish())
            for name in _MADE_LATER:
                setattr(self._cls, name, finished[name])
        made = vars(self._cls)[self._name]
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


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


def in_the_making(cls: type[Any]) -> type[Any]:
    """The class of a value of this frozen class that is still being filled in: the same slots, and not frozen.

    Its maker sets the fields as on any object, and gives it its real class last, before anybody else sees it.  Setting
    each field of a frozen one, even through its slot, takes several times as long.
    """
    meta: Any = type(cls)  # whose signature the checkers know for `type` alone
    open_to_all = {name: vars(object)[name] for name in _REFUSING}
    made: type[Any] = meta(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, **open_to_all})
    return made


def unchecked(cls: Callable[Fields, Value]) -> Callable[Fields, Value]:
    """A constructor of this frozen class that skips its converters and validators: it takes a quarter of the time.

    For commands that a flow makes from a stored state, and for values that are made by the dozen.  Their parts were
    checked when they came in, and are of the types that converters would have made of them.
    """
    known: dict[str, Any] = {"new": object.__new__, "cls": cls, "unfinished": in_the_making(cast("type[Any]", cls))}
    parameters: list[str] = []
    lines: list[str] = []
    made: Any = cls
    for a in sorted(attrs.fields(made), key=lambda a: a.kw_only):
        if not a.init or isinstance(a.default, attrs.Factory):  # type: ignore[arg-type]  # a class, typed as a function
            raise TypeError(f"{made.__name__}.{a.name} is made by the constructor; nothing else can make it")
        if a.kw_only and "*" not in parameters:
            parameters.append("*")
        parameters.append(a.name if a.default is attrs.NOTHING else f"{a.name}=default_{a.name}")
        lines.append(f"    made.{a.name} = {a.name}")
        known[f"default_{a.name}"] = a.default
    header = f"def make({', '.join(parameters)}):"
    source = "\n".join([header, "    made = new(unfinished)", *lines, "    made.__class__ = cls", "    return made"])
    exec(source, known)  # noqa: S102 - nothing from outside is in it: the names of a class's own fields
    make: Callable[Fields, Value] = known["make"]
    return make
