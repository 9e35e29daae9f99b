"""The lists that can be exported, each with the columns of its file.

The columns are the fields of the API's views, so that their names never follow a label.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import QuerySet

from config import shop_apps
from config.fields.names import calling_module, check_name, taken
from ordering_read import permissions
from ordering_read.exports.views import (
    CommandRow,
    CustomerStatsRow,
    EventRow,
    OrderLineRow,
    OrderRow,
    RefusalRow,
    StatusCountRow,
    StockMovementRow,
    TimelineRow,
)
from ordering_read.models import CustomerSummary, InventoryLevel, OrderLine, OrderSummary, ReadModel
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.models.inventory import with_oldest_reservation
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.status_counter import StatusCounter
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries import View
from ordering_read.queries.customers import CustomerView
from ordering_read.queries.fulfilment import QueuedOrderView, queued_order_view
from ordering_read.queries.inventory import ProductView
from ordering_read.queries.order_lists import DOCUMENTS
from ordering_read.queries.reports import SalesByDayView, SalesByProductView, TaxByDayView
from ordering_read.queries.timeline import masked_sentence

Rows = QuerySet[Any]

# Orders whose lines are read by one statement.
_ORDERS_AT_ONCE = 500


# --- Lists -------------------------------------------------------------------------------------
def _batches(rows: Rows) -> Iterator[list[Any]]:
    remaining = iter(rows.iterator(chunk_size=_ORDERS_AT_ONCE))
    while batch := list(islice(remaining, _ORDERS_AT_ONCE)):
        yield batch


def _lines(orders: Rows) -> Iterator[OrderLine]:
    """Yield the lines of ``orders``, each with the columns of its order."""
    for batch in _batches(orders):
        by_order = {order.order_id: order for order in batch}
        lines: dict[UUID, list[OrderLine]] = {order_id: [] for order_id in by_order}
        projection_id = batch[0].projection_id
        rows = OrderLine.objects.filter(projection_id=projection_id, order_id__in=by_order)
        for line in rows.order_by("number"):
            lines[line.order_id].append(line)
        for order_id, order in by_order.items():
            for line in lines[order_id]:
                vars(line).update(
                    order_number=order.order_number,
                    placed_at=order.created_at,
                    customer_id=order.customer_id,
                    customer_name=order.customer_name,
                    status=order.status,
                    currency=order.currency,
                )
                yield line


def _lines_of(orders: Rows) -> Rows:
    return OrderLine.live.filter(order_id__in=orders.order_by().values("order_id"))


@dataclass(frozen=True, kw_only=True)
class ExportedList:
    """A list that can be exported: the rows of ``model``, each as a ``view``.

    ``personal`` names the columns for users with VIEW_PII. ``permission`` is needed beside the
    permission of the list. ``prepare`` adds to the rows what the view needs; ``each`` yields the
    rows of the file from the rows of the list, and ``counted`` are the rows to count, where a row
    of the list has several rows in the file.
    """

    name: str
    label: str
    model: type[Any]
    view: type[View]
    make: Callable[[Any], View] | None = None
    masked: Callable[[Any], View] | None = None
    personal: frozenset[str] = frozenset()
    permission: str = permissions.EXPORT_LISTS
    also_reads: tuple[str, ...] = ()
    prepare: Callable[[Rows], Rows] = field(default=lambda rows: rows)
    each: Callable[[Rows], Iterator[Any]] = field(default=lambda rows: rows.iterator(500))
    counted: Callable[[Rows], Rows] = field(default=lambda rows: rows)

    def columns(self, *, with_personal: bool) -> list[str]:
        """Return the names of the fields that the user may see."""
        names = self.view.model_fields
        return [name for name in names if with_personal or name not in self.personal]

    def views(self, rows: Rows, *, with_personal: bool) -> Iterator[View]:
        """Yield the rows of the file, from the ``rows`` of the list."""
        make = self.make or self.view.of_row
        if not with_personal and self.masked:
            make = self.masked
        for row in self.each(self.prepare(rows)):
            yield make(row)

    @property
    def projections(self) -> tuple[str, ...]:
        """The names of the projections that the rows are made by; none for the log itself."""
        if not issubclass(self.model, ReadModel):
            return ()
        return (self.model.projection_name, *self.also_reads)


def _without_documents(orders: Rows) -> Rows:
    return orders.defer(*DOCUMENTS)


def _masked_entry(row: TimelineEntry) -> View:
    return TimelineRow.of_row(row, sentence=masked_sentence(row.type, row.sentence, row.actor))


def _of_log(name: str, label: str, model: str, view: type[View]) -> ExportedList:
    """Return a list of the write side, whose actors may have the names of customers."""
    return ExportedList(
        name=name,
        label=label,
        model=apps.get_model("ordering_write", model),
        view=view,
        personal=frozenset({"actor"}),
    )


_lists: dict[str, ExportedList] = {}


def register(exported: ExportedList) -> None:
    """Let a list be exported, under its name and with its columns.

    Raises RegistrationError for a name that is taken or breaks the rule of ``check_name``.
    """
    module = calling_module()
    check_name("export", exported.name, module=module)
    if exported.name in _lists:
        raise taken("export", exported.name, _lists[exported.name].view.__module__, module)
    _lists[exported.name] = exported


def all_lists() -> Mapping[str, ExportedList]:
    """Return the lists by name, ours and those in the modules ``exports`` of shops' apps."""
    shop_apps.load("exports")
    return _lists


