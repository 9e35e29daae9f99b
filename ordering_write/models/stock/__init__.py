"""The StockItem aggregate: the units of a product, and the units reserved for orders."""

from ordering_write.models.stock.reservation import Reservation
from ordering_write.models.stock.stock_item import StockItem

__all__ = ["Reservation", "StockItem"]
