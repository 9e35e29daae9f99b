"""The projection behind the tabs above lists of orders."""

from collections.abc import Iterator

from ordering_read.models.status_counter import StatusCounter
from ordering_read.projections.counting import CountingProjector
from ordering_write.published import events as e


class StatusCounterProjection(CountingProjector):
    """Fills ``status_counter``: an order is counted where it is, and no longer where it was.

    Events tell each facet under its own name.
    """

    name = "status_counter"
    version = 2
    events = (e.OrderEvent,)
    models = (StatusCounter,)

    def count(self, event: e.OrderEvent) -> Iterator[StatusCounter]:
        for facet in StatusCounter.Facet.values:
            value, before = getattr(event, facet), getattr(event, f"{facet}_before")
            if before:
                yield StatusCounter(facet=facet, value=before, count=-1)
            if value and (before or isinstance(event, e.OrderCreated)):
                yield StatusCounter(facet=facet, value=value, count=1)
