"""The query for the timeline of an order."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.db.models import QuerySet
from pydantic import Field

from config.http.input.ids import PathId
from ordering_read.fields import Version
from ordering_read.models import OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.permissions import MASK
from ordering_read.projections.timeline_sentences import note_sentence
from ordering_read.queries.base import QueryHandler, handles
from ordering_read.queries.filters import where
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.orders import OrderNotFoundError
from ordering_read.queries.views import Page, View
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

Visibility = TimelineEntry.Visibility

# The types with personal fields whose sentences quote at most the name of the customer, which all
# users who may see the order may see.
_QUOTES_A_NAME_AT_MOST = frozenset({e.OrderCreated, e.ShippingAddressChanged})


class TimelineEntryView(View):
    """An event of an order, as a sentence. `actor` is null for customers."""

    at: datetime
    sentence: str
    visibility: Visibility
    icon: TimelineEntry.Icon
    actor: str | None
    channel: str
    type: str
    event_id: UUID
    version: Version
    position: int


class GetTimeline(ListQuery[TimelineEntryView]):
    """List the events of an order, oldest first; customers don't see internal events."""

    order_id: Annotated[PathId, where("order_id")]
    visibility: Annotated[Visibility | None, where("visibility")] = Field(
        None, description="Entries of this visibility only."
    )

    def rows(self) -> QuerySet[TimelineEntry]:
        rows = TimelineEntry.live.all()
        if self.customer_scope is not None:
            rows = rows.filter(customer_id=self.customer_scope, visibility=Visibility.CUSTOMER)
        return self.select(rows).order_by("version")


@handles(GetTimeline)
class GetTimelineHandler(QueryHandler[GetTimeline, Page[TimelineEntryView]]):
    """Reads a page, in one statement; for an empty page, checks that the order exists."""

    def handle(self, query: GetTimeline) -> Page[TimelineEntryView]:
        view = TimelineEntryView.of_row if query.customer_scope is None else _customer_view
        page = query.page_of(query.rows(), view)
        # Checked last, because the projection of the order may be behind that of the timeline.
        if not page.items and not self._order_exists(query):
            raise OrderNotFoundError
        return page

    def _order_exists(self, query: GetTimeline) -> bool:
        orders = OrderSummary.live.filter(order_id=query.order_id)
        if query.customer_scope is not None:
            orders = orders.filter(customer_id=query.customer_scope)
        return orders.exists()


def _customer_view(row: TimelineEntry) -> TimelineEntryView:
    return TimelineEntryView.of_row(row, sentence=row.customer_sentence, actor=None)


def masked_sentence(type_name: str, sentence: str, actor: str | None) -> str:
    """Return ``sentence``, of an event of the type ``type_name``, without personal texts.

    A note keeps its form. Any other sentence that may quote a personal field becomes MASK: a new
    type of event is masked as soon as it names such a field, and so is a type this code lacks.
    """
    event_type = DomainEvent.types.get(type_name)
    if event_type is e.NoteAdded:
        return note_sentence(MASK, actor)
    if event_type in _QUOTES_A_NAME_AT_MOST or (event_type and not event_type.personal):
        return sentence
    return f"{actor}: {MASK}" if actor else MASK
