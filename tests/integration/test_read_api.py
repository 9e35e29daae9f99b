"""The read API: the answer of each address, the roles that get it, and its tables."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write.models import Customer, Order, StockItem
from tests.kit_projections import (
    ADDRESS,
    NOON,
    History,
    customer_registered,
    go_live,
    order_placed,
    product_registered,
)

pytestmark = pytest.mark.django_db(databases=["default", "read"])

ROOT = "/api/v1"


class Shop:
    """A customer, a product and two orders of the customer, projected."""

    def __init__(self) -> None:
        self.customer: Customer = customer_registered()
        self.product: StockItem = product_registered(sku="LAMP", on_hand=10, list_price="19.90")
        self.first: Order = order_placed(
            number="2026-000001", customer_id=self.customer.pk, lines=2, billing_address=ADDRESS
        )
        self.second: Order = order_placed(
            number="2026-000002", customer_id=self.customer.pk, at=NOON + timedelta(hours=1)
        )
        self.second.confirm(now=NOON + timedelta(hours=2))
        history = History()
        history.add(self.customer, self.product, self.first, self.second)
        go_live(history)


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return Shop()


def client_of(role: Role, *, customer_id: UUID | None = None) -> APIClient:
    user = User.objects.create_user(username=f"{role} {uuid4()}", customer_id=customer_id)
    user.groups.add(Group.objects.get(name=role))
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def clerk() -> APIClient:
    return client_of(Role.CLERK)


# --- Answers -----------------------------------------------------------------------------------
def test_a_list_of_orders_has_its_fields_and_links(clerk: APIClient, shop: Shop) -> None:
    answer = clerk.get(f"{ROOT}/orders")

    assert answer.status_code == 200
    body = answer.json()
    assert {name: body[name] for name in ("count", "count_capped", "next", "previous")} == {
        "count": 2,
        "count_capped": False,
        "next": None,
        "previous": None,
    }
    assert body["results"][0] == {
        "id": str(shop.second.pk),
        "order_id": str(shop.second.pk),
        "order_number": "2026-000002",
        "customer_id": str(shop.customer.pk),
        "customer_name": "Robin Sample",
        "status": "confirmed",
        "payment_status": "unpaid",
        "fulfilment_status": "unfulfilled",
        "return_status": "none",
        "on_hold": False,
        "total_amount": "19.90",
        "balance": "19.90",
        "attention": [],
        "currency": "EUR",
        "po_number": "",
        "metadata": {},
        "item_count": 1,
        "unit_count": 2,
        "created_at": "2026-03-01T13:00:00Z",
        "placed_on": "2026-03-01",
        "updated_at": "2026-03-01T14:00:00Z",
        "version": 3,
        "position": 9,
        "projection_gap": None,
        "links": {
            "self": f"http://testserver{ROOT}/orders/{shop.second.pk}",
            "customer": f"http://testserver{ROOT}/customers/{shop.customer.pk}",
            "timeline": f"http://testserver{ROOT}/orders/{shop.second.pk}/timeline",
            "actions": f"http://testserver{ROOT}/orders/{shop.second.pk}/actions",
        },
    }


def test_a_single_order_has_its_lines_and_addresses(clerk: APIClient, shop: Shop) -> None:
    answer = clerk.get(f"{ROOT}/orders/{shop.first.pk}")

    assert answer.status_code == 200
    body = answer.json()
    assert body["shipping_address"] == ADDRESS.model_dump()
    assert [line["line_total"] for line in body["items"]] == ["19.90", "19.90"]
    assert body["items"][0].keys() == {
        "line_id",
        "product_id",
        "sku",
        "name",
        "quantity",
        "requires_shipping",
        "open",
        "backordered",
        "expected_at",
        "cancelled",
        "packed",
        "shipped",
        "delivered",
        "failed",
        "made_good",
        "return_requested",
        "returned",
        "unit_price",
        "list_value",
        "discount",
        "surcharge",
        "line_total",
        "tax_class",
        "taxes",
        "price_source",
        "price_reason",
        "metadata",
        "links",
    }
    assert answer["Cache-Control"] == "private, no-store"
    assert {"Accept", "Authorization", "Cookie"} <= set(re.split(r", *", answer["Vary"]))


def test_all_links_of_a_body_can_be_read(clerk: APIClient, shop: Shop) -> None:
    order = clerk.get(f"{ROOT}/orders/{shop.first.pk}").json()
    customer = clerk.get(order["links"]["customer"]).json()
    product = clerk.get(f"{ROOT}/inventory/{shop.product.pk}").json()
    # The actions are read from the log, which doesn't have these orders.
    del order["links"]["actions"]

    for links in (order["links"], customer["links"], product["links"]):
        for address in links.values():
            assert clerk.get(address).status_code == 200


def test_pages_lead_to_each_other(clerk: APIClient, shop: Shop) -> None:
    first = clerk.get(f"{ROOT}/orders?page_size=1&status=pending,confirmed").json()
    second = clerk.get(first["next"]).json()

    assert [page["results"][0]["order_number"] for page in (first, second)] == [
        "2026-000002",
        "2026-000001",
    ]
    assert (second["next"], second["previous"]) == (
        None,
        f"http://testserver{ROOT}/orders?page_size=1&status=pending%2Cconfirmed&page=1",
    )


def test_orders_are_filtered(clerk: APIClient, shop: Shop, subtests: pytest.Subtests) -> None:
    cases = [
        ("status=pending", ["2026-000001"]),
        ("status=pending,confirmed", ["2026-000002", "2026-000001"]),
        ("customer={customer}", ["2026-000002", "2026-000001"]),
        ("customer=00000000-0000-7000-8000-000000000000", []),
        ("page=2", []),
        ("page=1000000000&page_size=100", []),
    ]
    for query, numbers in cases:
        with subtests.test(query=query, numbers=numbers):
            answer = clerk.get(f"{ROOT}/orders?{query.format(customer=shop.customer.pk)}")

            assert answer.status_code == 200
            assert [order["order_number"] for order in answer.json()["results"]] == numbers


def test_an_unknown_or_invalid_parameter_is_refused(
    clerk: APIClient, subtests: pytest.Subtests
) -> None:
    cases = [
        ("statuss=pending", "statuss"),
        ("status=", "status"),
        ("status=lost", "status"),
        ("status=pending,,", "status"),
        ("customer=somebody", "customer"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=99999999999999999999", "page"),
        ("page_size=101", "page_size"),
        ("page_size=ten", "page_size"),
        ("page=1&page=2", "page"),
    ]
    for query, parameter in cases:
        with subtests.test(query=query, parameter=parameter):
            answer = clerk.get(f"{ROOT}/orders?{query}")

            assert answer.status_code == 400
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["parameter"] == parameter


@pytest.mark.parametrize("path", ["orders/{id}", "customers/{id}", "inventory/{id}"])
def test_a_single_resource_takes_no_parameters(clerk: APIClient, path: str) -> None:
    assert clerk.get(f"{ROOT}/{path.format(id=uuid4())}?page=1").status_code == 400


def test_a_missing_resource_is_404(clerk: APIClient, subtests: pytest.Subtests) -> None:
    path_cases = [
        ("orders/{id}", "Order not found"),
        ("customers/{id}", "Customer not found"),
        ("customers/{id}/orders", "Customer not found"),
        ("inventory/{id}", "Product not found"),
    ]
    for wrong in [str(UUID(int=404)), "7", "%20", "x" * 300, "%F0%9F%92%A1"]:
        for path, detail in path_cases:
            with subtests.test(path=path, wrong=wrong[:60]):
                answer = clerk.get(f"{ROOT}/{path.format(id=wrong)}")

                assert answer.status_code == 404
                assert answer["Content-Type"] == "application/problem+json"
                assert answer.json()["detail"] == detail


def test_customers_are_listed_and_shown_alike(clerk: APIClient, shop: Shop) -> None:
    [listed] = clerk.get(f"{ROOT}/customers").json()["results"]
    shown = clerk.get(f"{ROOT}/customers/{shop.customer.pk}").json()
    orders = clerk.get(f"{ROOT}/customers/{shop.customer.pk}/orders?status=pending").json()

    assert shown == listed
    assert (shown["customer_id"], shown["email"]) == (str(shop.customer.pk), "robin@example.com")
    assert [order["id"] for order in orders["results"]] == [str(shop.first.pk)]


def test_products_are_listed_and_shown_alike(clerk: APIClient, shop: Shop) -> None:
    [listed] = clerk.get(f"{ROOT}/inventory").json()["results"]
    shown = clerk.get(f"{ROOT}/inventory/{shop.product.pk}").json()

    assert shown == listed
    assert {name: shown[name] for name in ("sku", "on_hand", "reserved", "available")} == {
        "sku": "LAMP",
        "on_hand": 10,
        "reserved": 0,
        "available": 10,
    }
    assert (shown["list_price"], shown["currency"]) == ("19.90", "EUR")


def test_projections_are_listed_on_one_page(clerk: APIClient) -> None:
    body = clerk.get(f"{ROOT}/projections").json()

    assert body["count"] == len(body["results"])
    assert {
        "name",
        "position",
        "head",
        "lag_events",
        "lag_seconds",
        "status",
        "last_error",
    } <= body["results"][0].keys()


# --- Permissions -------------------------------------------------------------------------------
def test_reading_needs_a_login() -> None:
    for path in ("orders", "customers", "inventory", "projections"):
        assert APIClient().get(f"{ROOT}/{path}").status_code == 401


def test_each_role_sees_the_lists_that_it_may(subtests: pytest.Subtests) -> None:
    cases = [
        (Role.CUSTOMER, {"projections"}),
        (Role.CLERK, set()),
        (Role.WAREHOUSE, {"customers"}),
        (Role.AUDITOR, set()),
        (Role.ADMIN, set()),
        (Role.INTEGRATION, {"projections"}),
    ]
    for role, refused in cases:
        with subtests.test(role=role):
            client = client_of(role)
            statuses = {
                path: client.get(f"{ROOT}/{path}").status_code
                for path in ("orders", "customers", "inventory", "projections")
            }

            assert {path for path, status in statuses.items() if status == 403} == refused
            assert set(statuses.values()) <= {200, 403}


def test_a_customer_sees_their_own_only(shop: Shop) -> None:
    own = client_of(Role.CUSTOMER, customer_id=shop.customer.pk)
    other = client_of(Role.CUSTOMER, customer_id=uuid4())
    unbound = client_of(Role.CUSTOMER)

    assert own.get(f"{ROOT}/orders/{shop.first.pk}").json()["shipping_address"]["line1"] != "***"
    assert own.get(f"{ROOT}/orders").json()["count"] == 2
    for client in (other, unbound):
        assert client.get(f"{ROOT}/orders").json()["count"] == 0
        assert client.get(f"{ROOT}/customers").json()["count"] == 0
        for path in (
            f"orders/{shop.first.pk}",
            f"customers/{shop.customer.pk}",
            f"customers/{shop.customer.pk}/orders",
        ):
            assert client.get(f"{ROOT}/{path}").status_code == 404


def test_an_auditor_sees_no_personal_fields(shop: Shop) -> None:
    auditor = client_of(Role.AUDITOR)

    order = auditor.get(f"{ROOT}/orders/{shop.first.pk}").json()
    customer = auditor.get(f"{ROOT}/customers/{shop.customer.pk}").json()

    for address in (order["shipping_address"], order["billing_address"]):
        assert {name for name, value in address.items() if value != "***"} == {"city", "country"}
    assert customer["email"] == "***"


def test_the_warehouse_sees_where_orders_go(shop: Shop) -> None:
    order = client_of(Role.WAREHOUSE).get(f"{ROOT}/orders/{shop.first.pk}").json()

    assert order["shipping_address"] == ADDRESS.model_dump()


def test_a_customer_sees_what_is_available(shop: Shop) -> None:
    [product] = client_of(Role.CUSTOMER).get(f"{ROOT}/inventory").json()["results"]

    assert (product["available"], product["on_hand"], product["reserved"]) == (10, None, None)


# --- Tables ------------------------------------------------------------------------------------
# Reads may touch the log of the write side, and no other of its tables.
LOG = {"event", "event_position", "event_pending", "personal_data"}
WRITE_TABLES = {
    model._meta.db_table for model in apps.get_app_config("ordering_write").get_models()
} - LOG
# The pages of the admin show what policies gave up, and refused commands: records with an owner on
# the write side, which no event makes.
RECORDS = {"policy_timer", "policy_parked_event", "command_refusal"}
FORBIDDEN = re.compile(rf"\b({'|'.join(sorted(WRITE_TABLES))})\b")


class WriteModelReadError(AssertionError):
    """A read request touched a table of the write side."""


@contextmanager
def write_models_refused(*, apart_from: Collection[str] = ()) -> Iterator[None]:
    """Raise WriteModelReadError for every statement that names a table of the write models."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if set(FORBIDDEN.findall(sql)) - set(apart_from):
            raise WriteModelReadError(sql)
        return execute(sql, params, many, context)

    with (
        connections["default"].execute_wrapper(refuse),
        connections["read"].execute_wrapper(refuse),
    ):
        yield


