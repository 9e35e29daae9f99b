"""Helpers for tests of the admin pages: URLs, a small shop, logged-in clients and page texts."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib.messages import get_messages
from django.db import connections
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from ordering_read.engine import live
from ordering_read.models import Projection, ReadModel
from ordering_read.projector import registered
from ordering_write.models import CommandRecord, Order, OutboxEvent
from tests import kit

ORDERS = "ordering_read/ordersummary"
CUSTOMERS = "ordering_read/customersummary"
INVENTORY = "ordering_read/inventorylevel"
PROJECTIONS = "ordering_read/projection"
PARKED_EVENTS = "ordering_read/parkedevent"
OUTBOX = "ordering_write/outboxevent"
COMMANDS = "ordering_write/commandrecord"
STOCK = "ordering_write/stockitem"


class Shop:
    """A customer, a product and the orders of that customer."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer(name="Robin Sample")
        self.product = kit.registered_product(on_hand=1000, sku="LAMP-1", name="Desk lamp")
        self.order = self.place()

    def place(self, *, lines: int = 1, **fields: Any) -> Order:
        return kit.placed_order(self.customer, *[(self.product, 2)] * lines, **fields)

    def url(self, page: str) -> str:
        """Return the URL of one row of the list ``page``."""
        events = OutboxEvent.objects.filter(stream=self.order.stream)
        rows: dict[str, Callable[[], Model]] = {
            ORDERS: lambda: self.order,
            CUSTOMERS: lambda: self.customer,
            INVENTORY: lambda: self.product,
            PROJECTIONS: lambda: Projection.objects.get(name="order_view"),
            OUTBOX: lambda: events.earliest("version"),
            COMMANDS: lambda: CommandRecord.objects.filter(type="CreateOrder")[0],
            STOCK: lambda: self.product,
        }
        return row_url(page, rows[page]().pk)


def projected_shop() -> Shop:
    """Return a shop whose read models are up to date."""
    shop = Shop()
    run_projections()
    return shop


def run_projections() -> None:
    live.run(*registered())


def list_url(page: str, query: str = "") -> str:
    return f"/admin/{page}/{query}"


def row_url(page: str, key: object) -> str:
    return f"/admin/{page}/{key}/change/"


def logged_in(user: User) -> Client:
    """Return a browser in which ``user`` is logged in."""
    client = Client()
    client.force_login(user)
    return client


def page_text(client: Client, url: str) -> str:
    """Return the text of a page, without its markup and navigation."""
    response = client.get(url)
    assert response.status_code == 200, url
    content = response.text.partition('id="content-start"')[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content))


def list_text(client: Client, page: str, query: str = "") -> str:
    return page_text(client, list_url(page, query))


def statements_of(act: Callable[[], object]) -> list[str]:
    """Return the SQL statements of a call, without the marks of its transactions."""
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        act()
    statements = [query["sql"] for query in (*write, *read)]
    return [statement for statement in statements if "SAVEPOINT" not in statement]


def run_action(client: Client, page: str, action: str, *rows: Model, **fields: Any) -> Any:
    """Select ``rows`` in a list, run an action on them and return the response."""
    keys = [str(row.pk) for row in rows]
    return client.post(list_url(page), {"action": action, "_selected_action": keys, **fields})


def messages_of(response: Any) -> list[str]:
    """Return the messages that the next page will show."""
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def copy_many(row: ReadModel) -> None:
    """Add 3000 copies of ``row``, each with its own ids and names."""
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    names = {"order_number", "customer_name", "sku", "name", "email"}
    ids = {"order_id", "customer_id", "product_id"}

    def value(field: Any) -> str:
        if field.attname in ids:
            return "gen_random_uuid()"
        return f"number || '-{field.attname}'" if field.attname in names else str(field.column)

    table = row._meta.db_table
    columns = ", ".join(str(field.column) for field in fields)
    with connections["read"].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {', '.join(map(value, fields))} "
            f"FROM {table}, generate_series(1, 3000) AS number WHERE {row._meta.pk.column} = %s",
            [row.pk],
        )
        cursor.execute(f"ANALYZE {table}")
