"""The projection behind the report of sales by product."""

from collections.abc import Iterator

from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.projections.counting import CountingProjector, store_day
from ordering_write.published import events as e


class SalesByProductProjection(CountingProjector):
    """Fills ``sales_by_product``."""

    name = "sales_by_product"
    version = 1
    events = (e.OrderItemAdded,)
    models = (SalesByProduct,)

    def count(self, event: e.OrderItemAdded) -> Iterator[SalesByProduct]:
        yield SalesByProduct(
            day=store_day(event.timestamp),
            product_id=event.product_id,
            currency=event.line_total.currency,
            sku=event.sku,
            name=event.name,
            units=event.quantity,
            gross=event.line_total.amount,
        )
