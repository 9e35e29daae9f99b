"""The policy that notifies customers."""

from collections.abc import Sequence
from datetime import datetime

from ordering_write.domain import events as e
from ordering_write.domain.commands import Command
from ordering_write.domain.values import ERASED
from ordering_write.policies.base import Policy, Trigger
from ordering_write.ports import notifier_port
from ordering_write.ports.notifier import News, Notice

_NEWS: dict[type[e.OrderEvent], News] = {
    e.OrderCreated: News.PLACED,
    e.ShipmentDispatched: News.SHIPPED,
    e.OrderCancelled: News.CANCELLED,
    e.RefundSettled: News.REFUNDED,
}


class TellCustomers(Policy):
    """Notifies the customer of the steps of an order, by the NotifierPort."""

    name = "tell_customers"
    events = tuple(_NEWS)

    def when(self, event: e.OrderEvent) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[Command]:
        event = trigger.event
        created = event if isinstance(event, e.OrderCreated) else trigger.history()[0]
        # An erased customer has no address any more.
        if created.customer.email != ERASED:
            notice = Notice(
                news=_NEWS[type(event)],
                order_id=event.order_id,
                order_number=created.order_number,
                customer=created.customer,
                event=event,
            )
            notifier_port().tell(notice, key=trigger.key)
        return []
