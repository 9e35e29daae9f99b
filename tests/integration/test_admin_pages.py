"""The admin pages: who sees which, what they show, and what they cost."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin.base import starting_with
from ordering_read.engine import live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import (
    CustomerSummary,
    InventoryLevel,
    OrderSummary,
    Projection,
    ReadModel,
)
from ordering_read.projector import registered, writing
from ordering_write.domain.events import OrderStatus
from ordering_write.models import CommandRecord, Order, OutboxEvent
from tests import kit

ORDERS = "ordering_read/ordersummary"
CUSTOMERS = "ordering_read/customersummary"
INVENTORY = "ordering_read/inventorylevel"
PROJECTIONS = "ordering_read/projection"
OUTBOX = "ordering_write/outboxevent"
COMMANDS = "ordering_write/commandrecord"
STOCK = "ordering_write/stockitem"
PAGES = (ORDERS, CUSTOMERS, INVENTORY, PROJECTIONS, OUTBOX, COMMANDS, STOCK)

SEEN_BY = {
    Role.CLERK: {ORDERS, CUSTOMERS, INVENTORY, PROJECTIONS},
    Role.WAREHOUSE: {ORDERS, INVENTORY, PROJECTIONS},
    Role.AUDITOR: set(PAGES),
    Role.ADMIN: set(PAGES),
    Role.INTEGRATION: {ORDERS, CUSTOMERS, INVENTORY},
}


class Shop:
    """A customer, a product and the orders of that customer."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer(name="Robin Sample")
        self.product = kit.registered_product(on_hand=1000, sku="LAMP-1", name="Desk lamp")
        self.order = self.place()

    def place(self, *, lines: int = 1, **fields: Any) -> Order:
        return kit.placed_order(self.customer, *[(self.product, 2)] * lines, **fields)

    def detail_of(self, page: str) -> str:
        """The address of the page of one row."""
        key = {
            ORDERS: self.order.pk,
            CUSTOMERS: self.customer.pk,
            INVENTORY: self.product.pk,
            PROJECTIONS: Projection.objects.get(name="order_view").pk,
            OUTBOX: OutboxEvent.objects.filter(stream=self.order.stream).earliest("version").pk,
            COMMANDS: CommandRecord.objects.filter(type="CreateOrder")[0].pk,
            STOCK: self.product.pk,
        }[page]
        return f"/admin/{page}/{key}/change/"


@pytest.fixture
def shop(db: None) -> Shop:
    shop = Shop()
    project()
    return shop


@pytest.fixture
def browser(db: None) -> Callable[[User], Client]:
    def browse(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return browse


def project() -> None:
    for name in registered():
        live.run(name)


def shown(client: Client, page: str, query: str = "") -> str:
    """The text of a list."""
    return text_of(client, f"/admin/{page}/{query}")


def text_of(client: Client, address: str) -> str:
    """The text of a page, without its markup."""
    response = client.get(address)
    assert response.status_code == 200, address
    content = response.content.decode().partition('id="content-start"')[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content))


# --- Who sees what -----------------------------------------------------------------------------
@pytest.mark.parametrize("role", SEEN_BY)
def test_each_role_sees_its_pages_and_no_other(
    role: Role, shop: Shop, make_user: Any, browser: Any
) -> None:
    client = browser(make_user(role, is_staff=True))

    seen = {page for page in PAGES if client.get(f"/admin/{page}/").status_code == 200}
    opened = {page for page in PAGES if client.get(shop.detail_of(page)).status_code == 200}
    listed = {page for page in PAGES if f"/admin/{page}/" in client.get("/admin/").text}

    assert seen == opened == listed == SEEN_BY[role]
    others = {client.get(f"/admin/{page}/").status_code for page in set(PAGES) - seen}
    assert others <= {403}


@pytest.mark.parametrize("is_staff", [False, True])
def test_a_customer_never_gets_in(is_staff: bool, shop: Shop, make_user: Any, browser: Any) -> None:
    client = browser(make_user(Role.CUSTOMER, is_staff=is_staff, customer_id=shop.customer.pk))

    for page in PAGES:
        assert client.get(f"/admin/{page}/").url.startswith("/admin/login/")
        assert client.get(shop.detail_of(page)).url.startswith("/admin/login/")


