"""Responses when an event of the log can't be read: a problem that names the event."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_write.models import Customer, Order
from tests import kit
from tests.integration.test_idempotent_responses import order_body, place
from tests.integration.test_read_api import ROOT, client_of

pytestmark = pytest.mark.django_db(databases=["default", "read"])


@pytest.fixture
def order(customer: Customer) -> Order:
    """Return a projected order whose second event was spoiled behind the back of the trigger."""
    order = kit.placed_order(customer, (kit.registered_product(), 2))
    live.run(*registered())
    spoil(order)
    return order


def spoil(order: Order) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE event SET type = 'OrderBlessed' WHERE stream = %s AND version = 2",
            [order.stream],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


def check(response: Any, order: Order) -> None:
    assert response.status_code == 500
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "event_unreadable"
    event = problem["event"]
    assert (event["type"], event["stream"], event["version"]) == ("OrderBlessed", order.stream, 2)
    assert "this type is unknown" not in problem["detail"]


@pytest.mark.parametrize(
    "path",
    ["?consistency=strong", "?version=2", "?as_of=2100-01-01T00:00:00Z", "/diff", "/actions"],
)
def test_reads_of_the_log_are_refused(
    admin: APIClient, order: Order, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    check(admin.get(f"{ROOT}/orders/{order.pk}{path}"), order)
    assert f"{order.stream}, version 2) can't be read: this type is unknown." in caplog.text
    # The row and the stored events can still be read.
    assert admin.get(f"{ROOT}/orders/{order.pk}").status_code == 200
    assert admin.get(f"{ROOT}/orders/{order.pk}/events").status_code == 200
    # So can the states before the event.
    assert admin.get(f"{ROOT}/orders/{order.pk}?version=1").status_code == 200


def test_the_problem_is_shown_on_a_page(admin: APIClient, order: Order) -> None:
    page = admin.get(f"{ROOT}/orders/{order.pk}/diff", headers={"Accept": "text/html"})
    assert page.status_code == 500
    assert "event-unreadable" in page.content.decode()


@pytest.mark.parametrize("path", ["?consistency=strong", "/actions"])
def test_another_customer_gets_not_found(order: Order, path: str) -> None:
    address = f"{ROOT}/orders/{order.pk}{path}"
    stranger = client_of(Role.CUSTOMER, customer_id=kit.registered_customer().pk)
    assert stranger.get(address).status_code == 404
    check(client_of(Role.CUSTOMER, customer_id=order.customer_id).get(address), order)


def test_a_dry_run_is_refused_where_its_command_is(admin: APIClient, order: Order) -> None:
    url = f"{ROOT}/orders/{order.pk}"
    body = {"shipping_address": kit.ADDRESS}
    address = f"{url}/shipping-address?dry_run=true"
    check(admin.put(address, body, format="json", headers={"If-Match": "*"}), order)
    assert admin.post(f"{url}/confirm?dry_run=true").status_code == 200


def test_a_command_that_needs_the_event_is_refused(admin: APIClient, order: Order) -> None:
    url = f"{ROOT}/orders/{order.pk}"
    body = {"shipping_address": kit.ADDRESS}
    response = admin.put(f"{url}/shipping-address", body, format="json", headers={"If-Match": "*"})
    check(response, order)
    # A command that doesn't need the event is carried out.
    assert admin.post(f"{url}/confirm", headers={"If-Match": "*"}).status_code == 200


def test_a_repeat_of_the_command_of_the_unreadable_event_is_refused(
    admin: APIClient, customer: Customer
) -> None:
    body, key = order_body(customer, kit.registered_product()), str(uuid4())
    order = Order.objects.get(pk=place(admin, body, key).json()["order_id"])
    spoil(order)
    check(place(admin, body, key), order)


def test_the_admin_names_the_unreadable_event(admin_client: Client, order: Order) -> None:
    page = f"/admin/ordering_read/ordersummary/{order.pk}"
    shown = admin_client.get(f"{page}/change/")
    assert shown.status_code == 200
    assert "holds an event that this version" in shown.content.decode()


def test_the_command_line_shows_the_reason(order: Order) -> None:
    arguments = ("--order-id", str(order.pk), "--shipping-address", json.dumps(kit.ADDRESS))
    with pytest.raises(CommandError, match=r"version 2\) can't be read: this type is unknown"):
        call_command("command", "ChangeShippingAddress", *arguments, "--dry-run")
