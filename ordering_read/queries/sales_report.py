"""The query for the report of a period: sums, comparison, products and taxes, in one currency."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from django.db.models import Case, DateField, QuerySet, Sum, When
from django.db.models.functions import Trunc
from pydantic import Field, model_validator

from ordering_read.fields import CurrencyAmount, CurrencyCode, ProductId, ProductName, Sku
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.lists import shop_wide
from ordering_read.queries.product_sales import ProductSales
from ordering_read.queries.reports import Group, SalesSumsView
from ordering_read.queries.views import View

_Sums = dict[str, Any]
# The most products of a report; the best sellers come first.
MOST_PRODUCTS = 1_000
# The products that are called best or worst sellers.
FEW_PRODUCTS = 5


class PeriodSalesView(SalesSumsView):
    """The sums of a day, a week or a month; ``day`` is its first day, even before the report."""

    day: date


class ProductReportView(View):
    """The sales of a product in the period (see SalesByProductView), and in the period before."""

    product_id: ProductId
    sku: Sku
    name: ProductName
    units: int
    cancelled_units: int
    returned_units: int
    gross: CurrencyAmount
    refunded: CurrencyAmount
    units_before: int
    gross_before: CurrencyAmount


class TaxSumView(View):
    """The sum of a tax in the period (see TaxByDayView)."""

    jurisdiction: str
    label: str
    rate: Annotated[str, Field(examples=["21"])]
    included: bool
    base: CurrencyAmount
    amount: CurrencyAmount


class SalesReportView(View):
    """The report of a period, and the sums of the period of the same length before it.

    ``periods`` has each day, week or month of the period, the oldest first. ``products`` are sorted
    by ``gross``; there may be more than these. ``worst`` are those that sold the fewest units, of
    all that were sold in the period or in the one before, the worst first. Equal sellers are sorted
    by SKU; a limit leaves some of them out by id.
    """

    currency: CurrencyCode
    sums: SalesSumsView
    sums_before: SalesSumsView
    periods: tuple[PeriodSalesView, ...]
    products: tuple[ProductReportView, ...]
    has_more_products: bool
    worst: tuple[ProductReportView, ...]
    taxes: tuple[TaxSumView, ...]

    @property
    def best(self) -> tuple[ProductReportView, ...]:
        """The products that sold the most in the period, the best first."""
        return tuple(product for product in self.products[:FEW_PRODUCTS] if product.units)


class GetSalesReport(Query[SalesReportView]):
    """Report the sales from ``first_day`` to ``last_day``, both included, in one currency."""

    first_day: date
    last_day: date
    currency: CurrencyCode
    group: Group = "day"
    most_products: int = Field(MOST_PRODUCTS, ge=1, le=MOST_PRODUCTS)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError(f"{self.last_day} is before {self.first_day}")
        return self

    @property
    def first_day_before(self) -> date:
        """The first day of the period before, which has the same length."""
        return self.first_day - (self.last_day - self.first_day) - timedelta(days=1)

    def rows(self, model: Any) -> QuerySet[Any]:
        """Return the rows of both periods."""
        days = {"day__gte": self.first_day_before, "day__lte": self.last_day}
        return shop_wide(self, model.live.filter(currency=self.currency, **days))


class ListSalesCurrencies(Query[tuple[str, ...]]):
    """List the currencies of all sales, the one with the most orders first."""


@handles(ListSalesCurrencies)
class ListSalesCurrenciesHandler(QueryHandler[ListSalesCurrencies, tuple[str, ...]]):
    """Reads the days of all sales, in one statement; there are few."""

    def handle(self, query: ListSalesCurrencies) -> tuple[str, ...]:
        rows = shop_wide(query, SalesByDay.live.all()).values("currency")
        orders = rows.annotate(placed=Sum("orders")).order_by("-placed", "currency")
        return tuple(orders.values_list("currency", flat=True))


@handles(GetSalesReport)
class GetSalesReportHandler(QueryHandler[GetSalesReport, SalesReportView]):
    """Reads sums, taxes, the ranking of the products, their sums and names by a statement each."""

    def handle(self, query: GetSalesReport) -> SalesReportView:
        sums, sums_before = _sums_by_day(query)
        sales = ProductSales(query.rows(SalesByProduct), first_day=query.first_day)
        best, worst = sales.ranked(query.most_products + 1, FEW_PRODUCTS)
        shown = best[: query.most_products]
        products = sales.sums({*shown, *worst})
        fields = {
            "currency": query.currency,
            "sums": _total(sums.values()),
            "sums_before": _total(sums_before),
            "periods": [{"day": day, **sums.get(day, _NOTHING)} for day in _periods(query)],
            "products": sorted(_of(products, shown), key=_best_first),
            "has_more_products": len(best) > len(shown),
            "worst": sorted(_of(products, worst), key=_worst_first),
            "taxes": list(_taxes(query)),
        }
        return SalesReportView.model_validate(fields, context=query.currency)


def _of(products: Mapping[UUID, _Sums], ids: Iterable[UUID]) -> Iterator[_Sums]:
    # A promotion between two statements can take a product away.
    return (products[key] for key in ids if key in products)


def _best_first(product: _Sums) -> tuple[Any, ...]:
    return -product["gross"], -product["units"], product["sku"]


def _worst_first(product: _Sums) -> tuple[Any, ...]:
    return product["units"], product["gross"], -product["units_before"], product["sku"]


def _sums_by_day(query: GetSalesReport) -> tuple[dict[date, _Sums], list[_Sums]]:
    """Return the sums of each part of the period, by its first day, and those of the one before.

    Parts without sales are absent.
    """
    columns = SalesByDay.merged_columns()
    rows: Any = query.rows(SalesByDay).values(
        first=Trunc("day", query.group, output_field=DateField()),
        is_before=Case(When(day__lt=query.first_day, then=True), default=False),
    )
    sums: dict[date, _Sums] = {}
    before: list[_Sums] = []
    for row in rows.annotate(**{f"sum_{name}": Sum(name) for name in columns}):
        part = _with_net({name: row[f"sum_{name}"] for name in columns})
        if row["is_before"]:
            before.append(part)
        else:
            sums[row["first"]] = part
    return sums, before


# The sums of days without sales.
_NOTHING: _Sums = dict.fromkeys(SalesSumsView.model_fields, Decimal(0))


def _with_net(sums: _Sums) -> _Sums:
    return {**sums, "net": sums["gross"] - sums["cancelled"] - sums["refunded"]}


def _total(parts: Iterable[_Sums]) -> _Sums:
    total = _NOTHING
    for part in parts:
        total = {name: total[name] + value for name, value in part.items()}
    return total


# Days after which the next part has begun.
_STEPS: dict[Group, int] = {"day": 1, "week": 7, "month": 31}


def _periods(query: GetSalesReport) -> Iterator[date]:
    """Yield the first day of each part of the period."""
    day = _begin(query.first_day, query.group)
    while day <= query.last_day:
        yield day
        day = _begin(day + timedelta(days=_STEPS[query.group]), query.group)


def _begin(day: date, group: Group) -> date:
    if group == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if group == "month" else day


def _taxes(query: GetSalesReport) -> Iterator[dict[str, Any]]:
    rows = query.rows(TaxByDay).filter(day__gte=query.first_day)
    names = ("jurisdiction", "label", "rate", "is_included")
    sums: Any = rows.values(*names).annotate(base_sum=Sum("base"), tax_sum=Sum("amount"))
    for row in sums.order_by(*names):
        yield {
            "jurisdiction": row["jurisdiction"],
            "label": row["label"],
            "rate": row["rate"],
            "included": row["is_included"],
            "base": row["base_sum"],
            "amount": row["tax_sum"],
        }
