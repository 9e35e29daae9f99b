"""Queries for one order, from the read model or folded from the log."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import takewhile
from typing import Annotated, Any, ClassVar, Literal, Self, cast
from uuid import UUID

from django.db.models import QuerySet
from django.utils.timezone import localtime
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from config.http.input.ids import PathId
from config.http.input.query import number
from ordering_read.documents import (
    AddressView,
    AdjustmentView,
    ChargeView,
    CreditTransferView,
    HoldView,
    NoteView,
    PaymentView,
    RefundView,
    ReplacementView,
    ReturnView,
    ShipmentView,
    TaxView,
)
from ordering_read.fields import (
    CurrencyAmount,
    CurrencyCode,
    CustomerId,
    OptionalText,
    OrderNumber,
    PersonName,
    Version,
)
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.projections.order_view import fold_versions
from ordering_read.queries.backorders import backorder_of, order_with_lines
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import Moment
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.order_sums import OrderSums, sums_of, taxes_of
from ordering_read.queries.views import FORMER_NAME, View
from ordering_write import published
from ordering_write.published import (
    NotFoundError,
    OrderStatus,
    UndecodableEvent,
    spelled_order_number,
)
from ordering_write.published import events as e

# An upper limit for the number of events in a stream.
MAX_VERSION = 10**9

# An event of an order as it is read from the log.
AnyEvent = e.OrderEvent | UndecodableEvent


class OrderNotFoundError(NotFoundError):
    """Order not found"""


class NotThenError(NotFoundError):
    """The order was not there then."""


class OrderView(View):
    """An order as lists show it. Customers don't see `metadata`.

    `id` is another name of `order_id`, until version 2.
    `attention` has the reasons for which a person must look at the money; customers don't see them.
    `position` is null if the last event of the order has no position in the log yet, which can
    happen only when the order was folded from the log.
    """

    order_id: UUID
    id: UUID = Field(validation_alias="order_id", json_schema_extra=FORMER_NAME)
    order_number: OrderNumber
    customer_id: CustomerId
    customer_name: PersonName
    status: OrderStatus
    payment_status: e.PaymentStatus
    fulfilment_status: e.FulfilmentStatus
    return_status: e.ReturnStatus
    on_hold: Annotated[bool, BeforeValidator(bool)] = Field(validation_alias="hold_reason")
    total_amount: CurrencyAmount
    balance: CurrencyAmount
    attention: tuple[e.Attention, ...]
    currency: CurrencyCode
    item_count: int
    unit_count: int
    created_at: datetime
    placed_on: date
    po_number: str
    metadata: dict[str, str]
    updated_at: datetime
    version: Version
    position: int | None


class OrderDetail(OrderView):
    """A whole order.

    `balance` is the amount due: `total_amount`, or zero for a cancelled order, minus the amount
    that was `captured` and not `refunded`. A negative `balance` is owed to the customer. `charges`
    are the adjustments that aren't discounts or taxes, with their shares of these; null for an
    order whose adjustments have no shares. `taxes` are the sums of the taxes on lines and charges.
    `backordered` are the units that aren't in stock yet, and `expected_at` is the time at which the
    last of them is expected to come in; both are null where they aren't known, as in a past state.
    Customers don't see tags, hold and assignee.
    """

    authorized: CurrencyAmount
    captured: CurrencyAmount
    refunded: CurrencyAmount
    external_reference: str
    replaces_order_id: UUID | None
    replaces_order_number: str
    replaced_by: tuple[ReplacementView, ...]
    assigned_to: OptionalText
    tags: tuple[str, ...]
    hold: HoldView | None
    backordered: int | None
    expected_at: datetime | None
    items: tuple[OrderLineView, ...]
    adjustments: tuple[AdjustmentView, ...]
    charges: tuple[ChargeView, ...] | None
    taxes: tuple[TaxView, ...]
    sums: OrderSums
    shipping_address: AddressView | None
    billing_address: AddressView | None
    shipments: tuple[ShipmentView, ...]
    payments: tuple[PaymentView, ...]
    refunds: tuple[RefundView, ...]
    returns: tuple[ReturnView, ...]
    transfers: tuple[CreditTransferView, ...]
    notes: tuple[NoteView, ...]


class GetOrderById(Query[OrderDetail]):
    """Get a whole order from the read model, or folded from its events by the same projection.

    With ``consistency`` the order is folded from all events, with ``version`` from that number of
    events, with ``as_of`` from the events that were recorded until then.
    """

    LOG_PARAMETERS: ClassVar = frozenset({"consistency", "version", "as_of"})

    order_id: PathId
    consistency: Literal["strong"] | None = Field(
        None,
        description="`strong`: read the events of the order, so that the answer is never behind.",
    )
    version: number(ge=1, le=MAX_VERSION) | None = Field(  # type: ignore[valid-type]
        None, description="The order after this number of its events."
    )
    as_of: Moment | None = Field(
        None,
        description="The order as it was recorded at this moment; a day is its first moment in the "
        "store's time zone.",
    )

    @property
    def looks_back(self) -> bool:
        """Return True if the query is for a past state of the order."""
        return self.version is not None or self.as_of is not None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.model_fields_set & self.LOG_PARAMETERS) > 1:
            raise ValueError("an order is shown strong, at a version or as of a time: one of them")
        return self


class GetOrderByNumber(Query[OrderDetail]):
    """Get a whole order by its order number, however it is spelled."""

    order_number: SkipJsonSchema[str]


@handles(GetOrderById)
class GetOrderByIdHandler(QueryHandler[GetOrderById, OrderDetail]):
    """Reads the order with its lines, or its events, in one statement."""

    def handle(self, query: GetOrderById) -> OrderDetail:
        if not (query.consistency or query.looks_back):
            return _read(query, order_id=query.order_id)
        events = events_of(query, query.order_id, until=query.version)
        version = query.version or version_at(events, query.as_of)
        return order_after(query, events, version=version)


@handles(GetOrderByNumber)
class GetOrderByNumberHandler(QueryHandler[GetOrderByNumber, OrderDetail]):
    """Reads the order with its lines, in one statement."""

    def handle(self, query: GetOrderByNumber) -> OrderDetail:
        return _read(query, order_number=spelled_order_number(query.order_number))


def visible_orders(query: Query[Any]) -> QuerySet[OrderSummary]:
    """Return the orders that the user of ``query`` may see."""
    rows = OrderSummary.live.all()
    if query.customer_scope is None:
        return rows
    return rows.filter(customer_id=query.customer_scope)


def order_detail(row: OrderSummary, lines: Iterable[OrderLine]) -> OrderDetail:
    """Return the whole order of ``row`` and its ``lines``."""
    lines = list(lines)
    return OrderDetail.of_row(
        row,
        items=lines,
        sums=sums_of(row, lines),
        taxes=taxes_of(row, lines),
        **backorder_of(lines),
    )


def _read(query: Query[OrderDetail], **columns: Any) -> OrderDetail:
    order = order_with_lines(**columns, **_scope(query))
    if order is None:
        raise OrderNotFoundError
    return visible_detail(query, *order)


def visible_row(query: Query[Any], **columns: Any) -> OrderSummary:
    """Return the row of the order with these columns. Raises OrderNotFoundError.

    An order of which the user of ``query`` may see nothing isn't found.
    """
    rows = OrderSummary.find_live(**columns, **_scope(query))
    if not rows:
        raise OrderNotFoundError
    [row] = rows
    return row


def _scope(query: Query[Any]) -> dict[str, Any]:
    """Return the columns, with their values, of all orders that the user of ``query`` may see."""
    return {} if query.customer_scope is None else {"customer_id": query.customer_scope}


def visible_detail(query: Query[Any], row: OrderSummary, lines: Iterable[OrderLine]) -> OrderDetail:
    """Return the whole order of ``row``, as far as the user of ``query`` may see it."""
    order = order_detail(row, lines)
    return order if query.customer_scope is None else _without_staff_fields(order)


# --- Read from the log -------------------------------------------------------------------------
def events_of(query: Query[Any], order_id: UUID, *, until: int | None = None) -> list[AnyEvent]:
    """Return all events of an order that the user of ``query`` may see, in one statement.

    Events after the version ``until`` are left out. An event that this code can't read comes as an
    UndecodableEvent. Raises OrderNotFoundError for an order without events.
    """
    streams = [f"order-{order_id}"]
    events = cast(list[AnyEvent], published.read_streams(streams, until=until))
    if not events or not _is_in_scope(query, events[0], order_id):
        raise OrderNotFoundError
    return events


def _is_in_scope(query: Query[Any], first: AnyEvent, order_id: UUID) -> bool:
    if query.customer_scope is None:
        return True
    if isinstance(first, UndecodableEvent):
        return visible_orders(query).filter(order_id=order_id).exists()
    return query.customer_scope == first.customer_id


def order_after(query: Query[Any], events: Sequence[AnyEvent], *, version: int) -> OrderDetail:
    """Return the order after the first ``version`` (at least 1) of its ``events``.

    Raises NotThenError when there are fewer events, and UndecodableEventError when one of these
    events can't be read.
    """
    return orders_after(query, events, versions=[version])[version]


def orders_after(
    query: Query[Any], events: Sequence[AnyEvent], *, versions: Iterable[int]
) -> dict[int, OrderDetail]:
    """Return the order after each of the ``versions``, as ``order_after`` does, in one pass."""
    ascending = sorted(versions)
    newest = ascending[-1]
    if newest > len(events):
        raise NotThenError(f"The order has no version {newest}; its newest is {len(events)}.")
    states = fold_versions(readable(events[:newest]), ascending)
    details = (visible_detail(query, row, lines) for row, lines in states)
    return dict(zip(ascending, details, strict=True))


def readable(events: Sequence[AnyEvent]) -> list[e.OrderEvent]:
    """Return ``events``. Raises UndecodableEventError when one of them can't be read."""
    for event in events:
        if isinstance(event, UndecodableEvent):
            raise published.UndecodableEventError(event)
    return cast(list[e.OrderEvent], list(events))


