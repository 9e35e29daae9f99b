"""Today, the first page of the admin site: what is to be done, what was sold, what happened."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import Model
from django.urls import reverse

from config.http.admin import list_url
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.labels import WORK
from ordering_read.models import InventoryLevel, OrderSummary, ParkedEvent
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.today import GetLatestEntries, GetRecentSales, RecentSalesView
from ordering_read.queries.work import Work, WorkView
from ordering_read.screens.base import Screen
from ordering_read.screens.charts import Chart, Value, small_chart
from ordering_read.screens.navigation import may_do, recent_work


class _Place(NamedTuple):
    """The list or the screen that a kind of work opens, and the permission that it needs."""

    target: type[Model] | str
    permission: str


_ORDERS = _Place(OrderSummary, permissions.VIEW_ORDERS)
_QUEUE = _Place(QueuedOrder, permissions.VIEW_STOCK_LEVELS)
_STOCK = _Place(InventoryLevel, permissions.VIEW_STOCK_LEVELS)
_PLACES: Mapping[Work, _Place] = {
    Work.TO_CONFIRM: _ORDERS,
    Work.TO_PACK: _QUEUE,
    Work.TO_DISPATCH: _QUEUE,
    Work.ON_HOLD: _ORDERS,
    Work.RETURNS: _ORDERS,
    Work.CREDIT_OWED: _ORDERS,
    Work.ATTENTION: _ORDERS,
    Work.LOW_STOCK: _STOCK,
    Work.GOODS_LATE: _STOCK,
    Work.PARKED: _Place(ParkedEvent, permissions.VIEW_PROJECTIONS),
    Work.GIVEN_UP: _Place("screens:given-up", permissions.VIEW_PROJECTIONS),
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
            tasks=list(self._tasks(recent_work())),
            sales=[{"of": row, "chart": _chart(row)} for row in sales],
            entries=self.ask(GetLatestEntries()) if sees_orders else (),
            sees_orders=sees_orders,
            **kwargs,
        )

    def _tasks(self, work: WorkView) -> Iterator[dict[str, Any]]:
        """Yield the work that the user may see; first the work that the user may do."""
        user = user_of(self.request)
        places = {kind: place for kind, place in _PLACES.items() if self.may(place.permission)}
        for kind in sorted(places, key=lambda kind: not may_do(user, kind)):
            item = work.kinds[kind]
            yield {
                "kind": kind,
                "label": WORK[kind],
                "count": item.count,
                "oldest": item.oldest,
                "url": _url(places[kind].target, kind),
            }


def _url(target: type[Model] | str, kind: Work) -> str:
    """Return the URL of the rows of ``kind``: a screen of its own, or a filtered list."""
    return reverse(target) if isinstance(target, str) else list_url(target, f"?work={kind}")


def _chart(sales: RecentSalesView) -> Chart:
    """Return a bar for each day; if more was given back than sold, the bar hangs below zero."""
    values = [Value("", net, f"{day:%-d %b}: {net:,} {sales.currency}") for day, net in sales.days]
    return small_chart("Net sales of the last 28 days", values)
