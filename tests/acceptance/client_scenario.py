"""A program that uses the generated client: it places, reads, tries and cancels an order.

It meets the refusals 409, 412 and 422.

Arguments: the service's address, a token, the ids of a customer and of a product.
"""

import sys
from uuid import UUID, uuid4

from orders_client import AuthenticatedClient
from orders_client.api.orders import (
    cancel_order,
    confirm_order,
    create_order,
    order_get,
    preview_cancel_order,
)
from orders_client.models import (
    Address,
    CancelOrderBody,
    CodeEnum,
    CreateOrderBody,
    NewItem,
    NewOrder,
    OrderDetailBody,
    OrderOutcome,
    OrderStatus,
    Preview,
    Problem,
)


def run(client: AuthenticatedClient, *, customer_id: UUID, product_id: UUID) -> None:
    """Run the scenario. Raises AssertionError when a response differs."""
    body = CreateOrderBody(
        customer_id=customer_id,
        items=[NewItem(product_id=product_id, quantity=2, unit_price="19.90")],
        shipping_address=Address(
            name="Robin Sample", line1="1 Example Street", city="Sampleton", country="ES"
        ),
        currency="EUR",
    )
    placed = create_order.sync_detailed(client=client, body=body, idempotency_key=str(uuid4()))
    order = placed.parsed
    assert isinstance(order, NewOrder), order
    assert order.status is OrderStatus.PENDING

    token = placed.headers["Consistency-Token"]
    read = order_get.sync_detailed(
        order.order_id, client=client, consistency_token=token, prefer="wait=10"
    )
    shown = read.parsed
    assert isinstance(shown, OrderDetailBody), shown
    assert (shown.order_number, shown.total_amount) == (order.order_number, "39.80")
    assert [line.quantity for line in shown.items] == [2]

    why = CancelOrderBody(reason="Ordered twice")
    tag = read.headers["ETag"]
    preview = preview_cancel_order.sync(order.order_id, client=client, body=why, if_match=tag)
    assert isinstance(preview, Preview), preview
    assert preview.status_after == "cancelled"

    unreasoned = CancelOrderBody(reason="")
    invalid = cancel_order.sync(order.order_id, client=client, body=unreasoned)
    assert isinstance(invalid, Problem), invalid
    assert (invalid.status, invalid.code) == (422, CodeEnum.VALIDATION)

    cancelled = cancel_order.sync(order.order_id, client=client, body=why, if_match=tag)
    assert isinstance(cancelled, OrderOutcome), cancelled
    assert cancelled.status is OrderStatus.CANCELLED

    late = cancel_order.sync(order.order_id, client=client, body=why, if_match=tag)
    assert isinstance(late, Problem), late
    assert (late.status, late.current_version) == (412, cancelled.version)

    impossible = confirm_order.sync(order.order_id, client=client)
    assert isinstance(impossible, Problem), impossible
    assert (impossible.status, impossible.code) == (409, CodeEnum.INVALID_TRANSITION)


if __name__ == "__main__":
    address, token, customer, product = sys.argv[1:]
    run(
        AuthenticatedClient(base_url=address, token=token, prefix="Token"),
        customer_id=UUID(customer),
        product_id=UUID(product),
    )
