"""The customer of a new order: the customers that a text names, and their former addresses."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError

from config.fields.text import identity_key
from ordering_read.admin.codes import countries
from ordering_read.documents import AddressView
from ordering_read.queries.base import Query
from ordering_read.queries.customers import (
    CustomerNotFoundError,
    CustomerView,
    GetCustomerById,
    ListCustomers,
)
from ordering_read.queries.new_order import GetPastAddresses

# Answers a query within the rights of a user.
Ask = Callable[[Query[Any]], Any]
# The most customers to choose from.
_MOST_CUSTOMERS = 8


class PastAddress(NamedTuple):
    """An address to choose: its key, its text, and the address."""

    key: str
    text: str
    address: AddressView


def customer_of_id(ask: Ask, customer_id: UUID) -> Sequence[CustomerView]:
    """Return the customer with this id in a list, which is empty if there is none."""
    try:
        return [ask(GetCustomerById(customer_id=customer_id))]
    except CustomerNotFoundError:
        return []


def customers_named(ask: Ask, text: str) -> Sequence[CustomerView]:
    """Return the customers with these words in their names, e-mail addresses or phone numbers.

    A whole e-mail address names its owner only.
    """
    try:
        query = ListCustomers(
            q=text, status=("active", "blocked"), cursor="", page_size=_MOST_CUSTOMERS
        )
    except ValidationError:
        return []
    found: Sequence[CustomerView] = ask(query).items if text else []
    return [customer for customer in found if has_email(customer, text)] or found


def has_email(customer: CustomerView, text: str) -> bool:
    """Return True if ``text`` is the e-mail address of ``customer``, in any spelling."""
    return identity_key(customer.email) == identity_key(text)


def past_addresses(ask: Ask, customer_id: UUID) -> Sequence[PastAddress]:
    """Return the addresses of the customer's last orders, the last one first."""
    names = dict(countries())
    return [
        PastAddress(_key(address), _text(address, names), address)
        for address in ask(GetPastAddresses(customer_id=customer_id))
    ]


def _key(address: AddressView) -> str:
    return hashlib.sha256(address.model_dump_json().encode()).hexdigest()[:16]


def _text(address: AddressView, countries: Mapping[str, str]) -> str:
    """Return an address in one line, with the name of its country."""
    city = f"{address.postal_code} {address.city}".strip()
    country = countries.get(address.country, address.country)
    parts = (address.name, address.line1, address.line2, city, address.region, country)
    return ", ".join(filter(None, parts))
