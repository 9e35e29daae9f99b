"""The names of the demo: customers, products, logins. They exist only where DEMO is on."""

from typing import NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5

from config.accounts.roles import Role

PASSWORD = "demo-password"  # noqa: S105 - printed on every start of the demo


class Product(NamedTuple):
    """A product: its list price contains the tax, by a rate of demo_tax_rates.csv."""

    sku: str
    name: str
    list_price: str
    currency: str
    on_hand: int
    tax_class: str | None = None
    backorderable: bool = False


PRODUCTS = (
    Product("LAMP-1", "Desk lamp", "39.90", "EUR", 400),
    Product("LAMP-2", "Floor lamp", "89.00", "EUR", 300),
    Product("CHAIR-1", "Folding chair", "49.50", "EUR", 350),
    Product("DESK-1", "Standing desk", "399.00", "EUR", 300),
    Product("SHELF-1", "Wall shelf", "24.90", "EUR", 400),
    Product("RUG-1", "Woollen rug", "129.00", "EUR", 300),
    Product("MUG-1", "Stoneware mug", "9.90", "EUR", 500),
    Product("CLOCK-1", "Wall clock", "34.00", "EUR", 260),
    Product("PLANT-1", "Olive tree", "29.00", "EUR", 200, "reduced"),
    Product("BOOK-1", "Cookbook", "24.00", "EUR", 250, "super-reduced"),
    Product("SOFA-1", "Corner sofa", "890.00", "EUR", 1, backorderable=True),
    Product("POSTER-1", "Art poster", "18.00", "USD", 200),
    Product("FRAME-1", "Picture frame", "26.50", "USD", 200),
)
CUSTOMERS = ("Robin Sample", "Kim Example", "Alex Placeholder", "Sam Specimen", "Jo Template")


class Login(NamedTuple):
    """A demo user; ``is_staff`` opens the admin."""

    username: str
    role: Role
    is_staff: bool = True
    customer_id: UUID | None = None


def demo_id(name: str) -> UUID:
    """Return the id of the demo's customer or product ``name``, the same in every demo."""
    return uuid5(NAMESPACE_DNS, f"{name}.demo.invalid")


def email_of(name: str) -> str:
    """Return the e-mail address of the demo's customer ``name``."""
    return f"{name.replace(' ', '.').lower()}@example.com"


ADMIN = Login("admin", Role.ADMIN)
CLERK = Login("clerk", Role.CLERK)
WAREHOUSE = Login("warehouse", Role.WAREHOUSE)
AUDITOR = Login("auditor", Role.AUDITOR)
CUSTOMER = Login("customer", Role.CUSTOMER, is_staff=False, customer_id=demo_id(CUSTOMERS[0]))
LOGINS = (ADMIN, CLERK, WAREHOUSE, AUDITOR, CUSTOMER)
