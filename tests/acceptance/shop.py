"""What there is to sell, and to whom: made over HTTP, in a line of a test."""

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
    """Makes customers, products and orders as an administrator, and looks at them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.admin = service.client("admin")

    def customer(self, name: str = "Robin Sample") -> str:
        """The id of a new customer."""
        body = {"name": name, "email": f"{uuid4().hex}@example.com"}
        return str(made(self.admin.post("/customers", json=body))["customer_id"])

    def product(self, on_hand: int = 1_000, **fields: Any) -> str:
        """The id of a new product with this stock, at PRICE."""
        priced = {"list_price": PRICE, "currency": "EUR"}
        body = {"sku": uuid4().hex, "name": "Desk lamp", "on_hand": on_hand, **priced, **fields}
        return str(made(self.admin.post("/inventory", json=body))["product_id"])

    def body(self, customer: str, *products: str, quantity: int = 1, **more: Any) -> dict[str, Any]:
        """The body of an order of ``quantity`` units of each product."""
        items = [
            {"product_id": product, "quantity": quantity, "unit_price": PRICE}
            for product in products
        ]
        return {
            "customer_id": customer,
            "currency": "EUR",
            "items": items,
            "shipping_address": ADDRESS,
            **more,
        }

    def order(self, customer: str = "", product: str = "", quantity: int = 1) -> str:
        """The id of a new order, which need not be visible yet."""
        body = self.body(customer or self.customer(), product or self.product(), quantity=quantity)
        return str(made(self.admin.post("/orders", json=body))["order_id"])

    def seen(self, path: str) -> Any:
        """What is at ``path``, as soon as it is there."""
        return wait_until(
            lambda: (answer := self.admin.get(path)).status_code == 200 and answer.json(),
            missing=f"{path} doesn't appear",
        )

    def level(self, product: str) -> dict[str, int]:
        """What is on hand, reserved and available, when the read side has seen everything."""
        self.service.settle()
        body = self.seen(f"/inventory/{product}")
        return {name: body[name] for name in ("on_hand", "reserved", "available")}


def made(answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer that says that something was made."""
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body
