"""The read models of search: what orders, customers and products can be found by."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db import models
from django.db.models import Q

from ordering_read.models.stream_row import StreamRow

# What one word may have of letters, and a document of bytes: PostgreSQL keeps a megabyte at most.
_LETTERS = 64
_BYTES = 500_000
_PLACES = {"A": "1A", "B": "2B", "C": "3C", "D": "4D"}
_EDGES = re.compile(r"^\W+|\W+$")
_PART = re.compile(r"\w+")
# Words of one letter or two are looked for as they are: half of all words begin with them.
_PREFIX_LETTERS = 3


class _MadeOfTexts:
    """What a row's ``document`` is: always that of its texts, whatever was loaded or set."""

    def __init__(self, _field: models.Field) -> None:
        pass

    def __get__(self, row: "SearchRow | None", _owner: object = None) -> Any:
        return self if row is None else _vector(row.words())

    def __set__(self, row: "SearchRow", value: object) -> None:
        pass


class DocumentField(SearchVectorField):
    """The words of a SearchRow's texts, for an index."""

    descriptor_class = _MadeOfTexts


class SearchRow(StreamRow):
    """What something can be found by: ``texts`` by what they are, and their words as an index.

    ``weights`` says who is to find it by a text, and so how much a hit counts: A whoever may see
    it, B who may see personal data, C who works here, D who does both. The name of a text is a key
    of ``weights``, perhaps with an id behind a colon where there are several: ``note:0192…``.
    """

    projection_name: ClassVar[str] = "search"
    weights: ClassVar[Mapping[str, str]]

    texts = models.JSONField(default=dict)
    document = DocumentField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return ", ".join(self.texts.values())

    def say(self, name: str, text: str | None) -> None:
        """Let it be found by ``text`` instead of what ``name`` said before; None: by neither."""
        self.texts.pop(name, None)
        if text:
            self.texts[name] = text

    def words(self) -> Iterator[tuple[str, str]]:
        """The words of all texts, each with its weight."""
        for name, text in self.texts.items():
            weight = self.weights[name.partition(":")[0]]
            for word in _words_and_parts(text):
                yield word, weight


class OrderSearch(SearchRow):
    """What an order can be found by."""

    weights = {
        "number": "A",
        "reference": "A",
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

    class Meta:
        db_table = "order_search"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["projection", "order_id"], name="order_search_unique"),
        ]
        indexes = [
            GinIndex(fields=["document"], name="order_search_words"),
            # For those of customers who have another name by now.
            models.Index(fields=["projection", "customer_id"], name="order_search_of_customer"),
        ]


class CustomerSearch(SearchRow):
    """What a customer can be found by."""

    weights = {"name": "A", "email": "B"}

    customer_id = models.UUIDField()

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
            # Those whose details have changed.
            GinIndex(
                fields=["document"], condition=Q(version__gt=1), name="customer_search_renamed"
            ),
        ]


class ProductSearch(SearchRow):
    """What a product can be found by."""

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
    """A search for all the words of ``text``, each of which may go on.

    ``personal`` says whether personal data are searched, ``staff`` whether what is written for
    those who work here.
    """

    # The words are found by us: PostgreSQL's parser takes numbers and e-mail addresses apart, so
    # that their beginnings find nothing.
    template = "%(expressions)s::tsquery"

    def __init__(self, text: str, *, personal: bool, staff: bool) -> None:
        weights = "A" + "B" * personal + "C" * staff + "D" * (personal and staff)
        super().__init__(" & ".join(_term(word, weights) for word in _words(text)))


def _folded(text: str) -> str:
    """``text`` as search compares it: without accents, in small letters."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text)
    return "".join(one for one in letters if not unicodedata.combining(one)).casefold()


def _words(text: str) -> Iterator[str]:
    for word in _folded(text).split():
        if stripped := _EDGES.sub("", word):
            yield stripped[:_LETTERS]


# Names of products are the same in many orders.
@lru_cache(maxsize=1_000)
def _words_and_parts(text: str) -> tuple[str, ...]:
    words = list(_words(text))
    parts = [part for word in words if not word.isalnum() for part in _PART.findall(word)]
    return tuple(dict.fromkeys([*words, *parts]))


def _term(word: str, weights: str) -> str:
    star = "*" if len(word) >= _PREFIX_LETTERS else ""
    return f"{_quoted(word)}:{star}{weights}"


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _vector(words: Iterable[tuple[str, str]]) -> str:
    """The words and their weights as PostgreSQL reads a tsvector."""
    weights: dict[str, str] = {}
    left = _BYTES
    for word, weight in words:
        known = weights.get(word, "")
        if weight in known:
            continue
        left -= len(word.encode()) + 8
        if left < 0:
            break
        weights[word] = known + weight
    # A place has one weight, so that each weight has a place.
    return " ".join(
        f"{_quoted(word)}:{','.join([_PLACES[weight] for weight in found])}"
        for word, found in weights.items()
    )
