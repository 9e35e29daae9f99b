"""Facts of orders that the rows of earlier releases don't keep: they are read from the log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ordering_write.domain import events as e
from ordering_write.models.order.payments import have_all_facts
from ordering_write.models.outbox import OutboxEvent

if TYPE_CHECKING:
    # The order imports this module.
    from ordering_write.models.order.order import Order

_TYPES = (
    e.OrderItemAdded,
    e.OrderAdjustmentAdded,
    e.OrderItemQuantityChanged,
    e.PaymentRecorded,
    e.CaptureRequested,
    e.RefundRequested,
    e.RefundSettled,
    e.RefundFailed,
    e.RefundBounced,
    e.RefundReferenced,
)


def keeps_all_facts(order: "Order") -> bool:
    """Return False if an earlier release, which keeps fewer facts, has written the row."""
    has_references = all("reference" in refund for refund in order.refunds.values())
    return order.adjustments is not None and has_references and have_all_facts(order.payments)


def read_facts(orders: "Sequence[Order]") -> None:
    """Set the adjustments, payments and refunds of ``orders`` in which facts are missing."""
    rows = OutboxEvent.objects.filter(
        stream__in=[order.stream for order in orders],
        type__in=[event_type.__name__ for event_type in _TYPES],
    ).order_by("stream", "version")
    folded = {order.stream: type(order)(id=order.id, currency=order.currency) for order in orders}
    for row in rows:
        event = e.DomainEvent.types[row.type].decode(
            schema_version=row.schema_version,
            timestamp=row.timestamp,
            fields=row.data,
            personal=None,
        )
        folded[row.stream].evolve(event)
    for order in orders:
        facts = folded[order.stream]
        if order.adjustments is None:
            order.adjustments = facts.adjustments or []
        order.payments, order.refunds = facts.payments, facts.refunds
        order.captures = facts.captures
