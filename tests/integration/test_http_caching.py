"""Entity tags: a client whose copy is current gets a 304."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.roles import Role
from ordering_read.models import Projection
from ordering_read.projector import registered
from tests.integration.test_http_freshness import an_event, move
from tests.integration.test_read_api import ROOT, Shop, client_of
from tests.kit_projections import new_generation, project

pytestmark = pytest.mark.django_db(databases=["default", "read"])

LISTS = [
    "/orders",
    "/orders?status=pending&page_size=1",
    "/orders/status-counts",
    "/orders/{order}/timeline",
    "/customers",
    "/customers/{customer}/orders",
    "/customers/{customer}/stats",
    "/inventory",
    "/inventory/{product}/movements",
    "/reports/sales-by-day",
    "/reports/sales-by-product",
    "/reports/taxes-by-day",
]
SINGLE = [
    "/orders/{order}",
    "/orders/by-number/{number}",
    "/customers/{customer}",
    "/inventory/{product}",
]

# The answers without personal data, which a browser may keep.
IMPERSONAL = {
    "/orders/status-counts",
    "/inventory",
    "/inventory/{product}",
    "/reports/sales-by-day",
    "/reports/sales-by-product",
    "/reports/taxes-by-day",
}


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def clerk() -> APIClient:
    return client_of(Role.CLERK)


def address(path: str, shop: Shop) -> str:
    return ROOT + path.format(
        order=shop.first.pk,
        number=shop.first.order_number,
        customer=shop.customer.pk,
        product=shop.product.pk,
    )


def test_a_current_copy_is_not_sent_again(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    for path in LISTS + SINGLE:
        with subtests.test(path):
            first = clerk.get(address(path, shop))

            tags = f'"x", {first["ETag"]}'
            again = clerk.get(address(path, shop), headers={"if-none-match": tags})

            assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
            for name in ("ETag", "Cache-Control", "Vary", "Projection-Position", "Projection-Lag"):
                assert again[name] == first[name]
            is_kept = path in IMPERSONAL
            assert first["Cache-Control"] == f"private, {'no-cache' if is_kept else 'no-store'}"
            assert set(re.split(r",\s*", first["Vary"])) >= {"Accept", "Authorization", "Cookie"}


def test_the_tag_of_a_list_is_its_position_in_the_log(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    for path in LISTS:
        with subtests.test(path):
            for name in registered():
                move(name, 7)
            first = clerk.get(address(path, shop))
            for name in registered():
                move(name, 8)
            second = clerk.get(address(path, shop), headers={"if-none-match": first["ETag"]})

            assert re.fullmatch(r'W/"7-[0-9a-f]{16}"', first["ETag"])
            assert second.status_code == 200
            assert second["ETag"].startswith('W/"8-')


INVALID = [
    "/orders?page=0",
    "/orders?nothing=1",
    "/orders?ordering=relevance",
    "/orders/{order}/timeline?page=x",
    "/orders/by-number/{number}?nothing=1",
    "/orders/{order}?version=x",
    "/customers?status=angry",
    "/customers/{customer}/orders?total_min=1",
    "/customers/{customer}/stats?nothing=1",
    "/inventory?low=perhaps",
    "/inventory/{product}/movements?cursor=x",
    "/fulfilment-queue?ready=blue",
    "/reports/sales-by-day?from=yesterday",
    "/reports/sales-by-product?group=year",
    "/orders/status-counts?nothing=1",
    "/search?q=%00",
]


def test_an_invalid_parameter_is_refused_though_the_client_has_a_copy(
    shop: Shop, subtests: pytest.Subtests
) -> None:
    admin = client_of(Role.ADMIN)
    for path in INVALID:
        with subtests.test(path):
            answer = admin.get(address(path, shop), headers={"if-none-match": "*"})
            assert answer.status_code == 400
            assert not answer.has_header("ETag")


def test_any_copy_of_an_existing_resource_is_current(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    for path in LISTS + SINGLE:
        with subtests.test(path):
            answer = clerk.get(address(path, shop), headers={"if-none-match": "*"})
            assert (answer.status_code, answer.content) == (304, b"")


def test_any_copy_of_a_missing_resource_is_not_found(
    clerk: APIClient, subtests: pytest.Subtests
) -> None:
    for path in ("/orders/{}", "/orders/{}/timeline", "/customers/{}/orders", "/inventory/{}"):
        with subtests.test(path):
            answer = clerk.get(ROOT + path.format(uuid4()), headers={"if-none-match": "*"})
            assert answer.status_code == 404


def test_a_304_reads_no_rows(clerk: APIClient, shop: Shop) -> None:
    tag = clerk.get(f"{ROOT}/orders")["ETag"]

    with CaptureQueriesContext(connections["read"]) as read:
        answer = clerk.get(f"{ROOT}/orders", headers={"if-none-match": tag})

    assert answer.status_code == 304
    assert not [query for query in read if "order_summary" in query["sql"]]


def test_every_query_has_its_own_tag(clerk: APIClient, shop: Shop) -> None:
    paths = ["/orders", "/orders?page=2", "/orders?page_size=1", "/customers", "/inventory"]

    tags = {clerk.get(ROOT + path)["ETag"] for path in paths}

    assert len(tags) == len(paths)


def test_rebuilt_rows_have_another_tag(clerk: APIClient, shop: Shop) -> None:
    tag = clerk.get(f"{ROOT}/orders")["ETag"]
    live = Projection.objects.get(name="order_view", status=Projection.Status.LIVE)
    Projection.objects.filter(pk=live.pk).update(status=Projection.Status.RETIRED)
    rebuilt = new_generation("order_view")
    project([], rebuilt)
    Projection.objects.filter(pk=rebuilt.pk).update(
        status=Projection.Status.LIVE, position=live.position
    )

    answer = clerk.get(f"{ROOT}/orders", headers={"if-none-match": tag})

    assert (answer.status_code, answer.json()["count"]) == (200, 0)


def test_a_list_with_parked_streams_has_no_tag(clerk: APIClient, shop: Shop) -> None:
    Projection.objects.filter(name="order_view").update(parked_streams=1)

    assert not clerk.get(f"{ROOT}/orders").has_header("ETag")
    assert clerk.get(f"{ROOT}/inventory").has_header("ETag")


def test_the_tag_of_a_resource_is_its_version(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    answers = {path: clerk.get(address(path, shop)) for path in SINGLE}
    for name in registered():
        move(name, 1_000)

    for path, answer in answers.items():
        with subtests.test(path):
            tag = answer["ETag"]
            assert re.fullmatch(rf'"{answer.json()["version"]}\.[0-9a-f]{{16}}"', tag)
            assert clerk.get(address(path, shop))["ETag"] == tag


def test_last_modified_is_the_time_of_the_last_event(clerk: APIClient, shop: Shop) -> None:
    dates = [clerk.get(address(path, shop))["Last-Modified"] for path in SINGLE]

    assert dates == ["Sun, 01 Mar 2026 12:00:00 GMT"] * 4


def test_two_roles_never_share_a_tag(shop: Shop, subtests: pytest.Subtests) -> None:
    clients = [client_of(role) for role in Role if role not in (Role.MONITOR, Role.CUSTOMER)]
    clients += [client_of(Role.CUSTOMER, customer_id=pk) for pk in (shop.customer.pk, uuid4())]
    for path in [*SINGLE, "/orders", "/inventory"]:
        with subtests.test(path):
            answers = [client.get(address(path, shop)) for client in clients]

            tags = [answer["ETag"] for answer in answers if answer.status_code == 200]

            assert len(tags) >= 5
            assert len(set(tags)) == len(tags)


def test_a_browsable_page_has_no_tag(clerk: APIClient, shop: Shop) -> None:
    for path in ("/orders", "/orders/{order}"):
        answer = clerk.get(address(path, shop), headers={"accept": "text/html"})
        assert answer.status_code == 200
        assert not answer.has_header("ETag")
        assert clerk.get(
            address(path, shop), headers={"accept": "text/html", "if-none-match": "*"}
        ).status_code == 200  # fmt: skip


def test_a_refusal_has_no_tag(clerk: APIClient, shop: Shop) -> None:
    for path in ("/orders?page=0", "/orders?nothing=1", f"/orders/{uuid4()}/timeline"):
        answer = clerk.get(ROOT + path)
        assert answer.status_code in (400, 404)
        assert not answer.has_header("ETag")


def test_the_state_of_the_projections_has_no_tag(shop: Shop) -> None:
    admin = client_of(Role.ADMIN)
    for path in ("/projections", "/parked-events"):
        assert not admin.get(ROOT + path).has_header("ETag")


# --- Reports -----------------------------------------------------------------------------------
def days_ago(days: int) -> str:
    return str(timezone.localdate() - timedelta(days=days))


def test_a_report_of_past_days_may_be_cached(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    controls = {
        f"?to={days_ago(1)}": "private, max-age=3600",
        f"?from={days_ago(9)}&to={days_ago(2)}": "private, max-age=3600",
        "": "private, no-cache",
        f"?to={days_ago(0)}": "private, no-cache",
        f"?from={days_ago(3)}": "private, no-cache",
    }
    for report in ("sales-by-day", "sales-by-product", "taxes-by-day"):
        for query, control in controls.items():
            with subtests.test(report, query=query):
                answer = clerk.get(f"{ROOT}/reports/{report}{query}")
                assert answer["Cache-Control"] == control


def test_a_day_with_events_to_come_is_not_cached(clerk: APIClient, shop: Shop) -> None:
    an_event(seconds_ago=48 * 3600)
    move("sales_by_day", 0)

    def cache_control(days: int) -> str:
        return clerk.get(f"{ROOT}/reports/sales-by-day?to={days_ago(days)}")["Cache-Control"]

    assert (cache_control(1), cache_control(2)) == ("private, no-cache", "private, no-cache")
    assert cache_control(3) == "private, max-age=3600"
