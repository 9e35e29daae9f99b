"""Failed logins at the admin are limited by user name and by IP address."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.accounts.models import User
from config.http.models import RequestCount
from tests.kit_admin import logged_in
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


def log_in(name: str, password: str = "", **extra: Any) -> Any:
    return Client().post(LOGIN, {"username": name, "password": password or "wrong"}, **extra)


def test_a_user_name_is_limited_from_all_addresses(robin: User) -> None:
    name = robin.username
    statuses = [log_in(name, REMOTE_ADDR=f"192.0.2.{number}").status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]

    # The limit covers other spellings of the name, and the right password too.
    response = log_in(name.upper(), REMOTE_ADDR="192.0.2.9")
    assert response.status_code == 429
    assert log_in(name, PASSWORD, REMOTE_ADDR="192.0.2.9").status_code == 429
    assert 0 < int(response["Retry-After"]) <= 900
    page = response.content.decode()
    assert "Too many failed logins" in page
    assert re.search(r"Try again in 1[45] minutes\.", page)
    assert response["Content-Type"].startswith("text/html")
    # The form is still shown, and other users may log in.
    assert Client().get(LOGIN).status_code == 200
    assert log_in("somebody", REMOTE_ADDR="192.0.2.9").status_code == 200


def test_an_address_is_limited_for_all_user_names(robin: User) -> None:
    assert [log_in(f"name {number}").status_code for number in range(6)] == [200] * 5 + [429]
    assert log_in(robin.username, PASSWORD).status_code == 429
    assert log_in(robin.username, PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 429
    assert log_in(robin.username, PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_a_successful_login_neither_counts_nor_resets_the_count(robin: User) -> None:
    for _ in range(8):
        assert log_in(robin.username, PASSWORD).status_code == 302
    assert [log_in(robin.username).status_code for _ in range(2)] == [200, 200]
    assert log_in(robin.username, PASSWORD).status_code == 302
    assert [log_in(robin.username).status_code for _ in range(2)] == [200, 429]


def test_the_limit_covers_users_who_are_logged_in(robin: User, admin_user: User) -> None:
    client = logged_in(robin)
    body = {"username": admin_user.username, "password": "wrong"}
    assert [client.post(LOGIN, body).status_code for _ in range(4)] == [200, 200, 200, 429]
    # Their session goes on.
    assert client.get("/admin/").status_code == 200


def test_the_limit_ends_with_its_period(robin: User) -> None:
    for _ in range(4):
        response = log_in(robin.username)
    assert response.status_code == 429
    RequestCount.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert log_in(robin.username, PASSWORD).status_code == 302


def test_a_program_gets_a_problem(robin: User) -> None:
    for _ in range(4):
        response = log_in(robin.username, HTTP_ACCEPT="application/json")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "too_many_logins"


def test_counts_contain_nothing_that_was_typed(db: None) -> None:
    log_in("a password in the wrong field")
    log_in("x" * 10_000)
    assert not RequestCount.objects.filter(key__contains="password").exists()


def test_twenty_logins_at_once_get_three_tries(committed: None, settings: Any) -> None:
    settings.LOGIN_FAILURES = {"name": 3, "address": 100}
    statuses = at_once([lambda: log_in("robin").status_code] * 20)
    assert (statuses.count(200), statuses.count(429)) == (3, 17)
    RequestCount.objects.all().delete()
