"""The Order aggregate and its parts, one file for each family of what can be done with it."""

from ordering_write.models.order.order import Order
from ordering_write.models.order.parts import OrderItem, Shipment

__all__ = ["Order", "OrderItem", "Shipment"]
