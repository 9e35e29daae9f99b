"""Events of products in stock."""

from uuid import UUID

from pydantic import AwareDatetime

from ordering_write.domain.events.base import DomainEvent
from ordering_write.domain.events.states import AdjustmentReason
from ordering_write.domain.values import Money, Value


class Expectation(Value):
    """Units of a product that are expected to come in at a time."""

    at: AwareDatetime
    quantity: int


class StockEvent(DomainEvent, stored=False):
    """The base of a product's events; the counters are the outcome.

    ``backordered`` are the reserved units that no stock backs; None in events of releases that
    didn't allocate units. ``expected`` are the units expected, the earliest first, set when the
    event changed them.
    """

    product_id: UUID
    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    backordered: int | None = None
    expected: list[Expectation] | None = None


class Backorder(Value):
    """A line of an order, and the reserved units of the line that no stock backs."""

    order_id: UUID
    line_id: UUID
    backordered: int


class StockMovement(StockEvent, stored=False):
    """The base of the events that move units.

    ``backorders`` are the lines whose backordered units the event changed, None without such a
    line. Units that come in are for the oldest lines first.
    """

    backorders: list[Backorder] | None = None


class StockItemRegistered(StockEvent):
    sku: str
    name: str
    list_price: Money | None = None
    reorder_point: int = 0
    backorderable: bool = False
    tax_class: str | None = None
    # False, or None for a product that requires shipping.
    requires_shipping: bool | None = None


class StockReceived(StockMovement):
    quantity: int
    reference: str = ""


class StockExpected(StockEvent):
    """``quantity`` units are expected at a time instead of the number before; 0 withdraws them."""

    at: AwareDatetime
    quantity: int


class StockReserved(StockMovement):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockReleased(StockMovement):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockDispatched(StockMovement):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockReturned(StockMovement):
    """Dispatched units came back and can be sold again."""

    order_id: UUID
    line_id: UUID
    quantity: int


class StockAdjusted(StockMovement):
    delta: int
    reason: AdjustmentReason
    comment: str = ""


class StockItemRenamed(StockEvent):
    name: str
    name_before: str


class StockItemDiscontinued(StockEvent):
    """No more orders of the product are taken."""


class StockItemReinstated(StockEvent):
    """Orders of the product are taken again."""


class ListPriceChanged(StockEvent):
    """The new list price of a unit in its currency; None if the price was removed.

    ``prices`` are the list prices in all currencies. It is None in events of releases in which a
    product had one price, which ``list_price`` replaced.
    """

    list_price: Money | None = None
    prices: list[Money] | None = None

    @property
    def all_prices(self) -> list[Money]:
        """The list prices after the event, one for each currency."""
        if self.prices is not None:
            return self.prices
        return [self.list_price] if self.list_price else []


class TaxClassChanged(StockEvent):
    """The new tax class of the product; None removes it."""

    tax_class: str | None = None


class StockPolicyChanged(StockEvent):
    reorder_point: int
    backorderable: bool
    # None if the event leaves the value as it is.
    requires_shipping: bool | None = None
