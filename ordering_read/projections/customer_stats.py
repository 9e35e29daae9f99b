"""The projection behind what customers have bought."""

from collections.abc import Iterator
from functools import partial
from typing import cast
from uuid import UUID

from ordering_read.models.customer_stats import CustomerStats
from ordering_read.projections.counting import CountingProjector
from ordering_write.published import events as e


class CustomerStatsProjection(CountingProjector):
    """Fills ``customer_stats``."""

    name = "customer_stats"
    version = 1
    events = (e.OrderCreated, e.OrderItemAdded, e.OrderAdjustmentAdded, e.OrderCancelled)
    models = (CustomerStats,)

    def count(self, event: e.OrderEvent) -> Iterator[CustomerStats]:
        row = partial(CustomerStats, customer_id=cast(UUID, event.customer_id))
        match event:
            case e.OrderCreated(currency=currency, placed_at=at):
                yield row(currency=currency, orders=1, first_order_at=at, last_order_at=at)
            case e.OrderItemAdded(line_total=added, total=total):
                yield row(
                    currency=added.currency,
                    spent=added.amount,
                    # Lines only make it larger, so that the last one tells.
                    largest_order=total.amount if total else 0,
                )
            case e.OrderAdjustmentAdded(kind="discount", amount=off):
                yield row(currency=off.currency, spent=-off.amount)
            case e.OrderAdjustmentAdded(amount=added):
                yield row(currency=added.currency, spent=added.amount)
            case e.OrderCancelled():
                total = cast(e.Money, event.total)
                yield row(currency=total.currency, cancelled=1, spent=-total.amount)
