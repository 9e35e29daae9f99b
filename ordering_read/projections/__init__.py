"""The projections of this project: a new one is a file here and a line below."""

from ordering_read.engine.base import register
from ordering_read.projections.customer_view import CustomerProjection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_read.projections.order_view import OrderProjection

register(OrderProjection())
register(InventoryProjection())
register(CustomerProjection())
