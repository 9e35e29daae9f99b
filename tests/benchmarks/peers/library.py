"""The same projection with the library "eventsourcing": one row per order."""

from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier


class Order(Aggregate):
    """An order with the same four events as in the other measurements."""

    @event("Created")
    def __init__(self, order_number: str, customer_id: UUID, customer_name: str) -> None:
        self.status = "pending"
        self.total = Decimal(0)

    @event("ItemAdded")
    def add_item(self, sku: str, quantity: int, line_total: Decimal, total: Decimal) -> None:
        self.total = total

    @event("Confirmed")
    def confirm(self) -> None:
        self.status = "confirmed"


class Shop(Application[UUID]):
    """The application that stores the orders."""


class OrderRows(PostgresTrackingRecorder):
    """One row per order. Each change moves the tracking in the same transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = SQL("{}.{}").format(Identifier(self.datastore.schema), Identifier("orders"))
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} (id uuid PRIMARY KEY, order_number text,"
                " customer_id uuid, customer_name text, status text, total numeric(19, 4),"
                " item_count int, unit_count int, version int)"
            ).format(self._table)
        )

    def write(self, statement: str, parameters: tuple[Any, ...], tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(SQL(statement).format(self._table), parameters, prepare=True)


class OrderProjection(Projection[OrderRows]):
    """Runs one statement per event, as the library's own examples do."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, created: Order.Created, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.write(
            "INSERT INTO {} VALUES (%s, %s, %s, %s, 'pending', 0, 0, 0, 1)",
            (
                created.originator_id,
                created.order_number,
                created.customer_id,
                created.customer_name,
            ),
            tracking,
        )

    @process_event.register
    def _(self, added: Order.ItemAdded, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.write(
            "UPDATE {} SET total = %s, item_count = item_count + 1, unit_count = unit_count + %s,"
            " version = %s WHERE id = %s",
            (added.total, added.quantity, added.originator_version, added.originator_id),
            tracking,
        )

    @process_event.register
    def _(self, confirmed: Order.Confirmed, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.write(
            "UPDATE {} SET status = 'confirmed', version = %s WHERE id = %s",
            (confirmed.originator_version, confirmed.originator_id),
            tracking,
        )


def prepare(url: str, orders: int) -> tuple[dict[str, str], int]:
    """Place ``orders`` orders in the database at ``url``; return the arguments of ``run``."""
    environ = environ_of(url)
    return environ, _place_orders(Shop(environ), orders)


def environ_of(url: str) -> dict[str, str]:
    """Return the environment by which the library reaches the database at ``url``."""
    address = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": address.path.lstrip("/"),
        "POSTGRES_HOST": address.hostname or "localhost",
        "POSTGRES_PORT": str(address.port or 5432),
        "POSTGRES_USER": unquote(address.username or ""),
        "POSTGRES_PASSWORD": unquote(address.password or ""),
    }


def run(environ: dict[str, str], last: int) -> None:
    """Apply all events, up to the notification with the number ``last``."""
    with ProjectionRunner(
        application_class=Shop,
        projection_class=OrderProjection,
        view_class=OrderRows,
        env=environ,
    ) as runner:
        runner.wait(last, timeout=600)


def _place_orders(shop: Shop, orders: int) -> int:
    """Place orders of four events, 50 a transaction; return the id of the last notification."""
    last = 0
    for start in range(0, orders, 50):
        batch = [_order(number) for number in range(start, min(start + 50, orders))]
        last = shop.save(*batch)[-1].notification.id
    shop.close()
    return last


def _order(number: int) -> Order:
    order = Order(f"2026-{number:06}", UUID(int=number), f"Robin Sample {number}")
    for line in (1, 2):
        order.add_item(f"SAMPLE-{line}", 2, Decimal("19.90"), Decimal("19.90") * line)
    order.confirm()
    return order
