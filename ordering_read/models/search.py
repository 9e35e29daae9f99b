"""The read models of search: the texts by which orders, customers and products are found."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db import models
from django.db.models import Q

from ordering_read.models.search_words import (
    document_words,
    number_endings,
    phone_endings,
    quoted,
    search_query,
)
from ordering_read.models.stream_row import StreamRow
from ordering_write.published import ERASED

# The most bytes of a tsvector, which PostgreSQL limits to 1 MB.
_BYTES = 500_000
# A tsvector stores a weight with a position, so each weight gets a position of its own.
_WEIGHT_POSITIONS = {"A": "1A", "B": "2B", "C": "3C", "D": "4D"}


class _TextsDescriptor:
    """Computes a row's ``document`` from its texts, and ignores loaded or assigned values."""

    def __init__(self, _field: models.Field) -> None:
        pass

    def __get__(self, row: "SearchRow | None", _owner: object = None) -> Any:
        return self if row is None else _vector(row.words())

    def __set__(self, row: "SearchRow", value: object) -> None:
        pass


class DocumentField(SearchVectorField):
    """A tsvector column with the words of a SearchRow's texts, for the index."""

    descriptor_class = _TextsDescriptor


class SearchRow(StreamRow):
    """The ``texts`` by which an order, a customer or a product is found, and an index of their
    words.

    ``weights`` says who may find the row by a text, and how much a match counts: A everybody, B
    users who may see personal data, C staff, D staff who may see personal data. The name of a text
    is a key of ``weights``; a text of which an order has several has an id after a colon:
    ``note:0192…``.
    """

    projection_name: ClassVar[str] = "search"
    documents = {"texts": dict[str, str]}
    weights: ClassVar[Mapping[str, str]]

    texts = models.JSONField(default=dict)
    document = DocumentField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return ", ".join(self.texts.values())

    def set_text(self, name: str, text: str | None) -> None:
        """Replace the text ``name``; None removes it, and so does ERASED, which nobody finds."""
        self.texts.pop(name, None)
        if text and text != ERASED:
            self.texts[name] = text

    def words(self) -> Iterator[tuple[str, str]]:
        """Yield the words of all texts, each with its weight."""
        for name, text in self.texts.items():
            weight = self.weights[name.partition(":")[0]]
            for word in document_words(text):
                yield word, weight


class OrderSearch(SearchRow):
    """The texts by which an order is found."""

    weights = {
        "number": "A",
        "reference": "A",
        "po": "A",
        "customer": "A",
        "line": "A",
        "tracking": "A",
        "email": "B",
        "public-note": "B",
        "tag": "C",
        "note": "D",
    }

    order_id = models.UUIDField()
    customer_id = models.UUIDField()

    def words(self) -> Iterator[tuple[str, str]]:
        yield from super().words()
        for ending in number_endings(self.texts.get("number", "")):
            yield ending, self.weights["number"]

    class Meta:
        db_table = "order_search"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["projection", "order_id"], name="order_search_unique"),
        ]
        indexes = [
            GinIndex(fields=["document"], name="order_search_words"),
            # Finds the orders of a customer whose name has changed since the order.
            models.Index(fields=["projection", "customer_id"], name="order_search_of_customer"),
        ]


class CustomerSearch(SearchRow):
    """The texts by which a customer is found."""

    weights = {"name": "A", "email": "B", "phone": "B"}

    customer_id = models.UUIDField()

    def words(self) -> Iterator[tuple[str, str]]:
        yield from super().words()
        for ending in phone_endings(self.texts.get("phone", "")):
            yield ending, self.weights["phone"]

    class Meta:
        db_table = "customer_search"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "customer_id"], name="customer_search_unique"
            ),
        ]
        indexes = [
            GinIndex(fields=["document"], name="customer_search_words"),
            # Customers whose details have changed.
            GinIndex(
                fields=["document"], condition=Q(version__gt=1), name="customer_search_renamed"
            ),
        ]


class ProductSearch(SearchRow):
    """The texts by which a product is found."""

    weights = {"sku": "A", "name": "A"}

    product_id = models.UUIDField()

    class Meta:
        db_table = "product_search"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "product_id"], name="product_search_unique"
            ),
        ]
        indexes = [GinIndex(fields=["document"], name="product_search_words")]


class Words(SearchQuery):
    """A search for all the words of ``text``, as prefixes.

    With ``personal`` the search includes personal data, with ``staff`` the texts for staff.
    """

    template = "%(expressions)s::tsquery"

    def __init__(self, text: str, *, personal: bool, staff: bool) -> None:
        weights = "A" + "B" * personal + "C" * staff + "D" * (personal and staff)
        # Without weights, PostgreSQL answers from the index and doesn't look at each document.
        super().__init__(search_query(text, "" if weights == "ABCD" else weights))


def _vector(words: Iterable[tuple[str, str]]) -> str:
    """Return the words and their weights as the text of a tsvector."""
    weights: dict[str, str] = {}
    bytes_left = _BYTES
    for word, weight in words:
        word_weights = weights.get(word, "")
        if weight in word_weights:
            continue
        bytes_left -= len(word.encode()) + 8
        if bytes_left < 0:
            break
        weights[word] = word_weights + weight
    return " ".join(
        f"{quoted(word)}:{','.join([_WEIGHT_POSITIONS[weight] for weight in word_weights])}"
        for word, word_weights in weights.items()
    )
