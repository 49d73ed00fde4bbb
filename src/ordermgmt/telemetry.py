"""OpenTelemetry spans of what a shop does: an observer, for `OrderManagement(observers=[Spans()])`.

Needs the extra `opentelemetry`; the library itself never imports it.
"""

from __future__ import annotations

import time

from .engine.observing import CommandHandled, Committed, Conflicted, EffectAttempted, Observed
from .errors import MissingExtra

try:
    from opentelemetry import trace
except ImportError as problem:
    raise MissingExtra("spans need OpenTelemetry: pip install 'ordermgmt[opentelemetry]'") from problem

from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

__all__ = ["Spans"]

PREFIX = "ordermgmt."


class Spans:
    """Makes a span of every command, commit and call of an adapter, under the span that is current for the caller.

    A conflict is an event on the current span.  Attributes are types, ids, numbers: never names, amounts or texts.
    A refusal is no error of the system: its span says what was refused, and its status stays unset.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """With the global tracer provider, or this one."""
        self._tracer: Tracer = trace.get_tracer("ordermgmt", tracer_provider=provider)

    def __call__(self, observed: Observed, /) -> None:
        """Tell OpenTelemetry of it."""
        match observed:
            case CommandHandled():
                told: dict[str, AttributeValue] = {
                    "kind": observed.kind,
                    "id": observed.id,
                    "changed": observed.changed,
                    "batch": observed.batch,
                }
                if observed.command_id:
                    told["command_id"] = observed.command_id
                if observed.error:
                    told["error"] = observed.error
                self._span(f"handle {observed.command}", observed.seconds, told).end()
            case Committed():
                told = {"commands": observed.commands, "rows": observed.rows, "events": observed.events}
                self._span("commit", observed.seconds, told).end()
            case EffectAttempted():
                told = {
                    "effect_id": observed.effect_id,
                    "port": "/".join(observed.port),
                    "outcome": observed.outcome,
                    "attempt": observed.attempt,
                }
                what = "look up" if observed.lookup else "send"
                span = self._span(f"{what} {observed.effect}", observed.seconds, told)
                if observed.outcome in ("Unknown", "CannotTell"):
                    span.set_status(Status(StatusCode.ERROR, observed.outcome))
                span.end()
            case Conflicted():
                rows = ["/".join(key) for key in observed.keys]
                told = {PREFIX + "attempt": observed.attempt, PREFIX + "rows": rows}
                trace.get_current_span().add_event("ordermgmt.conflict", told)
            case _:  # pragma: no cover - there are no others
                raise AssertionError(observed)

    def _span(self, name: str, seconds: float, told: dict[str, AttributeValue]) -> Span:
        """It is told of when it is over, so it began so many seconds ago."""
        begun = time.time_ns() - int(seconds * 1e9)
        return self._tracer.start_span(
            name, start_time=begun, attributes={PREFIX + key: value for key, value in told.items()}
        )
