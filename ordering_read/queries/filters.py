"""What lists can be narrowed down by: the types of the values, and the sets that apply them."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django_filters import Filter, FilterSet
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from config.fields.text import Text
from ordering_read.models.search import SearchRow, Words
from ordering_read.queries.base import Query
from ordering_write.published import MINOR_UNITS

Kind = TypeVar("Kind")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
# Beyond these there are no orders, and soon no moments either.
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _split(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


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


def _sane(moment: datetime) -> datetime:
    if not _FIRST <= moment < _LAST:
        raise PydanticCustomError("moment", "A moment is one between the years 1970 and 9000")
    return moment


def _known_currency(code: str) -> str:
    if code not in MINOR_UNITS:
        raise PydanticCustomError("currency", "A currency is an ISO 4217 code such as EUR")
    return code


# One of its values, or several with commas between them.
Several = Annotated[tuple[Kind, ...], Field(min_length=1, max_length=20), BeforeValidator(_split)]
# A day is its first moment, on the store's clocks.
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    AfterValidator(_sane),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^({_DAY.pattern}|{_MOMENT.pattern})$",
            "examples": ["2026-03-01"],
        }
    ),
]
Currency = Annotated[
    str,
    AfterValidator(_known_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]}),
]
SearchText = Annotated[str, Text(max_length=200)]


def words(query: Query[Any], text: str) -> Words:
    """What finds ``text`` in what the asker of ``query`` may see."""
    return Words(text, personal=query.with_personal, staff=query.customer_scope is None)


class Search(Filter):
    """Searches in ``documents``, which name the rows by the column ``field_name``."""

    def __init__(self, field_name: str, documents: type[SearchRow]) -> None:
        super().__init__(field_name)
        self.documents = documents

    def filter(self, rows: QuerySet[Any], value: str | None) -> QuerySet[Any]:
        if value is None:
            return rows
        found = self.documents.live.filter(document=words(self.parent.query, value))
        return rows.filter(**{f"{self.field_name}__in": found.values(self.field_name)})


class QueryFilterSet(FilterSet):
    """Narrows rows down by the fields of ``query`` that have a filter of their name.

    The query has checked its values, so that no form has to. Filters with a method find the query
    in ``self.query``.
    """

    def __init__(self, query: Query[Any], rows: QuerySet[Any]) -> None:
        super().__init__(queryset=rows)
        self.query = query

    @property
    def qs(self) -> QuerySet[Any]:
        """Those of the rows that were asked for."""
        rows: QuerySet[Any] = self.queryset
        for name, one in self.filters.items():
            rows = one.filter(rows, getattr(self.query, name, None))
        return rows


class StableOrdering(Filter):
    """Orders by the columns that stand for a name, and for ``-name`` the other way round.

    The last column must be the id, so that equals keep their places from page to page. Since all
    columns run in one direction, one index serves both ways.
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        columns = self.columns[value.removeprefix("-")]
        return rows.order_by(*(map(_turned, columns) if value.startswith("-") else columns))


def _turned(column: str) -> str:
    return column[1:] if column.startswith("-") else f"-{column}"
