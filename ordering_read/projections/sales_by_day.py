"""The projection behind the report of sales by day."""

from collections.abc import Iterator
from functools import partial

from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projections.counting import CountingProjector, store_day
from ordering_read.projections.dues import PRICED, due_change, given_away
from ordering_write.published import events as e


class SalesByDayProjection(CountingProjector):
    """Fills ``sales_by_day``: what orders are to bring, and what of it they no longer are."""

    name = "sales_by_day"
    version = 2
    events = (e.OrderCreated, *PRICED, e.RefundSettled)
    models = (SalesByDay,)

    def count(self, event: e.OrderEvent) -> Iterator[SalesByDay]:
        row = partial(SalesByDay, day=store_day(event.timestamp))
        match event:
            case e.OrderCreated(currency=currency):
                yield row(currency=currency, orders=1)
            case e.OrderItemAdded(line_total=added, quantity=units):
                yield row(currency=added.currency, units=units)
            case e.OrderItemQuantityChanged(line_total=changed):
                more = max(event.to_quantity - event.from_quantity, 0)
                yield row(currency=changed.currency, units=more)
            case e.RefundSettled(amount=paid) if away := given_away(event):
                yield row(currency=paid.currency, refunded=away)
        if due := due_change(event):
            match event:
                case e.OrderItemsCancelled() | e.OrderCancelled():
                    yield row(currency=due.currency, cancelled=-due.change)
                case e.OrderItemQuantityChanged() if due.change < 0:
                    yield row(currency=due.currency, cancelled=-due.change)
                case e.ShipmentFailed() | e.ReturnReceived():
                    yield row(currency=due.currency, refunded=-due.change)
                case _:
                    yield row(currency=due.currency, gross=due.change)
