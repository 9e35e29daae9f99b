"""The question which orders the warehouse can pack and dispatch."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Case,
    CharField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    UUIDField,
    Value,
    When,
)
from django.db.models.functions import JSONObject
from django_filters import CharFilter, Filter
from pydantic import BaseModel, Field

from ordering_read.documents import QueuedLine
from ordering_read.fields import (
    CountryCode,
    OrderNumber,
    Version,
)
from ordering_read.models import InventoryLevel
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.base import ListQuery, Page, QueryHandler, View, shop_wide
from ordering_read.queries.filters import QueryFilterSet, Several, StableOrdering
from ordering_write.published import OrderStatus


class Readiness(StrEnum):
    """Whether an order can go: wholly, perhaps or in part, or not at all."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class QueuedLineView(QueuedLine):
    """The units of a line that are yet to be packed, or are packed and haven't left."""

    line_id: UUID


class QueuedOrderView(View):
    """An order of which units are left to be packed or dispatched.

    `ready` is green when all of them are there, paid or authorized, and nothing holds the order;
    `reasons` say why it isn't. It is red when the order is on hold, not confirmed or not paid where
    that comes first, or when nothing of it is on hand; else amber.
    """

    order_id: UUID
    order_number: OrderNumber
    placed_at: datetime
    status: OrderStatus
    ready: Readiness
    reasons: tuple[str, ...]
    units: int
    open_units: int
    packed_units: int
    city: Annotated[str, Field(examples=["Sampleton"])]
    postal_code: Annotated[str, Field(examples=["12345"])]
    country: CountryCode
    assigned_to: str | None
    lines: tuple[QueuedLineView, ...]
    version: Version
    position: int


class QueueFilters(BaseModel):
    """What the queue can be narrowed down by, and its order."""

    ready: Several[Readiness] | None = None
    assigned_to: str | None = Field(None, max_length=150, description="The name of a user.")
    country: str | None = Field(
        None, max_length=20, description="An ISO 3166 code: where the order goes."
    )
    ordering: Literal["placed_at", "-placed_at", "units", "-units"] = Field(
        "placed_at", description="A minus turns the list round."
    )


class GetFulfilmentQueue(QueueFilters, ListQuery[QueuedOrderView]):
    """The orders of which something is left, the oldest first unless asked for otherwise."""


class QueueFilterSet(QueryFilterSet):
    """How each of them is asked of the rows."""

    ready = Filter("readiness", "in")
    assigned_to = CharFilter()
    country = CharFilter()
    ordering = StableOrdering(
        {"placed_at": ("placed_at", "order_id"), "units": ("units", "order_id")}
    )


class GetFulfilmentQueueHandler(QueryHandler[GetFulfilmentQueue, Page[QueuedOrderView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetFulfilmentQueue) -> Page[QueuedOrderView]:
        rows = QueueFilterSet(query, shop_wide(query, queue())).qs
        return query.page_of(rows, queued_order_view)


def queue() -> QuerySet[QueuedOrder]:
    """The orders in the queue, each with its ``readiness`` and, of the products that it waits for,
    those of which more is promised than there is as ``short``."""
    levels = InventoryLevel.live.filter(available__lt=0)
    short = ArraySubquery(levels.values("product_id"))
    gone = ArraySubquery(levels.filter(on_hand__lte=0).values("product_id"))
    is_owed = Q(balance__gt=F("authorized"))
    is_stopped = Q(status=OrderStatus.PENDING) | ~Q(hold_reason="")
    if settings.PAYMENT_BEFORE_PACKING:
        is_stopped |= is_owed & Q(open_units__gt=0)
    awaited = ExpressionWrapper(OuterRef("open_products"), ArrayField(UUIDField()))
    own = levels.alias(awaited=awaited).filter(awaited__contains=[F("product_id")]).order_by("sku")
    told = own.values(level=JSONObject(sku="sku", on_hand="on_hand", reserved="reserved"))
    return QueuedOrder.live.filter(units__gt=0).annotate(
        readiness=Case(
            When(is_stopped, then=Value(Readiness.RED)),
            When(packed_units=0, open_products__contained_by=gone, then=Value(Readiness.RED)),
            When(is_owed | Q(open_products__overlap=short), then=Value(Readiness.AMBER)),
            default=Value(Readiness.GREEN),
            output_field=CharField(),
        ),
        short=ArraySubquery(told),
    )


def queued_order_view(row: Any) -> QueuedOrderView:
    """A row of ``queue()`` as the queue shows it."""
    return QueuedOrderView(
        order_id=row.order_id,
        order_number=row.order_number,
        placed_at=row.placed_at,
        status=row.status,
        ready=row.readiness,
        reasons=tuple(_reasons(row)),
        units=row.units,
        open_units=row.open_units,
        packed_units=row.packed_units,
        city=row.city,
        postal_code=row.postal_code,
        country=row.country,
        assigned_to=row.assigned_to or None,
        lines=tuple(
            QueuedLineView(line_id=line_id, **line)
            for line_id, line in row.lines.items()
            if line["open"] or line["packed"]
        ),
        version=row.version,
        position=row.position,
    )


def _reasons(row: Any) -> Iterable[str]:
    if row.hold_reason:
        yield f"on hold: {row.hold_reason.replace('_', ' ')}"
    if row.status == OrderStatus.PENDING:
        yield "not confirmed"
    if row.balance > row.authorized:
        yield "not paid"
    for level in row.short:
        yield f"{level['sku']}: {level['on_hand']} on hand, {level['reserved']} promised"
