"""The projection of the stock list."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from config.databases import tables
from config.fields.text import identity_key
from ordering_read.models import InventoryLevel, StockReservation
from ordering_read.projections.stream_rows import fold, stored, upsert
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent, backorders_of
from ordering_write.published import events as e

# Events that change the units reserved for a line.
_OF_LINES = (e.StockReserved, e.StockReleased, e.StockDispatched)


class InventoryProjection(Projector):
    """Fills ``inventory_level``, from the counters that every event carries, and
    ``stock_reservation``, from the backorders that events carry."""

    name = "inventory_level"
    version = 3
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
            row.sku, row.sku_key = event.sku, identity_key(event.sku)
            row.name = event.name
            _set_prices(row, [event.list_price] if event.list_price else [])
            row.reorder_point = event.reorder_point
            row.backorderable = event.backorderable
            row.requires_shipping = event.requires_shipping is not False
            row.tax_class = event.tax_class or ""
        case e.TaxClassChanged():
            row.tax_class = event.tax_class or ""
        case e.ListPriceChanged():
            _set_prices(row, event.all_prices)
        case e.StockItemRenamed():
            row.name = event.name
        case e.StockItemDiscontinued():
            row.discontinued_at = event.timestamp
        case e.StockItemReinstated():
            row.discontinued_at = None
        case e.StockPolicyChanged():
            row.reorder_point = event.reorder_point
            row.backorderable = event.backorderable
            if event.requires_shipping is not None:
                row.requires_shipping = event.requires_shipping
    if event.expected is not None:
        row.expected = [item.model_dump(mode="json") for item in event.expected]
    if isinstance(event, e.StockMovement):
        row.last_movement_at = max(row.last_movement_at or event.timestamp, event.timestamp)
    row.on_hand = event.on_hand
    row.reserved = event.reserved
    row.available = event.available
    row.backordered = _backordered(event)
    # A discontinued product is reordered only for units that are promised.
    reorder_point = row.reorder_point if row.discontinued_at is None else -1
    row.is_low = row.available <= reorder_point


def _backordered(event: e.StockEvent) -> int:
    if event.backordered is None:
        # An earlier release stored the event.
        return max(event.reserved - max(event.on_hand, 0), 0)
    return event.backordered


def _set_prices(row: InventoryLevel, prices: Sequence[e.Money]) -> None:
    first = next(iter(prices), None)
    row.list_price = first.amount if first else None
    row.currency = first.currency if first else ""
    row.other_prices = [price.model_dump(mode="json") for price in prices[1:]]


# --- Reservations --------------------------------------------------------------------------------
def _fold_reservations(new: Sequence[DomainEvent], projection_id: int) -> None:
    """Apply ``new`` events to the reservations, by at most three statements.

    Events of an earlier release cost one more, and change all reservations of oversold products.
    """
    moves = [event for event in new if isinstance(event, e.StockMovement)]
    if not moves:
        return
    reservations = _Reservations(_stored_reservations(moves, projection_id), projection_id)
    for event in moves:
        reservations.apply(event)
    reservations.allocate_all()
    rows = reservations.changed.values()
    upsert(StockReservation, [row for row in rows if row.quantity], key=["product_id", "line_id"])
    if used_up := [row.pk for row in rows if not row.quantity and row.pk]:
        StockReservation.objects.filter(pk__in=used_up).delete()


def _stored_reservations(
    moves: Sequence[e.StockMovement], projection_id: int
) -> Iterable[StockReservation]:
    """Yield the reservations that ``moves`` can change."""
    line_ids = {line.line_id for event in moves for line in event.backorders or ()}
    line_ids |= {event.line_id for event in moves if isinstance(event, _OF_LINES)}
    if line_ids:
        product_ids = {event.product_id for event in moves}
        yield from stored(StockReservation, projection_id, product_id=product_ids, line_id=line_ids)
    if unallocated := [event for event in moves if event.backordered is None]:
        condition = (
            "projection_id = %s AND product_id = ANY(%s) AND line_id <> ALL(%s)"
            " AND (backordered > 0 OR product_id = ANY(%s))"
        )
        product_ids = {event.product_id for event in unallocated}
        oversold_ids = {event.product_id for event in unallocated if event.available < 0}
        parameters = [projection_id, list(product_ids), list(line_ids), list(oversold_ids)]
        yield from tables.find(StockReservation, condition, parameters)


class _Reservations:
    """The reservations that a batch can change, by their lines."""

    def __init__(self, rows: Iterable[StockReservation], projection_id: int) -> None:
        self._rows = {row.line_id: row for row in rows}
        self._projection_id = projection_id
        # The units on hand of products whose last event doesn't say the backorders.
        self._unallocated: dict[UUID, int] = {}
        self.changed: dict[UUID, StockReservation] = {}

    def apply(self, event: e.StockMovement) -> None:
        if event.backordered is not None and event.product_id in self._unallocated:
            self._allocate(event.product_id)
        if isinstance(event, _OF_LINES):
            self._count(event)
        if event.backordered is None:
            self._unallocated[event.product_id] = event.on_hand
        for line in event.backorders or ():
            self._set_backordered(self._rows[line.line_id], line.backordered)

    def allocate_all(self) -> None:
        """Allocate the units on hand of products whose last event doesn't say the backorders."""
        for product_id in list(self._unallocated):
            self._allocate(product_id)

    def _allocate(self, product_id: UUID) -> None:
        rows = [row for row in self._rows.values() if row.product_id == product_id]
        reserved = {(row.order_id, row.line_id): row.quantity for row in rows if row.quantity}
        backorders = backorders_of(self._unallocated.pop(product_id), reserved)
        for row in rows:
            self._set_backordered(row, backorders.get((row.order_id, row.line_id), 0))

    def _count(self, event: e.StockReserved | e.StockReleased | e.StockDispatched) -> None:
        row = self._rows.get(event.line_id)
        if row is None:
            row = self._rows[event.line_id] = StockReservation(
                projection_id=self._projection_id,
                product_id=event.product_id,
                line_id=event.line_id,
                order_id=event.order_id,
                quantity=0,
            )
        if not row.quantity:
            row.reserved_at = event.timestamp
        row.quantity += event.quantity if isinstance(event, e.StockReserved) else -event.quantity
        self.changed[row.line_id] = row

    def _set_backordered(self, row: StockReservation, units: int) -> None:
        if row.backordered != units:
            row.backordered = units
            self.changed[row.line_id] = row
