"""The names by which people know streams."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from ordering_write.models.order import Order
from ordering_write.models.stock import StockItem


def stream_names(streams: Collection[str]) -> Mapping[str, str]:
    """Return the order number or SKU of each of ``streams`` that is an order or a product.

    One statement for each kind of stream. Customers are left out: their names are personal.
    """
    ids: dict[str, list[UUID]] = defaultdict(list)
    for stream in streams:
        prefix, _, key = stream.partition("-")
        ids[prefix].append(UUID(key))
    order_ids, product_ids = ids[Order.stream_prefix], ids[StockItem.stream_prefix]
    names: dict[str, str] = {}
    if order_ids:
        orders = Order.objects.filter(pk__in=order_ids).values_list("pk", "order_number")
        names |= {f"{Order.stream_prefix}-{key}": number for key, number in orders}
    if product_ids:
        products = StockItem.objects.filter(pk__in=product_ids).values_list("pk", "sku")
        names |= {f"{StockItem.stream_prefix}-{key}": sku for key, sku in products}
    return names
