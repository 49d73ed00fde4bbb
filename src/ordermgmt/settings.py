"""What both front doors share: the parts a shop is put together from, and how what callers give and get is read."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, overload

import attrs
from attrs import field
from pendulum import DateTime

from .changes import changes
from .engine import drivers
from .engine.adapters import Notice, WebhookRejected
from .engine.allowing import Allowances, allowances
from .engine.approvals import NeedsApproval, RequestApproval, requested
from .engine.assembly import Assembly
from .engine.capability import Capability
from .engine.codec import Opaque
from .engine.effects import ClaimEffect
from .engine.instants import from_text
from .engine.messages import Command, Event, Personal, check_id, check_page, check_text, is_listed, shorten
from .engine.observing import NOBODY, Watch
from .engine.operating import Operator
from .engine.ports import Clock, Ids
from .engine.requests import Job, Result
from .engine.transaction import AsyncStorage, Entry, Found, Key, Query, Row, Storage, joins
from .engine.working import Worker
from .errors import InvalidInput, Misconfigured, NotFound
from .orders import orders, references
from .orders.port import Addresses, Item, Items, checked_items
from .orders.prices import destination_of
from .payments import payments
from .pricing.port import TaxRates
from .refunds import refunds
from .shipments import shipments
from .stock import reservations, stock
from .values import frozen

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
class Settings:
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
        if carriers := self.assembly.ports.get("carriers"):  # a shop without any may be one that only sells
            answers |= {(port, key): key in carriers for port, key in lookups if port == "carriers"}
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
        check_text(family, "family")
        adapter = self.assembly.ports.get(family, {}).get(check_text(name, "the name of an adapter"))
        if adapter is None:
            raise NotFound(family.rstrip("s"), name)
        if not hasattr(adapter, "parse_webhook"):
            raise InvalidInput(f"the adapter {name!r} reads no webhooks: it has no parse_webhook")
        if not isinstance(body, bytes):
            raise InvalidInput(f"body must be the raw bytes that came (got {type(body).__name__})")
        if not isinstance(headers, Mapping):
            raise InvalidInput(f"headers must be a mapping of names to values (got {shorten(headers)})")
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


def checked_batch(batch: object) -> int:
    """How many commands go together, if that is a number a batch may have."""
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= BATCH_MAX:
        raise InvalidInput(f"batch must be 1 to {BATCH_MAX} (got {shorten(batch)})")
    return batch


def check_store(storage: object) -> None:
    """Raise `Misconfigured` for what is no store."""
    if isinstance(storage, type) or not hasattr(storage, "transaction"):
        raise Misconfigured(f"storage takes a store, such as SqliteStorage('shop.db') (got {shorten(storage)})")


def check_alone(storage: Storage | AsyncStorage) -> None:
    """Due work asks providers, and must know first that what it asks for is saved."""
    if joins(storage):
        raise Misconfigured(
            "this shop joins the host's transaction, and nothing is sent before that is committed; do due work after "
            "the commit, with a shop on the library's own connection"
        )


def check_whole(unfinished: Mapping[Key, Row]) -> None:
    """Raise `Misconfigured` for a store that is being filled and does not hold everything yet."""
    if unfinished:
        raise Misconfigured(
            "the store is being filled from an export and does not hold all of it yet; end that with the same file: "
            "`python -m ordermgmt import-store`"
        )


def joined_to(storage: Any, connection: object) -> Any:
    """The same store on a connection of the host's."""
    join = getattr(storage, "joined", None)
    if join is None:
        raise Misconfigured(
            f"{type(storage).__name__} cannot join a transaction of yours; use SqliteStorage or PostgresStorage"
        )
    return join(connection)


def check_unclaimed(commands: Sequence[Command[Any]], storage: Storage | AsyncStorage) -> None:
    """Whoever claims an effect is about to send it."""
    if any(isinstance(command, ClaimEffect) for command in commands):
        check_alone(storage)


def next_keys(steps: Generator[Any, Any, Allowances], rows: Any) -> tuple[Any, Any]:
    """The keys it wants next, or None and its answer."""
    try:
        return steps.send(rows), None
    except StopIteration as end:
        return None, end.value


def ref_of(personal: object) -> str:
    """Under which reference a personal value is kept."""
    told = shorten(personal)
    if not isinstance(personal, Personal) or not isinstance(personal.ref, str):
        raise InvalidInput(f"reveal takes what stands in an entity, such as order.ship_to (got {told})")
    return personal.ref
