"""The command endpoints: a body comes in, a command goes to the bus, its outcome goes out."""

from ordering_write.api.customers import CustomerCommands
from ordering_write.api.orders import OrderCommands
from ordering_write.api.stock import StockCommands

__all__ = ["CustomerCommands", "OrderCommands", "StockCommands"]
