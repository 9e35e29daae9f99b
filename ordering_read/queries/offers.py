"""The query for what customers can order again, and at which price."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from config.databases import tables
from ordering_read.models import InventoryLevel, OrderLine
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.inventory import AvailabilityView
from ordering_read.queries.orders import OrderDetail, visible_detail, visible_row
from ordering_write.published import spelled_order_number

_LINES = """
SELECT {columns}, to_jsonb(product)
FROM order_line_view AS line LEFT JOIN inventory_level AS product ON product.projection_id = (
    SELECT id FROM projection WHERE name = %s AND status = 'live'
) AND product.product_id = line.product_id
WHERE line.projection_id = %s AND line.order_id = %s ORDER BY line.number
"""


class OfferView(AvailabilityView):
    """A product as it is sold today; more units than are available, if it is `backorderable`."""

    backorderable: bool

    def price_in(self, currency: str) -> Decimal | None:
        """Return the list price of a unit in ``currency``; None if it has none."""
        return next((price.amount for price in self.prices if price.currency == currency), None)


class ReorderView(NamedTuple):
    """An order, and the products of its lines as they are sold today, without unknown ones."""

    order: OrderDetail
    offers: Mapping[UUID, OfferView]


class GetReorder(Query[ReorderView]):
    """Get an order to be placed again, by its order number, however it is spelled."""

    order_number: str


@handles(GetReorder)
class GetReorderHandler(QueryHandler[GetReorder, ReorderView]):
    """Reads the order in one statement, and its lines with their products in another one."""

    def handle(self, query: GetReorder) -> ReorderView:
        row = visible_row(query, order_number=spelled_order_number(query.order_number))
        columns = ", ".join(f"line.{column}" for column in tables.columns(OrderLine))
        lines = tables.load(
            OrderLine,
            _LINES.format(columns=columns),
            [InventoryLevel.projection_name, row.projection_id, row.order_id],
            extra=("product",),
        )
        products = {line.product_id: vars(line)["product"] for line in lines}
        offers = {key: _offer(text) for key, text in products.items() if text}
        return ReorderView(visible_detail(query, row, lines), offers)


def _offer(text: str) -> OfferView:
    return OfferView.of_row(InventoryLevel(**json.loads(text, parse_float=Decimal)))
