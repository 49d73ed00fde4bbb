"""What is said inside an order system: commands ask, events tell, effects reach outside, laters wait.

command ──▶ decide ──▶ events ──▶ evolve ──▶ new state
                         └──▶ reactions: commands, effects, later commands
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeGuard, TypeVar

from pendulum import DateTime

from ..errors import InvalidInput
from ..values import frozen
from .transaction import Key

State_co = TypeVar("State_co", covariant=True)
Value = TypeVar("Value")


@frozen(kw_only=True)
class Command(Generic[State_co]):
    """Asks for something.  It may be refused, and a refusal changes nothing.

    ``Command[Order]`` is answered with the `Order` as it stands afterwards.
    """


@frozen(kw_only=True)
class News(Command[State_co]):
    """A command made from what the outside world reported.  Neither it nor what follows from it is refused.

    An arrow is taken if one is drawn from here; otherwise the fact is kept, the status stays, and a
    discrepancy is opened.  Follow-ups are tried one by one; a refused one leaves a discrepancy instead.
    """


@frozen(kw_only=True)
class Event:
    """Tells what happened.  A fact, kept for ever, so its stored form is a contract."""

    v: ClassVar[int] = 1
    """The version of its stored form; raise it together with an upcaster."""

    status: str | None = None
    """The status it led to; None where the status stayed.  Set by the engine, read by folding."""

    trigger: ClassVar[str | None] = None
    """The arrow it walks in the lifecycle, if any."""

    def arrow(self) -> str | None:
        """The arrow it walks: its trigger, unless that depends on what happened."""
        return self.trigger


@frozen(kw_only=True)
class Effect:
    """Reaches outside.  It is data: recorded with the decision, done after the commit, exactly once."""

    v: ClassVar[int] = 1
    only_asks: ClassVar[bool] = False
    """True where it changes nothing outside, so that no provider has it on its books."""

    @property
    def port(self) -> tuple[str, str]:
        """Which adapter does it: the family and the name, such as ``("gateways", "card")``."""
        raise NotImplementedError

    @property
    def effect_id(self) -> str:
        """Its id for ever, made from what it is about, so that the same decision makes the same id."""
        raise NotImplementedError

    @property
    def lane(self) -> str:
        """Effects of one lane are done one at a time, in the order of their ids as text."""
        raise NotImplementedError

    @property
    def group(self) -> str:
        """Whose due work it is: the order's id, for `settle(order_id)`."""
        raise NotImplementedError


@frozen
class Later:
    """A command to be decided in a commit of its own, when its time has come.

    A later with the same name replaces the one before; `command=None` takes it back.
    """

    command: Command[Any] | None
    at: DateTime
    name: str
    group: str = ""


@frozen
class Disagreement:
    """The world and our rules disagree about the entity an event is about: a discrepancy is opened."""

    reason: str


Reply = Command[Any] | Effect | Later | Disagreement
"""What a reaction may answer an event with."""

Replies = Iterable[Reply]


class Personal(Generic[Value]):
    """A value about a person.  Only its reference is stored with the history; the value lies beside it.

    `value` is there in the decision that brings it and in the request an adapter is given.  Elsewhere ask
    `shop.reveal(personal)`: it answers the value, or None once the person was erased.  Two are equal when
    they refer to the same value.
    """

    __slots__ = ("ref", "subject", "value")

    def __init__(self, subject: str, ref: str, value: Value | None = None) -> None:
        self.subject = subject
        self.ref = ref
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Personal) and (self.subject, self.ref) == (other.subject, other.ref)

    def __hash__(self) -> int:
        return hash((self.subject, self.ref))

    def __repr__(self) -> str:
        return "<personal>"


PERSONAL = {"personal": True}
"""Metadata of a command's field that holds a person's data: kept out of fingerprints and logs."""


ID_PATTERN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
TEXT_MAX = 500
NAME_MAX = 1_000
PAGE_MAX = 1_000


def _plain(value: object) -> TypeGuard[str]:
    return value.__class__ is str  # a subclass would be stored, and read again, as something else


def is_listed(values: object) -> TypeGuard[Iterable[Any]]:
    """Whether somebody gave several things: a list of any kind, and not one text or mapping."""
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)


