"""Traces, which a collector on loopback receives by OTLP."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from config.version import VERSION
from tests.acceptance.service import ROOT, plain_environ, token_of_new_user
from tests.databases import Databases

TRACE, UNSAMPLED = uuid4(), uuid4()


class Collector:
    """Receives spans on an address of its own."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def of_trace(self, trace: UUID) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace.bytes]


@pytest.fixture(scope="module")
def collector(migrated: list[str]) -> Collector:
    """Return the spans of processes that have ended: see ``traced_scenario``."""
    collector, databases = Collector(), Databases("write", "read", like=migrated)
    write_url, read_url = databases.urls
    environ = plain_environ() | {
        "DATABASE_URL": write_url,
        "READ_DATABASE_URL": read_url,
        "SECRET_KEY": uuid4().hex * 2,
        "HTTPS": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # Each process sends its spans when it ends.
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    with psycopg.connect(write_url, autocommit=True) as connection:
        token = token_of_new_user(connection, "admin")
    command = [sys.executable, "-m", "tests.acceptance.traced_scenario", token]
    try:
        with collector.running():
            subprocess.run([*command, TRACE.hex, UNSAMPLED.hex], env=environ, cwd=ROOT, check=True)
    finally:
        databases.drop()
    return collector


def test_one_trace_leads_from_the_request_to_the_rows_and_the_answer(collector: Collector) -> None:
    spans = collector.of_trace(TRACE)
    by_id = {span.span_id: span for span in spans}

    def find(name: str) -> Span:
        return next(span for span in spans if span.name.startswith(name))

    def parent(span: Span) -> Span:
        return by_id[span.parent_span_id]

    def statements(span: Span) -> set[str]:
        below = [child for child in spans if child.parent_span_id == span.span_id]
        return {child.name for child in below if child.kind == Span.SPAN_KIND_CLIENT}

    request, command = find("POST api/v1/orders/"), find("CreateOrder")
    assert parent(command) == request
    assert "INSERT" in statements(command)
    appended = [span for span in spans if span.name == "append"]
    types = {value.string_value for value in events_of(appended[0])}
    assert types & {"OrderCreated", "StockReserved"}
    assert {parent(span).name for span in appended} == {"CreateOrder"}
    batches = [span for span in spans if span.name == "apply"]
    assert {parent(span).name for span in batches} == {"append"}
    assert any("order_view" in str(span.attributes) for span in batches)
    assert any(statements(span) for span in batches)
    assert statements(find("GET api/v1/orders/"))

    resource = str(collector.requests[0].resource_spans[0].resource)
    assert f'"{VERSION}"' in resource
    assert '"orders"' in resource


def events_of(span: Span) -> Any:
    [events] = [attribute for attribute in span.attributes if attribute.key == "orders.events"]
    return events.value.array_value.values


def test_a_trace_that_the_caller_leaves_out_has_no_span(collector: Collector) -> None:
    assert collector.of_trace(UNSAMPLED) == []


def test_only_statements_within_a_span_are_recorded(collector: Collector) -> None:
    roots = [span for span in collector.spans if not span.parent_span_id]
    assert Span.SPAN_KIND_CLIENT not in {span.kind for span in roots}
    assert not any("readyz" in span.name for span in roots)


def test_no_span_has_personal_data_or_parameters(collector: Collector) -> None:
    sent = "".join(map(str, collector.requests))

    assert "INSERT" in sent
    assert "DuplicateEmailError" in sent
    for secret in ("nmistakable", "127.0.0.1/", "httpx", "Robin Sample", "9.90"):
        assert secret not in sent
