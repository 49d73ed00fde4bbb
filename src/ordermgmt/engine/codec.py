"""The stored form: JSON in an envelope ``{"type": …, "v": …, "data": …}``, readable for years.

Old forms are lifted by upcasters, functions on plain dicts.  A form newer than this release can be read as
it is (`Opaque`), exported and verified; commands on it are refused with `NewerVersion`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs
import msgspec
from pendulum import DateTime

from ..errors import Misconfigured
from ..values import frozen
from .instants import from_text, to_text
from .messages import Event, Personal

SomeEvent = TypeVar("SomeEvent", bound=Event)

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


@frozen
class Opaque:
    """A stored form this release does not know: kept whole, never changed."""

    type: str
    v: int
    data: Any
    status: str | None = None


UNREADABLE = Opaque("", 0, None)
"""What damaged bytes are taken for: nothing is decided on it, and it is never written over."""


@frozen
class Frozen:
    """A message as it will be sent or decided later: bytes that no later release renders anew."""

    type: str
    v: int
    data: msgspec.Raw

    @property
    def digest(self) -> str:
        """sha256 of type, version and bytes: equal digests are equal requests."""
        return hashlib.sha256(f"{self.type}|{self.v}|".encode() + bytes(self.data)).hexdigest()


def _encode_other(value: Any) -> Any:
    if isinstance(value, DateTime):
        return to_text(value)
    if isinstance(value, Personal):
        return {"subject": value.subject, "ref": value.ref}
    raise NotImplementedError(f"{type(value).__name__} has no stored form")


def _decode_other(wanted: Any, value: Any) -> Any:
    if wanted is DateTime:
        return from_text(value)
    if wanted is Personal or get_origin(wanted) is Personal:
        return Personal[Any](value["subject"], value["ref"])
    raise NotImplementedError(f"{wanted!r} has no stored form")


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)
_sorted_encoder = msgspec.json.Encoder(enc_hook=_encode_other, order="deterministic")


def to_json(value: Any) -> bytes:
    """Any value of ours as JSON, without an envelope."""
    return _encoder.encode(value)


def from_json(doc: bytes, wanted: Any) -> Any:
    """The value of a type that `to_json` wrote."""
    return msgspec.json.decode(doc, type=wanted, dec_hook=_decode_other)


def to_builtins(value: Any) -> Any:
    """Any value of ours as plain dicts, lists, text and numbers."""
    return msgspec.to_builtins(value, enc_hook=_encode_other)


def from_builtins(value: Any, wanted: Any) -> Any:
    """The value of a type that `to_builtins` took apart."""
    return msgspec.convert(value, wanted, dec_hook=_decode_other)


def fingerprint(message: Any) -> str:
    """What tells two commands apart: type and non-default fields, without what is personal."""
    content = {
        a.name: value
        for a in attrs.fields(message.__class__)
        if not a.metadata.get("personal") and (value := getattr(message, a.name)) != _default_of(a)
    }
    return hashlib.sha256(type(message).__name__.encode() + b"|" + _sorted_encoder.encode(content)).hexdigest()


def _default_of(a: attrs.Attribute[Any]) -> Any:
    default: Any = a.default
    # attrs types Factory as a function, though it is a class; only its instances have a factory.
    factory = getattr(default, "factory", None)
    return factory() if factory is not None and not default.takes_self else default


class _Form:
    """One stored type: its current version and how to read it."""

    __slots__ = ("_decoder", "cls", "name", "personal", "prefix", "v")

    def __init__(self, cls: type[Any], v: int) -> None:
        self.cls = cls
        self.name = cls.__name__
        self.v = v
        self.prefix = b'{"type":"%s","v":%d,"data":' % (self.name.encode(), v)
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self.personal = {name: part for name, hint in get_type_hints(cls).items() for part in _personal_parts(hint)}

    @property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Made when it is first needed: most commands are never stored."""
        if self._decoder is None:
            try:
                self._decoder = msgspec.json.Decoder(self.cls, dec_hook=_decode_other)
            except TypeError as problem:
                raise Misconfigured(f"{self.name} has no stored form: {problem}") from problem
        return self._decoder

    def check_readable(self) -> None:
        """Raises `Misconfigured` where what is written could not be read again."""
        _ = self.decoder


@cache
def _form(cls: type[Any], v: int) -> _Form:
    """The same for every shop of this process: reading a hundred types' annotations takes longer than all the rest."""
    return _Form(cls, v)


def _personal_parts(hint: Any) -> Iterable[Any]:
    """What a field annotated ``Personal[T]`` or ``Personal[T] | None`` holds: T."""
    if get_origin(hint) is Personal:
        yield get_args(hint)[0]
    else:
        for part in get_args(hint):
            if get_origin(part) is Personal:
                yield get_args(part)[0]


