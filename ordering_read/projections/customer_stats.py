"""The projection of customer statistics."""

from collections.abc import Iterator
from functools import partial
from typing import cast
from uuid import UUID

from ordering_read.models.customer_stats import CustomerStats
from ordering_read.projections.counting_projector import CountingProjector
from ordering_read.projections.receivables import (
    PAYMENT_EVENTS,
    TOTAL_EVENTS,
    change_in_amount_due,
    currency_of,
    money_changes,
)
from ordering_write.published import OrderStatus
from ordering_write.published import events as e


class CustomerStatsProjection(CountingProjector):
    """Fills ``customer_stats``."""

    name = "customer_stats"
    version = 3
    events = (e.OrderCreated, *TOTAL_EVENTS, *PAYMENT_EVENTS)
    models = (CustomerStats,)

    def increments(self, event: e.OrderEvent) -> Iterator[CustomerStats]:
        row = partial(CustomerStats, customer_id=cast(UUID, event.customer_id))
        match event:
            case e.OrderCreated(currency=currency, placed_at=time):
                yield row(currency=currency, orders=1, first_order_at=time, last_order_at=time)
            case e.OrderItemAdded(line_total=added, total=total):
                # The column keeps the greatest total, which is the total after the last line.
                yield row(currency=added.currency, largest_order=total.amount if total else 0)
            case (
                e.OrderItemQuantityChanged(line_total=changed, total=e.Money(amount=total))
                | e.OrderItemPriceChanged(line_total=changed, total=e.Money(amount=total))
            ):
                yield row(currency=changed.currency, largest_order=total)
            case e.ReturnReceived(items=items):
                units = sum(item.quantity for item in items)
                yield row(currency=items[0].amount.currency, returned_units=units)
        if changes := money_changes(event):
            yield row(currency=currency_of(event), **changes)
        if due := change_in_amount_due(event):
            is_cancelled = event.status == OrderStatus.CANCELLED and event.status_before is not None
            yield row(currency=due.currency, spent=due.change, cancelled=int(is_cancelled))
