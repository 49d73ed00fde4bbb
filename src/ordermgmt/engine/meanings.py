"""What adapters say, and what it means for the business: answers to what we asked, and notices that come unasked.

All of it comes from outside and may be anything, so what cannot be read counts as not said.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import timedelta
from typing import Any

from .assembly import Assembly
from .codec import Opaque
from .effects import STUCK, Declined, Intent, Outcome, Pending, RetryLater, SettleEffect, Succeeded, Unknown
from .inbox import Message
from .messages import Effect, News
from .transaction import Found, Query
from .work_requests import Look, WorkRequest

IN_DOUBT_MAX = 64
"""How many effects in doubt are looked at; where there are more, one of them may be the one."""
AGAIN_AFTER_MAX = timedelta(days=3650)
"""How long a provider may put its answer off; further away no calendar may reach."""


# Answers.


def sound(answer: Outcome) -> bool:
    """Whether its fields are of their types: attrs does not look, and a wrong one would only fail where it is saved."""
    match answer:
        case RetryLater(after=wait):
            return isinstance(wait, timedelta)
        case Pending(reference=reference, again_after=wait):
            return isinstance(wait, timedelta) and abs(wait) <= AGAIN_AFTER_MAX and isinstance(reference, str)
        case Succeeded(reference=reference):
            return isinstance(reference, str)
        case Declined(code=code, message=message):
            return isinstance(code, str) and isinstance(message, str)
        case Unknown(cause=cause):
            return isinstance(cause, str)


def news_of(assembly: Assembly, request: Effect, outcome: Outcome) -> tuple[News[Any], ...] | None:
    """What an outcome means for the business, in the words of the capability that wanted the effect.

    None where the adapter's result cannot be read.
    """
    capability = assembly.effects.get(type(request))
    told = capability.answers.get(type(request)) if capability is not None else None
    return _read(lambda: told(request, outcome)) if told is not None else ()


def _read(told: Callable[[], Iterable[News[Any]]]) -> tuple[News[Any], ...] | None:
    try:
        return tuple(told())
    except Exception:  # noqa: BLE001 - the result comes from outside, and may be anything
        return None


# Notices.


def meaning_of(assembly: Assembly, message: Message) -> Generator[WorkRequest, Any, tuple[News[Any], ...]]:
    """What a notice means: the settlement of an effect of ours, or news of something that has its reference."""
    result = tuple(assembly.codec.thaw(one) for one in message.result)
    if message.key:
        found: Sequence[Found] = yield Look(Query(kind="effect", equal={"key": (message.key,)}, limit=1))
        for one in found:
            intent = assembly.codec.look(one.row.doc)
            if isinstance(intent, Intent) and intent.port == message.source:
                return _settlement(assembly, intent, message, result)
    hearing = assembly.hearing.get(message.source[0])
    if hearing is None or not message.reference or message.answer != "succeeded":
        return ()
    capability, hears = hearing
    found = yield Look(Query(kind=capability.kind, equal={hears.index: (message.reference,)}, limit=2))
    states = [assembly.codec.look(one.row.doc) for one in found]
    if (
        len(states) != 1
        or not isinstance(states[0], capability.state)
        or not hears.belongs(states[0], message.source[1])
    ):
        return ()
    return _read(lambda: hears.told(states[0], result)) or ()


def _settlement(assembly: Assembly, intent: Intent, message: Message, result: tuple[Any, ...]) -> tuple[News[Any], ...]:
    request = assembly.codec.thaw(intent.request)
    if isinstance(request, Opaque) or message.answer == "pending":
        return ()
    outcome: Succeeded | Declined = (
        Declined(message.code) if message.answer == "declined" else Succeeded(result, message.reference)
    )
    news = news_of(assembly, request, outcome)
    if news is None:
        return ()
    return (SettleEffect(effect_id=intent.effect_id, token=None, outcome=outcome, news=news),)


def in_doubt(assembly: Assembly, message: Message) -> Generator[WorkRequest, Any, bool]:
    """Whether its provider may have done something by then that we do not know of.  Asked where it matters."""
    if not message.last_try or message.received_at is None:
        return False
    doubtful = {"port": ("/".join(message.source),), "status": ("sending", *STUCK)}
    found: Sequence[Found] = yield Look(Query(kind="effect", equal=doubtful, limit=IN_DOUBT_MAX))
    intents = [assembly.codec.look(one.row.doc) for one in found]
    return len(found) == IN_DOUBT_MAX or any(
        isinstance(one, Intent) and one.first_sent is not None and one.first_sent <= message.received_at
        for one in intents
    )
