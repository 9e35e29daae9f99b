"""Log records: one line each, as text or JSON, with the ids of the request or command."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from config.version import VERSION

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=MappingProxyType({}))

# Controls, line and paragraph separators, bidi controls, half surrogate pairs: a value with one of
# them could end its line, forge another line, or control the terminal.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# PostgreSQL and pydantic quote values in their messages, and values may be personal.
_QUOTED = re.compile(
    r"\b(?P<label>DETAIL|CONTEXT): .*?(?=\bHINT: |^The above exception|^During handling|\Z)"
    r"|\binput_value=.*?(?=, input_type=)",
    re.MULTILINE | re.DOTALL,
)


@contextmanager
def bound_ids(**ids: object) -> Iterator[None]:
    """Add ``ids`` to every log record inside the block, beside the ids of enclosing blocks."""
    token = _ids.set({**_ids.get(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _ids.reset(token)


def without_values(text: str) -> str:
    """Return ``text`` without the values that errors of PostgreSQL and pydantic quote."""
    return _QUOTED.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    return f"{match['label']}: (not logged) " if match["label"] else "input_value=(not logged)"


class JSONFormatter(logging.Formatter):
    """Writes one JSON object a line, in ASCII.

    The members are time (UTC), level, logger, message, version (of the service), the ids, the
    ``fields`` that the record has in ``extra={"fields": {...}}``, and exception, a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_values(record.getMessage()),
            "version": VERSION,
            **_ids.get(),
            **getattr(record, "fields", {}),
        }
        if exception := _exception(self, record):
            line["exception"] = exception
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Writes a line for people, the ids after the message; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        message = _one_line(without_values(record.getMessage()))
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        if ids := _ids.get():
            line += f" ({_one_line(', '.join(f'{name} {value}' for name, value in ids.items()))})"
        traceback = [text for text in _exception(self, record).split("\n") if text]
        return "\n".join([line, *(f"    {_one_line(text)}" for text in traceback)])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return without_values("\n".join(parts))


def _one_line(text: str) -> str:
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def configuration(*, level: str, record_format: str) -> dict[str, Any]:
    """Return the value of Django's setting LOGGING. ``record_format`` is "text" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "config.logs.TextFormatter"},
            "json": {"()": "config.logs.JSONFormatter"},
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": record_format}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Without Django's handlers, which mail the contents of failed requests.
            "django": {},
            # django-q2 logs every task, and our broker hands out thousands.
            "django-q": {"level": level if level != "INFO" else "WARNING"},
            # A client's mistakes are reported to the client; our own faults are errors.
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
            "gunicorn.error": {"propagate": True},
            # waitress warns of each request that waits for a thread.
            "waitress": {"level": "ERROR"},
        },
    }
