"""Example bodies with real ids, so that a person can send a form as it stands."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import customer_scope
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Customer, Order, StockItem

Body = dict[str, Any]


def order_bodies(user: User, order_id: str | None) -> dict[str, Body]:
    """Bodies for the forms of an order's page, or of the list when ``order_id`` is None."""
    if order_id is None:
        return {"create": _new_order(user)}
    try:
        order = Order.objects.filter(pk=UUID(order_id)).first()
    except ValueError:
        order = None
    moves = order.allowed_moves() if order else []
    status = moves[0] if moves else OrderStatus.CONFIRMED
    return {
        "cancel": {"reason": "The customer changed their mind", "reason_code": "customer"},
        "set_status": {"status": str(status)},
    }


def _new_order(user: User) -> Body:
    customers = Customer.objects.filter(status=Customer.Status.ACTIVE).order_by("pk")
    scope = customer_scope(user)
    if scope is not None:
        customers = customers.filter(pk=scope)
    customer = customers.first()
    product = (
        StockItem.objects.filter(on_hand__gt=F("reserved"), list_price__isnull=False)
        .order_by("pk")
        .first()
    )
    price = product.price if product else None
    return {
        "customer_id": str(customer.pk if customer else uuid7()),
        "currency": price.currency if price else settings.DEFAULT_CURRENCY,
        "items": [
            {
                "product_id": str(product.pk if product else uuid7()),
                "quantity": 1,
                "unit_price": str(price.amount) if price else "19.90",
            }
        ],
        "shipping_address": {
            "name": customer.name if customer else "Robin Sample",
            "line1": "1 Example Street",
            "city": "Sampleton",
            "postal_code": "12345",
            "country": "ES",
        },
    }


def stock_bodies() -> dict[str, Body]:
    """Bodies for the forms of the inventory's pages."""
    return {
        "create": {
            "sku": f"SAMPLE-{uuid7().hex[-6:].upper()}",
            "name": "Sample product",
            "on_hand": 25,
            "list_price": "12.50",
            "currency": settings.DEFAULT_CURRENCY,
        },
        "receipts": {"quantity": 10, "reference": "Delivery note 1"},
    }


def customer_bodies() -> dict[str, Body]:
    """Bodies for the forms of the customers' pages."""
    return {"create": {"name": "Robin Sample", "email": f"robin.{uuid7().hex[-6:]}@example.com"}}
