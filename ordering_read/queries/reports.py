"""Queries for sales, and for the number of orders in each state."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Count, DateField, Sum
from django.db.models.functions import Trunc
from pydantic import Field, ValidationInfo, field_validator

from ordering_read.fields import CurrencyAmount, CurrencyCode, ProductId, ProductName, Sku
from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct, with_names
from ordering_read.models.status_counter import StatusCounter
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import Day, where
from ordering_read.queries.lists import ListQuery, shop_wide
from ordering_read.queries.views import Item, Page, View
from ordering_write.published import Currency, OrderStatus
from ordering_write.published import events as e

Group = Literal["day", "week", "month"]

# The columns by which orders are counted, each with all its values.
FACETS: Mapping[str, type[StrEnum]] = {
    StatusCounter.Facet.STATUS: OrderStatus,
    StatusCounter.Facet.PAYMENT_STATUS: e.PaymentStatus,
    StatusCounter.Facet.FULFILMENT_STATUS: e.FulfilmentStatus,
    StatusCounter.Facet.RETURN_STATUS: e.ReturnStatus,
}


class SalesSumsView(View):
    """The sums of some days (see SalesByDayView)."""

    orders: int
    units: int
    gross: CurrencyAmount
    cancelled: CurrencyAmount
    refunded: CurrencyAmount
    net: CurrencyAmount
    discount: CurrencyAmount
    tax: CurrencyAmount
    goodwill: CurrencyAmount
    captured: CurrencyAmount
    charged_back: CurrencyAmount
    paid_back: CurrencyAmount


class _DayInCurrency(View):
    day: date
    currency: CurrencyCode


# The fields of the last base come first.
class SalesByDayView(SalesSumsView, _DayInCurrency):
    """The sales and payments of a day of the store, in one currency.

    `gross` is the amount that customers ordered on the day, with shipping, taxes and discounts.
    `cancelled` is the amount that was cancelled on the day, `refunded` the amount that was
    returned, not delivered or given as goodwill on the day, also for orders of earlier days.
    `net` is `gross` minus `cancelled` and `refunded`: the change of what customers have to pay.
    `discount` and `tax` are the discounts and taxes in `net`, `goodwill` is a part of `refunded`.
    `captured`, `charged_back` and `paid_back` are the payments, chargebacks and refunds of the day.
    All `net` amounts are what was captured, minus what was charged or paid back, plus what is owed.
    """


class SalesByProductView(View):
    """The sales of a product on a day of the store, in one currency.

    `units` and `gross` are orders of the day. `cancelled_units` are cancellations of the day,
    `returned_units` and `refunded` are returns and failed deliveries of the day, also for orders of
    earlier days. `gross` is before discounts and taxes; `refunded` is credited, after them.
    """

    day: date
    product_id: ProductId
    sku: Sku = Field(validation_alias="shown_sku")
    name: ProductName = Field(validation_alias="shown_name")
    currency: CurrencyCode
    units: int
    cancelled_units: int
    returned_units: int
    gross: CurrencyAmount
    refunded: CurrencyAmount


class TaxByDayView(View):
    """The change of a tax in what customers have to pay, on a day of the store, in one currency.

    `base` is the price without taxes that the tax is on. What was cancelled or returned on the day
    is subtracted, also for orders of earlier days. Prices contain a tax that is `included`.
    """

    day: date
    currency: CurrencyCode
    jurisdiction: Annotated[str, Field(examples=["ES"])]
    label: Annotated[str, Field(examples=["IVA 21 %"])]
    rate: Decimal | None = Field(validation_alias="shown_rate")
    included: bool = Field(validation_alias="is_included")
    base: CurrencyAmount
    amount: CurrencyAmount


class StatusCountsView(View):
    """The number of orders with each value of each facet.

    An order on hold has the fulfilment status `on_hold`.
    """

    status: dict[OrderStatus, int]
    payment_status: dict[e.PaymentStatus, int]
    fulfilment_status: dict[e.FulfilmentStatus, int]
    return_status: dict[e.ReturnStatus, int]


class SalesQuery(ListQuery[Item]):
    """The base class of the queries for sales from ``first_day`` to ``last_day``, both included."""

    first_day: Annotated[Day | None, where("day__gte")] = Field(
        None, validation_alias="from", description="The first day, in the store's zone."
    )
    last_day: Annotated[Day | None, where("day__lte")] = Field(
        None, validation_alias="to", description="The last day, which is included."
    )
    currency: Annotated[Currency | None, where("currency")] = Field(
        None, description="An ISO 4217 code."
    )

    @field_validator("last_day")
    @classmethod
    def _not_before_the_first(cls, last: date | None, info: ValidationInfo) -> date | None:
        first = info.data.get("first_day")
        if first and last and last < first:
            raise ValueError(f"{last} is before {first}")
        return last


class GetSalesByDay(SalesQuery[SalesByDayView]):
    """List the sales by day, newest first, or by week or month.

    `day` is then the first day of the week or month, even if the period begins later.
    """

    group: Group = Field(
        "day",
        description="The days that a row sums up; `day` is the first day of a week or month. Weeks "
        "and months have no cursors.",
    )

    @field_validator("group")
    @classmethod
    def _without_cursor(cls, group: Group, info: ValidationInfo) -> Group:
        if group != "day" and info.data.get("cursor") is not None:
            raise ValueError("weeks and months are chosen by page, not by cursor")
        return group


class GetSalesByProduct(SalesQuery[SalesByProductView]):
    """List the sales of each product by day, newest first."""

    product: Annotated[UUID | None, where("product_id")] = Field(
        None, description="Sales of this product only."
    )


class GetTaxesByDay(SalesQuery[TaxByDayView]):
    """List the taxes by day, newest first."""


class GetStatusCounts(Query[StatusCountsView]):
    """Count the orders with each value of each facet."""


@handles(GetSalesByDay)
class GetSalesByDayHandler(QueryHandler[GetSalesByDay, Page[SalesByDayView]]):
    """Reads a page of days, or all weeks or months and selects the page, in one statement."""

    def handle(self, query: GetSalesByDay) -> Page[SalesByDayView]:
        if query.group == "day":
            rows = query.select(shop_wide(query, SalesByDay.live.order_by("-day", "currency")))
            return query.page_of(rows, SalesByDayView.of_row)
        periods = [SalesByDayView.of_row(row) for row in _periods(query)]
        start = (query.page - 1) * query.page_size
        return Page(
            items=tuple(periods[start : start + query.page_size]),
            count=len(periods),
            capped=False,
            page=query.page,
            page_size=query.page_size,
        )


@handles(GetSalesByProduct)
class GetSalesByProductHandler(QueryHandler[GetSalesByProduct, Page[SalesByProductView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetSalesByProduct) -> Page[SalesByProductView]:
        sales = with_names(SalesByProduct.live.order_by("-day", "sku", "product_id", "currency"))
        return query.page_of(query.select(shop_wide(query, sales)), SalesByProductView.of_row)


@handles(GetTaxesByDay)
class GetTaxesByDayHandler(QueryHandler[GetTaxesByDay, Page[TaxByDayView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetTaxesByDay) -> Page[TaxByDayView]:
        rows = TaxByDay.live.order_by(
            "-day", "currency", "jurisdiction", "label", "rate", "is_included"
        )
        return query.page_of(query.select(shop_wide(query, rows)), TaxByDayView.of_row)


@handles(GetStatusCounts)
class GetStatusCountsHandler(QueryHandler[GetStatusCounts, StatusCountsView]):
    """Reads the counters, or counts the orders of a customer, in one statement."""

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
        orders = OrderSummary.live.filter(customer_id=customer_id)
        counts = Counter[tuple[str, str]]()
        for *values, count in orders.values_list(*FACETS).annotate(Count("key")):
            for facet, value in zip(FACETS, values, strict=True):
                counts[facet, value] += count
        return counts


def _periods(query: GetSalesByDay) -> Iterator[SalesByDay]:
    """Yield a row per week or month and currency, newest first, with the sums of its days."""
    columns = SalesByDay.merged_columns()
    sums = {f"sum_{name}": Sum(name) for name in columns}
    first = Trunc("day", query.group, output_field=DateField())
    sales = query.select(shop_wide(query, SalesByDay.live.all()))
    rows: Any = sales.values("currency", first=first).annotate(**sums)
    for row in rows.order_by("-first", "currency"):
        values = {name: row[f"sum_{name}"] for name in columns}
        yield SalesByDay(day=row["first"], currency=row["currency"], **values)
