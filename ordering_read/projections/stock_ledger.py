"""The projection of the stock ledger."""

from collections.abc import Sequence
from typing import cast

from ordering_read.models.stock_ledger import StockMovement
from ordering_read.projections.actor_names import actor_name
from ordering_read.projections.stream_rows import upsert
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class StockLedgerProjection(Projector):
    """Fills ``stock_ledger``."""

    name = "stock_ledger"
    version = 3
    events = (
        e.StockReceived,
        e.StockReserved,
        e.StockReleased,
        e.StockDispatched,
        e.StockReturned,
        e.StockAdjusted,
    )
    sliced_by = "stream"
    models = (StockMovement,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        rows = [_movement(event, projection_id) for event in cast(Sequence[e.StockEvent], batch)]
        upsert(StockMovement, rows, key=["product_id", "version"])


def _movement(event: e.StockEvent, projection_id: int) -> StockMovement:
    envelope = event.recorded
    row = StockMovement(
        projection_id=projection_id,
        product_id=event.product_id,
        version=envelope.version,
        at=event.timestamp,
        delta=0,
        reserved_delta=0,
        on_hand=event.on_hand,
        reserved=event.reserved,
        available=event.available,
        actor=actor_name(envelope.actor),
        event_id=envelope.event_id,
        # Every event that is read from the log has a position.
        position=cast(int, envelope.position),
    )
    kinds = StockMovement.Kind
    match event:
        case e.StockReceived(quantity=units):
            row.kind, row.delta, row.reference = kinds.RECEIVED, units, event.reference
        case e.StockReserved(quantity=units):
            row.kind, row.reserved_delta, row.order_id = kinds.RESERVED, units, event.order_id
        case e.StockReleased(quantity=units):
            row.kind, row.reserved_delta, row.order_id = kinds.RELEASED, -units, event.order_id
        case e.StockDispatched(quantity=units):
            row.kind, row.delta, row.reserved_delta = kinds.DISPATCHED, -units, -units
            row.order_id = event.order_id
        case e.StockReturned(quantity=units):
            row.kind, row.delta, row.order_id = kinds.RETURNED, units, event.order_id
        case e.StockAdjusted(delta=delta):
            row.kind, row.delta = kinds.ADJUSTED, delta
            row.reason, row.comment = event.reason, event.comment
    return row
