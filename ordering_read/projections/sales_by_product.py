"""The projection of the report of sales by product."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.projections.counting_projector import CountingProjector, store_day
from ordering_write.published import events as e


class SalesByProductProjection(CountingProjector):
    """Fills ``sales_by_product``.

    Events about cancelled and returned units don't carry the name of the product, so a row without
    an order of that day has no name.
    """

    name = "sales_by_product"
    version = 2
    events = (
        e.OrderItemAdded,
        e.OrderItemPriceChanged,
        e.OrderItemQuantityChanged,
        e.OrderItemsCancelled,
        e.OrderCancelled,
        e.ShipmentFailed,
        e.ReturnReceived,
        e.LostUnitsMadeGood,
    )
    models = (SalesByProduct,)

    def increments(self, event: e.OrderEvent) -> Iterator[SalesByProduct]:
        row = partial(SalesByProduct, day=store_day(event.timestamp))
        match event:
            case e.OrderItemAdded(product_id=product, line_total=total):
                yield row(
                    product_id=product,
                    currency=total.currency,
                    sku=event.sku,
                    name=event.name,
                    units=event.quantity,
                    gross=total.amount,
                )
            case e.OrderItemQuantityChanged(product_id=product, line_total=total):
                units = event.to_quantity - event.from_quantity
                yield row(
                    product_id=product,
                    currency=total.currency,
                    units=max(units, 0),
                    cancelled_units=max(-units, 0),
                    gross=max(_list_change(event), Decimal(0)),
                )
            case e.OrderItemPriceChanged(product_id=product, unit_price=price):
                change = price.amount - event.from_unit_price.amount
                yield row(
                    product_id=product,
                    currency=price.currency,
                    gross=change * event.owed_units,
                )
            case e.OrderItemsCancelled(items=items):
                for item in items:
                    yield row(
                        product_id=item.product_id,
                        currency=item.amount.currency,
                        cancelled_units=item.quantity,
                    )
            case e.OrderCancelled(total=e.Money(currency=currency), released=released):
                for released_units in released:
                    yield row(
                        product_id=released_units.product_id,
                        currency=currency,
                        cancelled_units=released_units.quantity,
                    )
            case e.ShipmentFailed(resend=True):
                # The units are still sold.
                return
            case e.LostUnitsMadeGood(items=items):
                for made_good in items:
                    yield row(
                        product_id=made_good.product_id,
                        currency=made_good.amount.currency,
                        returned_units=-made_good.quantity,
                        refunded=-made_good.amount.amount,
                    )
            case e.ShipmentFailed(items=items) | e.ReturnReceived(items=items):
                for item in items:
                    yield row(
                        product_id=item.product_id,
                        currency=item.amount.currency,
                        returned_units=item.quantity,
                        refunded=item.amount.amount,
                    )


def _list_change(event: e.OrderItemQuantityChanged) -> Decimal:
    """Return the change of the list value of a line, which has no shares of adjustments."""
    if event.price is None:
        return event.line_total.amount - event.from_line_total.amount
    [line] = [line for line in event.price.lines if line.line_id == event.line_id]
    return line.list_value * (event.to_quantity - event.from_quantity) / event.to_quantity
