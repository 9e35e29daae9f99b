"""Spans of the service's own steps, by the API of OpenTelemetry."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_tracer = trace.get_tracer("orders")
_propagator = TraceContextTextMapPropagator()
_HEADER = "traceparent"


@contextmanager
def span(name: str, attributes: Mapping[str, object]) -> Iterator[None]:
    """Record a block as a span. Errors leave no trace: see ``describe``."""
    with _tracer.start_as_current_span(
        name,
        attributes=_prefixed(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield


@contextmanager
def batch(
    name: str, traceparents: Sequence[str], attributes: Mapping[str, object]
) -> Iterator[None]:
    """Record a block as a span of the first trace, and afterwards in the others."""
    traces: dict[int, SpanContext] = {}
    for text in traceparents:
        context = trace.get_current_span(_propagator.extract({_HEADER: text})).get_span_context()
        if context.is_valid:
            traces.setdefault(context.trace_id, context)
    if not traces:
        yield
        return
    first, *others = traces.values()
    with _tracer.start_as_current_span(
        name,
        context=_child_of(first),
        kind=SpanKind.CONSUMER,
        attributes=_prefixed(attributes),
        links=[Link(other) for other in others],
    ) as common:
        yield
    link = Link(common.get_span_context())
    for other in others:
        child = _tracer.start_span(
            name,
            context=_child_of(other),
            kind=SpanKind.CONSUMER,
            attributes=_prefixed(attributes),
            links=[link],
            start_time=getattr(common, "start_time", None),
        )
        child.end(getattr(common, "end_time", None))


def describe(attributes: Mapping[str, object], *, failed: bool) -> None:
    """Add ``attributes`` to the current span, and the status of an error if ``failed``."""
    current = trace.get_current_span()
    current.set_attributes(_prefixed(attributes))
    if failed:
        current.set_status(StatusCode.ERROR)


def traceparent() -> str:
    """Return the W3C trace context of the current span; empty without a span that is sampled."""
    if not trace.get_current_span().is_recording():
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_HEADER, "")


def trace_id() -> UUID | None:
    """Return the id of the current trace; None without one."""
    context = trace.get_current_span().get_span_context()
    return UUID(int=context.trace_id) if context.is_valid else None


def _child_of(parent: SpanContext) -> trace.Context:
    return trace.set_span_in_context(NonRecordingSpan(parent))


def _prefixed(attributes: Mapping[str, object]) -> dict[str, "trace.types.AttributeValue"]:
    return {f"orders.{name}": value for name, value in attributes.items()}  # type: ignore[misc]
