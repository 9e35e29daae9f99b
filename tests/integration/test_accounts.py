"""Sessions and tokens end in time, and with the password or the account; guesses are limited."""

import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.sessions import _LOGIN_AT
from config.http.models import RequestCount
from tests.kit_admin import list_url, logged_in, messages_of, run_action

PASSWORD, NEW_PASSWORD = "correct horse battery", "quiet mornings in winter"
OWN_PASSWORD = "/admin/password_change/"
USERS = "accounts/user"

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _fast_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.LOGIN_FAILURES = {"name": 3, "address": 50}


@pytest.fixture
def robin(clerk: User) -> User:
    clerk.set_password(PASSWORD)
    clerk.save()
    return clerk


@pytest.fixture
def admin_with_password(admin_user: User) -> User:
    admin_user.set_password(PASSWORD)
    admin_user.save()
    return admin_user


def is_logged_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def accepts(token: str) -> bool:
    status: int = (
        APIClient().get("/api/v1/orders", headers={"Authorization": f"Token {token}"}).status_code
    )
    assert status in (200, 401)
    return status == 200


def token_of(user: User, **fields: Any) -> str:
    token: str = AuthToken.objects.create(user=user, **fields)[1]
    return token


def change_password(client: Client, old: str, new: str = NEW_PASSWORD) -> int:
    fields = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post(OWN_PASSWORD, fields).status_code


def set_login_time(client: Client, *, hours_ago: float) -> None:
    session = client.session
    session[_LOGIN_AT] -= 3600 * hours_ago
    session.save()


# --- Tokens ------------------------------------------------------------------------------------
def test_a_token_expires_after_the_days_of_the_setting(robin: User, settings: Any) -> None:
    token = token_of(robin)
    row = AuthToken.objects.get()
    assert row.expiry - row.created > timedelta(days=settings.TOKEN_DAYS - 1)
    assert accepts(token)

    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

    assert not accepts(token)


def test_a_token_with_an_expiry_costs_one_statement(robin: User) -> None:
    token = token_of(robin)
    for _ in range(3):
        token_of(robin)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    client.get("/api/v1/orders")

    with CaptureQueriesContext(connection) as queries:
        client.get("/api/v1/orders")

    statements = [query["sql"] for query in queries if "knox_authtoken" in query["sql"]]
    assert len(statements) == 1


def test_create_token_says_when_the_token_expires(robin: User) -> None:
    expired = token_of(robin, expiry=timedelta(seconds=-1))
    output, errors = StringIO(), StringIO()

    call_command("create_token", robin.username, stdout=output, stderr=errors)
    call_command("create_token", robin.username, "--days", "0", stdout=output, stderr=errors)

    tokens = output.getvalue().split()
    assert [accepts(token) for token in (expired, *tokens)] == [False, True, True]
    in_90_days = f"{timezone.now() + timedelta(days=90):%Y-%m-%d}"
    assert errors.getvalue() == f"The token expires on {in_90_days}.\nThe token never expires.\n"
    assert AuthToken.objects.count() == 2
    with pytest.raises(CommandError, match="--days must be from 0"):
        call_command("create_token", robin.username, "--days", "-1")


# --- The end of access -------------------------------------------------------------------------
def new_password(user: User) -> None:
    user.set_password(NEW_PASSWORD)
    user.save()


def lost_password(user: User) -> None:
    user.set_unusable_password()
    user.save(update_fields=["password"])


def deactivated_for_a_while(user: User) -> None:
    user.is_active = False
    user.save()
    user.is_active = True
    user.save()


def ended(user: User) -> None:
    user.end_access()


@pytest.mark.parametrize("end", [new_password, lost_password, deactivated_for_a_while, ended])
def test_sessions_and_tokens_end_with_the_password_and_the_account(
    end: Callable[[User], None], robin: User, auditor: User
) -> None:
    browser, token = logged_in(robin), token_of(robin)
    other_browser, other_token = logged_in(auditor), token_of(auditor)

    end(robin)

    assert not is_logged_in(browser)
    assert not accepts(token)
    assert is_logged_in(other_browser)
    assert accepts(other_token)
    assert is_logged_in(logged_in(robin))


