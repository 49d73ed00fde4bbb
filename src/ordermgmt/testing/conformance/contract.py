"""What all contracts share: they cannot be weakened in silence, and what an adapter does not claim is reported.

A contract is a plain pytest class.  Whoever proves an adapter subclasses it; then

* overriding one of its tests, or hiding one behind another class, raises `ContractWeakened` when the class is made;
* a known failure is data, ``known_failures = {"test_name": "reason"}``: that test becomes a strict xfail, which
  fails as soon as it passes;
* a test that needs what the adapter does not claim, or what the provider hook cannot do, is skipped and says so.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import pytest

WEAKENING = ("skip", "skipif", "xfail")


class ContractWeakened(TypeError):
    """A subclass changes what a contract demands."""


class Contract:
    """The root of all contracts."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Test → why it fails as yet.  Each becomes a strict xfail."""
    contract_tests: ClassVar[Mapping[str, Any]] = {}
    """The tests that are demanded, by name."""

    def __init_subclass__(cls, *, declares: bool = False, **more: Any) -> None:
        """`declares` is for contracts themselves: what they add is demanded from then on."""
        super().__init_subclass__(**more)
        # A contract may be put together from several.
        cls.contract_tests = {
            name: one for base in reversed(cls.__mro__) for name, one in vars(base).get("contract_tests", {}).items()
        }
        if declares:
            own = {name: one for name, one in vars(cls).items() if name.startswith("test_")}
            _refuse_changes(cls, own.keys() & cls.contract_tests.keys())
            cls.contract_tests = {**cls.contract_tests, **own}
            return
        marks = [*_marks(vars(cls).get("pytestmark", ()))]
        if weak := sorted({mark.name for mark in marks} & set(WEAKENING)):
            raise ContractWeakened(
                f"{cls.__name__} marks the whole contract as {', '.join(weak)}; name single tests in known_failures"
            )
        _refuse_changes(cls, [name for name, one in cls.contract_tests.items() if not _demanded(cls, name, one)])
        unknown = sorted(set(cls.known_failures) - set(cls.contract_tests))
        if unknown:
            raise ContractWeakened(
                f"known_failures of {cls.__name__} names {', '.join(unknown)}, which is no test of it"
            )
        for name, reason in cls.known_failures.items():
            setattr(cls, name, _expected_to_fail(cls.contract_tests[name], reason))


def _refuse_changes(cls: type[Any], names: Any) -> None:
    if names:
        raise ContractWeakened(
            f"{cls.__name__} replaces {', '.join(sorted(names))} of its contract; a test that fails as yet is named "
            "with its reason in known_failures"
        )


def _demanded(cls: type[Any], name: str, original: Any) -> bool:
    """Whether the name still leads to what the contract demands, as it is or as a known failure of a base."""
    found = inspect.getattr_static(cls, name, None)
    return found is original or getattr(found, "contract_test", None) is original


def _marks(found: Any) -> list[Any]:
    return list(cast("list[Any]", found)) if isinstance(found, list | tuple) else [found]


def _expected_to_fail(test: Callable[..., None], reason: str) -> Any:
    if not isinstance(reason, str) or not reason.strip():
        raise ContractWeakened(f"known_failures must say why {test.__name__} fails")

    @functools.wraps(test)
    def known_failure(self: Any, *args: Any, **kwargs: Any) -> None:
        test(self, *args, **kwargs)

    known_failure.contract_test = test  # type: ignore[attr-defined] # what `_demanded` looks for
    return pytest.mark.xfail(reason=reason, strict=True)(known_failure)


def not_claimed(what: str) -> None:
    """This test needs what the adapter does not claim: it is reported, and not run."""
    pytest.skip(f"not claimed by the adapter: {what}")


def not_driven(what: str) -> None:
    """This test needs the provider to do something that the hook cannot make it do: reported, and not run."""
    pytest.skip(f"the provider hook cannot do this: {what}")
