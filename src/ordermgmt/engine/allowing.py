"""What may be asked of a thing now, and of all that belongs to it: tried without saving, with every reason against it.

Nothing is guessed.  Each command is decided as it would be, follow-ups and policies included, and what would have been
saved is thrown away.  So an answer is as true as a refusal, for the moment in which it is given.
"""

from __future__ import annotations

import copy
import textwrap
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from typing import Any, overload

from attrs import evolve
from pendulum import DateTime

from ..errors import InvalidInput, NotAllowed, OrderManagementError, Refused
from ..values import frozen
from .approvals import NeedsApproval
from .assembly import Assembly
from .capability import Policy, Seen
from .codec import Opaque
from .lifecycle import Lifecycle
from .messages import Command
from .policies import NamedPolicy, Policies, refusal_of
from .requests import Job, Result
from .transaction import Key, Row
from .working_set import Entity

Reading = Generator[tuple[Key, ...], Mapping[Key, Row], Any]
Rehearse = Callable[[Assembly, Job], Reading]
WIDTH = 100


@frozen(kw_only=True)
class Verdict:
    """One command: allowed, or every reason that refuses it and what would make it allowed."""

    name: str
    """Its type, and the step where it takes one: ``"ConfirmOrder"``, ``"AdvanceOrder(review)"``."""
    about: Key
    example: Command[Any]
    """The command that was tried.  With other arguments it may be answered otherwise."""
    reasons: tuple[OrderManagementError, ...] = ()
    """The refusals of the policies, in their order, and then the rule's; none where it is allowed."""
    advice: tuple[str, ...] = ()
    """For each reason, what would make it allowed."""

    @property
    def allowed(self) -> bool:
        """Whether it would be done, were it asked now."""
        return not self.reasons


@frozen
class Allowances(Sequence[Verdict]):
    """Every command, in the order of the business.  Prints as a table."""

    verdicts: tuple[Verdict, ...]

    @property
    def allowed(self) -> tuple[str, ...]:
        """The names of what is allowed, each once."""
        return tuple(dict.fromkeys(one.name for one in self.verdicts if one.allowed))

    def of(self, name: str) -> tuple[Verdict, ...]:
        """The verdicts on one type of command."""
        return tuple(one for one in self.verdicts if name in (one.name, type(one.example).__name__))

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, index: int | slice) -> Verdict | Sequence[Verdict]:
        return self.verdicts[index]

    def __len__(self) -> int:
        return len(self.verdicts)

    def __str__(self) -> str:
        wide = max((len(one.name) for one in self.verdicts), default=0)
        lines = list[str]()
        about: Key | None = None
        for one in self.verdicts:
            if one.about != about:
                about = one.about
                lines.append(f"{about[0]} {about[1]}")
            lines.extend(_told(one, wide))
        return "\n".join(lines)


def _told(one: Verdict, wide: int) -> Iterable[str]:
    if one.allowed:
        yield f"  {one.name:{wide}}  allowed"
        return
    name = one.name
    for reason, advice in zip(one.reasons, one.advice, strict=True):
        told = str(reason).partition("; ")[0] if str(reason).endswith(advice) else str(reason)
        for mark, text in (("no:", told), ("→", advice)) if told != advice else (("no:", told),):
            first, *more = textwrap.wrap(text, max(WIDTH - wide - 8, 30)) or [""]
            yield f"  {name:{wide}}  {mark:>3} {first}"
            yield from (f"  {'':{wide}}      {rest}" for rest in more)
            name = ""


def allowances(assembly: Assembly, job_of: Callable[[Command[Any]], Job], rehearse: Rehearse, key: Key) -> Reading:
    """Yields keys to read; answers the `Allowances` of the entity with this key, or None if there is none."""
    found = yield from _with_parts(assembly, key)
    if not found:
        return None
    verdicts = list[Verdict]()
    for about, state in found:
        lifecycle = assembly.by_kind[about[0]].lifecycle
        for capability in sorted(assembly.capabilities, key=lambda one: one.kind != about[0]):  # its own first
            if (asks := capability.asks.get(about[0])) is not None:
                for command in asks(state, lifecycle):
                    verdicts.append((yield from _verdict(assembly, job_of, rehearse, about, command)))
    return Allowances(tuple(verdicts))


