"""Traces for OpenTelemetry: a trace leads from a request to the rows that show its effect.

Nothing of OpenTelemetry is imported unless OTEL_EXPORTER_OTLP_ENDPOINT is set; the functions of
this module then do nothing. No span has personal data: attributes that aren't listed in
``exporting``, and all messages of errors, stay in the process.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

# The address of the collector, such as http://127.0.0.1:4318: docs/monitoring.md.
IS_ON = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))

_NO_SPAN = nullcontext()
# The values of our attributes.
Value = str | int | list[str]


def set_up() -> None:
    """Send the spans of this process, and of those that it forks, to the collector.

    Call it once, before Django loads its middleware. Raises ImproperlyConfigured if the packages of
    requirements-telemetry.txt are missing.
    """
    if not IS_ON:
        return
    try:
        from config.telemetry import exporting
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and the package {error.name} is missing: "
            "pip install -r requirements-telemetry.txt"
        ) from error
    exporting.set_up()


def span(name: str, **attributes: Value) -> AbstractContextManager[None]:
    """Return a block that is a span; ``attributes`` get the prefix ``orders.``."""
    if not IS_ON:
        return _NO_SPAN
    from config.telemetry import spans

    return spans.span(name, attributes)


def batch(
    name: str, traceparents: Sequence[str], **attributes: Value
) -> AbstractContextManager[None]:
    """Return a block that continues the traces of ``traceparents``, of which there is one or more.

    The block is in the first trace. Each other trace gets a span of the same times with a link.
    """
    from config.telemetry import spans

    return spans.batch(name, traceparents, attributes)


def describe(*, failed: bool = False, **attributes: Value) -> None:
    """Add ``attributes`` to the current span, and the status of an error if ``failed``."""
    if IS_ON:
        from config.telemetry import spans

        spans.describe(attributes, failed=failed)


def traceparent() -> str:
    """Return the W3C trace context of the current span; empty without a span that is sampled."""
    if not IS_ON:
        return ""
    from config.telemetry import spans

    return spans.traceparent()


def trace_id() -> UUID | None:
    """Return the id of the current trace; None without one."""
    if not IS_ON:
        return None
    from config.telemetry import spans

    return spans.trace_id()
