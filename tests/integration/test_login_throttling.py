"""Whoever tries out passwords at the admin's login is held up, and told so on a page."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.accounts.models import User
from config.http.models import RequestCount
from tests.parallel import at_once

LOGIN = "/admin/login/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _low_limits(settings: Any) -> None:
    settings.LOGIN_FAILURES = {"name": 3, "address": 5}


@pytest.fixture
def robin(db: None, clerk: User) -> User:
    clerk.set_password(PASSWORD)
    clerk.save()
    return clerk


def log_in(name: str, password: str = "", **more: Any) -> Any:
    return Client().post(LOGIN, {"username": name, "password": password or "wrong"}, **more)


def test_a_name_is_held_up_wherever_it_comes_from(robin: User) -> None:
    name = robin.username
    statuses = [log_in(name, REMOTE_ADDR=f"192.0.2.{number}").status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]

    # In any spelling, and with the right password too.
    refused = log_in(name.upper(), REMOTE_ADDR="192.0.2.9")
    assert refused.status_code == log_in(name, PASSWORD, REMOTE_ADDR="192.0.2.9").status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 900
    page = refused.content.decode()
    assert "Too many failed logins" in page
    assert re.search(r"Try again in 1[45] minutes\.", page)
    assert refused["Content-Type"].startswith("text/html")
    # The form is shown, and others may use it.
    assert Client().get(LOGIN).status_code == 200
    assert log_in("somebody", REMOTE_ADDR="192.0.2.9").status_code == 200


def test_an_address_is_held_up_whatever_name_it_tries(robin: User) -> None:
    assert [log_in(f"name {number}").status_code for number in range(6)] == [200] * 5 + [429]
    assert log_in(robin.username, PASSWORD).status_code == 429
    assert log_in(robin.username, PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 429
    assert log_in(robin.username, PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_what_succeeds_is_not_counted_and_gives_no_new_tries(robin: User) -> None:
    for _ in range(8):
        assert log_in(robin.username, PASSWORD).status_code == 302
    assert [log_in(robin.username).status_code for _ in range(2)] == [200, 200]
    assert log_in(robin.username, PASSWORD).status_code == 302
    assert [log_in(robin.username).status_code for _ in range(2)] == [200, 429]


def test_who_is_logged_in_is_held_up_like_anybody(robin: User, admin_user: User) -> None:
    client = Client()
    client.force_login(robin)
    body = {"username": admin_user.username, "password": "wrong"}
    assert [client.post(LOGIN, body).status_code for _ in range(4)] == [200, 200, 200, 429]
    # But not at what they are at.
    assert client.get("/admin/").status_code == 200


def test_time_lets_them_in_again(robin: User) -> None:
    for _ in range(4):
        refused = log_in(robin.username)
    assert refused.status_code == 429
    RequestCount.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert log_in(robin.username, PASSWORD).status_code == 302


def test_a_program_is_told_as_a_problem(robin: User) -> None:
    for _ in range(4):
        refused = log_in(robin.username, HTTP_ACCEPT="application/json")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "too_many_logins"


def test_nothing_that_was_typed_is_kept(db: None) -> None:
    log_in("a password in the wrong field")
    log_in("x" * 10_000)
    assert not RequestCount.objects.filter(key__contains="password").exists()


def test_three_of_twenty_at_once(committed: None, settings: Any) -> None:
    settings.LOGIN_FAILURES = {"name": 3, "address": 100}
    answers = at_once([lambda: log_in("robin").status_code] * 20)
    assert (answers.count(200), answers.count(429)) == (3, 17)
    RequestCount.objects.all().delete()
