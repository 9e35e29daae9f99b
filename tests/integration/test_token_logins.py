"""Logins by token: one statement finds the user and the permissions, and counts the request."""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from config.http.models import RequestCount
from ordering_read.engine import live
from ordering_read.projector import registered
from tests import kit
from tests.integration.test_read_api import ROOT, Shop

pytestmark = pytest.mark.django_db(databases=["default", "read"])


def client_of(user: User, **token: Any) -> APIClient:
    """Return a client that sends a new token of ``user``."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user, **token)[1]}")
    return client


@pytest.fixture(autouse=True)
def _no_purge() -> Any:
    """Leave out the statement that the first request of a client adds."""
    with mock.patch("config.http.limits.throttling._purge_once"):
        yield


def test_a_read_takes_few_statements(clerk: User, subtests: pytest.Subtests) -> None:
    shop = Shop()
    live.run(*registered())
    client = client_of(clerk)
    for path, login, read in [
        (f"/orders/{shop.first.pk}", 1, 2),
        ("/orders?status=pending", 1, 2),
        ("/inventory", 1, 2),
    ]:
        with (
            subtests.test(path=path),
            CaptureQueriesContext(connections["default"]) as on_write,
            CaptureQueriesContext(connections["read"]) as on_read,
        ):
            answer = client.get(ROOT + path)

            assert (answer.status_code, answer["Projection-Lag"]) == (200, "0.0")
            assert (len(on_write), len(on_read)) == (login, read)


def test_a_read_behind_the_log_measures_its_lag(clerk: User) -> None:
    Shop()
    live.run(*registered())
    kit.registered_customer()

    with CaptureQueriesContext(connections["default"]) as on_write:
        answer = client_of(clerk).get(f"{ROOT}/customers")

    assert float(answer["Projection-Lag"]) > 0
    assert any("oldest_pending_at" in query["sql"] for query in on_write.captured_queries[-1:])


def test_each_request_counts_once(clerk: User) -> None:
    client = client_of(clerk)
    answers = [client.get(f"{ROOT}/customers") for _ in range(2)]

    assert [answer["RateLimit"].partition(";t")[0] for answer in answers] == [
        '"reads";r=4999',
        '"reads";r=4998',
    ]
    client.post(f"{ROOT}/customers", {"name": "Robin Sample", "email": "r@example.com"}, "json")
    assert client.get("/metrics").status_code == 403
    rows = RequestCount.objects.filter(key__endswith=str(clerk.pk))
    counts = {row.key: row.count for row in rows}
    assert counts == {f"reads:{clerk.pk}": 2, f"commands:{clerk.pk}": 1}


def test_too_many_requests_are_refused(clerk: User, settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"reads": 1}
    client = client_of(clerk)

    assert [client.get(f"{ROOT}/customers").status_code for _ in range(2)] == [200, 429]


def test_permissions_of_the_user_and_of_groups_count(make_user: Any) -> None:
    user = make_user(Role.MONITOR)
    client = client_of(user)
    assert client.get(f"{ROOT}/orders").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_orders"))
    assert client.get(f"{ROOT}/orders").status_code == 200
    assert client.get(f"{ROOT}/customers").status_code == 403
    assert client.get("/metrics").status_code == 200
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert client.get(f"{ROOT}/customers").status_code == 200


def test_a_browser_behind_a_proxy_with_a_login_of_its_own_keeps_its_session(clerk: User) -> None:
    client = APIClient()
    client.force_login(clerk)
    client.credentials(HTTP_AUTHORIZATION="Basic cm9iaW46c2FtcGxl")

    assert client.get(f"{ROOT}/customers").status_code == 200


def test_the_browsable_page_of_a_token_has_its_forms(clerk: User) -> None:
    page = client_of(clerk).get(f"{ROOT}/customers", HTTP_ACCEPT="text/html")

    assert page.status_code == 200
    assert "csrfmiddlewaretoken" in page.text


def test_the_loss_of_a_right_or_login_shows_at_once(
    make_user: Any, subtests: pytest.Subtests
) -> None:
    losses: dict[str, tuple[Any, int]] = {
        "role": (lambda user: user.groups.clear(), 403),
        "token": (lambda user: AuthToken.objects.filter(user=user).delete(), 401),
        "account": (lambda user: User.objects.filter(pk=user.pk).update(is_active=False), 401),
        "time": (
            lambda user: AuthToken.objects.filter(user=user).update(
                expiry=timezone.now() - timedelta(seconds=1)
            ),
            401,
        ),
    }
    roles = (Role.CLERK, Role.INTEGRATION, Role.AUDITOR, Role.ADMIN)
    for role, (loss, (lose, status)) in zip(roles, losses.items(), strict=True):
        with subtests.test(loss=loss):
            user = make_user(role)
            client = client_of(user)
            assert client.get(f"{ROOT}/customers").status_code == 200

            lose(user)

            assert client.get(f"{ROOT}/customers").status_code == status


def test_wrong_tokens_are_refused_and_count_by_address(subtests: pytest.Subtests) -> None:
    for token in ["0" * 64, "wrong", "a" * 5_000]:
        with subtests.test(token=token):
            client = APIClient()
            client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
            answer = client.get(f"{ROOT}/customers")
            assert answer.status_code == 401
            assert answer["RateLimit"].startswith('"anonymous";')
