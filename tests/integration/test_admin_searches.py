"""The searches of the admin's lists."""

import re
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from ordering_read.admin.base import matching, starting_with
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.inventory import GetInventory
from ordering_write.models import OutboxEvent
from tests import kit
from tests.kit_admin import (
    COMMANDS,
    CUSTOMERS,
    INVENTORY,
    ORDERS,
    OUTBOX,
    STOCK,
    Shop,
    copy_many,
    list_text,
    list_url,
    logged_in,
    projected_shop,
    run_projections,
)

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return projected_shop()


def test_a_search_finds_orders(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)
    order = shop.order

    for term in ("robin sam", "LAMP-1", "lamp desk", order.pk, order.customer_id):
        assert "1 order " in list_text(client, ORDERS, f"?q={term}"), term
    for term in ("obin", str(order.pk.int), "%", "1999-000001", "x" * 201):
        assert "0 orders" in list_text(client, ORDERS, f"?q={term}"), term
    assert "1 order " in list_text(client, ORDERS, "?status=pending")
    assert "0 orders" in list_text(client, ORDERS, "?status=shipped")
    assert "1 order " in list_text(client, ORDERS, f"?customer_id={order.customer_id}")


def test_a_list_reads_no_documents_of_its_orders(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)
    for query in ("?status=pending", "?status=pending&q=lamp"):
        with CaptureQueriesContext(connections["read"]) as statements:
            assert "1 order " in list_text(client, ORDERS, query)
        assert not [sql for sql in statements if '"shipments"' in sql["sql"]], query

    [order] = OrderSummary.live.defer("shipments", "metadata").filter(order_id=shop.order.pk)
    assert (order.order_number, order.shipments) == (shop.order.order_number, [])


def test_a_search_for_an_order_number_opens_the_order(shop: Shop, auditor: User) -> None:
    year, _, number = shop.order.order_number.partition("-")
    for term in (shop.order.order_number, f"{year}—{int(number)}", f"Order {year}-{number}"):
        response = logged_in(auditor).get(list_url(ORDERS, f"?q={term}"))

        assert (response.status_code, response["Location"]) == (302, shop.url(ORDERS)), term


def test_a_search_finds_products(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)

    for term in ("lamp", "DESK", shop.product.pk):
        assert "1 inventory level " in list_text(client, INVENTORY, f"?q={term}"), term
    assert "0 inventory levels" in list_text(client, INVENTORY, "?availability=low")
    assert "1 stock item " in list_text(client, STOCK, "?q=LAMP")


def test_a_search_finds_events_and_commands(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)
    event = OutboxEvent.objects.filter(stream=shop.order.stream).earliest("version")

    for term, count in (
        (shop.order.order_number, "2 events"),
        (shop.order.stream, "2 events"),
        (shop.order.pk, "2 events"),
        (event.command_id, "3 events"),
        (event.event_id, "1 event"),
        (event.event_position.position, "1 event"),
        ("9" * 30, "0 events"),
    ):
        assert count in list_text(client, OUTBOX, f"?q={term}"), term
    assert "1 event" in list_text(client, OUTBOX, "?type=OrderCreated")
    assert "0 events" in list_text(client, OUTBOX, "?progress=waiting")
    assert "0 events" in list_text(client, OUTBOX, "?progress=order_view")
    year, _, number = shop.order.order_number.partition("-")
    for term in (f"{year}–{int(number)}", f"Order {year}-{number}"):
        assert "2 events" in list_text(client, OUTBOX, f"?q={term}"), term
    for term in (shop.order.order_number, event.command_id):
        assert "1 command " in list_text(client, COMMANDS, f"?q={term}"), term


