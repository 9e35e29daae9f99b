"""API views: permissions, problems, browsable forms. Other tests borrow the small site."""

import html
import json
import logging
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from unittest import mock
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path, resolve
from pydantic import BaseModel, ConfigDict, ValidationError
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from typing_extensions import TypedDict

from config.fields.members import DetailedError
from config.http.answers import pages, problems
from config.http.answers.encoding import JSONEncoder
from config.http.answers.pagination import PageParameters, page_body, page_links
from config.http.checks import views_declare_permissions
from config.http.input.idempotency import idempotency_key
from config.http.input.query import parse_query
from config.http.openapi.schema_views import DocsView, SchemaView
from config.http.views import ApiView, ApiViewSet

THING = UUID("0192aaaa-0000-7000-8000-000000000001")


class NoRoomError(DetailedError):
    """There is no room on this shelf."""

    class Members(TypedDict):
        free: int
        status: str

    def members(self) -> Members:
        return {"free": 0, "status": "full"}


class Thing(BaseModel):
    """The resource of this API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int = 1


class ThingFilter(PageParameters):
    """The parameters of the list of things."""

    name: str = ""


@dataclass
class Shelf:
    """A page of things, as a query answers it."""

    items: list[Any] = field(default_factory=list)
    page: int = 1
    page_size: int = 20
    count: int = 0
    capped: bool = False
    cursor: str | None = None
    next_cursor: str | None = None


class Things(ApiViewSet):
    """Things on a shelf."""

    needed_permissions = {
        "list": "things.view_thing",
        "retrieve": "things.view_thing",
        "history": "things.view_thing",
        "create": "things.add_thing",
        "move": "things.move_thing",
    }

    def list(self, request: Request) -> Response:
        filters = parse_query(request, ThingFilter)
        shelf = Shelf(page=filters.page, page_size=filters.page_size)
        return Response(page_body(page_links(request, shelf), shelf))

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(
            {
                "id": UUID(pk),
                "price": Decimal("1E+2"),
                "at": datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))),
                "thing": Thing(name="Lamp"),
            }
        )

    def create(self, request: Request) -> Response:
        thing = Thing.model_validate(request.data)
        if thing.name == "elephant":
            raise NoRoomError("An elephant has no room here.")
        return Response({"name": thing.name, "key": idempotency_key(request)}, status=201)

    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        return Response({"moved": pk})

    @action(detail=True)
    def history(self, request: Request, pk: str) -> Response:
        return Response([])

    def command_examples(self, request: Request) -> dict[str, Any]:
        return {"POST": {"name": "Lamp & shade"}, "move": {"to": "the left"}}


class Broken(ApiView):
    """Raises an error that the test chooses."""

    public = True
    error: Exception = RuntimeError("a secret")

    def get(self, request: Request) -> Response:
        raise self.error

    post = get


class Undeclared(ApiView):
    """Declares no permission."""

    def get(self, request: Request) -> Response:
        return Response()


class Foreign(APIView):
    """Lacks our base class."""

    def get(self, request: Request) -> Response:
        return Response()


def plain(request: HttpRequest) -> HttpResponse:
    raise OperationalError("connection to 10.0.0.1 failed")


router = SimpleRouter(trailing_slash=False)
router.register("things", Things, basename="thing")
urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/broken", Broken.as_view()),
    path("api/v1/plain", plain),
    path("plain", plain),
    path("api/v1/", include(router.urls)),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view()),
    path("problems/<slug:slug>", pages.problem_page, name="problem"),
]
handler400 = pages.bad_request
handler403 = pages.permission_denied
handler404 = pages.page_not_found
handler500 = pages.server_error

pytestmark = pytest.mark.urls(__name__)


@dataclass
class Person:
    """A user with permissions, without a database."""

    permissions: frozenset[str] = frozenset()
    is_authenticated: bool = True
    is_active: bool = True

    def __str__(self) -> str:
        return "robin"

    def has_perm(self, permission: str) -> bool:
        return permission in self.permissions


EVERYBODY = Person(frozenset(Things.needed_permissions.values()))


@pytest.fixture(autouse=True)
def _register_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    problems.load()
    monkeypatch.setattr(problems, "_problems", dict(problems._problems))
    monkeypatch.setattr(problems, "_entries", dict(problems._entries))
    problems.register(NoRoomError, slug="no-room", status=409, title="No room", retry_after=7)


def send(
    method: str,
    address: str,
    *,
    user: Any = EVERYBODY,
    body: Any = None,
    form: dict[str, str] | None = None,
    accept: str = "application/json",
    csrf: bool = False,
    **headers: str,
) -> Any:
    """Return the rendered answer of the view at ``address`` to a user with a session."""
    if form is not None:
        content, content_type = urlencode(form), "application/x-www-form-urlencoded"
    else:
        content, content_type = "" if body is None else json.dumps(body), "application/json"
    request: Any = RequestFactory().generic(
        method, address, content, content_type, headers={"Accept": accept, **headers}
    )
    request.user = user
    request._dont_enforce_csrf_checks = not csrf
    request.resolver_match = match = resolve(request.path_info)
    response = match.func(request, *match.args, **match.kwargs)
    return response.render() if hasattr(response, "render") else response


# --- Permissions -------------------------------------------------------------------------------
def test_each_action_needs_its_permission(subtests: pytest.Subtests) -> None:
    cases = [
        ("GET", "/api/v1/things", "things.view_thing"),
        ("HEAD", "/api/v1/things", "things.view_thing"),
        ("OPTIONS", "/api/v1/things", "things.view_thing"),
        ("POST", "/api/v1/things", "things.add_thing"),
        ("POST", f"/api/v1/things/{THING}/move", "things.move_thing"),
        ("OPTIONS", f"/api/v1/things/{THING}/move", "things.move_thing"),
    ]
    for method, address, needed in cases:
        with subtests.test(method=method, address=address):
            refused = send(method, address, user=Person())
            assert refused.status_code == 403
            assert json.loads(refused.content)["needed_permission"] == needed
            anonymous = send(method, address, user=AnonymousUser())
            assert anonymous.status_code == 401
            assert anonymous["WWW-Authenticate"] == "Token"
            allowed = send(method, address, user=Person(frozenset({needed})), body={"name": "Lamp"})
            assert allowed.status_code in (200, 201)


def test_a_method_without_a_handler_is_405_with_the_allowed_ones() -> None:
    response = send("DELETE", "/api/v1/things", user=AnonymousUser())
    assert response.status_code == 405
    assert response["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert json.loads(response.content)["code"] == "method_not_allowed"


def test_a_view_that_declares_nothing_is_refused() -> None:
    request = RequestFactory().get("/")
    request.user = EVERYBODY  # type: ignore[assignment]
    with pytest.raises(ImproperlyConfigured, match="Undeclared declares no permission for GET"):
        Undeclared.as_view()(request)


def test_the_check_names_views_that_declare_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert views_declare_permissions() == []
    monkeypatch.setattr(Things, "needed_permissions", {"list": "things.view_thing"})
    errors = {error.msg.split(":")[0] for error in views_declare_permissions()}
    assert errors == {
        f"Things declares no permission for {name}"
        for name in ("create", "retrieve", "history", "move")
    }


def test_the_check_names_views_without_the_base_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "urlpatterns", [path("foreign", Foreign.as_view())])
    assert [error.msg for error in views_declare_permissions()] == ["Foreign isn't an ApiView."]


# --- Problems ----------------------------------------------------------------------------------
def test_a_refusal_is_a_problem_with_its_members() -> None:
    response = send("POST", "/api/v1/things", body={"name": "elephant"})
    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert response["Retry-After"] == "7"
    assert json.loads(response.content) == {
        "type": "http://testserver/problems/no-room",
        "title": "No room",
        "status": 409,
        "detail": "An elephant has no room here.",
        "instance": "/api/v1/things",
        "code": "no_room",
        "request_id": None,
        "free": 0,
    }


def test_every_mistake_in_a_body_is_listed() -> None:
    response = send("POST", "/api/v1/things", body={"size": "many", "a/b~c d": 1})
    assert response.status_code == 422
    assert json.loads(response.content)["errors"] == [
        {"pointer": "#/name", "detail": "Field required", "code": "missing"},
        {
            "pointer": "#/size",
            "detail": "Input should be a valid integer, unable to parse string as an integer",
            "code": "int-parsing",
        },
        {
            "pointer": "#/a~1b~0c%20d",
            "detail": "There is no such field.",
            "code": "unknown-field",
        },
    ]


def test_a_model_that_a_query_fills_wrongly_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({})
    monkeypatch.setattr(Broken, "error", caught.value)
    client = Client(raise_request_exception=False)
    assert client.get("/api/v1/broken").status_code == 500
    assert client.post("/api/v1/broken").status_code == 422


@pytest.mark.parametrize("address", ["/api/v1/broken", "/api/v1/plain", "/plain"])
def test_a_lost_database_is_503_and_logged(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Broken, "error", OperationalError("connection to 10.0.0.1 failed"))
    with caplog.at_level(logging.ERROR, logger="config.http.answers.problems"):
        response = Client().get(address, headers={"Accept": "application/json"})
    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert "10.0.0.1" not in response.content.decode()
    assert "10.0.0.1" in caplog.text


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_internal_error_is_logged_and_leaks_nothing(
    accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(raise_request_exception=False)
    response = client.get("/api/v1/broken", headers={"Accept": accept, "Request-Id": "abc"})
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert response.json()["request_id"] == response["Request-Id"] == "abc"
    assert "secret" not in response.content.decode()
    assert "RuntimeError: a secret" in caplog.text


def test_a_problem_type_leads_to_a_page() -> None:
    client = Client()
    unknown = client.get("/api/v1/nothing-here")
    assert (unknown.status_code, unknown["Content-Type"]) == (404, "application/problem+json")
    assert "broken" not in unknown.content.decode()
    page = client.get(unknown.json()["type"])
    assert page.status_code == 200
    assert "What to do" in page.content.decode()
    for problem in problems.all_problems():
        assert client.get(f"/problems/{problem.slug}").status_code == 200
    assert client.get("/problems/no-such-problem").status_code == 404


def test_a_missing_page_outside_the_api_is_html_by_default(subtests: pytest.Subtests) -> None:
    cases = [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("application/json", "application/problem+json"),
        ("text/html; x*=nonsense'en'%ff", "text/html; charset=utf-8"),
    ]
    for accept, content_type in cases:
        with subtests.test(accept=accept, content_type=content_type):
            response = Client().get("/nothing-here", headers={"Accept": accept})
            assert (response.status_code, response["Content-Type"]) == (404, content_type)


def test_a_slug_has_one_status_and_title() -> None:
    with pytest.raises(ValueError, match="needs a status"):
        problems.register(NoRoomError, slug="never-seen")
    with pytest.raises(ValueError, match="is 404 'Not found' already"):
        problems.register(NoRoomError, slug="not-found", status=410)


def test_an_unknown_host_is_a_problem_without_that_host() -> None:
    response = Client().get("/api/v1/things", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response.json()["type"] == "/problems/malformed"
    assert "ALLOWED_HOSTS" not in response.content.decode()


# --- Answers -----------------------------------------------------------------------------------
def test_money_times_and_ids_are_written_in_one_format() -> None:
    response = send("GET", f"/api/v1/things/{THING}")
    assert json.loads(response.content) == {
        "id": str(THING),
        "price": "100",
        "at": "2026-01-02T02:00:00Z",
        "thing": {"name": "Lamp", "size": 1},
    }


def test_formats_are_negotiated() -> None:
    address = "/api/v1/things"
    assert "json" in send("GET", address, accept="*/*")["Content-Type"]
    assert "html" in send("GET", address, accept="text/html,*/*;q=0.8")["Content-Type"]
    assert "json" in send("GET", address + "?format=json", accept="text/html")["Content-Type"]
    assert "html" in send("GET", address + "?format=api")["Content-Type"]
    assert "json" in send("GET", address, accept="")["Content-Type"]
    assert send("GET", address, accept="application/pdf").status_code == 406
    refused = send("GET", address + "?format=xml")
    assert refused.status_code == 400
    assert json.loads(refused.content)["parameter"] == "format"


# --- Browsable pages ---------------------------------------------------------------------------
def page(method: str, address: str, **options: Any) -> tuple[int, str]:
    response = send(method, address, accept="text/html", **options)
    assert response["Content-Type"].startswith("text/html")
    return response.status_code, response.content.decode()


def textareas(text: str) -> list[str]:
    areas = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.S)
    return [html.unescape(area) for area in areas]


def test_a_page_has_no_script() -> None:
    _, text = page("GET", "/api/v1/things")
    assert "<script" not in text
    assert "onclick" not in text
    assert "<style" not in text


def test_a_page_has_a_form_with_an_example_for_each_permitted_command() -> None:
    _, text = page("GET", "/api/v1/things")
    assert [json.loads(t) for t in textareas(text)] == [{"name": "Lamp & shade"}]
    _, text = page("GET", f"/api/v1/things/{THING}")
    assert [json.loads(t) for t in textareas(text)] == [{"to": "the left"}]
    assert f'action="http://testserver/api/v1/things/{THING}/move"' in text
    assert f'href="http://testserver/api/v1/things/{THING}/history"' in text
    reader = Person(frozenset({"things.view_thing"}))
    _, text = page("GET", f"/api/v1/things/{THING}", user=reader)
    assert textareas(text) == []


def test_the_page_of_a_missing_resource_has_no_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Things, "retrieve", mock.Mock(side_effect=Http404("Thing not found")))
    status, text = page("GET", f"/api/v1/things/{THING}")
    assert (status, textareas(text)) == (404, [])


def test_the_page_of_an_action_has_its_own_form() -> None:
    status, text = page("GET", f"/api/v1/things/{THING}/move")
    assert status == 405
    assert [json.loads(t) for t in textareas(text)] == [{"to": "the left"}]


def test_a_form_gives_the_same_command_as_json() -> None:
    form = {"_content": '{"name":"Lamp"}', "_idempotency_key": "k1"}
    status, text = page("POST", "/api/v1/things", form=form)
    assert status == 201
    assert "&quot;key&quot;: &quot;k1&quot;" in text
    assert [json.loads(t) for t in textareas(text)] == [{"name": "Lamp & shade"}]


def test_the_form_keeps_the_typed_text_after_a_refusal(subtests: pytest.Subtests) -> None:
    cases = [
        ('{"name": "elephant"}', 409, "An elephant has no room here."),
        ('{"name": "Lamp", "colour": "red"}', 422, "#/colour"),
        ('{"name": ', 400, "The body is not JSON"),
    ]
    for typed, status, message in cases:
        with subtests.test(typed=typed, status=status):
            actual_status, text = page("POST", "/api/v1/things", form={"_content": typed})
            assert actual_status == status
            assert textareas(text) == [typed]
            assert message in text[text.index('role="alert"') :]


def test_a_form_without_the_csrf_token_is_refused() -> None:
    response = send("POST", "/api/v1/things", form={"_content": "{}"}, csrf=True)
    assert response.status_code == 403
    assert json.loads(response.content)["code"] == "csrf_failed"


def test_an_idempotency_key_is_visible_ascii(subtests: pytest.Subtests) -> None:
    for key in ["a" * 201, "a b", '"a', "ä", '"']:
        with subtests.test(key=key):
            body = {"name": "Lamp"}
            with_key: Any = {"Idempotency-Key": key}
            refused = send("POST", "/api/v1/things", body=body, **with_key)
            assert refused.status_code == 400
            assert json.loads(refused.content)["parameter"] == "Idempotency-Key"
            with_quotes: Any = {"Idempotency-Key": '"k1"'}
            quoted = send("POST", "/api/v1/things", body=body, **with_quotes)
            assert json.loads(quoted.content)["key"] == "k1"


def test_a_datetime_without_zone_is_never_written() -> None:
    assert JSONEncoder().default(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="has no time zone"):
        JSONEncoder().default(datetime(2026, 1, 1))
