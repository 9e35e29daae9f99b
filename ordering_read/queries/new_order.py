"""Queries of the form for a new order: the products of its lines, a customer's past addresses."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Annotated, Any
from uuid import UUID

from django.db.models import IntegerField, Q, QuerySet, Value
from pydantic import Field

from config.fields.text import identity_key
from ordering_read.documents import AddressView, ExpectationView
from ordering_read.models import InventoryLevel, OrderSummary
from ordering_read.models.search import ProductSearch
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import SearchText, words
from ordering_read.queries.inventory import AvailabilityView
from ordering_read.queries.lists import shop_wide

# A query looks for the words of at most this many texts, and returns so many products of each.
_MOST_SEARCHES = 5
_MOST_MATCHES = 6
# The orders in which a customer's past addresses are looked for, and the most addresses returned.
_LAST_ORDERS = 20
_MOST_ADDRESSES = 5


class OfferView(AvailabilityView):
    """A product as a line of a new order shows it.

    `available` is negative if more units are promised than are on hand. More units than that can be
    ordered of a `backorderable` product; `expected` are those that are expected to come in.
    """

    backorderable: bool
    expected: tuple[ExpectationView, ...]

    def price_in(self, currency: str) -> Decimal | None:
        """Return the list price of a unit in ``currency``, or None."""
        amounts = (price.amount for price in self.prices if price.currency == currency)
        return next(amounts, None)

    def complete_at(self, quantity: int) -> datetime | None:
        """Return when enough units for ``quantity`` more are expected (UTC); None if not known."""
        units = self.available
        for expectation in self.expected:
            units += expectation.quantity
            if units >= quantity:
                return expectation.at
        return None


class FindOffers(Query[Mapping[str, Sequence[OfferView]]]):
    """Find the products that each of ``texts`` names; the answer is keyed by ``identity_key``.

    A text that is a SKU, in any spelling, names this product only. Other texts are words of SKUs
    and names; only the first few of them are looked for.
    """

    texts: Annotated[tuple[SearchText, ...], Field(max_length=200)]


@handles(FindOffers)
class FindOffersHandler(QueryHandler[FindOffers, Mapping[str, Sequence[OfferView]]]):
    """Reads all SKUs in one statement, and looks for the words of other texts in another."""

    def handle(self, query: FindOffers) -> Mapping[str, Sequence[OfferView]]:
        texts = {identity_key(text): text for text in query.texts}
        # Rows of former releases have no keys.
        is_named = Q(sku_key__in=texts) | Q(sku_key="", sku__in=query.texts)
        rows = InventoryLevel.live.filter(is_named) if texts else ()
        matches = {identity_key(row.sku): [OfferView.of_row(row)] for row in rows}
        others = [key for key in texts if key not in matches][:_MOST_SEARCHES]
        if others:
            row: Any
            searches = [_search(query, texts[key], number) for number, key in enumerate(others)]
            for row in reduce(lambda first, second: first.union(second, all=True), searches):
                matches.setdefault(others[row.text_number], []).append(OfferView.of_row(row))
        return matches


def _search(query: FindOffers, text: str, number: int) -> "QuerySet[InventoryLevel]":
    found = ProductSearch.live.filter(document=words(query, text)).values("product_id")
    rows = InventoryLevel.live.filter(product_id__in=found)
    rows = rows.annotate(text_number=Value(number, IntegerField()))
    return rows.order_by("sku")[:_MOST_MATCHES]


class GetPastAddresses(Query[tuple[AddressView, ...]]):
    """Get the addresses of a customer's last orders, the last one first, each once.

    Users who may not see personal data get none.
    """

    customer_id: UUID


@handles(GetPastAddresses)
class GetPastAddressesHandler(QueryHandler[GetPastAddresses, tuple[AddressView, ...]]):
    """Reads the last orders in one statement."""

    def handle(self, query: GetPastAddresses) -> tuple[AddressView, ...]:
        if not query.with_personal:
            return ()
        orders = shop_wide(query, OrderSummary.live.filter(customer_id=query.customer_id))
        newest = orders.order_by("-created_at", "-order_id")[:_LAST_ORDERS]
        documents = newest.values_list("shipping_address", flat=True)
        addresses = [AddressView.model_validate(document) for document in documents if document]
        # A dict keeps the first of equal addresses in its place.
        return tuple(dict.fromkeys(addresses))[:_MOST_ADDRESSES]
