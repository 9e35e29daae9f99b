"""Text and amounts in requests, pages of lists, and the ids of requests."""

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pydantic import TypeAdapter, ValidationError

from config.fields.amount import Amount
from config.fields.text import Text
from config.http.answers.pagination import page_body, page_links
from config.http.middleware import RequestIdMiddleware

name_type: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(max_length=10)])
lines_type: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(max_length=10, lines=True)])
amount_type: TypeAdapter[Decimal] = TypeAdapter(Amount)


# --- Text --------------------------------------------------------------------------------------
def test_text_is_normalised(subtests: pytest.Subtests) -> None:
    cases = [
        ("Lamp", "Lamp"),
        ("  two  words ", "two  words"),
        ("e\u0301", "é"),
        ("\u1112\u1161\u11ab" * 10, "한" * 10),
        ("😀" * 10, "😀" * 10),
        ("\u05d0\u200f", "\u05d0\u200f"),
    ]
    for sent, normalised in cases:
        with subtests.test(sent=sent, normalised=normalised):
            assert name_type.validate_python(sent) == normalised


def test_empty_long_and_unprintable_texts_are_refused(
    subtests: pytest.Subtests,
) -> None:
    cases = [
        *("", "   ", "x" * 11, "a\0b", "a\nb", "a\x1bb", "a\x85b", "a\u2028b"),
        *("a\u202eb", "a\u2066b", "a\ud800b", 1, None, b"bytes", ["list"], True),
    ]
    for sent in cases:
        with subtests.test(sent=sent), pytest.raises(ValidationError):
            name_type.validate_python(sent)


def test_text_of_several_lines_keeps_line_breaks() -> None:
    assert lines_type.validate_python("a\n\tb") == "a\n\tb"
    with pytest.raises(ValidationError):
        lines_type.validate_python("a\u2029b")


def test_a_megabyte_of_combining_marks_is_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(ValidationError):
        name_type.validate_python("a" + "\u0315\u0300" * 250_000)
    assert time.process_time() - started < 0.5


# --- Money -------------------------------------------------------------------------------------
def test_an_amount_is_exact(subtests: pytest.Subtests) -> None:
    cases = [
        ("19.90", "19.90"),
        ("0", "0"),
        (19, "19"),
        (Decimal("19.9"), "19.9"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-4"), "0.0001"),
        ("9" * 15 + ".9999", "9" * 15 + ".9999"),
    ]
    for sent, amount in cases:
        with subtests.test(sent=sent, amount=amount):
            assert str(amount_type.validate_python(sent)) == amount


def test_an_amount_in_other_than_plain_digits_is_refused(subtests: pytest.Subtests) -> None:
    cases: list[Any] = [
        *("", ".5", "5.", "-1", "+1", "1e3", "1_000", "1,5", " 1", "1\n", "NaN", "Infinity", "0x1"),
        *("\u0661\u0662.\u0665", "\uff11\uff12", "\u00b2", "1.00001", "1" * 16),
        *(1.5, True, None, -1, 10**400, [], {}),
        *map(Decimal, ("-0.0", "1E+999999", "1E-9", "NaN")),
    ]
    for sent in cases:
        with subtests.test(repr(sent)[:60]), pytest.raises(ValidationError):
            amount_type.validate_python(sent)


# --- Pages of a list ---------------------------------------------------------------------------
@dataclass
class Page:
    items: list[int]
    page: int
    page_size: int = 2
    count: int = 5
    capped: bool = False
    cursor: None = None
    next_cursor: str | None = None


def test_a_page_links_to_the_previous_and_the_next_page(subtests: pytest.Subtests) -> None:
    cases = [
        (Page([1, 2], 1), None, 2),
        (Page([3, 4], 2), 1, 3),
        (Page([5], 3), 2, None),
        (Page([], 9), 3, None),
        (Page([], 9, count=0), 1, None),
        (Page([], 1, count=0), None, None),
        (Page([1, 2], 1, count=2), None, None),
        (Page([1, 2], 5_001, count=10_000, capped=True, next_cursor="c"), 5_000, 5_002),
        (Page([1], 5_001, count=10_000, capped=True), 5_000, None),
    ]
    for page, previous, following in cases:
        with subtests.test(page=page, previous=previous):
            request = RequestFactory().get(f"/api/v1/things?page={page.page}&name=a%26b")
            body = page_body(page_links(request, page), page)

            def address(number: int | None) -> str | None:
                base = "http://testserver/api/v1/things"
                return None if number is None else f"{base}?name=a%26b&page={number}"

            assert body == {
                "count": page.count,
                "count_capped": page.capped,
                "next": address(following),
                "previous": address(previous),
                "next_cursor": page.next_cursor,
                "results": page.items,
            }


# --- Ids of requests ---------------------------------------------------------------------------
def after_middleware(**headers: str) -> tuple[HttpRequest, HttpResponse]:
    request = RequestFactory().get("/", headers=headers)
    response = RequestIdMiddleware(lambda _: HttpResponse())(request)
    assert isinstance(response, HttpResponse)
    return request, response


def test_a_safe_request_id_is_echoed() -> None:
    request, response = after_middleware(**{"Request-Id": "abc-123"})
    assert request.request_id == response["Request-Id"] == "abc-123"  # type: ignore[attr-defined]


def test_an_unsafe_request_id_is_replaced(subtests: pytest.Subtests) -> None:
    for sent in ["", "x" * 129, "a b", "ä", "a\tb", "a\r\nSet-Cookie: x=1"]:
        with subtests.test(sent=sent):
            _, response = after_middleware(**{"Request-Id": sent})
            assert UUID(response["Request-Id"]).version == 7


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_valid_trace_becomes_the_correlation_id(subtests: pytest.Subtests) -> None:
    cases = [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", True),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        ("nonsense", False),
        ("", False),
    ]
    for traceparent, is_kept in cases:
        with subtests.test(traceparent=traceparent, is_kept=is_kept):
            request, _ = after_middleware(traceparent=traceparent)
            assert (request.correlation_id == UUID(TRACE)) is is_kept  # type: ignore[attr-defined]
