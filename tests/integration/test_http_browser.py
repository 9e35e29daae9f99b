"""A browser carries the token of its last command in a cookie, and the next pages wait for it."""

import gzip
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write.models import Customer
from tests.integration.test_http_waiting import TOKEN, catch_up, get, register
from tests.integration.test_read_api import ROOT, client_of

pytestmark = pytest.mark.django_db(databases=["default", "read"])


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


@pytest.fixture
def browser(admin_user: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(admin_user)
    return client


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("ordering_write.api.base._PAGE_WAIT_SECONDS", 0.01)
    monkeypatch.setattr("config.http.middleware._PAGE_WAIT_SECONDS", 0.01)
    body = {"_content": '{"name": "Kim", "email": "kim@example.com"}'}
    return {"data": urlencode(body), "content_type": "application/x-www-form-urlencoded"}


def test_a_later_page_shows_the_change_and_removes_the_cookie(
    browser: Client, form: dict[str, Any]
) -> None:
    posted = browser.post(f"{ROOT}/customers", **form)
    behind = browser.get(f"{ROOT}/customers")
    catch_up()
    level = browser.get(f"{ROOT}/customers")
    later = browser.get(f"{ROOT}/customers")

    answers = (posted, behind, level, later)
    assert posted.cookies["consistency"].value == posted[TOKEN]
    assert posted.cookies["consistency"]["httponly"]
    headers = [answer.get("Projection-Behind") for answer in answers]
    assert headers == ["true", "true", None, None]
    assert "consistency" not in behind.cookies
    assert level.cookies["consistency"]["max-age"] == 0
    assert "consistency" not in later.cookies
    warnings = ["Your last change was accepted" in answer.content.decode() for answer in answers]
    assert warnings == [True, True, False, False]


def test_admin_pages_wait_for_the_token(browser: Client, form: dict[str, Any]) -> None:
    browser.post(f"{ROOT}/customers", **form)

    behind = browser.get("/admin/ordering_read/customersummary/")
    catch_up()
    level = browser.get("/admin/ordering_read/customersummary/")

    assert behind["Projection-Behind"] == "true"
    assert "Your last change was accepted" in behind.content.decode()
    assert not level.has_header("Projection-Behind")


def test_a_page_that_shows_the_change_sets_no_cookie(
    browser: Client, form: dict[str, Any], settings: Any
) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.shown"

    answer = browser.post(f"{ROOT}/customers", **form)

    assert answer.status_code == 201
    assert "consistency" not in answer.cookies


def test_a_foreign_cookie_is_removed(browser: Client) -> None:
    browser.cookies["consistency"] = "junk"

    answer = browser.get(f"{ROOT}/customers")

    assert answer.status_code == 200
    assert answer.cookies["consistency"]["max-age"] == 0


def test_programs_get_no_cookie(admin: APIClient) -> None:
    path, token = register(admin)

    assert not get(admin, path, token).cookies
    assert not get(admin, path, token, "wait=0").cookies


def shown(**_kwargs: Any) -> bool:
    """Replaces the wait, as if the workers were quick."""
    return True


def test_pages_are_compressed_and_answers_for_programs_keep_their_tags(
    admin_user: User, customer: Customer
) -> None:
    catch_up()
    client = Client(headers={"Accept-Encoding": "gzip"})
    client.force_login(admin_user)

    page = client.get("/admin/")
    answer = client.get(f"{ROOT}/customers/{customer.pk}", headers={"Accept": "application/json"})

    assert page["Content-Encoding"] == "gzip"
    assert len(page.content) < len(gzip.decompress(page.content)) / 3
    assert "Content-Encoding" not in answer
    assert answer["ETag"].startswith('"')
