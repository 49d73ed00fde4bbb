"""Two workers on one shop, killed with ``kill -9`` at random moments and started again, thousands of times.

    python -m tests.faults.killing --kills 5000
    python -m tests.faults.killing --store postgres --kills 300 --crashes 10

The shop is a SQLite file, or a database of a PostgreSQL server, which may be crashed as well (``SIGQUIT`` to its
postmaster) and started again while the workers go on.

The payment provider runs in a process of its own and survives.  A worker tells its parent what it tries, and that it
was answered only after `handle` returned.  Whoever is started in its place tries what was not answered again, under
the same command id.  Every `CHECK_EVERY` kills and at the end of a round:

* what was answered is in the store, with its effect: no acknowledged loss;
* no command id was decided twice, the provider executed no key and no effect twice, and it refused nothing;
* a file is sound.

At the end of a round a fresh worker settles what is left; then every law holds, and all books agree.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import attrs
import msgspec
import pendulum
from attrs import define, field

from ordermgmt import (
    CancelOrder,
    Command,
    GrantCredit,
    HandOverShipment,
    Intent,
    Line,
    Money,
    Order,
    OrderManagement,
    OutcomeUnknown,
    PackShipment,
    Payment,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Refused,
    Shipment,
    Stock,
    Tender,
    verify,
)
from ordermgmt.engine.instants import to_text
from ordermgmt.engine.transaction import Key
from ordermgmt.storage import MemoryStorage, PostgresStorage, SqliteStorage
from ordermgmt.testing import FakePayments
from tests.faults.shop import (
    LEASE,
    PATIENCE,
    Provider,
    Where,
    come_to_rest,
    differing_books,
    everything,
    folder,
    open_shop,
    open_store,
    provider,
)
from tests.servers import Server, server

CHECK_EVERY = 25
ROUND = 300
"""Kills before a new file is begun."""
LIFE_MAX = 0.08
"""The longest time from a worker's first word to its death, in seconds."""
SPOKEN = 0.8
"""How many are let live until their first word, however slow the machine is; the others die while they start."""
TRIED, ACCEPTED, REFUSED = "?", "+", "-"

COMMANDS: dict[str, tuple[Callable[[str], Command[Any]], str]] = {
    "receive": (lambda order: ReceiveStock(sku="mug", quantity=8), "StockReceived"),
    "place": (
        lambda order: PlaceOrder(
            order_id=order,
            lines=[Line(sku="mug", quantity=2, unit_price=Money("9.50", "EUR"))],
            pay=PayNow([Tender("card", token="tok_visa", sale=order.endswith("5"))]),
        ),
        "OrderPlaced",
    ),
    "cancel": (lambda order: CancelOrder(order_id=order), "OrderCancelled"),
    "credit": (
        lambda order: GrantCredit(order_id=order, amount=Money("1.00", "EUR"), reason="late"),
        "CreditGranted",
    ),
    "pack": (lambda parcel: PackShipment(shipment_id=parcel), "ShipmentPacked"),
    "hand": (lambda parcel: HandOverShipment(shipment_id=parcel), "ShipmentHandedOver"),
}
"""What can be asked, of an order or a parcel, and the event that tells that it was done."""


def command(name: str) -> Command[Any]:
    """What a name such as ``"place 7-3"`` asks for: the same name is the same command, in every process."""
    verb, about, *_ = name.split()
    return COMMANDS[verb][0](about)


# In a worker.


