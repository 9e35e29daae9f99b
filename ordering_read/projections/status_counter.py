"""The projection behind the tabs above lists of orders."""

from collections.abc import Iterator
from functools import partial
from typing import cast

from ordering_read.models.status_counter import StatusCounter
from ordering_read.projections.counting import CountingProjector
from ordering_write.published import events as e


class StatusCounterProjection(CountingProjector):
    """Fills ``status_counter``: an order is counted where it is, and no longer where it was."""

    name = "status_counter"
    version = 1
    events = (e.OrderEvent,)
    models = (StatusCounter,)

    def count(self, event: e.OrderEvent) -> Iterator[StatusCounter]:
        row = partial(StatusCounter, facet=StatusCounter.Facet.STATUS)
        if event.status_before:
            yield row(value=event.status_before, count=-1)
        if event.status_before or isinstance(event, e.OrderCreated):
            yield row(value=cast(str, event.status), count=1)
