"""Log records: one line each, with ids, without personal values."""

import atexit
import io
import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject
from pydantic import BaseModel

from config import logs
from config.accounts.models import User
from config.http.middleware import RequestIdMiddleware
from config.version import VERSION

# Ends a line, forges another, controls a terminal, reverses the text, can't be encoded.
HOSTILE = "a\r\n2026-01-01 ERROR forged\x1b[31m\x85\u2028\u2029\u202e\x00\ud800z"


def record(message: str, *arguments: Any, **attributes: Any) -> logging.LogRecord:
    log_record = logging.LogRecord("shop", logging.ERROR, __file__, 1, message, arguments, None)
    log_record.created = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    for name, value in attributes.items():
        setattr(log_record, name, value)
    return log_record


def as_json(log_record: logging.LogRecord) -> dict[str, Any]:
    line = logs.JSONFormatter().format(log_record)
    assert line.isascii()
    assert line.isprintable()
    fields: dict[str, Any] = json.loads(line)
    return fields


def exc_info(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


def test_a_json_line_has_the_record_its_fields_and_the_bound_ids() -> None:
    with logs.bound_ids(request_id="r1"), logs.bound_ids(command_id=UUID(int=7)):
        line = as_json(record("%d left", 3, fields={"seconds": 0.5, "event_id": UUID(int=8)}))
    assert line == {
        "time": "2026-03-01T12:00:00.000+00:00",
        "level": "ERROR",
        "logger": "shop",
        "message": "3 left",
        "version": VERSION,
        "request_id": "r1",
        "command_id": str(UUID(int=7)),
        "seconds": 0.5,
        "event_id": str(UUID(int=8)),
    }
    assert "request_id" not in as_json(record("later"))


def test_a_text_line_ends_with_the_bound_ids() -> None:
    with logs.bound_ids(request_id="r1", command_id="c1"):
        line = logs.TextFormatter().format(record("%d left", 3))
    assert line == (
        "2026-03-01T12:00:00.000+00:00 ERROR shop: 3 left (request_id r1, command_id c1)"
    )


def test_a_logged_value_never_breaks_its_line() -> None:
    log_record = record(
        "%s", HOSTILE, fields={"path": HOSTILE}, exc_info=exc_info(ValueError(HOSTILE))
    )
    with logs.bound_ids(request_id=HOSTILE):
        line = as_json(log_record)
        text = logs.TextFormatter().format(log_record)

    assert line["message"] == line["path"] == line["request_id"] == HOSTILE
    assert f"ValueError: {HOSTILE}" in line["exception"]
    first, *rest = text.split("\n")
    assert first.count("2026-01-01 ERROR forged") == 2
    # A traceback is indented, so that no line of it looks like a record.
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in (f"    {first}", *rest))


def test_traceback_and_stack_are_one_field() -> None:
    line = as_json(record("no", exc_info=exc_info(ValueError("why")), stack_info="Stack:\n  here"))
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: why\nStack:\n  here")


def test_values_quoted_by_errors_are_not_logged() -> None:
    class Person(BaseModel):
        age: int

    personal = "ada@example.com"

    def chained() -> Any:
        try:
            try:
                raise psycopg.errors.UniqueViolation(
                    f"duplicate key\nDETAIL:  Key (email)=({personal}\nx) exists.\nHINT: Sorry"
                )
            except psycopg.Error as error:
                raise IntegrityError(*error.args) from error
        except IntegrityError:
            return sys.exc_info()

    with pytest.raises(ValueError, match="Person") as invalid:
        Person.model_validate({"age": personal})
    for log_record in (
        record("%s", chained()[1]),
        record("no", exc_info=chained()),
        record("%s", invalid.value),
        record("no", exc_info=exc_info(invalid.value)),
    ):
        for text in (json.dumps(as_json(log_record)), logs.TextFormatter().format(log_record)):
            assert "ada" not in text
    exception = as_json(record("no", exc_info=chained()))["exception"]
    assert exception.count("DETAIL: (not logged) HINT: Sorry") == 2
    assert "The above exception was the direct cause" in exception


