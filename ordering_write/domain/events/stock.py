"""Events of products in stock."""

from uuid import UUID

from ordering_write.domain.events.base import DomainEvent
from ordering_write.domain.events.states import AdjustmentReason
from ordering_write.domain.values import Money


class StockEvent(DomainEvent, stored=False):
    """The base of a product's events; the three counters are the outcome."""

    product_id: UUID
    on_hand: int = 0
    reserved: int = 0
    available: int = 0


class StockItemRegistered(StockEvent):
    sku: str
    name: str
    list_price: Money | None = None
    reorder_point: int = 0
    backorderable: bool = False


class StockReceived(StockEvent):
    quantity: int
    reference: str = ""


class StockReserved(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockReleased(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockDispatched(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockReturned(StockEvent):
    """Dispatched units came back and can be sold again."""

    order_id: UUID
    line_id: UUID
    quantity: int


class StockAdjusted(StockEvent):
    delta: int
    reason: AdjustmentReason
    comment: str = ""


class ListPriceChanged(StockEvent):
    """The new list price of a unit; None removes it."""

    list_price: Money | None = None


class StockPolicyChanged(StockEvent):
    reorder_point: int
    backorderable: bool
