"""Failed logins at the admin are limited by user name and by IP address."""

import re
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone

from config.accounts.models import User
from config.http.errors import TooManyLoginsError
from config.http.models import RequestCount
from tests.kit_admin import logged_in
from tests.parallel import at_once

LOGIN = "/admin/login/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _low_limits(settings: Any) -> None:
    settings.LOGIN_FAILURES = {"name": 3, "address": 5}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


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


def test_every_spelling_of_a_name_counts_as_the_name(robin: User) -> None:
    # The login form takes the first four for "clerk"; people take the others for it.
    spellings = (" clerk", "clerk ", "\tclerk\n", "ｃｌｅｒｋ", "Clerk", "cle\u200brk", "ⓒlerk")
    for spelling in spellings:
        RequestCount.objects.all().delete()
        statuses = [log_in(name).status_code for name in (spelling, "clerk", spelling, spelling)]
        assert statuses == [200, 200, 200, 429], spelling
        assert log_in(" ｃlerk ", PASSWORD).status_code == 429


def test_the_form_accepts_the_spellings_that_it_corrects(robin: User) -> None:
    for spelling in (" clerk ", "ｃｌｅｒｋ"):
        assert log_in(spelling, PASSWORD).status_code == 302
    assert not RequestCount.objects.filter(key__startswith="login:", count__gt=0).exists()


def test_one_ipv6_network_counts_as_one_address(robin: User) -> None:
    def guess(number: int, address: str) -> int:
        status: int = log_in(f"name {number}", REMOTE_ADDR=address).status_code
        return status

    statuses = [guess(number, f"2001:db8::{number:x}:1") for number in range(6)]
    assert statuses == [200] * 5 + [429]
    assert guess(7, "2001:db8:0:1::1") == 200
    # A server that listens on IPv6 sees IPv4 clients as ::ffff:192.0.2.1.
    assert [guess(number, f"::ffff:192.0.2.{number}") for number in range(10, 16)] == [200] * 6
    assert [guess(number, "::ffff:192.0.2.77") for number in range(20, 26)] == [200] * 5 + [429]


def test_a_call_of_authenticate_counts_and_a_shell_does_not(robin: User, rf: Any) -> None:
    request = rf.post("/")
    for _ in range(3):
        assert authenticate(request, username="CLERK", password="wrong") is None
        assert authenticate(username="clerk", password="wrong") is None
    with pytest.raises(TooManyLoginsError):
        authenticate(request, username="clerk", password=PASSWORD)
    assert authenticate(username="clerk", password=PASSWORD) == robin


def test_the_api_takes_no_password(robin: User) -> None:
    header = "Basic " + b64encode(f"clerk:{PASSWORD}".encode()).decode()
    for path in ("/api/v1/orders", "/api/v1/customers"):
        assert Client().get(path, HTTP_AUTHORIZATION=header).status_code == 401
    for path in ("/api-auth/login/", "/api/v1/login", "/accounts/login/"):
        assert Client().post(path, {"username": "clerk", "password": PASSWORD}).status_code == 404


def test_a_limit_is_logged_once_per_period(robin: User, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        log_in(robin.username)

    [record] = [record for record in caplog.records if "Too many failed" in record.message]
    assert record.levelname == "WARNING"
    assert record.message.startswith("Too many failed logins by one name: refused for ")


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
