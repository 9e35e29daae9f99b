"""The projection of the report of taxes by day."""

from collections.abc import Iterator
from decimal import Decimal

from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.projections.counting_projector import CountingProjector, store_day
from ordering_read.projections.receivables import TOTAL_EVENTS, currency_of
from ordering_write.published import events as e


class TaxByDayProjection(CountingProjector):
    """Fills ``tax_by_day`` with the changes of taxes in the events."""

    name = "tax_by_day"
    version = 1
    events = TOTAL_EVENTS
    models = (TaxByDay,)

    def increments(self, event: e.OrderEvent) -> Iterator[TaxByDay]:
        for tax in event.tax_changes or ():
            yield TaxByDay(
                day=store_day(event.timestamp),
                currency=currency_of(event),
                jurisdiction=tax.jurisdiction or "",
                label=tax.label,
                rate="" if tax.rate is None else _plain(tax.rate),
                is_included=tax.included,
                base=tax.base,
                amount=tax.amount,
            )


def _plain(rate: Decimal) -> str:
    """Return a rate without zeros at its end, so that 21 and 21.00 name one row."""
    return f"{rate.normalize():f}"
