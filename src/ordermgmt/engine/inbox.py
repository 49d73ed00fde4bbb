"""The inbox: what providers tell by themselves.  Stored first, then acknowledged, then applied, each once.

received ──apply──▶ applied        a notice that fits no effect and no entity yet is looked at again for a time, or
└──give_up──▶ given_up         while its provider may have done what we do not know of; then it becomes a
                               discrepancy: never dropped
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from operator import attrgetter
from typing import Any, ClassVar

from pendulum import DateTime
from statemachine import State, StateMachine

from ..values import frozen
from .capability import Capability, Rule, Seen, changed, evolved, on, require, story
from .codec import Frozen
from .instants import to_text
from .lifecycle import Lifecycle
from .messages import Command, Disagreement, Event, News, Replies

KIND = "inbox"
TRIES_MAX = 10
TRY_AGAIN_AFTER = timedelta(minutes=1)


class InboxChart(StateMachine):
    """A notice is applied once, or after many tries given up to a person."""

    received = State(initial=True)
    applied = State(final=True)
    given_up = State(final=True)

    apply = received.to(applied)
    give_up = received.to(given_up)


INBOX = Lifecycle.of(InboxChart)


@frozen(kw_only=True)
class Message:
    """One notice of a provider, as it came."""

    message_id: str
    source: tuple[str, str]
    """Which adapter it came through: ``("gateways", "card")``."""
    event_id: str
    key: str
    reference: str
    answer: str
    code: str
    result: tuple[Frozen, ...]
    status: str
    due: DateTime
    tries: int = 0
    received_at: DateTime | None = None

    @property
    def last_try(self) -> bool:
        """True where it is given up if it still fits nothing."""
        return self.tries + 1 >= TRIES_MAX


@frozen(kw_only=True)
class MessageReceived(Event):
    """A provider told something."""

    message: Message


@frozen(kw_only=True)
class MessageContradicted(Event):
    """The same notice came again with other content."""

    event_id: str


@frozen(kw_only=True)
class MessageApplied(Event):
    """It was understood, and what it tells is recorded."""

    trigger: ClassVar[str | None] = "apply"


@frozen(kw_only=True)
class MessageKept(Event):
    """It fits nothing we know of, yet."""

    due: DateTime


@frozen(kw_only=True)
class MessageGivenUp(Event):
    """It fits nothing we know of, after many tries."""

    trigger: ClassVar[str | None] = "give_up"


@frozen(kw_only=True)
class ReceiveMessage(Command[Message]):
    """Store a notice.  The same one is stored once."""

    message: Message


@frozen(kw_only=True)
class ApplyMessage(News[Message]):
    """Record what a notice tells."""

    message_id: str
    news: tuple[News[Any], ...]


@frozen(kw_only=True)
class KeepMessage(News[Message]):
    """A notice fits nothing yet: look at it again later."""

    message_id: str
    tries: int
    """How often it had been tried when this was asked: a later try is judged anew."""
    in_doubt: bool = False
    """True while nobody knows what became of something that was sent to its provider before it came.  It may tell of
    that, under a name that is not known here yet, and is not given up before that is settled."""


def message_id(source: tuple[str, str], event_id: str) -> str:
    """The id of a notice: the same for every delivery of it."""
    return hashlib.sha256("|".join((*source, event_id)).encode()).hexdigest()[:40]


def _receive(command: ReceiveMessage, state: Message | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    new = command.message
    if state is None:
        yield MessageReceived(message=changed(new, due=at, received_at=at))
    elif (state.key, state.reference, state.answer, state.result) != (new.key, new.reference, new.answer, new.result):
        yield MessageContradicted(event_id=new.event_id)


def _apply(command: ApplyMessage, state: Message | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    message = require(state, KIND, command.message_id)
    if message.status == "received":
        yield MessageApplied()


def _news_of(command: ApplyMessage, events: tuple[Event, ...]) -> Replies:
    return command.news if events else ()


def _keep(command: KeepMessage, state: Message | None, seen: Seen, at: DateTime) -> Iterable[Event]:
    message = require(state, KIND, command.message_id)
    if message.status != "received" or message.tries != command.tries:
        return
    if message.last_try and not command.in_doubt:
        yield MessageGivenUp()
    else:
        yield MessageKept(due=at + TRY_AGAIN_AFTER * 2 ** min(message.tries, TRIES_MAX - 1))


def _tell_of_contradiction(event: MessageContradicted, message: Message) -> Replies:
    yield Disagreement(f"notice {event.event_id} of {'/'.join(message.source)} came again with other content")


def _tell_of_stranger(event: MessageGivenUp, message: Message) -> Replies:
    yield Disagreement(
        f"notice {message.event_id} of {'/'.join(message.source)} fits nothing we know of "
        f"(reference {message.reference or 'none'})"
    )


_by_id: Callable[[Any], str] = attrgetter("message_id")


MESSAGES = Capability(
    kind=KIND,
    state=Message,
    lifecycle=INBOX,
    rules={
        ReceiveMessage: Rule(_receive, lambda command: command.message.message_id),
        ApplyMessage: Rule(_apply, _by_id, then=_news_of),
        KeepMessage: Rule(_keep, _by_id),
    },
    evolve={
        MessageReceived: lambda state, e: changed(e.message, status=e.status or "received"),
        MessageContradicted: evolved,
        MessageApplied: evolved,
        MessageKept: lambda state, e: evolved(state, e, due=e.due, tries=state.tries + 1),
        MessageGivenUp: evolved,
    },
    reactions=story(
        on(MessageContradicted, _tell_of_contradiction),
        on(MessageGivenUp, _tell_of_stranger),
    ),
    indexes={
        "status": lambda message: message.status,
        "due": lambda message: to_text(message.due) if message.status == "received" else None,
    },
    identify=str,
    last=True,
)
