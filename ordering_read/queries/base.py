"""What a query, its handler and its answer are, and the bus that brings them together."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import Count, Max, QuerySet
from pydantic import BaseModel, ConfigDict, Field

from config.http.pagination import COUNT_CAP, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from ordering_read.models.base import ReadModel
from ordering_write.published import NoHandlerFoundError

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Row = TypeVar("Row", bound=ReadModel)


class View(BaseModel):
    """The base of what queries return. Amounts have their currency's decimals, times are UTC."""

    model_config = ConfigDict(frozen=True)


class Page(View, Generic[Item]):
    """Some of a list's items. ``count`` is how many it has, or COUNT_CAP and ``capped`` if more."""

    items: tuple[Item, ...]
    count: int
    capped: bool
    page: int
    page_size: int


class Query(BaseModel, Generic[Answer]):
    """A question whose answer is an ``Answer``.

    ``customer_scope`` is the one customer whose things it may see, None for all. What is outside
    of it is not found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_scope: UUID | None = None


class ListQuery(Query[Page[Item]], Generic[Item]):
    """A question whose answer is a page of a list, counted from 1."""

    page: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE

    def page_of(self, rows: QuerySet[Row], view: Callable[[Row], Item]) -> Page[Item]:
        """The page of ``rows`` that was asked for, each shown by ``view``; two statements."""
        start = (self.page - 1) * self.page_size
        shown = list(rows[start : start + self.page_size])
        # One more than is told, to know whether there are more.
        counted = rows.order_by()[: COUNT_CAP + 1].aggregate(
            count=Count("pk"), generation=Max("projection_id")
        )
        if shown and counted["generation"] != shown[0].projection_id:
            # Other rows took over between the two statements: no page is a mixture.
            return self.page_of(rows, view)
        return Page(
            items=tuple(view(row) for row in shown),
            count=min(counted["count"], COUNT_CAP),
            capped=counted["count"] > COUNT_CAP,
            page=self.page,
            page_size=self.page_size,
        )


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
