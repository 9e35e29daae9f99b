"""The query for the orders that the warehouse can pack and dispatch."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    CharField,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, JSONObject
from pydantic import Field

from ordering_read.documents import QueuedLine
from ordering_read.fields import (
    CountryCode,
    OptionalText,
    OrderNumber,
    Version,
)
from ordering_read.models import InventoryLevel, StockReservation
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.projections.counting_projector import store_day
from ordering_read.queries.backorders import EXPECTED, expected_at
from ordering_read.queries.base import QueryHandler, handles
from ordering_read.queries.filters import Several, order_by, where
from ordering_read.queries.lists import ListQuery, shop_wide
from ordering_read.queries.views import Page, View
from ordering_write.published import OrderStatus

_UNPAID = Q(balance__gt=F("authorized"))


class Readiness(StrEnum):
    """The share of an order that can be dispatched: green for all, amber for a part or for a part
    later, red for none."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class _LineId(View):
    line_id: UUID


# The fields of the last base come first: answers begin with the id.
class QueuedLineView(QueuedLine, _LineId):
    """The units of a line in the queue: `open` ones to be packed, `packed` ones to dispatch.

    `backordered` ones are open, and not in stock yet.
    """

    backordered: int


class QueuedOrderView(View):
    """An order with units to be packed or dispatched.

    `ready` is green when all units are in stock for the order, the order is paid or authorized, and
    the order isn't on hold. `ready` is red when the order is on hold, not confirmed, or not paid
    where payment comes before packing, and when no unit is in stock. Otherwise `ready` is amber.
    `reasons` lists what keeps the order from being green.
    """

    order_id: UUID
    order_number: OrderNumber
    placed_at: datetime
    status: OrderStatus
    ready: Readiness = Field(validation_alias="readiness")
    reasons: tuple[str, ...]
    units: int
    open_units: int
    packed_units: int
    backordered: int
    city: Annotated[str, Field(examples=["Sampleton"])]
    postal_code: Annotated[str, Field(examples=["12345"])]
    country: CountryCode
    assigned_to: OptionalText
    lines: tuple[QueuedLineView, ...]
    version: Version
    position: int


class GetFulfilmentQueue(ListQuery[QueuedOrderView]):
    """List the orders with units to be packed or dispatched, by default the oldest first."""

    ready: Annotated[Several[Readiness] | None, where("readiness__in")] = Field(
        None, description="Orders with one of these degrees of readiness."
    )
    assigned_to: Annotated[str | None, where("assigned_to")] = Field(
        None, max_length=150, description="The name of a user."
    )
    country: Annotated[str | None, where("country")] = Field(
        None, max_length=20, description="The country of the shipping address, an ISO 3166 code."
    )
    ordering: Annotated[
        Literal["placed_at", "-placed_at", "units", "-units"],
        order_by({"placed_at": ("placed_at", "order_id"), "units": ("units", "order_id")}),
    ] = Field("placed_at", description="A minus reverses the list.")

    def rows(self) -> QuerySet[QueuedOrder]:
        return self.select(shop_wide(self, queue()))


@handles(GetFulfilmentQueue)
class GetFulfilmentQueueHandler(QueryHandler[GetFulfilmentQueue, Page[QueuedOrderView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetFulfilmentQueue) -> Page[QueuedOrderView]:
        return query.page_of(query.rows(), queued_order_view)


def _backorder() -> JSONObject:
    """Return a backordered line with the units ahead and the units expected, as JSON."""
    of_product = {"projection_id": OuterRef("projection_id"), "product_id": OuterRef("product_id")}
    older = StockReservation.objects.filter(
        **of_product, backordered__gt=0, line_id__lte=OuterRef("line_id")
    )
    ahead = older.values("product_id").annotate(units=Sum("backordered")).values("units")
    expected = InventoryLevel.objects.filter(**of_product).values("expected")
    return JSONObject(
        line_id="line_id",
        units="backordered",
        ahead=Subquery(ahead),
        expected=Subquery(expected),
    )


def stopped() -> Q:
    """Return the condition of queued orders of which nothing may be packed now."""
    condition = Q(status=OrderStatus.PENDING) | ~Q(hold_reason="")
    if settings.PAYMENT_BEFORE_PACKING:
        condition |= _UNPAID & Q(open_units__gt=0)
    return condition


def queue() -> QuerySet[QueuedOrder]:
    """Return the orders in the queue, annotated with ``readiness`` and ``backorders``.

    ``backorders`` has the line, the units and the expected units of each backordered line.
    """
    of_order = StockReservation.live.filter(order_id=OuterRef("order_id"), backordered__gt=0)
    units = of_order.values("order_id").annotate(units=Sum("backordered")).values("units")
    return QueuedOrder.live.filter(units__gt=0).annotate(
        backordered=Coalesce(Subquery(units), 0),
        readiness=Case(
            When(stopped(), then=Value(Readiness.RED)),
            When(packed_units=0, backordered__gte=F("open_units"), then=Value(Readiness.RED)),
            When(_UNPAID | Q(backordered__gt=0), then=Value(Readiness.AMBER)),
            default=Value(Readiness.GREEN),
            output_field=CharField(),
        ),
        backorders=ArraySubquery(of_order.values(backorder=_backorder())),
    )


def queued_order_view(row: Any) -> QueuedOrderView:
    """Return the view of a row of ``queue()``."""
    backordered = backordered_units(row)
    lines = [
        {"line_id": line_id, "backordered": backordered.get(line_id, 0), **line}
        for line_id, line in row.lines.items()
        if line["open"] or line["packed"]
    ]
    return QueuedOrderView.of_row(row, lines=lines, reasons=tuple(reasons_of(row)))


def backordered_units(row: Any) -> dict[str, int]:
    """Return the backordered units of a row of ``queue()``, by the ids of their lines."""
    return {backorder["line_id"]: backorder["units"] for backorder in row.backorders}


def reasons_of(row: Any) -> Iterable[str]:
    """Yield what keeps a row of ``queue()`` from being green, as people read it."""
    if row.hold_reason:
        yield f"on hold: {row.hold_reason.replace('_', ' ')}"
    if row.status == OrderStatus.PENDING:
        yield "not confirmed"
    if row.balance > row.authorized:
        yield "not paid"
    for backorder in row.backorders:
        sku = row.lines[backorder["line_id"]]["sku"]
        time = expected_at(backorder["ahead"], EXPECTED.validate_python(backorder["expected"]))
        expected = f", expected {store_day(time)}" if time else ""
        yield f"{sku}: {backorder['units']} backordered{expected}"
