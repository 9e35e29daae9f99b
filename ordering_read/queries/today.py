"""Queries for the page Today: the sales of the last days, and the last events of orders."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils.timezone import localdate
from pydantic import Field

from ordering_read.fields import CurrencyAmount, CurrencyCode
from ordering_read.models import OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.lists import shop_wide
from ordering_read.queries.timeline import TimelineEntryView, masked_sentence
from ordering_read.queries.views import View

# The days of the chart. The table compares them with as many days before.
DAYS = 28


class PeriodView(View):
    """The sales of some days: orders placed, and the net amount (see SalesByDayView)."""

    orders: int
    net: CurrencyAmount


class RecentSalesView(View):
    """The sales in one currency, and the net amount of each of the last days, the oldest first."""

    currency: CurrencyCode
    today: PeriodView
    yesterday: PeriodView
    last_7_days: PeriodView
    last_28_days: PeriodView
    days_before: PeriodView = Field(description="The 28 days before the last 28 days.")
    days: tuple[tuple[date, CurrencyAmount], ...]

    @property
    def periods(self) -> tuple[PeriodView, ...]:
        """The sums in the order of the fields."""
        return (
            self.today,
            self.yesterday,
            self.last_7_days,
            self.last_28_days,
            self.days_before,
        )


class GetRecentSales(Query[tuple[RecentSalesView, ...]]):
    """Sum up the sales of today, yesterday, and the last 7 and 28 days, by currency."""


@handles(GetRecentSales)
class GetRecentSalesHandler(QueryHandler[GetRecentSales, tuple[RecentSalesView, ...]]):
    """Reads the days in one statement."""

    def handle(self, query: GetRecentSales) -> tuple[RecentSalesView, ...]:
        today = localdate()
        rows = shop_wide(query, SalesByDay.live.filter(day__gt=today - timedelta(2 * DAYS)))
        currencies: dict[str, dict[int, SalesByDay]] = defaultdict(dict)
        for row in rows.filter(day__lte=today).order_by("currency"):
            currencies[row.currency][(today - row.day).days] = row
        return tuple(_recent_sales(name, today, rows) for name, rows in currencies.items())


def _recent_sales(currency: str, today: date, rows: dict[int, SalesByDay]) -> RecentSalesView:
    """Return the view of ``rows``, which are keyed by the number of days before today."""

    def period(first: int, days: int) -> dict[str, object]:
        part = [rows[ago] for ago in range(first, first + days) if ago in rows]
        net = sum((row.net for row in part), Decimal(0))
        return {"orders": sum(row.orders for row in part), "net": net}

    fields = {
        "currency": currency,
        "today": period(0, 1),
        "yesterday": period(1, 1),
        "last_7_days": period(0, 7),
        "last_28_days": period(0, DAYS),
        "days_before": period(DAYS, DAYS),
        "days": [
            (today - timedelta(ago), rows[ago].net if ago in rows else Decimal(0))
            for ago in reversed(range(DAYS))
        ],
    }
    return RecentSalesView.model_validate(fields, context=currency)


class LatestEntryView(View):
    """An event of an order, as a sentence; ``order_number`` is empty while no row shows it."""

    entry: TimelineEntryView
    order_id: UUID
    order_number: str


class GetLatestEntries(Query[tuple[LatestEntryView, ...]]):
    """List the last events of all orders, the newest first."""

    count: int = 12


@handles(GetLatestEntries)
class GetLatestEntriesHandler(QueryHandler[GetLatestEntries, tuple[LatestEntryView, ...]]):
    """Reads the events in one statement, and the numbers of their orders in another."""

    def handle(self, query: GetLatestEntries) -> tuple[LatestEntryView, ...]:
        rows = list(shop_wide(query, TimelineEntry.live.order_by("-position"))[: query.count])
        orders = OrderSummary.live.filter(order_id__in={row.order_id for row in rows})
        numbers = dict(orders.values_list("order_id", "order_number"))
        return tuple(
            LatestEntryView(
                entry=TimelineEntryView.of_row(row, sentence=_sentence(row, query.with_personal)),
                order_id=row.order_id,
                order_number=numbers.get(row.order_id, ""),
            )
            for row in rows
        )


def _sentence(row: TimelineEntry, with_personal: bool) -> str:
    if with_personal:
        return row.sentence
    return masked_sentence(row.type, row.sentence, row.actor)
