"""The projection behind what customers have bought."""

from collections.abc import Iterator
from functools import partial
from typing import cast
from uuid import UUID

from ordering_read.models.customer_stats import CustomerStats
from ordering_read.projections.counting import CountingProjector
from ordering_read.projections.dues import PRICED, due_change, given_away
from ordering_write.published import OrderStatus
from ordering_write.published import events as e


class CustomerStatsProjection(CountingProjector):
    """Fills ``customer_stats``."""

    name = "customer_stats"
    version = 2
    events = (e.OrderCreated, *PRICED, e.RefundSettled)
    models = (CustomerStats,)

    def count(self, event: e.OrderEvent) -> Iterator[CustomerStats]:
        row = partial(CustomerStats, customer_id=cast(UUID, event.customer_id))
        match event:
            case e.OrderCreated(currency=currency, placed_at=at):
                yield row(currency=currency, orders=1, first_order_at=at, last_order_at=at)
            case e.OrderItemAdded(line_total=added, total=total):
                # Lines only make it larger, so that the last one tells.
                yield row(currency=added.currency, largest_order=total.amount if total else 0)
            case e.OrderItemQuantityChanged(line_total=changed, total=e.Money(amount=total)):
                yield row(currency=changed.currency, largest_order=total)
            case e.ReturnReceived(items=items):
                units = sum(item.quantity for item in items)
                yield row(currency=items[0].amount.currency, returned_units=units)
            case e.RefundSettled(amount=paid) if away := given_away(event):
                yield row(currency=paid.currency, spent=-away)
        if due := due_change(event):
            is_cancelled = event.status == OrderStatus.CANCELLED and event.status_before is not None
            yield row(currency=due.currency, spent=due.change, cancelled=int(is_cancelled))
