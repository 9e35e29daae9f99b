"""The projection behind the report of sales by day."""

from collections.abc import Iterator
from functools import partial
from typing import cast

from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projections.counting import CountingProjector, store_day
from ordering_write.published import events as e


class SalesByDayProjection(CountingProjector):
    """Fills ``sales_by_day``."""

    name = "sales_by_day"
    version = 1
    events = (e.OrderCreated, e.OrderItemAdded, e.OrderAdjustmentAdded, e.OrderCancelled)
    models = (SalesByDay,)

    def count(self, event: e.OrderEvent) -> Iterator[SalesByDay]:
        row = partial(SalesByDay, day=store_day(event.timestamp))
        match event:
            case e.OrderCreated(currency=currency):
                yield row(currency=currency, orders=1)
            case e.OrderItemAdded(line_total=added, quantity=units):
                yield row(currency=added.currency, units=units, gross=added.amount)
            case e.OrderAdjustmentAdded(kind="discount", amount=off):
                yield row(currency=off.currency, gross=-off.amount)
            case e.OrderAdjustmentAdded(amount=added):
                yield row(currency=added.currency, gross=added.amount)
            case e.OrderCancelled():
                total = cast(e.Money, event.total)
                yield row(currency=total.currency, cancelled=total.amount)
