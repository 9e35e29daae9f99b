"""The admin pages of the read side, one module for each subject."""

from ordering_read.admin import (
    customers,
    exports,
    fulfilment,
    histories,
    inventory,
    orders,
    parked_events,
    projections,
    reports,
    webhooks,
)

__all__ = [
    "customers",
    "exports",
    "fulfilment",
    "histories",
    "inventory",
    "orders",
    "parked_events",
    "projections",
    "reports",
    "webhooks",
]
