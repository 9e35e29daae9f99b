"""Today, the first page of the admin site: what is to be done, what was sold, what happened."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from config.http.admin import list_url
from ordering_read import permissions
from ordering_read.admin.labels import WORK
from ordering_read.models import InventoryLevel, OrderSummary
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.today import GetLatestEntries, GetRecentSales, RecentSalesView
from ordering_read.queries.work import Work, WorkView
from ordering_read.screens.base import Screen
from ordering_read.screens.navigation import recent_work

# The list that each kind of work opens, and the permission that it needs.
_LISTS = {
    Work.TO_CONFIRM: (OrderSummary, permissions.VIEW_ORDERS),
    Work.TO_PACK: (QueuedOrder, permissions.VIEW_STOCK_LEVELS),
    Work.TO_DISPATCH: (QueuedOrder, permissions.VIEW_STOCK_LEVELS),
    Work.ON_HOLD: (OrderSummary, permissions.VIEW_ORDERS),
    Work.RETURNS: (OrderSummary, permissions.VIEW_ORDERS),
    Work.CREDIT_OWED: (OrderSummary, permissions.VIEW_ORDERS),
    Work.ATTENTION: (OrderSummary, permissions.VIEW_ORDERS),
    Work.LOW_STOCK: (InventoryLevel, permissions.VIEW_STOCK_LEVELS),
    Work.GOODS_LATE: (InventoryLevel, permissions.VIEW_STOCK_LEVELS),
}


class Bar(NamedTuple):
    """A bar of a chart whose values lie between 0 and 100; ``text`` says the same in words."""

    x: int
    y: float
    height: float
    text: str


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
            sales=[{"of": row, "bars": bars(row)} for row in sales],
            entries=self.ask(GetLatestEntries()) if sees_orders else (),
            sees_orders=sees_orders,
            **kwargs,
        )


def _tasks(work: WorkView) -> Iterable[dict[str, Any]]:
    for kind, (model, permission) in _LISTS.items():
        item = work.kinds[kind]
        yield {
            "label": WORK[kind],
            "count": item.count,
            "oldest": item.oldest,
            "permission": permission,
            "url": list_url(model, f"?work={kind}"),
        }


def bars(sales: RecentSalesView) -> Sequence[Bar]:
    """Return a bar for each day; days on which more was given back than sold hang below zero."""
    amounts = [amount for _, amount in sales.days]
    top, bottom = max(*amounts, Decimal(0)), min(*amounts, Decimal(0))
    scale = Decimal(100) / ((top - bottom) or Decimal(1))
    return [
        Bar(
            x=number,
            y=float((top - max(amount, Decimal(0))) * scale),
            height=float(abs(amount) * scale),
            text=f"{day:%-d %b}: {amount} {sales.currency}",
        )
        for number, (day, amount) in enumerate(sales.days)
    ]
