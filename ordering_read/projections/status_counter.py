"""The projection of the tabs above lists of orders."""

from collections.abc import Iterator

from ordering_read.models.status_counter import StatusCounter
from ordering_read.projections.counting_projector import CountingProjector
from ordering_write.published import events as e


class StatusCounterProjection(CountingProjector):
    """Fills ``status_counter``: moves an order from the count of its old value to that of the new.

    Each facet is named like the field of events that carries its value.
    """

    name = "status_counter"
    version = 2
    events = (e.OrderEvent,)
    models = (StatusCounter,)

    def increments(self, event: e.OrderEvent) -> Iterator[StatusCounter]:
        for facet in StatusCounter.Facet.values:
            value, before = getattr(event, facet), getattr(event, f"{facet}_before")
            if before:
                yield StatusCounter(facet=facet, value=before, count=-1)
            if value and (before or isinstance(event, e.OrderCreated)):
                yield StatusCounter(facet=facet, value=value, count=1)
