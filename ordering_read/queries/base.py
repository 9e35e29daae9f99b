"""What a query, its handler and its answer are, and the bus that brings them together."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import IntegerField, Model, QuerySet, Subquery
from pydantic import BaseModel, ConfigDict, Field

from config.http.answers import pagination
from config.http.answers.pagination import COUNT_CAP, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from ordering_read.queries import keyset
from ordering_write.published import NoHandlerFoundError

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)


class View(BaseModel):
    """The base of what queries return. Amounts have their currency's decimals, times are UTC."""

    model_config = ConfigDict(frozen=True)


class Page(View, Generic[Item]):
    """Some of a list's items. ``count`` is how many it has, or COUNT_CAP and ``capped`` if more.

    A page that was chosen by ``cursor`` isn't counted. ``next_cursor`` chooses the one behind it,
    None when there is none.
    """

    items: tuple[Item, ...]
    count: int | None
    capped: bool
    page: int
    page_size: int
    cursor: str | None = None
    next_cursor: str | None = None


class Query(BaseModel, Generic[Answer]):
    """A question whose answer is an ``Answer``.

    ``customer_scope`` is the one customer whose things it may see, None for all. What is outside
    of it is not found. ``with_personal`` says whether something may be found by personal data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_scope: UUID | None = None
    with_personal: bool = True


class ListQuery(Query[Page[Item]], Generic[Item]):
    """A question whose answer is a page of a list: counted from 1, or the one behind ``cursor``.

    An empty ``cursor`` is the beginning of the list.
    """

    page: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE
    cursor: str | None = None

    def page_of(self, rows: "QuerySet[Row]", view: Callable[[Row], Item]) -> Page[Item]:
        """The page of ``rows`` that was asked for, each shown by ``view``; one statement.

        The rows are ordered by names, with a minus for descending ones, which together name a row
        and are never null. Past the end it takes a second statement to count.

        Raises ParameterError for a cursor that isn't of this list.
        """
        names = keyset.ordering_of(rows)
        ordering = f"{rows.model.__name__}:{','.join(names)}"
        if self.cursor is None:
            start = (self.page - 1) * self.page_size
            chosen = rows.annotate(found=_Count(rows.order_by()[: COUNT_CAP + 1].values("pk")))
        else:
            start, chosen = 0, rows
            if self.cursor:
                place = pagination.read_cursor(self.cursor, ordering=ordering)
                chosen = rows.filter(keyset.behind(names, place))
        # One more than is shown, to know whether there are more.
        read = list(chosen[start : start + self.page_size + 1])
        shown = read[: self.page_size]
        last = keyset.place_of(shown[-1], names) if len(read) > len(shown) else None
        count = None if self.cursor is not None else _counted(rows, read)
        return Page(
            items=tuple(view(row) for row in shown),
            count=None if count is None else min(count, COUNT_CAP),
            capped=count is not None and count > COUNT_CAP,
            page=self.page,
            page_size=self.page_size,
            cursor=self.cursor,
            next_cursor=last and pagination.make_cursor(last, ordering=ordering),
        )


class _Count(Subquery):
    """How many rows a query finds, counted beside those that are shown, in the same snapshot."""

    template = "(SELECT count(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def _counted(rows: "QuerySet[Any]", read: Sequence[Any]) -> int:
    return int(read[0].found) if read else rows.order_by()[: COUNT_CAP + 1].count()


def shop_wide(query: Query[Any], rows: "QuerySet[Row]") -> "QuerySet[Row]":
    """``rows`` that belong to no customer: nothing for who may see one customer's things only."""
    return rows if query.customer_scope is None else rows.none()


Q = TypeVar("Q", bound=Query[Any])


class QueryHandler(ABC, Generic[Q, Answer]):
    """Answers one kind of query from the read models."""

    @abstractmethod
    def handle(self, query: Q) -> Answer:
        """The answer. Raises a NotFoundError when the query names something that isn't there."""


class QueryBus:
    """Finds the handler of a query and asks it."""

    def __init__(self) -> None:
        self._handlers: dict[type[Query[Any]], QueryHandler[Any, Any]] = {}

    def register(self, query_type: type[Query[Answer]], handler: QueryHandler[Any, Answer]) -> None:
        """Let ``handler`` answer queries of exactly this type."""
        self._handlers[query_type] = handler

    def dispatch(self, query: Query[Answer]) -> Answer:
        """The answer to ``query``.

        Raises NoHandlerFoundError, or a NotFoundError when the query names something that isn't
        there.
        """
        handler = self._handlers.get(type(query))
        if handler is None:
            raise NoHandlerFoundError(f"No handler is registered for {type(query).__name__}.")
        return cast(Answer, handler.handle(query))

    async def adispatch(self, query: Query[Answer]) -> Answer:
        """``dispatch`` for async callers; the handler runs in a thread of its own."""
        return await sync_to_async(self.dispatch)(query)
