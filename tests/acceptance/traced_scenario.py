"""A customer orders and reads, and a forked process applies the events, as workers do.

``python -m tests.acceptance.traced_scenario TOKEN TRACE UNSAMPLED``: the last two are ids of
traces, of which the caller records the first one only.
"""

import multiprocessing
import os
import sys
from typing import Any
from uuid import uuid4

PERSON = {"name": "Robin Unmistakable", "email": "robin.unmistakable@example.com"}
ADDRESS = {
    "name": "Robin Sample",
    "line1": "1 Example Street",
    "city": "Sampleton",
    "postal_code": "12345",
    "country": "ES",
}


def main(token: str, trace: str, unsampled: str) -> None:
    from django.test import Client

    client = Client(
        SERVER_NAME="localhost",
        HTTP_AUTHORIZATION=f"Token {token}",
        HTTP_USER_AGENT="unmistakable-browser",
    )

    def post(path: str, body: Any, **headers: str) -> Any:
        return client.post(f"/api/v1{path}", body, "application/json", headers=headers)

    customer = post("/customers", PERSON).json()["customer_id"]
    assert post("/customers", PERSON).status_code == 409
    stock = {"sku": uuid4().hex, "name": "Lamp", "on_hand": 9}
    product = post("/inventory", stock).json()["product_id"]
    # Later batches have events of the orders only.
    apply_in_child()
    items = [{"product_id": product, "quantity": 1, "unit_price": "9.90"}]
    order = {
        "customer_id": customer,
        "currency": "EUR",
        "items": items,
        "shipping_address": ADDRESS,
    }
    for trace_id, flags in ((trace, "01"), (unsampled, "00")):
        header = f"00-{trace_id}-00000000000000aa-{flags}"
        placed = post("/orders", order, traceparent=header)
        assert placed.status_code == 201, placed.content
        apply_in_child()
        path = f"/api/v1/orders/{placed.json()['order_id']}"
        assert client.get(path, headers={"traceparent": header}).status_code == 200
    client.get("/api/v1/customers", {"search": PERSON["email"]})
    client.get("/readyz")
    stranger = client.get("/api/v1/orders", headers={"host": "elsewhere.example"})
    assert stranger.status_code == 400
    assert "Request-Id" in stranger.headers


def apply_in_child() -> None:
    """Apply all events in a forked process."""
    from django.db import connections

    connections.close_all()
    child = multiprocessing.get_context("fork").Process(target=apply)
    child.start()
    child.join()
    assert child.exitcode == 0


def apply() -> None:
    from ordering_write import subscriptions

    for subscription in subscriptions.registered():
        subscription.run(*subscription.names())


if __name__ == "__main__":
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    main(*sys.argv[1:])
