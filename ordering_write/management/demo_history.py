"""The orders of the demo from before the shop moved in: imported, with what happened to them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ordering_write.management.demo import CUSTOMERS, email_of

_DAY = timedelta(days=1)


def past_orders(until: datetime) -> Iterator[dict[str, Any]]:
    """Yield the payloads of ImportOrder of past orders, which all end before ``until`` (UTC)."""
    yield _order(
        1001,
        until - 300 * _DAY,
        {"sku": "CHAIR-1", "quantity": 2, "unit_price": "49.50"},
        adjustments=[
            {"kind": "discount", "label": "Spring sale", "amount": "20.00"},
            {"kind": "shipping", "label": "Parcel", "amount": "10.00"},
        ],
        paid="89.00",
        returned=1,
        refunded="39.50",
        status="completed",
    )
    yield _order(
        1002,
        until - 240 * _DAY,
        {"sku": "LAMP-1", "quantity": 1, "unit_price": "39.90", "discount": "4.00"},
        paid="35.90",
        status="delivered",
    )
    yield _order(
        1003,
        until - 180 * _DAY,
        {"sku": "MUG-1", "name": "Stoneware mug, blue", "quantity": 6, "unit_price": "9.50"},
        paid="57.00",
        refunded="57.00",
        status="cancelled",
    )
    yield _order(
        1004,
        until - 120 * _DAY,
        {"sku": "POSTER-1", "quantity": 3, "unit_price": "18.00"},
        currency="USD",
        paid="54.00",
        status="completed",
    )


def _order(
    number: int,
    placed_at: datetime,
    item: dict[str, Any],
    *,
    status: str,
    paid: str,
    returned: int = 0,
    refunded: str = "",
    **fields: Any,
) -> dict[str, Any]:
    """Return an order that was paid at once; unless it was cancelled, it arrived in one parcel."""
    customer = CUSTOMERS[number % len(CUSTOMERS)]
    payload = {
        "number": f"A-{number}",
        "customer": {"name": customer, "email": email_of(customer)},
        "placed_at": placed_at,
        "currency": "EUR",
        "items": [item],
        "shipping_address": {
            "name": customer,
            "line1": f"{number} Example Street",
            "city": "Sampleton",
            "postal_code": "10000",
            "country": "ES",
        },
        "status": status,
        "payments": [{"amount": paid, "method": "card", "happened_at": placed_at}],
        **fields,
    }
    if status == "cancelled":
        happened_at = placed_at + _DAY
        payload["cancellations"] = [{"reason": "Ordered twice", "happened_at": happened_at}]
    else:
        times = {"dispatched_at": placed_at + _DAY, "delivered_at": placed_at + 3 * _DAY}
        payload["shipments"] = [{"carrier": "Example Parcels", **times}]
    if returned:
        units = [{"line": 1, "quantity": returned}]
        received_at = placed_at + 12 * _DAY
        payload["returns"] = [{"items": units, "reason": "unwanted", "received_at": received_at}]
    if refunded:
        happened_at = placed_at + 14 * _DAY
        payload["refunds"] = [
            {"amount": refunded, "reference": f"re-{number}", "happened_at": happened_at}
        ]
    return payload
