"""The projection of the stock list."""

from collections.abc import Sequence
from typing import cast

from ordering_read.models import InventoryLevel, StockReservation
from ordering_read.projections.stream_rows import fold, stored, upsert
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

# Events that move no units.
_NO_MOVEMENTS = (e.StockItemRegistered, e.ListPriceChanged, e.TaxClassChanged, e.StockPolicyChanged)
# The change of a line's reservation for each unit of the event.
_RESERVED: dict[type[DomainEvent], int] = {
    e.StockReserved: 1,
    e.StockReleased: -1,
    e.StockDispatched: -1,
}


class InventoryProjection(Projector):
    """Fills ``inventory_level``, from the counters that every event carries, and
    ``stock_reservation``."""

    name = "inventory_level"
    version = 2
    events = (e.StockEvent,)
    sliced_by = "stream"
    models = (InventoryLevel, StockReservation)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        new = fold(
            InventoryLevel,
            batch,
            projection_id,
            key="product_id",
            begins=e.StockItemRegistered,
            change=_change,
        )
        _fold_reservations(new, projection_id)


def _change(row: InventoryLevel, event: e.StockEvent) -> None:
    match event:
        case e.StockItemRegistered():
            row.sku = event.sku
            row.name = event.name
            _set_price(row, event.list_price)
            row.reorder_point = event.reorder_point
            row.backorderable = event.backorderable
            row.tax_class = event.tax_class or ""
        case e.TaxClassChanged():
            row.tax_class = event.tax_class or ""
        case e.ListPriceChanged():
            _set_price(row, event.list_price)
        case e.StockPolicyChanged():
            row.reorder_point = event.reorder_point
            row.backorderable = event.backorderable
    if not isinstance(event, _NO_MOVEMENTS):
        row.last_movement_at = max(row.last_movement_at or event.timestamp, event.timestamp)
    row.on_hand = event.on_hand
    row.reserved = event.reserved
    row.available = event.available
    row.is_low = row.available <= row.reorder_point


def _set_price(row: InventoryLevel, price: e.Money | None) -> None:
    row.list_price = price.amount if price else None
    row.currency = price.currency if price else ""


def _fold_reservations(new: Sequence[DomainEvent], projection_id: int) -> None:
    """Apply ``new`` events to the reservations, by at most three statements."""
    moves = cast(list[e.StockReserved], [event for event in new if type(event) in _RESERVED])
    if not moves:
        return
    stored_rows = stored(
        StockReservation,
        projection_id,
        product_id={event.product_id for event in moves},
        line_id={event.line_id for event in moves},
    )
    rows = {row.line_id: row for row in stored_rows}
    for event in moves:
        row = rows.get(event.line_id)
        if row is None:
            row = rows[event.line_id] = _reservation(event, projection_id)
        if not row.quantity:
            row.reserved_at = event.timestamp
        row.quantity += _RESERVED[type(event)] * event.quantity
    upsert(
        StockReservation,
        [row for row in rows.values() if row.quantity],
        key=["product_id", "line_id"],
    )
    if used_up := [row.pk for row in rows.values() if not row.quantity and row.pk]:
        StockReservation.objects.filter(pk__in=used_up).delete()


def _reservation(event: e.StockReserved, projection_id: int) -> StockReservation:
    return StockReservation(
        projection_id=projection_id,
        product_id=event.product_id,
        line_id=event.line_id,
        order_id=event.order_id,
        quantity=0,
    )
