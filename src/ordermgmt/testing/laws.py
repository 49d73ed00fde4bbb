"""The laws of a capability, checked in one line: ours, a host's own, or one with a redrawn lifecycle.

    check_all_laws(orders.redrawn(my_lifecycle))

Deciding and folding are pure; history folds to the saved state; a preview tells what the command then does; what is
refused changes nothing; news is never refused, in whatever status it finds a thing; everything stored reads back as it
was written; indexes answer for every state.  A law that does not hold is a `Breach`, with the story that led to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from ..engine.capability import Capability, Reaction, Rule
from ..engine.messages import Command, News
from ..engine.ports import ManualClock, ManualIds
from ..engine.transaction import Key, Query, Row
from ..errors import InvalidInput, Refused
from ..management import OrderManagement
from ..money import Money
from ..orders.drafts import DraftOrder
from ..orders.entry import Line, PayNow, PlaceOrder, Tender
from ..orders.model import Order
from ..settings import DEFAULT_CAPABILITIES
from ..stock.messages import ReceiveStock
from ..storage.memory import MemoryStorage
from ..verify import Breach, check_all
from .fakes import FakeCarrier, FakePayments
from .next_steps import askable, reportable

Commands = Callable[[OrderManagement, random.Random], Iterable[Command[Any]]]
"""A host's own next commands, seen from the shop: some of them are tried after every step."""


def check_all_laws(
    *capabilities: Capability[Any],
    commands: Commands | None = None,
    runs: int = 3,
    steps: int = 60,
    seed: int = 0,
) -> None:
    """Check every law on random runs of a shop with these capabilities.  Raises `Breach`.

    A capability of a kind we ship stands in its place; another one is added.  `commands` says what may be asked of
    it; orders are placed, paid, shipped and cancelled in any case.  The same arguments give the same runs.
    """
    own = {capability.kind: capability for capability in capabilities}
    kinds = {capability.kind for capability in DEFAULT_CAPABILITIES}
    whole = [own.get(capability.kind, capability) for capability in DEFAULT_CAPABILITIES]
    whole += [capability for capability in capabilities if capability.kind not in kinds]
    watched = [pure(capability) for capability in whole]
    for run in range(runs):
        _Run(seed + run, watched, commands).live(steps)


# Purity.


def pure(capability: Capability[Any]) -> Capability[Any]:
    """The same capability, which notices when what it decides, folds or answers depends on more than its inputs."""
    kind = capability.kind
    return attrs.evolve(
        capability,
        rules={command: _watched_rule(kind, rule) for command, rule in capability.rules.items()},
        evolve={event: _twice(kind, "evolve", evolve) for event, evolve in capability.evolve.items()},
        reactions=tuple(
            Reaction(reaction.on, _named(_twice(kind, reaction.name, _listed(reaction.then)), reaction.name))
            for reaction in capability.reactions
        ),
        indexes={name: _twice(kind, f"index {name}", of) for name, of in capability.indexes.items()},
    )


def _watched_rule(kind: str, rule: Rule) -> Rule:
    decide = _listed(rule.decide)

    def decided(command: Any, state: Any, seen: Any, at: Any) -> Any:
        return _same(kind, f"decide {type(command).__name__}", decide, (command, state), (command, state, seen, at))

    return attrs.evolve(rule, decide=decided)


def _listed(many: Callable[..., Iterable[Any]]) -> Callable[..., tuple[Any, ...]]:
    return lambda *args: tuple(many(*args))


def _named(function: Any, name: str) -> Any:
    function.__name__ = name
    return function


