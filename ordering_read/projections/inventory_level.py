"""The projection behind the stock list."""

from collections.abc import Sequence

from ordering_read.engine.base import Projector
from ordering_read.models import InventoryLevel
from ordering_read.projections.stream_rows import fold
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class InventoryProjection(Projector):
    """Fills ``inventory_level``; every event brings the counters as they are after it."""

    name = "inventory_level"
    version = 1
    events = (e.StockEvent,)
    sliced_by = "stream"
    models = (InventoryLevel,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        fold(
            InventoryLevel,
            batch,
            projection_id,
            key="product_id",
            begins=e.StockItemRegistered,
            change=_change,
        )


def _change(row: InventoryLevel, event: e.StockEvent) -> None:
    if isinstance(event, e.StockItemRegistered):
        row.sku = event.sku
        row.name = event.name
        row.reorder_point = event.reorder_point
        if event.list_price:
            row.list_price = event.list_price.amount
            row.currency = event.list_price.currency
    row.on_hand = event.on_hand
    row.reserved = event.reserved
    row.available = event.available
