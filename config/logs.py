"""Log records: one line each, as text or JSON, with the ids of the request or command.

With LOG_FORMAT=json, what programs print is a record too: ``write_json``.
"""

import atexit
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn, TextIO

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


# The first line of a traceback that Python prints.
_TRACEBACK = "Traceback (most recent call last):"
# The beginning of the line by which a command of Django refuses.
_ERROR = "CommandError: "


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


class RecordStream(io.TextIOBase):
    """Writes each line as a JSON record with the name and the level of this stream.

    A traceback that somebody prints is one record. Each thread has a line of its own.
    """

    def __init__(self, stream: TextIO, name: str, level: int) -> None:
        self._stream = stream
        self._name = name
        self._level = level
        self._of_thread = threading.local()

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._of_thread, "rest", "") + text).split("\n")
        self._of_thread.rest = rest
        for line in lines:
            self._write_line(line)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def end_line(self) -> None:
        """Write the line that was begun."""
        if getattr(self._of_thread, "rest", ""):
            self.write("\n")

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def record(self, message: str, **attributes: Any) -> None:
        """Write a record of its own."""
        fields = {"name": self._name, "levelno": self._level, "msg": message, **attributes}
        fields.setdefault("levelname", logging.getLevelName(fields["levelno"]))
        self._stream.write(JSONFormatter().format(logging.makeLogRecord(fields)) + "\n")
        self._stream.flush()

    def _write_line(self, line: str) -> None:
        traceback: list[str] = self._of_thread.__dict__.setdefault("traceback", [])
        if line == _TRACEBACK or (traceback and line.startswith(" ")):
            traceback.append(line)
        elif traceback:
            stack = "\n".join([*traceback, line])
            self.record(line, levelno=logging.ERROR, stack_info=stack)
            traceback.clear()
        elif line.strip():
            is_error = line.startswith(_ERROR)
            self.record(line, levelno=logging.ERROR if is_error else self._level)


def write_json(*, output: bool) -> None:
    """Write each line of standard error as JSON from now on, and with ``output`` those of output.

    Uncaught exceptions and warnings are a record each.
    """
    errors = RecordStream(sys.stderr, "stderr", logging.WARNING)
    sys.stderr = errors
    if output:
        sys.stdout = RecordStream(sys.stdout, "stdout", logging.INFO)
        atexit.register(sys.stdout.end_line)

    def report(kind: type[BaseException], error: BaseException | None, where: Any) -> None:
        if kind is not KeyboardInterrupt:
            errors.record(
                f"{kind.__name__}: {error}",
                name="python",
                levelno=logging.ERROR,
                exc_info=(kind, error, where),
            )

    def report_of_thread(arguments: threading.ExceptHookArgs) -> None:
        report(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    def warn(message: Warning | str, category: type[Warning], *place: Any, **_more: Any) -> None:
        text = f"{category.__name__}: {message}"
        errors.record(text, name="py.warnings", levelno=logging.WARNING)

    sys.excepthook, threading.excepthook, warnings.showwarning = report, report_of_thread, warn


def end_with(sentence: str) -> NoReturn:
    """End the program with exit code 1 and a sentence, which is an error if lines are records."""
    if isinstance(sys.stderr, RecordStream):
        sys.stderr.record(sentence, levelno=logging.ERROR)
        sys.exit(1)
    sys.exit(sentence)


def _console(record_format: str) -> dict[str, str]:
    console = {"class": "logging.StreamHandler", "formatter": record_format}
    # Standard error itself: config.streams would make a record of each record.
    return console | ({"stream": "ext://sys.__stderr__"} if record_format == "json" else {})


def configuration(*, level: str, record_format: str) -> dict[str, Any]:
    """Return the value of Django's setting LOGGING. ``record_format`` is "text" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "config.logs.TextFormatter"},
            "json": {"()": "config.logs.JSONFormatter"},
        },
        "handlers": {"console": _console(record_format)},
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
