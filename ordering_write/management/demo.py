"""The logins of the demo. They exist only where DEMO is on; their password is no secret."""

from typing import NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5

from config.accounts.roles import Role

PASSWORD = "demo-password"  # noqa: S105 - printed on every start of the demo


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


ADMIN = Login("admin", Role.ADMIN)
CLERK = Login("clerk", Role.CLERK)
WAREHOUSE = Login("warehouse", Role.WAREHOUSE)
AUDITOR = Login("auditor", Role.AUDITOR)
CUSTOMER = Login("customer", Role.CUSTOMER, is_staff=False, customer_id=demo_id(CUSTOMERS[0]))
LOGINS = (ADMIN, CLERK, WAREHOUSE, AUDITOR, CUSTOMER)
