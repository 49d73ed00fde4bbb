"""How the fake payment provider writes: JSON in its answers, its lists and its webhooks.

Reading is strict: whatever is not exactly of this form raises `Malformed`, and whoever reads decides what that means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, cast

from pendulum import DateTime

from ...engine.adapters import Listing, Notice
from ...engine.effects import Declined, Outcome, Pending, RetryLater, Succeeded
from ...engine.instants import from_text, to_text
from ...money import Money
from ...payments.messages import Authorise, Capture, PaymentEffect, Void
from ...payments.model import FACT_KINDS, Fact
from ...refunds.messages import SendRefund
from ...shipments.model import DELIVERED, IN_TRANSIT, UNDELIVERABLE, Label, Scan


class Malformed(ValueError):
    """What was sent is not of the form that was agreed."""


SCAN_KINDS = (IN_TRANSIT, DELIVERED, UNDELIVERABLE)
VERBS: Mapping[str, type[PaymentEffect]] = {
    "authorise": Authorise,
    "capture": Capture,
    "void": Void,
    "refund": SendRefund,
}


def written(value: object) -> bytes:
    """JSON, as short as it goes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read(body: bytes) -> dict[str, Any]:
    """A JSON object.  NaN and Infinity, keys told twice and other surprises raise `Malformed`."""
    try:
        value = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError as problem:
        raise Malformed("nested too deeply") from problem
    except ValueError as problem:
        raise Malformed("no JSON") from problem
    if not isinstance(value, dict):
        raise Malformed("not an object")
    return cast("dict[str, Any]", value)


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise Malformed("a key is told twice")
    return told