def version_at(events: Sequence[AnyEvent], as_of: datetime | None) -> int:
    """Return the number of ``events`` that were recorded until ``as_of``; of all events for None.

    Raises NotThenError when no event was recorded until then.
    """
    if as_of is None:
        return len(events)
    version = sum(1 for _ in takewhile(lambda event: event.recorded.recorded_at <= as_of, events))
    if not version:
        placed = localtime(events[0].recorded.recorded_at).isoformat()
        raise NotThenError(f"The order was not there then: it was recorded at {placed}.")
    return version


def _without_staff_fields(order: OrderDetail) -> OrderDetail:
    """Return ``order`` without the fields that its customer may not see."""
    public_notes = (note for note in order.notes if note.visibility == e.Visibility.CUSTOMER)
    return order.model_copy(
        update={
            "attention": (),
            "assigned_to": None,
            "tags": (),
            "metadata": {},
            "hold": None,
            "items": _updated(order.items, price_source=None, price_reason=None, metadata={}),
            "refunds": _updated(order.refunds, reason=None, failure=None),
            "returns": tuple(map(_without_reasons, order.returns)),
            "notes": _updated(public_notes, by=None),
        }
    )


def _without_reasons(order_return: ReturnView) -> ReturnView:
    exchange = order_return.exchange
    if exchange is not None:
        exchange = exchange.model_copy(update={"failure": None})
    return order_return.model_copy(update={"rejection": None, "exchange": exchange})


def _updated(documents: Iterable[BaseModel], **fields: Any) -> tuple[BaseModel, ...]:
    return tuple(document.model_copy(update=fields) for document in documents)
