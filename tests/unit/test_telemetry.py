"""Spans of the service's own steps, with spans kept in memory."""

import sys
from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config import telemetry
from config.telemetry import exporting, spans

FIRST, SECOND = 0xA, 0xB


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans that would be sent."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporting._PublicExporter(exporter)))
    monkeypatch.setattr(telemetry, "IS_ON", True)
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("tests"))
    yield exporter
    provider.shutdown()


def traceparent(trace: int, span: int) -> str:
    return f"00-{trace:032x}-{span:016x}-01"


def place(span: ReadableSpan) -> tuple[int, int]:
    """Return the trace of a span and its parent in it."""
    assert span.context
    assert span.parent
    return span.context.trace_id, span.parent.span_id


def test_a_batch_of_several_traces_has_a_span_in_each(kept: InMemorySpanExporter) -> None:
    parents = [traceparent(FIRST, 1), traceparent(FIRST, 2), traceparent(SECOND, 3), "nonsense"]

    with telemetry.batch("apply", parents, event_count=4):
        assert telemetry.trace_id()

    common, other = kept.get_finished_spans()
    assert [place(common), place(other)] == [(FIRST, 1), (SECOND, 3)]
    assert common.attributes == other.attributes == {"orders.event_count": 4}
    assert [link.context.trace_id for link in common.links] == [SECOND]
    assert [link.context for link in other.links] == [common.context]
    assert (other.start_time, other.end_time) == (common.start_time, common.end_time)


def test_a_failure_is_marked_without_its_message(kept: InMemorySpanExporter) -> None:
    def fail() -> None:
        telemetry.describe(failed=True, reason="ValueError")
        raise ValueError("Robin Sample")

    with pytest.raises(ValueError, match="Robin"), telemetry.span("CreateOrder", command_id="7"):
        fail()
    with pytest.raises(ValueError, match="Robin"), spans._tracer.start_as_current_span("SELECT"):
        fail()

    ours, theirs = kept.get_finished_spans()
    assert ours.attributes == {"orders.command_id": "7", "orders.reason": "ValueError"}
    assert not ours.status.is_ok
    assert not theirs.status.is_ok
    assert [dict(event.attributes or {}) for event in theirs.events] == [
        {"exception.type": "ValueError"}
    ]
    assert "Robin" not in ours.to_json() + theirs.to_json()


def test_an_event_has_a_trace_context_only_within_a_span(kept: InMemorySpanExporter) -> None:
    assert telemetry.traceparent() == ""

    with telemetry.span("append"):
        context = telemetry.traceparent()
        trace = telemetry.trace_id()

    assert trace
    [span] = kept.get_finished_spans()
    assert span.context
    assert context.startswith(f"00-{trace.hex}-{span.context.span_id:016x}-")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "IS_ON", True)
    monkeypatch.delattr(telemetry, "exporting")
    monkeypatch.delitem(sys.modules, "config.telemetry.exporting")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ImproperlyConfigured, match="requirements-telemetry"):
        telemetry.set_up()
