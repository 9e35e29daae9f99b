"""Filters and orderings of lists, and the types of their values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from config.fields.text import Text, identity_key
from ordering_read.models.search import SearchRow, Words
from ordering_read.queries.base import Query

Value = TypeVar("Value")
Rows = QuerySet[Any]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
# No order is outside of this range, which keeps time zones within Python's range.
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


# --- Values ------------------------------------------------------------------------------------
def _split(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


def _iso_day(value: Any) -> Any:
    # Checked here, because pydantic would also accept a number of seconds.
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise PydanticCustomError("day", "A day is written such as 2026-03-01")
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if _DAY.fullmatch(value):
            zone = ZoneInfo(settings.STORE_TIME_ZONE)
            return datetime.combine(date.fromisoformat(value), time.min, tzinfo=zone)
        if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError(
        "moment", "A moment is written such as 2026-03-01T12:00:00Z, or 2026-03-01 for a day"
    )


def _in_range(moment: datetime) -> datetime:
    if not _FIRST <= moment < _LAST:
        raise PydanticCustomError("moment", "A moment is one between the years 1970 and 9000")
    return moment


# One value, or several with commas between them.
Several = Annotated[tuple[Value, ...], Field(min_length=1, max_length=20), BeforeValidator(_split)]
Day = Annotated[date, BeforeValidator(_iso_day)]
# A time, or a day, which stands for its first moment in the time zone of the store.
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    AfterValidator(_in_range),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^({_DAY.pattern}|{_MOMENT.pattern})$",
            "examples": ["2026-03-01"],
        }
    ),
]
SearchText = Annotated[str, Text(max_length=200)]


def _with_key(pair: str) -> str:
    if pair.startswith("="):
        raise PydanticCustomError("pair", "A pair is written key=value, or its key alone")
    return pair


# A key with any value, or a key with a value: color=red.
Pair = Annotated[str, Text(max_length=541, lines=True), AfterValidator(_with_key)]


# --- Filters -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Filter:
    """Marks a field of a list query: ``sku: Annotated[str | None, where("sku")] = None``.

    ``apply(rows, value, query)`` returns the matching rows. An ordering is applied last.
    """

    apply: Callable[[Rows, Any, Any], Rows]
    is_ordering: bool = False


def where(lookup: str) -> Filter:
    """Return a filter that passes the value to a Django lookup, such as ``where("day__gte")``."""
    return Filter(lambda rows, value, _query: rows.filter(**{lookup: value}))


# Identifiers in any spelling.
SkuText = Annotated[str, Text(max_length=64, min_length=0)]
ReferenceText = Annotated[str, Text(max_length=100, min_length=0)]


def is_identifier(column: str, text: str) -> Q:
    """Return the condition that the identifier in ``column`` is ``text``, however it is spelled.

    Rows of former releases have no keys, and must have the same spelling.
    """
    key = {f"{column}_key": identity_key(text)}
    return Q(**key) | Q(**{f"{column}_key": "", column: text})


def spelled(column: str) -> Filter:
    """Return a filter for the rows whose identifier in ``column`` is the value, in any spelling."""
    return Filter(lambda rows, text, _query: rows.filter(is_identifier(column, text)))


def search(column: str, documents: type[SearchRow]) -> Filter:
    """Return a filter for rows whose search document, found by ``column``, has all words."""

    def apply(rows: Rows, text: str, query: Query[Any]) -> Rows:
        matches = documents.live.filter(document=words(query, text))
        return rows.filter(**{f"{column}__in": matches.values(column)})

    return Filter(apply)


def _has_pair(rows: Rows, pair: str, query: Query[Any]) -> Rows:
    if query.customer_scope is not None or not query.with_personal:
        # A filter by values that the user may not see would tell the values.
        return rows.none()
    key, equals_sign, value = pair.partition("=")
    condition = {"metadata__contains": {key: value}} if equals_sign else {"metadata__has_key": key}
    # The index omits rows without metadata.
    return rows.filter(**condition).exclude(metadata={})


MetadataFilter = Annotated[
    Pair | None,
    Filter(_has_pair),
    Field(
        description="Rows with this pair of metadata, `key=value`, or with this `key`. Users who "
        "may not see personal data find none.",
        examples=["gift=yes"],
    ),
]


def order_by(columns: Mapping[str, Sequence[str]]) -> Filter:
    """Return an ordering by name; ``columns`` has the columns of each, and ``-name`` reverses them.

    The last column must be the id, so that equal rows keep their order from page to page. All
    columns have one direction, so that one index serves both directions.
    """

    def apply(rows: Rows, ordering: str, _query: Query[Any]) -> Rows:
        names = columns[ordering.removeprefix("-")]
        return rows.order_by(*(map(_reversed, names) if ordering.startswith("-") else names))

    return Filter(apply, is_ordering=True)


def words(query: Query[Any], text: str) -> Words:
    """Return a search for ``text`` that is limited to the texts that the user may search."""
    return Words(text, personal=query.with_personal, staff=query.customer_scope is None)


def _reversed(column: str) -> str:
    return column[1:] if column.startswith("-") else f"-{column}"
