"""The questions about orders."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import takewhile
from typing import Annotated, Any, cast
from uuid import UUID

from django.db.models import QuerySet
from pydantic import AwareDatetime, BaseModel, Field

from config.databases import tables
from ordering_read.documents import (
    AddressView,
    AdjustmentView,
    HoldView,
    NoteView,
    PaymentView,
    RefundView,
    ReturnView,
    ShipmentView,
)
from ordering_read.fields import CurrencyCode, CustomerId, OrderNumber, PersonName, Version
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.projections.order_view import fold_order
from ordering_read.queries.base import Query, QueryHandler, View
from ordering_read.queries.order_lines import OrderLineView
from ordering_write import published
from ordering_write.published import NotFoundError, OrderStatus, quantize
from ordering_write.published import events as e


class OrderNotFoundError(NotFoundError):
    """Order not found"""


class NotThenError(NotFoundError):
    """The order was not there then."""


class OrderView(View):
    """An order as lists show it.

    `position` is null as long as its last event has no place in the log yet, which only a read of
    the log itself can come upon.
    """

    id: UUID
    order_number: OrderNumber
    customer_id: CustomerId
    customer_name: PersonName
    status: OrderStatus
    payment_status: e.PaymentStatus
    fulfilment_status: e.FulfilmentStatus
    return_status: e.ReturnStatus
    on_hold: bool
    total_amount: Decimal
    balance: Decimal
    currency: CurrencyCode
    item_count: int
    unit_count: int
    created_at: datetime
    placed_on: date
    updated_at: datetime
    version: Version
    position: int | None


class OrderDetail(OrderView):
    """An order, whole.

    `balance` is `total_amount`, or nothing once the order is cancelled, less what was `captured`
    and not `refunded`: negative when money is owed to the customer. The tags, the hold and who the
    order is assigned to are for those who work here; customers get none.
    """

    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    external_reference: str
    replaces_order_id: UUID | None
    assigned_to: str | None
    tags: tuple[str, ...]
    hold: HoldView | None
    items: tuple[OrderLineView, ...]
    adjustments: tuple[AdjustmentView, ...]
    shipping_address: AddressView
    billing_address: AddressView | None
    shipments: tuple[ShipmentView, ...]
    payments: tuple[PaymentView, ...]
    refunds: tuple[RefundView, ...]
    returns: tuple[ReturnView, ...]
    notes: tuple[NoteView, ...]


class GetOrderById(Query[OrderDetail]):
    """One order, whole, as the read model shows it.

    Or as the read model would show it that has applied the order's events up to now (``strong``),
    up to the one number ``version``, or those that were recorded until ``as_of``: folded by the
    code of its projection.
    """

    order_id: UUID
    strong: bool = False
    version: Annotated[int, Field(ge=1)] | None = None
    as_of: AwareDatetime | None = None


class GetOrderByNumber(Query[OrderDetail]):
    """One order, whole, by the number that people know it by."""

    order_number: str


class GetOrderByIdHandler(QueryHandler[GetOrderById, OrderDetail]):
    """Reads the order and its lines, in two statements, or its events, in one."""

    def handle(self, query: GetOrderById) -> OrderDetail:
        if not (query.strong or query.version or query.as_of):
            return _whole(query, order_id=query.order_id)
        events = events_of(query, query.order_id)
        return order_after(query, events, version=query.version or _known(events, query.as_of))


class GetOrderByNumberHandler(QueryHandler[GetOrderByNumber, OrderDetail]):
    """Reads the order and its lines, in two statements."""

    def handle(self, query: GetOrderByNumber) -> OrderDetail:
        return _whole(query, order_number=query.order_number)


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
        "payment_status": row.payment_status,
        "fulfilment_status": row.fulfilment_status,
        "return_status": row.return_status,
        "on_hold": bool(row.hold_reason),
        "total_amount": quantize(row.total_amount, row.currency),
        "balance": quantize(row.balance, row.currency),
        "currency": row.currency,
        "item_count": row.item_count,
        "unit_count": row.unit_count,
        "created_at": row.created_at,
        "placed_on": row.placed_on,
        "updated_at": row.updated_at,
        "version": row.version,
        "position": row.position,
    }


def _whole(query: Query[OrderDetail], **wanted: Any) -> OrderDetail:
    if query.customer_scope is not None:
        wanted["customer_id"] = query.customer_scope
    found = OrderSummary.find_live(**wanted)
    if not found:
        raise OrderNotFoundError
    # Of the row's generation, which another one may have replaced a moment ago.
    [row] = found
    of_row = "projection_id = %s AND order_id = %s ORDER BY number"
    lines = tables.find(OrderLine, of_row, [row.projection_id, row.order_id])
    return _shown(query, row, lines)


def _shown(query: Query[Any], row: OrderSummary, lines: Iterable[OrderLine]) -> OrderDetail:
    order = whole_order(row, lines)
    return order if query.customer_scope is None else _for_the_customer(order)


# --- Read from the log -------------------------------------------------------------------------
def events_of(query: Query[Any], order_id: UUID) -> list[e.OrderEvent]:
    """All that has happened to an order that the asker of ``query`` may see, in one statement.

    Raises OrderNotFoundError when there is none, and UndecodableEventError when one can't be read.
    """
    try:
        events = cast(list[e.OrderEvent], published.read_stream(f"order-{order_id}"))
    except published.UndecodableEventError:
        # Only of an order that is seen anyway may it be told what is wrong with it.
        if query.customer_scope and not visible_orders(query).filter(order_id=order_id).exists():
            raise OrderNotFoundError from None
        raise
    if not events or query.customer_scope not in (None, events[0].customer_id):
        raise OrderNotFoundError
    return events


def order_after(query: Query[Any], events: Sequence[e.OrderEvent], *, version: int) -> OrderDetail:
    """The order of ``events`` as it was after so many of them, at least one.

    Raises NotThenError when there are fewer.
    """
    if version > len(events):
        raise NotThenError(f"The order has no version {version}; its newest is {len(events)}.")
    return _shown(query, *fold_order(events[:version]))


def _known(events: Sequence[e.OrderEvent], as_of: datetime | None) -> int:
    """How many of ``events`` had been recorded by then, None for now."""
    if as_of is None:
        return len(events)
    version = sum(1 for _ in takewhile(lambda one: one.recorded.recorded_at <= as_of, events))
    if not version:
        placed = events[0].recorded.recorded_at.isoformat()
        raise NotThenError(f"The order was not there then: it was recorded at {placed}.")
    return version


def whole_order(row: OrderSummary, lines: Iterable[OrderLine]) -> OrderDetail:
    """The order of ``row``, with its lines."""
    return OrderDetail(
        **_header(row),
        authorized=quantize(row.authorized, row.currency),
        captured=quantize(row.captured, row.currency),
        refunded=quantize(row.refunded, row.currency),
        external_reference=row.external_reference,
        replaces_order_id=row.replaces_order_id,
        assigned_to=row.assigned_to or None,
        tags=tuple(row.tags),
        hold=row.hold,
        items=tuple(_line_view(line, row.currency) for line in lines),
        adjustments=row.adjustments,
        shipping_address=row.shipping_address,
        billing_address=row.billing_address,
        shipments=row.shipments,
        payments=row.payments,
        refunds=row.refunds,
        returns=row.returns,
        notes=row.notes,
    )


def _line_view(line: OrderLine, currency: str) -> OrderLineView:
    return OrderLineView(
        line_id=line.line_id,
        product_id=line.product_id,
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        open=line.open,
        cancelled=line.cancelled,
        packed=line.packed,
        shipped=line.shipped,
        delivered=line.delivered,
        failed=line.failed,
        return_requested=line.return_requested,
        returned=line.returned,
        unit_price=quantize(line.unit_price, currency),
        line_total=quantize(line.line_total, currency),
        price_source=line.price_source,
        price_reason=line.price_reason or None,
    )


def _for_the_customer(order: OrderDetail) -> OrderDetail:
    """``order`` without what is written for those who work here."""
    no_price = {"price_source": None, "price_reason": None}
    public = (note for note in order.notes if note.visibility == e.Visibility.CUSTOMER)
    return order.model_copy(
        update={
            "assigned_to": None,
            "tags": (),
            "hold": None,
            "items": _each(order.items, **no_price),
            "refunds": _each(order.refunds, reason=None, failure=None),
            "returns": _each(order.returns, rejection=None),
            "notes": _each(public, by=None),
        }
    )


def _each(views: Iterable[BaseModel], **update: Any) -> tuple[BaseModel, ...]:
    return tuple(view.model_copy(update=update) for view in views)
