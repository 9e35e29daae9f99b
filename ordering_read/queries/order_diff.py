"""The query for an order at two of its versions."""

from pydantic import Field

from config.http.input.ids import PathId
from config.http.input.query import number
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.orders import MAX_VERSION, OrderDetail, events_of, order_after
from ordering_read.queries.views import View


class OrderStates(View):
    """An order before and after some of its events; None before the order was placed."""

    before: OrderDetail | None
    after: OrderDetail


class GetOrderDiff(Query[OrderStates]):
    """Get an order at its version ``first`` and at its version ``last`` (None for the newest)."""

    order_id: PathId
    first: number(ge=0, le=MAX_VERSION) = Field(  # type: ignore[valid-type]
        0,
        validation_alias="from",
        description="The version before; 0 is before the order was placed.",
    )
    last: number(ge=1, le=MAX_VERSION) | None = Field(  # type: ignore[valid-type]
        None, validation_alias="to", description="The version after; by default the newest."
    )


@handles(GetOrderDiff)
class GetOrderDiffHandler(QueryHandler[GetOrderDiff, OrderStates]):
    """Reads the events of the order, in one statement."""

    def handle(self, query: GetOrderDiff) -> OrderStates:
        events = events_of(query, query.order_id)
        return OrderStates(
            before=order_after(query, events, version=query.first) if query.first else None,
            after=order_after(query, events, version=query.last or len(events)),
        )