# --- What programs print -----------------------------------------------------------------------
@contextmanager
def printing() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Let both streams write records within the block; yield a function that returns them."""
    below = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", below)
        patch.setattr(sys, "stderr", below)
        patch.setattr(atexit, "register", lambda function: None)
        for module, name in (
            (sys, "excepthook"),
            (threading, "excepthook"),
            (warnings, "showwarning"),
        ):
            patch.setattr(module, name, getattr(module, name))
        logs.write_json(output=True)
        yield lambda: [json.loads(line) for line in below.getvalue().splitlines()]


def test_each_printed_line_is_a_record() -> None:
    with printing() as records:
        print("Applying 0001...", end="", flush=True)
        print(" OK\n")
        print("No\nway\nCommandError: Never.", file=sys.stderr)
        print("half", end="")
        assert isinstance(sys.stdout, logs.RecordStream)
        sys.stdout.end_line()

    lines = [(line["logger"], line["level"], line["message"]) for line in records()]
    assert lines == [
        ("stdout", "INFO", "Applying 0001... OK"),
        ("stderr", "WARNING", "No"),
        ("stderr", "WARNING", "way"),
        ("stderr", "ERROR", "CommandError: Never."),
        ("stdout", "INFO", "half"),
    ]


def test_a_printed_traceback_is_one_record() -> None:
    with printing() as records:
        try:
            raise ValueError("why")
        except ValueError:
            traceback.print_exc()

    [line] = records()
    assert line["message"] == "ValueError: why"
    assert line["exception"].startswith("Traceback (most recent call last):\n  File")
    assert line["exception"].endswith("ValueError: why")


def test_uncaught_exceptions_and_warnings_are_a_record_each() -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    with printing() as records:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        sys.excepthook(*exc_info(ValueError("in the program")))
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        warnings.showwarning("danger", RuntimeWarning, "settings.py", 7)

    lines = [(line["logger"], line["level"], line["message"]) for line in records()]
    assert lines == [
        ("python", "ERROR", "ValueError: in a thread"),
        ("python", "ERROR", "ValueError: in the program"),
        ("py.warnings", "WARNING", "RuntimeWarning: danger"),
    ]
    assert "fail" in records()[0]["exception"]


# --- One line for each request -----------------------------------------------------------------
def access(caplog: pytest.LogCaptureFixture, user: Any, **headers: str) -> dict[str, Any]:
    def answer(request: Any) -> HttpResponse:
        request.user = user
        return HttpResponse(status=418)

    request = RequestFactory().get("/a%0Ab?token=secret", headers=headers)
    with caplog.at_level(logging.INFO, "config.http.middleware"):
        RequestIdMiddleware(answer)(request)
    [log_record] = caplog.records
    fields: dict[str, Any] = log_record.fields  # type: ignore[attr-defined]
    assert "secret" not in log_record.getMessage() + str(fields)
    return fields


def test_a_request_is_one_record(caplog: pytest.LogCaptureFixture) -> None:
    user = User(pk=UUID(int=5), username="ada")

    fields = access(caplog, user, Authorization="Token secret")

    assert 0 <= fields.pop("seconds") < 5
    assert fields == {
        "method": "GET",
        "path": "/a\nb",
        "status": 418,
        "user_id": str(UUID(int=5)),
    }


def test_logging_a_request_never_queries_the_user(caplog: pytest.LogCaptureFixture) -> None:
    def ask() -> Any:
        raise AssertionError("asked")

    assert access(caplog, SimpleLazyObject(ask))["user_id"] is None
    caplog.clear()
    assert access(caplog, AnonymousUser())["user_id"] is None


def test_records_of_a_request_have_its_id() -> None:
    records = []

    def answer(request: Any) -> HttpResponse:
        records.append(as_json(record("meanwhile")))
        return HttpResponse()

    trace = f"{7:032x}"
    headers = {"Request-Id": "mine", "traceparent": f"00-{trace}-{1:016x}-01"}
    RequestIdMiddleware(answer)(RequestFactory().get("/", headers=headers))

    assert records[0]["request_id"] == "mine"
    assert records[0]["correlation_id"] == str(UUID(int=7))
    assert "request_id" not in as_json(record("after"))
