"""The query for what happened to an order since a version."""

from datetime import datetime

from config.http.input.ids import PathId
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actor_names import actor_name
from ordering_read.projections.timeline_sentences import Products, sentence_of
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.orders import events_of, readable
from ordering_read.queries.timeline import masked_sentence
from ordering_read.queries.views import View
from ordering_write.published import events as e

# The most changes that are listed, the newest ones.
_LISTED = 20


class OrderChangeView(View):
    """An event of an order as a sentence; ``at`` is the time (UTC) when it happened."""

    version: int
    at: datetime
    icon: TimelineEntry.Icon
    sentence: str


class GetOrderChanges(Query[tuple[OrderChangeView, ...]]):
    """List the newest events of an order after the version ``after``, the oldest first.

    The events come from the log, because the timeline may be behind it.
    """

    order_id: PathId
    after: int


@handles(GetOrderChanges)
class GetOrderChangesHandler(QueryHandler[GetOrderChanges, tuple[OrderChangeView, ...]]):
    """Reads the events of the order in one statement."""

    def handle(self, query: GetOrderChanges) -> tuple[OrderChangeView, ...]:
        events = readable(events_of(query, query.order_id))
        products = {
            event.line_id: event.name for event in events if isinstance(event, e.OrderItemAdded)
        }
        later = [event for event in events if event.recorded.version > query.after]
        return tuple(_view(query, event, products) for event in later[-_LISTED:])


def _view(query: GetOrderChanges, event: e.OrderEvent, products: Products) -> OrderChangeView:
    actor = actor_name(event.recorded.actor)
    sentence = sentence_of(event, actor, products)
    text = sentence.text
    if not query.with_personal:
        text = masked_sentence(event.type, text, actor)
    return OrderChangeView(
        version=event.recorded.version, at=event.timestamp, icon=sentence.icon, sentence=text
    )
