"""The first events of an order that a program makes in memory, without the shop."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.values import Address, Money
from ordering_write.models.order.parts import OrderItem


def present() -> datetime:
    """Return the present time (UTC), the default of calls by hand. Handlers pass the time."""
    return datetime.now(UTC)


def events_of(
    customer_id: UUID, items: Sequence[OrderItem], shipping_address: Address, *, now: datetime
) -> tuple[e.OrderCreated, list[e.OrderItemAdded]]:
    """Return the events of an order with these ``items``, in the shop's currency.

    The shop would know more: the number of the order, the customer's name and e-mail address, the
    SKUs and names of the products. Here the number and the SKUs are empty.
    """
    currency, order_id = settings.DEFAULT_CURRENCY, uuid7()
    created = e.OrderCreated(
        timestamp=now,
        order_id=order_id,
        customer_id=customer_id,
        order_number="",
        customer=e.Person(name=shipping_address.name, email=""),
        shipping_address=e.PostalAddress(**shipping_address.model_dump()),
        currency=currency,
        placed_at=now,
        source="python",
    )
    return created, [_added(item, created) for item in items]


def _added(item: OrderItem, created: e.OrderCreated) -> e.OrderItemAdded:
    unit_price = Money.of(item.unit_price, created.currency)
    return e.OrderItemAdded(
        timestamp=created.timestamp,
        order_id=created.order_id,
        line_id=uuid7(),
        product_id=item.product_id,
        sku=item.sku,
        name=item.name,
        quantity=item.quantity,
        unit_price=unit_price,
        line_total=Money.of(unit_price.amount * item.quantity, created.currency),
        price_source="client",
    )
