"""Values of the domain: currencies, amounts, addresses, actors."""

from decimal import ROUND_HALF_UP, Decimal
from operator import not_
from typing import Annotated, Literal, Self
from uuid import UUID

import iso4217
import pycountry
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from config.fields.amount import Amount
from config.fields.text import Text

# ISO 4217: the minor unit of each currency, such as 0.01. Metals, funds and test codes have none.
MINOR_UNITS: dict[str, Decimal] = {
    currency.code: Decimal(1).scaleb(-currency.exponent)
    for currency in iso4217.Currency
    if currency.exponent is not None
}
COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)

# Marks a field that a release has added to an existing command or to a part of one. The payload
# omits the field without a value, so that its fingerprint is that of the release before, and a
# repeat across an upgrade is still a repeat.
ADDED = Field(exclude_if=not_)
# Marks such a field that is True, or None, unless a command says False.
ADDED_TRUE = Field(exclude_if=lambda value: value is not False)

# Replaces personal data once a customer has been erased.
ERASED = "[erased]"


def quantize(amount: Decimal, currency: str) -> Decimal:
    """Return ``amount`` rounded half up to the minor unit of ``currency`` (JPY 1, EUR 0.01)."""
    return amount.quantize(MINOR_UNITS[currency], ROUND_HALF_UP)


# Amounts are below this limit: their columns have 15 digits before the point.
TOO_LARGE = Decimal(10**15)

# Readers count the units of a product in 32 bits.
MOST_UNITS = 2**31 - 1


def has_minor_units_only(amount: Decimal, currency: str) -> bool:
    """Return True if ``amount`` has no more decimals than the minor unit of ``currency``."""
    return amount == quantize(amount, currency)


def _check_currency(code: str) -> str:
    if code not in MINOR_UNITS:
        raise PydanticCustomError("currency", "A currency is an ISO 4217 code such as EUR")
    return code


def _check_country(code: str) -> str:
    if code not in COUNTRIES:
        raise PydanticCustomError("country", "A country is an ISO 3166 code such as ES")
    return code


Currency = Annotated[
    str,
    AfterValidator(_check_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]}),
]
Country = Annotated[
    str,
    AfterValidator(_check_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["ES"]}),
]


class Value(BaseModel):
    """An immutable value: two values with equal fields are equal."""

    # Each process builds the validators that it needs: all of them take half a second.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Money(Value):
    """An amount with its currency, already rounded to the minor unit."""

    amount: Decimal
    currency: str

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Self:
        return cls(amount=quantize(amount, currency), currency=currency)


class Address(Value):
    """A postal address in a command."""

    name: Annotated[str, Text(max_length=200), Field(examples=["Robin Sample"])]
    line1: Annotated[str, Text(max_length=200), Field(examples=["1 Example Street"])]
    line2: Annotated[str, Text(max_length=200, min_length=0)] = ""
    city: Annotated[str, Text(max_length=200), Field(examples=["Sampleton"])]
    region: Annotated[str, Text(max_length=200, min_length=0)] = ""
    postal_code: Annotated[str, Text(max_length=20, min_length=0), Field(examples=["12345"])] = ""
    country: Country
    phone: Annotated[str, Text(max_length=40, min_length=0)] = ""


class Actor(Value):
    """The user, the policy, the command line or the gateway that gives a command.

    ``on_behalf_of`` is the id of the customer for whom another actor acts.
    """

    type: Literal["user", "policy", "cli", "gateway"]
    id: str
    label: str = ""
    on_behalf_of: str | None = None

    @classmethod
    def user(cls, user_id: UUID, label: str = "") -> Self:
        return cls(type="user", id=str(user_id), label=label)


# The examples of ids and prices are those of the demo's first customer and product.
CustomerId = Annotated[UUID, Field(examples=["a59311dc-9125-5fe6-8875-7eca2e6d52c1"])]
ProductId = Annotated[UUID, Field(examples=["f70de883-4b93-5701-bdd3-2042cdefb4d0"])]
# The number of events in a stream.
Version = Annotated[int, Field(examples=[3])]
Price = Annotated[Amount, Field(examples=["39.90"])]

Channel = Literal["api", "admin", "site", "cli", "policy", "python", "import", "webhook"]
# The channel of what happened before this service was there.
IMPORT: Channel = "import"
Quantity = Annotated[int, Field(strict=True, ge=1, le=10_000)]
