"""A host's own rules, as a list one can read: named, added, replaced by name, left out.

    shop.policies                         # what is asked, in this order
    print(shop.policies)                  # the same, as a table
    policies=[*others, NamedPolicy("no sales on Sunday", closed_on_sunday)]
    policies=shop.policies.having(NamedPolicy("no sales on Sunday", closed_on_holidays))

Each is asked about every command and every follow-up, in this order, and never about news.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from pendulum import DateTime

from ..errors import InvalidInput, Misconfigured, NotFound, OrderManagementError, Refused
from ..values import frozen
from .capability import Policy, Seen
from .messages import Command, check_text, is_listed, shorten


@frozen
class NamedPolicy:
    """A host's rule: a name, and a function of (command, state, seen, at) that answers a refusal or None."""

    name: str
    rule: Policy
    refusals: tuple[type[Refused], ...] = ()
    """The refusals it makes, so that one remembered under a command id can be raised again as itself."""

    @property
    def explanation(self) -> str:
        """The first sentence of what its function says about itself."""
        said = inspect.getdoc(self.rule) or ""
        return said.partition("\n")[0]


class Policies(Sequence[NamedPolicy]):
    """The policies of a shop, in the order in which they are asked.  Immutable."""

    def __init__(self, policies: Iterable[NamedPolicy] = ()) -> None:
        if not is_listed(policies):
            raise Misconfigured(f"policies must be a list of NamedPolicy (got {shorten(policies)})")
        self._policies: tuple[NamedPolicy, ...] = tuple(policies)
        for policy in self._policies:
            _check(policy)
        names = self.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Misconfigured(
                f"two policies are named {', '.join(map(repr, twice))}; name them apart, "
                "or replace one with shop.policies.having(…)"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(policy.name for policy in self._policies)

    def having(self, *policies: NamedPolicy) -> Policies:
        """These policies and more: each takes the place of the one with its name, or comes last if there is none."""
        by_name = {policy.name: policy for policy in self._policies}
        for policy in Policies(policies):
            by_name[policy.name] = policy
        return Policies(by_name.values())

    def without(self, *names: str) -> Policies:
        """These policies but for some.  Raises `NotFound` where there is none of that name."""
        for name in names:
            self.named(name)
        return Policies(policy for policy in self._policies if policy.name not in names)

    def named(self, name: str) -> NamedPolicy:
        """The policy with this name.  Raises `NotFound`."""
        for policy in self._policies:
            if policy.name == name:
                return policy
        raise NotFound("policy", shorten(name))

    @overload
    def __getitem__(self, index: int) -> NamedPolicy: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NamedPolicy]: ...
    def __getitem__(self, index: int | slice) -> NamedPolicy | Sequence[NamedPolicy]:
        return self._policies[index]

    def __iter__(self) -> Iterator[NamedPolicy]:
        return iter(self._policies)  # asked for every command, so not one by one

    def __len__(self) -> int:
        return len(self._policies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policies) and self._policies == other._policies

    def __hash__(self) -> int:
        return hash(self._policies)

    def __repr__(self) -> str:
        return f"Policies({', '.join(map(repr, self.names))})"

    def __str__(self) -> str:
        wide = max((len(name) for name in self.names), default=0)
        lines = (f"{n}. {one.name:{wide}}  {one.explanation}".rstrip() for n, one in enumerate(self._policies, 1))
        return "\n".join(lines) or "no policies"


def asked_of(policy: NamedPolicy, command: Command[Any], state: Any, seen: Seen, at: DateTime) -> object:
    """What a policy answers.  What it raises is marked with its name: many rules are lambdas, which a traceback cannot
    name.
    """
    try:
        return policy.rule(command, state, seen, at)
    except Exception as problem:
        if not isinstance(problem, OrderManagementError):
            problem.add_note(f"raised by the policy {policy.name!r}, asked about {type(command).__name__}")
        raise


def refusal_of(policy: NamedPolicy, answer: object) -> OrderManagementError:
    """The refusal that a policy answered; raises `Misconfigured` for anything else, such as True, a text or a class."""
    if isinstance(answer, OrderManagementError):
        return answer
    raise Misconfigured(
        f"policy {policy.name!r} must answer None, or a refusal such as Refused('why') (got {shorten(answer)})"
    )


def _check(policy: object) -> None:
    if not isinstance(policy, NamedPolicy):
        raise Misconfigured(f"policies takes [NamedPolicy('a name', your_function)] (got {shorten(policy)} among them)")
    try:
        check_text(policy.name, "the name of a policy")
    except InvalidInput as problem:
        raise Misconfigured(str(problem)) from problem
    if not callable(policy.rule):
        raise Misconfigured(f"the policy {policy.name!r} needs a function of (command, state, seen, at)")
