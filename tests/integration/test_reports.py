"""Queries of timelines, statistics, sales and movements: answers, statements and permissions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.queries import get_query_bus
from ordering_read.queries.customers import CustomerNotFoundError, GetCustomerStats
from ordering_read.queries.inventory import GetStockLedger, ProductNotFoundError
from ordering_read.queries.orders import OrderNotFoundError
from ordering_read.queries.reports import GetSalesByDay, GetSalesByProduct, GetStatusCounts
from ordering_read.queries.timeline import GetTimeline
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.events import (
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    ReturnStatus,
)
from tests.kit_admin import list_url, logged_in
from tests.kit_projections import (
    NOON,
    History,
    customer_registered,
    go_live,
    order_placed,
    product_registered,
)

pytestmark = pytest.mark.usefixtures("db")

ROOT = "/api/v1"
ACTOR = "user 00000000-0000-0000-0000-000000000001"
ask = get_query_bus().dispatch
SUMS = ("discount", "tax", "goodwill", "captured", "charged_back", "paid_back")


class Shop:
    """Two customers. One has two orders in euros, one cancelled the next day, and one in yen."""

    def __init__(self) -> None:
        self.customer, self.other = (
            customer_registered(),
            customer_registered(email="o@example.com"),
        )
        self.product = product_registered(sku="LAMP", on_hand=10)
        fields: dict[str, Any] = {"customer_id": self.customer.pk, "product_id": self.product.pk}
        self.order = order_placed(number="2026-1", quantity=2, unit_price="19.90", **fields)
        self.cancelled = order_placed(number="2026-2", quantity=1, unit_price="5.00", **fields)
        self.yen = order_placed(
            number="2026-3",
            quantity=1,
            unit_price="990",
            currency="JPY",
            at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
            **fields,
        )
        self.foreign = order_placed(number="2026-4", customer_id=self.other.pk)
        self.product.reserve((self.order.pk, uuid4()), 2, now=NOON)
        self.order.add_note("Ring twice", note_id=uuid4(), now=NOON)
        self.order.confirm(reason="Known for years", now=NOON)
        self.cancelled.cancel("Not wanted", now=NOON + timedelta(days=1))
        history = History()
        history.add(self.customer, self.other, self.product)
        history.add(self.order, self.cancelled, self.yen, self.foreign)
        go_live(history)


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return Shop()


@pytest.fixture
def client_of(make_user: Callable[..., User]) -> Callable[..., APIClient]:
    def client(role: Role, **fields: Any) -> APIClient:
        client = APIClient()
        client.force_authenticate(make_user(role, **fields))
        return client

    return client


@pytest.fixture
def clerk(client_of: Callable[..., APIClient]) -> APIClient:
    return client_of(Role.CLERK)


@contextmanager
def statements(at_most: int) -> Iterator[None]:
    """Fail when more statements reach the read database, or any reaches the write database."""
    with (
        CaptureQueriesContext(connections["read"]) as read,
        CaptureQueriesContext(connections["default"]) as write,
    ):
        yield
    assert len(read) <= at_most
    assert not write.captured_queries


# --- Taxes ---------------------------------------------------------------------------------------
def test_taxes_by_day(clerk: APIClient) -> None:
    order = order_placed(quantity=2, unit_price="10.00", adjustments={"tax": "4.20"}, tax_rate="21")
    [line_id] = order.lines
    later = NOON + timedelta(days=1)
    order.cancel_items([LineQuantity(line_id=line_id, quantity=1)], "Too many", now=later)
    history = History()
    history.add(order)
    go_live(history)

    body = clerk.get(f"{ROOT}/reports/taxes-by-day?currency=EUR").json()

    assert [tuple(row.values()) for row in body["results"]] == [
        ("2026-03-02", "EUR", "", "Sample tax", "21", False, "-10.00", "-2.10"),
        ("2026-03-01", "EUR", "", "Sample tax", "21", False, "20.00", "4.20"),
    ]


# --- Timeline ----------------------------------------------------------------------------------
def test_the_timeline_of_an_order(clerk: APIClient, shop: Shop) -> None:
    body = clerk.get(f"{ROOT}/orders/{shop.order.pk}/timeline").json()

    assert [entry["sentence"] for entry in body["results"]] == [
        f"{ACTOR} placed the order for Robin Sample",
        f"{ACTOR} added 2 × Sample 1 at 19.90 EUR",
        f"{ACTOR} noted: Ring twice",
        f"{ACTOR} confirmed the order: Known for years",
    ]
    first = body["results"][0]
    assert first.keys() == {
        "at",
        "sentence",
        "visibility",
        "icon",
        "actor",
        "channel",
        "type",
        "event_id",
        "version",
        "position",
        "projection_gap",
    }
    assert (first["at"], first["channel"]) == ("2026-03-01T12:00:00Z", "python")
    assert first["actor"].startswith("user ")


def test_a_timeline_is_filtered_by_visibility_and_paged(shop: Shop) -> None:
    with statements(at_most=2):
        internal = ask(GetTimeline(order_id=shop.order.pk, visibility="internal"))
    second = ask(GetTimeline(order_id=shop.order.pk, page=2, page_size=3))

    assert [entry.type for entry in internal.items] == ["NoteAdded"]
    assert ([entry.version for entry in second.items], second.count) == ([4], 4)
    with statements(at_most=3):
        assert ask(GetTimeline(order_id=shop.foreign.pk, visibility="internal")).items == ()


def test_a_customer_sees_the_sentences_for_customers(
    client_of: Callable[..., APIClient], shop: Shop
) -> None:
    client = client_of(Role.CUSTOMER, customer_id=shop.customer.pk)

    body = client.get(f"{ROOT}/orders/{shop.order.pk}/timeline").json()

    assert [(entry["sentence"], entry["actor"]) for entry in body["results"]] == [
        ("Order placed", None),
        ("2 × Sample 1 at 19.90 EUR", None),
        ("Order confirmed", None),
    ]
    assert "Ring twice" not in str(body)
    for address in ("/timeline", "/timeline?visibility=internal"):
        response = client.get(f"{ROOT}/orders/{shop.foreign.pk}{address}")
        assert response.status_code == 404
    internal = client.get(f"{ROOT}/orders/{shop.order.pk}/timeline?visibility=internal")
    assert internal.json()["count"] == 0


def test_an_auditor_reads_no_notes(client_of: Callable[..., APIClient], shop: Shop) -> None:
    body = client_of(Role.AUDITOR).get(f"{ROOT}/orders/{shop.order.pk}/timeline").json()

    assert [entry["sentence"] for entry in body["results"]][2:] == [
        f"{ACTOR} noted: ***",
        f"{ACTOR} confirmed the order: Known for years",
    ]


# --- Customers ---------------------------------------------------------------------------------
def test_the_statistics_of_a_customer(clerk: APIClient, shop: Shop) -> None:
    body = clerk.get(f"{ROOT}/customers/{shop.customer.pk}/stats").json()

    assert body == {
        "customer_id": str(shop.customer.pk),
        "projection_gap": None,
        "currencies": [
            {
                "currency": "EUR",
                "orders": 2,
                "cancelled": 1,
                "returned_units": 0,
                "spent": "39.80",
                "average_order": "39.80",
                "largest_order": "39.80",
                "first_order_at": "2026-03-01T12:00:00Z",
                "last_order_at": "2026-03-01T12:00:00Z",
                **dict.fromkeys(SUMS, "0.00"),
            },
            {
                "currency": "JPY",
                "orders": 1,
                "cancelled": 0,
                "returned_units": 0,
                "spent": "990",
                "average_order": "990",
                "largest_order": "990",
                "first_order_at": "2026-03-01T23:30:00Z",
                "last_order_at": "2026-03-01T23:30:00Z",
                **dict.fromkeys(SUMS, "0"),
            },
        ],
    }


def test_statistics_take_one_statement_or_two(shop: Shop) -> None:
    newcomer = customer_registered(email="new@example.com")
    history = History()
    history.add(newcomer)
    go_live(history)

    with statements(at_most=1):
        assert len(ask(GetCustomerStats(customer_id=shop.customer.pk))) == 2
    with statements(at_most=2):
        assert ask(GetCustomerStats(customer_id=newcomer.pk)) == ()


def test_a_customer_sees_their_own_statistics(
    client_of: Callable[..., APIClient], shop: Shop
) -> None:
    client = client_of(Role.CUSTOMER, customer_id=shop.customer.pk)

    assert client.get(f"{ROOT}/customers/{shop.customer.pk}/stats").status_code == 200
    assert client.get(f"{ROOT}/customers/{shop.other.pk}/stats").status_code == 404


# --- Sales -------------------------------------------------------------------------------------
def test_sales_by_day(clerk: APIClient, shop: Shop) -> None:
    body = clerk.get(f"{ROOT}/reports/sales-by-day").json()

    assert [tuple(row.values())[:8] for row in body["results"]] == [
        ("2026-03-02", "EUR", 0, 0, "0.00", "5.00", "0.00", "-5.00"),
        ("2026-03-02", "JPY", 1, 1, "990", "0", "0", "990"),
        ("2026-03-01", "EUR", 3, 5, "64.70", "0.00", "0.00", "64.70"),
    ]
    assert [*body["results"][0]] == [
        "day",
        "currency",
        "orders",
        "units",
        "gross",
        "cancelled",
        "refunded",
        "net",
        *SUMS,
    ]


def test_sales_are_filtered(clerk: APIClient, shop: Shop, subtests: pytest.Subtests) -> None:
    cases = [
        ("from=2026-03-02", [("2026-03-02", "EUR"), ("2026-03-02", "JPY")]),
        ("to=2026-03-01", [("2026-03-01", "EUR")]),
        ("from=2026-03-01&to=2026-03-01", [("2026-03-01", "EUR")]),
        ("currency=JPY", [("2026-03-02", "JPY")]),
        ("currency=KWD", []),
        ("page=2&page_size=2", [("2026-03-01", "EUR")]),
    ]
    for query, expected in cases:
        with subtests.test(query):
            results = clerk.get(f"{ROOT}/reports/sales-by-day?{query}").json()["results"]

            assert [(row["day"], row["currency"]) for row in results] == expected


def test_sales_by_product(clerk: APIClient, shop: Shop) -> None:
    address = f"{ROOT}/reports/sales-by-product?product={shop.product.pk}"
    body = clerk.get(address).json()

    [cancelled, yen, euros] = body["results"]
    # The row of a day with cancellations only has no name; the stock list has.
    assert (cancelled["sku"], cancelled["units"], cancelled["cancelled_units"]) == ("LAMP", 0, 1)
    assert (yen["day"], yen["currency"], yen["gross"]) == ("2026-03-02", "JPY", "990")
    assert euros == {
        "day": "2026-03-01",
        "product_id": str(shop.product.pk),
        "sku": "SKU-1",
        "name": "Sample 1",
        "currency": "EUR",
        "units": 3,
        "cancelled_units": 0,
        "returned_units": 0,
        "gross": "44.80",
        "refunded": "0.00",
        "links": {"product": f"http://testserver{ROOT}/inventory/{shop.product.pk}"},
    }
    assert clerk.get(f"{address}&currency=EUR").json()["results"] == [cancelled, euros]


def test_sales_take_two_statements(shop: Shop) -> None:
    with statements(at_most=2):
        days = ask(GetSalesByDay(first_day=date(2026, 3, 1), currency="EUR"))
    with statements(at_most=2):
        products = ask(GetSalesByProduct(last_day=date(2026, 3, 1)))

    assert sum(row.net for row in days.items) == Decimal("59.70")
    assert products.count == 2


# --- Statuses ----------------------------------------------------------------------------------
def test_orders_are_counted_by_status(clerk: APIClient, shop: Shop) -> None:
    body = clerk.get(f"{ROOT}/orders/status-counts").json()

    assert body["status"] == dict.fromkeys(OrderStatus, 0) | {
        "pending": 2,
        "confirmed": 1,
        "cancelled": 1,
    }
    assert body["payment_status"] == dict.fromkeys(PaymentStatus, 0) | {"unpaid": 4}
    assert body["fulfilment_status"] == dict.fromkeys(FulfilmentStatus, 0) | {"unfulfilled": 4}
    assert body["return_status"] == dict.fromkeys(ReturnStatus, 0) | {"none": 4}
    with statements(at_most=1):
        ask(GetStatusCounts())


def test_a_customers_own_orders_are_counted(
    client_of: Callable[..., APIClient], shop: Shop
) -> None:
    client = client_of(Role.CUSTOMER, customer_id=shop.other.pk)

    counts = client.get(f"{ROOT}/orders/status-counts").json()

    assert {status: count for status, count in counts["status"].items() if count} == {"pending": 1}
    assert (counts["payment_status"]["unpaid"], counts["return_status"]["none"]) == (1, 1)
    with statements(at_most=1):
        ask(GetStatusCounts(customer_scope=shop.other.pk))


# --- Stock -------------------------------------------------------------------------------------
def test_the_movements_of_a_product(clerk: APIClient, shop: Shop) -> None:
    body = clerk.get(f"{ROOT}/inventory/{shop.product.pk}/movements").json()

    [reserved, received] = body["results"]
    assert (received["kind"], received["delta"], received["reference"]) == (
        "received",
        10,
        "opening stock",
    )
    assert received["links"] == {"order": None}
    levels = ("delta", "reserved_delta", "on_hand", "reserved", "available")
    assert [reserved[name] for name in levels] == [0, 2, 10, 2, 8]
    assert reserved["links"] == {"order": f"http://testserver{ROOT}/orders/{shop.order.pk}"}


def test_movements_of_one_kind(shop: Shop) -> None:
    with statements(at_most=2):
        page = ask(GetStockLedger(product_id=shop.product.pk, kind="reserved"))
    with statements(at_most=3):
        assert ask(GetStockLedger(product_id=shop.product.pk, kind="released")).items == ()

    assert [movement.order_id for movement in page.items] == [shop.order.pk]


# --- Refusals ----------------------------------------------------------------------------------
def test_an_unknown_or_invalid_parameter_of_a_report_is_refused(
    clerk: APIClient, shop: Shop, subtests: pytest.Subtests
) -> None:
    cases = [
        ("reports/sales-by-day?from=yesterday", "from"),
        ("reports/sales-by-day?from=1700000000", "from"),
        ("reports/sales-by-day?to=2026-02-30", "to"),
        ("reports/sales-by-day?from=2026-03-02&to=2026-03-01", "to"),
        ("reports/sales-by-day?first_day=2026-03-02", "first_day"),
        ("reports/sales-by-day?currency=EURO", "currency"),
        ("reports/sales-by-day?product=7", "product"),
        ("reports/sales-by-product?product=7", "product"),
        ("reports/sales-by-product?page_size=101", "page_size"),
        ("orders/{order}/timeline?visibility=secret", "visibility"),
        ("orders/status-counts?page=1", "page"),
        ("customers/{customer}/stats?currency=EUR", "currency"),
        ("inventory/{product}/movements?kind=stolen", "kind"),
    ]
    for path, parameter in cases:
        with subtests.test(path):
            ids = {"order": shop.order.pk, "customer": shop.customer.pk, "product": shop.product.pk}

            answer = clerk.get(f"{ROOT}/{path.format(**ids)}")

            assert answer.status_code == 400
            assert answer.json()["parameter"] == parameter


def test_a_report_about_a_missing_resource_is_404(
    clerk: APIClient, subtests: pytest.Subtests
) -> None:
    path_cases = [
        ("orders/{id}/timeline", "Order not found"),
        ("customers/{id}/stats", "Customer not found"),
        ("inventory/{id}/movements", "Product not found"),
    ]
    for wrong in [str(UUID(int=404)), "7"]:
        for path, detail in path_cases:
            with subtests.test(wrong=wrong, path=path):
                answer = clerk.get(f"{ROOT}/{path.format(id=wrong)}")

                assert (answer.status_code, answer.json()["detail"]) == (404, detail)


ADDRESSES = {
    "timeline": "orders/{order}/timeline",
    "stats": "customers/{customer}/stats",
    "days": "reports/sales-by-day",
    "products": "reports/sales-by-product",
    "statuses": "orders/status-counts",
    "movements": "inventory/{product}/movements",
}


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        (Role.CUSTOMER, {"days", "products", "movements"}),
        (Role.CLERK, set()),
        (Role.WAREHOUSE, {"stats", "days", "products"}),
        (Role.AUDITOR, set()),
        (Role.ADMIN, set()),
        (Role.INTEGRATION, {"days", "products"}),
    ],
)
def test_roles_see_the_reports_of_their_permissions(
    client_of: Callable[..., APIClient], shop: Shop, role: Role, refused: set[str]
) -> None:
    client = client_of(role, customer_id=shop.customer.pk)
    ids = {"order": shop.order.pk, "customer": shop.customer.pk, "product": shop.product.pk}

    statuses = {
        name: client.get(f"{ROOT}/{path.format(**ids)}").status_code
        for name, path in ADDRESSES.items()
    }

    assert statuses == {name: 403 if name in refused else 200 for name in ADDRESSES}


def test_a_customer_scope_sees_no_reports_of_the_whole_shop(shop: Shop) -> None:
    scope = shop.customer.pk

    assert ask(GetSalesByDay(customer_scope=scope)).count == 0
    assert ask(GetSalesByProduct(customer_scope=scope)).count == 0
    assert ask(GetStockLedger(product_id=shop.product.pk, customer_scope=scope)).count == 0
    with pytest.raises(OrderNotFoundError):
        ask(GetTimeline(order_id=shop.foreign.pk, customer_scope=scope))
    with pytest.raises(CustomerNotFoundError):
        ask(GetCustomerStats(customer_id=shop.other.pk, customer_scope=scope))
    with pytest.raises(ProductNotFoundError):
        ask(GetStockLedger(product_id=uuid4()))


def test_pages_link_to_their_reports(client_of: Callable[..., APIClient], shop: Shop) -> None:
    client = client_of(Role.ADMIN)
    for path, link in (
        (f"orders/{shop.order.pk}", "timeline"),
        (f"customers/{shop.customer.pk}", "stats"),
        (f"inventory/{shop.product.pk}", "movements"),
        ("orders", "status-counts"),
    ):
        page = client.get(f"{ROOT}/{path}", headers={"accept": "text/html"})
        assert f'href="http://testserver{ROOT}/{path}/{link}"' in page.content.decode()
    for address in client.get(ROOT).json().values():
        assert client.get(address).status_code == 200


# --- Admin pages -------------------------------------------------------------------------------
PAGES = (
    "ordering_read/timelineentry",
    "ordering_read/stockmovement",
    "ordering_read/salesbyday",
    "ordering_read/salesbyproduct",
    "ordering_read/customerstats",
    "ordering_read/statuscounter",
)


def test_each_report_has_a_read_only_admin_page(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)

    for page in PAGES:
        response = client.get(list_url(page))
        assert response.status_code == 200, page
        assert response.context["cl"].result_count, page
        if response.context["cl"].search_fields:
            assert client.get(list_url(page, f"?q={uuid4()}")).status_code == 200, page
        assert client.get(f"/admin/{page}/add/").status_code == 403, page


def test_a_long_admin_page_costs_as_many_queries_as_a_short_one(
    shop: Shop, admin_user: User
) -> None:
    client = logged_in(admin_user)

    def costs() -> dict[str, int]:
        counts = {}
        for page in PAGES:
            # Fills the cache of the banner, whose queries don't count.
            client.get("/admin/")
            with CaptureQueriesContext(connections["read"]) as queries:
                client.get(list_url(page))
            counts[page] = len(queries)
        return counts

    # The first pages fill the caches.
    costs()
    short = costs()
    history = History()
    history.add(order_placed(number="2026-70", at=NOON + timedelta(days=7), lines=3))
    history.add(product_registered(sku="CHAIR-0"))
    go_live(history)

    assert costs() == short


def test_the_admin_pages_of_sales_and_customers_need_their_permissions(
    shop: Shop, warehouse: User
) -> None:
    client = logged_in(warehouse)

    refused = {page for page in PAGES if client.get(list_url(page)).status_code == 403}

    assert refused == {
        "ordering_read/salesbyday",
        "ordering_read/salesbyproduct",
        "ordering_read/customerstats",
    }


def test_the_admin_masks_notes_for_an_auditor(shop: Shop, auditor: User) -> None:
    page = logged_in(auditor).get(list_url("ordering_read/timelineentry")).text

    assert "noted: ***" in page
    assert "Ring twice" not in page
