"""Suggestions for fields in which people type: customers and products, as JSON."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from pydantic import ValidationError

from ordering_read import permissions
from ordering_read.admin.base import money
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.inventory import GetInventory
from ordering_read.screens.base import Screen

_MOST_SUGGESTIONS = 10


class Suggestions(Screen):
    """The base of lists of suggestions for the text ``q``: ``[{"value": …, "label": …}]``.

    The value is what the field takes, the label says what it is. Each list takes one statement.
    """

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        text = " ".join(request.GET.get("q", "").split())
        try:
            options = list(self.suggest(text)) if text else []
        except ValidationError:
            # No name has such characters, or so many.
            options = []
        suggestions = [
            {"value": value, "label": _with_text(label, value, text)} for value, label in options
        ]
        return JsonResponse(suggestions, safe=False)

    def suggest(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the value and the label of each suggestion for ``text``.

        Raises pydantic's ValidationError for a text that can't be searched.
        """
        raise NotImplementedError


class SuggestCustomers(Suggestions):
    """Customers by name, and by e-mail address and phone for users who may see these."""

    needed_permission = permissions.VIEW_CUSTOMERS

    def suggest(self, text: str) -> Iterator[tuple[str, str]]:
        query = ListCustomers(
            q=text, status=("active", "blocked"), cursor="", page_size=_MOST_SUGGESTIONS
        )
        for customer in self.ask(query).items:
            blocked = ", blocked" if customer.status == "blocked" else ""
            if self.may(permissions.VIEW_PII):
                phone = customer.phone and f", {customer.phone}"
                yield customer.email, f"{customer.name}{phone}{blocked}"
            else:
                yield customer.name, f"{customer.name}{blocked}"


class SuggestProducts(Suggestions):
    """Products by SKU and name, with what is available and the list prices."""

    needed_permission = permissions.VIEW_INVENTORY

    def suggest(self, text: str) -> Iterator[tuple[str, str]]:
        query = GetInventory(q=text, cursor="", page_size=_MOST_SUGGESTIONS)
        for product in self.ask(query).items:
            stock = f"{max(product.available, 0)} available"
            if product.discontinued_at:
                stock = "not sold any more"
            prices = [money(price.amount, price.currency) for price in product.prices]
            yield product.sku, ", ".join([product.name, stock, *prices])


def _with_text(label: str, value: str, text: str) -> str:
    """Return ``label`` with ``text`` in it: browsers hide suggestions without what was typed.

    They don't know that "jose" finds José, or that digits find a phone number with spaces.
    """
    if text.casefold() in f"{value}\n{label}".casefold():
        return label
    return f"{label} ({text})"
