"""Logins of customers: by password, and by links that are mailed and work once."""

import re
from datetime import timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from config.accounts.models import MailedLink, User
from config.accounts.roles import Role
from config.http.models import RequestCount
from config.workers import tasks
from ordering_read.my import login as login_pages
from ordering_read.my import mails
from ordering_write.domain import commands as c
from ordering_write.models import Customer, Order
from tests import kit
from tests.kit_admin import logged_in, run_projections
from tests.parallel import at_once

LOGIN, LINK, ORDER_LINK, SENT, OPEN = (
    f"/my/login/{page}" for page in ("", "link/", "order/", "sent/", "open/")
)
ORDERS = "/my/orders/"
EMAIL = "robin.sample@example.com"
PASSWORD, PASSWORD_PAGE = "correct horse battery", "/my/password/"


@pytest.fixture(autouse=True)
def _workers(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Run tasks at once, as workers would in a moment."""
    monkeypatch.setattr(login_pages, "async_task", lambda _name, key, **_: tasks.mail_link(key))
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def robin(db: None) -> Customer:
    customer = kit.registered_customer(email=EMAIL)
    run_projections()
    return customer


@pytest.fixture
def order(robin: Customer) -> Order:
    order = kit.placed_order(robin, (kit.registered_product(), 1))
    run_projections()
    return order


def ask(email: str = EMAIL, *, number: str | None = None, **extra: Any) -> Any:
    """Ask for a link to an account, or to the order ``number``."""
    if number is None:
        return Client().post(LINK, {"email": email}, **extra)
    return Client().post(ORDER_LINK, {"email": email, "number": number}, **extra)


def key_in(message: EmailMessage) -> str:
    [key] = re.findall(r"http://testserver/my/login/open/\?key=(\S+)", str(message.body))
    return key


def mailed_key(**fields: Any) -> str:
    """Return the key in the mail that is sent to somebody who asks for a link."""
    ask(**fields)
    return key_in(mail.outbox[-1])


def opened(browser: Client, key: str) -> Any:
    return browser.post(OPEN, {"key": key})


# --- Links to an account -----------------------------------------------------------------------
def test_a_link_logs_its_customer_in_once(robin: Customer, order: Order):
    key = mailed_key(email="Robin.Sample@EXAMPLE.com")
    [message] = mail.outbox
    assert (message.to, message.subject) == ([EMAIL], "Your link to log in")
    assert "Hello Robin Sample," in message.body
    assert "works once" in message.body

    # A program that checks mails opens the link, which changes nothing.
    for _ in range(2):
        assert "One more click" in Client().get(OPEN, {"key": key}).text
    browser = Client()
    assert opened(browser, key).url == ORDERS
    assert order.order_number in browser.get(ORDERS).text
    user = User.objects.get(customer_id=robin.pk)
    assert [group.name for group in user.groups.all()] == [Role.CUSTOMER]
    assert not user.has_usable_password()

    again = opened(Client(), key)
    assert again.status_code == 410
    assert "This link doesn’t work" in again.text
    # The next link opens the same account.
    assert opened(Client(), mailed_key()).url == ORDERS
    assert User.objects.filter(customer_id=robin.pk).count() == 1
    assert not RequestCount.objects.filter(key__startswith="login:", count__gt=1).exists()


def test_the_answer_is_the_same_for_every_address(robin: Customer, clerk: User):
    clerk.email = "clerk@example.com"
    clerk.save()
    answers = [ask(email) for email in (EMAIL, "nobody@example.com", clerk.email)]
    assert {(answer.status_code, answer.url) for answer in answers} == {(302, SENT)}
    assert len(mail.outbox) == 1
    # The typed addresses are deleted.
    assert not MailedLink.objects.exclude(email="").exists()
    assert "no mail server" in Client().get(SENT).text
    assert "Enter a valid email address" in ask("nonsense").text


def test_a_mail_that_is_refused_is_logged_without_the_address(
    robin: Customer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*_args: Any) -> None:
        raise SMTPRecipientsRefused({EMAIL: (550, b"no such mailbox")})

    monkeypatch.setattr(mails, "send_mail", refuse)
    assert ask().url == SENT
    [record] = [record for record in caplog.records if record.name == mails.__name__]
    assert record.getMessage() == "A link couldn't be mailed: SMTPRecipientsRefused"


def test_a_newer_link_ends_the_one_before(robin: Customer):
    older, newer = mailed_key(), mailed_key()
    assert opened(Client(), older).status_code == 410
    assert opened(Client(), newer).status_code == 302


def test_a_link_works_for_some_minutes(robin: Customer, settings: Any):
    key = mailed_key()
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert opened(Client(), key).status_code == 410
    settings.PASSWORD_RESET_TIMEOUT = 900
    assert opened(Client(), key).status_code == 302
    # A link that nobody used is forgotten when the next is asked for.
    mailed_key()
    MailedLink.objects.update(asked_at=timezone.now() - timedelta(hours=1))
    ask("nobody@example.com")
    assert not MailedLink.objects.exists()


def test_a_forged_link_opens_nothing_and_counts_as_a_failed_login(robin: Customer, settings: Any):
    settings.LOGIN_FAILURES = {"name": 100, "address": 8}
    key = mailed_key()
    identity, _, token = key.partition(".")
    forged = [
        "",
        identity,
        f"{identity}.",
        f"{identity}.{token[:-1]}x",
        f"{UUID(int=0).hex}.{token}",
        "x" * 5000,
    ]
    assert {opened(Client(), text).status_code for text in forged} == {410}
    assert opened(Client(), key).status_code == 302
    statuses = [opened(Client(), "guess").status_code for _ in range(3)]
    assert statuses == [410, 410, 429]
    assert opened(Client(), mailed_key()).status_code == 429


def test_mails_are_limited_by_address_and_by_client(robin: Customer, settings: Any):
    settings.MAILED_LINKS = {"name": 2, "address": 4}
    for email in (EMAIL, "nobody@example.com"):
        statuses = [ask(email, REMOTE_ADDR=f"192.0.2.{n}").status_code for n in range(3)]
        assert statuses == [302, 302, 429]
    assert len(mail.outbox) == 2
    refused = ask(EMAIL, REMOTE_ADDR="192.0.2.9")
    assert "Too many mails" in refused.text
    assert int(refused["Retry-After"]) > 0
    statuses = [ask(f"{n}@example.com").status_code for n in range(5)]
    assert statuses == [302] * 4 + [429]


def test_accounts_of_staff_and_closed_accounts_get_no_link(robin: Customer, make_user: Any):
    user = make_user(Role.CLERK, is_staff=True, customer_id=robin.pk)
    ask()
    user.groups.clear()
    user.is_active = False
    user.save()
    ask()
    assert mail.outbox == []
    user.is_active = True
    user.save()
    key = mailed_key()
    User.objects.update(is_active=False)
    assert opened(Client(), key).status_code == 410


def test_erasing_the_customer_ends_links_and_sessions(robin: Customer):
    order = kit.placed_order(robin, (kit.registered_product(), 1))
    kit.dispatch(kit.cancel(order))
    run_projections()
    visitor, customer = Client(), Client()
    opened(visitor, mailed_key(number=order.order_number))
    opened(customer, mailed_key())
    key = mailed_key()

    kit.dispatch(c.EraseCustomer(customer_id=robin.pk, reason="Asked for it", user_id=kit.USER))
    run_projections()

    assert opened(Client(), key).status_code == 410
    for browser in (visitor, customer):
        assert browser.get(f"{ORDERS}{order.order_number}/").status_code == 302
    ask()
    assert len(mail.outbox) == 3


@pytest.mark.usefixtures("committed")
def test_of_many_clicks_at_once_one_uses_the_link():
    kit.registered_customer(email=EMAIL)
    run_projections()
    key = mailed_key()
    statuses = at_once([lambda: opened(Client(), key).status_code] * 8)
    assert (statuses.count(302), statuses.count(410)) == (1, 7)
    assert User.objects.count() == 1
    RequestCount.objects.all().delete()


# --- Links to one order ------------------------------------------------------------------------
def test_a_visitor_sees_one_order_and_nothing_else(order: Order, robin: Customer):
    other = kit.placed_order(robin, (kit.registered_product(), 1))
    run_projections()
    key = mailed_key(number=f"order {order.order_number.replace('-0', '-')}")
    assert mail.outbox[0].to == [EMAIL]
    assert mail.outbox[0].subject == f"Order {order.order_number}"

    visitor = Client()
    url = f"{ORDERS}{order.order_number}/"
    assert opened(visitor, key).url == url
    shown = visitor.get(url)
    assert "1 Example Street" in shown.text
    assert "Cancel the order" not in shown.text
    assert visitor.get(f"{ORDERS}{other.order_number}/").status_code == 404
    for path in (ORDERS, f"{url}cancel/", f"{url}return/", f"{url}again/"):
        assert visitor.get(path)["Location"] == f"{LOGIN}?next={path}"
        assert visitor.post(path).status_code == 302
    assert not User.objects.exists()
    assert opened(Client(), key).status_code == 410
    visitor.post("/my/logout/")
    assert visitor.get(url).status_code == 302


def test_a_link_to_an_order_goes_to_the_address_of_the_order_only(order: Order):
    kit.registered_customer("Kim Example", email="kim@example.com")
    run_projections()
    answers = [
        ask("kim@example.com", number=order.order_number),
        ask("nobody@example.com", number=order.order_number),
        ask(number="2026-999999"),
    ]
    assert {(answer.status_code, answer.url) for answer in answers} == {(302, SENT)}
    assert mail.outbox == []
    assert not MailedLink.objects.exists()


def test_the_session_of_a_visitor_ends_as_others_do(order: Order, settings: Any):
    visitor = Client()
    opened(visitor, mailed_key(number=order.order_number))
    url = f"{ORDERS}{order.order_number}/"
    assert visitor.get(url).status_code == 200
    settings.SESSION_HOURS = 1
    session = visitor.session
    session["login_at"] -= 3700
    session.save()
    assert visitor.get(url).status_code == 302


# --- Passwords ---------------------------------------------------------------------------------
def test_a_customer_logs_in_by_password_and_user_name_or_address(
    robin: Customer, make_user: Any, settings: Any
):
    user = make_user(Role.CUSTOMER, username="robin", customer_id=robin.pk)
    user.set_password(PASSWORD)
    user.save()
    settings.LOGIN_FAILURES = {"name": 3, "address": 100}

    def log_in(name: str, password: str = PASSWORD, **fields: str) -> Any:
        return Client().post(LOGIN, {"username": name, "password": password, **fields})

    assert re.findall(r'name="(\w+)"[^>]* autofocus', Client().get(LOGIN).text) == ["email"]
    assert log_in("robin").url == "/my/"
    assert log_in(EMAIL.upper()).url == "/my/"
    assert log_in("robin", next="/my/orders/2026-000001/").url == "/my/orders/2026-000001/"
    assert log_in("robin", next="https://elsewhere.example/").url == "/my/"
    assert logged_in(user).get(LOGIN)["Location"] == "/my/"
    for name in ("robin", EMAIL):
        refused = log_in(name, "wrong").text
        assert "don&#x27;t belong together" in refused
        assert re.findall(r'name="(\w+)"[^>]* autofocus', refused) == ["username"]
    # All names of an account count together.
    assert log_in(EMAIL, "wrong").status_code == 200
    assert log_in("robin").status_code == 429
    assert log_in("nobody@example.com", "wrong").status_code == 200


def test_a_customer_chooses_a_password_soon_after_a_link(robin: Customer, settings: Any):
    browser, other = Client(), Client()
    opened(other, mailed_key())
    opened(browser, mailed_key())
    settings.LOGIN_FAILURES = {"name": 3, "address": 100}

    def choose(password: str, **fields: str) -> Any:
        body = {"new_password1": password, "new_password2": password, **fields}
        return browser.post(PASSWORD_PAGE, body)

    session = browser.session
    session["login_at"] -= 16 * 60
    session.save()
    assert "log in by a new link" in choose(PASSWORD).text
    opened(browser, mailed_key())
    assert "too common" in choose("password1234").text
    assert choose(PASSWORD).url == ORDERS
    assert browser.get(ORDERS).status_code == 200
    assert other.get(ORDERS).status_code == 302
    by_password = Client().post(LOGIN, {"username": EMAIL, "password": PASSWORD})
    assert by_password["Location"] == "/my/"
    # From now on, the page asks for the old password, and counts the wrong ones.
    assert "was entered incorrectly" in choose("another horse battery", old_password="x").text
    assert choose("another horse battery", old_password=PASSWORD).url == ORDERS
    statuses = [choose(PASSWORD, old_password="x").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert Client().get(PASSWORD_PAGE).status_code == 302
