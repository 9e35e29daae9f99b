"""Commands about customers."""

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
    """Register a customer."""

    name: Name
    email: Email
    phone: Phone = ""
    customer_id: CustomerId | None = None


class ChangeCustomerDetails(Command):
    """Change a customer's name, e-mail address or phone; fields left out stay."""

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
    """Erase a customer's personal data everywhere, for good. Open orders prevent it."""

    customer_id: UUID
    reason: Reason