def _with_parts(assembly: Assembly, key: Key) -> Reading:
    """The entity and all that belongs to it, each with its state."""
    found = dict[Key, Any]()
    wanted = deque([key])
    while wanted:
        asked = tuple(one for one in dict.fromkeys(wanted) if one not in found and one[0] in assembly.by_kind)
        wanted.clear()
        rows: Mapping[Key, Row] = (yield asked) if asked else {}
        for one in asked:
            if one not in rows:
                continue
            state = Entity.of(assembly, one, rows[one]).state
            if not isinstance(state, Opaque):
                found[one] = state
                wanted.extend(assembly.by_kind[one[0]].parts(state))
    return list(found.items())


def _verdict(
    assembly: Assembly, job_of: Callable[[Command[Any]], Job], rehearse: Rehearse, about: Key, command: Command[Any]
) -> Reading:
    verdict = Verdict(name=_name(command), about=about, example=command)
    try:
        job = job_of(command)
    except OrderManagementError as problem:
        return evolve(verdict, reasons=(problem,), advice=(_advice(assembly, problem),))
    heard = dict[tuple[str, str], Refused]()
    result: Result = (yield from rehearse(_overheard(assembly, heard), job))[0]
    reasons: list[Any] = [one for one in heard.values() if not isinstance(one, NeedsApproval)]
    if len(reasons) < len(heard) and not reasons and result.error is None:
        # Only a second person is missing: whether it was given is for the engine to say.
        result = (yield from rehearse(assembly, job))[0]
    elif len(reasons) < len(heard):
        reasons += [one for one in heard.values() if isinstance(one, NeedsApproval)]
    if result.error is not None:
        if not isinstance(result.error, Refused | InvalidInput):
            raise result.error
        reasons.append(result.error)
    return evolve(verdict, reasons=tuple(reasons), advice=tuple(_advice(assembly, reason) for reason in reasons))


def _name(command: Command[Any]) -> str:
    step = getattr(command, "step", "")
    return f"{type(command).__name__}({step})" if step else type(command).__name__


def _overheard(assembly: Assembly, heard: dict[tuple[str, str], Refused]) -> Assembly:
    """The same shop, whose policies are all heard before any of them is obeyed."""

    def listening(policy: NamedPolicy) -> Policy:
        def hear(command: Command[Any], state: Any, seen: Seen, at: DateTime) -> Refused | None:
            refusal = policy.rule(command, state, seen, at)
            if refusal is not None:
                refusal_of(policy, refusal)
                heard.setdefault((type(refusal).__name__, str(refusal)), refusal)
            return None

        return hear

    other = copy.copy(assembly)
    other.policies = Policies(evolve(policy, rule=listening(policy)) for policy in assembly.policies)
    return other


# What would make it allowed.


def _advice(assembly: Assembly, reason: OrderManagementError) -> str:
    if isinstance(reason, NotAllowed):
        by_name = (one.lifecycle for one in assembly.capabilities if one.lifecycle is not None)
        lifecycle = next((one for one in by_name if one.name == reason.lifecycle), None)
        if lifecycle is not None:
            return _way(lifecycle, reason.status, reason.trigger)
    message = str(reason)
    return message.partition("; ")[2] or message


def _way(lifecycle: Lifecycle, status: str, trigger: str) -> str:
    """The shortest way from a status to one where the trigger is drawn, in words."""
    drawn = [arrow.source for arrow in lifecycle.arrows if arrow.trigger == trigger]
    if not drawn:
        return f"nothing: the lifecycle draws no '{trigger}' at all"
    path = _shortest(lifecycle, status, drawn)
    where = " or ".join(drawn)
    if path is None:
        return f"nothing any more: it is drawn from {where}, and no way leads back there"
    return f"it is drawn from {where}: first {', then '.join(path)}"


def _shortest(lifecycle: Lifecycle, status: str, goals: Collection[str]) -> list[str] | None:
    ways: dict[str, list[str]] = {status: []}
    waiting = deque([status])
    while waiting:
        here = waiting.popleft()
        if here in goals:
            return ways[here]
        for arrow in lifecycle.arrows:
            if arrow.source == here and arrow.target not in ways:
                ways[arrow.target] = [*ways[here], arrow.trigger]
                waiting.append(arrow.target)
    return None
