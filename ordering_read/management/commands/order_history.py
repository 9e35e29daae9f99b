"""`manage.py order_history`: lists the versions of an order."""

from typing import Any

from django.conf import settings
from django.utils.timezone import localtime

from ordering_read.management.orders import OrderCommand
from ordering_read.queries.order_history import GetOrderHistory, OrderHistoryView
from ordering_read.queries.orders import MAX_VERSION


class Command(OrderCommand):
    help = "List the versions of an order, each with the event that made it; the oldest first."
    query_type = GetOrderHistory

    def handle(self, *args: Any, number: str, **options: Any) -> None:
        history: OrderHistoryView = self.ask(number, page_size=MAX_VERSION)
        if options["json"]:
            self.print_json(history.versions)
            return
        order = f"Order {history.order_number}".strip()
        self.stdout.write(f"{order}, {history.newest} versions, times in {settings.TIME_ZONE}")
        for item in history.versions:
            words = item.sentence or f"{item.type} by {item.actor} (not in the timeline yet)"
            recorded = localtime(item.recorded_at)
            self.stdout.write(f"{item.version:>5}  {recorded:%Y-%m-%d %H:%M:%S}  {words}")
