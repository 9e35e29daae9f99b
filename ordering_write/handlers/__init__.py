"""One handler per command: load aggregates, call one method on each, save them."""

from ordering_write.handlers.base import CommandHandler
from ordering_write.handlers.customer import RegisterCustomerHandler
from ordering_write.handlers.order import (
    CancelOrderHandler,
    CreateOrderHandler,
    UpdateOrderStatusHandler,
)
from ordering_write.handlers.stock import ReceiveStockHandler, RegisterStockItemHandler

__all__ = [
    "CancelOrderHandler",
    "CommandHandler",
    "CreateOrderHandler",
    "ReceiveStockHandler",
    "RegisterCustomerHandler",
    "RegisterStockItemHandler",
    "UpdateOrderStatusHandler",
]
