"""The admin pages: which roles see them, what they show, and how many queries they cost."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from config.server.warming import read_content_types
from ordering_read.engine import live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import (
    OrderSummary,
    Projection,
)
from ordering_read.projector import registered
from ordering_write.domain.events import OrderStatus
from ordering_write.models import OutboxEvent
from tests import kit
from tests.kit_admin import (
    COMMANDS,
    CUSTOMERS,
    INVENTORY,
    ORDERS,
    OUTBOX,
    PROJECTIONS,
    STOCK,
    Shop,
    list_text,
    list_url,
    logged_in,
    page_text,
    projected_shop,
    row_url,
    run_action,
    run_projections,
)

pytestmark = pytest.mark.usefixtures("db")

PAGES = (ORDERS, CUSTOMERS, INVENTORY, PROJECTIONS, OUTBOX, COMMANDS, STOCK)

PAGES_OF_ROLE = {
    Role.CLERK: {ORDERS, CUSTOMERS, INVENTORY, PROJECTIONS},
    Role.WAREHOUSE: {ORDERS, INVENTORY, PROJECTIONS},
    Role.AUDITOR: set(PAGES),
    Role.ADMIN: set(PAGES),
    Role.INTEGRATION: {ORDERS, CUSTOMERS, INVENTORY},
}


@pytest.fixture
def shop() -> Shop:
    return projected_shop()


# --- Permissions -------------------------------------------------------------------------------
def test_each_role_sees_its_pages_and_no_others(
    shop: Shop, make_user: Any, subtests: pytest.Subtests
) -> None:
    for role, pages in PAGES_OF_ROLE.items():
        client = logged_in(make_user(role, is_staff=True))
        with subtests.test(str(role)):
            index = client.get("/admin/").text

            lists = {page: client.get(list_url(page)).status_code for page in PAGES}
            rows = {page: client.get(shop.url(page)).status_code for page in PAGES}
            linked = {page for page in PAGES if list_url(page) in index}

            assert lists == rows == {page: 200 if page in pages else 403 for page in PAGES}
            assert linked == pages


@pytest.mark.parametrize("is_staff", [False, True])
def test_a_customer_is_sent_to_the_login(is_staff: bool, shop: Shop, make_user: Any) -> None:
    user = make_user(Role.CUSTOMER, is_staff=is_staff, customer_id=shop.customer.pk)
    client = logged_in(user)

    for page in PAGES:
        assert client.get(list_url(page)).headers["Location"].startswith("/admin/login/")
        assert client.get(shop.url(page)).headers["Location"].startswith("/admin/login/")


def test_not_even_a_superuser_can_edit_rows(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)
    events = OutboxEvent.objects.count()

    for page in PAGES:
        url = shop.url(page)
        assert client.get(f"/admin/{page}/add/").status_code == 403
        assert client.post(f"/admin/{page}/add/", {"name": "x"}).status_code == 403
        assert client.post(url, {"name": "x"}).status_code == 403
        assert client.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in client.get(list_url(page)).text
        assert 'name="_save"' not in client.get(url).text

    assert OutboxEvent.objects.count() == events


def test_the_index_shows_the_site_title_the_log_and_the_time_zone(
    shop: Shop, admin_user: User
) -> None:
    page = logged_in(admin_user).get("/admin/").text

    assert "Order service" in page
    assert '<a href="/">API and documentation</a>' in page
    assert "Event log" in page
    assert "Europe/Madrid" in page
    # The apps of the code have no pages of their own.
    assert logged_in(admin_user).get("/admin/ordering_read/").headers["Location"] == "/admin/"


def test_no_page_of_the_queue_or_of_token_digests_is_registered() -> None:
    labels = {model._meta.app_label for model in admin.site._registry}

    assert labels == {"ordering_read", "ordering_write", "accounts", "auth", "exports"}


# --- Contents ----------------------------------------------------------------------------------
def test_an_order_page_shows_its_lines_and_then_its_newest_events(
    shop: Shop, auditor: User, clerk: User
) -> None:
    kit.dispatch(
        kit.move(
            shop.order, OrderStatus.CONFIRMED, reason="Paid", channel="admin", user_id=clerk.pk
        )
    )
    kit.dispatch(kit.cancel(shop.order, "Broken"))
    run_projections()

    text = page_text(logged_in(auditor), shop.url(ORDERS))

    offsets = [
        text.index(sentence)
        for sentence in (
            "Desk lamp LAMP-1 2 2 cancelled",
            "Desk lamp 2 × 19.90 39.80 Total 39.80 Cancelled -39.80 Balance: nothing due 0.00",
            "cancelled the order: Broken",
            f"user {clerk.pk} confirmed the order: Paid",
            "added 2 × Desk lamp at 19.90 EUR",
            "placed the order for Robin Sample",
        )
    ]
    assert offsets == sorted(offsets)
    assert "1 Mar 2026, 13:00:00" in text
    assert "CET" not in text
    assert text.count("Europe/Madrid") == 1, "the page names the zone once"


def test_the_history_of_an_order_has_a_sentence_for_each_event(
    shop: Shop, clerk: User, auditor: User
) -> None:
    order = shop.place(
        tags=["gift"],
        note="Ring twice",
        adjustments=[{"kind": "shipping", "label": "Parcel", "amount": "4.90"}],
    )
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        kit.dispatch(kit.move(order, status))
    run_projections()
    url = row_url(ORDERS, order.pk)

    text = page_text(logged_in(clerk), url)

    for sentence in (
        "added 4.90 EUR: Parcel",
        "added the tag gift",
        "noted: Ring twice",
        "packed 2 × Desk lamp",
        "shipped 2 × Desk lamp",
        "recorded that 2 × Desk lamp arrived",
    ):
        assert sentence in text
    assert "noted: ***" in page_text(logged_in(auditor), url)


def test_personal_data_are_shown_only_with_the_permission(
    shop: Shop, clerk: User, warehouse: User, auditor: User
) -> None:
    order, customer = shop.url(ORDERS), shop.url(CUSTOMERS)
    street, email = "1 Example Street", shop.customer.email

    assert street in page_text(logged_in(clerk), order)
    assert street in page_text(logged_in(warehouse), order)
    masked = page_text(logged_in(auditor), order)
    assert street not in masked
    assert "Sampleton, Spain" in masked
    assert email in page_text(logged_in(clerk), customer)
    assert email in list_text(logged_in(clerk), CUSTOMERS)
    assert email not in page_text(logged_in(auditor), customer)
    assert email not in list_text(logged_in(auditor), CUSTOMERS)
    assert "0 customers" in list_text(logged_in(auditor), CUSTOMERS, f"?q={email}")
    assert "1 customer" in list_text(logged_in(clerk), CUSTOMERS, f"?q={email}")


def test_the_page_of_an_event_hides_personal_data(shop: Shop, auditor: User) -> None:
    text = page_text(logged_in(auditor), shop.url(OUTBOX))

    assert "stored outside the log" in text
    assert "Example Street" not in text
    assert shop.customer.email not in text


def test_the_outbox_shows_positions_and_the_projections_that_passed_them(
    shop: Shop, auditor: User
) -> None:
    def table() -> str:
        return list_text(logged_in(auditor), OUTBOX).partition("Recorded at")[2]

    count = len(registered())
    assert table().count("everywhere") == OutboxEvent.objects.count()

    shop.place()
    text = table()
    assert text.count("none yet") == text.count(f"in 0 of {count} places") == 3

    live.run("order_view")
    text = table()
    assert "none yet" not in text
    assert text.count(f"in 1 of {count} places") == 3
    page = page_text(logged_in(auditor), row_url(OUTBOX, OutboxEvent.objects.latest("id").pk))
    assert "✓ orders" in page
    assert "not yet histories of orders" in page


def test_an_order_page_keeps_its_url_across_a_rebuild(shop: Shop, auditor: User) -> None:
    key = OrderSummary.live.get().pk
    url = shop.url(ORDERS)

    rebuild("order_view")

    assert OrderSummary.live.get().pk != key
    assert url in logged_in(auditor).get(list_url(ORDERS)).text
    assert shop.order.order_number in page_text(logged_in(auditor), url)


def test_the_projection_pages_show_lag_and_errors(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)
    head = OutboxEvent.objects.count()
    assert f"order_view 1 live {head} {head} 0 0.0 0 " in list_text(client, PROJECTIONS)

    shop.place()
    Projection.objects.filter(name="order_view").update(error="Boom\nat line 1")

    assert re.search(
        rf"order_view 1 failed {head} {head + 3} 3 \d+\.\d 0 - Boom ",
        list_text(client, PROJECTIONS),
    )
    assert "at line 1" in page_text(client, shop.url(PROJECTIONS))


def test_the_page_of_a_stock_item_lists_its_reservations(shop: Shop, auditor: User) -> None:
    text = page_text(logged_in(auditor), shop.url(STOCK))

    assert f"2 for {shop.order.order_number}" in text


def test_the_pages_of_customers_and_products_show_their_orders_and_movements(
    shop: Shop, clerk: User
) -> None:
    client, order = logged_in(clerk), row_url(ORDERS, shop.order.pk)
    link = f'<a href="{order}">{shop.order.order_number}</a>'

    customer = client.get(row_url(CUSTOMERS, shop.customer.pk)).text
    product = client.get(row_url(INVENTORY, shop.product.pk)).text

    assert "<h1><bdi>Robin Sample</bdi></h1>" in customer
    assert link in customer.partition("Last orders</h2>")[2]
    unblock = '<span class="refused">Unblock customer</span> <span class="quiet">The customer isn'
    assert unblock in customer
    assert '<th scope="row">EUR</th><td class="number">1</td>' in customer
    assert link in product.partition("Last movements</h2>")[2]
    # The ids and versions are folded.
    assert str(shop.customer.pk) in customer.partition("<details")[2].partition("</details>")[0]


def test_the_list_of_orders_shows_three_status_badges(admin_client: Client, shop: Shop) -> None:
    page = admin_client.get(list_url(ORDERS)).text

    for label, text in (
        ("Status", "pending"),
        ("Payment", "unpaid"),
        ("Fulfilment", "unfulfilled"),
    ):
        assert re.search(rf'<span class="badge badge-\w+" title="{label}">{text}</span>', page)
    age = r'<div class="quiet">[^<]+ ago</div>'
    assert re.search(rf'<td class="field-placed">\d+ \w{{3}} \d{{4}}, \d\d:\d\d{age}</td>', page)


# --- Costs -------------------------------------------------------------------------------------
def queries_of(client: Client, url: str) -> list[str]:
    """Return the SQL statements that a page costs, without those of banner and navigation."""
    client.get("/admin/")
    return statements_of(client, url)


def statements_of(client: Client, url: str) -> list[str]:
    """Return the SQL statements that a page costs."""
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        assert client.get(url).status_code == 200
    return [query["sql"] for query in (*write, *read)]


def test_a_long_list_costs_as_many_queries_as_a_short_one(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)

    def costs() -> dict[str, int]:
        return {page: len(queries_of(client, list_url(page))) for page in PAGES}

    # The first round fills Django's caches, such as the ids of content types.
    costs()
    short = costs()
    for _ in range(5):
        shop.place()
    kit.registered_customer()
    kit.registered_product()
    run_projections()

    assert costs() == short
    assert max(short.values()) <= 10


def test_a_long_order_costs_as_many_queries_as_a_short_one(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)
    long_order = shop.place(lines=20)
    run_projections()
    # The first page fills Django's caches, such as the ids of content types.
    queries_of(client, shop.url(ORDERS))

    costs = [
        len(queries_of(client, row_url(ORDERS, order.pk))) for order in (shop.order, long_order)
    ]

    assert costs[0] == costs[1] <= 7


def test_the_first_pages_of_a_process_cost_few_statements(
    shop: Shop, admin_user: User, auditor: User, subtests: pytest.Subtests
) -> None:
    history = f"/admin/orders/{shop.order.pk}/history/"
    pages = [
        *(list_url(page) for page in PAGES),
        *(f"/admin/{path}" for path in ("", "search/?q=robin", "search/?q=nothing", "reports/")),
        *(f"/admin/{path}/" for path in ("packing", "dispatch", "views", "exports", "bulk")),
        list_url(ORDERS, "?q=robin"),
        *(shop.url(page) for page in (ORDERS, CUSTOMERS, INVENTORY, OUTBOX)),
        "/admin/system/",
        history,
        f"{history}?version=1",
    ]
    for user in (admin_user, auditor):
        client = logged_in(user)
        for page in pages:
            # A process reads content types when it starts.
            if client.get(page).status_code == 403:
                continue
            cache.clear()
            with subtests.test(page, user=user.username):
                assert len(statements_of(client, page)) <= 10


def test_a_new_process_reads_all_content_types_at_once(
    shop: Shop, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The connections hold the transaction of the test.
    monkeypatch.setattr(connections, "close_all", lambda: None)
    ContentType.objects.clear_cache()
    with django_assert_num_queries(1):
        read_content_types()
    with django_assert_num_queries(0):
        ContentType.objects.get_for_model(OutboxEvent, for_concrete_model=False)


def test_no_list_counts_its_whole_table(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)
    # The first page counts what is to be done, for the navigation.
    client.get("/admin/")

    for page in PAGES:
        table = apps.get_model(page.replace("/", "."))._meta.db_table
        for query in ("", "?q=sample"):
            queries = queries_of(client, list_url(page, query))
            counts = [
                sql for sql in queries if f'FROM "{table}"' in sql and "COUNT(" in sql.upper()
            ]
            assert counts, (page, query)
            assert [sql for sql in counts if "LIMIT 10001" not in sql] == [], (page, query)


# --- Accounts ----------------------------------------------------------------------------------
def test_the_page_of_users_revokes_tokens(admin_user: User, clerk: User, integration: User) -> None:
    AuthToken.objects.create(user=clerk)
    AuthToken.objects.create(user=integration)
    client = logged_in(admin_user)
    digest = AuthToken.objects.filter(user=integration).get().digest
    assert digest not in client.get("/admin/accounts/user/").text

    run_action(client, "accounts/user", "revoke_tokens", integration)

    assert [token.user for token in AuthToken.objects.all()] == [clerk]
