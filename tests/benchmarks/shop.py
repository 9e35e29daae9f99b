"""The customers and products of the service, and orders for them, by its command bus."""

from uuid import UUID, uuid4

from ordering_write.bus import get_command_bus
from ordering_write.client import CreateOrder, RegisterCustomer, RegisterStockItem
from ordering_write.domain.events import CustomerRegistered, StockItemRegistered
from tests.benchmarks.contestant import ADDRESS, PRICE, PRODUCTS, QUANTITY, picked

# More than one, because the orders of a customer are counted when one more is placed.
CUSTOMERS = 50
_USER = UUID(int=1)


class Shop:
    """Customers and products of the database of DATABASE_URL, and orders for them."""

    def __init__(self) -> None:
        self._bus = get_command_bus()
        self.customers = [self._customer() for _ in range(CUSTOMERS)]
        self.products = [self._product() for _ in range(PRODUCTS)]
        self._placed = 0

    def place(self, orders: int = 1) -> None:
        """Place so many orders."""
        for number in range(self._placed, self._placed + orders):
            items = [
                {"product_id": product, "quantity": QUANTITY, "unit_price": PRICE}
                for product in picked(self.products, number)
            ]
            self._bus.dispatch(
                CreateOrder.model_validate(
                    {
                        "user_id": _USER,
                        "customer_id": self.customers[number % CUSTOMERS],
                        "currency": "EUR",
                        "items": items,
                        "shipping_address": ADDRESS,
                    }
                )
            )
        self._placed += orders

    def _customer(self) -> UUID:
        command = RegisterCustomer(
            user_id=_USER, name="Robin Sample", email=f"{uuid4().hex}@example.com"
        )
        [event] = self._bus.dispatch(command)
        assert isinstance(event, CustomerRegistered)
        return event.customer_id

    def _product(self) -> UUID:
        command = RegisterStockItem.model_validate(
            {
                "user_id": _USER,
                "sku": uuid4().hex,
                "name": "Desk lamp",
                "on_hand": 1_000_000_000,
                "list_price": PRICE,
                "currency": "EUR",
            }
        )
        event = self._bus.dispatch(command)[0]
        assert isinstance(event, StockItemRegistered)
        return event.product_id
