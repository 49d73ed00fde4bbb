"""A simulated world: one shop, its providers, its people, and a scheduler that decides who goes on."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from heapq import heappop, heappush
from typing import Any, TypeVar

from pendulum import DateTime, datetime

from ...engine.adapters import Notice
from ...engine.effects import Declined, Intent, Pending, RetryLater, Unknown, idempotency_key
from ...engine.operating import Operator
from ...engine.ports import ManualIds
from ...engine.transaction import Storage, Write
from ...engine.work_requests import Call
from ...engine.working import Worker
from ...management import OrderManagement
from ...orders.model import Order
from ...settings import LEASE
from ...stock.messages import ReceiveStock
from ...values import frozen
from .actors import CAST, Actor, Promise, ask, worker
from .calm import come_to_rest
from .driving import Steps
from .faults import CRASH_NAMES, Crashed, Faults
from .judgement import Judgement
from .providers import CARRIERS, CHARACTERS, Gateway, NoAnswer, Parcels, Provider
from .store import Turns
from .watch import Watch
from .wishes import SKUS, Offer

One = TypeVar("One")
STORY_MAX = 60
SKEW_MAX = timedelta(seconds=30)
HURRY = 0.5
"""How likely the clock goes on to what is due next, where nobody has anything to do."""
WAKES = 0.3
"""How likely, at each step, a sleeper wakes up whom somebody else is overtaking."""
BEGINNING = datetime(2026, 1, 1)
BOUNDARIES_MAX = 3_000
"""How many boundaries one piece of work may have; one that has more never ends."""
SECRET = b"simulated"


ShopFactory = Callable[..., OrderManagement]
"""Puts the shop under test together from keyword arguments; `OrderManagement` itself is one."""


class SimulationFailed(Exception):
    """A law was broken.  `simulate` with the same arguments breaks it again.

    Attributes:
        seed: The seed of the world.
        step: How many steps it had gone.
        law: Which law, as `ordermgmt.verify` names them.
        explanation: What was found.
        story: What happened last, one line each.
    """

    def __init__(self, seed: int, step: int, law: str, explanation: str, story: Sequence[str]) -> None:
        super().__init__(seed, step, law, explanation, story)
        self.seed, self.step, self.law, self.explanation, self.story = seed, step, law, explanation, tuple(story)

    def __str__(self) -> str:
        told = "\n".join(f"  {line}" for line in self.story)
        return f"law {self.law} was broken at step {self.step} of seed {self.seed}: {self.explanation}\n{told}"


@frozen(kw_only=True)
class Outcome:
    """What a simulation came to, if no law was broken."""

    seed: int
    steps: int
    """Boundaries passed, with the laws checked after each."""
    events: int
    orders: int
    executed: int
    """Deeds of providers."""
    hits: Counter[str]
    """How often each kind of fault happened."""
    digest: str
    """One hash over the whole history: the same for the same seed."""


class World:
    """Everything there is, made from a seed, and the same every time."""

    def __init__(
        self,
        shop_factory: ShopFactory,
        seed: int,
        faults: Faults | None,
        *,
        storage: Storage,
        exclusive: bool,
        orders_max: int = 40,
        cast: bool = True,
        changes: bool = False,
        planned: bool = True,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.faults = faults if faults is not None else Faults().swarm(self.random)
        self.pace = self.random.choice((20, 100, 500))
        """How many milliseconds a step takes at most."""
        self.changes = changes
        """Whether orders are changed after they were placed."""
        self.planned = planned
        """Whether every order that is confirmed must get a parcel."""
        self.orders_max = self.random.choice((12, orders_max, orders_max))
        """In some worlds many orders are begun, and in some a few come far."""
        self.began: DateTime = BEGINNING
        self.now = self.began
        self.steps = 0
        self.hits: Counter[str] = Counter()
        self.story = deque[tuple[int, DateTime, str, str]](maxlen=STORY_MAX)
        self.actions = 0
        self.orders = list[str]()
        self.promises = dict[str, Promise]()
        self.by_hand = set[str]()
        """Orders whose money somebody tried to take by hand, perhaps before its goods had left."""
        self.cast = cast
        """Whether there are people who act by themselves."""
        self.webhooks = list[tuple[tuple[str, str], Notice]]()
        self.agenda = list[tuple[DateTime, int, Callable[[], object]]]()
        self._agenda_count = 0
        self.gateways = {name: Gateway(name, can, self) for name, can in CHARACTERS.items()}
        self.parcels = {name: Parcels(name, can, self) for name, can in CARRIERS.items()}
        self.providers: list[Provider] = [*self.gateways.values(), *self.parcels.values()]
        self.carriers = list(self.parcels.values())
        self.tills = self.random.sample(sorted(CHARACTERS), self.random.choice((1, 1, 2, 3)))
        """The providers this world mostly pays by."""
        self.turns = Turns(storage, exclusive=exclusive)
        self.actors = [
            Actor(f"{name}-{n}", self, deeds) for name, (deeds, many) in CAST.items() for n in range(1, many + 1)
        ]
        self.god = Actor("god", self, lambda actor: None)
        """Who sets the scene, and clears it up."""
        self._current = self.god
        self._roused: Actor | None = None
        """Who was overtaken and woke up: nothing happens to him before what he was told is settled."""
        self.failure: SimulationFailed | None = None
        self.shop = shop_factory(
            storage=storage,
            actor="shop",
            gateways=self.gateways,
            carriers=self.parcels,
            items=Offer(),
            clock=self.god,
            ids=ManualIds(),
            chance=random.Random(seed),
            secret=SECRET,
        )
        self.worker = Worker(assembly=self.shop.assembly, lease=LEASE, deadline=timedelta(seconds=30))
        self.operator = Operator(self.worker)
        self.judgement = Judgement(self)
        self.watch = Watch(self.shop, self.breach, self.tell, self.judgement.succeeded, self.judgement.order)
        if cast:
            for sku in SKUS:
                self.finish(self.god, ask(self.god, ReceiveStock(sku=sku, quantity=self.choice((4, 20, 60)))))

    # Chance, and what is counted.

    def choice(self, among: Sequence[One]) -> One:
        return among[int(self.random.random() * len(among))]

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    def happens(self, kind: str, chance: float) -> bool:
        if chance <= 0 or self.random.random() >= chance:
            return False
        self.count(kind)
        self.note(self._current, f"✗ {kind}")
        return True

    def count(self, kind: str) -> None:
        self.hits[kind] += 1

    # Telling.

    def note(self, actor: Actor, text: str) -> None:
        self.story.append((self.steps, self.now, actor.name, f"{actor.what}: {text}" if actor.what else text))

    def tell(self, text: str) -> None:
        """What follows from what somebody just did."""
        self.story.append((self.steps, self.now, "", text))

    def _read(self) -> tuple[str, ...]:
        """The story, as people read it."""
        return tuple(
            f"{step:>6}  {at:%d %H:%M:%S}  {f'{who}: {text}' if who else f'    → {text}'}"
            for step, at, who, text in self.story
        )

    def breach(self, law: str, explanation: str) -> None:
        """A law is broken.  It is kept as well as raised: in an adapter's call every exception counts as an answer."""
        if self.failure is None:
            self.note(self._current, f"BREACH of {law}")
            self.failure = SimulationFailed(self.seed, self.steps, law, explanation, self._read())
        raise self.failure

    def _judge(self) -> None:
        """The laws, after every step."""
        if self.failure is not None:
            raise self.failure
        self.watch.look()

    # Time.

    def later(self, at: DateTime, what: Callable[[], object]) -> None:
        self._agenda_count += 1
        heappush(self.agenda, (at, self._agenda_count, what))

    def pass_time(self, span: timedelta) -> None:
        """Time passes, and what was to happen meanwhile happens, each at its time."""
        until = self.now + span
        while self.agenda and self.agenda[0][0] <= until:
            at, _, what = heappop(self.agenda)
            self.now = max(self.now, at)
            with suppress(NoAnswer):  # nobody waits for the answer of a late request
                what()
        self.now = until

    def hurry(self) -> None:
        """Where nothing is due, time often passes until something is: nobody waits for its own sake."""
        due = self.next_due("sending" if self._busy else "")
        if due is not None and due > self.now and self.random.random() < HURRY:
            self.pass_time(min(due - self.now, timedelta(hours=1)))

    @property
    def _busy(self) -> bool:
        """Whether anybody is awake and has something claimed."""
        return any(actor.at in ("committed", "call", "called") and actor.wakes is None for actor in self.actors)

    # Who is who.

    def provider(self, port: tuple[str, str]) -> Provider:
        family, name = port
        return self.gateways[name] if family == "gateways" else self.parcels[name]

    def gateway(self, name: str) -> Gateway:
        return self.gateways[name]

    def some_order(self) -> Order | None:
        if not self.orders:
            return None
        for _ in range(4):
            found = self.watch.state("order", self.choice(self.orders[-8:]))
            if isinstance(found, Order):
                return found
        return None

    def publish(self, port: tuple[str, str], notice: Notice) -> None:
        self.webhooks.append((port, notice))

    def publish_again(self, port: tuple[str, str], notice: Notice) -> None:
        """The same news under another event id."""
        self.webhooks.append((port, _renamed(notice, self.provider(port).event_id())))

    def known_dead(self, intent: Intent) -> bool:
        """Whether nothing of it can be on its way any more, so that a person may believe the books."""
        provider = self.provider(intent.port)
        late = provider.capabilities.late_window + LEASE + 2 * SKEW_MAX
        flying = any(actor.at in ("call", "loaded", "commit", "committed") for actor in self.actors)
        deed = provider.deeds.get(intent.effect_id)
        told = deed is None or self.now >= deed.ready  # a provider's books show nothing that it has not told
        return told and not flying and (intent.last_sent is None or self.now > intent.last_sent + late)

    def keys_of(self, intent: Intent) -> set[str]:
        """Every key it may have been sent under."""
        return {idempotency_key(SECRET, intent.effect_id, intent.kind, n) for n in range(1, intent.generation + 1)}

    # Calls and commits.

    def before_call(self, call: Call) -> None:
        """Whoever goes on is about to call an adapter."""
        self._current.calls = call.intent.effect_id
        self.judgement.sending(call, self._current)

    def after_call(self, answer: Any) -> None:
        """Our own providers lose things, and never break."""
        self._current.answer = answer
        if isinstance(answer, Unknown) and answer.cause != NoAnswer.__name__:
            self.breach("bug", f"a simulated provider met {answer.cause}")

    def saved(self, writes: Sequence[Write]) -> None:
        """What was acknowledged is there."""
        rows = self.turns.storage.read([write.row.key for write in writes])
        for write in writes:
            if rows.get(write.row.key) != write.row:
                self.breach("durable", f"{' '.join(write.row.key)} was committed, but is not what is stored")

    # Going on.

    def step(self) -> None:
        """Somebody goes on by one boundary, or something goes wrong; then the laws are checked."""
        self.steps += 1
        self.pass_time(timedelta(milliseconds=int(self.between(1, self.pace))))
        actor = self._next()
        self._current = actor
        if actor.doing is None:
            self._jump(actor)
            self._begin(actor)
        elif actor is not self._roused and self._struck(actor):
            self._judge()
            return
        self.go_on(actor)
        self._judge()

    def _next(self) -> Actor:
        for actor in self.actors:
            if actor.wakes is None:
                continue
            left = max(actor.wakes - self.now, timedelta(0))
            if actor.at not in ("call", "called"):
                # He holds no lease that others wait for, so the clock need not run for him, and out for all others.
                actor.wakes = actor.wakes if self.steps < actor.patience else None
            elif actor.overdue == self.steps:
                self.pass_time(min(LEASE + SKEW_MAX, left))
            elif actor.patience <= self.steps:
                self.pass_time(left)
        if (first := self._overtaking() or self._overtaken()) is not None:
            return first
        while True:
            taken = self.turns.taken
            ready = [
                actor
                for actor in self.actors
                if (actor.wakes is None or actor.wakes <= self.now) and not (taken and actor.at == "begin")
            ]
            if ready:
                # Whoever is at work often goes on by several boundaries before anybody else does anything.
                again = (
                    self._current in ready
                    and self._current.doing is not None
                    and self.random.random() < self._goes_on()
                )
                chosen = self._current if again else self.choice(ready)
                chosen.wakes = None
                return chosen
            wakes = min(actor.wakes for actor in self.actors if actor.wakes is not None and actor.wakes > self.now)
            self.pass_time(max(wakes - self.now, timedelta(0)))

    def _goes_on(self) -> float:
        return 0.8 if self._current.at in ("committed", "call", "called") else 0.5

    def _overtaken(self) -> Actor | None:
        """A sleeper who wakes up now, with his answer, because somebody else has just got one to the same request."""
        answered = [actor for actor in self.actors if actor.at == "called"]
        for sleeper in answered if len(answered) > 1 else ():
            others = (actor for actor in answered if actor is not sleeper and actor.calls == sleeper.calls)
            if sleeper.wakes is not None and any(others) and self.random.random() < WAKES:
                sleeper.wakes = None
                self._roused = sleeper
                return sleeper
        return None

    def _overtaking(self) -> Actor | None:
        """A sleeper who woke up before, and is not done yet; None where he must wait for his turn."""
        roused = self._roused
        if roused is None or (self.turns.taken and roused.at == "begin"):
            return None
        if roused.at in ("called", "begin", "loaded", "commit"):
            return roused
        self._roused = None
        return None

    def _begin(self, actor: Actor) -> None:
        """The actor looks for something to do; one who has nothing does due work, of which there may be some."""
        actor.what = ""
        actor.doing = actor.deeds(actor) or worker(actor)

    def _jump(self, actor: Actor) -> None:
        """Clocks: the world's goes forward, anybody's own may be set back or ahead a little."""
        if not self.happens("jump", self.faults.jump):
            return
        if self.random.random() < 0.4:
            before = actor.skew
            actor.skew = SKEW_MAX * self.between(-1, 1)
            self.count("clock backward" if actor.skew < before else "clock forward")
            return
        self.count("clock forward")
        seconds = self.choice((5, 70, 70, 600, 1_000, 1_000, 2_000, 4_000, 15_000, 90_000))
        if self._busy and self.random.random() < 0.7:
            seconds = self.choice((1, 5, 20))  # else nearly every claim would run out before its call is made
        self.pass_time(timedelta(seconds=self.between(0.5, 1) * seconds))

    def _struck(self, actor: Actor) -> bool:
        """Whether the actor dies here, or stands still for a while."""
        boundary = CRASH_NAMES.get(actor.at)
        if boundary is None:
            return False
        # Around a call nothing is decided and everything is at stake, and few of an actor's boundaries lie there.
        # Most is at stake with an answer that somebody else, who asks again meanwhile, may not get; a no above all.
        fresh = actor.answer if actor.at == "called" and actor.answer is not actor.slept_on else None
        fleeting = 48 if isinstance(fresh, Declined) else 12 if isinstance(fresh, Pending | RetryLater) else 0
        more = 4 if actor.at in ("call", "called") else 1
        if self.happens(boundary, self.faults.crash * more):
            self.kill(actor)
            return True
        more = fleeting or (2 if actor.at in ("call", "called") else 1)
        if self.happens("pause", self.faults.pause * more):
            span = timedelta(seconds=self.choice((2, 20, 80, 80, 400, 1_500, 2_000, 8_000)))
            if span > LEASE and actor.at in ("call", "called"):
                self.count("pause past the lease")
            actor.slept_on = actor.answer
            actor.wakes = self.now + span
            actor.overdue = self.steps + self.random.randint(2, 20)
            actor.patience = actor.overdue + self.random.randint(2, 100)
            return True
        return False

    def kill(self, actor: Actor) -> None:
        """The actor's process dies where it stands.  What it held open is undone."""
        doing, actor.doing, actor.at, actor.wakes, actor.gone = actor.doing, None, "", None, 0
        if doing is not None:
            try:
                doing.throw(Crashed())
            except (Crashed, StopIteration):
                return
            self.breach("crash", "a crash was swallowed")

    def go_on(self, actor: Actor) -> None:
        """The actor goes on to the next boundary."""
        assert actor.doing is not None
        actor.gone += 1
        if actor.gone > BOUNDARIES_MAX:
            self.breach("E10", f"{actor.name}, who {actor.what or 'does due work'}, comes to no end")
        try:
            actor.at = actor.doing.send(None)
        except StopIteration:
            actor.doing, actor.at, actor.gone = None, "", 0
        except SimulationFailed:
            raise
        except Exception as problem:  # whatever escapes an actor is a bug of ours
            self.note(actor, repr(problem))
            raise SimulationFailed(
                self.seed, self.steps, "bug", f"{actor.name}, who {actor.what}, met {problem!r}", self._read()
            ) from problem

    def finish(self, actor: Actor, doing: Steps) -> None:
        """Do it to its end, undisturbed."""
        actor.doing = doing
        while actor.doing is not None:
            self.step_of(actor)

    def step_of(self, actor: Actor) -> None:
        """He goes on by one boundary, and the laws are checked."""
        self.steps += 1
        self._current = actor
        self.go_on(actor)
        self._judge()

    # The end.

    def end(self) -> None:
        """No more faults: everything is answered, everything ends, and then everything must be right."""
        come_to_rest(self)

    def next_due(self, without: str = "") -> DateTime | None:
        """When something is due that will ever be done: what stands behind a parked effect in its lane is not, and
        neither is a notice that may tell of it.
        """
        waiting = self.unended()
        parked = [one for one in waiting if one.status == "parked"]
        blocked, doubtful = {one.lane for one in parked}, {one.port for one in parked}
        dues = [one.due for one in waiting if one.lane not in blocked and one.status != without]
        dues += [one.due for one in self.watch.states("later") if one.status == "waiting"]
        notices = [one for one in self.watch.states("inbox") if one.status == "received"]
        dues += [one.due for one in notices if not (one.last_try and one.source in doubtful)]
        return min(dues) if dues else None

    def unended(self) -> list[Intent]:
        """Every effect of which more will be asked."""
        return [one for one in self.watch.states("effect") if isinstance(one, Intent) and not one.ended]

    def outcome(self) -> Outcome:
        """What it came to."""
        return Outcome(
            seed=self.seed,
            steps=self.steps,
            events=self.watch.events,
            orders=len(self.watch.states("order")),
            executed=sum(sum(provider.executed.values()) for provider in self.providers),
            hits=self.hits,
            digest=self.watch.digest,
        )


def _renamed(notice: Notice, event_id: str) -> Notice:
    return Notice(
        event_id=event_id,
        key=notice.key,
        reference=notice.reference,
        answer=notice.answer,
        code=notice.code,
        result=notice.result,
    )