def test_nobody_edits_not_even_a_superuser(shop: Shop, admin_user: User, browser: Any) -> None:
    client = browser(admin_user)
    before = OutboxEvent.objects.count()

    for page in PAGES:
        detail = shop.detail_of(page)
        assert client.get(f"/admin/{page}/add/").status_code == 403
        assert client.post(f"/admin/{page}/add/", {"name": "x"}).status_code == 403
        assert client.post(detail, {"name": "x"}).status_code == 403
        assert client.post(detail.replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in client.get(f"/admin/{page}/").text
        assert 'name="_save"' not in client.get(detail).text

    assert OutboxEvent.objects.count() == before


def test_the_index_is_named_for_people(shop: Shop, admin_user: User, browser: Any) -> None:
    page = browser(admin_user).get("/admin/").text

    assert "Order service" in page
    assert '<a href="/">View site</a>' in page
    assert "Outbox (event log)" in page
    assert "Europe/Madrid" in page


def test_no_page_of_the_queue_or_of_token_digests_is_registered() -> None:
    apps = {model._meta.app_label for model in admin.site._registry}

    assert apps == {"ordering_read", "ordering_write", "accounts", "auth"}


# --- What they show ----------------------------------------------------------------------------
def test_an_order_tells_its_lines_and_its_events_in_order(
    shop: Shop, auditor: User, clerk: User, browser: Any
) -> None:
    kit.dispatch(
        kit.move(
            shop.order, OrderStatus.CONFIRMED, reason="Paid", channel="admin", user_id=clerk.pk
        )
    )
    kit.dispatch(kit.cancel(shop.order, "Broken"))
    project()

    text = text_of(browser(auditor), shop.detail_of(ORDERS))

    told = [
        "LAMP-1 Desk lamp 2",
        "2 cancelled 19.90 EUR 39.80 EUR",
        "placed the order for Robin Sample",
        "added 2 × Desk lamp at 19.90 EUR",
        f"user {clerk.pk} confirmed the order: Paid",
        "cancelled the order: Broken",
    ]
    places = [text.index(sentence) for sentence in told]
    assert places == sorted(places)
    assert "1 Mar 2026, 13:00:00 CET" in text


def test_every_kind_of_event_is_told(shop: Shop, clerk: User, auditor: User, browser: Any) -> None:
    order = shop.place(
        tags=["gift"],
        note="Ring twice",
        adjustments=[{"kind": "shipping", "label": "Parcel", "amount": "4.90"}],
    )
    for step in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        kit.dispatch(kit.move(order, step))
    project()
    address = f"/admin/{ORDERS}/{order.pk}/change/"

    text = text_of(browser(clerk), address)

    for sentence in (
        "added 4.90 EUR: Parcel",
        "added the tag gift",
        "noted: Ring twice",
        "packed 2 × Desk lamp",
        "shipped 2 × Desk lamp",
        "recorded that 2 × Desk lamp arrived",
    ):
        assert sentence in text
    assert "noted: ***" in text_of(browser(auditor), address)


def test_personal_data_are_for_who_may_see_them(
    shop: Shop, clerk: User, warehouse: User, auditor: User, browser: Any
) -> None:
    order, customer = shop.detail_of(ORDERS), shop.detail_of(CUSTOMERS)
    street, email = "1 Example Street", shop.customer.email

    assert street in text_of(browser(clerk), order)
    assert street in text_of(browser(warehouse), order)
    assert street not in text_of(browser(auditor), order)
    assert "Sampleton, ES" in text_of(browser(auditor), order)
    assert email in text_of(browser(clerk), customer)
    assert email in shown(browser(clerk), CUSTOMERS)
    assert email not in text_of(browser(auditor), customer)
    assert email not in shown(browser(auditor), CUSTOMERS)
    assert "0 customers" in shown(browser(auditor), CUSTOMERS, f"?q={email}")
    assert "1 customer" in shown(browser(clerk), CUSTOMERS, f"?q={email}")


def test_the_log_keeps_personal_data_to_itself(shop: Shop, auditor: User, browser: Any) -> None:
    text = text_of(browser(auditor), shop.detail_of(OUTBOX))

    assert "stored outside the log" in text
    assert "Example Street" not in text
    assert shop.customer.email not in text


def test_the_outbox_says_whether_positioned_and_passed_by_whom(
    shop: Shop, auditor: User, browser: Any
) -> None:
    client = browser(auditor)
    text = shown(client, OUTBOX)
    number = len(registered())
    assert text.count(f"all {number} projections") == OutboxEvent.objects.count()
    assert "not yet" not in text.partition("Filter")[0]

    shop.place()
    text = shown(client, OUTBOX).partition("Filter")[0]
    assert text.count("none yet") == text.count(f"0 of {number}, not yet") == 3

    live.run("order_view")
    text = shown(client, OUTBOX).partition("Filter")[0]
    assert "none yet" not in text
    assert "order_view" not in text
    behind = f"1 of {number}, not yet customer_stats, customer_view, fulfilment_queue"
    assert text.count(behind) == 3


def test_an_order_keeps_its_address_when_its_rows_are_rebuilt(
    shop: Shop, auditor: User, browser: Any
) -> None:
    key = OrderSummary.live.get().pk
    address = shop.detail_of(ORDERS)

    rebuild("order_view")

    assert OrderSummary.live.get().pk != key
    assert address in browser(auditor).get(f"/admin/{ORDERS}/").text
    assert shop.order.order_number in text_of(browser(auditor), address)


def test_projections_show_how_far_they_are(shop: Shop, auditor: User, browser: Any) -> None:
    head = OutboxEvent.objects.count()
    assert f"order_view 1 live {head} {head} 0 0.0 0 " in shown(browser(auditor), PROJECTIONS)

    shop.place()
    Projection.objects.filter(name="order_view").update(error="Boom\nat line 1")

    assert re.search(
        rf"order_view 1 failed {head} {head + 3} 3 \d+\.\d 0 - Boom ",
        shown(browser(auditor), PROJECTIONS),
    )
    assert "at line 1" in text_of(browser(auditor), shop.detail_of(PROJECTIONS))


def test_stock_shows_for_which_orders_it_is_set_aside(
    shop: Shop, auditor: User, browser: Any
) -> None:
    text = text_of(browser(auditor), shop.detail_of(STOCK))

    assert f"2 for {shop.order.order_number}" in text


# --- Searching ---------------------------------------------------------------------------------
def test_orders_are_found(shop: Shop, auditor: User, browser: Any) -> None:
    client = browser(auditor)
    order = shop.order

    for term in ("robin sam", "LAMP-1", "lamp desk", order.pk, order.customer_id):
        assert "1 order " in shown(client, ORDERS, f"?q={term}"), term
    for term in ("obin", str(order.pk.int), "%", "1999-000001", "x" * 201):
        assert "0 orders" in shown(client, ORDERS, f"?q={term}"), term
    assert "1 order " in shown(client, ORDERS, "?status__exact=pending")
    assert "0 orders" in shown(client, ORDERS, "?status__exact=shipped")
    assert "1 order " in shown(client, ORDERS, f"?customer_id={order.customer_id}")


def test_the_number_of_an_order_opens_it(shop: Shop, auditor: User, browser: Any) -> None:
    answer = browser(auditor).get(f"/admin/{ORDERS}/?q={shop.order.order_number}")

    assert (answer.status_code, answer["Location"]) == (302, shop.detail_of(ORDERS))


def test_products_are_found(shop: Shop, auditor: User, browser: Any) -> None:
    client = browser(auditor)

    for term in ("lamp", "DESK", shop.product.pk):
        assert "1 inventory level " in shown(client, INVENTORY, f"?q={term}"), term
    assert "0 inventory levels" in shown(client, INVENTORY, "?availability=low")
    assert "1 stock item " in shown(client, STOCK, "?q=LAMP")


def test_events_and_commands_are_found(shop: Shop, auditor: User, browser: Any) -> None:
    client = browser(auditor)
    event = OutboxEvent.objects.filter(stream=shop.order.stream).earliest("version")

    for term, count in (
        (shop.order.order_number, "2 Outbox"),
        (shop.order.stream, "2 Outbox"),
        (shop.order.pk, "2 Outbox"),
        (event.command_id, "3 Outbox"),
        (event.event_id, "1 event"),
        (event.place.position, "1 event"),
        ("9" * 30, "0 Outbox"),
    ):
        assert count in shown(client, OUTBOX, f"?q={term}"), term
    assert "1 event" in shown(client, OUTBOX, "?type=OrderCreated")
    assert "0 Outbox" in shown(client, OUTBOX, "?progress=waiting")
    assert "0 Outbox" in shown(client, OUTBOX, "?progress=order_view")
    for term in (shop.order.order_number, event.command_id):
        assert "1 command record " in shown(client, COMMANDS, f"?q={term}"), term


@pytest.mark.parametrize(
    ("model", "field", "index"),
    [
        (CustomerSummary, "name", "customer_view_by_name"),
        (CustomerSummary, "email", "customer_view_by_email"),
        (InventoryLevel, "sku", "inventory_level_by_sku"),
        (InventoryLevel, "name", "inventory_level_by_name"),
    ],
)
def test_a_search_by_the_beginning_is_a_look_into_an_index(
    model: Any, field: str, index: str, shop: Shop
) -> None:
    copy_many(model.live.get())

    plan = starting_with(model.live.all(), "17", field).explain()

    assert index in plan
    assert re.search(r"Index Cond: .*>= '17'", plan)


def copy_many(row: ReadModel) -> None:
    """Rows like this one, with names of their own."""
    fields = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    named = {"order_number", "customer_name", "sku", "name", "email"} & set(fields)
    ids = {"order_id", "customer_id", "product_id"} & set(fields)
    with writing():
        type(row).objects.bulk_create(
            type(row)(
                **fields
                | {field: uuid4() for field in ids}
                | {field: f"{number}-{field}" for field in named}
            )
            for number in range(3000)
        )
    with connections["read"].cursor() as cursor:
        cursor.execute(f"ANALYZE {row._meta.db_table}")


# --- What they cost ----------------------------------------------------------------------------
def cost(client: Client, address: str) -> list[str]:
    # The banner looks once in some seconds; which page that hits is not the point here.
    cache.set("projection_warnings", [])
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        assert client.get(address).status_code == 200
    return [query["sql"] for query in (*write, *read)]


def test_the_list_of_orders_shows_where_each_is(admin_client: Client, shop: Shop) -> None:
    page = admin_client.get(f"/admin/{ORDERS}/").text
    for label, text in (
        ("Status", "pending"),
        ("Payment", "unpaid"),
        ("Fulfilment", "unfulfilled"),
    ):
        assert re.search(rf'<span class="badge badge-\w+" title="{label}">{text}</span>', page)
    assert re.search(r'<td class="field-placed">\d+ \w{3} \d{4}, \d\d:\d\d</td>', page)


@pytest.mark.parametrize("page", PAGES)
def test_a_long_list_costs_no_more_queries_than_a_short_one(
    page: str, shop: Shop, admin_user: User, browser: Any
) -> None:
    client = browser(admin_user)
    cost(client, f"/admin/{page}/")
    short = cost(client, f"/admin/{page}/")
    for _ in range(5):
        shop.place()
    kit.registered_customer()
    kit.registered_product()
    project()

    assert len(cost(client, f"/admin/{page}/")) == len(short) <= 10


def test_an_order_costs_the_same_queries_whatever_its_length(
    shop: Shop, admin_user: User, browser: Any
) -> None:
    client = browser(admin_user)
    long = shop.place(lines=20)
    project()
    # What Django remembers, such as the ids of content types, it reads now.
    cost(client, f"/admin/{ORDERS}/{shop.order.pk}/change/")

    costs = [
        len(cost(client, f"/admin/{ORDERS}/{order.pk}/change/")) for order in (shop.order, long)
    ]

    assert costs[0] == costs[1] <= 7


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("query", ["", "?_facets=True", "?q=sample"])
def test_no_list_counts_all_of_its_table(
    page: str, query: str, shop: Shop, admin_user: User, browser: Any
) -> None:
    table = apps.get_model(page.replace("/", "."))._meta.db_table
    queries = cost(browser(admin_user), f"/admin/{page}/{query}")
    counts = [sql for sql in queries if "COUNT(" in sql.upper() and f'FROM "{table}"' in sql]

    assert counts
    assert [sql for sql in counts if "LIMIT 10001" not in sql] == []


# --- Accounts ----------------------------------------------------------------------------------
def test_tokens_are_revoked_on_the_page_of_users(
    admin_user: User, clerk: User, integration: User, browser: Any
) -> None:
    AuthToken.objects.create(user=clerk)
    AuthToken.objects.create(user=integration)
    client = browser(admin_user)
    digest = AuthToken.objects.filter(user=integration).get().digest
    assert digest not in client.get("/admin/accounts/user/").text

    client.post(
        "/admin/accounts/user/", {"action": "revoke_tokens", "_selected_action": [integration.pk]}
    )

    assert [token.user for token in AuthToken.objects.all()] == [clerk]
