"""The Order aggregate: ``state`` is what it is, ``order`` its state machine, the rest its moves."""

from ordering_write.models.order.order import Order
from ordering_write.models.order.parts import OrderItem, Shipment

__all__ = ["Order", "OrderItem", "Shipment"]
