"""Customers, products and orders of acceptance tests, created over HTTP by one call each."""

from typing import Any
from uuid import uuid4

import httpx

from tests.acceptance.service import Service, wait_until

ADDRESS = {
    "name": "Robin Sample",
    "line1": "1 Example Street",
    "city": "Sampleton",
    "postal_code": "12345",
    "country": "ES",
}
PRICE = "19.90"


class Shop:
    """Creates customers, products and orders as an administrator, and reads them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.admin = service.client("admin")

    def customer(self, name: str = "Robin Sample") -> str:
        """Register a customer; return the id."""
        body = {"name": name, "email": f"{uuid4().hex}@example.com"}
        return str(created(self.admin.post("/customers", json=body))["customer_id"])

    def product(self, on_hand: int = 1_000, **fields: Any) -> str:
        """Register a product with this stock, at PRICE; return the id."""
        priced = {"list_price": PRICE, "currency": "EUR"}
        body = {"sku": uuid4().hex, "name": "Desk lamp", "on_hand": on_hand, **priced, **fields}
        return str(created(self.admin.post("/inventory", json=body))["product_id"])

    def body(
        self, customer: str, *products: str, quantity: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Return the body of an order of ``quantity`` units of each product."""
        items = [
            {"product_id": product, "quantity": quantity, "unit_price": PRICE}
            for product in products
        ]
        return {
            "customer_id": customer,
            "currency": "EUR",
            "items": items,
            "shipping_address": ADDRESS,
            **fields,
        }

    def order(self, customer: str = "", product: str = "", quantity: int = 1) -> str:
        """Place an order, which need not be readable yet; return the id."""
        body = self.body(customer or self.customer(), product or self.product(), quantity=quantity)
        return str(created(self.admin.post("/orders", json=body))["order_id"])

    def read(self, path: str) -> Any:
        """Return the body at ``path`` as soon as the read side has it."""
        return wait_until(
            lambda: (response := self.admin.get(path)).status_code == 200 and response.json(),
            missing=f"{path} doesn't appear",
        )

    def level(self, product: str) -> dict[str, int]:
        """Return the units on hand, reserved and available when all events are projected."""
        self.service.settle()
        body = self.read(f"/inventory/{product}")
        return {name: body[name] for name in ("on_hand", "reserved", "available")}


def created(response: httpx.Response) -> dict[str, Any]:
    """Return the body of a response that must have the status 201."""
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body