def lists_of(model: type[Any]) -> list[ExportedList]:
    """Return the exports of the list of ``model``; several where a row can have several rows."""
    return [exported for exported in all_lists().values() if exported.model is model]


_WAREHOUSE = permissions.VIEW_STOCK_LEVELS
for _exported in (
    ExportedList(
        name="orders",
        label="one row per order",
        model=OrderSummary,
        view=OrderRow,
        personal=frozenset({"metadata"}),
        prepare=_without_documents,
    ),
    ExportedList(
        name="order-lines",
        label="one row per line",
        model=OrderSummary,
        view=OrderLineRow,
        prepare=_without_documents,
        each=_lines,
        counted=_lines_of,
    ),
    ExportedList(
        name="customers",
        label="customers",
        model=CustomerSummary,
        view=CustomerView,
        personal=frozenset({"email", "phone", "metadata"}),
    ),
    ExportedList(
        name="customer-statistics",
        label="customers",
        model=CustomerStats,
        view=CustomerStatsRow,
    ),
    ExportedList(
        name="stock",
        label="products",
        model=InventoryLevel,
        view=ProductView,
        permission=_WAREHOUSE,
        prepare=with_oldest_reservation,
    ),
    ExportedList(
        name="stock-movements",
        label="movements",
        model=StockMovement,
        view=StockMovementRow,
        permission=_WAREHOUSE,
    ),
    ExportedList(
        name="fulfilment-queue",
        label="orders",
        model=QueuedOrder,
        view=QueuedOrderView,
        make=queued_order_view,
        permission=_WAREHOUSE,
        also_reads=(InventoryLevel.projection_name,),
    ),
    ExportedList(
        name="timeline",
        label="events",
        model=TimelineEntry,
        view=TimelineRow,
        masked=_masked_entry,
    ),
    ExportedList(name="sales-by-day", label="days", model=SalesByDay, view=SalesByDayView),
    ExportedList(
        name="sales-by-product",
        label="days",
        model=SalesByProduct,
        view=SalesByProductView,
        also_reads=(InventoryLevel.projection_name,),
    ),
    ExportedList(name="taxes-by-day", label="days", model=TaxByDay, view=TaxByDayView),
    ExportedList(name="orders-by-status", label="counts", model=StatusCounter, view=StatusCountRow),
    _of_log("commands", "commands", "CommandRecord", CommandRow),
    _of_log("refused-commands", "commands", "CommandRefusal", RefusalRow),
    _of_log("events", "events", "OutboxEvent", EventRow),
):
    register(_exported)
