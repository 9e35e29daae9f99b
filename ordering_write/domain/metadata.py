"""Metadata: pairs of texts by which other programs know an order, a line or a customer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from config.fields.text import Text
from ordering_write.domain.errors import TooManyPairsError

MAX_PAIRS = 50


def _without_equals_sign(key: str) -> str:
    # Filters and forms write a pair as key=value.
    if "=" in key:
        raise PydanticCustomError("metadata_key", "A key has no equals sign")
    return key


Key = Annotated[str, Text(max_length=40), AfterValidator(_without_equals_sign)]
PairValue = Annotated[str, Text(max_length=500, min_length=0, lines=True)]
Metadata = Annotated[dict[Key, PairValue], Field(max_length=MAX_PAIRS)]
# Pairs to set, and keys to remove, whose value is None.
MetadataChanges = Annotated[
    dict[Key, PairValue | None],
    Field(min_length=1, max_length=2 * MAX_PAIRS, examples=[{"gift": "yes"}]),
]


class Merge(NamedTuple):
    """The pairs to set and the keys to remove, without those that change nothing."""

    values: Mapping[str, str]
    removed: Sequence[str]


def merge(metadata: Mapping[str, str], changes: Mapping[str, str | None]) -> Merge | None:
    """Return how ``changes`` change ``metadata``; None if they change nothing.

    Raises TooManyPairsError if more than MAX_PAIRS pairs would be left.
    """
    values = {
        key: value
        for key, value in changes.items()
        if value is not None and metadata.get(key) != value
    }
    removed = [key for key, value in changes.items() if value is None and key in metadata]
    if len(metadata.keys() | values.keys()) - len(removed) > MAX_PAIRS:
        raise TooManyPairsError
    return Merge(values, removed) if values or removed else None
