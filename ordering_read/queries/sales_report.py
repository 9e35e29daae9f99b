"""The query for the report of a period: sums, comparison and taxes, in one currency."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self

from django.db.models import Case, DateField, QuerySet, Sum, When
from django.db.models.functions import Trunc
from pydantic import Field, model_validator

from ordering_read.fields import CurrencyAmount, CurrencyCode
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.base import Answer, Query, QueryHandler, handles
from ordering_read.queries.lists import shop_wide
from ordering_read.queries.reports import Group, SalesSumsView
from ordering_read.queries.views import View

_Sums = dict[str, Any]


class PeriodSalesView(SalesSumsView):
    """The sums of a day, a week or a month; ``day`` is its first day, even before the report."""

    day: date


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

    ``periods`` has each day, week or month of the period, the oldest first.
    """

    currency: CurrencyCode
    sums: SalesSumsView
    sums_before: SalesSumsView
    periods: tuple[PeriodSalesView, ...]
    taxes: tuple[TaxSumView, ...]


class PeriodQuery(Query[Answer]):
    """The base class of queries about the sales of a period, in one currency.

    The period is from ``first_day`` to ``last_day``, both included.
    """

    first_day: date
    last_day: date
    currency: CurrencyCode

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


class GetSalesReport(PeriodQuery[SalesReportView]):
    """Report the sums of a period, of its days, weeks or months, and of the period before it."""

    group: Group = "day"


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
    """Reads the sums and the taxes by a statement each."""

    def handle(self, query: GetSalesReport) -> SalesReportView:
        sums, sums_before = _sums_by_day(query)
        fields = {
            "currency": query.currency,
            "sums": _total(sums.values()),
            "sums_before": _total(sums_before),
            "periods": [{"day": day, **sums.get(day, _NOTHING)} for day in _periods(query)],
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
