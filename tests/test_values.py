"""Values and errors are what attrs makes of them, though they share methods and attrs waits until they are used."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import pydoc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import MemberDescriptorType
from typing import Any, ClassVar

import attrs
import msgspec
import pytest
from attrs import field

import ordermgmt
from ordermgmt.engine.capability import changed
from ordermgmt.values import error, frozen, unchecked


@frozen
class Ours:
    name: str
    weights: tuple[int, ...] = ()
    note: str = field(default="", eq=False, repr=False)


@attrs.frozen
class Theirs:
    name: str
    weights: tuple[int, ...] = ()
    note: str = field(default="", eq=False, repr=False)


@frozen(kw_only=True)
class Longer(Ours):
    length: int = 0


@frozen
class Nothing:
    pass


@frozen
class WithItsOwn:
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithItsOwn)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@frozen(eq=False)
class Single:
    name: str


@error
class OurNo(LookupError):
    """Refused by us."""

    code: ClassVar[int] = 7
    sku: str
    missing: tuple[str, ...] = ()
    soft: bool = field(default=False, kw_only=True)


@attrs.define
class TheirNo(LookupError):
    """Refused by them."""

    code: ClassVar[int] = 7
    sku: str
    missing: tuple[str, ...] = ()
    soft: bool = field(default=False, kw_only=True)


def never_used(decorate: Any) -> Any:
    """A class of which nobody has made one yet."""

    @decorate
    class Parcel:
        """What is sent."""

        sku: str
        quantity: int = 1
        notes: tuple[str, ...] = field(factory=tuple)
        kinds: ClassVar[tuple[str, ...]] = ()

        @property
        def heavy(self) -> bool:
            return self.quantity > 9

    return Parcel


PAIRS = [
    (("mug",), ("mug",)),
    (("mug",), ("cup",)),
    (("mug", (1,)), ("mug", (1,))),
    (("mug", (1,)), ("mug", (2,))),
    (("mug", (), "a"), ("mug", (), "b")),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_are_equal_where_attrs_says_so(one: tuple[str], other: tuple[str]) -> None:
    assert (Ours(*one) == Ours(*other)) is (Theirs(*one) == Theirs(*other))
    assert (Ours(*one) != Ours(*other)) is (Theirs(*one) != Theirs(*other))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_equal_ones_have_one_hash(one: tuple[str], other: tuple[str]) -> None:
    if Ours(*one) == Ours(*other):
        assert hash(Ours(*one)) == hash(Ours(*other))
    else:
        assert len({Ours(*one), Ours(*other)}) == 2


def test_values_of_two_classes_are_never_equal() -> None:
    assert Longer("mug") != Ours("mug")
    assert Ours("mug") != Longer("mug")
    assert Ours("mug") != ("mug", (), "")


def test_what_cannot_be_hashed_is_not() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("mug", [1]))  # type: ignore[arg-type]  # a list, on purpose


def test_they_are_shown_as_attrs_shows_them() -> None:
    assert repr(Ours("mug", (1,), "secret")) == repr(Theirs("mug", (1,), "secret")).replace("Theirs", "Ours")
    assert repr(Longer("mug", length=3)) == "Longer(name='mug', weights=(), length=3)"


def test_one_made_in_a_function_is_shown_by_its_name_alone() -> None:
    @frozen
    class Inner:
        pass

    assert repr(Inner()) == "Inner()"


def test_all_without_fields_are_equal() -> None:
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_methods_of_its_own_stay() -> None:
    one = WithItsOwn("a")
    assert (one == WithItsOwn("b"), hash(one), repr(one)) == (True, 7, "own")


def test_one_that_asks_for_identity_is_equal_to_itself_alone() -> None:
    one = Single("a")
    assert one != Single("a")
    assert len({one, Single("a"), one}) == 2


def test_nothing_can_be_set() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Ours("mug").name = "cup"  # type: ignore[misc]  # refused by the type checker too
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del Ours("mug").name  # pyright: ignore[reportAttributeAccessIssue]  # as above


@pytest.mark.parametrize("value", [Ours("mug", (1,), "a"), Longer("mug", length=3), Nothing()])
def test_they_are_copied_and_pickled_whole(value: object) -> None:
    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):  # noqa: S301 - our own bytes
        assert twin == value
        assert repr(twin) == repr(value)


def test_they_are_matched_by_position() -> None:
    match Ours("mug", (1, 2)):
        case Ours(name, weights):
            assert (name, weights) == ("mug", (1, 2))


def test_they_have_slots() -> None:
    assert not hasattr(Ours("mug"), "__dict__")


@frozen
class Checked:
    size: int = field(converter=int)
    unit: str = field(default="g", kw_only=True, validator=attrs.validators.in_("gk"))


def test_what_is_made_unchecked_is_what_the_constructor_makes():
    make = unchecked(Checked)
    assert make(1) == Checked(1)
    assert make(size=2, unit="k") == Checked(2, unit="k")
    with pytest.raises(TypeError):
        make(1, "k")  # type: ignore[call-arg]  # by name only, as in the constructor
    with pytest.raises(TypeError):
        make()  # type: ignore[call-arg]  # and with all that has no default


def test_what_is_made_unchecked_asks_no_validator():
    assert unchecked(Checked)(1, unit="stone").unit == "stone"


@attrs.frozen(slots=False)
class WithoutSlots:
    size: int = 1
    unit: str = "g"


@pytest.mark.parametrize("value", [Checked(1), WithoutSlots()], ids=["with slots", "without"])
def test_what_is_made_in_a_quicker_way_is_of_its_own_class_and_frozen(value: Any):
    for made in (changed(value, unit="k"), unchecked(type(value))(1, unit="k")):
        assert type(made) is type(value)
        assert made == attrs.evolve(value, unit="k")
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.size = 2
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            del made.size


@pytest.mark.parametrize("value", [Checked(1), WithoutSlots()], ids=["with slots", "without"])
def test_only_a_field_can_be_changed(value: object):
    with pytest.raises(TypeError, match="has no field colour"):
        changed(value, colour="red")


@pytest.mark.parametrize("made", [field(init=False, default=0), field(factory=list)], ids=["by itself", "by a factory"])
def test_what_the_constructor_makes_itself_cannot_be_made_unchecked(made: object):
    cls = frozen(type("Made", (), {"parts": made, "__annotations__": {"parts": list}}))
    with pytest.raises(TypeError, match=r"Made\.parts"):
        unchecked(cls)


USES: dict[str, Callable[[Any], object]] = {
    "making one": lambda parcel: repr(parcel("mug")),
    "naming what is given": lambda parcel: repr(parcel(quantity=2, sku="mug")),
    "its fields": lambda parcel: [(a.name, a.default, a.type, a.alias) for a in attrs.fields(parcel)],
    "asking whether it has any": attrs.has,
    "its signature": inspect.signature,
    "its help": lambda parcel: [line for line in pydoc.plain(pydoc.render_doc(parcel)).splitlines() if "sku" in line],
    "its names": lambda parcel: sorted(set(dir(parcel)) - {"__ne__"}),
    "what is matched by position": lambda parcel: parcel.__match_args__,
    "reading one": lambda parcel: repr(msgspec.json.decode(b'{"sku": "mug"}', type=parcel)),
    "filling an empty one": lambda parcel: parcel.__setstate__(parcel.__new__(parcel), {"sku": "mug"}),
    "inheriting from it": lambda parcel: [a.name for a in attrs.fields(attrs.frozen(type("More", (parcel,), {})))],
    "a class of it without fields of its own": lambda parcel: type("More", (parcel,), {})("mug", 10).heavy,
    "its slots": lambda parcel: (parcel.__slots__, hasattr(parcel.__new__(parcel), "__dict__")),
    "a weak reference": lambda parcel: weakref.ref(one := parcel("mug"))() is one,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_whatever_is_asked_of_it_first_is_answered_as_attrs_does(use: Callable[[Any], object]) -> None:
    assert use(never_used(frozen)) == use(never_used(attrs.frozen))


@pytest.mark.parametrize(("given", "named"), [(("mug",), {}), (("mug", ("a",)), {}), (("mug",), {"soft": True})])
def test_an_error_with_fields_is_what_attrs_defines(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = OurNo(*given, **named), TheirNo(*given, **named)
    assert repr(ours) == repr(theirs).replace("Their", "Our")
    assert (ours.args, str(ours), ours.code) == (theirs.args, str(theirs), theirs.code)
    assert ours != OurNo(*given, **named)
    assert attrs.asdict(ours) == attrs.asdict(theirs)
    ours.missing = ("b",)
    assert attrs.evolve(ours).missing == ("b",)


def test_an_error_is_pickled_and_raised_with_its_fields() -> None:
    with pytest.raises(ordermgmt.NotFound, match="A-1") as caught:
        raise pickle.loads(pickle.dumps(ordermgmt.NotFound("order", "A-1")))  # noqa: S301 - our own bytes
    caught.value.add_note("seen")
    assert (caught.value.kind, caught.value.id, caught.value.__notes__) == ("order", "A-1", ["seen"])


def test_one_that_was_never_used_is_unpickled() -> None:
    line = ordermgmt.Line(sku="mug", quantity=2, unit_price=ordermgmt.Money("9.50", "EUR"))
    code = f"import pickle; print(pickle.loads({pickle.dumps(line)!r}))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == repr(line)


def test_threads_that_meet_at_a_new_one_all_get_theirs() -> None:
    for _ in range(50):
        parcel = never_used(frozen)
        together, made = threading.Barrier(4), list[object]()

        def make(parcel: Any = parcel, together: threading.Barrier = together, made: list[object] = made) -> None:
            together.wait()
            made.append(parcel("mug"))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [parcel("mug")] * 4


def classes_with_fields() -> Iterator[type[Any]]:
    for module in pkgutil.walk_packages(ordermgmt.__path__, "ordermgmt."):
        if not module.name.startswith(("ordermgmt.testing", "ordermgmt.__main__", "ordermgmt.telemetry")):
            for thing in vars(importlib.import_module(module.name)).values():
                if isinstance(thing, type) and thing.__module__ == module.name and attrs.has(thing):
                    yield thing


def test_every_class_of_ours_has_a_slot_for_each_field() -> None:
    found = list(classes_with_fields())
    assert len(found) > 400
    for cls in found:
        for a in attrs.fields(cls):
            assert isinstance(getattr(cls, a.name), MemberDescriptorType), (cls, a.name)


def test_importing_leaves_most_classes_for_when_they_are_used() -> None:
    """What attrs has written stands in `linecache`, for debuggers."""
    code = "import ordermgmt, linecache; print(sum('generated methods ordermgmt.' in name for name in linecache.cache))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(told.stdout) < 40
