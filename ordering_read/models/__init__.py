"""The tables of the read side: the read models, and the checkpoints of their projections."""

from ordering_read.models.base import ReadModel, ReadModelWrittenError
from ordering_read.models.customer import CustomerSummary
from ordering_read.models.inventory import InventoryLevel, StockReservation
from ordering_read.models.order import OrderLine, OrderSummary
from ordering_read.models.parked_event import ParkedEvent, parked_by
from ordering_read.models.projection import FillSlice, Projection, Worker, of_live_generations
from ordering_read.models.stored_response import StoredResponse
from ordering_read.models.stream_row import StreamRow

__all__ = [
    "CustomerSummary",
    "FillSlice",
    "InventoryLevel",
    "OrderLine",
    "OrderSummary",
    "ParkedEvent",
    "Projection",
    "ReadModel",
    "ReadModelWrittenError",
    "StockReservation",
    "StoredResponse",
    "StreamRow",
    "Worker",
    "of_live_generations",
    "parked_by",
]
