"""Sends spans to a collector by OTLP over HTTP, without personal data.

The variables of OpenTelemetry are read by its SDK: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER,
OTEL_SERVICE_NAME, OTEL_BSP_* and so on.
"""

import os
from collections.abc import Sequence
from multiprocessing import util
from typing import Any

from django.conf import settings
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, Status

from config.version import VERSION

# The attributes that leave the process, beside ours. Not among them: addresses and browsers of
# clients, paths and queries of URLs. A statement has placeholders instead of values.
_ATTRIBUTES = {
    "db.namespace",
    "db.operation.name",
    "db.query.text",
    "db.system.name",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "server.address",
    "server.port",
    "url.scheme",
}
_OURS = "orders."
# The class of an error, without its message, which can quote values.
_ERROR_ATTRIBUTES = {"exception.type"}
# Requests of supervisors, load balancers and Prometheus, by the whole URL.
_PROBES = r"^[^/]+//[^/]+/(healthz|readyz|metrics)\b"
_DEFAULTS = {
    "OTEL_SERVICE_NAME": "orders",
    # A process that ends waits no longer for a collector that doesn't answer.
    "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
    "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": _PROBES,
}


def set_up() -> None:
    """Record requests, statements and our own spans, and send them in the background."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    # The names of attributes that are stable, which ``_ATTRIBUTES`` lists.
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"
    provider = TracerProvider(resource=Resource.create({"service.version": VERSION}))
    provider.sampler = _WithoutLoneStatements(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(_PublicExporter(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    # The SDK sends the last spans of a process by atexit, which the workers' processes don't run.
    util.register_after_fork(provider, _shut_down_at_end)
    DjangoInstrumentor().instrument(
        excluded_urls=os.environ["OTEL_PYTHON_DJANGO_EXCLUDED_URLS"], tracer_provider=provider
    )
    settings.MIDDLEWARE[0] = "config.telemetry.middleware.TraceMiddleware"
    PsycopgInstrumentor().instrument(tracer_provider=provider)


def _shut_down_at_end(provider: TracerProvider) -> None:
    util.Finalize(provider, provider.shutdown, exitpriority=0)


class _WithoutLoneStatements(Sampler):
    """Drops statements outside of a span, such as those of a poll, and asks another sampler else.

    Otherwise each of them would be a trace.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        *arguments: Any,
        **more: Any,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, *arguments, **more)

    def get_description(self) -> str:
        return f"WithoutLoneStatements{{{self._sampler.get_description()}}}"


class _PublicExporter(SpanExporter):
    """Sends spans with the attributes that are listed, and without messages of errors."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_public(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _public(span: ReadableSpan) -> ReadableSpan:
    attributes = {
        name: value
        for name, value in (span.attributes or {}).items()
        if name in _ATTRIBUTES or name.startswith(_OURS)
    }
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[_public_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _public_event(event: Event) -> Event:
    attributes = event.attributes or {}
    public = {name: attributes[name] for name in _ERROR_ATTRIBUTES & set(attributes)}
    return Event(event.name, public, event.timestamp)
