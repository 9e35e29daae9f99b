"""The query for the id of an order by its number, as people type it."""

import re
from collections.abc import Sequence
from uuid import UUID

from pydantic.json_schema import SkipJsonSchema

from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.orders import visible_orders
from ordering_read.queries.views import View
from ordering_write.published import spelled_order_number

_SERIAL = re.compile(r"#?([0-9]{1,6})")
# The years of the orders that are found without their year.
_YEARS = range(1970, 2101)


class NumberedOrder(View):
    """The id and the number of an order."""

    order_id: UUID
    order_number: str


class FindOrders(Query[Sequence[NumberedOrder]]):
    """Find the orders that ``number`` names: one, or without a year those of all years."""

    number: SkipJsonSchema[str]


@handles(FindOrders)
class FindOrdersHandler(QueryHandler[FindOrders, Sequence[NumberedOrder]]):
    """Reads the orders by the index of their numbers, in one statement."""

    def handle(self, query: FindOrders) -> Sequence[NumberedOrder]:
        rows = visible_orders(query).filter(order_number__in=_numbers(query.number))
        return tuple(NumberedOrder.of_row(row) for row in rows.order_by("order_number"))


def _numbers(text: str) -> list[str]:
    serial = _SERIAL.fullmatch(text.strip())
    spellings = [f"{year}-{serial[1]}" for year in _YEARS] if serial else [text]
    return [spelled_order_number(spelling) for spelling in spellings]
