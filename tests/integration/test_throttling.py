"""Rate limits: a client that sends too many requests gets 429, with the seconds to wait."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from config.http.limits import throttling
from config.http.models import RequestCount
from tests import kit
from tests.parallel import at_once
from tests.proof import size

READS = "/api/v1/customers"
LIMITS = {"reads": 3, "commands": 2, "anonymous": 2}


@pytest.fixture(autouse=True)
def _low_limits(settings: Any) -> None:
    settings.RATE_LIMITS = LIMITS
    settings.RATE_LIMIT_SECONDS = 3_600


@pytest.fixture
def _no_counts_left() -> Iterator[None]:
    yield
    RequestCount.objects.all().delete()


@pytest.fixture
def client() -> APIClient:
    return APIClient()


def test_reads_and_commands_of_a_user_are_counted_apart(db, client, admin_user):
    client.force_authenticate(admin_user)
    headers = []
    for _ in range(3):
        answer = client.get(READS)
        assert answer.status_code == 200
        headers.append(answer.headers["RateLimit"])
    assert [re.sub(r"t=\d+", "t=…", header) for header in headers] == [
        '"reads";r=2;t=…',
        '"reads";r=1;t=…',
        '"reads";r=0;t=…',
    ]
    assert answer.headers["RateLimit-Policy"] == '"reads";q=3;w=3600'

    refused = client.get(READS)

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= 3_600
    assert refused.headers["RateLimit"].startswith('"reads";r=0;t=')
    command = client.post(READS, {"name": "Kim", "email": "kim@example.com"}, format="json")
    assert command.status_code == 201
    assert command.headers["RateLimit"].startswith('"commands";r=1;t=')


def test_a_throttled_command_does_nothing(db, client, admin_user):
    client.force_authenticate(admin_user)
    for number in range(4):
        body = {"name": "Kim", "email": f"kim{number}@example.com"}
        client.post(READS, body, format="json")
    assert kit.Customer.objects.count() == 2


def test_users_have_limits_of_their_own(db, client, clerk, auditor):
    client.force_authenticate(clerk)
    assert [client.get(READS).status_code for _ in range(4)] == [200, 200, 200, 429]
    client.force_authenticate(auditor)
    assert client.get(READS).status_code == 200


def test_requests_without_a_valid_login_count_by_address(db, client, clerk):
    wrong = {"HTTP_AUTHORIZATION": "Token wrong"}
    assert client.get(READS, **wrong).status_code == 401
    assert client.get("/api/v1/nowhere", **wrong).status_code == 404
    refused = client.get(READS, **wrong)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert client.get(READS, REMOTE_ADDR="192.0.2.7").status_code == 401
    # A user with a valid login isn't limited by others at the address.
    client.force_authenticate(clerk)
    assert client.get(READS).status_code == 200


def test_a_403_counts_for_the_user(db, client, customer_user):
    client.force_authenticate(customer_user)
    answer = client.get("/api/v1/projections")
    assert answer.status_code == 403
    assert answer.headers["RateLimit"].startswith('"reads";r=2;')


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/problems/not-found"])
def test_pages_outside_the_api_are_not_limited(db, client, path):
    for _ in range(5):
        answer = client.get(path)
        assert answer.status_code != 429
        assert "RateLimit" not in answer.headers


def test_an_expired_counter_starts_anew_and_others_are_purged(db, client, clerk, auditor):
    client.force_authenticate(clerk)
    assert [client.get(READS).status_code for _ in range(4)] == [200, 200, 200, 429]
    RequestCount.objects.update(ends_at=timezone.now() - timedelta(minutes=1))
    assert client.get(READS).headers["RateLimit"].startswith('"reads";r=2;')

    RequestCount.objects.update(ends_at=timezone.now() - timedelta(minutes=1))
    client.force_authenticate(auditor)
    client.get(READS)
    assert [row.key for row in RequestCount.objects.all()] == [f"reads:{auditor.pk}"]


def test_counting_costs_one_statement(db, client, clerk):
    client.force_authenticate(clerk)
    client.get(READS)
    with CaptureQueriesContext(connection) as queries:
        client.get(READS)
    counting = [query for query in queries.captured_queries if "request_count" in query["sql"]]
    assert len(counting) == 1


@pytest.mark.usefixtures("_no_counts_left")
@pytest.mark.proof
def test_of_parallel_requests_exactly_as_many_as_the_limit_are_admitted(committed, clerk, settings):
    limit = size(30, full=100)
    settings.RATE_LIMITS = LIMITS | {"reads": limit}

    def get() -> int:
        client = APIClient()
        client.force_authenticate(clerk)
        return client.get(READS).status_code

    answers = at_once([get] * (2 * limit))

    assert (answers.count(200), answers.count(429)) == (limit, limit)


def counted_as(**headers: Any) -> str:
    request = RequestFactory().get(READS, **headers)
    throttling.count_request(request, AnonymousUser())
    return RequestCount.objects.latest("ends_at").key.partition(":")[2]


def test_the_address_is_that_of_the_connection(db):
    assert counted_as(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="198.51.100.9") == "192.0.2.1"
    assert counted_as(REMOTE_ADDR="2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert counted_as(REMOTE_ADDR="") == ""


def test_behind_proxies_the_address_is_that_of_the_client(db, monkeypatch):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 2)
    for forwarded, address in (
        ("203.0.113.5, 198.51.100.9, 192.0.2.8", "198.51.100.9"),
        ("nonsense", "192.0.2.1"),
    ):
        headers = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": forwarded}
        assert counted_as(**headers) == address


def test_the_table_is_not_in_the_write_ahead_log(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'request_count'")
        assert cursor.fetchone() == ("u",)
