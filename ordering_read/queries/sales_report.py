"""The query for the report of a period: sums, comparison, products and taxes, in one currency."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self

from django.db.models import Case, DateField, Max, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce, Trunc
from pydantic import Field, model_validator

from ordering_read.fields import CurrencyAmount, CurrencyCode, ProductId, ProductName, Sku
from ordering_read.models import InventoryLevel
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.lists import shop_wide
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
    all that were sold in the period or in the one before, the worst first.
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
    """Reads sums, products, their names and taxes in one statement each, and the worst of many."""

    def handle(self, query: GetSalesReport) -> SalesReportView:
        sums, sums_before = _sums_by_day(query)
        products = _products(query)
        shown = list(products.order_by("-gross_now", "-units_now", "sku_now")[: MOST_PRODUCTS + 1])
        worst = list(_worst(products, shown))
        _set_present_names([*shown, *worst])
        fields = {
            "currency": query.currency,
            "sums": _total(sums.values()),
            "sums_before": _total(sums_before),
            "periods": [{"day": day, **sums.get(day, _NOTHING)} for day in _periods(query)],
            "products": [_product(row) for row in shown[:MOST_PRODUCTS]],
            "has_more_products": len(shown) > MOST_PRODUCTS,
            "worst": [_product(row) for row in worst],
            "taxes": list(_taxes(query)),
        }
        return SalesReportView.model_validate(fields, context=query.currency)


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


_PRODUCT_SUMS = ("units", "cancelled_units", "returned_units", "gross", "refunded")


def _products(query: GetSalesReport) -> QuerySet[Any]:
    """Return the products of both periods, with their sums and the names they were sold by.

    Their present names are looked up for the products that are shown: a shop may have many more.
    """
    now, before = Q(day__gte=query.first_day), Q(day__lt=query.first_day)
    zero = Decimal(0)
    sums = {f"{name}_now": Coalesce(Sum(name, filter=now), zero) for name in ("gross", "refunded")}
    units = {
        f"{name}_now": Coalesce(Sum(name, filter=now), 0)
        for name in _PRODUCT_SUMS
        if name not in ("gross", "refunded")
    }
    names = {f"{column}_now": Max(column) for column in ("sku", "name")}
    rows = query.rows(SalesByProduct).values("product_id")
    return rows.annotate(
        **sums,
        **units,
        **names,
        units_before=Coalesce(Sum("units", filter=before), 0),
        gross_before=Coalesce(Sum("gross", filter=before), zero),
    ).exclude(units_now=0, units_before=0, gross_now=0, cancelled_units_now=0, returned_units_now=0)


def _worst(products: QuerySet[Any], shown: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Return the worst sellers of ``products``, of which ``shown`` are the best sellers."""
    if len(shown) > MOST_PRODUCTS:
        return products.order_by("units_now", "gross_now", "-units_before", "sku_now")[
            :FEW_PRODUCTS
        ]
    return sorted(
        shown,
        key=lambda row: (row["units_now"], row["gross_now"], -row["units_before"], row["sku_now"]),
    )[:FEW_PRODUCTS]


def _set_present_names(rows: Sequence[dict[str, Any]]) -> None:
    """Give ``rows`` the names that their products have now, by one statement."""
    ids = {row["product_id"] for row in rows}
    products = InventoryLevel.live.filter(product_id__in=ids)
    names = {
        key: (sku, name) for key, sku, name in products.values_list("product_id", "sku", "name")
    }
    for row in rows:
        unchanged = row["sku_now"], row["name_now"]
        row["sku_now"], row["name_now"] = names.get(row["product_id"], unchanged)


def _product(row: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_now"): value for name, value in row.items()}


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
