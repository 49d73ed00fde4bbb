"""Frozen values are what `attrs.frozen` makes of them, though they share the methods that attrs would write anew."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest
from attrs import field

from ordermgmt.values import frozen, unchecked


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


@pytest.mark.parametrize("made", [field(init=False, default=0), field(factory=list)], ids=["by itself", "by a factory"])
def test_what_the_constructor_makes_itself_cannot_be_made_unchecked(made: object):
    cls = frozen(type("Made", (), {"parts": made, "__annotations__": {"parts": list}}))
    with pytest.raises(TypeError, match=r"Made\.parts"):
        unchecked(cls)
