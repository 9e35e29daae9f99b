"""Rows of exported lists that the API doesn't have as views."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ordering_read.fields import CurrencyAmount, CurrencyCode, OptionalText, ProductName, Sku
from ordering_read.queries import View
from ordering_read.queries.customers import CustomerStatsView
from ordering_read.queries.inventory import StockMovementView
from ordering_read.queries.orders import OrderView
from ordering_read.queries.timeline import TimelineEntryView


class OrderRow(OrderView):
    """An order, with its reference and the colleague who has it."""

    external_reference: str
    assigned_to: OptionalText
    tags: tuple[str, ...]


class OrderLineRow(View):
    """A line of an order, with the order that it belongs to."""

    order_id: UUID
    order_number: str
    placed_at: datetime
    customer_id: UUID
    customer_name: str
    status: str
    line_id: UUID
    number: int
    product_id: UUID
    sku: Sku
    name: ProductName
    quantity: int
    cancelled: int
    packed: int
    shipped: int
    delivered: int
    failed: int
    returned: int
    currency: CurrencyCode
    unit_price: CurrencyAmount
    discount: CurrencyAmount
    surcharge: CurrencyAmount
    line_total: CurrencyAmount
    tax_class: OptionalText


class StockMovementRow(StockMovementView):
    """A movement, with its product."""

    product_id: UUID


class TimelineRow(TimelineEntryView):
    """An event, with its order."""

    order_id: UUID


class CustomerStatsRow(CustomerStatsView):
    """The orders of a customer in one currency, with the customer."""

    customer_id: UUID


class CommandRow(View):
    """A command that took effect."""

    recorded_at: datetime
    type: str
    actor: dict[str, str | None]
    user_id: UUID
    channel: str
    command_id: UUID


class RefusalRow(CommandRow):
    """A command that was refused."""

    command_id: UUID | None  # type: ignore[assignment]
    reason: str
    message: str
    stream: str


class EventRow(View):
    """An event of the log, without its personal fields, which aren't in the log."""

    recorded_at: datetime
    timestamp: datetime
    stream: str
    version: int
    type: str
    actor: dict[str, str | None]
    channel: str
    event_id: UUID
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    data: dict[str, Any]


class StatusCountRow(View):
    """The number of orders with a value of a facet."""

    facet: str
    value: str
    count: int
