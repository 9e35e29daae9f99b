"""The Order aggregate: ``state`` has the data, ``order`` the state machine, the rest the moves."""

from ordering_write.models.order.order import Order
from ordering_write.models.order.parts import OrderItem, Shipment

__all__ = ["Order", "OrderItem", "Shipment"]
