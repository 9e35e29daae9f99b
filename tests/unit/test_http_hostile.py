"""A hostile request gets a refusal, never a 500."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from django.urls import path
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.tokens import TokenAuthentication
from config.http.answers import pages
from config.http.answers.pagination import PageParameters
from config.http.input import strict_json
from config.http.input.normaliser import RequestNormaliser
from config.http.input.query import parse_query
from config.http.views import ApiView

BODY = "application/json"


class Echo(ApiView):
    """Answers its parameters or its body, without login."""

    public = True

    def get(self, request: Request) -> Response:
        return Response(parse_query(request, PageParameters))

    def post(self, request: Request) -> Response:
        return Response(request.data)


class Guarded(ApiView):
    """Needs a permission."""

    needed_permission = "things.view_thing"

    def get(self, request: Request) -> Response:
        return Response()


urlpatterns = [
    path("api/v1/echo", Echo.as_view()),
    path("api/v1/echo/<uuid:pk>", Echo.as_view()),
    path("api/v1/guarded", Guarded.as_view()),
]
handler400 = pages.bad_request
handler403 = pages.permission_denied
handler404 = pages.page_not_found
handler500 = pages.server_error

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _open_connections_stay() -> Iterator[None]:
    # A request closes old connections at its ends. Other tests may have left some open, and without
    # the database fixture any use of them is an error.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def post(body: bytes | str, content_type: str = BODY, **headers: str) -> Any:
    return Client().post("/api/v1/echo", body, content_type=content_type, headers=headers)


def code_of(response: Any) -> str:
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response["Request-Id"]
    return str(problem["code"])


def test_loose_json_is_malformed(subtests: pytest.Subtests) -> None:
    cases = [
        (b"", ""),
        (b"{", "line 1 column 2"),
        (b"nothing", "line 1 column 1"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e400}', "out of any range"),
        (b'{"a": 1e-400}', "out of any range"),
        (b'{"a": 1e99999999999999999999}', "out of any range"),
        (b'{"a": 0e99999}', "out of any range"),
        (b'{"a": 0.' + b"1" * 100_000 + b"}", "out of any range"),
        (b'{"a": ' + b"9" * 900_000 + b"}", "out of any range"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "\\u0000"}', "#/a"),
        (b'{"a": {"b": ["", "\\ud800"]}}', "#/a/b/1"),
        (b'{"a": {"\\udc00": 1}}', "in a key of #/a"),
        (b'{"\\u0000": 1}', "in a key of #"),
        (b'{"a": "\x00"}', "Invalid control character"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b'{"x": {"\\ud800": 1, "\\ud800": 2}}', r"'\ud800' appears twice"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "deeper than 20"),
        (b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "deeper than 20"),
        (b"[" * 100_000, "deeper than 20"),
        (b'{"a":' * 100_000, "deeper than 20"),
    ]
    for body, message in cases:
        with subtests.test(f"{body[:40]!r}"):
            started = time.process_time()
            response = post(body)
            if body:
                assert (response.status_code, code_of(response)) == (400, "malformed")
                assert message in response.json()["detail"]
            else:
                assert response.json() == {}
            assert time.process_time() - started < 1


def test_strict_json_is_read_exactly() -> None:
    body = '{"a": [1, -2, 1.10, 1e3, true, null], "é": "\\ud83d\\ude00", "n": {"m": {}}}'
    response = post(body)
    assert response.status_code == 200
    assert response.json() == {
        "a": [1, -2, "1.10", "1000", True, None],
        "é": "😀",
        "n": {"m": {}},
    }
    assert post(b'{"a": ' + b"[" * 19 + b"]" * 19 + b"}").status_code == 200


def test_a_large_body_is_too_large(subtests: pytest.Subtests) -> None:
    for size in [1_000_001, 3_000_000]:
        with subtests.test(size=size):
            response = post(b'{"a": "' + b"x" * (size - 9) + b'"}')
            assert (response.status_code, code_of(response)) == (413, "too_large")


def test_the_largest_body_is_read_fast() -> None:
    started = time.process_time()
    body = json.dumps({"a": [""] * 240_000}).encode()
    assert len(body) < settings.MAX_BODY_BYTES
    assert strict_json.loads(body)
    with pytest.raises(ParseError):
        strict_json.loads(b'{"a": "' + b'\\"' * 400_000)
    assert time.process_time() - started < 2


def test_a_body_of_another_media_type_is_unsupported(subtests: pytest.Subtests) -> None:
    cases = [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/" + "x" * 9_000,
        "nonsense",
    ]
    for content_type in cases:
        with subtests.test(content_type[:60]):
            response = post(b'{"a": 1}', content_type)
            assert (response.status_code, code_of(response)) == (415, "unsupported_media_type")


def test_a_body_may_name_utf_8_as_its_charset(subtests: pytest.Subtests) -> None:
    for charset in ["utf-8", "UTF-8", '"utf-8"', "utf8"]:
        with subtests.test(charset=charset):
            assert post(b'{"a": 1}', f"application/json; charset={charset}").status_code == 200


def test_bad_parameters_are_named(subtests: pytest.Subtests) -> None:
    cases = [
        ("page=0", "invalid_parameter", "page"),
        ("page=-1", "invalid_parameter", "page"),
        ("page=1.0", "invalid_parameter", "page"),
        ("page=1_0", "invalid_parameter", "page"),
        ("page=+1", "invalid_parameter", "page"),
        ("page=", "invalid_parameter", "page"),
        ("page=abc", "invalid_parameter", "page"),
        ("page=%D9%A1", "invalid_parameter", "page"),
        ("page=%EF%BC%91", "invalid_parameter", "page"),
        ("page=%C2%B2", "invalid_parameter", "page"),
        ("page=%00", "invalid_parameter", "page"),
        ("page=%ff", "invalid_parameter", "page"),
        ("page=%ED%A0%80", "invalid_parameter", "page"),
        ("page=1&page=2", "invalid_parameter", "page"),
        ("page=" + "9" * 3_000, "invalid_parameter", "page"),
        ("page_size=101", "invalid_parameter", "page_size"),
        ("page_size=1000000000", "invalid_parameter", "page_size"),
        ("page_size=" + "1" + "0" * 23, "invalid_parameter", "page_size"),
        ("format=xml", "invalid_parameter", "format"),
        ("format=%00", "invalid_parameter", "format"),
        ("ordering=customer__user__password", "unknown_parameter", "ordering"),
        ("_connector=OR", "unknown_parameter", "_connector"),
        ("p%00=1", "invalid_parameter", "p\0"),
        ("=1", "unknown_parameter", ""),
    ]
    for query, code, parameter in cases:
        with subtests.test(query[:60]):
            response = Client().get(f"/api/v1/echo?{query}")
            assert (response.status_code, code_of(response)) == (400, code)
            assert response.json()["parameter"] == parameter


def test_more_parameters_than_django_accepts_are_malformed() -> None:
    response = Client().get("/api/v1/echo?" + "a&" * 1_500)
    assert (response.status_code, code_of(response)) == (400, "malformed")


def test_a_malformed_address_is_not_found(subtests: pytest.Subtests) -> None:
    cases = [
        "/api/v1/echo/%00",
        "/api/v1/echo/%ff",
        "/api/v1/echo/%ED%A0%80",
        "/api/v1/echo/1 OR 1=1",
        "/api/v1/echo/" + "9" * 3_000,
        "/api/v1/echo/0192AAAA-0000-7000-8000-00000000000G",
        "/api/v1//echo",
        "/api/v1/../../etc/passwd",
        "/api/%2e%2e/",
        "/api",
    ]
    for address in cases:
        with subtests.test(address[:60]):
            response = Client().get(address, headers={"Accept": "text/html"})
            assert (response.status_code, code_of(response)) == (404, "not_found")


def test_unreadable_parts_of_accept_are_ignored(subtests: pytest.Subtests) -> None:
    cases = [
        "",
        ",,,",
        "*/*;q=nonsense",
        "application/json;indent=" + "9" * 5_000,
        "application/json; indent=-1",
        "text/html; x*=nonsense'en'%ff, */*",
        "a/b;" * 2_000 + "*/*, application/json",
        "application/json" + "," * 9_000,
    ]
    for accept in cases:
        with subtests.test(accept[:60]):
            assert Client().get("/api/v1/echo", headers={"Accept": accept}).status_code == 200


def test_a_media_type_that_is_not_offered_is_not_acceptable(subtests: pytest.Subtests) -> None:
    for accept in ["application/pdf", "nonsense", "\xff", "image/*;q=1"]:
        with subtests.test(accept=accept):
            response = Client().get("/api/v1/echo", headers={"Accept": accept})
            assert (response.status_code, code_of(response)) == (406, "not_acceptable")


def test_a_text_that_cannot_be_a_token_is_401(subtests: pytest.Subtests) -> None:
    cases = [
        "Token",
        "Token ",
        "Token a b",
        "Token \xff\xfe",
        "Token a\0b",
        "Token \N{SNOWMAN}".encode().decode("latin-1"),
        "token " + "-" * 8_000,
    ]
    for header in cases:
        with subtests.test(header[:60]):
            response = Client().get("/api/v1/guarded", headers={"Authorization": header})
            assert (response.status_code, code_of(response)) == (401, "authentication_required")
            assert response["WWW-Authenticate"] == "Token"


def test_an_authorization_of_another_scheme_is_anonymous(subtests: pytest.Subtests) -> None:
    for header in ["", "Basic abc", "Bearer abc", "\xff", "Token\xa0abc"]:
        with subtests.test(header=header):
            response = Client().get("/api/v1/guarded", headers={"Authorization": header})
            assert (response.status_code, code_of(response)) == (401, "authentication_required")


def test_a_form_from_a_program_is_unsupported() -> None:
    user = mock.Mock(is_active=True)
    with mock.patch.object(TokenAuthentication, "authenticate", return_value=(user, object())):
        response = post("_content=%7B%7D", "application/x-www-form-urlencoded")
    assert (response.status_code, code_of(response)) == (415, "unsupported_media_type")


def test_a_nul_in_a_cookie_is_refused(subtests: pytest.Subtests) -> None:
    for cookie in [r'sessionid="\000aaaaaaaa"', r'csrftoken="\000"']:
        with subtests.test(cookie=cookie):
            response = Client().get("/api/v1/guarded", headers={"Cookie": cookie})
            assert (response.status_code, code_of(response)) == (400, "invalid_parameter")


def test_a_method_without_a_handler_is_not_allowed(subtests: pytest.Subtests) -> None:
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW", "__INIT__"]:
        with subtests.test(method=method):
            response = Client().generic(method, "/api/v1/echo", "{", BODY)
            assert (response.status_code, code_of(response)) == (405, "method_not_allowed")


# --- Requests as the WSGI server passes them ---------------------------------------------------
def through_wsgi(**environ: Any) -> tuple[int, dict[str, Any]]:
    """Return status and body of POST /api/v1/echo, called as a WSGI server does."""
    statuses: list[str] = []
    full_environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/echo",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "CONTENT_TYPE": BODY,
        **environ,
    }
    application = RequestNormaliser(WSGIHandler())
    body = b"".join(application(full_environ, lambda status, _headers: statuses.append(status)))
    return int(statuses[0].split()[0]), json.loads(body)


def test_a_content_type_that_django_cannot_parse_is_unsupported(subtests: pytest.Subtests) -> None:
    cases = [
        "application/json; charset*=nonsense'en'%ff",
        "application/json; x=" + "y" * 20_000,
        "application/json; charset=",
        "application/json; charset=bz2_codec",
        "application/json; charset=idna",
        "application/json; charset=no-such-charset",
        "application/json; charset=punycode",
        "application/json; charset=undefined",
        "application/json; charset=unicode_escape",
        "application/json; charset=utf-7",
    ]
    for content_type in cases:
        with subtests.test(content_type[:60]):
            body = {
                "wsgi.input": io.BytesIO(b"{}"),
                "CONTENT_LENGTH": "2",
                "QUERY_STRING": "a=%ff%fe",
            }
            status, problem = through_wsgi(CONTENT_TYPE=content_type, **body)
            assert (status, problem["code"]) == (415, "unsupported_media_type")


def test_many_parameters_are_malformed_whatever_the_charset() -> None:
    query = "a&" * 1_500
    status, problem = through_wsgi(
        CONTENT_TYPE="application/json; charset=utf-8", QUERY_STRING=query
    )
    assert (status, problem["code"]) == (400, "malformed")


def in_chunks(body: io.BytesIO) -> dict[str, Any]:
    return {
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


def test_a_body_in_chunks_is_read() -> None:
    assert through_wsgi(**in_chunks(io.BytesIO(b'{"a": 1}'))) == (200, {"a": 1})


def test_a_body_in_chunks_is_read_up_to_the_limit() -> None:
    endless = mock.Mock(read=lambda size: b"x" * size)
    status, problem = through_wsgi(**in_chunks(endless))
    assert (status, problem["code"]) == (413, "too_large")


def test_a_body_that_ends_early_is_malformed() -> None:
    status, problem = through_wsgi(**in_chunks(mock.Mock(read=mock.Mock(side_effect=OSError))))
    assert (status, problem["code"]) == (400, "malformed")
    status, problem = through_wsgi(CONTENT_LENGTH="900", **{"wsgi.input": io.BytesIO(b"{}")})
    assert (status, problem["code"]) == (400, "malformed")


def test_a_content_length_beyond_the_limit_is_too_large() -> None:
    status, problem = through_wsgi(CONTENT_LENGTH="5000000")
    assert (status, problem["code"]) == (413, "too_large")
