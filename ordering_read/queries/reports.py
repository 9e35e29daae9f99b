"""The questions how much was sold, and how many orders are where."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from django.db.models import Count, DateField, QuerySet, Sum
from django.db.models.functions import Trunc
from pydantic import BaseModel, ValidationInfo, field_validator

from ordering_read.fields import CurrencyCode, ProductId, ProductName, Sku
from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct, with_names
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
from ordering_write.published import events as e

Group = Literal["day", "week", "month"]

# What orders are counted by, and all values of it.
FACETS: Mapping[str, type[StrEnum]] = {
    StatusCounter.Facet.STATUS: OrderStatus,
    StatusCounter.Facet.PAYMENT_STATUS: e.PaymentStatus,
    StatusCounter.Facet.FULFILMENT_STATUS: e.FulfilmentStatus,
    StatusCounter.Facet.RETURN_STATUS: e.ReturnStatus,
}


class SalesByDayView(View):
    """What was sold on a day of the store, in one currency.

    `gross` is what was ordered on that day, shipping, taxes and discounts included. `cancelled` is
    what was cancelled on it; `refunded` is what came back, didn't arrive or was given back for
    nothing: both whenever it was ordered. `net` is `gross` less both.
    """

    day: date
    currency: CurrencyCode
    orders: int
    units: int
    gross: Decimal
    cancelled: Decimal
    refunded: Decimal
    net: Decimal


class SalesByProductView(View):
    """What was ordered of a product on a day of the store, in one currency.

    What was cancelled and what came back or didn't arrive on that day stands beside it, whenever it
    was ordered. Amounts are those of lines, before discounts and taxes.
    """

    day: date
    product_id: ProductId
    sku: Sku
    name: ProductName
    currency: CurrencyCode
    units: int
    cancelled_units: int
    returned_units: int
    gross: Decimal
    refunded: Decimal


class StatusCountsView(View):
    """How many orders there are with each value of each facet.

    Those on hold have the fulfilment status `on_hold`.
    """

    status: dict[OrderStatus, int]
    payment_status: dict[e.PaymentStatus, int]
    fulfilment_status: dict[e.FulfilmentStatus, int]
    return_status: dict[e.ReturnStatus, int]


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


class SalesGroups(BaseModel):
    """What days are added up to. Weeks and months have no cursors: there are few of them."""

    group: Group = "day"

    @field_validator("group")
    @classmethod
    def _without_cursor(cls, group: Group, info: ValidationInfo) -> Group:
        if group != "day" and info.data.get("cursor") is not None:
            raise ValueError("weeks and months are chosen by page, not by cursor")
        return group


class GetSalesByDay(SalesGroups, SalesQuery[SalesByDayView]):
    """What was sold day by day, newest first, or week by week or month by month.

    `day` is then the first one of the week or month, even when only a part of it was asked for.
    """


class GetSalesByProduct(SalesQuery[SalesByProductView]):
    """What was sold day by day of each product, newest first; perhaps of one product only."""

    product: UUID | None = None


class GetStatusCounts(Query[StatusCountsView]):
    """How many orders there are with each value of each facet."""


class GetSalesByDayHandler(QueryHandler[GetSalesByDay, Page[SalesByDayView]]):
    """Reads a page, in one statement, or all weeks or months of which a page is shown."""

    def handle(self, query: GetSalesByDay) -> Page[SalesByDayView]:
        if query.group == "day":
            rows = query.chosen(SalesByDay.live.order_by("-day", "currency"))
            return query.page_of(rows, _day_view)
        periods = [_day_view(row) for row in _summed_up(query)]
        start = (query.page - 1) * query.page_size
        return Page(
            items=tuple(periods[start : start + query.page_size]),
            count=len(periods),
            capped=False,
            page=query.page,
            page_size=query.page_size,
        )


class GetSalesByProductHandler(QueryHandler[GetSalesByProduct, Page[SalesByProductView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetSalesByProduct) -> Page[SalesByProductView]:
        sales = with_names(SalesByProduct.live.order_by("-day", "sku", "product_id", "currency"))
        rows = query.chosen(sales)
        if query.product is not None:
            rows = rows.filter(product_id=query.product)
        return query.page_of(rows, _product_view)


class GetStatusCountsHandler(QueryHandler[GetStatusCounts, StatusCountsView]):
    """Reads the counters; counts the orders when they are one customer's. One statement."""

    def handle(self, query: GetStatusCounts) -> StatusCountsView:
        if query.customer_scope is None:
            rows = StatusCounter.live.values_list("facet", "value", "count")
            counts = {(facet, value): count for facet, value, count in rows}
        else:
            counts = self._of_customer(query.customer_scope)
        return StatusCountsView.model_validate(
            {
                facet: {value: counts.get((facet, value), 0) for value in values}
                for facet, values in FACETS.items()
            }
        )

    def _of_customer(self, customer_id: UUID) -> Counter[tuple[str, str]]:
        own = OrderSummary.live.filter(customer_id=customer_id)
        counts = Counter[tuple[str, str]]()
        for *values, count in own.values_list(*FACETS).annotate(Count("key")):
            for facet, value in zip(FACETS, values, strict=True):
                counts[facet, value] += count
        return counts


def _summed_up(query: GetSalesByDay) -> Iterator[SalesByDay]:
    """A row for each week or month and currency, newest first, that adds up those of its days."""
    sums = {f"sum_{name}": Sum(name) for name in SalesByDay.merged_columns()}
    first = Trunc("day", query.group, output_field=DateField())
    rows = query.chosen(SalesByDay.live.all()).values("currency", first=first).annotate(**sums)
    for row in rows.order_by("-first", "currency"):
        added = {name: row[f"sum_{name}"] for name in SalesByDay.merged_columns()}
        yield SalesByDay(day=row["first"], currency=row["currency"], **added)


def _day_view(row: SalesByDay) -> SalesByDayView:
    return SalesByDayView(
        day=row.day,
        currency=row.currency,
        orders=row.orders,
        units=row.units,
        gross=quantize(row.gross, row.currency),
        cancelled=quantize(row.cancelled, row.currency),
        refunded=quantize(row.refunded, row.currency),
        net=quantize(row.net, row.currency),
    )


def _product_view(row: Any) -> SalesByProductView:
    return SalesByProductView(
        day=row.day,
        product_id=row.product_id,
        sku=row.shown_sku,
        name=row.shown_name,
        currency=row.currency,
        units=row.units,
        cancelled_units=row.cancelled_units,
        returned_units=row.returned_units,
        gross=quantize(row.gross, row.currency),
        refunded=quantize(row.refunded, row.currency),
    )
