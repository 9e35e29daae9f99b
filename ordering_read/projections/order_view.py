"""The projection behind every list and page of orders."""

from collections.abc import Sequence
from typing import cast

from ordering_read.engine.base import Projector
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.projections.stream_rows import fold, upsert
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class OrderProjection(Projector):
    """Fills ``order_summary`` and ``order_line_view``.

    It assigns what the events say came out (status, total, number of lines) and knows none of the
    rules by which it came out.
    """

    name = "order_view"
    version = 1
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
        lines = [
            _line(event, projection_id) for event in new if isinstance(event, e.OrderItemAdded)
        ]
        upsert(OrderLine, lines, key=["order_id", "line_id"])


def _change(row: OrderSummary, event: e.OrderEvent) -> None:
    match event:
        case e.OrderCreated():
            row.order_number = event.order_number
            row.customer_id = event.customer_id
            row.customer_name = event.customer.name
            row.currency = event.currency
            row.external_reference = event.external_reference or ""
            row.shipping_address = event.shipping_address.model_dump()
            row.billing_address = event.billing_address and event.billing_address.model_dump()
            row.created_at = event.placed_at
        case e.OrderItemAdded():
            row.unit_count += event.quantity
        case e.OrderTagged():
            row.tags = [*row.tags, event.tag]
    if event.status is not None:
        row.status = event.status
    if event.item_count is not None:
        row.item_count = event.item_count
    if event.total is not None:
        row.total_amount = event.total.amount
    if event.balance is not None:
        row.balance = event.balance.amount


def _line(event: e.OrderItemAdded, projection_id: int) -> OrderLine:
    return OrderLine(
        projection_id=projection_id,
        order_id=event.order_id,
        line_id=event.line_id,
        # The event tells the count, since it has changed it.
        number=cast(int, event.item_count),
        product_id=event.product_id,
        sku=event.sku,
        name=event.name,
        quantity=event.quantity,
        unit_price=event.unit_price.amount,
        line_total=event.line_total.amount,
    )
