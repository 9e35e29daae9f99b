"""The questions about orders."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ordering_read.models import OrderLine, OrderSummary
from ordering_read.queries.base import Query, QueryHandler, View
from ordering_write.published import NotFoundError, OrderStatus, quantize


class OrderNotFoundError(NotFoundError):
    """Order not found"""


class OrderView(View):
    """An order as lists show it."""

    id: UUID
    order_number: str
    customer_id: UUID
    customer_name: str
    status: OrderStatus
    total_amount: Decimal
    currency: str
    item_count: int
    unit_count: int
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class OrderLineView(View):
    """A line of an order."""

    line_id: UUID
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal


class AddressView(View):
    """An address as it was given; what was left out is empty."""

    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str


class OrderDetail(OrderView):
    """An order with its lines and addresses."""

    balance: Decimal
    external_reference: str
    tags: tuple[str, ...]
    items: tuple[OrderLineView, ...]
    shipping_address: AddressView
    billing_address: AddressView | None


class GetOrderById(Query[OrderDetail]):
    """One order, whole."""

    order_id: UUID


class GetOrderByIdHandler(QueryHandler[GetOrderById, OrderDetail]):
    """Reads the order and its lines, in two statements."""

    def handle(self, query: GetOrderById) -> OrderDetail:
        row = visible_orders(query).filter(order_id=query.order_id).first()
        if row is None:
            raise OrderNotFoundError
        # Of the row's generation, which another one may have replaced a moment ago.
        lines = OrderLine.objects.filter(projection_id=row.projection_id, order_id=row.order_id)
        return OrderDetail(
            **_header(row),
            balance=quantize(row.balance, row.currency),
            external_reference=row.external_reference,
            tags=tuple(row.tags),
            items=tuple(_line_view(line, row.currency) for line in lines.order_by("number")),
            shipping_address=AddressView(**row.shipping_address),
            billing_address=row.billing_address and AddressView(**row.billing_address),
        )


def visible_orders(query: Query[Any]) -> QuerySet[OrderSummary]:
    """The orders that the asker of ``query`` may see."""
    rows = OrderSummary.live.all()
    if query.customer_scope is None:
        return rows
    return rows.filter(customer_id=query.customer_scope)


def order_view(row: OrderSummary) -> OrderView:
    """An order as lists show it."""
    return OrderView(**_header(row))


def _header(row: OrderSummary) -> dict[str, Any]:
    return {
        "id": row.order_id,
        "order_number": row.order_number,
        "customer_id": row.customer_id,
        "customer_name": row.customer_name,
        "status": row.status,
        "total_amount": quantize(row.total_amount, row.currency),
        "currency": row.currency,
        "item_count": row.item_count,
        "unit_count": row.unit_count,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "version": row.version,
        "position": row.position,
    }


def _line_view(line: OrderLine, currency: str) -> OrderLineView:
    return OrderLineView(
        line_id=line.line_id,
        product_id=line.product_id,
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_price=quantize(line.unit_price, currency),
        line_total=quantize(line.line_total, currency),
    )
