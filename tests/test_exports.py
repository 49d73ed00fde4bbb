"""The public names: sorted, importable, explained in the code and listed in the reference."""

import inspect
import re
from collections.abc import Iterable
from pathlib import Path

import ordermgmt
from ordermgmt import errors as errors_of_all
from ordermgmt import money
from ordermgmt.engine import effect_rules

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def reference_text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.rglob("*.md")))


def explained(thing: object) -> bool:
    """Whether a class or function has a docstring of its own; any other value is explained by its type's."""
    if inspect.isclass(thing):
        return bool((vars(thing).get("__doc__") or "").strip())
    return bool((inspect.getdoc(thing) or "").strip())


def not_named_in(text: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if not re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)]


def test_the_names_are_sorted_and_told_once() -> None:
    assert ordermgmt.__all__ == sorted(set(ordermgmt.__all__))


def test_there_are_public_names_and_each_can_be_imported() -> None:
    assert ordermgmt.__all__
    assert [name for name in ordermgmt.__all__ if not hasattr(ordermgmt, name)] == []


def test_every_public_name_explains_itself() -> None:
    assert [name for name in ordermgmt.__all__ if not explained(getattr(ordermgmt, name))] == []


def test_every_public_name_stands_in_the_reference() -> None:
    assert not_named_in(reference_text(), ordermgmt.__all__) == []


def test_nothing_is_public_by_accident() -> None:
    modules = {name for name, thing in vars(ordermgmt).items() if inspect.ismodule(thing)}
    public = {name for name in vars(ordermgmt) if not name.startswith("_")}
    assert public - modules == set(ordermgmt.__all__) - modules


def test_what_a_host_may_have_to_catch_is_public() -> None:
    errors = {
        name
        for module in (errors_of_all, money, effect_rules)
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and issubclass(thing, ordermgmt.OrderManagementError) and not name.startswith("_")
    }
    assert errors - set(ordermgmt.__all__) == {"NotDue"}, "only a worker's own claim is told that it is not due"


class TestTheRulesThemselves:
    def test_a_name_inside_another_is_not_named(self) -> None:
        assert not_named_in("`PlaceOrder` makes an order", ["Order", "PlaceOrder"]) == ["Order"]
        assert not_named_in("`Order`, by `PlaceOrder`.", ["Order", "PlaceOrder"]) == []

    def test_a_docstring_is_not_inherited(self) -> None:
        class Base:
            """Explained."""

        class Silent(Base):
            pass

        assert explained(Base)
        assert not explained(Silent)

    def test_a_function_without_a_docstring_is_not_explained(self) -> None:
        def silent() -> None: ...

        assert not explained(silent)
