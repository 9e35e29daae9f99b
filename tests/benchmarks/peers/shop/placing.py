"""Placing an order with the ORM: one transaction, the stock locked, no log."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from tests.benchmarks.peers.shop.models import Order, OrderLine, Product


class OutOfStockError(Exception):
    """The product has fewer units than were ordered."""


@transaction.atomic
def place(
    customer_id: UUID,
    customer_name: str,
    items: Sequence[Mapping[str, Any]],
    address: Mapping[str, str],
    currency: str = "EUR",
) -> Order:
    """Place an order of ``items``, which have product_id, quantity and unit_price."""
    now = timezone.now()
    ids = {item["product_id"] for item in items}
    rows = Product.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    products = {product.pk: product for product in rows}
    total = sum((item["unit_price"] * item["quantity"] for item in items), Decimal(0))
    key = uuid4()
    order = Order.objects.create(
        id=key,
        order_number=f"2026-{key.hex[:12]}",
        customer_id=customer_id,
        customer_name=customer_name,
        total_amount=total,
        balance=total,
        currency=currency,
        item_count=len(items),
        unit_count=sum(item["quantity"] for item in items),
        created_at=now,
        updated_at=now,
        placed_on=now.date(),
        shipping_address=address,
    )
    lines = []
    for number, item in enumerate(items, 1):
        product = products[item["product_id"]]
        if product.stock < item["quantity"]:
            raise OutOfStockError(product.sku)
        product.stock -= item["quantity"]
        lines.append(
            OrderLine(
                order=order,
                number=number,
                product_id=product.pk,
                sku=product.sku,
                name=product.name,
                quantity=item["quantity"],
                unit_price=item["unit_price"],
                line_total=item["unit_price"] * item["quantity"],
            )
        )
    OrderLine.objects.bulk_create(lines)
    for product in products.values():
        product.save(update_fields=["stock"])
    return order
