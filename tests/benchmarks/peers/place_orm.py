"""A contestant: places orders of three lines with Django's ORM."""

import os
from decimal import Decimal

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.peers.settings"
django.setup()

from tests.benchmarks.contestant import ADDRESS, PRICE, QUANTITY, picked, serve  # noqa: E402
from tests.benchmarks.peers.shop.models import Customer, Product  # noqa: E402
from tests.benchmarks.peers.shop.placing import place  # noqa: E402


def main() -> None:
    customer = Customer.objects.get()
    products = list(Product.objects.order_by("sku").values_list("pk", flat=True))
    placed = 0

    def run(orders: int) -> None:
        nonlocal placed
        for number in range(placed, placed + orders):
            items = [
                {"product_id": product, "quantity": QUANTITY, "unit_price": Decimal(PRICE)}
                for product in picked(products, number)
            ]
            place(customer.pk, customer.name, items, ADDRESS)
        placed += orders

    run(1)
    serve(run)


if __name__ == "__main__":
    main()
