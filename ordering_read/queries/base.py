"""The base classes of queries and of their handlers, and the bus between them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from pydantic.json_schema import SkipJsonSchema

from config.http.input.query import Parameters
from ordering_write.published import NoHandlerFoundError

Answer = TypeVar("Answer")


class Query(Parameters, Generic[Answer]):
    """A request for an ``Answer``; the fields are the query parameters of the API.

    Ids from the path and limits of the user are fields too, but no query parameters. An answer
    shows the data of the customer ``customer_scope`` only, or of all customers if None; other data
    count as not found. With ``with_personal``, answers show personal data and searches use them.
    """

    customer_scope: SkipJsonSchema[UUID | None] = None
    with_personal: SkipJsonSchema[bool] = True


Q = TypeVar("Q", bound=Query[Any])


class QueryHandler(ABC, Generic[Q, Answer]):
    """Answers the queries of one type from the read models."""

    @abstractmethod
    def handle(self, query: Q) -> Answer:
        """Return the answer. Raises a NotFoundError when the query names a missing resource."""


class QueryBus:
    """Passes each query to its handler."""

    def __init__(self) -> None:
        self._handlers: dict[type[Query[Any]], QueryHandler[Any, Any]] = {}

    def register(self, query_type: type[Query[Answer]], handler: QueryHandler[Any, Answer]) -> None:
        """Let ``handler`` answer the queries of ``query_type``, without its subclasses."""
        self._handlers[query_type] = handler

    def dispatch(self, query: Query[Answer]) -> Answer:
        """Return the answer to ``query``.

        Raises NoHandlerFoundError, and a NotFoundError when the query names a missing resource.
        """
        handler = self._handlers.get(type(query))
        if handler is None:
            raise NoHandlerFoundError(f"No handler is registered for {type(query).__name__}.")
        return cast(Answer, handler.handle(query))

    async def adispatch(self, query: Query[Answer]) -> Answer:
        """Dispatch for async callers: the handler runs in a thread of its own."""
        return await sync_to_async(self.dispatch)(query)


_bus = QueryBus()
_Handler = TypeVar("_Handler", bound=QueryHandler[Any, Any])


def get_query_bus() -> QueryBus:
    """Return the bus of this process. The module of a query registers the query's handler."""
    return _bus


def handles(query_type: type[Query[Any]]) -> Callable[[type[_Handler]], type[_Handler]]:
    """Return a class decorator that registers a handler on the bus of this process."""

    def register(handler_type: type[_Handler]) -> type[_Handler]:
        _bus.register(query_type, handler_type())
        return handler_type

    return register
