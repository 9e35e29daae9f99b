"""Every filter and every ordering of the lists uses an index, on large tables too."""

import json
import time
from collections.abc import Iterator
from hashlib import md5
from typing import Any, get_args
from uuid import UUID

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from ordering_read.queries import Query, get_query_bus
from ordering_read.queries.customers import GetCustomerByEmail, ListCustomers
from ordering_read.queries.fulfilment import GetFulfilmentQueue
from ordering_read.queries.inventory import GetInventory
from ordering_read.queries.lists import filters_of
from ordering_read.queries.order_lists import ListOrders, Ordering
from ordering_read.queries.search import SearchOrders
from tests.kit_tables import fill_shop
from tests.proof import IS_PROOF, size

pytestmark = [pytest.mark.proof, pytest.mark.django_db(databases=["default", "read"])]

ORDERS = size(20_000, full=1_000_000)
# The longest time for a page of a million orders.
_SECONDS = 2.0


@pytest.fixture(scope="module", autouse=True)
def shop(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Many orders for all tests of this file, deleted afterwards."""
    with django_db_blocker.unblock(), transaction.atomic(using="read"):
        fill_shop(ORDERS)
        if not IS_PROOF:
            # Reading the whole of a small table is cheaper than using an index.
            with connections["read"].cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
        yield
        transaction.set_rollback(True, using="read")


def id_of(thing: str) -> UUID:
    """The id that ``fill_shop`` gives to a thing."""
    return UUID(md5(thing.encode(), usedforsecurity=False).hexdigest())


CUSTOMER, PRODUCT = id_of("customer 77"), id_of("product 77")
# Parameters of the list of orders, and the indexes that may serve them.
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"status": "pending"}, "order_summary_by_status"),
    ({"status": "completed"}, "order_summary_by_status|order_summary_newest"),
    ({"status": "pending,confirmed"}, "order_summary_by_status|order_summary_newest"),
    ({"payment_status": "refunded"}, "order_summary_by_payment"),
    ({"fulfilment_status": "unfulfilled"}, "order_summary_by_fulfilment"),
    ({"return_status": "returned"}, "order_summary_by_return"),
    ({"customer": CUSTOMER}, "order_summary_of_customer"),
    ({"product": PRODUCT}, "order_line_view_of_product"),
    ({"sku": "SKU-77"}, "order_line_view_of_sku_key"),
    ({"external_reference": "WEB-300"}, "order_summary_by_ref_key"),
    ({"po_number": "PO-300"}, "order_summary_by_po_key"),
    ({"tag": "gift"}, "order_summary_by_tag"),
    ({"metadata": "erp=78"}, "order_summary_by_metadata"),
    ({"metadata": "erp"}, "order_summary_by_metadata|order_summary_newest"),
    ({"on_hold": True}, "order_summary_on_hold"),
    ({"on_hold": False}, "order_summary_newest"),
    ({"needs_attention": True}, "order_summary_attention"),
    ({"needs_attention": False}, "order_summary_newest"),
    ({"balance": "due"}, "order_summary_balance_due"),
    ({"balance": "owed"}, "order_summary_balance_owed"),
    ({"assigned_to": "ada"}, "order_summary_by_assignee"),
    ({"placed_after": "2026-05-31"}, "order_summary_newest"),
    ({"placed_before": "2024-01-01"}, "order_summary_newest"),
    ({"updated_after": "2026-06-02"}, "order_summary_by_updated|order_summary_newest"),
    ({"updated_before": "2024-01-01"}, "order_summary_by_updated"),
    ({"currency": "JPY"}, "order_summary_by_currency"),
    ({"currency": "EUR"}, "order_summary_newest|order_summary_by_currency"),
    ({"currency": "EUR", "total_min": "999.50"}, "order_summary_by_currency"),
    ({"currency": "EUR", "total_max": "0.50"}, "order_summary_by_currency"),
    ({"q": "2026-0000077"}, "order_search_words"),
    ({"q": "sku-77"}, "order_search_words|order_search_unique"),
    ({"q": "robin"}, "order_search_unique|order_search_words"),
    ({"q": "nobody"}, "order_search_words"),
    ({"q": "山田"}, "order_search_words|order_search_unique"),
    ({"q": "山"}, "order_search_words|order_search_unique"),
    ({"q": "777"}, "order_search_words"),
    ({"q": "Order 2026-777"}, "order_search_words"),
    ({"q": "anne-marie"}, "order_search_words"),
    ({"q": "anne marie smith"}, "order_search_words"),
    ({"q": "robin", "ordering": "relevance"}, "order_search_unique"),
]
ORDERINGS = {
    "placed_at": "order_summary_newest",
    "total_amount": "order_summary_by_total",
    "order_number": "order_summary_number_unique",
    "updated_at": "order_summary_by_updated",
    "status": "order_summary_by_status",
    "customer_name": "order_summary_by_customer_name",
}
OTHERS: list[tuple[Query[Any], str]] = [
    (ListOrders(), "order_summary_newest"),
    (ListOrders(currency="EUR", ordering="total_amount"), "order_summary_by_currency"),
    (ListCustomers(), "customer_view_newest"),
    (ListCustomers(metadata="crm=77"), "customer_view_by_metadata"),
    (ListCustomers(status="blocked"), "customer_view_in_status"),
    (ListCustomers(q="robin77@example.com"), "customer_search_words|customer_search_unique"),
    (ListCustomers(q="山田"), "customer_search_words|customer_search_unique"),
    (ListCustomers(q="600 123 456"), "customer_search_words"),
    (GetInventory(), "inventory_level_sku_unique"),
    (GetInventory(low=True), "inventory_level_low"),
    (GetInventory(sku="SKU-7"), "inventory_level_by_sku_key"),
    (GetInventory(q="sku-77"), "product_search_words|product_search_unique"),
    (GetFulfilmentQueue(), "fulfilment_queue_oldest"),
    (GetFulfilmentQueue(ready="red"), "fulfilment_queue_oldest|fulfilment_queue_by_units"),
    (GetFulfilmentQueue(country="ES"), "fulfilment_queue_oldest|fulfilment_queue_by_units"),
    (GetFulfilmentQueue(assigned_to="me"), "fulfilment_queue_oldest|fulfilment_queue_by_units"),
    (GetFulfilmentQueue(ordering="-units"), "fulfilment_queue_by_units"),
    (SearchOrders(q="WEB-300"), "order_summary_by_ref_key"),
    (SearchOrders(q="robin77@example.com"), "customer_view_by_email_key"),
    (GetCustomerByEmail(email="robin77@example.com"), "customer_view_by_email_key"),
]
CASES = [
    *((ListOrders(**parameters), index) for parameters, index in FILTERS),
    *(
        (ListOrders(ordering=f"{sign}{name}"), index)
        for name, index in ORDERINGS.items()
        for sign in ("", "-")
    ),
    *OTHERS,
]


def test_an_index_serves_every_query(subtests: pytest.Subtests) -> None:
    for query, index in CASES:
        with subtests.test(query=query):
            check_plan(query, index)


def check_plan(query: Query[Any], index: str) -> None:
    with CaptureQueriesContext(connections["read"]) as queries:
        started_at = time.monotonic()
        get_query_bus().dispatch(query)
        seconds = time.monotonic() - started_at
    plans = [plan_of(captured["sql"]) for captured in queries.captured_queries]

    used = {name for plan in plans for name in indexes(plan)}
    assert used & set(index.split("|")), used
    assert not [table for plan in plans for table in read_whole(plan)]
    if IS_PROOF:
        assert seconds < _SECONDS


def plan_of(sql: str) -> dict[str, Any]:
    with connections["read"].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        [(plans,)] = cursor.fetchall()
    plan: dict[str, Any] = (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]
    return plan


def indexes(plan: dict[str, Any]) -> Iterator[str]:
    """The indexes that a plan uses."""
    if "Index Name" in plan:
        yield plan["Index Name"]
    for part in plan.get("Plans", []):
        yield from indexes(part)


def read_whole(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads as a whole.

    Counts are left out, which stop at 10,001 rows, and small tables.
    """
    if plan["Node Type"] == "Aggregate" and plan.get("Parent Relationship") in (None, "InitPlan"):
        return
    small = ("projection", "inventory_level", "product_search")
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] not in small:
        yield plan["Relation Name"]
    for part in plan.get("Plans", []):
        yield from read_whole(part)


def test_the_cases_cover_every_filter_and_every_ordering() -> None:
    filters = {name for parameters, _ in FILTERS for name in parameters}
    assert filters == {name for name, _filter in filters_of(ListOrders)}
    assert {name.lstrip("-") for name in get_args(Ordering)} == {*ORDERINGS, "relevance"}
