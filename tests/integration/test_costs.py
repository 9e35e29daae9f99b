"""An address without a login may take so much processor time; the weight of the API's pages."""

import gzip
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from config.accounts.models import User
from config.http.limits import costs
from config.http.openapi import document
from ordering_read.api.parameters import parameters_of
from ordering_read.queries.order_lists import ListOrders
from tests.kit_admin import logged_in
from tests.kit_http import close

DATABASES = ["default", "read"]
pytestmark = pytest.mark.django_db(databases=DATABASES)


@pytest.fixture(autouse=True)
def _nothing_spent(settings: Any) -> Iterator[None]:
    settings.RATE_LIMIT_PROCESSOR_MS = 3_000
    # One period for the whole test.
    settings.RATE_LIMIT_SECONDS = 10**9
    costs.add("192.0.2.250", 0)
    yield
    settings.RATE_LIMIT_SECONDS = 1
    costs.add("192.0.2.250", 0)


def status(path: str, *, client: Client | None = None, address: str = "192.0.2.1") -> int:
    answer = (client or Client()).get(path, REMOTE_ADDR=address)
    close(answer)
    return answer.status_code


PAGES = [
    "/",
    "/readyz",
    "/metrics",
    "/admin/",
    "/admin/login/",
    "/my/orders/",
    "/my/login/",
    "/my/login/open/",
    "/static/admin/css/base.css",
    "/problems/not-found",
    "/nowhere",
    "/api/v1",
    "/api/v1/orders",
    "/api/schema",
    "/api/docs",
    "/api/docs/swagger-ui.css",
]


def test_an_address_that_has_spent_its_time_is_refused_everywhere(
    subtests: pytest.Subtests,
) -> None:
    costs.add("192.0.2.1", 3.1)
    for path in PAGES:
        with subtests.test(path):
            answer = Client().get(path, REMOTE_ADDR="192.0.2.1")
            assert answer.status_code == 429
            assert int(answer["Retry-After"]) > 0
            assert status(path, address="192.0.2.2") != 429


def test_the_liveness_check_is_never_refused() -> None:
    costs.add("192.0.2.1", 100)
    assert status("/healthz") == 200


def test_every_page_for_strangers_counts(subtests: pytest.Subtests) -> None:
    for number, path in enumerate(PAGES):
        with subtests.test(path):
            address = f"198.51.100.{number}"
            with mock.patch("config.http.middleware.time.thread_time", side_effect=[0.0, 3.1]):
                assert status(path, address=address) != 429
            assert status(path, address=address) == 429


def test_a_password_is_not_checked_for_an_address_that_has_spent_its_time(clerk: User) -> None:
    costs.add("192.0.2.1", 3.1)
    body = {"username": clerk.username, "password": "wrong"}
    with mock.patch("django.contrib.auth.hashers.check_password") as check:
        answer = logged_in(clerk).post("/admin/login/", body, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 429
    assert not check.called


def test_a_user_with_a_login_is_not_refused_for_others_at_the_address(clerk: User) -> None:
    costs.add("192.0.2.1", 3.1)
    client = logged_in(clerk)
    for path in ("/admin/", "/api/v1/orders", "/static/admin/css/base.css"):
        assert status(path, client=client) == 200


def test_requests_with_a_login_cost_the_address_nothing(clerk: User) -> None:
    client = logged_in(clerk)
    with mock.patch("config.http.middleware.time.thread_time", side_effect=[0.0, 100.0]):
        assert status("/api/v1/orders", client=client) == 200
    assert status("/api/v1") == 200


def test_a_new_period_begins_with_nothing_spent(settings: Any) -> None:
    costs.add("192.0.2.1", 3.1)
    settings.RATE_LIMIT_SECONDS = 1
    assert costs.wait_seconds("192.0.2.1") == 0


# --- The document and its page -----------------------------------------------------------------
def compressed(path: str) -> Any:
    return Client().get(path, headers={"accept-encoding": "gzip", "accept": "*/*"})


def test_the_document_is_made_once() -> None:
    document._json.cache_clear()
    document._yaml.cache_clear()
    build: Callable[..., Any] = SchemaGenerator.get_schema
    with mock.patch.object(SchemaGenerator, "get_schema", autospec=True, side_effect=build) as made:
        bodies = {Client().get(f"/api/schema{query}").content for query in ("", "?format=yaml") * 2}
    assert made.call_count == 1
    # One in JSON, and one in YAML.
    assert len(bodies) == 2


def test_the_document_is_the_same_in_each_process() -> None:
    """A set has another order in each process; the keywords of a schema keep theirs."""
    schemas = [
        parameter.type
        for parameter in parameters_of(ListOrders)
        if isinstance(parameter.type, dict)
    ]

    assert len(schemas) > 10
    for schema in schemas:
        keywords = [keyword for keyword in schema if keyword != "default"]
        assert keywords == sorted(keywords)


def test_the_document_and_its_page_are_light() -> None:
    schema = compressed("/api/schema")
    files = [compressed(reverse("docs-file", args=[name])) for name in document.PAGE_FILES]
    pages = [schema, *files, compressed("/api/docs")]
    assert len(schema.content) < 60_000
    assert len(Client().get("/api/schema").content) < 560_000
    assert sum(len(page.content) for page in pages) < 600_000


def test_a_text_for_everybody_is_compressed_tagged_and_cached(subtests: pytest.Subtests) -> None:
    for path in ("/api/schema", "/api/schema?format=yaml", "/api/docs/swagger-ui.css"):
        with subtests.test(path):
            plain, packed = Client().get(path), compressed(path)
            assert not plain.has_header("Content-Encoding")
            assert packed["Content-Encoding"] == "gzip"
            assert gzip.decompress(packed.content) == plain.content
            assert "Accept-Encoding" in packed["Vary"]
            assert plain["Cache-Control"].startswith("public, max-age=")

            again = Client().get(path, headers={"if-none-match": plain["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again["ETag"] == plain["ETag"]
            for refused in ("gzip;q=0", "identity", "br"):
                answer = Client().get(path, headers={"accept-encoding": refused})
                assert not answer.has_header("Content-Encoding")


def test_no_other_file_is_served_beside_the_docs() -> None:
    for name in ("oauth2-redirect.html", "..%2f..%2fsettings.py", "swagger-ui.css.map"):
        assert Client().get(f"/api/docs/{name}").status_code == 404
    assert Client().post("/api/docs/swagger-ui.css").status_code == 405
