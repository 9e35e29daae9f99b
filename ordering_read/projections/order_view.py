"""The projection of all lists and pages of orders."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast
from uuid import UUID

from config.fields.text import identity_key
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.projections.counting_projector import store_day
from ordering_read.projections.order_documents import change_documents
from ordering_read.projections.stream_rows import fold, fold_into, stored, upsert
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

# The outcome fields of events, and the columns that show them.
_STATES = {
    "status": "status",
    "payment_status": "payment_status",
    "fulfilment_status": "fulfilment_status",
    "return_status": "return_status",
    "item_count": "item_count",
}
_AMOUNTS = {
    "total": "total_amount",
    "balance": "balance",
    "authorized": "authorized",
    "captured": "captured",
    "refunded": "refunded",
}
# The changes of the counters of a line for each unit of the event.
_COUNTS: dict[type[e.OrderEvent], dict[str, int]] = {
    e.OrderItemsCancelled: {"cancelled": 1},
    e.OrderCancelled: {"cancelled": 1},
    e.ShipmentCreated: {"packed": 1},
    e.ShipmentVoided: {"packed": -1},
    e.ShipmentDispatched: {"packed": -1, "shipped": 1},
    e.ItemsHandedOver: {"shipped": 1, "delivered": 1},
    e.ShipmentDelivered: {"delivered": 1},
    e.ShipmentFailed: {"failed": 1},
    e.LostUnitsMadeGood: {"made_good": 1},
    e.ReturnRequested: {"return_requested": 1},
    e.ReturnReceived: {"return_requested": -1, "returned": 1},
    e.ReturnRejected: {"return_requested": -1},
}
_LINE_EVENTS = frozenset((e.OrderItemQuantityChanged, e.OrderItemPriceChanged, *_COUNTS))


class OrderProjection(Projector):
    """Fills ``order_summary`` and ``order_line_view``.

    The projection copies the outcome that events carry (statuses, amounts, number of lines) and
    counts units. The rules behind the outcome are in the aggregate only.
    """

    name = "order_view"
    version = 4
    events = (e.OrderEvent,)
    sliced_by = "stream"
    models = (OrderSummary, OrderLine)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        new = fold(
            OrderSummary,
            batch,
            projection_id,
            key="order_id",
            begins=e.OrderCreated,
            change=_change,
        )
        _fold_lines(cast(list[e.OrderEvent], new), projection_id)


def fold_order(events: Sequence[e.OrderEvent]) -> tuple[OrderSummary, list[OrderLine]]:
    """Return the row and the lines of one order, folded from all its ``events`` in memory.

    The result equals the rows that ``apply`` writes. The row has no position while the last event
    has none.
    """
    [state] = fold_versions(events, [len(events)])
    return state


def fold_versions(
    events: Sequence[e.OrderEvent], versions: Iterable[int]
) -> Iterator[tuple[OrderSummary, list[OrderLine]]]:
    """Yield the row and the lines of one order after each of the ``versions``, which ascend.

    The next step of the iteration changes what was yielded.
    """
    rows: dict[UUID, OrderSummary] = {}
    lines: dict[UUID, OrderLine] = {}
    start = 0
    for version in versions:
        part, start = events[start:version], version
        fold_into(
            rows, part, OrderSummary, 0, key="order_id", begins=e.OrderCreated, change=_change
        )
        _change_lines(lines, part, 0)
        [row] = rows.values()
        yield row, list(lines.values())


def _change(row: OrderSummary, event: e.OrderEvent) -> None:
    match event:
        case e.OrderCreated():
            _begin(row, event)
        case e.OrderItemAdded():
            row.unit_count += event.quantity
        case e.OrderItemQuantityChanged():
            row.unit_count += event.to_quantity - event.from_quantity
        case e.ShippingAddressChanged():
            row.shipping_address = event.to_address.model_dump()
        case e.OrderTagged():
            row.tags = [*row.tags, event.tag]
        case e.OrderUntagged():
            row.tags = [tag for tag in row.tags if tag != event.tag]
        case e.OrderPoNumberChanged():
            _set_po_number(row, event)
        case e.OrderMetadataChanged(line_id=None):
            row.metadata = event.merged(row.metadata)
        case e.OrderAssigned():
            row.assigned_to = event.assignee or ""
        case e.OrderHeld():
            row.hold_reason = event.reason
    if event.on_hold is False:
        row.hold_reason = ""
    change_documents(row, event)
    for field, column in _STATES.items():
        if (value := getattr(event, field)) is not None:
            setattr(row, column, value)
    for field, column in _AMOUNTS.items():
        if (money := getattr(event, field)) is not None:
            setattr(row, column, money.amount)
    if event.attention is not None:
        row.attention = list(event.attention)


def _begin(row: OrderSummary, event: e.OrderCreated) -> None:
    row.order_number = event.order_number
    row.customer_id = event.customer_id
    row.customer_name = event.customer.name
    row.currency = event.currency
    row.external_reference = event.external_reference or ""
    row.external_reference_key = identity_key(row.external_reference)
    _set_po_number(row, event)
    row.replaces_order_id = event.replaces_order_id
    row.replaces_order_number = event.replaces_order_number or ""
    row.shipping_address = event.shipping_address and event.shipping_address.model_dump()
    row.billing_address = event.billing_address and event.billing_address.model_dump()
    row.created_at = event.placed_at
    row.placed_on = store_day(event.placed_at)


def _set_po_number(row: OrderSummary, event: e.OrderCreated | e.OrderPoNumberChanged) -> None:
    row.po_number = event.po_number or ""
    row.po_number_key = identity_key(row.po_number)


# --- Lines -------------------------------------------------------------------------------------
def _fold_lines(events: Sequence[e.OrderEvent], projection_id: int) -> None:
    """Apply ``events`` to the lines, by two statements; by one if all orders are new."""
    new_order_ids = {event.order_id for event in events if isinstance(event, e.OrderCreated)}
    order_ids = {event.order_id for event in events if _changes_lines(event)}
    order_ids -= new_order_ids
    stored_lines = stored(OrderLine, projection_id, order_id=order_ids) if order_ids else ()
    lines: dict[UUID, OrderLine] = {line.line_id: line for line in stored_lines}
    upsert(OrderLine, _change_lines(lines, events, projection_id), key=["order_id", "line_id"])


def _changes_lines(event: e.OrderEvent) -> bool:
    """Return True if ``event`` changes lines that earlier events have added."""
    is_priced = isinstance(event, e.PricedEvent) and event.price is not None
    return is_priced or type(event) in _LINE_EVENTS or _has_line_metadata(event)


def _has_line_metadata(event: e.OrderEvent) -> bool:
    return isinstance(event, e.OrderMetadataChanged) and event.line_id is not None


def _change_lines(
    lines: dict[UUID, OrderLine], events: Sequence[e.OrderEvent], projection_id: int
) -> list[OrderLine]:
    """Apply ``events`` to ``lines`` in memory; returns the lines that they have changed."""
    changed: dict[UUID, OrderLine] = {}
    for event in events:
        if isinstance(event, e.OrderItemAdded):
            lines[event.line_id] = changed[event.line_id] = _line(event, projection_id)
        elif isinstance(event, e.OrderMetadataChanged) and event.line_id is not None:
            line = changed[event.line_id] = lines[event.line_id]
            line.metadata = event.merged(line.metadata)
        elif type(event) in _LINE_EVENTS:
            for line in _change_units(event, lines):
                changed[line.line_id] = line
        if isinstance(event, e.PricedEvent) and event.price is not None:
            for price in (*event.price.lines, *(event.owed or ())):
                changed[price.line_id] = lines[price.line_id]
                _set_price(lines[price.line_id], price)
    return list(changed.values())


def _change_units(event: Any, lines: dict[UUID, OrderLine]) -> list[OrderLine]:
    """Apply ``event`` to ``lines``; returns the lines that it has changed."""
    if isinstance(event, e.OrderItemQuantityChanged):
        line = lines[event.line_id]
        line.quantity, line.line_total = event.to_quantity, event.line_total.amount
        return [line]
    if isinstance(event, e.OrderItemPriceChanged):
        line = lines[event.line_id]
        line.unit_price, line.line_total = event.unit_price.amount, event.line_total.amount
        line.price_source, line.price_reason = "override", event.reason
        return [line]
    items = event.released if isinstance(event, e.OrderCancelled) else event.items
    is_resent = isinstance(event, e.ShipmentFailed) and event.resend
    counts = {"shipped": -1} if is_resent else _COUNTS[type(event)]
    for item in items:
        line = lines[item.line_id]
        for column, count in counts.items():
            setattr(line, column, getattr(line, column) + count * item.quantity)
        if isinstance(item, e.CreditedUnits):
            line.line_total = item.line_total.amount
        if isinstance(item, e.CreditedUnits | e.MadeGoodUnits) and item.price is not None:
            _set_price(line, item.price)
    return [lines[item.line_id] for item in items]


def _set_price(line: OrderLine, price: e.LinePrice) -> None:
    line.line_total, line.discount = price.net, price.discount
    line.surcharge = price.surcharge
    line.taxes = [tax.model_dump(mode="json") for tax in price.taxes]


def _line(event: e.OrderItemAdded, projection_id: int) -> OrderLine:
    return OrderLine(
        projection_id=projection_id,
        order_id=event.order_id,
        line_id=event.line_id,
        # An event that adds a line carries the new number of lines.
        number=cast(int, event.item_count),
        product_id=event.product_id,
        sku=event.sku,
        sku_key=identity_key(event.sku),
        name=event.name,
        requires_shipping=event.requires_shipping is not False,
        quantity=event.quantity,
        unit_price=event.unit_price.amount,
        line_total=event.line_total.amount,
        tax_class=event.tax_class or "",
        price_source=event.price_source,
        price_reason=event.price_reason or "",
    )