def test_a_search_by_prefix_uses_an_index(shop: Shop, subtests: pytest.Subtests) -> None:
    copy_many(CustomerSummary.live.get())
    copy_many(InventoryLevel.live.get())

    cases: list[tuple[Any, str, str]] = [
        (CustomerSummary, "name", "customer_view_by_name"),
        (CustomerSummary, "email", "customer_view_by_email"),
        (InventoryLevel, "sku", "inventory_level_by_sku"),
        (InventoryLevel, "name", "inventory_level_by_name"),
    ]
    for model, field, index in cases:
        with subtests.test("the index is used", index=index):
            plan = starting_with(model.live.all(), "17", field).explain()
            assert index in plan
            assert re.search(r"Index Cond: .*>= '17'", plan)


def test_a_search_by_words_and_beginnings_uses_the_indexes_of_both(
    shop: Shop, subtests: pytest.Subtests
) -> None:
    copy_many(CustomerSummary.live.get())
    copy_many(InventoryLevel.live.get())
    with connections["read"].cursor() as cursor:
        # Reading the whole of a small table is cheaper than using an index.
        cursor.execute("SET LOCAL enable_seqscan = off")

    levels = "inventory_level_by_sku inventory_level_by_name product_search_"
    cases: list[tuple[Any, Any, list[str], str]] = [
        (
            CustomerSummary,
            lambda q: ListCustomers(q=q),
            ["name"],
            "customer_view_by_name customer_search_",
        ),
        (InventoryLevel, lambda q: GetInventory(q=q), ["sku", "name"], levels),
    ]
    for model, query, fields, indexes in cases:
        with subtests.test("the indexes are used", model=model.__name__):
            plan = matching(model.live.all(), "17 太", *fields, query=query).explain()
            assert [index for index in indexes.split() if f" {index}" not in plan] == []
            assert "Seq Scan" not in plan


def test_searches_of_lists_find_names_as_people_type_them(shop: Shop, auditor: User) -> None:
    kit.registered_customer(name="Søren 山田", email="soren@example.com")
    kit.registered_product(sku="TABLE-1", name="Table O’Brien")
    run_projections()
    client = logged_in(auditor)

    for term in ("soren", "山", "søren 山田", "Sø"):
        assert "1 customer" in list_text(client, CUSTOMERS, f"?q={term}"), term
    for term in ("obrien", "o'brien", "table–1", "TA", "Table O’B"):
        assert "1 inventory level " in list_text(client, INVENTORY, f"?q={term}"), term
    # An auditor may not see e-mail addresses.
    for term in ("soren@example.com", "example", "x" * 201):
        assert "0 customers" in list_text(client, CUSTOMERS, f"?q={term}"), term


def test_lists_of_histories_and_reports_are_searched_by_names(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)
    year, _, number = shop.order.order_number.partition("-")

    for page, term in (
        ("ordering_read/timelineentry", f"Order {year}–{int(number)}"),
        ("ordering_read/timelineentry", shop.order.pk),
        ("ordering_read/stockmovement", "LAMP–1"),
        ("ordering_read/stockmovement", shop.product.pk),
        ("ordering_read/queuedorder", f"{year}-{int(number)}"),
        ("ordering_read/customerstats", "robin"),
        ("ordering_read/customerstats", shop.customer.pk),
        ("ordering_read/salesbyproduct", "LAMP–1"),
        (STOCK, "lamp–1"),
    ):
        found = client.get(list_url(page, f"?q={term}")).context["cl"].result_count
        others = client.get(list_url(page, "?q=nobody")).context["cl"].result_count
        assert (found > 0, others) == (True, 0), (page, term)

    for page, heading, name in (
        ("ordering_read/timelineentry", "History", shop.order.order_number),
        ("ordering_read/stockmovement", "Stock movements", "LAMP-1"),
        ("ordering_read/customerstats", "What they bought", "Robin Sample"),
        ("ordering_read/statuscounter", "By status", "unfulfilled"),
    ):
        text = client.get(list_url(page)).text
        assert f"<h1>{heading}</h1>" in text
        assert f">{name}</a>" in text, "names stand for ids"
