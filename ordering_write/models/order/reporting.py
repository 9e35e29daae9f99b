"""Changes of discounts and taxes, which the events of an order carry for reports."""

from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.domain.price_changes import discount_change, tax_changes
from ordering_write.domain.prices import ChargePrice, LinePrice, Price
from ordering_write.models.order.charging import Charging

# The events that can change the price of what is due.
_PRICE_EVENTS = (
    e.PricedEvent,
    e.OrderItemsCancelled,
    e.OrderCancelled,
    e.ShipmentFailed,
    e.ReturnReceived,
    e.LostUnitsMadeGood,
)


class Reporting(Charging):
    """Sets the changes of the discounts and taxes in the amount due on each event."""

    class Meta(Charging.Meta):
        abstract = True

    def _raise_event(self, event: DomainEvent) -> None:
        if not isinstance(event, _PRICE_EVENTS):
            super()._raise_event(event)
            return
        before = self._priced_parts()
        super()._raise_event(event)
        after = self._priced_parts()
        discount, taxes = discount_change(before, after), tax_changes(before, after)
        if discount or taxes:
            # Both fields are set: the currency of the taxes is that of ``discount_change``.
            changes = {"discount_change": self.money(discount), "tax_changes": taxes or None}
            event.describe(changes)

    def _priced_parts(self) -> list[Price]:
        """Return the prices of what is due, as far as events have priced it."""
        if self.status == OrderStatus.CANCELLED:
            return []
        return [
            *(
                self.rest(LinePrice(line_id=line.id, **line.price), line.ordered)
                for line in self.lines.values()
                if line.price is not None
            ),
            *map(ChargePrice.model_validate, self.charges or ()),
        ]
