"""The policy that notifies customers."""

from collections.abc import Sequence
from datetime import datetime

from ordering_write.domain import events as e
from ordering_write.domain.commands import Command
from ordering_write.domain.values import ERASED
from ordering_write.policies.base import Policy, Trigger
from ordering_write.ports import notifier_port
from ordering_write.ports.notifier import Notice, NoticeKind

_KINDS: dict[type[e.OrderEvent], NoticeKind] = {
    e.OrderCreated: NoticeKind.PLACED,
    e.ShipmentDispatched: NoticeKind.SHIPPED,
    e.OrderCancelled: NoticeKind.CANCELLED,
    e.RefundSettled: NoticeKind.REFUNDED,
}


class TellCustomers(Policy):
    """Notifies the customer of the steps of an order, by the NotifierPort."""

    name = "tell_customers"
    label = "notices to customers"
    events = tuple(_KINDS)

    def when(self, event: e.OrderEvent) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[Command]:
        event = trigger.event
        created = event if isinstance(event, e.OrderCreated) else trigger.history()[0]
        # An erased customer has no address any more.
        if created.customer.email != ERASED:
            notice = Notice(
                kind=_KINDS[type(event)],
                order_id=event.order_id,
                order_number=created.order_number,
                customer=created.customer,
                event=event,
            )
            notifier_port().send(notice, key=trigger.key)
        return []
