"""The base class of queries for lists, with filters, an ordering and pages."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Generic, NamedTuple, Self, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import IntegerField, Model, QuerySet, Subquery

from config.databases import prepared
from config.http.answers import pagination
from config.http.answers.pagination import COUNT_CAP, PageParameters
from ordering_read.queries import keyset
from ordering_read.queries.base import Query
from ordering_read.queries.filters import Filter
from ordering_read.queries.views import Item, Page

Row = TypeVar("Row", bound=Model)


class ListQuery(PageParameters, Query[Page[Item]], Generic[Item]):
    """A query for a page of a list: page number ``page``, from 1, or the page after ``cursor``.

    An empty ``cursor`` is the beginning of the list. A field with a ``Filter`` narrows or orders
    the list.
    """

    def rows(self) -> "QuerySet[Any]":
        """Return the rows of all pages that the user may see, in the ordering of this query.

        Lists that are exported over the API say them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no files.")

    def select(self, rows: "QuerySet[Row]") -> "QuerySet[Row]":
        """Return the ``rows`` that pass the filters, in the ordering of this query."""
        for name, field_filter in filters_of(type(self)):
            if (value := getattr(self, name)) not in (None, ""):
                rows = field_filter.apply(rows, value, self)
        return rows

    def page_of(self, rows: "QuerySet[Row]", view: Callable[[Row], Item]) -> Page[Item]:
        """Return the page of ``rows`` that this query asks for, with items made by ``view``.

        ``rows`` must be ordered by field names whose values identify a row and are never null.
        Takes one statement; an empty page after the first takes another one, to count the rows.

        Raises ParameterError for a cursor of another list.
        """
        return self._page(list(self._selected(rows)), view, _Ordering.of(rows), rows)

    def page_of_columns(self, columns: Sequence[str], view: Callable[[Any], Item]) -> Page[Item]:
        """Return the page of ``rows()`` like ``page_of``; ``view`` gets tuples with ``columns``.

        The statement is put together once for equal queries, which takes half of the time of a
        page. So ``rows()`` must depend on nothing but the query.
        """
        statement = statement_of(self, tuple(columns))
        return self._page(statement.fetch(), view, statement.ordering)

    def _selected(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        """Return the rows of the page, and one more, to find out if there is a next page."""
        if self.cursor is None:
            start = (self.page - 1) * self.page_size
            selected = rows.annotate(total=_Count(rows.order_by()[: COUNT_CAP + 1].values("pk")))
        else:
            start, selected = 0, rows
            if self.cursor:
                ordering = _Ordering.of(rows)
                keys = pagination.read_cursor(self.cursor, ordering=ordering.text)
                selected = rows.filter(keyset.after(ordering.names, keys))
        return selected[start : start + self.page_size + 1]

    def _page(
        self,
        fetched: Sequence[Any],
        view: Callable[[Any], Item],
        ordering: "_Ordering",
        rows: "QuerySet[Any] | None" = None,
    ) -> Page[Item]:
        shown = fetched[: self.page_size]
        last = keyset.sort_keys(shown[-1], ordering.names) if len(fetched) > len(shown) else None
        count = None
        if self.cursor is None:
            count = int(fetched[0].total) if fetched else self._count(rows)
        return Page(
            items=tuple(view(row) for row in shown),
            count=None if count is None else min(count, COUNT_CAP),
            capped=count is not None and count > COUNT_CAP,
            page=self.page,
            page_size=self.page_size,
            cursor=self.cursor,
            next_cursor=last and pagination.make_cursor(last, ordering=ordering.text),
        )

    def _count(self, rows: "QuerySet[Any] | None") -> int:
        """Return the number of all rows, where the page shows none."""
        if self.page == 1:
            return 0
        rows = self.rows() if rows is None else rows
        return rows.order_by()[: COUNT_CAP + 1].count()


class _Ordering(NamedTuple):
    """The field names that a list is ordered by, and the text that its cursors name them by."""

    names: tuple[str, ...]
    text: str

    @classmethod
    def of(cls, rows: "QuerySet[Any]") -> Self:
        names = keyset.ordering_of(rows)
        return cls(names, f"{rows.model.__name__}:{','.join(names)}")


class _Statement(NamedTuple):
    """The statement of a page. ``sql`` is empty if no row can match."""

    sql: str
    parameters: Sequence[Any]
    row: Callable[..., Any]
    # The converters of the columns that need some, by the index of the column.
    converters: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]
    ordering: _Ordering

    def fetch(self) -> list[Any]:
        """Return the rows as named tuples."""
        if not self.sql:
            return []
        connection = connections["read"]
        records = list(map(list, prepared.fetch("read", self.sql, self.parameters)))
        for index, (converters, expression) in self.converters.items():
            for record in records:
                for convert in converters:
                    record[index] = convert(record[index], expression, connection)
        return [self.row(*record) for record in records]


@lru_cache(maxsize=500)
def statement_of(query: ListQuery[Any], columns: tuple[str, ...]) -> _Statement:
    """Return the statement that reads ``columns`` of the page of ``query``."""
    rows = query.rows()
    ordering = _Ordering.of(rows)
    sorted_by = (name.removeprefix("-") for name in ordering.names)
    counted = ("total",) if query.cursor is None else ()
    names = list(dict.fromkeys((*columns, *sorted_by, *counted)))
    row = namedtuple("row", names)  # type: ignore[misc]
    compiler = query._selected(rows).values_list(*names).query.get_compiler("read")
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return _Statement("", (), row, {}, ordering)
    expressions = [selected[0] for selected in compiler.select]
    return _Statement(sql, parameters, row, compiler.get_converters(expressions), ordering)


@cache
def filters_of(query_type: type[ListQuery[Any]]) -> list[tuple[str, Filter]]:
    """Return the filters of a query, each with the name of its field; orderings come last."""
    filters = [
        (name, field_filter)
        for name, field in query_type.model_fields.items()
        for field_filter in field.metadata
        if isinstance(field_filter, Filter)
    ]
    return sorted(filters, key=lambda pair: pair[1].is_ordering)


class _Count(Subquery):
    """Counts the rows of a query in the statement, and so the snapshot, that reads the page."""

    template = "(SELECT count(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def shop_wide(query: Query[Any], rows: "QuerySet[Row]") -> "QuerySet[Row]":
    """Return ``rows``, which belong to the whole shop; no rows for a user with a customer scope."""
    return rows if query.customer_scope is None else rows.none()
