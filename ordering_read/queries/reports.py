"""The questions how much was sold, and how many orders are where."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, QuerySet

from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.status_counter import StatusCounter
from ordering_read.queries.base import (
    Item,
    ListQuery,
    Page,
    Query,
    QueryHandler,
    Row,
    View,
    shop_wide,
)
from ordering_write.published import OrderStatus, quantize


class SalesByDayView(View):
    """What was sold on a day of the store, in one currency.

    `cancelled` are the totals of the orders cancelled on that day, whenever they were placed;
    `net` is `gross` less that.
    """

    day: date
    currency: str
    orders: int
    units: int
    gross: Decimal
    cancelled: Decimal
    net: Decimal


class SalesByProductView(View):
    """What was ordered of a product on a day of the store, in one currency."""

    day: date
    product_id: UUID
    sku: str
    name: str
    currency: str
    units: int
    gross: Decimal


class StatusCountsView(View):
    """How many orders are in each status."""

    status: dict[OrderStatus, int]


class SalesQuery(ListQuery[Item]):
    """A question about the days from ``first_day`` to ``last_day``, both included."""

    first_day: date | None = None
    last_day: date | None = None
    currency: str | None = None

    def chosen(self, rows: "QuerySet[Row]") -> "QuerySet[Row]":
        """Those of ``rows`` that were asked for."""
        if self.first_day is not None:
            rows = rows.filter(day__gte=self.first_day)
        if self.last_day is not None:
            rows = rows.filter(day__lte=self.last_day)
        if self.currency is not None:
            rows = rows.filter(currency=self.currency)
        return shop_wide(self, rows)


class GetSalesByDay(SalesQuery[SalesByDayView]):
    """What was sold day by day, newest first."""


class GetSalesByProduct(SalesQuery[SalesByProductView]):
    """What was sold day by day of each product, newest first; perhaps of one product only."""

    product: UUID | None = None


class GetStatusCounts(Query[StatusCountsView]):
    """How many orders are in each status."""


class GetSalesByDayHandler(QueryHandler[GetSalesByDay, Page[SalesByDayView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetSalesByDay) -> Page[SalesByDayView]:
        rows = query.chosen(SalesByDay.live.order_by("-day", "currency"))
        return query.page_of(rows, _day_view)


class GetSalesByProductHandler(QueryHandler[GetSalesByProduct, Page[SalesByProductView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetSalesByProduct) -> Page[SalesByProductView]:
        rows = query.chosen(SalesByProduct.live.order_by("-day", "sku", "product_id", "currency"))
        if query.product is not None:
            rows = rows.filter(product_id=query.product)
        return query.page_of(rows, _product_view)


class GetStatusCountsHandler(QueryHandler[GetStatusCounts, StatusCountsView]):
    """Reads the counters; counts the orders when they are one customer's. One statement."""

    def handle(self, query: GetStatusCounts) -> StatusCountsView:
        if query.customer_scope is None:
            counters = StatusCounter.live.filter(facet=StatusCounter.Facet.STATUS)
            counts = dict(counters.values_list("value", "count"))
        else:
            own = OrderSummary.live.filter(customer_id=query.customer_scope)
            counts = dict(own.values_list("status").annotate(Count("key")))
        return StatusCountsView(status={status: counts.get(status, 0) for status in OrderStatus})


def _day_view(row: SalesByDay) -> SalesByDayView:
    return SalesByDayView(
        day=row.day,
        currency=row.currency,
        orders=row.orders,
        units=row.units,
        gross=quantize(row.gross, row.currency),
        cancelled=quantize(row.cancelled, row.currency),
        net=quantize(row.net, row.currency),
    )


def _product_view(row: SalesByProduct) -> SalesByProductView:
    return SalesByProductView(
        day=row.day,
        product_id=row.product_id,
        sku=row.sku,
        name=row.name,
        currency=row.currency,
        units=row.units,
        gross=quantize(row.gross, row.currency),
    )
