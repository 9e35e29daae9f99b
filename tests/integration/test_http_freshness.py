"""Freshness: every read has its position and lag, at the cost of two statements."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.roles import Role
from config.urls import router
from ordering_read.api.base import QueryViewSet
from ordering_read.api.parked_events import ParkedEventViewSet
from ordering_read.api.projections import ProjectionViewSet
from ordering_read.api.webhooks import WebhookDeliveryViewSet, WebhookEndpointViewSet
from ordering_read.engine import live
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write.models import OutboxEvent
from tests import kit
from tests.integration.test_read_api import ROOT, Shop, client_of

pytestmark = pytest.mark.django_db(databases=["default", "read"])

# The addresses of the read API.
PATHS = [
    "/orders",
    "/orders?q=sample",
    "/orders/by-number/{number}",
    "/orders/{order}",
    "/orders/status-counts",
    "/orders/{order}/timeline",
    "/customers",
    "/customers/{customer}",
    "/customers/{customer}/orders",
    "/customers/{customer}/stats",
    "/inventory",
    "/inventory/{product}",
    "/inventory/{product}/movements",
    "/fulfilment-queue",
    "/search?q=lamp",
    "/reports/sales-by-day",
    "/reports/sales-by-product",
    "/reports/taxes-by-day",
    "/projections",
    "/parked-events",
    "/webhook-endpoints",
    "/webhook-deliveries",
]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


def address(path: str, shop: Shop) -> str:
    return ROOT + path.format(
        order=shop.first.pk,
        number=shop.first.order_number,
        customer=shop.customer.pk,
        product=shop.product.pk,
    )


def projections_of(path: str) -> tuple[str, ...]:
    """Return the projections that the action at ``path`` declares."""
    path, _, query = path.partition("?")
    view: Any = resolve(path).func
    names: tuple[str, ...] = view.cls.reads.get(view.actions["get"], ())
    return (*names, "search") if "q=" in query else names


def move(name: str, position: int) -> None:
    Projection.objects.filter(name=name).update(position=position)


def an_event(*, seconds_ago: float) -> None:
    """Append an event that was recorded ``seconds_ago``."""
    kit.registered_customer()
    recorded_at = timezone.now() - timedelta(seconds=seconds_ago)
    # Without this role, the trigger that keeps the log unchanged would refuse.
    with connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        OutboxEvent._base_manager.update(recorded_at=recorded_at)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_every_read_has_its_position_and_lag(
    admin: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    urls = [address(path, shop) for path in PATHS]
    an_event(seconds_ago=60)
    for url in urls:
        with subtests.test("behind", url=url):
            for number, name in enumerate(registered()):
                move(name, 100 + number)
            for name in projections_of(url) or registered():
                move(name, 0)

            behind = admin.get(url)

            assert behind.status_code == 200
            assert behind["Projection-Position"] == "0"
            assert 60 <= float(behind["Projection-Lag"]) < 600
    for name in registered():
        move(name, 0)
    live.run(*registered())
    for name in registered():
        move(name, 1)
    for url in urls:
        with subtests.test("level", url=url):
            level = admin.get(url)

            assert level.status_code == 200
            assert (level["Projection-Position"], level["Projection-Lag"]) == ("1", "0.0")


def test_the_position_is_that_of_the_slowest_projection(
    admin: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    for path in PATHS:
        with subtests.test(path):
            url = address(path, shop)
            names = projections_of(url) or tuple(registered())
            for number, name in enumerate(registered()):
                move(name, 10 + number)
            for number, name in enumerate(names):
                move(name, 50 + number)
            move(names[-1], 40)

            position = admin.get(url)["Projection-Position"]

            assert position == "40"


def test_every_read_declares_its_projections() -> None:
    callbacks: list[Any] = [pattern.callback for pattern in router.urls]
    actions = {
        (view.cls, action)
        for view in callbacks
        if issubclass(view.cls, QueryViewSet) and (action := view.actions.get("get"))
    }
    undeclared = {
        (view, action)
        for view, action in actions
        if action not in view.reads and action not in view.log_actions
    }

    assert undeclared == {
        (ProjectionViewSet, "list"),
        (ParkedEventViewSet, "list"),
        (ParkedEventViewSet, "retrieve"),
        (WebhookEndpointViewSet, "list"),
        (WebhookEndpointViewSet, "retrieve"),
        (WebhookDeliveryViewSet, "list"),
        (WebhookDeliveryViewSet, "retrieve"),
    }
    declared = {name for view, _ in actions for names in view.reads.values() for name in names}
    assert declared <= set(registered())


def test_a_read_touches_the_declared_projections_only(
    shop: Shop, subtests: pytest.Subtests
) -> None:
    clients = {
        Role.ADMIN: client_of(Role.ADMIN),
        Role.CUSTOMER: client_of(Role.CUSTOMER, customer_id=shop.customer.pk),
    }
    for role, client in clients.items():
        for path in PATHS:
            with subtests.test(role=role, path=path):
                url = address(path, shop)

                with CaptureQueriesContext(connections["read"]) as read:
                    client.get(url)

                touched = {
                    name
                    for name, projection in registered().items()
                    for model in projection.models
                    if any(f'FROM "{model._meta.db_table}"' in query["sql"] for query in read)
                }
                assert touched <= set(projections_of(url))


def test_a_404_has_its_position_and_lag(admin: APIClient) -> None:
    an_event(seconds_ago=5)

    answer = admin.get(f"{ROOT}/orders/{kit.uuid7()}")

    assert answer.status_code == 404
    assert answer["Projection-Position"] == "0"
    assert float(answer["Projection-Lag"]) >= 5


def test_the_smallest_lag_is_not_rounded_to_zero(admin: APIClient, monkeypatch: Any) -> None:
    lag_seconds = "ordering_write.subscriptions.lag_seconds"
    monkeypatch.setattr(lag_seconds, lambda positions: dict.fromkeys(positions, 1e-9))

    assert admin.get(f"{ROOT}/orders")["Projection-Lag"] == "0.001"


def test_a_read_costs_few_statements(
    admin: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    cases = [
        ("/orders", 3),
        ("/customers", 3),
        ("/inventory", 3),
        ("/reports/sales-by-day", 3),
        ("/orders/{order}", 3),
        ("/customers/{customer}", 3),
        ("/inventory/{product}/movements", 3),
    ]
    for path, statements in cases:
        with subtests.test(path):
            url = address(path, shop)
            # The first request also reads the permissions of the user.
            admin.get(url)

            with (
                CaptureQueriesContext(connections["read"]) as read,
                CaptureQueriesContext(connections["default"]) as write,
            ):
                admin.get(url)

            # Every request is counted by one more statement.
            others = [query for query in write if "request_count" not in query["sql"]]
            assert len(read) + len(others) == statements


def test_only_reads_have_a_position(admin: APIClient, shop: Shop) -> None:
    answers = [
        admin.options(f"{ROOT}/orders"),
        admin.post(f"{ROOT}/customers", {"name": "Kim", "email": "kim@example.com"}, "json"),
        admin.delete(f"{ROOT}/orders"),
    ]

    assert [answer.status_code for answer in answers] == [200, 201, 405]
    assert not any(answer.has_header("Projection-Position") for answer in answers)
