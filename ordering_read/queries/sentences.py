"""The sentences of events of orders, by the order and the event's version in its stream."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from ordering_read.models import OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.queries.base import Query
from ordering_read.queries.timeline import masked_sentence
from ordering_read.queries.views import View

# An order's id, and the version of an event.
EventKey = tuple[UUID, int]


class SentenceView(View):
    """An event of an order in words. `order_number` is "" while the order isn't shown."""

    sentence: str
    icon: TimelineEntry.Icon
    order_number: str


def sentences_of(query: Query[Any], keys: Collection[EventKey]) -> dict[EventKey, SentenceView]:
    """Return the sentences of the events ``keys``, by one statement.

    Sentences have no personal texts unless ``query`` is made with them. An event that the timeline
    doesn't have yet is left out.
    """
    if not keys:
        return {}
    order = OrderSummary.live.filter(order_id=OuterRef("order_id"))
    rows = TimelineEntry.live.filter(
        # May select other versions of these orders too, which are few.
        order_id__in={order_id for order_id, _ in keys},
        version__in={version for _, version in keys},
    ).annotate(order_number=Subquery(order.values("order_number")[:1]))
    return {
        (row.order_id, row.version): SentenceView(
            sentence=row.sentence
            if query.with_personal
            else masked_sentence(row.type, row.sentence, row.actor),
            icon=TimelineEntry.Icon(row.icon),
            order_number=row.order_number or "",
        )
        for row in rows
    }
