"""A contestant: saves the four events of an order with the library eventsourcing."""

import os
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from tests.benchmarks.contestant import ADDRESS, LINES, PRICE, PRODUCTS, QUANTITY, picked, serve
from tests.benchmarks.peers.library import environ_of


class Order(Aggregate):
    """An order with the fields of the service's own events."""

    @event("Created")
    def __init__(
        self,
        order_number: str,
        customer_id: UUID,
        customer_name: str,
        currency: str,
        shipping_address: dict[str, str],
    ) -> None:
        self.status = "pending"
        self.total = Decimal(0)
        self.lines: dict[UUID, int] = {}

    @event("ItemAdded")
    def add_item(
        self,
        product_id: UUID,
        sku: str,
        name: str,
        quantity: int,
        unit_price: Decimal,
        line_total: Decimal,
    ) -> None:
        self.lines[product_id] = quantity
        self.total += line_total


class Shop(Application[UUID]):
    """The application that stores the orders."""


def main() -> None:
    shop: Any = Shop(environ_of(os.environ["PEER_URL"]))
    products, customer = [uuid4() for _ in range(PRODUCTS)], uuid4()
    price = Decimal(PRICE)
    placed = 0

    def run(orders: int) -> None:
        nonlocal placed
        for number in range(placed, placed + orders):
            order = Order(f"2026-{number:06}", customer, "Robin Sample", "EUR", ADDRESS)
            for product in picked(products, number):
                order.add_item(product, "P-1", "Desk lamp", QUANTITY, price, QUANTITY * price)
            shop.save(order)
        placed += orders

    assert LINES == 3, "an order has four events"
    run(1)
    serve(run)


if __name__ == "__main__":
    main()
