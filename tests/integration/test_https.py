"""With HTTPS, pages redirect, programs are refused, and headers and cookies bind the browser."""

from typing import Any

import pytest
from django.test import Client

from config.accounts.models import User
from config.version import VERSION

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _https(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = True
    settings.CSRF_COOKIE_SECURE = settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
    settings.SESSION_COOKIE_NAME = "__Host-sessionid"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def test_pages_redirect_people_to_https() -> None:
    for path in ("/", "/admin/login/", "/api/v1/orders"):
        answer = Client().get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer["Location"]) == (301, f"https://testserver{path}")


def test_the_api_refuses_programs_over_plain_http() -> None:
    for method in ("get", "post", "delete"):
        answer = getattr(Client(), method)("/api/v1/orders", headers={"Accept": "*/*"})
        assert (answer.status_code, answer.json()["code"]) == (403, "https_required")
        assert "Location" not in answer
    assert Client().get("/api/v1/orders", secure=True).status_code == 401


def test_probes_use_plain_http_and_are_told_the_version() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": VERSION})


def test_every_answer_has_the_headers_that_bind_browsers(subtests: pytest.Subtests) -> None:
    for path in ("/", "/admin/login/", "/api/v1", "/api/v1/orders", "/nothing"):
        with subtests.test(path=path):
            answer = Client().get(path, secure=True)
            assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert answer["Referrer-Policy"] == "same-origin"
            assert answer["X-Frame-Options"] == "DENY"
            assert "Access-Control-Allow-Origin" not in answer


def test_cookies_are_secure_and_stay_on_the_host(clerk: User) -> None:
    clerk.set_password(PASSWORD)
    clerk.save()
    browser = Client()

    answer = browser.post("/admin/login/", {"username": "clerk", "password": PASSWORD}, secure=True)

    session, csrf = answer.cookies["__Host-sessionid"], answer.cookies["csrftoken"]
    for cookie in (session, csrf):
        assert (cookie["secure"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert cookie["domain"] == ""
    assert session["httponly"]
    assert browser.get("/admin/", secure=True).status_code == 200