@define
class Worker:
    """Somebody who works until he is killed."""

    shop: OrderManagement
    chance: random.Random
    life: int
    pipe: int
    numbers: count[int] = field(factory=count)
    latest: str = ""
    """The order that was placed last."""

    def work(self, doubts: Sequence[str]) -> None:
        for name in doubts:
            self.do(name)
        parent = os.getppid()
        while os.getppid() == parent:
            self.step()

    def step(self) -> None:
        match self.chance.randrange(8):
            case 0 | 1 | 2:
                order_id = f"{self.life}-{next(self.numbers)}"
                self.do(f"receive {order_id}")
                self.do(f"place {order_id}")
                self.latest = order_id
            case 3:
                verb, status = self.chance.choice((("cancel", "confirmed"), ("credit", "confirmed")))
                self.ask(verb, [one.order_id for one in self.shop.find(Order, status=status, limit=50)])
            case 4 | 5:
                verb, status = self.chance.choice((("pack", "planned"), ("hand", "packed")))
                self.ask(verb, [one.shipment_id for one in self.shop.find(Shipment, status=status, limit=50)])
            case 6 if self.latest:
                with suppress(OutcomeUnknown):  # what is still due then, is done another time
                    self.shop.settle(self.latest)
            case _:
                with suppress(OutcomeUnknown):
                    self.shop.run_due()

    def ask(self, verb: str, of: Sequence[str]) -> None:
        if of:
            self.do(f"{verb} {self.chance.choice(of)} {self.life}-{next(self.numbers)}")

    def do(self, name: str) -> None:
        self.tell(TRIED, name)
        while True:
            try:
                self.shop.handle(command(name), command_id=name)
            except OutcomeUnknown:
                continue  # the server went away and could not be asked; under its id it can be asked again
            except Refused as no:
                return self.tell(REFUSED, name, type(no).__name__)
            return self.tell(ACCEPTED, name)

    def tell(self, *words: str) -> None:
        os.write(self.pipe, "\t".join(words).encode() + b"\n")


def live(path: Where, till: Provider, life: int, seed: int, pipe: int, doubts: Sequence[str]) -> NoReturn:
    """A worker's whole life, in a forked child."""
    try:
        shop = open_shop(path, till.gateway())
        Worker(shop, random.Random(f"{seed}/{life}"), life, pipe).work(doubts)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must see that it was no kill
        traceback.print_exc()
    os._exit(1)


# Outside.


@define
class Figures:
    """What came of it."""

    kills: int = 0
    crashes: int = 0
    """Of the server."""
    seconds: float = 0.0
    answered: int = 0
    """Commands that a worker was answered, refusals included."""
    refused: int = 0
    doubtful: int = 0
    """Commands that a kill left without an answer, and that were tried again."""
    doubtful_but_done: int = 0
    """Those of them that were in the store already."""
    leases_run_out: int = 0
    """Effects whose worker was killed between claim and settlement."""
    executed: int = 0
    """What the provider did."""
    found_again: int = 0
    """What it did for workers who were killed before they could settle it."""
    parked: int = 0
    """Effects whose workers were killed so often that a person had to let them go on."""
    orders: int = 0
    losses: list[str] = field(factory=list[str])
    """Answered commands that are not in the store."""
    doubles: list[str] = field(factory=list[str])
    """What was decided or executed more than once."""
    breaches: list[str] = field(factory=list[str])
    """Everything else that is wrong."""

    @property
    def kills_per_second(self) -> float:
        return self.kills / self.seconds

    @property
    def clean(self) -> bool:
        return not self.losses and not self.doubles and not self.breaches


@define
class Slot:
    """The place of one worker, whoever has it."""

    pid: int
    pipe: int
    doubts: list[str]
    unread: bytes = b""

    def read(self) -> list[list[str]]:
        """What was told since."""
        while part := _available(self.pipe):
            self.unread += part
        *lines, self.unread = self.unread.split(b"\n")
        return [line.decode().split("\t") for line in lines]


def _available(pipe: int) -> bytes:
    try:
        return os.read(pipe, 1 << 16)
    except BlockingIOError:
        return b""


