"""Today, the first page of the admin site: what is to be done, what was sold, what happened."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model
from django.urls import reverse

from config.http.admin import list_url
from ordering_read import permissions
from ordering_read.admin.labels import WORK
from ordering_read.models import InventoryLevel, OrderSummary, ParkedEvent
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.today import GetLatestEntries, GetRecentSales, RecentSalesView
from ordering_read.queries.work import Work, WorkView
from ordering_read.screens.base import Screen
from ordering_read.screens.charts import Chart, Value, small_chart
from ordering_read.screens.navigation import recent_work

# The list or the screen that each kind of work opens, and the permission that it needs.
_LISTS: Mapping[Work, tuple[type[Model] | str, str]] = {
    Work.TO_CONFIRM: (OrderSummary, permissions.VIEW_ORDERS),
    Work.TO_PACK: (QueuedOrder, permissions.VIEW_STOCK_LEVELS),
    Work.TO_DISPATCH: (QueuedOrder, permissions.VIEW_STOCK_LEVELS),
    Work.ON_HOLD: (OrderSummary, permissions.VIEW_ORDERS),
    Work.RETURNS: (OrderSummary, permissions.VIEW_ORDERS),
    Work.CREDIT_OWED: (OrderSummary, permissions.VIEW_ORDERS),
    Work.ATTENTION: (OrderSummary, permissions.VIEW_ORDERS),
    Work.LOW_STOCK: (InventoryLevel, permissions.VIEW_STOCK_LEVELS),
    Work.GOODS_LATE: (InventoryLevel, permissions.VIEW_STOCK_LEVELS),
    Work.PARKED: (ParkedEvent, permissions.VIEW_PROJECTIONS),
    Work.GIVEN_UP: ("screens:given-up", permissions.VIEW_PROJECTIONS),
}


class TodayScreen(Screen):
    """The page Today."""

    template_name = "screens/today.html"
    title = "Today"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sees_orders = self.may(permissions.VIEW_ORDERS)
        sees_reports = self.may(permissions.VIEW_REPORTS)
        sales = self.ask(GetRecentSales()) if sees_reports else ()
        return super().get_context_data(
            tasks=[task for task in _tasks(recent_work()) if self.may(task["permission"])],
            sales=[{"of": row, "chart": _chart(row)} for row in sales],
            entries=self.ask(GetLatestEntries()) if sees_orders else (),
            sees_orders=sees_orders,
            **kwargs,
        )


def _tasks(work: WorkView) -> Iterable[dict[str, Any]]:
    for kind, (target, permission) in _LISTS.items():
        item = work.kinds[kind]
        yield {
            "kind": kind,
            "label": WORK[kind],
            "count": item.count,
            "oldest": item.oldest,
            "permission": permission,
            "url": _url(target, kind),
        }


def _url(target: type[Model] | str, kind: Work) -> str:
    """Return the URL of the rows of ``kind``: a screen of its own, or a filtered list."""
    return reverse(target) if isinstance(target, str) else list_url(target, f"?work={kind}")


def _chart(sales: RecentSalesView) -> Chart:
    """Return a bar for each day; if more was given back than sold, the bar hangs below zero."""
    values = [
        Value("", amount, f"{day:%-d %b}: {amount} {sales.currency}") for day, amount in sales.days
    ]
    return small_chart("Net sales of the last 28 days", values)
