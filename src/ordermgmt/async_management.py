"""The front door for asyncio: the same names as `OrderManagement`, awaited."""

from __future__ import annotations

import asyncio
import copy
import inspect
import random
from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
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
from .engine.transaction import UNFINISHED, AsyncStorage, Storage
from .engine.work_requests import Calls, Chance, Handle, Listen, Look, Read, Report, Reveal, Time, WorkRequest
from .errors import InvalidInput, Misconfigured, NotFound
from .operations import AsyncEffects
from .orders.model import Order
from .orders.port import Addresses, AnyItem, Items
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
    next_keys,
    ref_of,
)
from .shipments.port import Carrier
from .wiring import settings_of

State = TypeVar("State")


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
            check_whole(await self._store("read", [UNFINISHED]))
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
        shop._storage = joined_to(self._storage, connection)  # noqa: SLF001 - a copy of ourselves
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
        size = checked_batch(batch)
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
            keys, found = await asyncio.to_thread(next_keys, steps, rows)
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
        self, state: type[State], /, *, limit: int = 100, after: tuple[str, str] | None = None, **where: str
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
        ref = ref_of(personal)
        doc = (await self._store("personal", [ref])).get(ref)
        return None if doc is None else from_json(doc, as_type)

    async def erase(self, subject: str) -> int:
        """See `OrderManagement.erase`."""
        erased: int = await self._store("erase", check_text(subject, "subject"))
        return erased

    async def settle(self, order_id: str) -> Order:
        """See `OrderManagement.settle`."""
        check_alone(self._storage)
        check_id(order_id, "order_id")
        await self._run(self._operator.worker.due_work(order_id))
        return await self.get(Order, order_id)

    async def run_due(self) -> Report:
        """See `OrderManagement.run_due`."""
        check_alone(self._storage)
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
                check_unclaimed(commands, self._storage)
                return await self._handle(self._settings.work_jobs(commands, by))
            case Read(keys=keys):
                return await self._store("read", keys)
            case Reveal(refs=refs):
                return await self._store("personal", refs)
            case Listen(adapter=adapter, since=since, until=until, cursor=cursor):
                check_alone(self._storage)
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
