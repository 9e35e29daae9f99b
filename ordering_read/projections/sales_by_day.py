"""The projection of the report of sales by day."""

from collections.abc import Iterator
from functools import partial

from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projections.counting_projector import CountingProjector, store_day
from ordering_read.projections.receivables import (
    PAYMENT_EVENTS,
    TOTAL_EVENTS,
    change_in_amount_due,
    currency_of,
    money_changes,
)
from ordering_write.published import events as e


class SalesByDayProjection(CountingProjector):
    """Fills ``sales_by_day`` with the amounts that become due, their decreases, and payments.

    A refund moves money and no sales: what is due falls by the return or the goodwill behind it.
    """

    name = "sales_by_day"
    version = 3
    events = (e.OrderCreated, *TOTAL_EVENTS, *PAYMENT_EVENTS)
    models = (SalesByDay,)

    def increments(self, event: e.OrderEvent) -> Iterator[SalesByDay]:
        row = partial(SalesByDay, day=store_day(event.timestamp))
        match event:
            case e.OrderCreated(currency=currency):
                yield row(currency=currency, orders=1)
            case e.OrderItemAdded(line_total=added, quantity=units):
                yield row(currency=added.currency, units=units)
            case e.OrderItemQuantityChanged(line_total=changed):
                units = max(event.to_quantity - event.from_quantity, 0)
                yield row(currency=changed.currency, units=units)
        if changes := money_changes(event):
            yield row(currency=currency_of(event), **changes)
        if due := change_in_amount_due(event):
            match event:
                case e.OrderItemsCancelled() | e.OrderCancelled():
                    yield row(currency=due.currency, cancelled=-due.change)
                case e.OrderItemQuantityChanged() if due.change < 0:
                    yield row(currency=due.currency, cancelled=-due.change)
                case e.ShipmentFailed() | e.ReturnReceived() | e.LostUnitsMadeGood():
                    yield row(currency=due.currency, refunded=-due.change)
                case (
                    e.OrderAdjustmentAdded(kind="goodwill")
                    | e.OrderAdjustmentRemoved(kind="goodwill")
                ):
                    yield row(currency=due.currency, refunded=-due.change)
                case _:
                    yield row(currency=due.currency, gross=due.change)