class Codec:
    """Writes and reads the stored forms of one shop's types."""

    def __init__(self, types: Mapping[type[Any], int], upcasters: Mapping[tuple[str, int], Upcaster]) -> None:
        self._forms: dict[type[Any], _Form] = {}
        self._by_name: dict[str, _Form] = {}
        self._upcasters = dict(upcasters)
        for cls, v in types.items():
            form = _form(cls, v)  # type: ignore[arg-type]  # mypy takes a class for unhashable
            clash = self._by_name.setdefault(form.name, form)
            if clash.cls is not cls:
                raise Misconfigured(f"two types are stored as {form.name!r}; rename one of them")
            self._forms[cls] = form
        for name, v in self._upcasters:
            known = self._by_name.get(name)
            if known is None or v >= known.v:
                raise Misconfigured(f"the upcaster for {name} v{v} leads to no known version")

    def encode(self, value: Any) -> bytes:
        """The value in its envelope."""
        return self._forms[type(value)].prefix + _encoder.encode(value) + b"}"

    def decode(self, doc: bytes) -> Any:
        """The value in this envelope, lifted to its current version; `Opaque` where that is unknown here."""
        if (form := self._by_name.get(_type_name(doc))) is not None and doc.startswith(form.prefix):
            return form.decoder.decode(memoryview(doc)[len(form.prefix) : -1])
        envelope = msgspec.json.decode(doc)
        return self._lift(envelope["type"], envelope["v"], envelope["data"])

    def look(self, doc: bytes) -> Any:
        """As `decode`, but `UNREADABLE` where the bytes are damaged: one such row must not stop all others."""
        try:
            return self.decode(doc)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
            return UNREADABLE

    def freeze(self, message: Any) -> Frozen:
        """The message as bytes that will not change any more."""
        form = self._forms[type(message)]
        form.check_readable()
        return Frozen(form.name, form.v, msgspec.Raw(_encoder.encode(message)))

    def thaw(self, frozen_message: Frozen) -> Any:
        """The message again; `Opaque` where its form is unknown here."""
        form = self._by_name.get(frozen_message.type)
        if form is not None and form.v == frozen_message.v:
            return form.decoder.decode(frozen_message.data)
        return self._lift(frozen_message.type, frozen_message.v, msgspec.json.decode(frozen_message.data))

    def _lift(self, name: str, v: int, data: Any) -> Any:
        form = self._by_name.get(name)
        if form is None or v > form.v:
            return Opaque(name, v, data, _status_in(data))
        for version in range(v, form.v):
            step = self._upcasters.get((name, version))
            if step is None:
                return Opaque(name, v, data, _status_in(data))
            data = step(data)
        return from_builtins(data, form.cls)

    def personal(self, value: Any) -> Sequence[Personal[Any]]:
        """The values about people that this event or effect brings."""
        form = self._forms[type(value)]
        if not form.personal:
            return ()
        found = (getattr(value, name) for name in form.personal)
        return [personal for personal in found if personal is not None]

    def revealed(self, value: Any, docs: Mapping[str, bytes]) -> Any:
        """The same message with its personal values filled in."""
        form = self._forms[type(value)]
        filled: dict[str, Any] = {}
        for name, hint in form.personal.items():
            personal = getattr(value, name)
            if personal is not None and personal.ref in docs:
                filled[name] = Personal(personal.subject, personal.ref, from_json(docs[personal.ref], hint))
        return attrs.evolve(value, **filled) if filled else value


def with_status(event: SomeEvent, status: str) -> SomeEvent:
    """The event, telling the status it led to."""
    if event.status is not None:
        # One that tells a status already may be a value that a rule hands out again and again.
        event = copy.copy(event)
    # Nobody has seen it yet, so it is completed in place.
    object.__setattr__(event, "status", status)
    return event


def _status_in(data: Any) -> str | None:
    """The status in a stored form we do not know, if it has one."""
    status = data.get("status") if hasattr(data, "get") else None
    return status if isinstance(status, str) else None


def _type_name(doc: bytes) -> str:
    """The type in an envelope as we write it, without parsing; '' where it is written otherwise."""
    if not doc.startswith(b'{"type":"'):
        return ""
    return doc[9 : doc.find(b'"', 9)].decode()


def chain(previous: str, parts: tuple[str | int, ...], doc: bytes) -> str:
    """The hash of an entry: sha256 over the hash before it, its columns and its bytes."""
    return hashlib.sha256(_encoder.encode((previous, *parts)) + doc).hexdigest()


__all__ = ["UNREADABLE", "Codec", "Frozen", "Opaque", "chain", "fingerprint", "from_json", "to_json", "with_status"]
