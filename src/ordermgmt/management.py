"""The front door: one shop.  Calls block.

`AsyncOrderManagement` (`async_management`) puts the same engine behind the same names.  What differs is only who waits:
everything that is decided in between is one and the same code.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Self, TypeVar

from .engine import drivers
from .engine.allowing import Allowances
from .engine.approvals import Approval, ApprovalNotNeeded, NeedsApproval
from .engine.assembly import Assembly
from .engine.capability import Capability, Reaction
from .engine.codec import from_json
from .engine.inbox import Message
from .engine.messages import Command, Personal, check_id, check_text, is_listed, shorten
from .engine.observing import Observer
from .engine.policies import NamedPolicy, Policies
from .engine.ports import Clock, Ids
from .engine.requests import Job, Result
from .engine.transaction import UNFINISHED, Key, Storage
from .engine.work_requests import Calls, Chance, Handle, Listen, Look, Read, Report, Reveal, Time, WorkRequest
from .errors import InvalidInput, Misconfigured, NotFound
from .operations import Effects
from .orders.model import Order
from .orders.port import Addresses, Items
from .payments.port import PaymentGateway
from .pricing.port import TaxRates
from .settings import (
    APPROVAL_VALID,
    BATCH,
    DEADLINE,
    DEFAULT_CAPABILITIES,
    LEASE,
    Page,
    Preview,
    Recorded,
    check_alone,
    check_store,
    check_unclaimed,
    check_whole,
    checked_batch,
    joined_to,
    ref_of,
)
from .shipments.port import Carrier
from .wiring import settings_of

State = TypeVar("State")
Answer = TypeVar("Answer")


class OrderManagement:
    """One shop: its orders, stock, payments, parcels and refunds, in one store.  Calls block; threads may share it.

    Args:
        storage: Where everything is kept: `SqliteStorage("shop.db")`, `MemoryStorage()`, or a store of your own.
        actor: Who is recorded as asking, where a call does not say.
        gateways: Payment providers by name; a `Tender` names one.
        carriers: Carriers by name; `PlaceOrder(carrier=…)` names one.
        ports: Adapters for effects of your own, by name: ``{"mail": …}`` serves the port ``("ports", "mail")``.
        items: Your catalogue; by default every SKU exists and is stocked.
        addresses: Your validator of addresses; by default every address is taken as it is.
        taxes: Your tax rates, by tax class and destination: a `TaxTable`, or a service of yours.
        clock: The time; a `ManualClock` in tests.
        ids: Fresh ids; `ManualIds` in tests.
        capabilities: What the shop can do.  Put redrawn ones and your own in here.
        reactions: What else is to follow from events, after the capabilities' own reactions.
        policies: Rules of your own that may refuse any command (but not news, which is never refused).
        chance: Randomness for waiting times; a seeded one in tests.
        secret: Makes idempotency keys unguessable.  Set it before the first effect and never change it.
        installation: The name of this deployment.  Effects planned under another name are left alone, so that a copy
            of the database sends nothing.
        deadline: How long one call of an adapter may take.
        lease: How long a call may go unanswered before its outcome counts as unknown; longer than the deadline.
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
        self._settings = settings_of(
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
        check_store(storage)
        if getattr(storage, "awaits", False):
            raise Misconfigured(f"{type(storage).__name__} is awaited; use it with AsyncOrderManagement")
        self._storage = storage
        self._operator = self._settings.operator
        check_whole(storage.read([UNFINISHED]))
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
        """Do what the command asks, durably, all of it or nothing; returns its entity as it stands afterwards.

        `by` is who asks, if not the shop's own actor.  With a `command_id` a retry is safe: the same command under
        the same id is decided once, and after that returns the entity as it is now or raises the same refusal.

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
        shop._storage = joined_to(self._storage, connection)  # noqa: SLF001 - a copy of ourselves
        return shop

    def prepared(self, command: Command[Any], *, by: str | None = None, command_id: str | None = None) -> Job:
        """The command as `decide` takes it: checked, its ids given, its items looked up.  Raises `InvalidInput`."""
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
        """Decide commands in order, in one commit.  Returns a list: for each its entity, or the error it met.

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
        size = checked_batch(batch)
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
        return settings.preview(*self._reading(steps))

    def _reading(self, steps: Generator[Sequence[Key], Any, Answer]) -> Answer:
        """What these steps come to, given the rows they ask for."""
        try:
            keys = next(steps)
            while True:
                keys = steps.send(self._storage.read(keys))
        except StopIteration as end:
            answer: Answer = end.value
            return answer

    @property
    def policies(self) -> Policies:
        """The host's own rules, in the order in which they are asked."""
        return self._settings.assembly.policies

    def allowed(self, order_id: str, *, by: str | None = None) -> Allowances:
        """Every command about an order, its payments and parcels: allowed now, or each reason against it.

        Nothing is saved and no lock is taken.  `by` is who would ask.  Raises `NotFound`.
        """
        return self._reading(self._settings.allowances(order_id, by))

    def request_approval(
        self, command: Command[Any], *, by: str | None = None, note: str = "", valid_for: timedelta = APPROVAL_VALID
    ) -> Approval:
        """Ask for a second person to approve exactly this command, for the entity as it stands now.

        Returns the approval; somebody else gives it with `Approve`, then the command is given again.  Raises
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
        self, state: type[State], /, *, limit: int = 100, after: tuple[str, str] | None = None, **where: str
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
        ref = ref_of(personal)
        doc = self._storage.personal([ref]).get(ref)
        return None if doc is None else from_json(doc, as_type)

    def erase(self, subject: str) -> int:
        """Forget everything personal that is kept under a customer's name; returns how many values that were."""
        return self._storage.erase(check_text(subject, "subject"))

    def settle(self, order_id: str) -> Order:
        """Do what is due for this order now: effects and later commands.  Returns the order as it stands then."""
        check_alone(self._storage)
        check_id(order_id, "order_id")
        self._run(self._operator.worker.due_work(order_id))
        return self.get(Order, order_id)

    def run_due(self) -> Report:
        """Do everything that is due now, for all orders, until nothing is.  Any number of workers may do so at once."""
        check_alone(self._storage)
        report: Report = self._run(self._operator.worker.due_work())
        return report

    @property
    def effects(self) -> Effects:
        """What is due, what is stuck, and what the providers' books say."""
        return Effects(self._operator, self._run)

    def receive_webhook(
        self, gateway: str, headers: Mapping[str, str], body: bytes, *, family: str = "gateways"
    ) -> list[Message]:
        """Verify a webhook and store what it says; once this returns, acknowledge it to the sender.

        What was stored is applied by `run_due`, each notice once, whichever way and however often it comes.  Raises
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
                check_unclaimed(commands, self._storage)
                return self._handle(self._settings.work_jobs(commands, by))
            case Read(keys=keys):
                return self._storage.read(keys)
            case Reveal(refs=refs):
                return self._storage.personal(refs)
            case Listen(adapter=adapter, since=since, until=until, cursor=cursor):
                check_alone(self._storage)
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