def check_id(value: object, name: str) -> str:
    """An id of ours or the host's: 1–128 ASCII letters, digits and ``. _ : -``."""
    if not _plain(value) or not ID_PATTERN.fullmatch(value):
        raise InvalidInput(f"{name} must be 1 to 128 of the characters A-Z a-z 0-9 . _ : - (got {shorten(value)})")
    return value


def check_text(value: object, name: str, *, longest: int = TEXT_MAX, empty: bool = False, shown: bool = True) -> str:
    """Text as the host has it (a SKU, a reference, a reason), without control characters.

    Case matters and nothing is trimmed away: text with outer white space is refused rather than repaired.  A value that
    is not to be `shown`, for it is personal or a secret, does not stand in the refusal either.
    """
    if not _plain(value):
        raise InvalidInput(
            f"{name} must be text, a plain str (got {shorten(value) if shown else type(value).__name__})"
        )
    if not value:
        if not empty:
            raise InvalidInput(f"{name} must not be empty")
        return value
    if len(value) > longest:
        raise InvalidInput(f"{name} must have at most {longest} characters (got {len(value)})")
    if value != value.strip():
        raise InvalidInput(f"{name} must not begin or end with white space{_got(value, shown)}")
    if not value.isprintable():
        raise InvalidInput(f"{name} must not contain control or format characters{_got(value, shown)}")
    return value


def check_name(value: object) -> str:
    """The id of an entity of the engine's own: made from ids, names and SKUs, and so longer than each of them."""
    return check_text(value, "id", longest=NAME_MAX)


def check_page(limit: object, after: object = None) -> None:
    """How much of a long list is wanted, and from where on."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= PAGE_MAX:
        raise InvalidInput(f"limit must be 1 to {PAGE_MAX} (got {shorten(limit)})")
    match after:
        case None | (str(), str()):
            return
        case _:
            raise InvalidInput(f"after must be the `next` of a page (got {shorten(after)})")


def shorten(value: object) -> str:
    """A value as it may stand in an error message: short, on one line, and quick to make, however hostile it is."""
    if isinstance(value, int) and not -(10**40) < value < 10**40:
        return f"an int of {value.bit_length()} bits"  # writing it out takes quadratic time, or raises
    try:
        text = repr(value[:60] if isinstance(value, str | bytes) else value)
    except Exception:  # noqa: BLE001 - a value that cannot even be shown must not hide what is wrong with it
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def counted(n: int, one: str, many: str = "") -> str:
    """A number with what it counts: ``1 unit``, ``2 units``; where an s does not do, `many` says what does."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def checked_id(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: see `check_id`."""
    check_id(value, attribute.name)


def checked_text(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: see `check_text`."""
    check_text(value, attribute.name, shown=attribute.repr is not False)


def _got(value: object, shown: bool) -> str:  # noqa: FBT001 - two words of one sentence
    return f" (got {shorten(value)})" if shown else ""


def checked_name(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: see `check_name`."""
    check_text(value, attribute.name, longest=NAME_MAX)


def checked_type(*types: type[Any]) -> Callable[[object, Any, Any], None]:
    """An attrs validator: a value of one of these types.  A bool is no int."""

    def check(_instance: object, attribute: Any, value: Any) -> None:
        if not isinstance(value, types) or (isinstance(value, int) and value.__class__ not in types):
            wanted = " or ".join(cls.__name__ for cls in types)
            raise InvalidInput(f"{attribute.name} must be {wanted} (got {shorten(value)})")

    return check


def checked_choice(*choices: str) -> Callable[[object, Any, Any], None]:
    """An attrs validator: one of these words."""

    def check(_instance: object, attribute: Any, value: Any) -> None:
        if not _plain(value) or value not in choices:
            raise InvalidInput(f"{attribute.name} must be one of {', '.join(choices)} (got {shorten(value)})")

    return check


def checked_note(_instance: object, attribute: Any, value: Any) -> None:
    """An attrs validator: text that may be empty."""
    check_text(value, attribute.name, empty=True, shown=attribute.repr is not False)


__all__ = [
    "PERSONAL",
    "Command",
    "Disagreement",
    "Effect",
    "Event",
    "Key",
    "Later",
    "News",
    "Personal",
    "Replies",
    "Reply",
    "check_id",
    "check_name",
    "check_text",
    "checked_choice",
    "checked_id",
    "checked_name",
    "checked_note",
    "checked_text",
    "checked_type",
    "shorten",
]