@define
class Round:
    """One shop and one provider, from the first worker to the last."""

    path: Where
    till: Provider
    seed: int
    figures: Figures
    answers: dict[str, str] = field(factory=dict[str, str])
    """What each command was answered: "" or the refusal."""
    lives: count[int] = field(factory=count)
    done: dict[str, set[str]] = field(factory=dict[str, set[str]])
    """The events of each command id, as the feed tells them."""
    times: dict[str, str] = field(factory=dict[str, str])
    """When each command id was decided."""
    decided: dict[tuple[str, Key], str] = field(factory=dict[tuple[str, Key], str])
    """And when it was for each entity."""
    killed: dict[str, str] = field(factory=dict[str, str])
    """When a kill left each command in doubt."""
    position: int = 0

    def play(self, kills: int, crashes: int = 0, crash: Callable[[], None] = lambda: None) -> None:
        chance = random.Random(self.seed)
        slots = [self.start([]) for _ in range(2)]
        try:
            for n in range(1, kills + 1):
                which = chance.randrange(2)
                if chance.random() < SPOKEN:
                    self.wait_for_a_word(slots[which])
                time.sleep(chance.uniform(0, LIFE_MAX))
                slots[which] = self.start(self.kill(slots[which]))
                if n * crashes // kills > (n - 1) * crashes // kills:
                    self.wait_for_a_word(slots[which])
                    crash()
                    self.figures.crashes += 1
                if n % CHECK_EVERY == 0:
                    self.check(slots)
        finally:
            left = [self.kill(slot) for slot in slots]
        for doubts in left:
            self.settle_doubts(doubts)
        self.finish()

    def start(self, doubts: list[str]) -> Slot:
        read, write = os.pipe()
        life = next(self.lives)
        pid = os.fork()
        if not pid:
            live(self.path, self.till, life, self.seed, write, doubts)
        os.close(write)
        os.set_blocking(read, False)
        return Slot(pid, read, doubts)

    def wait_for_a_word(self, slot: Slot) -> None:
        select.select([slot.pipe], [], [], PATIENCE)

    def kill(self, slot: Slot) -> list[str]:
        """Kill a worker; what it leaves in doubt."""
        os.kill(slot.pid, signal.SIGKILL)
        _, status = os.waitpid(slot.pid, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            self.figures.breaches.append("a worker ended by itself; it told why on stderr")
        self.listen(slot)
        os.close(slot.pipe)
        self.figures.kills += 1
        for name in slot.doubts:
            self.killed[name] = to_text(pendulum.now("UTC"))
        return slot.doubts

    def listen(self, slot: Slot) -> None:
        for sign, name, *refusal in slot.read():
            if sign == TRIED:
                if name not in slot.doubts:
                    slot.doubts.append(name)
                continue
            slot.doubts.remove(name)
            self.answer(name, "".join(refusal))

    def answer(self, name: str, refusal: str) -> None:
        self.figures.answered += name not in self.answers
        self.figures.refused += bool(refusal) and name not in self.answers
        if self.answers.setdefault(name, refusal) != refusal:
            self.figures.doubles.append(f"{name} was answered {self.answers[name] or 'yes'!r} and {refusal or 'yes'!r}")

    # Checking.  Nothing stays open in this process: it will fork again.

    def check(self, slots: Sequence[Slot]) -> None:
        """Whether everything that was answered by now is there, while the workers go on."""
        for slot in slots:
            self.listen(slot)
        answered = dict(self.answers)
        storage = open_store(self.path)
        try:
            if isinstance(storage, SqliteStorage):
                self.figures.breaches += storage.integrity()
            self.follow(storage)
            self.judge(storage, answered)
        finally:
            storage.close()
        self.look_at_the_provider()

    def follow(self, storage: SqliteStorage | PostgresStorage) -> None:
        """Read on in the feed."""
        while page := storage.feed(after=self.position):
            for entry in page:
                # PostgreSQL gives out numbers that a killed transaction takes with it.
                wrong = entry.position != self.position + 1 if isinstance(storage, SqliteStorage) else False
                if wrong or entry.position <= self.position:
                    self.figures.breaches.append(f"the feed goes from {self.position} to {entry.position}")
                self.position = entry.position
                kind = msgspec.json.decode(entry.doc)["type"].rpartition(".")[2]
                if kind == "EffectLost":
                    self.figures.leases_run_out += 1
                if not entry.command_id:
                    continue
                self.done.setdefault(entry.command_id, set()).add(kind)
                self.times.setdefault(entry.command_id, entry.at)
                # All that one decision tells of an entity is saved at once, with one time.  Of another entity it may be
                # later: one that somebody had changed in between, for time does not run backwards for any of them.
                if self.decided.setdefault((entry.command_id, entry.key), entry.at) != entry.at:
                    self.figures.doubles.append(f"{entry.command_id} was decided twice")

    def judge(self, storage: SqliteStorage | PostgresStorage, answered: dict[str, str]) -> None:
        names = list(answered)
        for start in range(0, len(names), 500):
            some = names[start : start + 500]
            rows = storage.read([("command", name) for name in some])
            for name in some:
                row = rows.get(("command", name))
                kept = msgspec.json.decode(row.doc) if row is not None else None
                if kept is None or kept["refusal"].rpartition(".")[2] != answered[name]:
                    self.figures.losses.append(f"{name} was answered, and is kept as {kept}")
                elif not answered[name] and COMMANDS[name.split()[0]][1] not in self.done.get(name, ()):
                    self.figures.losses.append(f"{name} was answered, and did not happen")

    def look_at_the_provider(self) -> None:
        told = self.till.state()
        counted = [*told["executed"].items(), *told["done"].items()]
        self.figures.doubles += [f"{name} was executed {times} times" for name, times in counted if times > 1]
        self.figures.breaches += [f"the provider refused: {refusal}" for refusal in told["refusals"]]

    def settle_doubts(self, doubts: Sequence[str]) -> None:
        """Try once more, with nobody to kill us, what the last workers left open."""
        shop = open_shop(self.path, self.till.gateway())
        with shop:
            for name in doubts:
                try:
                    shop.handle(command(name), command_id=name)
                except Refused as no:
                    self.answer(name, type(no).__name__)
                else:
                    self.answer(name, "")

    def finish(self) -> None:
        """A fresh worker settles what is left; then everything must be right."""
        with open_shop(self.path, self.till.gateway()) as shop:
            come_to_rest(shop)
            # Whoever was killed with many effects in hand, again and again, has used their attempts up: a person looks.
            for one in shop.effects.parked(limit=1000):
                self.figures.parked += 1
                shop.effects.retry(one.effect_id, note="the workers were killed")
            come_to_rest(shop)
            self.check([])
            received = sum(not no for name, no in self.answers.items() if name.startswith("receive"))
            handed_over = sum(not no for name, no in self.answers.items() if name.startswith("hand"))
            stock = shop.get(Stock, ("mug", "main"))
            if stock.on_hand != 8 * received - 2 * handed_over:
                self.figures.breaches.append(
                    f"{received} receipts of 8 and {handed_over} parcels of 2 leave {stock.on_hand} on hand"
                )
            self.figures.breaches += [f"parked: {one.effect_id} {one.reason}" for one in shop.effects.parked()]
            self.figures.breaches += map(str, verify.check_all(shop).breaches)
            told = self.till.state()
            self.figures.breaches += differing_books(shop, told["accounts"])
            self.figures.doubtful += len(self.killed)
            self.figures.doubtful_but_done += sum(self.times.get(name, at) < at for name, at in self.killed.items())
            self.figures.orders += len(told["accounts"])
            self.figures.executed += sum(told["executed"].values())
            self.figures.found_again += found_again(shop)


def found_again(shop: OrderManagement) -> int:
    """Executions that were settled so long afterwards that it was by another worker than the one who sent them."""
    facts = {name: fact for payment in everything(shop, Payment) for name, fact in payment.facts.items()}
    pairs = ((intent, facts.get(intent.reference)) for intent in everything(shop, Intent))
    return sum(
        fact is not None and fact.occurred_at is not None and intent.ended_at - fact.occurred_at > LEASE / 2
        for intent, fact in pairs
        if intent.ended_at is not None
    )


def warm_up() -> None:
    """Do once, before forking, what every worker would do first: import, read types, decide a first order."""
    shop = OrderManagement(storage=MemoryStorage(), gateways={"card": FakePayments()})
    for name in ("receive 1", "place 1", "cancel 1"):
        shop.handle(command(name), command_id=name)
        shop.run_due()
    # What is there by now is shared by all children, and no collection of garbage shall copy it.
    gc.freeze()


def run(
    kills: int,
    seed: int,
    where: Path | None,
    progress: Callable[[Figures], None] = lambda _: None,
    seconds_max: float = math.inf,
) -> Figures:
    """That many kills, in rounds of a fresh file each; ends early when something is wrong or the time is over."""
    figures = Figures()
    begun = time.monotonic()
    warm_up()
    while figures.kills < kills and figures.clean and figures.seconds < seconds_max:
        with tempfile.TemporaryDirectory(dir=where) as place, provider() as till:
            round_seed = seed + figures.kills
            # Each round ends with two kills of its own.
            Round(Path(place) / "shop.db", till, round_seed, figures).play(min(ROUND, kills - figures.kills))
        figures.seconds = time.monotonic() - begun
        progress(figures)
    return figures


def run_on_postgres(
    kills: int,
    crashes: int,
    seed: int,
    progress: Callable[[Figures], None] = lambda _: None,
    one: Server | None = None,
    seconds_max: float = math.inf,
) -> Figures:
    """That many kills, and crashes of the server among them, in rounds of a fresh database each; ends as `run`."""
    figures = Figures()
    begun = time.monotonic()
    warm_up()
    with nullcontext(one) if one is not None else server() as here:
        while figures.kills < kills and figures.clean and figures.seconds < seconds_max:
            left = kills - figures.kills
            now = min(ROUND, left)
            with provider() as till:
                one_round = Round(here.new_database(), till, seed + figures.kills, figures)
                one_round.play(now, (crashes - figures.crashes) * now // left, here.crash)
            figures.seconds = time.monotonic() - begun
            progress(figures)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, and tell what came of it; exit code 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.killing", description="kill -9, again and again")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--kills", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further round after so long")
    parser.add_argument("--crashes", type=int, default=0, help="of the PostgreSQL server, among the kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--folder", type=Path, default=folder(), help="where the files lie; in memory by default")
    parser.add_argument("--json", action="store_true", help="print the figures only, as JSON")
    asked = parser.parse_args(arguments)
    progress: Callable[[Figures], None] = (lambda _: None) if asked.json else _tell
    if not asked.json:
        print(f"seed {asked.seed}, files in {asked.folder or tempfile.gettempdir()}", flush=True)
    if asked.store == "postgres":
        figures = run_on_postgres(asked.kills, asked.crashes, asked.seed, progress, seconds_max=60 * asked.minutes)
    else:
        figures = run(asked.kills, asked.seed, asked.folder, progress, 60 * asked.minutes)
    if asked.json:
        print(json.dumps(attrs.asdict(figures)))
    else:
        for name in ("losses", "doubles", "breaches"):
            for problem in getattr(figures, name):
                print(f"{name}: {problem}")
    return 0 if figures.clean else 1


def _tell(figures: Figures) -> None:
    print(
        f"{figures.kills} kills, {figures.kills_per_second:.1f}/s, {figures.crashes} crashes of the server; "
        f"{figures.answered} commands answered "
        f"({figures.refused} refused), {figures.doubtful} in doubt "
        f"({figures.doubtful_but_done} of them done); {figures.orders} payments, "
        f"{figures.executed} executions, {figures.leases_run_out} leases run out, {figures.found_again} executions "
        f"found again, {figures.parked} parked and retried; "
        f"{len(figures.losses)} losses, {len(figures.doubles)} doubles, {len(figures.breaches)} breaches",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
