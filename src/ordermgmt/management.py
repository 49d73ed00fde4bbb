"""The front door: one shop, blocking or awaited.

Both classes put the same engine behind the same names.  What differs is only who waits: `OrderManagement` blocks,
`AsyncOrderManagement` awaits, and everything that is decided in between is one and the same code.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import random
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Self, TypeVar, overload

import attrs
from attrs import field, frozen
from pendulum import DateTime

from .changes import changes
from .engine import drivers
from .engine.adapters import Notice, WebhookRejected
from .engine.allowing import Allowances, allowances
from .engine.approvals import Approval, ApprovalNotNeeded, NeedsApproval, RequestApproval, requested
from .engine.assembly import Assembly
from .engine.capability import Capability, Reaction
from .engine.codec import Opaque, from_json
from .engine.effects import ClaimEffect
from .engine.inbox import Message
from .engine.instants import from_text
from .engine.messages import Command, Event, Personal, check_id, check_page, check_text, is_listed, shorten
from .engine.observing import NOBODY, Observer, Watch
from .engine.operating import Operator
from .engine.policies import NamedPolicy, Policies
from .engine.ports import Clock, Ids, SystemClock, SystemIds
from .engine.requests import Job, Result
from .engine.transaction import UNFINISHED, AsyncStorage, Entry, Found, Key, Query, Row, Storage, joins
from .engine.working import Calls, Chance, Handle, Listen, Look, Read, Report, Reveal, Time, Worker, WorkRequest
from .errors import InvalidInput, Misconfigured, NotFound
from .operations import AsyncEffects, Effects
from .orders import orders, references
from .orders.model import Order
from .orders.port import Addresses, AnyItem, Item, Items, checked_items
from .orders.prices import destination_of
from .payments import payments
from .payments.port import PaymentGateway
from .pricing.port import TaxRates
from .refunds import refunds
from .shipments import shipments
from .shipments.port import Carrier
from .stock import reservations, stock

State = TypeVar("State")

DEFAULT_CAPABILITIES: tuple[Capability[Any], ...] = (
    changes,
    shipments,
    orders,
    references,
    payments,
    refunds,
    reservations,
    stock,
)
"""Everything this release can do.  Their order is the order in which rows are locked: what is asked of a change
or a parcel needs its orders, what is asked of an order needs its payments and claims."""

BATCH_MAX = 5_000
BATCH = 500
DEADLINE = timedelta(seconds=30)
LEASE = timedelta(seconds=60)
APPROVAL_VALID = timedelta(days=1)
"""For how long an approval may be given and used, where nothing else is said."""
WEBHOOK_MAX = 1 << 20
"""The longest webhook that is read, in bytes."""


@frozen(kw_only=True)
class Recorded:
    """One event of the history: what happened, when, who asked, and by which command."""

    position: int
    """Its place in the feed of all events."""
    kind: str
    id: str
    """What it happened to."""
    version: int
    """Its place in the history of that one entity, from 1."""
    event: Event | Opaque
    at: DateTime
    by: str
    cause: str
    """The type of the command that made it."""
    command_id: str
    hash: str


@frozen
class Page(Sequence[State]):
    """Some answers of `find`, and where the next page begins."""

    items: tuple[State, ...]
    next: tuple[str, str] | None
    """Give it to `find(…, after=…)`; None on the last page."""

    @overload
    def __getitem__(self, index: int) -> State: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[State]: ...
    def __getitem__(self, index: int | slice) -> State | Sequence[State]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


@frozen(kw_only=True)
class Preview:
    """What a command would do: the entity as it would be, and every event that would be recorded."""

    entity: Any
    events: tuple[tuple[str, str, Event], ...]
    """(kind, id, event), in the order in which they would be saved."""


@frozen(kw_only=True)
class _Settings:
    """What both front doors are made of."""

    assembly: Assembly
    clock: Clock
    ids: Ids
    items: Items
    addresses: Addresses | None
    taxes: TaxRates | None
    actor: str
    chance: random.Random = field(factory=random.Random)
    deadline: timedelta = DEADLINE
    lease: timedelta = LEASE
    watch: Watch = NOBODY

    def job(self, command: Command[Any], by: str | None, command_id: str | None) -> Job:
        """The command as the engine takes it: ids given, and ports asked that must be asked before."""
        if isinstance(command, type) or not isinstance(command, Command):
            raise InvalidInput(f"handle takes a command, such as PlaceOrder(…) (got {shorten(command)})")
        _, rule = self.assembly.rule_for(command)
        asked, command = command, rule.named(command, self.ids.new)
        lookups = list(rule.lookups(command))
        wanted = {key for port, key in lookups if port == "items"}
        items: Mapping[str, Item] = checked_items(self.items.items(wanted)) if wanted else {}
        answers: dict[tuple[str, str], Any] = {("items", sku): item for sku, item in items.items()}
        if self.addresses is not None:
            answers |= {
                (port, key): self.addresses.check(getattr(command, key)) for port, key in lookups if port == "addresses"
            }
        if self.taxes is not None:
            answers |= {
                (port, key): self.taxes.rates(destination_of(command)) for port, key in lookups if port == "taxes"
            }
        return Job(
            command,
            check_text(by, "by") if by is not None else self.actor,
            check_text(command_id, "command_id") if command_id is not None else "",
            answers,
            asked,
        )

    def jobs(self, commands: Iterable[Any], by: str | None, *, together: bool = False) -> list[Job]:
        """A batch.  Each command stands alone or with its id: ``command`` or ``(command, command_id)``."""
        if not is_listed(commands):
            raise InvalidInput(f"handle_many takes a list of commands (got {shorten(commands)})")
        batch = list[Any](islice(commands, BATCH_MAX + 1))
        if len(batch) > BATCH_MAX:
            raise InvalidInput(f"a batch has at most {BATCH_MAX} commands; send several")
        jobs = [self._job_of(one, by) for one in batch]
        return [attrs.evolve(job, together=True) for job in jobs] if together else jobs

    def _job_of(self, one: Any, by: str | None) -> Job:
        match one:
            case (command, command_id):
                return self.job(command, by, command_id)
            case command:
                return self.job(command, by, None)

    def work_jobs(self, commands: Iterable[Command[Any]], by: str | None) -> list[Job]:
        """Commands of the engine's own."""
        actor = check_text(by, "by") if by is not None else self.actor
        return [Job(command, actor) for command in commands]

    def key(self, state: type[Any], key: Any) -> tuple[Capability[Any], Key]:
        """The stored key of what a caller asks for."""
        capability = self._capability(state)
        return capability, (capability.kind, capability.identify(key))

    def decode(self, row: Row) -> Any:
        """The entity in a row."""
        return self.assembly.codec.decode(row.doc)

    def query(self, state: type[Any], where: Mapping[str, Any], limit: int, after: tuple[str, str] | None) -> Query:
        """A search by declared indexes."""
        capability = self._capability(state)
        for name, value in where.items():
            if name not in capability.indexes:
                known = ", ".join(capability.indexes) or "none"
                raise InvalidInput(f"{capability.kind} is not indexed by {name!r} (indexes: {known})")
            if not isinstance(value, str):
                raise InvalidInput(f"{name} must be text (got {shorten(value)})")
        check_page(limit, after)
        equal = {name: (value,) for name, value in where.items()}
        return Query(kind=capability.kind, equal=equal, limit=limit, after=after)

    def place(self, after: int, limit: int) -> dict[str, int]:
        """A place in the feed."""
        check_page(limit)
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise InvalidInput(f"after must be a position of the feed, or 0 (got {shorten(after)})")
        return {"after": after, "limit": limit}

    def page(self, found: Sequence[Found], limit: int) -> Page[Any]:
        """A page of entities."""
        place = found[-1].place if len(found) == limit else None
        return Page(tuple(self.decode(one.row) for one in found), place)

    def recorded(self, entry: Entry) -> Recorded:
        """An entry of the history, decoded."""
        return Recorded(
            position=entry.position,
            kind=entry.key[0],
            id=entry.key[1],
            version=entry.version,
            event=self.assembly.codec.decode(entry.doc),
            at=from_text(entry.at),
            by=entry.actor,
            cause=entry.cause,
            command_id=entry.command_id,
            hash=entry.hash,
        )

    def preview(self, result: Result, writes: Iterable[Any]) -> Preview:
        """What would be saved."""
        events = [
            (entry.key[0], entry.key[1], self.assembly.codec.decode(entry.doc))
            for write in writes
            for entry in write.entries
        ]
        return Preview(entity=result.unwrap(), events=tuple(events))

    def allowances(self, order_id: str, by: str | None) -> Generator[Any, Any, Allowances]:
        """The steps of finding out what may be asked of an order."""
        key = ("order", check_id(order_id, "order_id"))
        found: Allowances | None = yield from allowances(
            self.assembly,
            lambda command: self.job(command, by, None),
            lambda assembly, job: drivers.rehearse(assembly, self.clock, job),
            key,
        )
        if found is None:
            raise NotFound(*key)
        return found

    def approval(self, needs: NeedsApproval, job: Job, row: Row | None, note: str, valid_for: Any) -> RequestApproval:
        """The request for what a policy's answer asks for."""
        if job.asked is not None and job.asked != job.command:
            raise InvalidInput("a command that is to be approved needs its ids; it cannot be given new ones each time")
        version = row.version if row is not None else 0
        about = self.assembly.target(job.command)
        return requested(needs, about, version, job.command, check_text(note, "note", empty=True), valid_for)

    @property
    def operator(self) -> Operator:
        """The steps of due work and of operating it."""
        return Operator(Worker(assembly=self.assembly, lease=self.lease, deadline=self.deadline))

    def notices(self, family: str, name: str, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """What a webhook tells, verified by the adapter it is for."""
        adapter = self.assembly.ports.get(family, {}).get(name)
        if adapter is None:
            raise NotFound(family.rstrip("s"), name)
        if not hasattr(adapter, "parse_webhook"):
            raise InvalidInput(f"the adapter {name!r} reads no webhooks: it has no parse_webhook")
        if not isinstance(body, bytes):
            raise InvalidInput(f"body must be the raw bytes that came (got {type(body).__name__})")
        if len(body) > WEBHOOK_MAX:
            raise WebhookRejected(f"a webhook of {len(body)} bytes is larger than {WEBHOOK_MAX}; nothing was read")
        notices: Sequence[Notice] = adapter.parse_webhook(headers, body, now=self.clock.now())
        return notices

    def check_statuses(self, capability: Capability[Any], stored: Iterable[str]) -> None:
        """Every stored status must exist in today's drawing."""
        lifecycle = capability.lifecycle
        if lifecycle is None:
            return
        lost = sorted(status for status in stored if lifecycle.current(status) is None)
        if lost:
            raise Misconfigured(
                f"the store holds {capability.kind}s that are {', '.join(lost)}, which the lifecycle does not draw; "
                "say with redrawn(moved={old: new}) where they stand now"
            )

    def _capability(self, state: type[Any]) -> Capability[Any]:
        capability: Capability[Any] | None = self.assembly.by_state.get(state) if isinstance(state, type) else None
        if capability is None:
            known = ", ".join(sorted(cls.__name__ for cls in self.assembly.by_state))
            raise InvalidInput(f"{shorten(state)} is no kind of entity of this shop (there are: {known})")
        return capability


def _batch(batch: object) -> int:
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= BATCH_MAX:
        raise InvalidInput(f"batch must be 1 to {BATCH_MAX} (got {shorten(batch)})")
    return batch


def _store(storage: object) -> None:
    if isinstance(storage, type) or not hasattr(storage, "transaction"):
        raise Misconfigured(f"storage takes a store, such as SqliteStorage('shop.db') (got {shorten(storage)})")


def _alone(storage: Storage | AsyncStorage) -> None:
    """Due work asks providers, and must know first that what it asks for is saved."""
    if joins(storage):
        raise Misconfigured(
            "this shop joins the host's transaction, and nothing is sent before that is committed; do due work after "
            "the commit, with a shop on the library's own connection"
        )


def _whole(unfinished: Mapping[Key, Row]) -> None:
    if unfinished:
        raise Misconfigured(
            "the store is being filled from an export and does not hold all of it yet; end that with the same file: "
            "`python -m ordermgmt import-store`"
        )


def _joined(storage: Any, connection: object) -> Any:
    join = getattr(storage, "joined", None)
    if join is None:
        raise Misconfigured(
            f"{type(storage).__name__} cannot join a transaction of yours; use SqliteStorage or PostgresStorage"
        )
    return join(connection)


def _unclaimed(commands: Sequence[Command[Any]], storage: Storage | AsyncStorage) -> None:
    """Whoever claims an effect is about to send it."""
    if any(isinstance(command, ClaimEffect) for command in commands):
        _alone(storage)


def _step(steps: Generator[Any, Any, Allowances], rows: Any) -> tuple[Any, Any]:
    """The keys it wants next, or None and its answer."""
    try:
        return steps.send(rows), None
    except StopIteration as end:
        return None, end.value


def _ref(personal: object) -> str:
    if not isinstance(personal, Personal):
        raise InvalidInput(f"reveal takes what stands in an entity, such as order.ship_to (got {shorten(personal)})")
    return personal.ref


def _settings(
    *,
    capabilities: Sequence[Capability[Any]],
    gateways: Mapping[str, PaymentGateway] | None,
    carriers: Mapping[str, Carrier] | None,
    ports: Mapping[str, Any] | None,
    items: Items | None,
    addresses: Addresses | None,
    taxes: TaxRates | None,
    clock: Clock | None,
    ids: Ids | None,
    actor: str,
    reactions: Sequence[Reaction],
    policies: Sequence[NamedPolicy],
    chance: random.Random | None,
    secret: bytes,
    installation: str,
    deadline: timedelta,
    lease: timedelta,
    observers: Sequence[Observer],
) -> _Settings:
    for argument, family in (("gateways", gateways), ("carriers", carriers), ("ports", ports)):
        if not isinstance(family, Mapping | None):
            raise Misconfigured(f"{argument} takes adapters by their names: {{'card': …}} (got {shorten(family)})")
        for name in family or {}:
            check_text(name, "the name of an adapter")
    for observer in observers:
        if not callable(observer):
            raise Misconfigured(f"an observer is a function that takes what is observed (got {shorten(observer)})")
    if lease <= deadline:
        raise Misconfigured("the lease must be longer than the deadline: a call must end before it counts as lost")
    assembly = Assembly(
        capabilities,
        reactions=reactions,
        policies=policies,
        ports={"gateways": gateways or {}, "carriers": carriers or {}, "ports": ports or {}},
        secret=secret,
        installation=check_text(installation, "installation", empty=True),
    )
    return _Settings(
        assembly=assembly,
        clock=clock or SystemClock(),
        ids=ids or SystemIds(clock),
        items=items or AnyItem(),
        addresses=addresses,
        taxes=taxes,
        actor=check_text(actor, "actor"),
        chance=chance or random.Random(),
        deadline=deadline,
        lease=lease,
        watch=Watch(tuple(observers)),
    )


class OrderManagement:
    """One shop: its orders, stock, payments, parcels and refunds, in one store.  Calls block; threads may share it.

    Args:
        storage: Where everything is kept: `SqliteStorage("shop.db")`, `MemoryStorage()`, or a store of your own.
        actor: Who asks where a call does not say by whom.
        gateways: Payment providers by name; a `Tender` names one.
        carriers: Carriers by name; `PlaceOrder(carrier=…)` names one.
        ports: Adapters for effects of your own, by name: ``{"mail": …}`` serves the port ``("ports", "mail")``.
        items: Your catalogue; by default every SKU exists and is stocked.
        addresses: Your validator of addresses; by default every address is taken as it is.
        taxes: Your tax rates, by tax class and destination: a `TaxTable`, or a service of yours.
        clock: The time; a `ManualClock` in tests.
        ids: Fresh ids; `ManualIds` in tests.
        capabilities: What the shop can do.  Put redrawn ones and your own in here.
        reactions: What else shall follow from events, after the capabilities' own reactions.
        policies: Rules of your own that may refuse any command.  They are not asked about news.
        chance: Randomness for waiting times; a seeded one in tests.
        secret: Makes idempotency keys unguessable.  Set it before the first effect and never change it.
        installation: The name of this deployment.  Effects planned under another name are left alone, so that a copy
            of the database sends nothing.
        deadline: How long one call of an adapter may take.
        lease: After what time a call that was not heard of counts as unknown; longer than the deadline.
        observers: Functions that are told what was handled, committed and sent, and how long it took: for metrics,
            or `ordermgmt.telemetry.Spans()` for OpenTelemetry.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        actor: str = "shop",
        gateways: Mapping[str, PaymentGateway] | None = None,
        carriers: Mapping[str, Carrier] | None = None,
        ports: Mapping[str, Any] | None = None,
        items: Items | None = None,
        addresses: Addresses | None = None,
        taxes: TaxRates | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        capabilities: Sequence[Capability[Any]] = DEFAULT_CAPABILITIES,
        reactions: Sequence[Reaction] = (),
        policies: Sequence[NamedPolicy] = (),
        chance: random.Random | None = None,
        secret: bytes = b"",
        installation: str = "",
        deadline: timedelta = DEADLINE,
        lease: timedelta = LEASE,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._settings = _settings(
            capabilities=capabilities,
            gateways=gateways,
            carriers=carriers,
            ports=ports,
            items=items,
            addresses=addresses,
            taxes=taxes,
            clock=clock,
            ids=ids,
            actor=actor,
            reactions=reactions,
            policies=policies,
            chance=chance,
            secret=secret,
            installation=installation,
            deadline=deadline,
            lease=lease,
            observers=observers,
        )
        _store(storage)
        if getattr(storage, "awaits", False):
            raise Misconfigured(f"{type(storage).__name__} is awaited; use it with AsyncOrderManagement")
        self._storage = storage
        self._operator = self._settings.operator
        _whole(storage.read([UNFINISHED]))
        for capability in self._settings.assembly.capabilities:
            self._settings.check_statuses(capability, storage.statuses(capability.kind))

    @property
    def storage(self) -> Storage:
        """The store behind it."""
        return self._storage

    @property
    def assembly(self) -> Assembly:
        """Its capabilities, rules and reactions, as tables."""
        return self._settings.assembly

    def handle(self, command: Command[State], *, by: str | None = None, command_id: str | None = None) -> State:
        """Do what the command asks, all of it or nothing, durably; answers its entity as it stands afterwards.

        `by` is who asks, if not the shop's own actor.  With a `command_id` a retry is safe: the same command under
        the same id is decided once, and answered with the entity as it is now or with the same refusal.

        Raises the `Refused` that a rule makes, `InvalidInput` for a malformed call, `Conflict` or `StorageFailed`
        where the store could not take it.  After any of them nothing has changed.
        """
        job = self._settings.job(command, by, command_id)
        state: State = self._handle([job])[0].unwrap()
        return state

    def within(self, connection: object) -> OrderManagement:
        """The same shop within a transaction of yours: ``shop.within(session).handle(…)``.

        `connection` is on the same database: the driver's own, SQLAlchemy's `Connection` or `Session`, or Django's
        `connection`.  What is handled there is saved in your transaction, behind a savepoint each time, and you commit
        it or roll it back.  An error that is `retryable` means: roll back and do the whole unit of work again.  Due
        work is refused there; do it after the commit, with this shop.
        """
        shop = copy.copy(self)
        shop._storage = _joined(self._storage, connection)  # noqa: SLF001 - a copy of ourselves
        return shop

    def prepared(self, command: Command[Any], *, by: str | None = None, command_id: str | None = None) -> Job:
        """The command checked, its ids given and its items looked up: what `decide` takes.  Raises `InvalidInput`."""
        return self._settings.job(command, by, command_id)

    def decide(self, jobs: Sequence[Job]) -> Sequence[Result]:
        """Decide prepared commands of several callers in one commit; `Batcher` is built on it."""
        return self._handle(jobs)

    def handle_many(
        self,
        commands: Iterable[Command[Any] | tuple[Command[Any], str]],
        *,
        by: str | None = None,
        together: bool = False,
    ) -> list[Any]:
        """Decide commands in order, in one commit.  Answers a list: for each its entity, or the error it met.

        A refusal concerns its own command only; `together` all of them are done, or none is (`NotTogether`).  A
        command may come with its id: ``(command, command_id)``.
        """
        results = self._handle(self._settings.jobs(commands, by, together=together))
        return [result.state if result.error is None else result.error for result in results]

    def handle_all(
        self,
        commands: Iterable[Command[Any] | tuple[Command[Any], str]],
        *,
        by: str | None = None,
        batch: int = BATCH,
    ) -> Iterator[Any]:
        """Decide any number of commands in order, `batch` of them in a commit; yields for each its entity or error.

        Commands are taken as they are needed and answers given as they are durable, so that it needs the memory of
        one batch, however many there are.  It stops where the caller stops asking; what was yielded is saved.
        """
        if not is_listed(commands):
            raise InvalidInput(f"handle_all takes many commands, in a list or as they come (got {shorten(commands)})")
        rest = iter(commands)
        size = _batch(batch)
        while some := list(islice(rest, size)):
            yield from self.handle_many(some, by=by)

    def _handle(self, jobs: Sequence[Job]) -> Sequence[Result]:
        if not jobs:
            return ()
        settings = self._settings
        return drivers.handle(settings.assembly, self._storage, settings.clock, settings.chance, jobs, settings.watch)

    def preview(self, command: Command[Any], *, by: str | None = None) -> Preview:
        """What the command would do, without saving anything or taking any lock.  Raises what `handle` would."""
        settings = self._settings
        steps = drivers.rehearse(settings.assembly, settings.clock, settings.job(command, by, None))
        try:
            keys = next(steps)
            while True:
                keys = steps.send(self._storage.read(keys))
        except StopIteration as end:
            return settings.preview(*end.value)

    @property
    def policies(self) -> Policies:
        """The host's own rules, in the order in which they are asked."""
        return self._settings.assembly.policies

    def allowed(self, order_id: str, *, by: str | None = None) -> Allowances:
        """Every command about an order, its payments and parcels: allowed now, or each reason against it.

        Nothing is saved and no lock is taken.  `by` is who would ask.  Raises `NotFound`.
        """
        steps = self._settings.allowances(order_id, by)
        try:
            keys = next(steps)
            while True:
                keys = steps.send(self._storage.read(keys))
        except StopIteration as end:
            answer: Allowances = end.value
            return answer

    def request_approval(
        self, command: Command[Any], *, by: str | None = None, note: str = "", valid_for: timedelta = APPROVAL_VALID
    ) -> Approval:
        """Ask for a second person to approve exactly this command, for the entity as it stands now.

        Answers the approval; somebody else gives it with `Approve`, then the command is asked again.  Raises
        `ApprovalNotNeeded` where it would be done as it is, and its refusal where it would be refused anyway.
        """
        settings = self._settings
        job = settings.job(command, by, None)
        try:
            self.preview(command, by=by)
        except NeedsApproval as needs:
            about = settings.assembly.target(job.command)
            row = self._storage.read([about]).get(about)
            return self.handle(settings.approval(needs, job, row, note, valid_for), by=by)
        raise ApprovalNotNeeded(type(command).__name__)

    def get(self, state: type[State], key: Any) -> State:
        """The entity with this key: ``get(Order, "A-1")``, ``get(Stock, ("mug", "main"))``.  Raises `NotFound`."""
        capability, stored = self._settings.key(state, key)
        row = self._storage.read([stored]).get(stored)
        if row is None:
            raise NotFound(capability.kind, stored[1])
        entity: State = self._settings.decode(row)
        return entity

    def find(
        self, state: type[State], *, limit: int = 100, after: tuple[str, str] | None = None, **where: str
    ) -> Page[State]:
        """Entities by their declared indexes, in order of their ids: ``find(Order, payment_status="paid")``."""
        return self._settings.page(self._storage.find(self._settings.query(state, where, limit, after)), limit)

    def history(self, state: type[Any], key: Any) -> list[Recorded]:
        """Everything that ever happened to one entity, oldest first."""
        _, stored = self._settings.key(state, key)
        recorded = list[Recorded]()
        while page := self._storage.history(stored, after=len(recorded)):
            recorded.extend(map(self._settings.recorded, page))
        return recorded

    def feed(self, after: int = 0, *, limit: int = 1000) -> list[Recorded]:
        """The events of all entities after a position, in commit order; none is ever skipped."""
        return [self._settings.recorded(entry) for entry in self._storage.feed(**self._settings.place(after, limit))]

    def reveal(self, personal: Personal[Any] | None, as_type: type[State]) -> State | None:
        """The value about a person, or None if the person was erased: ``reveal(order.ship_to, Address)``."""
        if personal is None:
            return None
        ref = _ref(personal)
        doc = self._storage.personal([ref]).get(ref)
        return None if doc is None else from_json(doc, as_type)

    def erase(self, subject: str) -> int:
        """Forget everything personal that is kept under a customer's name; answers how many values."""
        return self._storage.erase(check_text(subject, "subject"))

    def settle(self, order_id: str) -> Order:
        """Do what is due for this order now: effects and later commands.  Answers the order as it stands then."""
        _alone(self._storage)
        check_id(order_id, "order_id")
        self.get(Order, order_id)
        self._run(self._operator.worker.due_work(order_id))
        return self.get(Order, order_id)

    def run_due(self) -> Report:
        """Do everything that is due now, for all orders, until nothing is.  Any number of workers may."""
        _alone(self._storage)
        report: Report = self._run(self._operator.worker.due_work())
        return report

    @property
    def effects(self) -> Effects:
        """What is due, what is stuck, and what the providers' books say."""
        return Effects(self._operator, self._run)

    def receive_webhook(
        self, gateway: str, headers: Mapping[str, str], body: bytes, *, family: str = "gateways"
    ) -> list[Message]:
        """Verify a webhook and store what it tells; once this answers, tell the sender that it has arrived.

        What was stored is applied by `run_due`, each notice once, whatever way and how often it comes.  Raises
        `WebhookRejected` where signature or form are wrong; nothing was stored then.
        """
        notices = self._settings.notices(family, gateway, headers, body)
        messages: list[Message] = self._run(self._operator.receive((family, gateway), notices))
        return messages

    def _run(self, steps: Generator[WorkRequest, Any, Any]) -> Any:
        answer: Any = None
        try:
            while True:
                answer = self._answer(steps.send(answer))
        except StopIteration as end:
            return end.value

    def _answer(self, request: WorkRequest) -> Any:
        match request:
            case Look(query=query):
                return self._storage.find(query)
            case Handle(commands=commands, by=by):
                _unclaimed(commands, self._storage)
                return self._handle(self._settings.work_jobs(commands, by))
            case Read(keys=keys):
                return self._storage.read(keys)
            case Reveal(refs=refs):
                return self._storage.personal(refs)
            case Listen(adapter=adapter, since=since, until=until, cursor=cursor):
                _alone(self._storage)
                return adapter.list(since, until, cursor)
            case Calls(calls=calls):
                return [drivers.call(call, self._settings.clock, self._settings.watch) for call in calls]
            case Time():
                return self._settings.clock.now()
            case Chance():
                return self._settings.chance.random()

    def close(self) -> None:
        """Close the store."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncOrderManagement:
    """One shop for asyncio.  Its store and adapters may be blocking or awaited, each as it is.

    A blocking store runs a whole attempt in one worker thread; a blocking adapter is called in a thread.
    """

    def __init__(
        self,
        *,
        storage: Storage | AsyncStorage,
        actor: str = "shop",
        gateways: Mapping[str, PaymentGateway] | None = None,
        carriers: Mapping[str, Carrier] | None = None,
        ports: Mapping[str, Any] | None = None,
        items: Items | None = None,
        addresses: Addresses | None = None,
        taxes: TaxRates | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        capabilities: Sequence[Capability[Any]] = DEFAULT_CAPABILITIES,
        reactions: Sequence[Reaction] = (),
        policies: Sequence[NamedPolicy] = (),
        chance: random.Random | None = None,
        secret: bytes = b"",
        installation: str = "",
        deadline: timedelta = DEADLINE,
        lease: timedelta = LEASE,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._settings = _settings(
            capabilities=capabilities,
            gateways=gateways,
            carriers=carriers,
            ports=ports,
            items=items,
            addresses=addresses,
            taxes=taxes,
            clock=clock,
            ids=ids,
            actor=actor,
            reactions=reactions,
            policies=policies,
            chance=chance,
            secret=secret,
            installation=installation,
            deadline=deadline,
            lease=lease,
            observers=observers,
        )
        _store(storage)
        self._storage = storage
        self._operator = self._settings.operator
        self._awaits = isinstance(storage, AsyncStorage)
        self._checked = False

    @property
    def storage(self) -> Storage | AsyncStorage:
        """The store behind it."""
        return self._storage

    @property
    def assembly(self) -> Assembly:
        """Its capabilities, rules and reactions, as tables."""
        return self._settings.assembly

    async def _store(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the store, which may block or be awaited."""
        ask = getattr(self._storage, method)
        if self._awaits:
            return await ask(*args, **kwargs)
        return await asyncio.to_thread(ask, *args, **kwargs)

    async def _open(self) -> None:
        if not self._checked:
            _whole(await self._store("read", [UNFINISHED]))
            for capability in self._settings.assembly.capabilities:
                self._settings.check_statuses(capability, await self._store("statuses", capability.kind))
            self._checked = True

    async def handle(self, command: Command[State], *, by: str | None = None, command_id: str | None = None) -> State:
        """See `OrderManagement.handle`.  Cancelled while it waits, it has happened as a whole or not at all."""
        results = await self._handle([await self._job(command, by, command_id)])
        state: State = results[0].unwrap()
        return state

    def within(self, connection: object) -> AsyncOrderManagement:
        """See `OrderManagement.within`: here with a connection that is awaited, such as psycopg's `AsyncConnection`."""
        if not self._awaits:
            raise Misconfigured(
                f"{type(self._storage).__name__} works in threads of its own, which cannot share your connection; use "
                "OrderManagement.within in the thread that has it"
            )
        shop = copy.copy(self)
        shop._storage = _joined(self._storage, connection)  # noqa: SLF001 - a copy of ourselves
        return shop

    async def prepared(self, command: Command[Any], *, by: str | None = None, command_id: str | None = None) -> Job:
        """See `OrderManagement.prepared`."""
        return await self._job(command, by, command_id)

    async def decide(self, jobs: Sequence[Job]) -> Sequence[Result]:
        """See `OrderManagement.decide`; `AsyncBatcher` is built on it."""
        return await self._handle(jobs)

    async def _job(self, command: Command[Any], by: str | None, command_id: str | None) -> Job:
        # The host's catalogue may ask a database, so it is not asked on the event loop.
        settings = self._settings
        if not isinstance(settings.items, AnyItem) or settings.addresses is not None or settings.taxes is not None:
            return await asyncio.to_thread(self._settings.job, command, by, command_id)
        return self._settings.job(command, by, command_id)

    async def handle_many(
        self,
        commands: Iterable[Command[Any] | tuple[Command[Any], str]],
        *,
        by: str | None = None,
        together: bool = False,
    ) -> list[Any]:
        """See `OrderManagement.handle_many`."""
        results = await self._handle(await asyncio.to_thread(self._settings.jobs, commands, by, together=together))
        return [result.state if result.error is None else result.error for result in results]

    async def handle_all(
        self,
        commands: Iterable[Command[Any] | tuple[Command[Any], str]],
        *,
        by: str | None = None,
        batch: int = BATCH,
    ) -> AsyncIterator[Any]:
        """See `OrderManagement.handle_all`."""
        if not is_listed(commands):
            raise InvalidInput(f"handle_all takes many commands, in a list or as they come (got {shorten(commands)})")
        rest = iter(commands)
        size = _batch(batch)
        while some := list(islice(rest, size)):
            for answer in await self.handle_many(some, by=by):
                yield answer

    async def _handle(self, jobs: Sequence[Job]) -> Sequence[Result]:
        if not jobs:
            return ()
        await self._open()
        settings = self._settings
        if isinstance(self._storage, AsyncStorage):
            return await drivers.handle_async(
                settings.assembly, self._storage, settings.clock, settings.chance, jobs, settings.watch
            )
        return await asyncio.to_thread(
            drivers.handle, settings.assembly, self._storage, settings.clock, settings.chance, jobs, settings.watch
        )

    async def preview(self, command: Command[Any], *, by: str | None = None) -> Preview:
        """See `OrderManagement.preview`."""
        settings = self._settings
        steps = drivers.rehearse(settings.assembly, settings.clock, await self._job(command, by, None))
        try:
            keys = next(steps)
            while True:
                keys = steps.send(await self._store("read", keys))
        except StopIteration as end:
            return settings.preview(*end.value)

    @property
    def policies(self) -> Policies:
        """See `OrderManagement.policies`."""
        return self._settings.assembly.policies

    async def allowed(self, order_id: str, *, by: str | None = None) -> Allowances:
        """See `OrderManagement.allowed`."""
        steps = self._settings.allowances(order_id, by)
        rows: Any = None
        while True:
            # In a thread, because the host's ports may be asked.
            keys, found = await asyncio.to_thread(_step, steps, rows)
            if keys is None:
                answer: Allowances = found
                return answer
            rows = await self._store("read", keys)

    async def request_approval(
        self, command: Command[Any], *, by: str | None = None, note: str = "", valid_for: timedelta = APPROVAL_VALID
    ) -> Approval:
        """See `OrderManagement.request_approval`."""
        settings = self._settings
        job = await self._job(command, by, None)
        try:
            await self.preview(command, by=by)
        except NeedsApproval as needs:
            about = settings.assembly.target(job.command)
            row = (await self._store("read", [about])).get(about)
            return await self.handle(settings.approval(needs, job, row, note, valid_for), by=by)
        raise ApprovalNotNeeded(type(command).__name__)

    async def get(self, state: type[State], key: Any) -> State:
        """See `OrderManagement.get`."""
        capability, stored = self._settings.key(state, key)
        row = (await self._store("read", [stored])).get(stored)
        if row is None:
            raise NotFound(capability.kind, stored[1])
        entity: State = self._settings.decode(row)
        return entity

    async def find(
        self, state: type[State], *, limit: int = 100, after: tuple[str, str] | None = None, **where: str
    ) -> Page[State]:
        """See `OrderManagement.find`."""
        found = await self._store("find", self._settings.query(state, where, limit, after))
        return self._settings.page(found, limit)

    async def history(self, state: type[Any], key: Any) -> list[Recorded]:
        """See `OrderManagement.history`."""
        _, stored = self._settings.key(state, key)
        recorded = list[Recorded]()
        while page := await self._store("history", stored, after=len(recorded)):
            recorded.extend(map(self._settings.recorded, page))
        return recorded

    async def feed(self, after: int = 0, *, limit: int = 1000) -> list[Recorded]:
        """See `OrderManagement.feed`."""
        page = await self._store("feed", **self._settings.place(after, limit))
        return [self._settings.recorded(entry) for entry in page]

    async def reveal(self, personal: Personal[Any] | None, as_type: type[State]) -> State | None:
        """See `OrderManagement.reveal`."""
        if personal is None:
            return None
        ref = _ref(personal)
        doc = (await self._store("personal", [ref])).get(ref)
        return None if doc is None else from_json(doc, as_type)

    async def erase(self, subject: str) -> int:
        """See `OrderManagement.erase`."""
        erased: int = await self._store("erase", check_text(subject, "subject"))
        return erased

    async def settle(self, order_id: str) -> Order:
        """See `OrderManagement.settle`."""
        _alone(self._storage)
        check_id(order_id, "order_id")
        await self.get(Order, order_id)
        await self._run(self._operator.worker.due_work(order_id))
        return await self.get(Order, order_id)

    async def run_due(self) -> Report:
        """See `OrderManagement.run_due`."""
        _alone(self._storage)
        report: Report = await self._run(self._operator.worker.due_work())
        return report

    @property
    def effects(self) -> AsyncEffects:
        """See `OrderManagement.effects`."""
        return AsyncEffects(self._operator, self._run)

    async def receive_webhook(
        self, gateway: str, headers: Mapping[str, str], body: bytes, *, family: str = "gateways"
    ) -> list[Message]:
        """See `OrderManagement.receive_webhook`."""
        notices = await asyncio.to_thread(self._settings.notices, family, gateway, headers, body)
        messages: list[Message] = await self._run(self._operator.receive((family, gateway), notices))
        return messages

    async def _run(self, steps: Generator[WorkRequest, Any, Any]) -> Any:
        answer: Any = None
        try:
            while True:
                answer = await self._answer(steps.send(answer))
        except StopIteration as end:
            return end.value

    async def _answer(self, request: WorkRequest) -> Any:
        match request:
            case Look(query=query):
                return await self._store("find", query)
            case Handle(commands=commands, by=by):
                _unclaimed(commands, self._storage)
                return await self._handle(self._settings.work_jobs(commands, by))
            case Read(keys=keys):
                return await self._store("read", keys)
            case Reveal(refs=refs):
                return await self._store("personal", refs)
            case Listen(adapter=adapter, since=since, until=until, cursor=cursor):
                _alone(self._storage)
                listing = await asyncio.to_thread(adapter.list, since, until, cursor)
                return await listing if inspect.isawaitable(listing) else listing
            case Calls(calls=calls):
                # Lanes are independent, so their calls go out together.
                settings = self._settings
                return await asyncio.gather(
                    *(drivers.call_async(call, settings.clock, settings.watch) for call in calls)
                )
            case Time():
                return self._settings.clock.now()
            case Chance():
                return self._settings.chance.random()

    async def close(self) -> None:
        """Close the store."""
        await self._store("close")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
