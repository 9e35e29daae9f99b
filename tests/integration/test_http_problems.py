"""Every error of every view is a problem that leads to a page."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from rest_framework.test import APIClient
from rest_framework.throttling import BaseThrottle

from config.accounts.models import User
from config.accounts.roles import Role
from config.endpoints import OrderEndpoint
from config.http.answers import problems
from ordering_write.models import OutboxEvent
from tests.integration.test_read_api import ROOT, client_of

pytestmark = pytest.mark.django_db(databases=["default", "read"])

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}
NOBODY = UUID(int=404)
JSON = {"accept": "application/json"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def check(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check that ``answer`` is the problem ``code``, complete; return its body."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["instance"] == answer.wsgi_request.path
    assert body["request_id"] == answer["Request-Id"]
    assert all(body[name] for name in MEMBERS)
    page = Client().get(body["type"], headers={"accept": "text/html"})
    assert page.status_code == 200
    assert body["title"] in page.content.decode()
    return body


def test_an_unusable_address_or_parameter_is_a_problem(subtests: pytest.Subtests) -> None:
    client = Client(headers=JSON)
    admin = client_of(Role.ADMIN).handler._force_user  # type: ignore[attr-defined]
    client.force_login(admin)
    User.objects.filter(pk=admin.pk).update(is_staff=True)
    cases = [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", f"{ROOT}/nothing", 404, "not_found"),
        ("POST", f"{ROOT}/nothing", 404, "not_found"),
        ("GET", f"{ROOT}/orders/{NOBODY}", 404, "not_found"),
        ("GET", f"{ROOT}/orders/{NOBODY}/nothing", 404, "not_found"),
        ("GET", "/problems/nothing", 404, "not_found"),
        ("GET", "/static/nothing.css", 404, "not_found"),
        ("GET", "/admin/nothing/", 404, "not_found"),
        ("DELETE", f"{ROOT}/orders", 405, "method_not_allowed"),
        ("PUT", ROOT, 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("DELETE", "/readyz", 405, "method_not_allowed"),
        ("POST", "/problems/not-found", 405, "method_not_allowed"),
        ("POST", "/favicon.ico", 405, "method_not_allowed"),
        ("POST", "/api/schema", 405, "method_not_allowed"),
        ("GET", f"{ROOT}/orders?nothing=1", 400, "unknown_parameter"),
        ("GET", f"{ROOT}/orders?page=0", 400, "invalid_parameter"),
        ("GET", f"{ROOT}/orders?page=%00", 400, "invalid_parameter"),
    ]
    for method, path, status, code in cases:
        with subtests.test(f"{method} {path}"):
            answer = client.generic(method, path)

            check(answer, status, code)
            assert status != 405 or answer["Allow"]


def test_a_too_long_request_is_a_problem(subtests: pytest.Subtests) -> None:
    admin = client_of(Role.ADMIN)
    long = "x" * 4_096
    for path in (f"{ROOT}/orders?q={long}", f"{ROOT}/orders/{long}", f"/admin/?q={long}"):
        with subtests.test(path[:20]):
            check(admin.get(path, headers=JSON), 414, "uri_too_long")
    for headers in ({"x-note": "x" * 40_000}, {f"x-{n}": "x" * 8_000 for n in range(5)}):
        with subtests.test(headers=len(headers)):
            check(admin.get(f"{ROOT}/orders", headers=headers), 431, "headers_too_large")
    assert admin.get(f"{ROOT}/orders?sku={'x' * 64}", headers={"x-note": long}).status_code == 200


def test_a_browser_gets_a_page_about_a_too_long_address() -> None:
    answer = Client().get(f"/?{'x' * 4_096}", headers={"accept": "text/html"})

    assert (answer.status_code, answer["Content-Type"]) == (414, "text/html; charset=utf-8")
    assert "longer than the service accepts" in answer.content.decode()


def test_an_unsupported_format_is_a_problem() -> None:
    admin = client_of(Role.ADMIN)

    check(admin.get(f"{ROOT}/orders", headers={"accept": "application/pdf"}), 406, "not_acceptable")
    refused = admin.post(f"{ROOT}/customers", b"a=1", content_type="text/csv")
    check(refused, 415, "unsupported_media_type")


def test_an_unusable_body_is_a_problem(settings: Any) -> None:
    admin, path = client_of(Role.ADMIN), f"{ROOT}/customers"

    check(admin.post(path, b"{", content_type="application/json"), 400, "malformed")
    check(admin.post(path, {}, "json"), 422, "validation")
    settings.MAX_BODY_BYTES = 10
    check(admin.post(path, {"name": "x" * 20}, "json"), 413, "too_large")


def test_a_missing_login_or_permission_is_a_problem() -> None:
    check(APIClient().get(f"{ROOT}/orders"), 401, "authentication_required")
    wrong = APIClient().get(f"{ROOT}/orders", headers={"authorization": "Token nonsense"})
    assert check(wrong, 401, "authentication_required")
    assert wrong["WWW-Authenticate"] == "Token"
    refused = client_of(Role.WAREHOUSE).get(f"{ROOT}/customers")
    body = check(refused, 403, "permission_denied")
    assert body["needed_permission"] == "ordering_read.view_customers"


def test_a_missing_csrf_token_is_a_problem(admin_user: User) -> None:
    browser = Client(enforce_csrf_checks=True, headers=JSON)
    browser.force_login(admin_user)

    api = browser.post(f"{ROOT}/customers", {}, content_type="application/json")
    admin = browser.post("/admin/logout/")

    for answer in (api, admin):
        check(answer, 403, "csrf_failed")


class RefuseAll(BaseThrottle):
    """Refuses every request."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 7.2


def test_a_throttled_request_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderEndpoint, "throttle_classes", [RefuseAll])

    answer = client_of(Role.ADMIN).get(f"{ROOT}/orders")

    check(answer, 429, "rate_limited")
    assert answer["Retry-After"] == "8"


def test_every_problem_has_a_page_that_helps() -> None:
    registered = problems.all_problems()

    assert len(registered) > 20
    for problem in registered:
        page = Client().get(f"/problems/{problem.slug}")
        text = page.content.decode()
        assert page.status_code == 200, problem.slug
        assert text.count("<h1>") == 1
        for part in (problem.title, problem.meaning, problem.advice):
            assert part.strip(), problem.slug
        paragraphs = re.findall(r"<p>(.*?)</p>", text, re.DOTALL)
        assert all(paragraph.strip() for paragraph in paragraphs)
        assert f"<code>{problem.code}</code>" in text


# --- Ids ---------------------------------------------------------------------------------------
def test_the_request_id_of_the_client_is_kept() -> None:
    answer = Client().get("/api/nothing", headers={"request-id": "order-4711"})

    assert answer["Request-Id"] == answer.json()["request_id"] == "order-4711"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "é"])
def test_an_unusable_request_id_is_replaced(sent: str) -> None:
    answer = Client().get("/api/nothing", headers={"request-id": sent})

    assert re.fullmatch(r"[0-9a-f]{32}", answer["Request-Id"])
    assert answer.json()["request_id"] == answer["Request-Id"]


def test_the_trace_id_becomes_the_correlation_id_of_the_events() -> None:
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}

    answer = client_of(Role.ADMIN).post(
        f"{ROOT}/customers", {"name": "Kim", "email": "kim@example.com"}, "json", headers=headers
    )

    request: Any = answer.wsgi_request
    assert request.correlation_id == UUID(TRACE)
    assert {event.correlation_id for event in OutboxEvent.objects.all()} == {UUID(TRACE)}
