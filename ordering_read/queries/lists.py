"""The base class of queries for lists, with filters, an ordering and pages."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db.models import IntegerField, Model, QuerySet, Subquery

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

    def page_of(
        self,
        rows: "QuerySet[Row]",
        view: Callable[[Row], Item],
        *,
        columns: Sequence[str] = (),
    ) -> Page[Item]:
        """Return the page of ``rows`` that this query asks for, with items made by ``view``.

        ``rows`` must be ordered by field names whose values identify a row and are never null.
        With ``columns``, ``view`` gets named tuples of these columns: they take half of the time of
        model instances. Takes one statement; an empty page after the first takes another one, to
        count the rows.

        Raises ParameterError for a cursor of another list.
        """
        names = keyset.ordering_of(rows)
        ordering = f"{rows.model.__name__}:{','.join(names)}"
        if self.cursor is None:
            start = (self.page - 1) * self.page_size
            selected = rows.annotate(total=_Count(rows.order_by()[: COUNT_CAP + 1].values("pk")))
        else:
            start, selected = 0, rows
            if self.cursor:
                keys = pagination.read_cursor(self.cursor, ordering=ordering)
                selected = rows.filter(keyset.after(names, keys))
        if columns:
            sorted_by = (name.removeprefix("-") for name in names)
            counted = ("total",) if self.cursor is None else ()
            needed = dict.fromkeys((*columns, *sorted_by, *counted))
            selected = selected.values_list(*needed, named=True)
        # One row more than the page shows, to find out if there is a next page.
        fetched = list(selected[start : start + self.page_size + 1])
        shown = fetched[: self.page_size]
        last = keyset.sort_keys(shown[-1], names) if len(fetched) > len(shown) else None
        count = None if self.cursor is not None else _count(rows, fetched, start)
        return Page(
            items=tuple(view(row) for row in shown),
            count=None if count is None else min(count, COUNT_CAP),
            capped=count is not None and count > COUNT_CAP,
            page=self.page,
            page_size=self.page_size,
            cursor=self.cursor,
            next_cursor=last and pagination.make_cursor(last, ordering=ordering),
        )


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


def _count(rows: "QuerySet[Any]", fetched: Sequence[Any], start: int) -> int:
    if fetched:
        return int(fetched[0].total)
    return rows.order_by()[: COUNT_CAP + 1].count() if start else 0


def shop_wide(query: Query[Any], rows: "QuerySet[Row]") -> "QuerySet[Row]":
    """Return ``rows``, which belong to the whole shop; no rows for a user with a customer scope."""
    return rows if query.customer_scope is None else rows.none()