def text(doc: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A field that must be text."""
    value = doc.get(name, default)
    if not isinstance(value, str):
        raise Malformed(f"{name} is no text")
    return value


def whole(doc: Mapping[str, Any], name: str) -> int:
    """A field that must be a whole number."""
    value: Any = doc.get(name)
    if value.__class__ is not int or not 0 <= value < 10**15:
        raise Malformed(f"{name} is no whole number")
    return int(value)


def several(doc: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that must be a list of objects."""
    value: Any = doc.get(name)
    if value.__class__ is not list or not all(one.__class__ is dict for one in value):
        raise Malformed(f"{name} is no list of objects")
    rows: list[dict[str, Any]] = value
    return rows


def fact_doc(value: Any) -> dict[str, Any]:
    """A fact, a scan or a label as JSON."""
    match value:
        case Fact():
            at = to_text(value.occurred_at) if value.occurred_at is not None else ""
            return {
                "kind": value.kind,
                "transaction_id": value.transaction_id,
                "minor": value.minor,
                "currency": value.currency,
                "occurred_at": at,
            }
        case Scan():
            return {"scan": value.kind, "occurred_at": to_text(value.occurred_at), "note": value.note}
        case Label():
            return {"label": value.tracking_number, "url": value.tracking_url, "reference": value.reference}
        case _:
            raise Malformed(f"{type(value).__name__} is nothing a provider tells")


def read_fact(doc: Mapping[str, Any]) -> Fact | Scan | Label:
    """A fact, a scan or a label from JSON."""
    if "label" in doc:
        return Label(
            tracking_number=text(doc, "label"), tracking_url=text(doc, "url"), reference=text(doc, "reference")
        )
    kind = text(doc, "scan" if "scan" in doc else "kind")
    at = text(doc, "occurred_at")
    if "scan" in doc and kind in SCAN_KINDS:
        return Scan(kind=kind, occurred_at=from_text(at), note=text(doc, "note"))
    if kind not in FACT_KINDS:
        raise Malformed("nothing of this kind is known")
    return Fact(
        kind=kind,
        transaction_id=text(doc, "transaction_id"),
        minor=whole(doc, "minor"),
        currency=text(doc, "currency"),
        occurred_at=from_text(at) if at else None,
    )


def notice_doc(notice: Notice) -> dict[str, Any]:
    """A notice as JSON."""
    return {
        "id": notice.event_id,
        "key": notice.key,
        "reference": notice.reference,
        "answer": notice.answer,
        "code": notice.code,
        "result": [fact_doc(value) for value in notice.result],
    }


def read_notice(doc: Mapping[str, Any]) -> Notice:
    """A notice from JSON."""
    return Notice(
        event_id=text(doc, "id"),
        key=text(doc, "key"),
        reference=text(doc, "reference"),
        answer=text(doc, "answer"),
        code=text(doc, "code"),
        result=tuple(read_fact(one) for one in several(doc, "result")),
    )


def listing_doc(listing: Listing) -> dict[str, Any]:
    """A page of the books as JSON."""
    return {"events": [notice_doc(notice) for notice in listing.notices], "cursor": listing.cursor}


def read_listing(doc: Mapping[str, Any]) -> Listing:
    """A page of the books from JSON."""
    cursor = doc.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise Malformed("cursor is no text")
    return Listing(tuple(read_notice(one) for one in several(doc, "events")), cursor)


def request_doc(request: PaymentEffect) -> dict[str, Any]:
    """What is asked of the provider, as JSON."""
    verb = next(name for name, cls in VERBS.items() if type(request) is cls)
    more: dict[str, Any] = {}
    match request:
        case Authorise():
            more = {"token": request.token, "sale": request.sale}
        case Capture() | Void():
            more = {"authorisation": request.authorisation}
        case SendRefund():
            more = {"authorisation": request.authorisation, "refund_id": request.refund_id}
        case _:
            pass
    return {
        "verb": verb,
        "payment_id": request.payment_id,
        "order_id": request.order_id,
        "gateway": request.gateway,
        "ask": request.ask,
        "minor": request.amount.minor,
        "currency": request.amount.currency,
        **more,
    }


def read_request(doc: Mapping[str, Any]) -> PaymentEffect:
    """What is asked of the provider, from JSON."""
    verb = text(doc, "verb")
    if verb not in VERBS:
        raise Malformed("this is nothing a payment provider does")
    more: dict[str, Any] = {}
    if verb == "authorise":
        if not isinstance(doc.get("sale"), bool):
            raise Malformed("sale is neither true nor false")
        more = {"token": text(doc, "token"), "sale": doc["sale"]}
    else:
        more = {"authorisation": text(doc, "authorisation")}
    if verb == "refund":
        more["refund_id"] = text(doc, "refund_id")
    return VERBS[verb](
        payment_id=text(doc, "payment_id"),
        order_id=text(doc, "order_id"),
        gateway=text(doc, "gateway"),
        ask=whole(doc, "ask"),
        amount=Money.of_minor(whole(doc, "minor"), text(doc, "currency")),
        **more,
    )


def outcome_doc(outcome: Outcome) -> tuple[int, dict[str, str], dict[str, Any]]:
    """An outcome as an HTTP answer: status, headers and JSON."""
    match outcome:
        case Succeeded(result=result, reference=reference):
            facts: Sequence[Any] = result or ()
            return 200, {}, {"status": "succeeded", "reference": reference, "result": [fact_doc(f) for f in facts]}
        case Pending(reference=reference, again_after=after):
            return 202, {}, {"status": "pending", "reference": reference, "again_after": after.total_seconds()}
        case Declined(code=code, message=message):
            return 402, {}, {"error": {"type": "declined", "code": code, "message": message}}
        case RetryLater(after=after):
            wait = str(int(after.total_seconds()))
            return 429, {"Retry-After": wait}, {"error": {"type": "rate_limit", "code": "", "message": ""}}
        case _:
            return 500, {}, {"error": {"type": "api_error", "code": "", "message": ""}}


def read_answer(doc: Mapping[str, Any]) -> Succeeded | Pending:
    """What was done, or taken on, from the body of a good HTTP answer."""
    match text(doc, "status"):
        case "succeeded":
            facts = tuple(read_fact(one) for one in several(doc, "result"))
            return Succeeded(result=facts, reference=text(doc, "reference"))
        case "pending":
            seconds = doc.get("again_after")
            if not isinstance(seconds, int | float):
                raise Malformed("again_after is no number")
            return Pending(reference=text(doc, "reference"), again_after=timedelta(seconds=seconds))
        case _:
            raise Malformed("this is no status of a request")


def moment(doc_text: str) -> DateTime:
    """An instant from a query string."""
    return from_text(doc_text)
