"""What is asked about a customer."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from config.fields.text import Text
from ordering_write.domain.commands.base import Command, Reason
from ordering_write.domain.values import CustomerId

Email = Annotated[
    str,
    Text(max_length=254),
    Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", examples=["ada@example.com"]),
]
Name = Annotated[str, Text(max_length=200), Field(examples=["Robin Sample"])]
Phone = Annotated[str, Text(max_length=40, min_length=0)]


class RegisterCustomer(Command):
    """Make a customer known."""

    name: Name
    email: Email
    phone: Phone = ""
    customer_id: CustomerId | None = None


class ChangeCustomerDetails(Command):
    """Change what a customer is called and how to reach them; what is left out stays."""

    customer_id: UUID
    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None


class BlockCustomer(Command):
    """Keep a customer from placing orders."""

    customer_id: UUID
    reason: Reason


class UnblockCustomer(Command):
    """Let a blocked customer place orders again."""

    customer_id: UUID
    reason: Reason


class EraseCustomer(Command):
    """Erase a customer's personal data for good, everywhere. Open orders keep it from happening."""

    customer_id: UUID
    reason: Reason
