"""The question what has changed of an order from one of its versions to another one."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from ordering_read.queries.base import Query, QueryHandler, View
from ordering_read.queries.orders import OrderDetail, events_of, order_after


class OrderStates(View):
    """An order before and after some of its events; before it was placed there is none."""

    before: OrderDetail | None
    after: OrderDetail


class GetOrderDiff(Query[OrderStates]):
    """An order after its event number ``first``, 0 for before, and after ``last``, None for now."""

    order_id: UUID
    first: Annotated[int, Field(ge=0)] = 0
    last: Annotated[int, Field(ge=1)] | None = None


class GetOrderDiffHandler(QueryHandler[GetOrderDiff, OrderStates]):
    """Reads its events, in one statement."""

    def handle(self, query: GetOrderDiff) -> OrderStates:
        events = events_of(query, query.order_id)
        return OrderStates(
            before=order_after(query, events, version=query.first) if query.first else None,
            after=order_after(query, events, version=query.last or len(events)),
        )
