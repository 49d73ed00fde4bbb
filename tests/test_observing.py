"""What a shop tells of its work: to observers, to the log and to OpenTelemetry, by ids and types alone."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ordermgmt import (
    Address,
    AsyncOrderManagement,
    CommandHandled,
    Committed,
    Conflict,
    Conflicted,
    EffectAttempted,
    Line,
    Misconfigured,
    Money,
    Observed,
    OrderManagement,
    OutOfStock,
    PayNow,
    PlaceOrder,
    ReceiveStock,
    Tender,
)
from ordermgmt.storage import MemoryStorage
from ordermgmt.telemetry import Spans
from ordermgmt.testing import FakePayments

SECRETS = ("Ann Keller", "Torstr", "10119", "ann@example.com", "tok_visa", "1900", "9.50", "Mallory")
ANN = Address(name="Ann Keller", street="Torstr. 1", city="Berlin", postal_code="10119", country="DE")


def buy(order_id: str, quantity: int = 2) -> PlaceOrder:
    line = Line(sku="mug", quantity=quantity, unit_price=Money("9.50", "EUR"))
    pay = PayNow([Tender("card", token="tok_visa")])
    return PlaceOrder(order_id=order_id, lines=[line], pay=pay, ship_to=ANN, customer="ann@example.com")


def open_shop(*observers: Any, **more: Any) -> OrderManagement:
    settings: dict[str, Any] = {
        "storage": MemoryStorage(),
        "gateways": {"card": FakePayments()},
        "observers": observers,
    } | more
    shop = OrderManagement(**settings)
    shop.handle(ReceiveStock(sku="mug", quantity=10))
    return shop


def live(shop: OrderManagement) -> None:
    shop.handle(buy("A-1"), command_id="c-1", by="Mallory")
    with pytest.raises(OutOfStock):
        shop.handle(buy("A-2", 500))
    shop.run_due()


class TestObservers:
    def test_a_command_is_told_with_what_it_is_about_and_how_long_it_took(self) -> None:
        told: list[Observed] = []
        live(open_shop(told.append))
        (placed,) = [one for one in told if isinstance(one, CommandHandled) and one.id == "A-1"]
        assert (placed.command, placed.kind, placed.command_id, placed.error) == ("PlaceOrder", "order", "c-1", "")
        assert placed.changed
        assert 0 < placed.seconds < 60

    def test_a_refusal_is_told_by_its_type(self) -> None:
        told: list[Observed] = []
        live(open_shop(told.append))
        (refused,) = [one for one in told if isinstance(one, CommandHandled) and one.id == "A-2"]
        assert (refused.error, refused.changed) == ("OutOfStock", False)

    def test_a_commit_is_told_with_what_it_saved(self) -> None:
        told: list[Observed] = []
        shop = open_shop(told.append)
        shop.handle_many([ReceiveStock(sku="mug", quantity=1), ReceiveStock(sku="cup", quantity=1)])
        last = [one for one in told if isinstance(one, Committed)][-1]
        assert (last.commands, last.rows, last.events) == (2, 2, 2)

    def test_a_call_of_an_adapter_is_told_with_its_outcome(self) -> None:
        told: list[Observed] = []
        live(open_shop(told.append))
        (attempt,) = [one for one in told if isinstance(one, EffectAttempted)]
        assert (attempt.effect, attempt.port, attempt.outcome, attempt.attempt) == (
            "Authorise",
            ("gateways", "card"),
            "Succeeded",
            1,
        )
        assert not attempt.lookup

    def test_a_conflict_is_told_and_decided_again(self) -> None:
        class Racing(MemoryStorage):
            lost = False

            def _save(self, writes: Any) -> None:
                if not self.lost and any(write.row.key[0] == "order" for write in writes):
                    self.lost = True
                    raise Conflict((("stock", "mug"),))
                super()._save(writes)

        told: list[Observed] = []
        open_shop(told.append, storage=Racing()).handle(buy("A-1"))
        assert [one for one in told if isinstance(one, Conflicted)] == [Conflicted(keys=(("stock", "mug"),), attempt=1)]

    def test_nobody_is_told_while_rows_are_locked(self) -> None:
        storage = MemoryStorage()
        inside: list[bool] = []

        def look(_: Observed) -> None:
            inside.append(storage._turn.locked())

        open_shop(look, storage=storage).handle(buy("A-1"))
        assert inside
        assert not any(inside)

    def test_an_observer_that_fails_changes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(_: Observed) -> None:
            raise RuntimeError("tok_visa of Ann Keller")

        shop = open_shop(fail)
        live(shop)
        assert "an observer failed with RuntimeError" in caplog.text
        assert [secret for secret in SECRETS if secret in caplog.text] == []

    def test_an_awaited_shop_tells_the_same(self) -> None:
        async def story() -> list[Observed]:
            told: list[Observed] = []
            shop = AsyncOrderManagement(
                storage=MemoryStorage(), gateways={"card": FakePayments()}, observers=[told.append]
            )
            await shop.handle(ReceiveStock(sku="mug", quantity=10))
            await shop.handle(buy("A-1"))
            await shop.run_due()
            return told

        told = asyncio.run(story())
        assert {type(one) for one in told} == {CommandHandled, Committed, EffectAttempted}

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="observer"):
            open_shop("print")


def test_nothing_that_is_told_is_personal_or_secret() -> None:
    told: list[Observed] = []
    live(open_shop(told.append))
    text = "\n".join(map(str, told)).replace("seconds=", "").replace("A-1", "")
    assert len(told) > 6
    assert [secret for secret in SECRETS if secret in text] == []


class TestTheLog:
    def test_what_happens_is_logged_by_ids(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "ordermgmt"):
            live(open_shop())
        assert ("ordermgmt", logging.DEBUG, "PlaceOrder order A-1") in caplog.record_tuples
        assert ("ordermgmt", logging.INFO, "PlaceOrder order A-2: OutOfStock") in caplog.record_tuples
        assert any("Authorise" in text and "Succeeded" in text for _, _, text in caplog.record_tuples)
        assert [secret for secret in SECRETS if secret in caplog.text] == []

    def test_a_host_that_asks_for_warnings_only_hears_nothing_of_daily_work(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "ordermgmt"):
            live(open_shop())
        assert caplog.record_tuples == []


class TestSpans:
    @pytest.fixture
    def spans(self) -> InMemorySpanExporter:
        return InMemorySpanExporter()

    @pytest.fixture
    def provider(self, spans: InMemorySpanExporter) -> TracerProvider:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        return provider

    def test_each_step_is_a_span_under_the_callers(self, spans: InMemorySpanExporter, provider: TracerProvider) -> None:
        shop = open_shop(Spans(provider))
        spans.clear()
        with provider.get_tracer("webshop").start_as_current_span("checkout") as checkout:
            live(shop)
        done = {span.name: span for span in spans.get_finished_spans()}
        assert {"handle PlaceOrder", "commit", "send Authorise"} <= set(done)
        span = done["send Authorise"]
        assert span.parent is not None
        assert span.parent.span_id == checkout.get_span_context().span_id
        assert span.attributes is not None
        assert span.attributes["ordermgmt.outcome"] == "Succeeded"
        assert span.end_time is not None
        assert span.start_time is not None
        assert span.end_time >= span.start_time

    def test_a_refusal_is_no_failure_of_the_system(self, spans: InMemorySpanExporter, provider: TracerProvider) -> None:
        live(open_shop(Spans(provider)))
        (refused,) = [
            span for span in spans.get_finished_spans() if (span.attributes or {}).get("ordermgmt.id") == "A-2"
        ]
        assert (refused.attributes or {})["ordermgmt.error"] == "OutOfStock"
        assert refused.status.is_unset

    def test_spans_hold_nothing_personal(self, spans: InMemorySpanExporter, provider: TracerProvider) -> None:
        live(open_shop(Spans(provider)))
        text = "\n".join(f"{span.name} {dict(span.attributes or {})}" for span in spans.get_finished_spans())
        assert [secret for secret in SECRETS if secret in text] == []


def test_the_library_does_not_load_opentelemetry_by_itself() -> None:
    code = "import sys, ordermgmt; assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    subprocess.run([sys.executable, "-c", code], check=True)
