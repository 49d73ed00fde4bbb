"""The capabilities of one shop, put together once: who decides what, who reacts to what, what is locked first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import Misconfigured, Refused
from .approvals import APPROVALS
from .capability import Capability, Hearing, Keys, Reaction, Rule
from .codec import Codec
from .discrepancies import DISCREPANCIES
from .effect_rules import EFFECTS
from .inbox import MESSAGES
from .laters import LATERS
from .messages import Command, Effect, Event
from .policies import NamedPolicy, Policies
from .recent import Recent
from .recovery import SENDINGS
from .transaction import Key

FOLLOW_UPS_MAX = 20_000
ROUNDS_MAX = 64


class Assembly:
    """Capabilities as lookup tables, shared by all threads.  Once built nothing changes but what is remembered."""

    def __init__(
        self,
        capabilities: Sequence[Capability[Any]],
        *,
        reactions: Iterable[Reaction] = (),
        policies: Iterable[NamedPolicy] = (),
        ports: Mapping[str, Mapping[str, Any]] | None = None,
        secret: bytes = b"",
        installation: str = "",
    ) -> None:
        self.capabilities: tuple[Capability[Any], ...] = (*capabilities, *ENGINES_OWN)
        self.installation = installation
        self.policies = policies if isinstance(policies, Policies) else Policies(policies)
        self.ports = {family: dict(named) for family, named in (ports or {}).items()}
        self.secret = secret
        self.by_kind = _unique(self.capabilities, lambda capability: capability.kind, "kind")
        self.by_state = _unique(self.capabilities, lambda capability: capability.state, "state")
        self.rules = self._rules()
        self._hints = self._hinted()
        self.reactions = self._reactions(tuple(reactions))
        self.effects: dict[type[Effect], Capability[Any]] = {
            effect: capability for capability in self.capabilities for effect in capability.effects
        }
        self.hearing: dict[str, tuple[Capability[Any], Hearing]] = {
            family: (capability, hearing)
            for capability in self.capabilities
            for family, hearing in capability.hears.items()
        }
        self.refusals = {cls.__name__: cls for cls in self._refusals()}
        self.codec = self._codec()
        self.recent = Recent()
        ranked = sorted(self.capabilities, key=lambda capability: capability.last)
        # Command ids are taken first: two deliveries of one command then meet before they touch anything else.
        self._rank = {"command": -1} | {capability.kind: rank for rank, capability in enumerate(ranked)}

    def lock_order(self, key: Key) -> tuple[int, str]:
        """The one total order in which rows are taken: capability, then id; hot rows and effects last."""
        return (self._rank[key[0]], key[1])

    def rule_for(self, command: Command[Any]) -> tuple[Capability[Any], Rule]:
        """Who decides this command."""
        found = self.rules.get(type(command))
        if found is None:
            raise Misconfigured(
                f"no capability of this shop decides {type(command).__name__}; "
                "pass a command, and add its capability to OrderManagement(capabilities=[…])"
            )
        return found

    def target(self, command: Command[Any]) -> Key:
        """The entity a command is about."""
        capability, rule = self.rule_for(command)
        return (capability.kind, rule.target(command))

    def keys(self, command: Command[Any]) -> set[Key]:
        """Every row known or guessed from the command alone, its follow-ups' included."""
        capability, rule = self.rule_for(command)
        keys = {(capability.kind, rule.target(command))}
        if rule.keys is not None:
            keys.update(rule.keys(command))
        for hint in self._hints.get(type(command), ()):
            keys.update(hint(command))
        if rule.then is not None:
            for reply in rule.then(command, (_SOMETHING,)):
                if isinstance(reply, Command):
                    keys |= self.keys(reply)
        return {key for key in keys if key[0] in self._rank}

    def _rules(self) -> dict[type[Command[Any]], tuple[Capability[Any], Rule]]:
        rules = dict[type[Command[Any]], tuple[Capability[Any], Rule]]()
        for capability in self.capabilities:
            for command, rule in capability.rules.items():
                if command in rules:
                    raise Misconfigured(f"{command.__name__} is decided by two capabilities")
                rules[command] = (capability, rule)
        return rules

    def _hinted(self) -> dict[type[Command[Any]], tuple[Keys, ...]]:
        table = dict[type[Command[Any]], tuple[Keys, ...]]()
        for capability in self.capabilities:
            for command, hint in capability.hints.items():
                table[command] = (*table.get(command, ()), hint)
        return table

    def _reactions(self, more: tuple[Reaction, ...]) -> dict[type[Event], tuple[Reaction, ...]]:
        table = dict[type[Event], tuple[Reaction, ...]]()
        own = (reaction for capability in self.capabilities for reaction in capability.reactions)
        for reaction in (*own, *more):
            table[reaction.on] = (*table.get(reaction.on, ()), reaction)
        return table

    def _refusals(self) -> Iterable[type[Refused]]:
        # Of the two that attrs makes of a class with slots, the one that is raised is the one its module holds.
        for cls in Refused.__subclasses__():
            if (
                cls.__module__.endswith(".errors")
                and getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
            ):
                yield cls
        for capability in self.capabilities:
            yield from capability.refusals
        for policy in self.policies:
            yield from policy.refusals

    def _codec(self) -> Codec:
        types = dict[type[Any], int]()
        upcasters = dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]()
        for capability in self.capabilities:
            types[capability.state] = capability.v
            types |= {event: event.v for event in capability.evolve}
            types |= {effect: effect.v for effect in capability.effects}
            types |= dict.fromkeys(capability.values, 1)
            if capability not in ENGINES_OWN:
                types |= dict.fromkeys(capability.rules, 1)
            upcasters |= capability.upcasters
        return Codec(types, upcasters)


ENGINES_OWN: tuple[Capability[Any], ...] = (SENDINGS, MESSAGES, EFFECTS, LATERS, APPROVALS, DISCREPANCIES)
"""The entities of the engine itself."""
_SOMETHING = Event()


def _unique(capabilities: Iterable[Capability[Any]], of: Callable[[Capability[Any]], Any], what: str) -> dict[Any, Any]:
    table = dict[Any, Any]()
    for capability in capabilities:
        if of(capability) in table:
            raise Misconfigured(f"two capabilities have the {what} {of(capability)!r}")
        table[of(capability)] = capability
    return table
