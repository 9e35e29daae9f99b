"""Commands about customers."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from config.fields.text import Text, identity
from ordering_write.domain.commands.base import Command, Reason
from ordering_write.domain.metadata import Metadata, MetadataChanges
from ordering_write.domain.values import ADDED, CustomerId

_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


def _check_shape(email: str) -> str:
    if not re.fullmatch(_EMAIL, email):
        raise PydanticCustomError(
            "string_pattern_mismatch", "An e-mail address looks like robin@example.com"
        )
    if not re.match(_EMAIL, identity(email)):
        raise PydanticCustomError("text_invisible", "A part of the address is invisible")
    return email


Email = Annotated[
    str,
    Text(max_length=254),
    Field(examples=["ada@example.com"]),
    AfterValidator(_check_shape),
]
Name = Annotated[str, Text(max_length=200), Field(examples=["Robin Sample"])]
Phone = Annotated[str, Text(max_length=40, min_length=0)]


class RegisterCustomer(Command):
    """Register a customer."""

    name: Name
    email: Email
    phone: Phone = ""
    metadata: Annotated[Metadata, ADDED] = {}
    customer_id: CustomerId | None = None


class ChangeCustomerDetails(Command):
    """Change a customer's name, e-mail address or phone; fields left out stay."""

    customer_id: UUID
    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None


class SetCustomerMetadata(Command):
    """Set or remove pairs of the metadata of a customer. Other pairs stay.

    A value of null removes its pair.
    """

    customer_id: UUID
    metadata: MetadataChanges


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
