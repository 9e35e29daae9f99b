"""The kit for tests of imports: lines of a file of past orders, and the command that reads it."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.core.management import CommandError, call_command
from django.db import transaction

from ordering_write.models import Order, StockItem
from tests.kit import ADDRESS

PLACED = "2019-05-01T23:30:00+00:00"


def import_lines(
    folder: Path, *lines: Mapping[str, Any] | str, user: str = "integration", **options: Any
) -> SimpleNamespace:
    """Import the lines through a file in ``folder``; return what the command says.

    ``reports`` are the refused lines, ``counts`` is the summary without its time, and ``error`` the
    message of a command that fails.
    """
    file = folder / "history.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts))
    out, error = io.StringIO(), ""
    try:
        call_command("import_orders", user=user, file=str(file), stdout=out, **options)
    except CommandError as caught:
        error = str(caught)
    *reports, summary = out.getvalue().splitlines()
    return SimpleNamespace(reports=reports, counts=summary.partition(" in ")[0], error=error)


def line(**fields: Any) -> dict[str, Any]:
    """An imported order of three lamps at 10.00, which only was placed."""
    return {
        "number": "1001",
        "customer": {"name": "Robin Sample", "email": "robin@example.com"},
        "placed_at": PLACED,
        "currency": "EUR",
        "items": [{"sku": "LAMP-1", "quantity": 3, "unit_price": "10.00"}],
        "shipping_address": ADDRESS,
        "status": "pending",
        **fields,
    }


def units(quantity: int, line: int = 1) -> list[dict[str, int]]:
    return [{"line": line, "quantity": quantity}]


DELIVERED = {
    "status": "delivered",
    "shipments": [
        {"dispatched_at": "2019-05-04T10:00:00Z", "delivered_at": "2019-05-06T10:00:00Z"}
    ],
}
# One of three lamps was cancelled, one arrived and came back, and one got lost.
WHOLE_LIFE = line(
    status="completed",
    payments=[{"payment_id": "p-1", "amount": "30.00", "happened_at": "2019-05-02T10:00:00Z"}],
    cancellations=[{"items": units(1), "happened_at": "2019-05-03T10:00:00Z"}],
    shipments=[
        {
            "items": units(1),
            "carrier": "Sample Post",
            "tracking_number": "SP1",
            "dispatched_at": "2019-05-04T10:00:00Z",
            "delivered_at": "2019-05-06T10:00:00Z",
        },
        {
            "items": units(1),
            "dispatched_at": "2019-05-04T11:00:00Z",
            "failed_at": "2019-05-07T10:00:00Z",
        },
    ],
    returns=[
        {
            "items": [{"line": 1, "quantity": 1, "damaged": 1}],
            "reason": "damaged",
            "received_at": "2019-05-20T10:00:00Z",
        }
    ],
    refunds=[{"amount": "30.00", "reference": "re-1", "happened_at": "2019-05-21T10:00:00Z"}],
    note="Came by telephone",
    tags=["gift"],
)


def imported_order(number: str = "1001") -> Order:
    with transaction.atomic():
        return Order.load(Order.objects.get(order_number=number).pk)


def levels(product: StockItem) -> tuple[int, int]:
    product.refresh_from_db()
    return product.on_hand, product.reserved
