"""The projection of the customer list."""

from collections.abc import Sequence

from config.fields.text import identity_key
from ordering_read.models import CustomerSummary
from ordering_read.projections.stream_rows import fold
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class CustomerProjection(Projector):
    """Fills ``customer_view``."""

    name = "customer_view"
    version = 3
    events = (e.CustomerEvent,)
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


def _change(row: CustomerSummary, event: e.CustomerEvent) -> None:
    if isinstance(event, e.CustomerRegistered | e.CustomerDetailsChanged) and event.email:
        row.email_key = identity_key(event.email)
    status = CustomerSummary.Status
    match event:
        case e.CustomerRegistered():
            row.name, row.email, row.phone = event.name, event.email, event.phone
            row.status = status.ACTIVE
            row.registered_at = event.timestamp
        case e.CustomerDetailsChanged():
            for column in ("name", "email", "phone"):
                if (text := getattr(event, column)) is not None:
                    setattr(row, column, text)
        case e.CustomerMetadataChanged():
            row.metadata = event.merged(row.metadata)
        case e.CustomerBlocked():
            row.status = status.BLOCKED
        case e.CustomerUnblocked():
            row.status = status.ACTIVE
        case e.CustomerErased():
            row.status = status.ERASED
