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
    names: dict[str, str] = {}
    for model, field in ((Order, "order_number"), (StockItem, "sku")):
        prefix = model.stream_prefix
        if keys := ids.get(prefix):
            rows = model._base_manager.filter(pk__in=keys).values_list("pk", field)
            names |= {f"{prefix}-{key}": name for key, name in rows}
    return names