def test_a_login_and_other_changes_of_a_user_end_nothing(robin: User) -> None:
    browser, token = logged_in(robin), token_of(robin)

    robin.email = "robin@example.com"
    robin.save()
    robin.groups.add(Group.objects.get(name="Warehouse"))
    Client().login(username=robin.username, password=PASSWORD)

    assert is_logged_in(browser)
    assert accepts(token)


def test_a_renewed_hash_of_the_same_password_keeps_the_tokens(robin: User, settings: Any) -> None:
    token = token_of(robin)
    settings.PASSWORD_HASHERS = [f"{__name__}.{QuickHasher.__name__}", *settings.PASSWORD_HASHERS]

    assert Client().login(username=robin.username, password=PASSWORD)

    robin.refresh_from_db()
    assert robin.password.startswith("pbkdf2_sha256")
    assert accepts(token)


class QuickHasher(PBKDF2PasswordHasher):
    """A newer hasher than that of the other tests."""

    iterations = 1


def test_the_admin_ends_all_access_of_a_user(admin_user: User, robin: User) -> None:
    browser, token = logged_in(robin), token_of(robin)

    response = run_action(logged_in(admin_user), USERS, "end_access", robin)

    text = "success: All sessions of the selected users have ended. Tokens revoked: 1."
    assert messages_of(response) == [text]
    assert not is_logged_in(browser)
    assert not accepts(token)


def test_the_admin_deactivates_a_user(admin_user: User, robin: User) -> None:
    token = token_of(robin)
    page = logged_in(admin_user)
    form = page.get(f"/admin/{USERS}/{robin.pk}/change/").text
    # Each right is a box with a label, and the past can't be edited.
    assert 'type="checkbox" name="groups"' in form
    assert 'name="date_joined' not in form
    response = page.post(f"/admin/{USERS}/{robin.pk}/change/", {"username": robin.username})

    assert response.status_code == 302
    robin.refresh_from_db()
    assert (robin.is_active, AuthToken.objects.count()) == (False, 0)
    assert not accepts(token)


# --- The password ------------------------------------------------------------------------------
def test_a_new_password_keeps_the_session_that_gave_it_only(robin: User) -> None:
    browser, other, token = logged_in(robin), logged_in(robin), token_of(robin)

    assert change_password(browser, PASSWORD) == 302

    assert is_logged_in(browser)
    assert not is_logged_in(other)
    assert not accepts(token)


def test_guesses_at_the_old_password_count_as_failed_logins(robin: User) -> None:
    browser = logged_in(robin)
    assert [change_password(browser, "wrong") for _ in range(2)] == [200, 200]
    login = {"username": " CLERK", "password": "wrong"}
    assert Client().post("/admin/login/", login).status_code == 200

    assert change_password(browser, PASSWORD) == 429
    RequestCount.objects.all().delete()
    assert change_password(browser, PASSWORD) == 302


def test_a_refused_new_password_is_no_failed_login(robin: User) -> None:
    browser = logged_in(robin)
    for weak in ("clerk-clerk-clerk", "short", "password1234", "order-service", "a" * 20):
        assert change_password(browser, PASSWORD, weak) == 200
    assert change_password(browser, PASSWORD) == 302


# --- Sessions ----------------------------------------------------------------------------------
def test_a_session_ends_without_requests(robin: User, settings: Any) -> None:
    browser = logged_in(robin)
    session = Session.objects.get()
    idle = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    assert idle - timedelta(minutes=1) < session.expire_date - timezone.now() <= idle

    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert not is_logged_in(browser)


def test_a_used_session_is_renewed_now_and_then(robin: User) -> None:
    browser = logged_in(robin)

    def expiry_after_a_page() -> Any:
        assert is_logged_in(browser)
        return Session.objects.get().expire_date

    started = Session.objects.get().expire_date
    assert expiry_after_a_page() == started
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=20))
    renewed = expiry_after_a_page()
    assert renewed > timezone.now() + timedelta(minutes=55)
    assert expiry_after_a_page() == renewed


