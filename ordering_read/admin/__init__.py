"""The admin pages of the read side, one module for each subject."""

from ordering_read.admin import customers, inventory, orders, projections

__all__ = ["customers", "inventory", "orders", "projections"]