def test_the_guard_refuses_a_table_of_the_write_side() -> None:
    with write_models_refused(), pytest.raises(WriteModelReadError):
        Order.objects.exists()


def test_no_read_request_reads_a_write_model(shop: Shop, subtests: pytest.Subtests) -> None:
    path_cases = [
        "",
        "/orders",
        "/orders?status=pending&customer={customer}",
        "/orders/{order}",
        "/orders/{nothing}",
        "/customers",
        "/customers/{customer}",
        "/customers/{customer}/orders",
        "/customers/{nothing}/orders",
        "/inventory",
        "/inventory/{product}",
        "/projections",
        "/parked-events",
        "/parked-events/{nothing}",
        "/orders/status-counts",
        "/orders/{order}/timeline",
        "/orders/{nothing}/timeline",
        "/customers/{customer}/stats",
        "/customers/{nothing}/stats",
        "/inventory/{product}/movements",
        "/inventory/{nothing}/movements",
        "/reports/sales-by-day",
        "/reports/sales-by-product",
        "/reports/taxes-by-day",
    ]
    client = client_of(Role.ADMIN)
    # HTML of a list, of a row and of a refusal: the others are rendered by the same code.
    in_html = ["/orders", "/orders/{order}", "/orders/{nothing}"]
    for accept, paths in {"application/json": path_cases, "text/html": in_html}.items():
        for path in paths:
            with subtests.test(accept=accept, path=path):
                address = ROOT + path.format(
                    order=shop.first.pk,
                    customer=shop.customer.pk,
                    product=shop.product.pk,
                    nothing=uuid4(),
                )

                with write_models_refused():
                    answer = client.get(address, headers={"accept": accept})

                assert answer.status_code == (404 if "{nothing}" in path else 200)


@pytest.mark.parametrize("page", ["", "?q=sample", "{order}/change/"])
def test_no_admin_page_of_orders_reads_a_write_model(
    shop: Shop, admin_user: User, page: str
) -> None:
    client = Client()
    client.force_login(admin_user)
    path = page.format(order=shop.first.pk, number=shop.first.order_number)

    with write_models_refused(apart_from=RECORDS):
        answer = client.get(f"/admin/ordering_read/ordersummary/{path}")

    assert answer.status_code == 200
