"""The command endpoints: a body becomes a command, and its outcome the response."""

from ordering_write.api.customers import CustomerCommands
from ordering_write.api.orders import OrderCommands
from ordering_write.api.stock import StockCommands

__all__ = ["CustomerCommands", "OrderCommands", "StockCommands"]
