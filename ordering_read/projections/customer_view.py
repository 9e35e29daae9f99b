"""The projection behind the customer list."""

from collections.abc import Sequence

from ordering_read.engine.base import Projector
from ordering_read.models import CustomerSummary
from ordering_read.projections.stream_rows import fold
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class CustomerProjection(Projector):
    """Fills ``customer_view``."""

    name = "customer_view"
    version = 1
    events = (e.CustomerRegistered,)
    sliced_by = "stream"
    models = (CustomerSummary,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        fold(
            CustomerSummary,
            batch,
            projection_id,
            key="customer_id",
            begins=e.CustomerRegistered,
            change=_change,
        )


def _change(row: CustomerSummary, event: e.CustomerRegistered) -> None:
    row.name = event.name
    row.email = event.email
    row.status = "active"
    row.registered_at = event.timestamp