def test_a_used_session_ends_hours_after_its_login(robin: User, settings: Any) -> None:
    browser = logged_in(robin)
    set_login_time(browser, hours_ago=settings.SESSION_HOURS - 0.1)
    assert is_logged_in(browser)
    set_login_time(browser, hours_ago=0.2)

    response = browser.get("/admin/")

    assert response.headers["Location"].startswith("/admin/login/")
    assert response.cookies["sessionid"]["max-age"] == 0
    assert not Session.objects.exists()


def test_a_session_of_an_older_release_goes_on(robin: User) -> None:
    browser = logged_in(robin)
    session = browser.session
    del session[_LOGIN_AT]
    session.save()

    assert is_logged_in(browser)
    assert browser.get(list_url(USERS)).status_code == 403


def test_a_login_deletes_expired_sessions(robin: User, auditor: User) -> None:
    logged_in(robin)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    logged_in(auditor)

    assert Session.objects.count() == 1


# --- The password before changes of accounts ---------------------------------------------------
def test_accounts_are_changed_after_a_recent_login_only(
    admin_with_password: User, robin: User
) -> None:
    browser, page = logged_in(admin_with_password), f"/admin/{USERS}/{robin.pk}/change/"
    assert browser.get(page).status_code == 200
    set_login_time(browser, hours_ago=1)

    for path in (page, f"/admin/{USERS}/add/", f"/admin/{USERS}/{robin.pk}/password/"):
        question = browser.get(path)
        assert question.headers["Location"] == f"/admin/confirm/?next={path.replace('/', '%2F')}"
    assert run_action(browser, USERS, "end_access", robin).status_code == 302
    assert run_action(browser, "auth/group", "delete_selected", Group.objects.all()[0]).status_code
    assert Group.objects.filter(name="Clerk").exists()
    robin.refresh_from_db()
    assert robin.session_epoch == 1
    assert browser.get(list_url(USERS)).status_code == 200
    assert browser.get("/admin/").status_code == 200


def test_the_password_opens_the_page_that_asked_for_it(
    admin_with_password: User, robin: User
) -> None:
    browser, page = logged_in(admin_with_password), f"/admin/{USERS}/{robin.pk}/change/"
    set_login_time(browser, hours_ago=1)
    question = browser.get(page).headers["Location"]
    assert page in browser.get(question).text
    key = browser.session.session_key

    assert "This is not your password." in browser.post(question, {"password": "wrong"}).text
    answer = browser.post(question, {"password": PASSWORD})

    assert answer.headers["Location"] == page
    assert browser.session.session_key != key
    assert browser.get(page).status_code == 200


def test_guesses_at_the_password_that_is_asked_for_are_limited(admin_with_password: User) -> None:
    browser = logged_in(admin_with_password)
    guess = {"password": "wrong"}

    assert [browser.post("/admin/confirm/", guess).status_code for _ in range(4)] == [
        200,
        200,
        200,
        429,
    ]


def test_the_question_leads_to_no_other_host(admin_with_password: User) -> None:
    browser = logged_in(admin_with_password)
    for target in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        answer = browser.post(
            "/admin/confirm/", {"password": PASSWORD, "next": target}, follow=False
        )
        assert answer.headers["Location"] == "/admin/"


def test_only_staff_are_asked_for_their_password() -> None:
    assert Client().get("/admin/confirm/").headers["Location"].startswith("/admin/login/")


# --- Log records -------------------------------------------------------------------------------
def test_logins_are_logged_without_what_was_typed(
    robin: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="config.accounts")
    browser = Client()

    for name in ("secret in the wrong field", "clerk"):
        browser.post("/admin/login/", {"username": name, "password": "wrong"})
    browser.post("/admin/login/", {"username": "clerk", "password": PASSWORD})
    browser.post("/admin/logout/")

    assert [record.getMessage() for record in caplog.records] == [
        "Failed login, user None",
        f"Failed login, user {robin.pk}",
        f"Login, user {robin.pk}",
        f"Logout, user {robin.pk}",
    ]