def _twice(kind: str, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: _same(kind, what, function, args, args)


def _same(kind: str, what: str, function: Callable[..., Any], inputs: Sequence[Any], args: Sequence[Any]) -> Any:
    """What the function answers, if it answers the same again and leaves its inputs as they are."""
    before = repr(inputs)
    first = _outcome(function, args)
    again = _outcome(function, args)
    if repr(inputs) != before:
        raise Breach("pure", kind, what, f"changed what it was given: {before} became {inputs!r}"[:1000])
    if first[:2] != again[:2]:
        raise Breach("pure", kind, what, f"answered {first[1]!r}, and then {again[1]!r} to the same"[:1000])
    _, answer, refusal = first
    if refusal is not None:
        raise refusal
    return answer


def _outcome(function: Callable[..., Any], args: Sequence[Any]) -> tuple[bool, Any, Exception | None]:
    """Whether it answered, what it said, and the refusal to raise."""
    try:
        return True, function(*args), None
    except (Refused, InvalidInput) as no:
        return False, (type(no), str(no)), no


# A run.


class _Pretending(MemoryStorage):
    """A store that reads some rows as they might be."""

    def __init__(self) -> None:
        super().__init__()
        self.pretended: Mapping[Key, Row] = {}

    def read(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return {**super().read(keys), **{key: row for key, row in self.pretended.items() if key in keys}}


class _Run:
    """A shop that lives through random commands, each of which is tried by every law."""

    def __init__(self, seed: int, capabilities: Sequence[Capability[Any]], commands: Commands | None) -> None:
        self._rng = random.Random(seed)
        self._commands = commands
        self._clock = ManualClock()
        self._storage = _Pretending()
        self._card = FakePayments(clock=self._clock)
        self._shop = OrderManagement(
            storage=self._storage,
            actor="laws",
            gateways={"card": self._card},
            carriers={"parcel": FakeCarrier(clock=self._clock)},
            clock=self._clock,
            ids=ManualIds(),
            chance=random.Random(seed),
            capabilities=capabilities,
            secret=b"laws",
        )
        self._orders = 0
        self._story = [f"seed {seed}"]

    def live(self, steps: int) -> None:
        """Take the steps; then everything stored must be lawful."""
        try:
            self._try(ReceiveStock(sku="cup", quantity=50))
            for _ in range(steps):
                self._step()
            check_all(self._shop).require()
            for capability in self._shop.assembly.capabilities:
                self._check_forms(capability)
            self._check_news_everywhere()
        except BaseException as problem:
            problem.add_note("\n".join(self._story[-30:]))
            raise

    def _step(self) -> None:
        order_id = f"L{self._rng.randint(1, self._orders)}" if self._orders else ""
        match self._rng.choice(("place", "ask", "ask", "ask", "report", "settle", "fault", "wait", "own")):
            case "place":
                self._place()
            case "ask" if order_id:
                self._one_of(askable(self._shop, order_id))
            case "report" if order_id:
                self._one_of(reportable(self._shop, order_id))
            case "settle" if order_id:
                self._shop.settle(order_id)
            case "fault" if order_id:
                getattr(self._card, self._rng.choice(("decline_next", "fail_next", "lose_next")))()
                self._shop.settle(order_id)
            case "wait":
                self._clock.advance(hours=self._rng.choice((1, 7)))
                self._shop.run_due()
            case "own" if self._commands is not None:
                self._one_of(list(self._commands(self._shop, self._rng)))
            case _:
                pass

    def _place(self) -> None:
        sale = self._rng.random() < 0.5
        if self._rng.random() < 0.2:
            self._orders += self._try(_drafted(f"L{self._orders + 1}"))
            return
        placed = self._try(
            PlaceOrder(
                order_id=f"L{self._orders + 1}",
                lines=[Line(sku="cup", quantity=self._rng.choice((1, 3)), unit_price=Money("3.33", "EUR"))],
                pay=PayNow([Tender("card", token="tok_visa", sale=sale)]),  # noqa: S106 - a token to play with
                carrier=self._rng.choice(("", "parcel")),
                confirm=self._rng.choice(("when_authorised", "by_hand")),
            )
        )
        self._orders += placed

    def _one_of(self, commands: Sequence[Command[Any]]) -> None:
        """First which sort of command, so that none is crowded out; then which of them."""
        if commands:
            sort = self._rng.choice(sorted({type(command).__name__ for command in commands}))
            self._try(self._rng.choice([command for command in commands if type(command).__name__ == sort]))

    def _try(self, command: Command[Any]) -> bool:
        """Preview it, do it, and compare."""
        self._story.append(str(command))
        name = type(command).__name__
        before = len(self._storage.feed(limit=1_000_000))
        foreseen = _foreseen(self._shop, command)
        try:
            entity = self._shop.handle(command)
        except (Refused, InvalidInput) as no:
            if isinstance(command, News):
                raise Breach("news", name, "", f"was refused: {no}") from no
            if len(self._storage.feed(limit=1_000_000)) != before:
                raise Breach("refused", name, "", "was refused, but changed something") from no
            if foreseen != (type(no), str(no)):
                raise Breach("preview", name, "", f"told {foreseen}, but it was refused: {no}") from no
            return False
        told = [(one.kind, one.id, one.event) for one in self._shop.feed(before)]
        if foreseen != (entity, sorted(told, key=repr)):
            raise Breach("preview", name, "", "told otherwise than what then happened")
        return True

    # What is stored.

    def _check_forms(self, capability: Capability[Any]) -> None:
        """Every state and every event reads back as it was written, and every index answers."""
        codec = self._shop.assembly.codec
        for row in self._rows(capability.kind):
            state = codec.decode(row.doc)
            if codec.decode(codec.encode(state)) != state or codec.encode(state) != row.doc:
                raise Breach("stored form", *row.key, "its state does not read back as it was written")
            for index in capability.indexes.values():
                value = index(state)
                if value is not None and not isinstance(value, str):
                    raise Breach("index", *row.key, f"answered {value!r}, which is neither text nor None")
            for entry in self._storage.history(row.key, limit=1_000_000):
                event = codec.decode(entry.doc)
                if codec.encode(event) != entry.doc:
                    raise Breach("stored form", *row.key, f"event {entry.version} does not read back as it was written")

    def _check_news_everywhere(self) -> None:
        """News of every kind is taken in every status of the drawing: previewed there, so that nothing changes."""
        codec = self._shop.assembly.codec
        with_parcels = [f"L{n}" for n in range(1, self._orders + 1) if self._shop.get(Order, f"L{n}").shipments]
        for order_id in self._rng.sample(with_parcels, min(len(with_parcels), 1)):
            order = self._shop.get(Order, order_id)
            keys: list[Key] = [("order", order_id), *(("payment", p) for p in list(order.payments)[:1])]
            keys += [("shipment", shipment) for shipment in order.shipments[:1]]
            # One of each kind; that it is taken where it is likely was tried along the way.
            of_each = {type(one): one for one in reportable(self._shop, order_id)}
            for key in keys:
                lifecycle = self._shop.assembly.by_kind[key[0]].lifecycle
                row = self._storage.read([key])[key]
                for status in lifecycle.statuses if lifecycle is not None else ():
                    standing = attrs.evolve(codec.decode(row.doc), status=status)
                    self._storage.pretended = {key: Row(key, row.version, codec.encode(standing), row.head, row.at)}
                    for one in of_each.values():
                        self._preview_news(one, f"{' '.join(key)} {status}")
                    self._storage.pretended = {}

    def _preview_news(self, news: News[Any], where: str) -> None:
        try:
            self._shop.preview(news)
        except (Refused, InvalidInput) as no:
            raise Breach("news", type(news).__name__, where, f"was refused: {no}") from no

    def _rows(self, kind: str) -> Iterator[Row]:
        after = None
        while page := self._storage.find(Query(kind=kind, after=after, limit=500)):
            yield from (one.row for one in page)
            after = page[-1].place


def _drafted(order_id: str) -> DraftOrder:
    line = Line(sku="cup", quantity=2, unit_price=Money("3.33", "EUR"))
    return DraftOrder(order_id=order_id, lines=[line], channel="laws", external=f"no. {order_id}")


def _foreseen(shop: OrderManagement, command: Command[Any]) -> Any:
    try:
        preview = shop.preview(command)
    except (Refused, InvalidInput) as no:
        return type(no), str(no)
    return preview.entity, sorted(preview.events, key=repr)
