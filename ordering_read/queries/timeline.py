"""The question what has happened to an order."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from ordering_read.fields import Version
from ordering_read.models import OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.queries.base import ListQuery, Page, QueryHandler, View
from ordering_read.queries.orders import OrderNotFoundError

Visibility = TimelineEntry.Visibility
Icon = TimelineEntry.Icon


class TimelineEntryView(View):
    """One thing that has happened. The actor is told to those who may see every order."""

    at: datetime
    sentence: str
    visibility: Visibility
    icon: Icon
    actor: str | None
    channel: str
    type: str
    event_id: UUID
    version: Version
    position: int


class GetTimeline(ListQuery[TimelineEntryView]):
    """What has happened to an order, in that order; what customers may know, for one of them."""

    order_id: UUID
    visibility: Visibility | None = None


class GetTimelineHandler(QueryHandler[GetTimeline, Page[TimelineEntryView]]):
    """Reads a page, in one statement, and looks further when it has found nothing."""

    def handle(self, query: GetTimeline) -> Page[TimelineEntryView]:
        rows = self._visible(query)
        if query.visibility is not None:
            rows = rows.filter(visibility=query.visibility)
        limited = query.customer_scope is not None
        page = query.page_of(rows.order_by("version"), lambda row: _view(row, limited=limited))
        # Asked last: the timeline may be projected later than the order.
        if not page.items and not self._is_known(query):
            raise OrderNotFoundError
        return page

    def _visible(self, query: GetTimeline) -> QuerySet[TimelineEntry]:
        rows = TimelineEntry.live.filter(order_id=query.order_id)
        if query.customer_scope is None:
            return rows
        return rows.filter(customer_id=query.customer_scope, visibility=Visibility.CUSTOMER)

    def _is_known(self, query: GetTimeline) -> bool:
        orders = OrderSummary.live.filter(order_id=query.order_id)
        if query.customer_scope is not None:
            orders = orders.filter(customer_id=query.customer_scope)
        return orders.exists()


def _view(row: TimelineEntry, *, limited: bool) -> TimelineEntryView:
    return TimelineEntryView(
        at=row.at,
        sentence=row.customer_sentence if limited else row.sentence,
        visibility=Visibility(row.visibility),
        icon=Icon(row.icon),
        actor=None if limited else row.actor,
        channel=row.channel,
        type=row.type,
        event_id=row.event_id,
        version=row.version,
        position=row.position,
    )
